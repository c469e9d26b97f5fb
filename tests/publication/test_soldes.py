"""Chaque fait d'une créance est publié avec le solde qu'il fait, où que les lots soient coupés."""

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, cast

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as essais
from hypothesis import strategies as st

from domain.avis import Canal, Moyen
from domain.creance import Créance
from domain.faits import Fait
from domain.monnaie import Centimes
from domain.references import ReferenceTransaction
from domain.refus import Refus
from engine.recorder import RecordedEvent, Recorder
from publication.soldes import garder, soldes_apres
from service.settings import Settings
from tests.mapper import MAPPER
from tests.outils import exemples
from tests.publication import banc
from tests.publication.test_renvoi import payee, renvoi

CHAMPS = ("restant_du_centimes", "en_cours_centimes", "trop_percu_centimes", "caisse")
T0 = banc.T0

Geste = Callable[[Créance, int, int], Any]
GESTES: dict[str, Geste] = {
    "initier": lambda c, rang, montant: c.initier_paiement(
        ReferenceTransaction(f"T{rang}"), Centimes(montant), Canal.WEB, T0 + timedelta(minutes=15), maintenant=T0
    ),
    "accepter": lambda c, rang, montant: c.accepter_paiement(
        ReferenceTransaction(f"T{rang}"), Centimes(montant), T0, maintenant=T0
    ),
    "echouer": lambda c, rang, _: c.constater_echec(ReferenceTransaction(f"T{rang}"), "refusé", maintenant=T0),
    "encaisser": lambda c, rang, montant: c.encaisser(
        f"e{rang}{montant}", Centimes(montant), Moyen.CHEQUE, date(2026, 6, 1), maintenant=T0
    ),
    "rectifier": lambda c, rang, montant: c.rectifier(f"r{rang}{montant}", Centimes(montant), "motif", maintenant=T0),
    "annuler": lambda c, rang, _: c.annuler(f"a{rang}", "motif", maintenant=T0),
}
gestes = st.lists(
    st.tuples(st.integers(1, 2), st.sampled_from(sorted(GESTES)), st.integers(1, 3), st.integers(1, 80_00)), max_size=25
)


def attendu(creance: Créance) -> tuple[int, int, int, str]:
    return creance.restant_du, creance.reserve, creance.trop_percu, creance.avis.caisse


def histoire(joues: Sequence[tuple[int, str, int, int]]) -> tuple[list[RecordedEvent], dict[int, tuple[Any, ...]]]:
    """Deux créances vécues ensemble : leurs faits, dans l'ordre du journal, et ce que dit l'agrégat après chacun."""
    creances = {numero: banc.creance(numero) for numero in (1, 2)}
    faits: list[RecordedEvent] = []
    dits: dict[int, tuple[Any, ...]] = {}
    temoins: dict[str, Any] = {}

    def prendre(creance: Créance) -> None:
        for fait in creance.collect_events():
            faits.append(RecordedEvent(len(faits) + 1, cast("Fait", fait), "test", T0))
            temoins[creance.id] = fait.mutate(temoins.get(creance.id))
            dits[len(faits)] = attendu(temoins[creance.id])

    for creance in creances.values():
        prendre(creance)
    inities = set()
    for numero, geste, rang, montant in joues:
        if geste == "initier":
            if (numero, rang) in inities:
                continue  # Une transaction ne s'ouvre qu'une fois : `ouvrir_paiement` en tire une neuve.
            inities.add((numero, rang))
        try:
            GESTES[geste](creances[numero], rang, montant)
        except (Refus, ValueError):  # Un geste refusé ne laisse rien.
            creances[numero].pending_events.clear()
        prendre(creances[numero])
    return faits, dits


@essais(max_examples=exemples(30, 200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gestes, st.lists(st.integers(1, 30), max_size=4), st.integers(0, 3))
def test_le_solde_publie_est_celui_de_l_agregat_a_chaque_version(
    base: Any, joues: list[Any], coupures: list[int], oubli: int
) -> None:
    faits, dits = histoire(joues)
    bornes = sorted({0, len(faits), *(c for c in coupures if c < len(faits))})
    publies: dict[int, tuple[Any, ...]] = {}
    with psycopg.connect(base.url_proprietaire) as conn:
        inscrire(conn, faits)
        for rang, (debut, fin) in enumerate(pairwise(bornes)):
            if rang == oubli:
                conn.execute("DELETE FROM vues.soldes_publies")
            lot = faits[debut:fin]
            soldes = soldes_apres(conn, MAPPER, lot)
            garder(conn, lot, soldes)
            publies |= {p: tuple(solde.publie()[champ] for champ in CHAMPS) for p, solde in soldes.items()}
        conn.rollback()
    assert publies == dits


def inscrire(conn: psycopg.Connection[Any], faits: Sequence[RecordedEvent]) -> None:
    mapper = MAPPER
    with conn.cursor() as curseur:
        curseur.executemany(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)"
            " VALUES (%s, %s, %s, %s, 'test', now())",
            [
                (stocke.originator_id, stocke.originator_version, stocke.topic, stocke.state)
                for stocke in (mapper.to_stored_event(lu.event) for lu in faits)
            ],
        )


def test_sur_le_topic_chaque_fait_dit_son_solde_et_un_renvoi_dit_le_meme(
    base: Any, recorder: Recorder, settings: Settings
) -> None:
    banc.record(recorder, *payee(1))
    assert banc.publier(settings) == 5
    premiers = banc.relire(settings)
    dits = {recu.version: json.loads(recu.valeur) for recu in premiers if recu.flux.startswith("creance-")}
    assert [[dits[version][champ] for champ in CHAMPS] for version in sorted(dits)] == [
        [87_09, 0, 0, "381"],
        [87_09, 20_00, 0, "381"],
        [67_09, 0, 0, "381"],
    ]
    assert not any("restant_du_centimes" in json.loads(r.valeur) for r in premiers if r.flux.startswith("paiement-"))
    suite = [recu.en_tetes["ce_sequence"] for recu in premiers]
    assert len(set(suite)) == len(suite)
    with psycopg.connect(base.url) as conn:
        positions: dict[str, int] = dict(
            conn.execute("SELECT flux || ':' || version, position FROM journal.evenements")
        )
    assert {r.en_tetes["ce_id"].decode(): int(r.en_tetes["ce_sequence"]) for r in premiers} == positions
    renvoi(settings)
    tous = banc.relire(settings)
    assert sorted((r.en_tetes["ce_id"], r.valeur) for r in tous) == sorted(
        2 * [(r.en_tetes["ce_id"], r.valeur) for r in premiers]
    )


@pytest.mark.parametrize("combien", [1, 3])
def test_une_publication_qui_reprend_au_debut_redit_les_memes_soldes(
    base: Any, recorder: Recorder, settings: Settings, combien: int
) -> None:
    banc.record(recorder, banc.avec_paiements(1, combien))
    banc.publier(settings)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        conn.execute("UPDATE vues.publications SET epoque = '20200101T000000Z'")
    assert banc.publier(settings) == 1 + 2 * combien
    assert [r.valeur for r in banc.relire(settings)][: 1 + 2 * combien] == [r.valeur for r in banc.relire(settings)][
        1 + 2 * combien :
    ]
