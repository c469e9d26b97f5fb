"""Deux messages de la caisse qui se contredisent : le premier reste, et le support lit les deux contenus."""

from collections.abc import Iterator
from typing import Any

import pytest

from projections.audit import auditer
from tests.consumers.banc import Banc, avis, banc

REFERENCE = avis(1)["reference"]


def de(genre: str, nom: str = "m1", **champs: Any) -> dict[str, Any]:
    return {"type": genre, "reference": REFERENCE, "message_id": nom, **champs}


CHEQUE: dict[str, Any] = {"montant_centimes": 12_34, "moyen": "cheque", "date": "2026-05-20"}


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


@pytest.mark.parametrize(
    ("premier", "second", "dit"),
    [
        (avis(1), avis(1, montant=60_00), "(montant initial : 87,09 €, puis 60,00 €)."),
        (avis(1), avis(1, assure="a-2", caisse="631"), "(un autre assuré ; caisse : 381, puis 631)."),
        (avis(1), avis(1, date_emission="2026-05-13"), "(date d'émission : 12/05/2026, puis 13/05/2026)."),
        (
            de("encaissement_recu", **CHEQUE),
            de("encaissement_recu", **CHEQUE | {"montant_centimes": 43_21}),
            "(encaissement de 12,34 €, cheque du 20/05/2026, puis encaissement de 43,21 €, cheque du 20/05/2026).",
        ),
        (
            de("avis_rectifie", montant_initial_centimes=40_00, motif="x"),
            de("encaissement_recu", **CHEQUE),
            "(rectification à 40,00 €, puis encaissement de 12,34 €, cheque du 20/05/2026).",
        ),
        (de("avis_annule", motif="x"), de("avis_annule", motif="y"), "(annulation, puis annulation)."),
        (de("avis_annule", motif="x"), de("avis_annule", "m2", motif="x"), "annulé"),
    ],
)
def test_la_cause_dit_les_deux_et_le_second_est_garde_entier(
    b: Banc, premier: dict[str, Any], second: dict[str, Any], dit: str
) -> None:
    suite = [premier, second] if premier == avis(1) else [avis(1), premier, second]
    b.emettre_avis(*suite)
    b.consommer("avis", len(suite))
    cause, champs = b.conn.execute(
        "SELECT cause, champs FROM journal.sorts WHERE sort = 'contradictoire'"
    ).fetchone() or ("", {})
    assert dit in cause.replace("\N{NO-BREAK SPACE}", " ")
    assert champs == second
    assert auditer(b.conn).ecarts == []


def test_venus_avant_leur_avis_les_deux_attendent_avec_leur_contenu(b: Banc) -> None:
    b.emettre_avis(
        de("encaissement_recu", **CHEQUE), de("encaissement_recu", **CHEQUE | {"montant_centimes": 43_21}), avis(1)
    )
    b.consommer("avis", 3)
    assert b.conn.execute("SELECT count(*) FROM journal.attentes").fetchone() == (2,)
    reglees = b.conn.execute("SELECT sort, cause FROM journal.attentes_reglees ORDER BY decalage").fetchall()
    assert [sort for sort, _ in reglees] == ["appliquee", "contradictoire"]
    assert "encaissement de 43,21 €" in reglees[1][1].replace("\N{NO-BREAK SPACE}", " ")
