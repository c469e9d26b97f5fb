"""L'API réelle sur un port libre : vrai PostgreSQL, vrai scellement ; Kafka réel là où un test le demande."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from api.application import Dependances, Limites, creer_api
from api.socle.identite import RoleUtilisateur, VerificateurDeDeveloppement, emettre_jeton
from api.socle.kafka import GenreDeMessage, KafkaIndisponible
from domain.avis import Avis, Mode, Moyen
from domain.creance import Créance
from domain.monnaie import Centimes
from domain.notification import appliquer_reponse
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine.batch import Batch
from engine.database import Database
from engine.follower import Follower
from engine.recorder import Recorder, collect
from guichet.guichet import Adresses, Guichet
from kiosque.interface import Verifiee
from kiosque.sips.enveloppe import fermer
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Algorithme, Marchand
from projections import DelaiAffichage, MessagerieDesAssures, Paiements, RestantDu
from tests.mapper import MAPPER
from tests.serveurs import servi

SECRET = "secret-des-tests-de-trente-deux-octets"
AUDIENCE = "creances"
MARCHAND = Marchand(id="002001000000001", cles={1: "002001000000001_KEY1"}, version_courante=1)  # type: ignore[dict-item]
LARGES = Limites(ecritures_par_minute=100_000, connexions_par_minute=100_000, refus_par_minute=100_000)
"""Un test fait en une minute ce qu'une personne fait en un mois."""
KIOSQUE = "http://kiosque.test/paypage"


class WebhookSender:
    """Ce qui tient lieu de Kafka quand le test ne porte pas sur lui : garde les messages, ou tombe en panne."""

    def __init__(self) -> None:
        self.messages: list[tuple[GenreDeMessage, bytes | None, bytes, dict[str, bytes]]] = []
        self.en_panne = False

    async def publier(
        self, genre: GenreDeMessage, cle: bytes | None, valeur: bytes, en_tetes: Sequence[tuple[str, bytes]]
    ) -> None:
        if self.en_panne:
            raise KafkaIndisponible("aucun accusé")
        self.messages.append((genre, cle, valeur, dict(en_tetes)))


@dataclass
class Service:
    """Le service sous test, et de quoi le mettre dans un état."""

    guichet: Guichet
    url_base: str
    webhook_sender: WebhookSender = field(default_factory=WebhookSender)
    dependances_api: Dependances = field(init=False)
    client: httpx.Client = field(init=False)
    application: FastAPI = field(init=False)
    retard: Callable[[], list[dict[str, Any]]] = list
    guichet_pret: Callable[[], bool] = lambda: True
    maintenant: datetime | None = None

    def heure(self) -> datetime:
        return self.maintenant or datetime.now(UTC)

    def avis(
        self,
        reference: str,
        montant: int = 87_09,
        *,
        assure: str = "a-1",
        solde: int | None = None,
        emis: date = date(2026, 5, 12),
    ) -> str:
        avis = Avis(
            ReferenceCreance(reference),
            Pseudonyme(assure),
            CodeCaisse(reference[:3]),
            "PF/FR",
            Centimes(montant),
            Centimes(solde or montant),
            emis,
            Mode.DEMATERIALISE,
        )
        self._inscrire([Créance.ouvrir(avis, self.guichet.politique, maintenant=self.heure())])
        self.catch_up()
        return reference

    def annuler(self, reference: str) -> None:
        self._changer(reference, lambda creance: creance.annuler("m-1", "erreur de la caisse", maintenant=self.heure()))

    def encaisser(self, reference: str, montant: int) -> None:
        """Un chèque de ce montant."""
        self._changer(
            reference,
            lambda creance: creance.encaisser(
                "m-2", Centimes(montant), Moyen.CHEQUE, self.heure().date(), maintenant=self.heure()
            ),
        )

    def rectifier(self, reference: str, montant: int) -> None:
        """La caisse rectifie l'avis."""
        self._changer(
            reference, lambda creance: creance.rectifier("m-3", Centimes(montant), "erreur", maintenant=self.heure())
        )

    def _changer(self, reference: str, changer: Callable[[Créance], object]) -> None:
        with self.guichet.base.transaction() as conn:
            creance = self.guichet.charger_creances(conn, [ReferenceCreance(reference)])[ReferenceCreance(reference)]
        changer(creance)
        self._inscrire([creance])
        self.catch_up()

    def repondre(self, transaction: str, montant: int, code: str = "00") -> None:
        """Fait comme si la notification de la banque avait traversé Kafka."""
        lecture = self.guichet.kiosque.relire(notification(transaction, montant, code, a=self.heure()))
        assert isinstance(lecture, Verifiee)
        with self.guichet.base.transaction() as conn:
            paiement = self.guichet.charger_paiement(conn, ReferenceTransaction(transaction))
            assert paiement is not None
            creances = self.guichet.charger_creances(conn, [i.reference for i in paiement.imputations])
        appliquer_reponse(
            paiement,
            creances,
            lecture.reponse,
            recue_le=self.heure(),
            maintenant=self.heure(),
        )
        self._inscrire([paiement, *creances.values()])
        self.catch_up()

    def catch_up(self) -> None:
        recorder = self.guichet.recorder
        for vue, derriere in (
            (RestantDu(), None),
            (Paiements(), None),
            (DelaiAffichage(recorder), "restant_du"),
            (RestantDu(), None),
            (DelaiAffichage(recorder), "restant_du"),
            (MessagerieDesAssures(self.heure), None),
        ):
            Follower(self.url_base, vue, derriere=derriere, mapper=MAPPER).catch_up()

    def _inscrire(self, agregats: list[Any]) -> None:
        with self.guichet.base.transaction() as conn:
            self.guichet.recorder.record(conn, Batch(entries=collect(agregats, "test")))

    # --- Ce qu'un appelant fait --------------------------------------------------------------------------------------

    def chercher(self, reference: str, assure: str = "a-1") -> httpx.Response:
        return self.client.get(f"/api/v1/creances/{reference}", headers=porteur(assure))

    def payer(
        self, *references: str, montant: Any = 20_00, cle: str = "k-1", assure: str = "a-1", **plus: Any
    ) -> httpx.Response:
        corps = {"references": references, "montant_centimes": montant, "canal": "web"} | plus
        return self.client.post("/api/v1/paiements", json=corps, headers=porteur(assure) | {"Idempotency-Key": cle})


