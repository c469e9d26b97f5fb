"""COMMIT arrive à PostgreSQL, sa réponse se perd : rien n'est écrit deux fois, et la personne a sa réponse."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from domain.avis import Canal
from domain.monnaie import Centimes
from domain.references import Pseudonyme, ReferenceCreance
from engine.batch import Partition
from engine.conflicts import PositionConflict
from engine.messages import Message
from guichet.ouvrir_paiement import Demande, ouvrir_paiement
from service import composition
from tests.consumers.banc import MAINTENANT, avis, banc, notification


class Coupeur:
    """Un relais devant PostgreSQL, qui garde pour lui la réponse au prochain COMMIT, et raccroche."""

    def __init__(self, dossier: Path, vers: tuple[int, Any]) -> None:
        self.couper = threading.Event()
        self.coupes = 0
        self._vers = vers
        self._ecoute = socket.socket(socket.AF_UNIX)
        self._ecoute.bind(str(dossier / ".s.PGSQL.5432"))
        self._ecoute.listen()
        threading.Thread(target=self._accueillir, daemon=True).start()

    def _accueillir(self) -> None:
        while True:
            try:
                client, _ = self._ecoute.accept()
            except OSError:
                return
            famille, adresse = self._vers
            serveur = socket.socket(famille)
            serveur.connect(adresse)
            raccroche = threading.Event()
            threading.Thread(target=self._aller, args=(client, serveur, raccroche), daemon=True).start()
            threading.Thread(target=self._retour, args=(serveur, client, raccroche), daemon=True).start()

    def _aller(self, client: socket.socket, serveur: socket.socket, raccroche: threading.Event) -> None:
        while octets := _lire(client):
            if self.couper.is_set() and b"COMMIT" in octets:
                self.couper.clear()
                self.coupes += 1
                raccroche.set()
            serveur.sendall(octets)
        _raccrocher(serveur)

    def _retour(self, serveur: socket.socket, client: socket.socket, raccroche: threading.Event) -> None:
        while octets := _lire(serveur):
            if raccroche.is_set():
                break  # La réponse à COMMIT est arrivée jusqu'ici, et n'ira pas plus loin.
            client.sendall(octets)
        _raccrocher(client)

    def fermer(self) -> None:
        self._ecoute.close()


def _raccrocher(prise: socket.socket) -> None:
    with suppress(OSError):  # L'autre bout a pu raccrocher avant.
        prise.shutdown(socket.SHUT_RDWR)
    prise.close()


def _lire(prise: socket.socket) -> bytes:
    try:
        return prise.recv(65536)
    except OSError:
        return b""


@pytest.fixture
def coupeur(base: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Coupeur, str]]:
    """Le relais, et l'URL qui passe par lui."""
    parties = urlsplit(base.url)
    hote = parse_qs(parties.query).get("host", [parties.hostname or "127.0.0.1"])[0]
    port = parties.port or 5432
    vers: tuple[int, Any] = (
        (socket.AF_UNIX, f"{hote}/.s.PGSQL.{port}") if hote.startswith("/") else (socket.AF_INET, (hote, port))
    )
    dossier = tmp_path_factory.mktemp("r")
    relais = Coupeur(dossier, vers)
    identite = f"{parties.username}:{parties.password}" if parties.password else parties.username
    yield (
        relais,
        f"postgresql://{identite}@/{parties.path.lstrip('/')}?host={dossier}&sslmode=disable&gssencmode=disable",
    )
    relais.fermer()


def test_ouvrir_un_paiement_dont_la_reponse_se_perd_n_en_ouvre_qu_un(
    base: Any, coupeur: tuple[Coupeur, str], kafka: str, prefixe: str
) -> None:
    relais, url = coupeur
    with banc(base.url, kafka, prefixe) as droit:
        droit.emettre_avis(avis(1))
        droit.consommer("avis", 1)
        with banc(url, kafka, prefixe) as relaye:
            relais.couper.set()
            demande = Demande(
                Pseudonyme("a-1"),
                (ReferenceCreance(avis(1)["reference"]),),
                Centimes(20_00),
                Canal.WEB,
                "cle",
                b"x" * 32,
            )
            reponse = ouvrir_paiement(relaye.guichet, demande, MAINTENANT)
        assert relais.coupes == 1
        ouverts = droit.conn.execute(
            "SELECT flux FROM journal.evenements WHERE topic = 'paiement.PaiementOuvert'"
        ).fetchall()
        assert ouverts == [(f"paiement-{reponse.transaction}",)]


def test_un_lot_dont_la_reponse_se_perd_n_est_pas_enregistre_deux_fois(
    base: Any, coupeur: tuple[Coupeur, str], kafka: str, prefixe: str
) -> None:
    relais, url = coupeur
    with banc(base.url, kafka, prefixe) as droit, banc(url, kafka, prefixe) as relaye:
        droit.emettre_avis(avis(1))
        droit.consommer("avis", 1)
        t = droit.ouvrir(avis(1)["reference"], 20_00)
        boucle = composition.consumer(relaye.settings, relaye.guichet, "kiosque")
        boucle.placement.attendues = {0: 0}
        ou = Partition(_identifiant(droit.conn), droit.settings.topic_notifications, 0)
        message = Message(ou, 0, t.encode(), json.dumps(notification(t, 20_00)).encode(), MAINTENANT)
        relais.couper.set()
        with pytest.raises(PositionConflict):  # La boucle se replace alors sur ce que PostgreSQL connaît.
            boucle.enregistrer([message])
        assert relais.coupes == 1
        assert droit.par_sort(droit.settings.topic_notifications) == {"appliquee": 1}
        compte = "SELECT count(*) FROM journal.evenements WHERE topic = 'creance.PaiementAccepte'"
        assert droit.conn.execute(compte).fetchone() == (1,)


def _identifiant(conn: psycopg.Connection[Any]) -> Any:
    (topic_id,) = conn.execute("SELECT topic_id FROM journal.sorts LIMIT 1").fetchone() or (None,)
    return topic_id
