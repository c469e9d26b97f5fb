"""Ce qui est stocké reste lisible pour toujours, et ne nomme jamais un module."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent

from domain.creance import Créance
from domain.faits import Fait
from journal.mapper import AGRÉGATS, MapperDesFaits

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
"""Un fait de chaque sujet et de chaque version jamais stockée : on en ajoute, on n'en retire pas."""

FAITS = [
    fait
    for agrégat in AGRÉGATS
    for fait in vars(agrégat).values()
    if isinstance(fait, type) and issubclass(fait, Fait) and "TOPIC" in vars(fait)
]


def stocké(fichier: Path) -> StoredEvent:
    lu = json.loads(fichier.read_text("utf-8"))
    return StoredEvent(lu["flux"], lu["version"], lu["topic"], json.dumps(lu["etat"], ensure_ascii=False).encode())


@pytest.mark.parametrize("fichier", CORPUS, ids=lambda fichier: fichier.stem)
def test_tout_ce_qui_a_été_stocké_se_lit_et_se_récrit_à_l_identique(fichier: Path) -> None:
    mapper, avant = MapperDesFaits(), stocké(fichier)
    fait = mapper.to_domain_event(avant)
    après = mapper.to_stored_event(fait)
    assert (après.originator_id, après.originator_version) == (avant.originator_id, avant.originator_version)
    assert après.topic == avant.topic
    assert json.loads(après.state) == json.loads(avant.state)


def test_chaque_fait_a_son_exemple_au_corpus() -> None:
    assert {fait.TOPIC for fait in FAITS} == {stocké(fichier).topic for fichier in CORPUS}
    assert len(FAITS) >= 16


@pytest.mark.parametrize("fichier", CORPUS, ids=lambda fichier: fichier.stem)
def test_un_sujet_et_des_clés_ascii_sans_nom_de_module(fichier: Path) -> None:
    avant = stocké(fichier)
    assert avant.topic.isascii()
    assert all(clé.isascii() for clé in json.loads(avant.state))
    assert "domain" not in avant.topic


class AncienFait(Fait):
    """Un fait d'épreuve dont la version 1 nommait autrement son montant."""

    TOPIC: ClassVar[str] = "epreuve.AncienFait"
    class_version: ClassVar[int] = 2
    montant: int

    @staticmethod
    def upcast_v1_v2(état: dict[str, Any]) -> None:
        état["montant"] = état.pop("somme")


def test_un_état_d_une_ancienne_version_est_monté_avant_d_être_lu() -> None:
    mapper = MapperDesFaits()
    ancien = StoredEvent("f", 1, AncienFait.TOPIC, b'{"timestamp":"2026-06-01T10:00:00Z","somme":12}')
    fait = mapper.to_domain_event(ancien)
    assert isinstance(fait, AncienFait)
    assert fait.montant == 12
    nouveau = mapper.to_stored_event(fait)
    assert json.loads(nouveau.state)["class_version"] == 2
    assert mapper.to_domain_event(nouveau) == fait


@pytest.mark.parametrize(
    ("topic", "état"),
    [("creance.PaiementInitie", b"pas du JSON"), ("creance.PaiementInitie", b"{}"), ("inconnu.Sujet", b"{}")],
)
def test_un_état_illisible_le_dit(topic: str, état: bytes) -> None:
    with pytest.raises(MapperDeserialisationError, match="événement illisible"):
        MapperDesFaits().to_domain_event(StoredEvent("f", 1, topic, état))


def test_les_colonnes_l_emportent_sur_ce_que_l_état_dirait_d_elles() -> None:
    état = b'{"timestamp":"2026-06-01T10:00:00Z","message_id":"m","montant_initial":1,"montant_precedent":2,"motif":"x"'
    altéré = état + b',"originator_id":"autre","originator_version":9}'
    fait = MapperDesFaits().to_domain_event(StoredEvent("f", 3, Créance.AvisRectifié.TOPIC, altéré))
    assert (fait.originator_id, fait.originator_version) == ("f", 3)


def test_un_nom_de_flux_est_rendu_tel_quel_quels_que_soient_ses_signes() -> None:
    nom = 'é"\\\n'
    état = b'{"timestamp":"2026-06-01T10:00:00Z","total":1}'
    fait = MapperDesFaits().to_domain_event(StoredEvent(nom, 1, Créance.TropPerçuConstaté.TOPIC, état))
    assert fait.originator_id == nom
