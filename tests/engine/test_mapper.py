"""Ce qui est stocké reste lisible pour toujours, et ne nomme jamais un module."""

import json
from pathlib import Path

import pytest
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent

from domain.agregats import AGREGATS
from domain.creance import Créance
from domain.faits import Fait
from engine.mapper import EventMapper
from tests.engine.epreuve import MAPPER, AncienFait

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
"""Un fait de chaque sujet et de chaque version jamais stockée : on en ajoute, on n'en retire pas."""

FAITS = [
    fait
    for agregat in AGREGATS
    for fait in vars(agregat).values()
    if isinstance(fait, type) and issubclass(fait, Fait) and "TOPIC" in vars(fait)
]


def stocke(fichier: Path) -> StoredEvent:
    lu = json.loads(fichier.read_text("utf-8"))
    etat = json.dumps(lu["etat"], ensure_ascii=False, separators=(",", ":"))
    return StoredEvent(lu["flux"], lu["version"], lu["topic"], etat.encode())


@pytest.mark.parametrize("fichier", CORPUS, ids=lambda fichier: fichier.stem)
def test_tout_ce_qui_a_ete_stocke_se_lit_et_se_recrit_a_l_octet_pres(fichier: Path) -> None:
    mapper, avant = MAPPER, stocke(fichier)
    fait = mapper.to_domain_event(avant)
    apres = mapper.to_stored_event(fait)
    assert (apres.originator_id, apres.originator_version) == (avant.originator_id, avant.originator_version)
    assert apres.topic == avant.topic
    assert apres.state == stocke(d_aujourd_hui(fichier)).state


def d_aujourd_hui(fichier: Path) -> Path:
    """L'exemple que devient celui d'une ancienne version, une fois monté : celui de la dernière, au même endroit."""
    sujet, _, version = fichier.stem.rpartition(".v")
    suivants = [Path(f"{fichier.parent / sujet}.v{n}.json") for n in range(int(version.partition("-")[0]) + 1, 10)]
    return next((suivant for suivant in reversed(suivants) if suivant.exists()), fichier)


def test_chaque_fait_a_son_exemple_au_corpus() -> None:
    assert {fait.TOPIC for fait in FAITS} == {stocke(fichier).topic for fichier in CORPUS}
    assert len(FAITS) >= 16


def test_chaque_version_d_un_fait_garde_son_exemple() -> None:
    voulus = {f"{fait.TOPIC}.v{n}" for fait in FAITS for n in range(1, getattr(fait, "class_version", 1) + 1)}
    assert voulus - {fichier.stem.partition("-")[0] for fichier in CORPUS} == set()


@pytest.mark.parametrize("fichier", CORPUS, ids=lambda fichier: fichier.stem)
def test_un_sujet_et_des_cles_ascii_sans_nom_de_module(fichier: Path) -> None:
    avant = stocke(fichier)
    assert avant.topic.isascii()
    assert all(cle.isascii() for cle in json.loads(avant.state))
    assert "domain" not in avant.topic


def test_un_etat_d_une_ancienne_version_est_monte_avant_d_etre_lu() -> None:
    mapper = MAPPER
    ancien = StoredEvent("f", 1, AncienFait.TOPIC, b'{"timestamp":"2026-06-01T10:00:00Z","somme":12}')
    fait = mapper.to_domain_event(ancien)
    assert isinstance(fait, AncienFait)
    assert fait.montant == 12
    nouveau = mapper.to_stored_event(fait)
    assert json.loads(nouveau.state)["class_version"] == 2
    assert mapper.to_domain_event(nouveau) == fait


def test_un_fait_d_un_agregat_que_l_on_ne_lui_a_pas_donne_est_illisible() -> None:
    etat = b'{"timestamp":"2026-06-01T10:00:00Z","somme":12}'
    with pytest.raises(MapperDeserialisationError, match="événement illisible"):
        EventMapper(AGREGATS).to_domain_event(StoredEvent("f", 1, AncienFait.TOPIC, etat))


@pytest.mark.parametrize(
    ("topic", "etat"),
    [("creance.PaiementInitie", b"pas du JSON"), ("creance.PaiementInitie", b"{}"), ("inconnu.Sujet", b"{}")],
)
def test_un_etat_illisible_le_dit(topic: str, etat: bytes) -> None:
    with pytest.raises(MapperDeserialisationError, match="événement illisible"):
        MAPPER.to_domain_event(StoredEvent("f", 1, topic, etat))


def test_les_colonnes_l_emportent_sur_ce_que_l_etat_dirait_d_elles() -> None:
    etat = b'{"timestamp":"2026-06-01T10:00:00Z","message_id":"m","montant_initial":1,"montant_precedent":2,"motif":"x"'
    altere = etat + b',"originator_id":"autre","originator_version":9}'
    fait = MAPPER.to_domain_event(StoredEvent("f", 3, Créance.AvisRectifié.TOPIC, altere))
    assert (fait.originator_id, fait.originator_version) == ("f", 3)


def test_un_nom_de_flux_est_rendu_tel_quel_quels_que_soient_ses_signes() -> None:
    nom = 'é"\\\n'
    etat = b'{"timestamp":"2026-06-01T10:00:00Z","total":1}'
    fait = MAPPER.to_domain_event(StoredEvent(nom, 1, Créance.TropPerçuConstaté.TOPIC, etat))
    assert fait.originator_id == nom
