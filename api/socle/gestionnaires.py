"""De l'exception à la réponse : toute erreur prévue devient un problème, les autres restent à l'enveloppe."""

from http import HTTPStatus
from typing import Final

import psycopg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.socle.dependances import Moyens
from api.socle.erreurs import repondre
from api.socle.fautes import fautes_de
from api.socle.identite import EmetteurInjoignable
from api.socle.kafka import KafkaIndisponible
from api.socle.problemes import Probleme, indisponible, probleme_de
from api.socle.visite import AccesRefuse, Redirection
from domain.refus import Refus
from engine.mapper import UnreadableStream
from engine.outages import describe, is_outage

_HTTP: Final = {
    404: ("introuvable", "Cette adresse n'existe pas."),
    405: ("methode_non_permise", "Cette adresse ne répond pas à cette méthode."),
}


def installer(application: FastAPI) -> None:
    """Pose les gestionnaires d'erreurs."""
    application.exception_handler(Redirection)(_ailleurs)
    application.exception_handler(Probleme)(_probleme)
    application.exception_handler(AccesRefuse)(_acces_refuse)
    application.exception_handler(Refus)(_refus)
    application.exception_handler(HTTPException)(_http)
    application.exception_handler(RequestValidationError)(_validation)
    application.exception_handler(KafkaIndisponible)(_kafka)
    application.exception_handler(EmetteurInjoignable)(_emetteur)
    application.exception_handler(psycopg.Error)(_base)
    application.exception_handler(UnreadableStream)(_illisible)


async def _ailleurs(_: Request, ailleurs: Redirection) -> Response:
    return Response(status_code=303, headers={"Location": ailleurs.adresse})


async def _acces_refuse(_: Request, refus: AccesRefuse) -> Response:
    return refus.reponse


async def _probleme(requete: Request, erreur: Probleme) -> Response:
    if erreur.statut == HTTPStatus.TOO_MANY_REQUESTS:
        await requete.app.state.moyens.consigne.refuser("trop de demandes", requete=requete)
    return await repondre(requete.scope, erreur)


async def _refus(requete: Request, refus: Refus) -> Response:
    return await repondre(requete.scope, probleme_de(refus))


async def _http(requete: Request, erreur: HTTPException) -> Response:
    code, detail = _HTTP.get(erreur.status_code, ("requete_invalide", "Cette requête ne peut pas être traitée."))
    return await repondre(requete.scope, Probleme(erreur.status_code, code, detail, en_tetes=erreur.headers))


async def _validation(requete: Request, erreur: RequestValidationError) -> Response:
    return await repondre(requete.scope, fautes_de(erreur.errors()))


async def _kafka(requete: Request, erreur: KafkaIndisponible) -> Response:
    _dire(requete, "kafka_indisponible", str(erreur))
    detail = "Le message n'a pas pu être pris en charge : il doit être envoyé de nouveau."
    return indisponible("kafka_indisponible", detail).reponse()


async def _base(requete: Request, erreur: Exception) -> Response:
    if not is_outage(erreur):
        raise erreur
    _dire(requete, "base_indisponible", describe(erreur))
    detail = "Le service est momentanément indisponible : merci de recommencer dans quelques instants."
    return await repondre(requete.scope, indisponible("base_indisponible", detail))


async def _illisible(requete: Request, erreur: UnreadableStream) -> Response:
    """Ce que l'on ne sait pas lire attend d'être réparé ; tout le reste est servi."""
    structlog.get_logger().error("creance_illisible", flux=erreur.stream, cause=describe(erreur))
    detail = (
        "Cette créance ne peut pas être lue pour l'instant : nos équipes en sont averties, merci de revenir plus tard."
    )
    return await repondre(requete.scope, indisponible("creance_illisible", detail))


async def _emetteur(requete: Request, erreur: EmetteurInjoignable) -> Response:
    _dire(requete, "emetteur_injoignable", repr(erreur.__cause__))
    detail = "Les jetons ne peuvent pas être vérifiés pour l'instant : merci de recommencer."
    return indisponible("emetteur_injoignable", detail).reponse()


def _dire(requete: Request, panne: str, cause: str) -> None:
    """Une panne se dit une fois par période, avec le nombre de demandes qu'elle a fait refuser."""
    moyens: Moyens = requete.app.state.moyens
    if (fois := moyens.redites.fois((panne, cause))) is not None:
        structlog.get_logger().warning(panne, cause=cause, fois=fois)
