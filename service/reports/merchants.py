"""Which merchants' reports are awaited."""

from service.settings import Settings


def merchants_of(settings: Settings) -> list[str]:
    """Return every merchant id of the settings, each once: those of the caisses, and the common one."""
    common = settings.merchant("").merchant_id
    return list(dict.fromkeys([common, *(merchant.merchant_id for merchant in settings.kiosque_merchants.values())]))
