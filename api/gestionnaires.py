"""De l'exception à la réponse : toute erreur prévue devient un problème, les autres restent à l'enveloppe."""

from typing import Final

import psycopg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.assure.connexion import AccèsRefusé
from api.assure.visite import Ailleurs
from api.erreurs import répondre
from api.fautes import fautes_de
from api.identite import ÉmetteurInjoignable
from api.kafka import KafkaIndisponible
from api.problemes import Problème, indisponible, problème_de
from domain.refus import Refus
from journal.pannes import est_une_panne, raconter

_HTTP: Final = {
    404: ("introuvable", "Cette adresse n'existe pas."),
    405: ("methode_non_permise", "Cette adresse ne répond pas à cette méthode."),
}


def installer(application: FastAPI) -> None:
    """Pose les gestionnaires d'erreurs."""
    application.exception_handler(Ailleurs)(_ailleurs)
    application.exception_handler(Problème)(_problème)
    application.exception_handler(AccèsRefusé)(_accès_refusé)
    application.exception_handler(Refus)(_refus)
    application.exception_handler(HTTPException)(_http)
    application.exception_handler(RequestValidationError)(_validation)
    application.exception_handler(KafkaIndisponible)(_kafka)
    application.exception_handler(ÉmetteurInjoignable)(_émetteur)
    application.exception_handler(psycopg.Error)(_base)


async def _ailleurs(_: Request, ailleurs: Ailleurs) -> Response:
    return Response(status_code=303, headers={"Location": ailleurs.adresse, "Cache-Control": "no-store"})


async def _accès_refusé(_: Request, refus: AccèsRefusé) -> Response:
    return refus.réponse


async def _problème(requête: Request, erreur: Problème) -> Response:
    return répondre(requête.scope, erreur)


async def _refus(requête: Request, refus: Refus) -> Response:
    return répondre(requête.scope, problème_de(refus))


async def _http(requête: Request, erreur: HTTPException) -> Response:
    code, détail = _HTTP.get(erreur.status_code, ("requete_invalide", "Cette requête ne peut pas être traitée."))
    return répondre(requête.scope, Problème(erreur.status_code, code, détail, en_têtes=erreur.headers))


async def _validation(requête: Request, erreur: RequestValidationError) -> Response:
    return répondre(requête.scope, fautes_de(erreur.errors()))


async def _kafka(_: Request, erreur: KafkaIndisponible) -> Response:
    structlog.get_logger().warning("kafka_indisponible", cause=str(erreur))
    détail = "Le message n'a pas pu être pris en charge : il doit être envoyé de nouveau."
    return indisponible("kafka_indisponible", détail).réponse()


async def _base(requête: Request, erreur: Exception) -> Response:
    if not est_une_panne(erreur):
        raise erreur
    structlog.get_logger().warning("base_indisponible", cause=raconter(erreur))
    détail = "Le service est momentanément indisponible : merci de recommencer dans quelques instants."
    return répondre(requête.scope, indisponible("base_indisponible", détail))


async def _émetteur(_: Request, erreur: ÉmetteurInjoignable) -> Response:
    structlog.get_logger().warning("emetteur_injoignable", cause=repr(erreur.__cause__))
    détail = "Les jetons ne peuvent pas être vérifiés pour l'instant : merci de recommencer."
    return indisponible("emetteur_injoignable", détail).réponse()
