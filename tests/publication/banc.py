"""Ce que les tests de la publication tiennent en main : un journal que l'on remplit, et le topic que l'on relit."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import psycopg

from domain.avis import Avis, Canal, Mode
from domain.creance import Créance
from domain.monnaie import Centimes
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine.batch import Batch
from engine.database import Database
from engine.follower import Follower
from engine.recorder import Recorder, collect
from publication.marques import CLE
from publication.sender import Sender
from service import composition, kafka
from service.settings import Settings
from tests.mapper import MAPPER
from tests.outils import attendre

T0 = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
PSEUDONYME = "pseudonyme-a-taire"


class Recu(NamedTuple):
    """Un message relu sur le topic."""

    partition: int
    cle: bytes
    valeur: bytes
    en_tetes: dict[str, bytes]

    @property
    def flux(self) -> str:
        return self.en_tetes["ce_id"].decode().rpartition(":")[0]

    @property
    def version(self) -> int:
        return int(self.en_tetes["ce_id"].decode().rpartition(":")[2])


def reglages(url: str, kafka_bootstrap: str, prefixe: str, **autres: Any) -> Settings:
    return Settings(
        _env_file=None,
        database_url=url,
        kafka_bootstrap=kafka_bootstrap,
        topic_prefix=prefixe,
        partitions_evenements=3,
        partitions_soldes=3,
        **autres,
    )


def creance(numero: int) -> Créance:
    avis = Avis(
        ReferenceCreance(f"38117012{numero:08d}F"),
        Pseudonyme(PSEUDONYME),
        CodeCaisse("381"),
        "PF/FR",
        Centimes(87_09),
        Centimes(87_09),
        date(2026, 5, 12),
        Mode.PAPIER,
    )
    return Créance.ouvrir(avis, Politique(), maintenant=T0)


def record(recorder: Recorder, *agregats: Any, cause: str = "test") -> None:
    with recorder.base.transaction() as conn:
        recorder.record(conn, Batch(entries=collect(agregats, cause)))


def avec_paiements(numero: int, combien: int) -> Créance:
    """Une créance et ses paiements initiés puis échoués : 1 + 2 × combien faits."""
    ouverte = creance(numero)
    for rang in range(combien):
        ouverte.initier_paiement(
            ReferenceTransaction(f"T{numero}X{rang}"), Centimes(20_00), Canal.WEB, T0, maintenant=T0
        )
        ouverte.constater_echec(ReferenceTransaction(f"T{numero}X{rang}"), "refusé", maintenant=T0)
    return ouverte


def publier(settings: Settings) -> int:
    """Publie tout ce qui attend ; rend le nombre de faits."""
    return _rattraper(composition.publication(settings))


def publier_les_soldes(settings: Settings) -> int:
    """Met à jour le topic d'état jusqu'où la publication en est ; rend le nombre de faits lus."""
    return _rattraper(composition.balances(settings))


def _rattraper(mene: tuple[Follower, Sender]) -> int:
    suiveur, sender = mene
    try:
        return suiveur.catch_up()
    finally:
        sender.abandonner()


@contextmanager
def publieur(settings: Settings) -> Iterator[None]:
    """Le rôle, qui tourne le temps du bloc."""
    suiveur, sender = composition.publication(settings)
    arret = threading.Event()
    fil = threading.Thread(target=suiveur.run, args=(arret,))
    fil.start()
    try:
        yield
    finally:
        arret.set()
        fil.join()
        sender.abandonner()


def relire(settings: Settings, topic: str | None = None) -> list[Recu]:
    """Tout ce que porte le topic des événements (ou un autre) maintenant, marques exceptées."""
    return [recu for recu in relire_tout(settings, topic) if recu.cle != CLE]


def relire_tout(settings: Settings, topic: str | None = None) -> list[Recu]:
    """La même chose, marques comprises ; chaque partition dans l'ordre."""
    topic = topic or settings.topic_evenements
    marque = secrets.token_bytes(8)
    sender = kafka.producer(settings)
    partitions = sender.partitions_for(topic)
    for partition in partitions:  # Une marque : la fin que dit Tansu est le début du dernier lot.
        sender.send(topic, b"", marque, [("fin", marque)], partition=partition)
    sender.close()
    lecteur = kafka.reader(settings)
    lecteur.subscribe([topic])
    lus: list[Recu] = []

    def tout() -> bool:
        for tp, enregistrements in lecteur.poll(timeout_ms=100).items():
            lus.extend(Recu(tp.partition, lu.key, lu.value, dict(lu.headers)) for lu in enregistrements)
        return sum(lu.cle == marque for lu in lus) == len(partitions)

    try:
        attendre(tout, secondes=60, quoi="tout le topic relu")
    finally:
        lecteur.close()
    return [lu for lu in lus if "fin" not in lu.en_tetes]


def versions(recus: list[Recu]) -> dict[str, list[int]]:
    """Les versions de chaque flux, dans l'ordre du topic."""
    par_flux: dict[str, list[int]] = {}
    for recu in recus:
        par_flux.setdefault(recu.flux, []).append(recu.version)
    return par_flux


def retenues(recues: list[int]) -> list[int]:
    """Ce que garde un consommateur qui ignore une version déjà dépassée."""
    gardees: list[int] = []
    for version in recues:
        if not gardees or version > gardees[-1]:
            gardees.append(version)
    return gardees


def journal(url: str) -> dict[str, list[int]]:
    """Les versions de chaque flux du journal."""
    par_flux: dict[str, list[int]] = {}
    with psycopg.connect(url) as conn:
        for flux, version in conn.execute("SELECT flux, version FROM journal.evenements ORDER BY position"):
            par_flux.setdefault(flux, []).append(version)
    return par_flux


def etat(url: str, suiveur: str = "publication") -> dict[str, Any]:
    """La ligne du suiveur."""
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as conn:
        return conn.execute("SELECT * FROM vues.suiveurs WHERE nom = %s", (suiveur,)).fetchone() or {"position": None}


@contextmanager
def ouvrir(url: str) -> Iterator[Recorder]:
    with Database(url, application="test-publication", connexions_max=12) as base:
        yield Recorder(base, MAPPER)
