"""Composition root: settings, logs, the embedded stack, and the command line that puts the rooms together."""
