"""The one place that names the bank: its kiosk, its reports and its simulator, from the settings."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from domain.delai import PARIS
from kiosque.interface import Kiosque
from kiosque.rapports import LecteurDeRapports
from kiosque.sips.donnees import pretendu
from kiosque.sips.paypage import Sips
from kiosque.sips.rapports.colonnes import avec_noms
from kiosque.sips.rapports.lecture import RapportsSips
from kiosque.sips.reglages import PAR_DEFAUT, ReglagesSips
from kiosque.sips.sceau import Algorithme, Marchand
from service.settings import Merchant, Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

PAYPAGE: Final = "/paypage"


def kiosk(settings: Settings) -> Kiosque:
    """The bank's kiosk as configured: one merchant for all, or one for some caisses."""
    merchants = {
        PAR_DEFAUT: _merchant(settings.merchant("")),
        **{caisse: _merchant(merchant) for caisse, merchant in settings.kiosque_merchants.items()},
    }
    page = _with_default_path(settings.kiosque_url, PAYPAGE)
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(settings.kiosque_url))
    return Sips(
        ReglagesSips(
            url=page,
            office=settings.kiosque_office_url or origin,
            algorithme=Algorithme(settings.kiosque_seal_algorithm),
            marchands=merchants,
            retires=tuple(_merchant(merchant) for merchant in settings.kiosque_retired_merchants),
            version_diagnostic=settings.kiosque_office_diagnostic_version,
            version_operations=settings.kiosque_office_operations_version,
            sceau_exige=settings.kiosque_office_seal_required,
            heures_closes=(settings.kiosque_office_closed_from, settings.kiosque_office_closed_until),
            delai_de_renvoi=settings.kiosque_office_resend_after,
            delai_s=settings.kiosque_timeout.total_seconds(),
            essais_admis=not settings.in_production,
            secrets_de_pseudonyme=tuple(filter(None, (settings.pseudonym_secret, settings.pseudonym_previous_secret))),
        )
    )


def report_reader(settings: Settings) -> LecteurDeRapports:
    """What reads the bank's reports. Raises ValueError if the settings name a report or a field that does not exist."""
    return RapportsSips(avec_noms(settings.kiosque_report_columns))


def simulator(settings: Settings, url: str) -> "Starlette":
    """The bank, simulated, at this address for the browser."""
    from kiosque.simulateur.application import creer_simulateur
    from kiosque.simulateur.reglages import ReglagesSimulateur

    merchant = settings.merchant("")
    return creer_simulateur(
        ReglagesSimulateur(
            marchand=merchant.merchant_id,
            secret=merchant.secret_key,
            version=merchant.key_version,
            algorithme=Algorithme(settings.kiosque_seal_algorithm),
            url_publique=url,
        )
    )


def claimed(form: Mapping[str, Any]) -> tuple[str | None, int]:
    """What a form that was refused claims: the transaction, and the amount in centimes (0: none); nothing proves it.

    Raises what reading a form that is none raises: ValueError, LookupError, TypeError, FormulaireIrrecevable.
    """
    return pretendu(form)


def _merchant(merchant: Merchant) -> Marchand:
    keys = {merchant.key_version: merchant.secret_key}
    over = merchant.previous_key_until is not None and merchant.previous_key_until < datetime.now(PARIS).date()
    if merchant.previous_secret_key and merchant.previous_key_version and not over:
        keys[merchant.previous_key_version] = merchant.previous_secret_key
    return Marchand(
        id=merchant.merchant_id,
        cles=keys,
        version_courante=merchant.key_version,
    )


def _with_default_path(url: str, path: str) -> str:
    return url if urlsplit(url).path else url + path
