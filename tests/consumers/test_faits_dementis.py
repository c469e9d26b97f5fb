"""Un fait qui se lit mais se dément (d'un autre flux, d'une créance absente, d'un nom impossible) : le message attend.

Ce que porte le journal n'est pas la faute de ce qui arrive ensuite ; rien n'est refusé, rien ne tourne sans fin.
"""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.conflicts import LogContradicts, VersionConflict
from engine.decision import decide
from engine.messages import CAUSE_MAX
from engine.outages import describe, storable
from tests.consumers.banc import Banc, avis, banc, cheque, notification
from tests.consumers.test_attentes import abimer, lever, ouvertes, solde

AILLEURS = avis(99)["reference"]


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


@pytest.mark.parametrize(
    ("de", "faux"),
    [
        ("creance", {"reference": AILLEURS}),
        ("creance", {"originator_topic": "un\x00nom"}),
        ("paiement", {"transaction": "AUTRE"}),
        ("paiement", {"imputations": [{"reference": AILLEURS, "part": 20_00}]}),
        ("paiement", {"imputations": [{"reference": "un\x00nom", "part": 20_00}]}),
    ],
    ids=["autre créance", "classe impossible", "autre transaction", "créance absente", "créance impossible"],
)
def test_l_acceptation_attend_et_compte_une_fois_une_fois_le_fait_repare(
    b: Banc, base: Any, de: str, faux: dict[str, Any]
) -> None:
    b.emettre_avis(avis(1), avis(2))
    b.consommer("avis", 2)
    gate, sain = (b.ouvrir(avis(n)["reference"], 20_00) for n in (1, 2))
    flux = f"paiement-{gate}" if de == "paiement" else f"creance-{avis(1)['reference']}"
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        bon = premier(b, flux)
        abimer(proprietaire, flux, json.dumps(json.loads(bon) | faux).encode())
        b.emettre(b.settings.topic_notifications, [(t, notification(t, 20_00)) for t in (gate, sain, gate)])
        b.consommer("kiosque", 3)
        assert b.par_sort(b.settings.topic_notifications) == {"en_souffrance": 2, "appliquee": 1}
        lever(b, "kiosque")
        assert ouvertes(b) == 2
        abimer(proprietaire, flux, bon)
    lever(b, "kiosque")
    assert ouvertes(b) == 0
    b.projeter()
    assert (solde(b, 1), solde(b, 2)) == (87_09 - 20_00, 87_09 - 20_00)


@pytest.mark.parametrize("faux", [{"reference": AILLEURS}, {"originator_topic": "un\x00nom"}], ids=["autre", "nul"])
def test_un_cheque_attend_de_meme(b: Banc, base: Any, faux: dict[str, Any]) -> None:
    b.emettre_avis(avis(1))
    b.consommer("avis", 1)
    flux = f"creance-{avis(1)['reference']}"
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        bon = premier(b, flux)
        abimer(proprietaire, flux, json.dumps(json.loads(bon) | faux).encode())
        b.emettre_avis(cheque(1, 5_00))
        b.consommer("avis", 2)
        assert b.par_sort(b.settings.topic_avis) == {"appliquee": 1, "en_souffrance": 1}
        abimer(proprietaire, flux, bon)
    lever(b, "avis")
    b.projeter()
    assert (ouvertes(b), solde(b, 1)) == (0, 87_09 - 5_00)


def premier(b: Banc, flux: str) -> bytes:
    (etat,) = b.conn.execute(
        "SELECT etat FROM journal.evenements WHERE flux = %s AND version = 1", (flux,)
    ).fetchone() or (b"",)
    return bytes(etat)


def test_une_version_prise_que_personne_ne_prend_n_est_pas_retentee_sans_fin(b: Banc) -> None:
    essais: list[int] = []

    def decision(_conn: object) -> None:
        essais.append(len(essais))
        if len(essais) > 20:
            pytest.fail("sans fin")
        raise VersionConflict("creance-X v1")

    with pytest.raises(LogContradicts, match="creance-X"):
        decide(b.guichet.base, b.guichet.recorder, decision)
    assert len(essais) == 4


def test_des_noms_deja_pris_s_essaient_jusqu_au_premier_libre(b: Banc) -> None:
    """Le nom d'un paiement est tiré à chaque essai : en trouver plusieurs pris n'est pas une faute."""
    noms = iter(range(12))

    def decision(_conn: object) -> int:
        nom = next(noms)
        if nom < 10:
            raise VersionConflict(f"paiement-{nom} v1")
        return nom

    assert decide(b.guichet.base, b.guichet.recorder, decision) == 10


@given(st.text(st.characters()))
def test_ce_qui_dit_une_faute_se_range_toujours(texte: str) -> None:
    for dit in (storable(texte), describe(ValueError(texte))[:CAUSE_MAX]):
        assert "\x00" not in dit
        dit.encode("utf-8")
