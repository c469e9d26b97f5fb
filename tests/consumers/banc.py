"""Un banc d'essai : une base, des topics à soi, des avis, des paiements ouverts, et ce que la banque en dit."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
from kafka import KafkaProducer

from domain.avis import Canal
from domain.monnaie import Centimes
from domain.references import Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine import kafka_clients as clients
from engine.batch import Partition
from engine.messages import Message
from guichet.guichet import Guichet
from guichet.ouvrir_paiement import Demande, ouvrir_paiement
from guichet.prendre_avis import prendre_avis
from guichet.prendre_notification import prendre_notifications
from kiosque.sips.sceau import Algorithme, sceller
from projections import DelaiAffichage, MessagerieDesAssures
from service import composition, kafka
from service.settings import Settings
from tests.courtiers import COURTIER
from tests.outils import attendre

SECRET = b"002001000000001_KEY1"
MARCHAND = "002001000000001"
PATIENT = {
    "bootstrap_timeout_ms": 30_000,
    "reconnect_backoff_max_ms": clients.RECONNECT_MAX_MS,
    "max_block_ms": 30_000,
    "request_timeout_ms": 30_000,
    "delivery_timeout_ms": 60_000,
}
"""Qui émet pour le test attend plus que le service : il n'est pas ce que l'on éprouve."""
MAINTENANT = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
"""L'heure du banc : fixe, pour que deux exécutions écrivent les mêmes octets."""


def avis(numero: int, *, assure: str = "a-1", montant: int = 87_09, **champs: Any) -> dict[str, Any]:
    """Un avis de somme à payer, payable en ligne."""
    return {
        "type": "avis_emis",
        "reference": f"38117012{numero:08d}F",
        "assure": assure,
        "caisse": "381",
        "nature": "PF/FR",
        "montant_initial_centimes": montant,
        "solde_pf_fr_centimes": 87_09,
        "date_emission": "2026-05-12",
        "mode": "papier",
    } | champs


def cheque(de: int | str, montant: int, message_id: str = "m1", *, date: str = "2026-05-20") -> dict[str, Any]:
    """Un chèque reçu par la caisse, pour l'avis de ce numéro ou la créance de cette référence."""
    return {
        "type": "encaissement_recu",
        "reference": avis(de)["reference"] if isinstance(de, int) else de,
        "message_id": message_id,
        "montant_centimes": montant,
        "moyen": "cheque",
        "date": date,
    }


def notification(transaction: str, montant: int, code: str = "00", **champs: str) -> dict[str, str]:
    """Une réponse automatique de la banque, scellée, telle que l'API la met sur Kafka."""
    donnees = {
        "amount": str(montant),
        "currencyCode": "978",
        "merchantId": MARCHAND,
        "transactionReference": transaction,
        "responseCode": code,
        "authorisationId": "761208" if code == "00" else "null",
        "transactionDateTime": "2026-06-01T11:59:00+02:00",
        "keyVersion": "1",
    } | champs
    data = "|".join(f"{nom}={valeur}" for nom, valeur in donnees.items())
    return {
        "Data": data,
        "Seal": sceller(data.encode(), SECRET, Algorithme.SHA_256),
        "InterfaceVersion": "HP_2.40",
        "recue_le": "2026-06-01T09:59:30Z",
    }


