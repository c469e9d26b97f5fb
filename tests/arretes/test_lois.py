"""Les lois d'une clôture : elle s'additionne, elle est ce que PostgreSQL seul recalcule, rien de tardif n'y entre."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.arretes import verifier
from projections.arretes.contenu import Arrete, Axe, Periode
from projections.arretes.journal import premier_jour
from projections.arretes.lecture import dernieres
from projections.arretes.recalcul import differences, recalculer
from projections.audit import auditer
from projections.comptes.totaux import CHAMPS, INTITULES, MOUVEMENTS, PRISES, RESTES, Totaux
from service.closing import close_days
from tests.arretes.histoires import Histoire, connexion, histoire
from tests.conftest import Serveurs, nouvelle_base
from tests.outils import exemples


def test_chaque_total_a_son_intitule_et_le_verificateur_les_additionne_tous() -> None:
    assert tuple(INTITULES) == CHAMPS
    assert {*MOUVEMENTS, *PRISES, *RESTES, "ouverture"} == set(CHAMPS)
    assert verifier.ADDITION == MOUVEMENTS
    assert (*MOUVEMENTS, *PRISES) == verifier.S_AJOUTENT


DEPARTS = [
    datetime(2026, 2, 26, 20, 0, tzinfo=UTC),
    datetime(2024, 2, 28, 22, 30, tzinfo=UTC),  # Une année bissextile.
    datetime(2026, 3, 28, 22, 30, tzinfo=UTC),  # Le jour suivant a 23 heures.
    datetime(2026, 10, 24, 21, 30, tzinfo=UTC),  # Celui-ci en a 25.
    datetime(2025, 12, 30, 22, 59, tzinfo=UTC),  # Un mois et une année finissent.
]
"""Où une histoire peut commencer : chacune va au-delà de ce qui suit."""

BOUGE = [nom for nom in CHAMPS if nom not in {"ouverture", *RESTES}]


def raconter(h: Histoire, pas: list[tuple[int, int, bool]]) -> dict[Any, bytes]:
    """Raconte l'histoire ; rend les octets de chaque clôture au moment où elle s'est écrite."""
    scellees: dict[Any, bytes] = {}
    for gestes, heures, arreter in pas:
        for _ in range(gestes):
            h.geste()
        h.avancer(timedelta(hours=heures))
        if arreter:
            jour = premier_jour(h.m.conn)
            if jour is not None and jour <= h.le.date():
                for close in close_days(h.m.guichet.base, h.m.guichet.recorder, h.le.date()):
                    scellees[close.arrete.jour] = close.octets
    return scellees


@settings(max_examples=exemples(3, 60))
@given(
    graine=st.integers(0, 2**32),
    depart=st.sampled_from(DEPARTS),
    pas=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 70), st.booleans()), min_size=3, max_size=8),
)
def test_les_jours_font_le_mois_et_le_tout_et_postgresql_dit_de_meme(
    serveurs: Serveurs, graine: int, depart: datetime, pas: list[tuple[int, int, bool]]
) -> None:
    with nouvelle_base(serveurs) as base, histoire(base.url, graine, depart) as h, connexion(base.url) as conn:
        h.emettre()
        ecrites = raconter(h, [*pas, (2, 30, True)])
        clotures = dernieres(conn, 1000)[::-1]
        arretes = [cloture.arrete for cloture in clotures]
        # Jamais réécrites, jour après jour, position après position.
        assert all(ecrites[c.arrete.jour] == c.octets for c in clotures)
        assert [a.jour for a in arretes] == [arretes[0].jour + timedelta(days=n) for n in range(len(arretes))]
        assert [a.depuis for a in arretes] == [0, *(a.jusqu_a for a in arretes[:-1])]
        assert [a.precedent for a in arretes] == ["0" * 64, *(c.empreinte for c in clotures[:-1])]
        # L'instruction indépendante, toutes les clôtures d'un coup.
        for arrete, refait in zip(arretes, recalculer(conn, [0, *(a.jusqu_a for a in arretes)]), strict=True):
            assert differences(arrete.totaux[Periode.JOUR], refait) == []
        for axe in Axe:
            for cle in {cle for a in arretes for cle in a.totaux[Periode.JOUR][axe]}:
                additionner(arretes, axe, cle)
        # Et l'audit, qui n'additionne que des créances entières, au même point.
        if arretes[-1].jusqu_a == conn.execute("SELECT max(position) FROM journal.evenements").fetchone()[0]:  # type: ignore[index]
            rapport = auditer(conn)
            assert rapport.compte.ensemble == arretes[-1].totaux[Periode.PERPETUEL][Axe.ENSEMBLE][""]


def additionner(arretes: list[Arrete], axe: Axe, cle: str) -> None:
    """Σ jours = mois = année = perpétuel, et chaque ouverture est la clôture de la veille."""
    rien = Totaux()
    jours = [a.totaux[Periode.JOUR][axe].get(cle, rien) for a in arretes]
    assert [jour.ouverture for jour in jours] == [0, *(jour.cloture for jour in jours[:-1])]
    for periode in (Periode.MOIS, Periode.ANNEE, Periode.PERPETUEL):
        for dernier, arrete in enumerate(arretes):
            siens = [
                jour
                for jour, a in zip(jours[: dernier + 1], arretes, strict=False)
                if periode is Periode.PERPETUEL
                or (a.jour.year == arrete.jour.year and (periode is Periode.ANNEE or a.jour.month == arrete.jour.month))
            ]
            total = arrete.totaux[periode][axe].get(cle)
            if total is None:
                continue
            for champ in fields(Totaux):
                valeur = getattr(total, champ.name)
                if champ.name == "ouverture":
                    assert valeur == siens[0].ouverture
                elif champ.name in RESTES:
                    assert valeur == getattr(siens[-1], champ.name)
                else:
                    assert valeur == sum(getattr(jour, champ.name) for jour in siens)


@settings(max_examples=exemples(2, 30))
@given(graine=st.integers(0, 2**32), tardifs=st.integers(1, 6))
def test_un_fait_tardif_est_du_jour_d_apres(serveurs: Serveurs, graine: int, tardifs: int) -> None:
    with nouvelle_base(serveurs) as base, histoire(base.url, graine) as h:
        for _ in range(8):
            h.emettre()
            h.geste()
        jour = h.le.date()
        (close,) = close_days(h.m.guichet.base, h.m.guichet.recorder, jour)
        for _ in range(tardifs):  # Enregistrés après elle, à une heure de ce même jour.
            h.emettre()
        h.avancer(timedelta(hours=4))
        suites = close_days(h.m.guichet.base, h.m.guichet.recorder, jour + timedelta(days=1))
        assert [suite.arrete.jour for suite in suites] == [jour + timedelta(days=1)]
        assert suites[0].arrete.depuis == close.arrete.jusqu_a
        assert suites[0].arrete.evenements == tardifs
        assert suites[0].arrete.ensemble.emis > 0
        assert dernieres(h.m.conn, 2)[1].octets == close.octets
