"""Les cookies de nos pages : sans durée, jamais lus par un script ; sous HTTPS, liés à cet hôte par leur nom."""

from starlette.requests import Request
from starlette.responses import Response

from api.socle.dependances import Dependances


def nom_de(nom: str, dependances: Dependances) -> str:
    """Le nom que voit le navigateur : `__Host-` lui interdit tout autre hôte, tout autre chemin, et le HTTP."""
    return f"__Host-{nom}" if dependances.https else nom


def lire_cookie(requete: Request, nom: str, dependances: Dependances) -> str:
    """La valeur de ce cookie, ou rien."""
    return requete.cookies.get(nom_de(nom, dependances), "")


def poser_cookie(reponse: Response, nom: str, valeur: str, dependances: Dependances) -> None:
    """Pose un cookie de nos pages ; vide, l'ôte."""
    sur = "; Secure" if dependances.https else ""
    fin = "" if valeur else "; Max-Age=0"
    reponse.headers.append(
        "Set-Cookie", f"{nom_de(nom, dependances)}={valeur}; HttpOnly; Path=/; SameSite=lax{sur}{fin}"
    )


def oublier(reponse: Response, dependances: Dependances, *noms: str) -> None:
    """Ôte ces cookies, et demande au navigateur d'oublier les pages qu'il a gardées."""
    for nom in noms:
        poser_cookie(reponse, nom, "", dependances)
    reponse.headers["Clear-Site-Data"] = '"cache", "storage"'


def tout_oublier(reponse: Response, dependances: Dependances, *noms: str) -> None:
    """La même chose, et tous les autres cookies : à une borne, rien ne reste de personne."""
    oublier(reponse, dependances, *noms)
    reponse.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
