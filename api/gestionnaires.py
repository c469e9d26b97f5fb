"""De l'exception à la réponse : toute erreur prévue devient un problème, les autres restent à l'enveloppe."""

from typing import Final

import psycopg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.assure.connexion import AccèsRefusé
from api.fautes import fautes_de
from api.identite import ÉmetteurInjoignable
from api.kafka import KafkaIndisponible
from api.problemes import Problème, indisponible, problème_de
from domain.refus import Refus

_HTTP: Final = {
    404: ("introuvable", "Cette adresse n'existe pas."),
    405: ("methode_non_permise", "Cette adresse ne répond pas à cette méthode."),
}


def installer(application: FastAPI) -> None:
    """Pose les gestionnaires d'erreurs."""
    application.exception_handler(Problème)(_problème)
    application.exception_handler(AccèsRefusé)(_accès_refusé)
    application.exception_handler(Refus)(_refus)
    application.exception_handler(HTTPException)(_http)
    application.exception_handler(RequestValidationError)(_validation)
    application.exception_handler(KafkaIndisponible)(_kafka)
    application.exception_handler(ÉmetteurInjoignable)(_émetteur)
    for panne in (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout):
        application.exception_handler(panne)(_base)


async def _problème(_: Request, erreur: Problème) -> Response:
    return erreur.réponse()


async def _accès_refusé(_: Request, refus: AccèsRefusé) -> Response:
    return refus.réponse


async def _refus(_: Request, refus: Refus) -> Response:
    return problème_de(refus).réponse()


async def _http(_: Request, erreur: HTTPException) -> Response:
    code, détail = _HTTP.get(erreur.status_code, ("requete_invalide", "Cette requête ne peut pas être traitée."))
    return Problème(erreur.status_code, code, détail, en_têtes=erreur.headers).réponse()


async def _validation(_: Request, erreur: RequestValidationError) -> Response:
    return fautes_de(erreur.errors()).réponse()


async def _kafka(_: Request, erreur: KafkaIndisponible) -> Response:
    structlog.get_logger().warning("kafka_indisponible", cause=str(erreur))
    détail = "Le message n'a pas pu être pris en charge : il doit être envoyé de nouveau."
    return indisponible("kafka_indisponible", détail).réponse()


async def _base(_: Request, erreur: Exception) -> Response:
    structlog.get_logger().warning("base_indisponible", cause=type(erreur).__name__, exc_info=erreur)
    détail = "Le service est momentanément indisponible : merci de recommencer dans quelques instants."
    return indisponible("base_indisponible", détail).réponse()


async def _émetteur(_: Request, erreur: ÉmetteurInjoignable) -> Response:
    structlog.get_logger().warning("emetteur_injoignable", cause=repr(erreur.__cause__))
    détail = "Les jetons ne peuvent pas être vérifiés pour l'instant : merci de recommencer."
    return indisponible("emetteur_injoignable", détail).réponse()
