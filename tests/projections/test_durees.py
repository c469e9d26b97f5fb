"""Les durées d'affichage comptées par tranche : l'horloge dit ce que dit le journal, quoi qu'il soit arrivé."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from math import ceil
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import data
from domain.monnaie import Centimes
from domain.references import ReferenceTransaction
from engine.batch import Batch, Entry
from engine.database import connect
from projections.lectures.delai import etat_du_delai
from projections.lectures.horloge import etat_de_l_horloge
from projections.parite import Comparateur
from projections.vues import VUES, durees
from projections.vues.delai_affichage import DelaiAffichage
from projections.vues.durees import tranche_ms
from service import composition
from tests.audit.monde import Monde, monde
from tests.outils import attendre, exemples

T: Final = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
JOUR: Final = timedelta(hours=24)
MAINTENANT: Final = T + timedelta(days=4)

NUMEROS = count(1)
"""Le journal garde tout : chaque histoire a ses créances et ses transactions."""


@pytest.fixture
def m(base: Any) -> Iterator[Monde]:
    with monde(base.url) as ouvert:
        yield ouvert


class Geste:
    """Ce qui arrive à une part : acceptée, puis affichée, si elle l'est, après cette durée."""

    def __init__(self, paiement: int, creance: int, depart_s: float, duree: timedelta | None) -> None:
        self.paiement, self.creance, self.depart, self.duree = paiement, creance, timedelta(seconds=depart_s), duree


DUREES = st.one_of(
    st.none(),
    st.timedeltas(timedelta(microseconds=-5), timedelta(seconds=11)),
    st.timedeltas(timedelta(0), timedelta(days=3)),
    st.sampled_from([timedelta(0), timedelta(seconds=10), timedelta(hours=1), JOUR, JOUR + timedelta(milliseconds=1)]),
)
GESTES = st.builds(Geste, st.integers(0, 1), st.integers(0, 3), st.floats(0, 300), DUREES)


def ecrire(m: Monde, gestes: list[Geste], ordre: list[int]) -> tuple[dict[Any, Any], list[int]]:
    """Inscrit ces histoires, mêlées dans cet ordre.

    Rend, par part, l'acceptation et l'affichage ; et les positions du journal.
    """
    numeros = [next(NUMEROS) for _ in range(4)]
    noms = [ReferenceTransaction(f"H{numeros[0]:08d}N{rang}") for rang in range(5)]
    flux: dict[int, list[Any]] = {}
    parts: dict[Any, Any] = {}
    creances = {}
    for geste in gestes:
        numero, nom = numeros[geste.creance], noms[geste.paiement]
        if (nom, numero) in parts:
            continue
        if numero not in creances:
            creances[numero], avis = data.issued(numero)
            flux[numero] = [avis]
        accepte_le = T + geste.depart
        creances[numero].accepter_paiement(nom, Centimes(1), accepte_le, maintenant=T)
        affiche_le = None if geste.duree is None else accepte_le + geste.duree
        if affiche_le is not None:
            creances[numero].afficher_paiement(nom, maintenant=affiche_le)
        parts[nom, numero] = (accepte_le, affiche_le)
    for numero, creance in creances.items():
        flux[numero] += creance.collect_events()
    files = list(flux.values())
    meles = [files[rang].pop(0) for rang in ordre if rang < len(files) and files[rang]]
    meles += [fait for faits in files for fait in faits]
    with m.guichet.base.transaction() as conn:
        m.guichet.recorder.take_order(conn)
        m.guichet.recorder.record(conn, Batch(entries=[Entry(fait, "épreuve") for fait in meles]))
    positions = m.conn.execute("SELECT position FROM journal.evenements ORDER BY position DESC LIMIT %s", (len(meles),))
    return parts, sorted(position for (position,) in positions)


def suivre(m: Monde, jusqu_a: int) -> None:
    """Mène l'horloge jusqu'à cette position du journal, et pas plus loin."""
    m.conn.execute(
        "INSERT INTO vues.suiveurs (nom, position) VALUES ('restant_du', %s)"
        " ON CONFLICT (nom) DO UPDATE SET position = excluded.position",
        (jusqu_a,),
    )
    suiveur = composition.follower(m.settings, m.guichet.recorder, "delai_affichage")
    assert isinstance(suiveur.vue, DelaiAffichage)
    suiveur.vue.constater = False
    suiveur.catch_up()


def a_la_main(parts: dict[Any, Any], delai: timedelta) -> dict[str, Any]:
    """L'horloge, du journal seul."""
    departs: dict[Any, datetime] = {}
    fins: dict[Any, datetime | None] = {}
    for (nom, _), (accepte_le, affiche_le) in parts.items():
        departs[nom] = min(accepte_le, departs.get(nom, accepte_le))
        deja = fins.get(nom, accepte_le - timedelta(days=9))
        fins[nom] = None if affiche_le is None or deja is None else max(deja, affiche_le)
    affiches = sorted((fin - departs[nom]) for nom, fin in fins.items() if fin is not None)
    ages = [MAINTENANT - departs[nom] for nom, fin in fins.items() if fin is None]
    centiles = [
        tranche_ms(affiches[ceil(part * len(affiches)) - 1]) / 1_000 if affiches else None for part in (0.5, 0.95, 0.99)
    ]
    return {
        "delai_secondes": int(delai.total_seconds()),
        "affiches": len(affiches),
        "en_attente": len(ages),
        "plus_ancien_en_attente_secondes": max(ages).total_seconds() if ages else None,
        "depasses": sum(duree > delai for duree in (*affiches, *ages)),
        **dict(zip(("secondes_p50", "secondes_p95", "secondes_p99"), centiles, strict=True)),
    }


