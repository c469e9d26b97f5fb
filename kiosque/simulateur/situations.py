"""Les situations que le support répète : un choix sur la page du simulateur, pour le prochain paiement."""

from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kiosque.interface import FormulaireIllisible
from kiosque.simulateur.banque import Banque
from kiosque.simulateur.formulaires import lire_formulaire
from kiosque.simulateur.reglages import DemandeDeConsigne


class Situation(NamedTuple):
    """Une consigne, et ce qu'une personne en lit."""

    nom: str
    phrase: str
    consigne: DemandeDeConsigne


SITUATIONS: Final = (
    Situation("aucune", "La banque se conduit bien", DemandeDeConsigne(prochaines=0)),
    Situation("autre_montant", "Elle prend un euro de trop", DemandeDeConsigne(ecart_centimes=1_00)),
    Situation("autre_autorisation", "Elle prend deux fois, sous deux autorisations", DemandeDeConsigne(deux_fois=True)),
    Situation("orpheline", "Elle refuse, mais prend sous un nom inconnu", DemandeDeConsigne(orpheline=True)),
    Situation("en_retard", "Sa réponse arrive avec une minute de retard", DemandeDeConsigne(retard_s=60.0)),
    Situation("perdue", "Sa réponse se perd", DemandeDeConsigne(perdue=True)),
    Situation("doublon", "Elle répond deux fois la même chose", DemandeDeConsigne(doublons=1)),
    Situation("impayee", "Elle reprend l'argent : un impayé au rapport du jour", DemandeDeConsigne(impayee=True)),
)
"""Dans l'ordre de la page."""


async def choisir(banque: Banque, requete: Request) -> Response:
    """Pose la situation du prochain paiement ; d'une page d'ici seulement, jamais d'un autre site."""
    if requete.headers.get("origin") != f"{requete.url.scheme}://{requete.url.netloc}":
        return Response(status_code=HTTPStatus.FORBIDDEN)
    try:
        nom = (await lire_formulaire(requete)).get("situation", "")
    except FormulaireIllisible:
        nom = ""
    trouvee = next((situation for situation in SITUATIONS if situation.nom == nom), None)
    if trouvee is None:
        return Response(status_code=HTTPStatus.UNPROCESSABLE_ENTITY)
    banque.consignes.noter(trouvee.consigne)
    return RedirectResponse("/simulateur", status_code=HTTPStatus.SEE_OTHER)
