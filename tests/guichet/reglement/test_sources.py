"""Ce qui n'est pas de l'argent sans créance : écarts de rapport, événements écartés, partitions, sorts."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.ecart import GenreEcart
from domain.geste import GESTES, Geste, Source
from domain.refus import AnomalieDejaReglee, AnomalieInconnue, GesteImpossible
from engine import positions
from engine.batch import Advance, Batch, Fate, Partition
from guichet.rapprochement.ecarts import Ecart
from guichet.rapprochement.registre import inscrire_ecarts
from guichet.reglement.approuver import decliner
from guichet.reglement.dossiers import _LECTEURS
from guichet.reglement.proposer import Suite
from kiosque.rapports import Genre
from projections.audit import auditer
from tests.guichet.reglement.banc import T0, Banc


def ecart(b: Banc, genre: GenreEcart, transaction: str, montant: int) -> None:
    """Un écart qu'un rapport vient de montrer."""
    dit = Ecart(
        Genre.IMPAYES, genre, transaction, None, T0.date(), montant, montant, 0, "CHARGEBACK", "accepte", "impayé"
    )
    with b.guichet.base.transaction() as conn:
        inscrire_ecarts(conn, None, [(None, dit)])


def test_un_impaye_se_contrepasse_et_ferme_l_ecart_du_rapport(b: Banc) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    ecart(b, GenreEcart.IMPAYE, "T1", 20_00)
    (ligne,) = b.ouvertes()
    assert (ligne.id, ligne.genre, ligne.montant, ligne.caisse) == ("ecart-1", "impaye", 20_00, "381")
    b.proposer(ligne.id, Geste.CONTREPASSER, preuve="rapport du 02/06")
    b.approuver(ligne.id)
    assert b.creance(1).restant_du == 87_09
    assert b.ouvertes() == []
    with pytest.raises(AnomalieDejaReglee):
        b.proposer(ligne.id, Geste.CONTREPASSER)
    assert auditer(b.conn).ecarts == []


@pytest.mark.parametrize("genre", [GenreEcart.IMPAYE, GenreEcart.REMBOURSEMENT])
def test_une_part_reprise_ne_fait_pas_revenir_toute_la_dette(b: Banc, genre: GenreEcart) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    ecart(b, genre, "T1", 5_00)
    avant = b.faits()
    with pytest.raises(GesteImpossible, match="5,00"):
        b.proposer("ecart-1", Geste.CONTREPASSER)
    assert (b.faits(), b.creance(1).restant_du) == (avant, 67_09)
    assert [(ligne.id, ligne.montant, ligne.etat) for ligne in b.ouvertes()] == [("ecart-1", 5_00, "ouverte")]


def test_de_deux_impayes_redits_un_seul_fait_revenir_la_dette(b: Banc) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    for rang in (1, 2):
        ecart(b, GenreEcart.IMPAYE, "T1", 20_00)
        b.proposer(f"ecart-{rang}", Geste.CONTREPASSER)
    assert b.approuver("ecart-1").suite is Suite.REGLE
    with pytest.raises(GesteImpossible):
        b.approuver("ecart-2")
    assert b.creance(1).restant_du == 87_09
    decliner(b.guichet, "ecart-2", "agent-2", "le même impayé, redit", T0)
    b.proposer("ecart-2", Geste.FAUSSE_ALERTE)
    assert b.ouvertes() == []
    assert auditer(b.conn).ecarts == []


def test_une_fausse_alerte_se_declare_seul_et_une_seule_fois(b: Banc) -> None:
    ecart(b, GenreEcart.MANQUE_ICI, "T9", 0)
    (ligne,) = b.ouvertes()
    assert ligne.gestes == (Geste.FAUSSE_ALERTE,)
    with pytest.raises(GesteImpossible):
        b.proposer(ligne.id, Geste.CONTREPASSER)
    assert b.proposer(ligne.id, Geste.FAUSSE_ALERTE).suite is Suite.REGLE
    assert b.ouvertes() == []
    with pytest.raises(AnomalieDejaReglee):
        b.proposer(ligne.id, Geste.FAUSSE_ALERTE)


