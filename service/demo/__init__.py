"""`creances demo`: everything embedded in one process, a scenario played through the real path, then served."""

from service.demo.stack import run_demo

__all__ = ["run_demo"]