def jeton(role: RoleUtilisateur, assure: str | None = None, *, a: datetime | None = None, secret: str = SECRET) -> str:
    caisses = ("381",) if role is RoleUtilisateur.PARTENAIRE else ()
    return emettre_jeton(secret, role, assure, audience=AUDIENCE, maintenant=a or datetime.now(UTC), caisses=caisses)


def porteur(assure: str = "a-1") -> dict[str, str]:
    return {"Authorization": f"Bearer {jeton(RoleUtilisateur.ASSURE, assure)}"}


def notification(
    transaction: str, montant: int, code: str = "00", *, a: datetime | None = None, marchand: Marchand = MARCHAND
) -> dict[str, str]:
    """Une réponse scellée, telle que la banque la poste."""
    valeurs = {
        "amount": str(montant),
        "currencyCode": "978",
        "transactionReference": transaction,
        "responseCode": code,
        "authorisationId": "761208",
        "transactionDateTime": (a or datetime.now(UTC)).isoformat(timespec="seconds"),
    }
    return fermer(valeurs, marchand, Algorithme.SHA_256, version_interface="HP_2.40")


@pytest.fixture
def reglages_api() -> Mapping[str, Any]:
    """Ce qu'un test change aux dépendances de l'API."""
    return {}


@pytest.fixture
def service(base: Any, reglages_api: Mapping[str, Any]) -> Iterator[Service]:
    sips = Sips(ReglagesSips(url=KIOSQUE, office="http://kiosque.test", marchands={"": MARCHAND}))
    with Database(base.url) as base_du_guichet, sips:
        guichet = Guichet(
            base_du_guichet,
            Recorder(base_du_guichet, MAPPER),
            sips,
            Politique(),
            Adresses("http://service.test/kiosque/retour", "http://service.test/kiosque/notification"),
        )
        service = Service(guichet, base.url)
        dependances: dict[str, Any] = {
            "guichet": guichet,
            "url_base": base.url,
            "publier": service.webhook_sender.publier,
            "jetons": VerificateurDeDeveloppement(SECRET, AUDIENCE),
            "retard": lambda: service.retard(),  # noqa: PLW0108 (relu à chaque appel)
            "pret": lambda: service.guichet_pret(),  # noqa: PLW0108 (relu à chaque appel)
            "horloge": service.heure,
            "metriques": CollectorRegistry(),
            "limites": LARGES,
            "commercants": frozenset({MARCHAND.id}),
        }
        service.dependances_api = Dependances(**(dependances | dict(reglages_api)))
        service.application = creer_api(service.dependances_api)
        with (
            servi(service.application) as url,
            httpx.Client(base_url=url, trust_env=False, timeout=60) as service.client,
        ):
            yield service