@dataclass(frozen=True)
class Banc:
    """Ce qu'un test tient en main."""

    settings: Settings
    guichet: Guichet
    conn: psycopg.Connection[Any]

    def emettre(self, topic: str, messages: Sequence[tuple[str, bytes | dict[str, Any]]]) -> None:
        """Met des messages sur un topic, et attend que Kafka les ait ; lève KafkaError s'il n'en prend pas un."""
        emetteur = clients.open_client(
            KafkaProducer, **self.settings.kafka_connection(), acks="all", linger_ms=2, **PATIENT
        )
        try:
            envois = [
                emetteur.send(
                    topic,
                    key=cle.encode(),
                    value=valeur if isinstance(valeur, bytes) else json.dumps(valeur).encode(),
                )
                for cle, valeur in messages
            ]
            for envoi in envois:
                envoi.get(timeout=60)
        finally:
            emetteur.close()

    def emettre_avis(self, *messages: dict[str, Any]) -> None:
        """Met des messages de caisse sur leur topic."""
        self.emettre(self.settings.topic_avis, [(message["reference"], message) for message in messages])

    def prendre(self, nom: str, *messages: dict[str, Any]) -> None:
        """Décide de ces messages et les enregistre comme ce consommateur, sans Kafka : le test ne porte pas sur lui."""
        topic, prendre = {
            "avis": (self.settings.topic_avis, prendre_avis),
            "kiosque": (self.settings.topic_notifications, prendre_notifications),
        }[nom]
        partition = Partition(uuid4(), topic, 0)
        lus = [
            Message(partition, decalage, None, json.dumps(message).encode(), MAINTENANT)
            for decalage, message in enumerate(messages)
        ]
        with self.guichet.base.transaction() as conn:
            self.guichet.recorder.record(conn, prendre(self.guichet, conn, lus, MAINTENANT).lot)

    def ouvrir(
        self, reference: str, montant: int, *, assure: str = "a-1", a: datetime = MAINTENANT
    ) -> ReferenceTransaction:
        """Ouvre un paiement ; rend sa transaction."""
        cle = f"{reference}-{montant}"
        demande = Demande(
            Pseudonyme(assure),
            (ReferenceCreance(reference),),
            Centimes(montant),
            Canal.WEB,
            cle,
            cle.encode().ljust(32),
        )
        return ouvrir_paiement(self.guichet, demande, a).transaction

    def consommer(self, nom: str, messages: int) -> None:
        """Fait tourner un consommateur jusqu'à ce que tant de messages de son topic aient un sort."""
        boucle = composition.consumer(self.settings, self.guichet, nom)
        boucle.groupe += f"-{self.conn.info.dbname}"
        boucle.horloge = lambda: MAINTENANT
        arret = threading.Event()
        fil = threading.Thread(target=boucle.run, args=(arret,))
        fil.start()
        try:
            attendre(lambda: self.fates(boucle.topic) >= messages, secondes=60, quoi=f"{messages} sorts sur {nom}")
        finally:
            arret.set()
            fil.join()
            boucle.rebuts.fermer()

    def projeter(self) -> None:
        """Rattrape toutes les vues, affichage constaté compris."""
        for _ in range(2):  # L'affichage écrit au journal : le second tour le projette.
            for nom in composition.VIEWS:
                suiveur = composition.follower(self.settings, self.guichet.recorder, nom)
                if isinstance(suiveur.vue, DelaiAffichage | MessagerieDesAssures):
                    suiveur.vue.horloge = lambda: MAINTENANT
                suiveur.catch_up()

    def fates(self, topic: str) -> int:
        """Combien de messages d'un topic ont un sort."""
        (compte,) = self.conn.execute("SELECT count(*) FROM journal.sorts WHERE topic = %s", (topic,)).fetchone() or (
            0,
        )
        return int(compte)

    def par_sort(self, topic: str) -> dict[str, int]:
        """Le compte de chaque sort d'un topic."""
        requete = "SELECT sort, count(*) FROM journal.sorts WHERE topic = %s GROUP BY sort"
        return dict(self.conn.execute(requete, (topic,)).fetchall())

    def journal(self) -> list[tuple[Any, ...]]:
        """Tout le journal, flux par flux : ce qui doit être le même d'une exécution à l'autre."""
        return self.conn.execute(
            "SELECT flux, version, topic, etat, cause FROM journal.evenements ORDER BY flux, version"
        ).fetchall()

    def vue(self, nom: str, cle: str) -> list[tuple[Any, ...]]:
        """Une vue entière, sans les positions, qui dépendent de l'entrelacement."""
        colonnes = [
            colonne
            for (colonne,) in self.conn.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'vues' AND table_name = %s"
                " AND column_name <> 'position' ORDER BY 1",
                (nom,),
            )
        ]
        return self.conn.execute(f"SELECT {', '.join(colonnes)} FROM vues.{nom} ORDER BY {cle}").fetchall()  # noqa: S608

    def rebuts(self, topic: str, combien: int) -> list[Any]:
        """Les premiers rebuts d'un topic."""
        lecteur = kafka.reader(self.settings)
        lecteur.subscribe([f"{topic}.rebuts"])
        lus: list[Any] = []

        def tous() -> bool:
            for enregistrements in lecteur.poll(timeout_ms=200).values():
                lus.extend(enregistrements)
            return len(lus) >= combien

        try:
            attendre(
                tous,
                secondes=20,
                quoi=f"{combien} rebuts",
            )
        finally:
            lecteur.close()
        return lus


@contextmanager
def banc(url: str, kafka_bootstrap: str, prefixe: str, **reglages: Any) -> Iterator[Banc]:
    """Un banc sur cette base et ces topics, créés s'ils manquent."""
    settings = Settings(
        _env_file=None,
        database_url=url,
        kafka_bootstrap=kafka_bootstrap,
        topic_prefix=prefixe,
        partitions_avis=2,
        partitions_notifications=2,
        kafka_max_poll_interval=COURTIER[0].lecture_max,
        kafka_session_timeout=timedelta(seconds=3),
        **reglages,
    )
    kafka.create_topics(settings)
    guichet = replace(composition.guichet(settings, application="banc"), tirer_jeton=lambda: "0" * 16)
    with psycopg.connect(url, autocommit=True) as conn:
        try:
            yield Banc(settings, guichet, conn)
        finally:
            guichet.kiosque.close()
            guichet.base.fermer()
