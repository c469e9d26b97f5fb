"""Le service sous test, et un paiement raconté."""

from tests.support.banc import paye, reglages_api, service

__all__ = ["paye", "reglages_api", "service"]