def etat(m: Monde, delai: timedelta) -> dict[str, Any]:
    async def lire() -> dict[str, Any]:
        conn = await psycopg.AsyncConnection.connect(str(m.settings.database_url), autocommit=True)
        async with conn:
            return await etat_du_delai(conn, MAINTENANT, delai)

    return asyncio.run(lire())


@settings(max_examples=exemples(25, 150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gestes=st.lists(GESTES, min_size=3, max_size=10),
    ordre=st.lists(st.integers(0, 3), min_size=8, max_size=30),
    coupes=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    delai=st.sampled_from([JOUR, timedelta(seconds=3), timedelta(minutes=61)]),
)
def test_a_toute_position_de_la_vue_l_horloge_dit_ce_que_dit_le_journal(
    m: Monde, gestes: list[Geste], ordre: list[int], coupes: list[int], delai: timedelta
) -> None:
    """La vue s'arrête n'importe où, après n'importe quels lots : ce qui est au-delà se lit du journal."""
    m.conn.execute("TRUNCATE vues.delai_affichage, vues.affichages_en_attente, vues.durees_d_affichage")
    parts, positions = ecrire(m, gestes, ordre)
    m.conn.execute(
        "INSERT INTO vues.suiveurs (nom, position, tenue) VALUES ('delai_affichage', %(p)s, %(p)s)"
        " ON CONFLICT (nom) DO UPDATE SET position = %(p)s, tenue = %(p)s",
        {"p": positions[0] - 1},
    )
    for coupe in sorted(coupes):
        suivre(m, positions[min(coupe, len(positions) - 1)])
    assert m.conn.execute(durees.ECARTS.encode()).fetchall() == [], "les comptes sont ceux des lignes"
    assert etat(m, delai) == a_la_main(parts, delai)
    suivre(m, positions[-1])
    attendu = a_la_main(parts, delai)
    assert etat(m, delai) == attendu
    dit = etat_de_l_horloge(m.conn, MAINTENANT, delai)
    assert (dit.affiches, dit.en_attente) == (attendu["affiches"], attendu["en_attente"])
    assert dit.depasses + dit.depasses_affiches == attendu["depasses"]


@given(duree=st.timedeltas(timedelta(microseconds=-3), timedelta(days=3)), autre=st.timedeltas(timedelta(0), JOUR))
def test_une_tranche_garde_l_ordre_des_durees_et_tient_en_deux_centiemes(duree: timedelta, autre: timedelta) -> None:
    tranche = tranche_ms(duree)
    positive = max(duree, timedelta(0))
    assert positive <= timedelta(milliseconds=tranche)
    assert timedelta(milliseconds=tranche) - positive < max(timedelta(milliseconds=10), positive / 59)
    assert (tranche_ms(duree) <= tranche_ms(autre)) or duree > autre


@settings(max_examples=exemples(40, 300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(duree=st.timedeltas(timedelta(microseconds=-3), timedelta(days=3)))
def test_la_base_calcule_la_meme_tranche(m: Monde, duree: timedelta) -> None:
    parts = "(SELECT 'x' AS transaction, %s::timestamptz AS accepte_le, %s::timestamptz AS affiche_le)"
    requete = durees.TRANCHES.format(parts=parts)
    assert m.conn.execute(requete.encode(), (T, T + duree)).fetchall() == [("x", tranche_ms(duree))]


def test_l_horloge_ne_relit_pas_la_vue(m: Monde, base: Any) -> None:
    """Une part attend parmi cinq mille affichées : elle seule est relue."""
    _, positions = ecrire(m, [Geste(0, 0, 0.0, None)], [])
    suivre(m, positions[-1])
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute(
            "INSERT INTO vues.delai_affichage (transaction, reference, accepte_le, affiche_le)"
            " SELECT 'X' || i, 'R', %(t)s, %(t)s FROM generate_series(1, 5000) AS i",
            {"t": T},
        )
        proprietaire.execute("ANALYZE vues.delai_affichage")

        def lectures() -> tuple[int, int]:
            proprietaire.execute("SELECT pg_stat_clear_snapshot()")
            return proprietaire.execute(
                "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'delai_affichage'"
            ).fetchone() or (0, 0)

        proprietaire.execute("SELECT pg_stat_force_next_flush()")
        avant = lectures()
        assert etat(m, JOUR)["en_attente"] == 1
        with psycopg.connect(base.url, autocommit=True) as conn:
            assert etat_de_l_horloge(conn, MAINTENANT, JOUR).en_attente == 1
        attendre(lambda: sum(lectures()) > sum(avant), quoi="le compte de PostgreSQL")
        assert lectures()[0] == avant[0], "aucune lecture de toute la vue"


def test_un_compte_change_a_la_main_est_dit_par_la_parite(m: Monde) -> None:
    """Les comptes se comparent aux lignes à la fin de chaque tour."""
    _, positions = ecrire(m, [Geste(0, 0, 0.0, timedelta(seconds=3)), Geste(1, 1, 0.0, None)], [])
    suivre(m, positions[-1])
    m.conn.execute("UPDATE vues.durees_d_affichage SET paiements = paiements + 2")
    vue = VUES["delai_affichage"]
    with closing(connect(str(m.settings.database_url), application="epreuve")) as conn:
        tranche = Comparateur(conn, vue, m.guichet.recorder).comparer(vue.tours[0], vue.tours[0].prefix)
    [constat] = tranche.constats
    assert (constat.cle, constat.genre) == ("durees_d_affichage-3000", "autre")
    assert constat.phrase == "la vue en garde 3, ses lignes 1"
