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
from domain.politique import Politique
from journal.bases import Base
from journal.enregistreur import Enregistreur, recueillir
from journal.lot import Lot
from service import composition, kafka
from service.settings import Settings
from tests.outils import attendre

T0 = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
PSEUDONYME = "pseudonyme-a-taire"


class Reçu(NamedTuple):
    """Un message relu sur le topic."""

    partition: int
    clé: bytes
    valeur: bytes
    en_têtes: dict[str, bytes]

    @property
    def flux(self) -> str:
        return self.en_têtes["ce_id"].decode().rpartition(":")[0]

    @property
    def version(self) -> int:
        return int(self.en_têtes["ce_id"].decode().rpartition(":")[2])


def réglages(url: str, kafka_bootstrap: str, préfixe: str, **autres: Any) -> Settings:
    return Settings(
        _env_file=None,
        database_url=url,
        kafka_bootstrap=kafka_bootstrap,
        topic_prefix=préfixe,
        partitions_evenements=3,
        **autres,
    )


def créance(numéro: int) -> Créance:
    avis = Avis(f"38117012{numéro:08d}F", PSEUDONYME, "381", "PF/FR", 87_09, 87_09, date(2026, 5, 12), Mode.PAPIER)
    return Créance.ouvrir(avis, Politique(), maintenant=T0)


def inscrire(enregistreur: Enregistreur, *agrégats: Any, cause: str = "test") -> None:
    with enregistreur.base.transaction() as conn:
        enregistreur.inscrire(conn, Lot(inscriptions=recueillir(agrégats, cause)))


def avec_paiements(numéro: int, combien: int) -> Créance:
    """Une créance et ses paiements initiés puis échoués : 1 + 2 × combien faits."""
    ouverte = créance(numéro)
    for rang in range(combien):
        ouverte.initier_paiement(f"T{numéro}X{rang}", 20_00, Canal.WEB, T0, maintenant=T0)
        ouverte.constater_échec(f"T{numéro}X{rang}", "refusé", maintenant=T0)
    return ouverte


def publier(settings: Settings) -> int:
    """Publie tout ce qui attend ; rend le nombre de faits."""
    suiveur, émetteur = composition.publication(settings)
    try:
        return suiveur.rattraper()
    finally:
        émetteur.abandonner()


@contextmanager
def publieur(settings: Settings) -> Iterator[None]:
    """Le rôle, qui tourne le temps du bloc."""
    suiveur, émetteur = composition.publication(settings)
    arrêt = threading.Event()
    fil = threading.Thread(target=suiveur.tourner, args=(arrêt,))
    fil.start()
    try:
        yield
    finally:
        arrêt.set()
        fil.join()
        émetteur.abandonner()


def relire(settings: Settings) -> list[Reçu]:
    """Tout ce que porte le topic maintenant, chaque partition dans l'ordre."""
    marque = secrets.token_bytes(8)
    émetteur = kafka.producer(settings)
    partitions = émetteur.partitions_for(settings.topic_evenements)
    for partition in partitions:  # Une marque : la fin que dit Tansu est le début du dernier lot.
        émetteur.send(settings.topic_evenements, b"", marque, [("fin", marque)], partition=partition)
    émetteur.close()
    lecteur = kafka.reader(settings)
    lecteur.subscribe([settings.topic_evenements])
    lus: list[Reçu] = []

    def tout() -> bool:
        for tp, enregistrements in lecteur.poll(timeout_ms=100).items():
            lus.extend(Reçu(tp.partition, lu.key, lu.value, dict(lu.headers)) for lu in enregistrements)
        return sum(lu.clé == marque for lu in lus) == len(partitions)

    try:
        attendre(tout, secondes=60, quoi="tout le topic relu")
    finally:
        lecteur.close()
    return [lu for lu in lus if "fin" not in lu.en_têtes]


def versions(reçus: list[Reçu]) -> dict[str, list[int]]:
    """Les versions de chaque flux, dans l'ordre du topic."""
    par_flux: dict[str, list[int]] = {}
    for reçu in reçus:
        par_flux.setdefault(reçu.flux, []).append(reçu.version)
    return par_flux


def retenues(reçues: list[int]) -> list[int]:
    """Ce que garde un consommateur qui ignore une version déjà dépassée."""
    gardées: list[int] = []
    for version in reçues:
        if not gardées or version > gardées[-1]:
            gardées.append(version)
    return gardées


def journal(url: str) -> dict[str, list[int]]:
    """Les versions de chaque flux du journal."""
    par_flux: dict[str, list[int]] = {}
    with psycopg.connect(url) as conn:
        for flux, version in conn.execute("SELECT flux, version FROM journal.evenements ORDER BY position"):
            par_flux.setdefault(flux, []).append(version)
    return par_flux


def état(url: str) -> dict[str, Any]:
    """La ligne du suiveur."""
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as conn:
        return conn.execute("SELECT * FROM vues.suiveurs WHERE nom = 'publication'").fetchone() or {"position": None}


@contextmanager
def ouvrir(url: str) -> Iterator[Enregistreur]:
    with Base(url, application="test-publication", connexions_max=12) as base:
        yield Enregistreur(base)
