"""L'API réelle sur un port libre : vrai PostgreSQL, vrai scellement ; Kafka réel là où un test le demande."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from api.application import Dépendances, créer_api
from api.identite import Rôle, VérificateurDeDéveloppement, émettre_jeton
from api.kafka import Genre, KafkaIndisponible
from domain.avis import Avis, Mode
from domain.creance import Créance
from domain.notification import appliquer_réponse
from domain.politique import Politique
from guichet.guichet import Adresses, Guichet
from journal.bases import Base
from journal.enregistreur import Enregistreur, recueillir
from journal.lot import Lot
from journal.suiveur import Suiveur
from kiosque.enveloppe import fermer
from kiosque.reglages import RéglagesSips
from kiosque.sceau import Algorithme, Marchand
from kiosque.sips import Sips
from projections import DélaiAffichage, MessagerieDesAssurés, Paiements, RestantDû
from tests.serveurs import servi

SECRET = "secret-des-tests-de-trente-deux-octets"
AUDIENCE = "creances"
MARCHAND = Marchand(id="002001000000001", clés={1: "002001000000001_KEY1"}, version_courante=1)  # type: ignore[dict-item]
KIOSQUE = "http://kiosque.test/paypage"


class Facteur:
    """Ce qui tient lieu de Kafka quand le test ne porte pas sur lui : garde les messages, ou tombe en panne."""

    def __init__(self) -> None:
        self.messages: list[tuple[Genre, bytes | None, bytes, dict[str, bytes]]] = []
        self.en_panne = False

    async def publier(
        self, genre: Genre, clé: bytes | None, valeur: bytes, en_têtes: Sequence[tuple[str, bytes]]
    ) -> None:
        if self.en_panne:
            raise KafkaIndisponible("aucun accusé")
        self.messages.append((genre, clé, valeur, dict(en_têtes)))


@dataclass
class Service:
    """Le service sous test, et de quoi le mettre dans un état."""

    guichet: Guichet
    url_base: str
    facteur: Facteur = field(default_factory=Facteur)
    dépendances_api: Dépendances = field(init=False)
    client: httpx.Client = field(init=False)
    retard: Callable[[], list[dict[str, Any]]] = list
    guichet_prêt: Callable[[], bool] = lambda: True
    maintenant: datetime | None = None

    def heure(self) -> datetime:
        return self.maintenant or datetime.now(UTC)

    def avis(
        self,
        référence: str,
        montant: int = 87_09,
        *,
        assuré: str = "a-1",
        solde: int | None = None,
        émis: date = date(2026, 5, 12),
    ) -> str:
        avis = Avis(référence, assuré, référence[:3], "PF/FR", montant, solde or montant, émis, Mode.DÉMATÉRIALISÉ)
        self._inscrire([Créance.ouvrir(avis, self.guichet.politique, maintenant=self.heure())])
        self.rattraper()
        return référence

    def annuler(self, référence: str) -> None:
        with self.guichet.base.transaction() as conn:
            créance = self.guichet.charger_créances(conn, [référence])[référence]
        créance.annuler("m-1", "erreur de la caisse", maintenant=self.heure())
        self._inscrire([créance])
        self.rattraper()

    def répondre(self, transaction: str, montant: int, code: str = "00") -> None:
        """Fait comme si la notification de la banque avait traversé Kafka."""
        réponse = self.guichet.kiosque.lire(notification(transaction, montant, code, à=self.heure()))
        with self.guichet.base.transaction() as conn:
            paiement = self.guichet.charger_paiement(conn, transaction)
            assert paiement is not None
            créances = self.guichet.charger_créances(conn, [i.référence for i in paiement.imputations])
        appliquer_réponse(
            paiement,
            créances,
            réponse,
            reçue_le=self.heure(),
            politique=self.guichet.politique,
            maintenant=self.heure(),
        )
        self._inscrire([paiement, *créances.values()])
        self.rattraper()

    def rattraper(self) -> None:
        enregistreur = self.guichet.enregistreur
        for vue, derrière in (
            (RestantDû(), None),
            (Paiements(), None),
            (DélaiAffichage(enregistreur), "restant_du"),
            (RestantDû(), None),
            (DélaiAffichage(enregistreur), "restant_du"),
            (MessagerieDesAssurés(self.heure), None),
        ):
            Suiveur(self.url_base, vue, derrière=derrière).rattraper()

    def _inscrire(self, agrégats: list[Any]) -> None:
        with self.guichet.base.transaction() as conn:
            self.guichet.enregistreur.inscrire(conn, Lot(inscriptions=recueillir(agrégats, "test")))

    # --- Ce qu'un appelant fait --------------------------------------------------------------------------------------

    def chercher(self, référence: str, assuré: str = "a-1") -> httpx.Response:
        return self.client.get(f"/api/v1/creances/{référence}", headers=porteur(assuré))

    def payer(
        self, *références: str, montant: Any = 20_00, clé: str = "k-1", assuré: str = "a-1", **plus: Any
    ) -> httpx.Response:
        corps = {"references": références, "montant_centimes": montant, "canal": "web"} | plus
        return self.client.post("/api/v1/paiements", json=corps, headers=porteur(assuré) | {"Idempotency-Key": clé})


def jeton(rôle: Rôle, assuré: str | None = None, *, à: datetime | None = None, secret: str = SECRET) -> str:
    return émettre_jeton(secret, rôle, assuré, audience=AUDIENCE, maintenant=à or datetime.now(UTC))


def porteur(assuré: str = "a-1") -> dict[str, str]:
    return {"Authorization": f"Bearer {jeton(Rôle.ASSURÉ, assuré)}"}


def notification(
    transaction: str, montant: int, code: str = "00", *, à: datetime | None = None, marchand: Marchand = MARCHAND
) -> dict[str, str]:
    """Une réponse scellée, telle que la banque la poste."""
    valeurs = {
        "amount": str(montant),
        "currencyCode": "978",
        "transactionReference": transaction,
        "responseCode": code,
        "authorisationId": "761208",
        "transactionDateTime": (à or datetime.now(UTC)).isoformat(timespec="seconds"),
    }
    return fermer(valeurs, marchand, Algorithme.SHA_256, version_interface="HP_2.40")


@pytest.fixture
def réglages_api() -> Mapping[str, Any]:
    """Ce qu'un test change aux dépendances de l'API."""
    return {}


@pytest.fixture
def service(base: Any, réglages_api: Mapping[str, Any]) -> Iterator[Service]:
    sips = Sips(
        RéglagesSips(url=KIOSQUE, url_interrogation="http://kiosque.test/interrogation", marchands={"": MARCHAND})
    )
    with Base(base.url) as base_du_guichet, sips:
        guichet = Guichet(
            base_du_guichet,
            Enregistreur(base_du_guichet),
            sips,
            Politique(),
            Adresses("http://service.test/kiosque/retour", "http://service.test/kiosque/notification"),
        )
        service = Service(guichet, base.url)
        dépendances: dict[str, Any] = {
            "guichet": guichet,
            "url_base": base.url,
            "publier": service.facteur.publier,
            "jetons": VérificateurDeDéveloppement(SECRET, AUDIENCE),
            "retard": lambda: service.retard(),  # noqa: PLW0108 (relu à chaque appel)
            "prêt": lambda: service.guichet_prêt(),  # noqa: PLW0108 (relu à chaque appel)
            "horloge": service.heure,
            "métriques": CollectorRegistry(),
        }
        service.dépendances_api = Dépendances(**(dépendances | dict(réglages_api)))
        with (
            servi(créer_api(service.dépendances_api)) as url,
            httpx.Client(base_url=url, trust_env=False, timeout=20) as service.client,
        ):
            yield service
