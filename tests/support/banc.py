"""Un service, et ce que le support y lit : de vraies réponses de la banque, avec leur sort."""

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from api.socle.identite import RoleUtilisateur, emettre_jeton
from engine.batch import Partition
from engine.messages import Message
from guichet.acces import Lecteur, VoieDeLecture
from guichet.prendre_notification import prendre_notifications
from kiosque.sips.enveloppe import fermer
from kiosque.sips.sceau import Algorithme
from tests.api.conftest import AUDIENCE, MARCHAND, SECRET, Service, reglages_api, service

__all__ = ["Service", "reglages_api", "service"]

REF, AUTRE = "3811701200010075F", "3811702400012980F"
MOTIF = "Appel de l'assuré"
TOPIC = Partition(UUID(int=7), "creances.kiosque.notifications", 0)
LECTEUR = Lecteur("claire", "support", VoieDeLecture.API)
_decalages = count()


def agent(nom: str = "claire", role: RoleUtilisateur = RoleUtilisateur.SUPPORT) -> dict[str, str]:
    """L'en-tête d'un agent."""
    jeton = emettre_jeton(SECRET, role, None, audience=AUDIENCE, maintenant=datetime.now(UTC), personne=nom)
    return {"Authorization": f"Bearer {jeton}"}


def recevoir(
    service: Service, transaction: str, montant: int, code: str = "00", *, correlation: str | None = None, **plus: str
) -> str:
    """La banque répond, et la réponse a un sort ; rend son origine."""
    maintenant = datetime.now(UTC)
    valeurs = {
        "amount": str(montant),
        "currencyCode": "978",
        "transactionReference": transaction,
        "responseCode": code,
        "authorisationId": "761208",
        "maskedPan": "4970##########01",
        "transactionDateTime": maintenant.isoformat(timespec="seconds"),
    } | plus
    scelle = fermer(valeurs, MARCHAND, Algorithme.SHA_256, version_interface="HP_2.40")
    corps = json.dumps({**scelle, "recue_le": maintenant.isoformat()}).encode()
    message = Message(TOPIC, next(_decalages), transaction.encode(), corps, maintenant, correlation=correlation)
    guichet = service.guichet
    with guichet.base.transaction() as conn:
        guichet.recorder.record(conn, prendre_notifications(guichet, conn, [message], maintenant).lot)
    service.catch_up()
    return message.origine


def paiement(service: Service, *references: str, montant: int = 20_00, cle: str = "k-1", assure: str = "a-1") -> str:
    """Un paiement ouvert ; sa transaction."""
    ouvert = service.payer(*references, montant=montant, cle=cle, assure=assure)
    assert ouvert.status_code == 201, ouvert.text
    service.catch_up()
    transaction: str = ouvert.json()["transaction"]
    return transaction


def acces(service: Service) -> list[tuple[Any, ...]]:
    """Tout ce qui a été écrit des lectures : qui, voie, quoi, objet, assurés, motif."""
    with service.guichet.base.transaction() as conn:
        return conn.execute("SELECT qui, voie, quoi, objet, assures, motif FROM journal.acces ORDER BY rang").fetchall()


@pytest.fixture
def paye(service: Service) -> tuple[Service, str]:
    """Une créance de 87,09 EUR, payée de 20,00 ; la banque l'a dit deux fois."""
    service.avis(REF)
    transaction = paiement(service, REF)
    recevoir(service, transaction, 20_00, correlation="c" * 32)
    recevoir(service, transaction, 20_00)
    return service, transaction
