"""Une réponse JSON, relue par son `ETag`, et compressée pour qui l'accepte."""

import gzip
import hashlib
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

COMPRESSEE_DES_OCTETS: Final = 1024
"""En dessous, compresser coûte plus que l'envoyer."""

_NIVEAU: Final = 5


def repondre(requete: Request, corps: bytes, type_de_contenu: str = "application/json") -> Response:
    """Ce corps, ou 304 si l'appelant le tient déjà ; appelée hors de la boucle : elle compresse.

    L'étiquette est faible : le même contenu, compressé ou non, a la même.
    """
    etiquette = f'W/"{hashlib.sha256(corps).hexdigest()[:32]}"'
    en_tetes = {"ETag": etiquette, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Authorization"}
    if _tenues(requete) & {etiquette.removeprefix("W/"), "*"}:
        return Response(status_code=304, headers=en_tetes)
    if len(corps) >= COMPRESSEE_DES_OCTETS and _accepte_gzip(requete):
        return Response(
            gzip.compress(corps, _NIVEAU, mtime=0),
            headers=en_tetes | {"Content-Encoding": "gzip"},
            media_type=type_de_contenu,
        )
    return Response(corps, headers=en_tetes, media_type=type_de_contenu)


def _tenues(requete: Request) -> set[str]:
    """Celles que l'appelant tient, sans leur marque de faiblesse : la comparaison l'ignore (RFC 9110, 13.1.2)."""
    dites = requete.headers.get("if-none-match", "")
    return {etiquette.strip().removeprefix("W/") for etiquette in dites.split(",")}


def _accepte_gzip(requete: Request) -> bool:
    """Ce que l'appelant dit de gzip l'emporte sur ce qu'il dit de tous par `*` (RFC 9110, 12.5.3)."""
    acceptes: dict[str, bool] = {}
    for dit in requete.headers.get("accept-encoding", "").lower().split(","):
        nom, _, poids = dit.partition(";")
        acceptes[nom.strip()] = poids.replace(" ", "") not in {"q=0", "q=0.", "q=0.0", "q=0.00", "q=0.000"}
    return acceptes.get("gzip", acceptes.get("*", False))