def test_un_refus_apres_une_acceptation_est_une_anomalie_sans_argent(b: Banc) -> None:
    partition = Partition(uuid4(), "creances.kiosque.notifications", 0)
    sorts = [
        Fate(partition, rang, sort, f"cause {sort}", "T1", b"\x00" * 32, champs)
        for rang, (sort, champs) in enumerate(
            [
                ("contradictoire", {"issue": "refusee"}),
                ("non_rapprochee", {"issue": "refusee"}),
                ("non_rapprochee", {"issue": "acceptee"}),
                ("montant_incoherent", {"issue": "acceptee"}),
                ("doublon", {"issue": "acceptee"}),
                ("rejetee", {}),
            ]
        )
    ]
    with b.guichet.base.transaction() as conn:
        b.guichet.recorder.record(conn, Batch(advances=[Advance(partition, 0, 6)], fates=sorts))
    lignes = b.ouvertes()
    assert sorted(ligne.genre for ligne in lignes) == ["contradictoire", "non_rapprochee", "rejetee"]
    assert {ligne.transaction for ligne in lignes} == {"T1"}
    for ligne in lignes:
        b.proposer(ligne.id, Geste.FAUSSE_ALERTE)
    assert b.ouvertes() == []


def test_un_message_n_a_qu_un_nom(b: Banc) -> None:
    """Écrit autrement, un nom ouvrirait un second dossier du même message : il n'aurait plus un seul état."""
    partition = Partition(UUID(int=0xABC), "creances.avis", 0)
    sort = Fate(partition, 0, "contradictoire", "deux avis", "T1", b"\x00" * 32, {})
    with b.guichet.base.transaction() as conn:
        b.guichet.recorder.record(conn, Batch(advances=[Advance(partition, 0, 1)], fates=[sort]))
    (ligne,) = b.ouvertes()
    for autre in (ligne.id.replace("abc", "ABC"), f"{ligne.id}0", ligne.id.replace("-0-", "-00-")):
        assert autre != ligne.id
        with pytest.raises(AnomalieInconnue):
            b.proposer(autre, Geste.FAUSSE_ALERTE)
    assert [ouverte.id for ouverte in b.ouvertes()] == [ligne.id]


def test_un_evenement_ecarte_se_reprend_sans_sql_et_le_meneur_l_applique(b: Banc) -> None:
    b.ouvrir_creance(1)
    b.projeter()
    b.conn.execute("UPDATE vues.restant_du SET version = 99")  # Ce qui fait écarter le fait suivant.
    b.conn.execute("DELETE FROM vues.restant_du")
    b.conn.execute(
        "INSERT INTO vues.ecartes (suiveur, position, flux, cause)"
        " SELECT 'restant_du', position, flux, 'ligne perdue' FROM journal.evenements"
    )
    (ligne,) = b.ouvertes()
    assert (ligne.genre, ligne.id.startswith("ecarte-restant_du-")) == ("evenement_ecarte", True)
    assert b.proposer(ligne.id, Geste.LIBERER).suite is Suite.REGLE
    with pytest.raises(AnomalieDejaReglee):
        b.proposer(ligne.id, Geste.LIBERER)
    assert b.ouvertes() == []
    assert b.conn.execute("SELECT count(*) FROM vues.restant_du").fetchone() == (1,)


def test_aucun_pseudonyme_n_est_dit_d_un_evenement_ecarte_de_messagerie(b: Banc) -> None:
    b.conn.execute(
        "INSERT INTO vues.ecartes (suiveur, position, flux, cause)"
        " VALUES ('messagerie', 7, 'messagerie-a-secret', 'messagerie-a-secret v2 : illisible')"
    )
    (ligne,) = b.ouvertes()
    assert "a-secret" not in f"{ligne}"


def test_une_partition_a_l_arret_se_reprend_une_fois(b: Banc) -> None:
    partition = Partition(uuid4(), "creances.avis", 1)
    with b.guichet.base.transaction() as conn:
        positions.encounter(conn, partition.topic, partition.topic_id)
        positions.arreter(conn, partition, 12, 3)
    (ligne,) = b.ouvertes()
    assert ligne.genre == "partition_arretee"
    b.proposer(ligne.id, Geste.REPRENDRE)
    assert b.ouvertes() == []
    with pytest.raises(AnomalieDejaReglee):
        b.proposer(ligne.id, Geste.REPRENDRE)


def test_chaque_source_se_lit_et_dit_ses_gestes() -> None:
    assert _LECTEURS.keys() == GESTES.keys() == set(Source)
    assert {geste for gestes in GESTES.values() for geste in gestes} == set(Geste)


def test_une_ligne_a_la_forme_du_contrat(b: Banc) -> None:
    b.repondre("ORPHELIN", 20_00)
    (ligne,) = b.ouvertes()
    dite: dict[str, Any] = ligne.en_json()
    assert list(dite) == [
        *("id", "genre", "etat", "montant_centimes", "cause", "reference", "transaction", "caisse", "depuis"),
    ]
    assert dite["cause"].endswith(".")
    assert datetime.fromisoformat(dite["depuis"]).tzinfo is not None
