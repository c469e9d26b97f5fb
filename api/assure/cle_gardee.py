"""La clé d'idempotence telle qu'elle est gardée : l'appelant y met ce qu'il veut, et rien ne s'efface du journal.

Celle qui peut porter un NIR ou une adresse de courriel n'est connue que par son empreinte à clé ; les autres le sont
telles quelles, pour que l'assistance les retrouve. Ne rien refuser : treize chiffres sont aussi une heure en
millisecondes, dont un client honnête fait sa clé.
"""

import hmac
from typing import Final, NamedTuple
from urllib.parse import unquote

from api.socle.dependances import Dependances
from api.socle.session import cle_pour
from domain.nir import contient_un_nir

PREFIXE: Final = "empreinte:"


class CleGardee(NamedTuple):
    """Sous quoi une demande est gardée, et sous quoi elle a pu l'être."""

    cle: str
    d_avant: tuple[str, ...] = ()
    """Sous le secret que l'on quitte, ou telle quelle, du temps où toute clé l'était."""


def cle_gardee(cle: str, dependances: Dependances) -> CleGardee:
    """Ce qui est gardé de cette clé."""
    lisible = unquote(cle)
    if "@" not in lisible and not contient_un_nir(lisible):
        return CleGardee(cle)
    courante, *precedentes = (
        PREFIXE + hmac.digest(cle_pour("idempotence", secret), cle.encode(), "sha256").hex()
        for secret in dependances.secrets_de_session
    )
    return CleGardee(courante, (*precedentes, cle))
