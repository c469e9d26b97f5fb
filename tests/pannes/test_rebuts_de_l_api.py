"""Le topic des formulaires mal scellés : supprimé, l'API le crée de nouveau ; et rien n'arrête son relevé."""

import json
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest

from engine.dead_letters import SUFFIXE
from service import kafka
from service.dead_letters import _row, note_dead_letters
from tests.consumers.banc import Banc, banc, notification
from tests.consumers.test_rebuts_perdus import supprimer
from tests.outils import attendre
from tests.pannes.conftest import api


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


def poster(client: httpx.Client, transaction: str) -> str:
    """Un formulaire mal scellé : le code de son refus."""
    formulaire = notification(transaction, 20_00) | {"Seal": "0" * 64}
    del formulaire["recue_le"]
    return str(client.post("/kiosque/notification", data=formulaire).json()["code"])


def garde(client: httpx.Client, transaction: str) -> None:
    """La banque redit ce formulaire jusqu'à ce qu'il soit gardé."""
    attendre(lambda: poster(client, transaction) != "kafka_indisponible", quoi=f"{transaction} est gardé")


def test_un_formulaire_mal_scelle_est_garde_quand_son_topic_manque(b: Banc, tmp_path: Any) -> None:
    topic = b.settings.topic_notifications
    supprimer(b, topic + SUFFIXE)
    with api(b, tmp_path) as client:
        garde(client, "T1")
        assert [lu.value for lu in b.rebuts(topic, 1)]
        # L'API le connaît désormais, et l'a tenu pour là.
        supprimer(b, topic + SUFFIXE)
        garde(client, "T2")
        garde(client, "T3")
        lus = [lu.value for lu in b.rebuts(topic, 2)]
    assert [b"T2" in lus[0], b"T3" in lus[1]] == [True, True]


def test_un_rebut_que_personne_n_attendait_n_empeche_pas_de_relever_les_suivants(b: Banc) -> None:
    """Qui peut écrire sur ce topic y met ce qu'il veut ; le relevé reprend où il en est : y lever l'arrêterait là."""
    topic = f"{b.settings.topic_notifications}.rebuts"
    etranges: list[tuple[bytes | None, list[tuple[str, bytes]]]] = [
        (b"[" * 60_000, []),
        (b'{"Data":' * 20_000, [("cause", b"trop profond")]),
        (b"{}", []),
        (None, [("cause", b"\xff\x00")]),
        (b'{"Data":"transactionReference=\\ud800|amount=1e400"}', []),
        (b'{"Data":"transactionReference=T|amount=' + b"9" * 6_000 + b'"}', []),
        (b'{"Data":"%%%","Encode":"base64"}', [("cause", b"illisible")]),
        (b"NaN", []),
    ]
    with closing(kafka.producer(b.settings)) as emetteur:
        for valeur, en_tetes in [*etranges, (json.dumps(notification("T1", 20_00)).encode(), [("cause", b"sceau")])]:
            emetteur.send(topic, key=b"k", value=valeur, headers=en_tetes).get(timeout=60)
    assert note_dead_letters(b.settings, b.conn) == len(etranges) + 1
    causes = b.conn.execute("SELECT cause, transaction, montant FROM vues.rebuts ORDER BY decalage").fetchall()
    assert causes[-1] == ("sceau", "T1", 20_00)
    assert {(transaction, montant) for _, transaction, montant in causes[:-1]} == {(None, 0), ("T", 0)}


def test_un_rebut_aux_en_tetes_sans_valeur_se_releve_aussi() -> None:
    """Que d'autres producteurs écrivent, et que kafka-python, qui les lit, refuse d'émettre."""
    lu = SimpleNamespace(value=b"{}", offset=7, timestamp=-1)
    en_tetes = dict.fromkeys(("cause", "sha256"))
    *_, cause, transaction, montant, empreinte, _ = _row(UUID(int=1), "t", 0, lu, en_tetes)
    assert (cause, transaction, montant, empreinte) == ("sans cause", None, 0, "")
