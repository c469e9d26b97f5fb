"""La mémoire d'un retour scellé : la banque a dit oui devant ce navigateur, même si sa notification tarde.

La réponse revient par un formulaire d'un autre site : le cookie de session n'y est pas. Chaque retour pose donc le
sien, chiffré, au nom de sa transaction. Il ne décide de rien : il évite seulement d'inviter à payer une seconde fois.
"""

from datetime import timedelta
from typing import Final

from cryptography.fernet import InvalidToken
from starlette.requests import Request
from starlette.responses import Response

from api.socle.cookies import lire_cookie, nom_de, poser_cookie
from api.socle.dependances import Dependances
from api.socle.session import coffre

PREFIXE: Final = "creances_retour_"
DUREE: Final = timedelta(hours=24)
"""Au-delà, la banque a été interrogée : sa réponse vaut mieux que ce souvenir."""


def retenir_retour(reponse: Response, transaction: str, dependances: Dependances) -> None:
    """Retient que la banque a accepté cette transaction, sous son sceau."""
    boite = coffre("retour", *dependances.secrets_de_session)
    scelle = boite.encrypt_at_time(transaction.encode(), int(dependances.horloge().timestamp()))
    poser_cookie(reponse, PREFIXE + transaction, scelle.decode(), dependances)


def retours_de(requete: Request, dependances: Dependances) -> frozenset[str]:
    """Les transactions acceptées que ce navigateur a rapportées ; un cookie altéré ou trop ancien n'en est pas une."""
    prefixe = nom_de(PREFIXE, dependances)
    transactions = [nom.removeprefix(prefixe) for nom in requete.cookies if nom.startswith(prefixe)]
    return frozenset(t for t in transactions if _est_scelle(requete, t, dependances))


def _est_scelle(requete: Request, transaction: str, dependances: Dependances) -> bool:
    boite, maintenant = coffre("retour", *dependances.secrets_de_session), int(dependances.horloge().timestamp())
    cookie = lire_cookie(requete, PREFIXE + transaction, dependances)
    try:
        clair = boite.decrypt_at_time(cookie, int(DUREE.total_seconds()), maintenant)
    except InvalidToken:
        return False
    return clair == transaction.encode()
