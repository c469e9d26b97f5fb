"""Ce que la banque redit dans ses rapports ne compte qu'une fois, une case en plus ou en moins."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.redite import Dite, affirmees

LE = datetime(2026, 6, 1, 10, tzinfo=UTC)
FACULTATIFS = ("marchand", "operation", "sequence", "frais", "code", "autorisation", "survenu_le")
MINUIT = datetime(2026, 5, 31, 22, tzinfo=UTC)
"""Le même jour à Paris, sans son heure."""
GENRES = ("transactions", "operations", "rapprochements", "impayes")

LIGNES = st.builds(
    lambda genre, heure, montant, marchand, operation, sequence, frais, autorisation: Dite(
        genre, "T1", LE.replace(hour=10 if genre == "transactions" else heure), montant, marchand, operation, sequence,
        frais, "00", autorisation,
        montant * (operation == "DEBIT_CAPTURE"), montant * (operation == "CREDIT_CAPTURE"), 1, LE,
    ),
    st.sampled_from(GENRES),
    st.sampled_from([10, 11]),
    st.sampled_from([10_00, 20_00]),
    st.sampled_from(["M1", "M2"]),
    st.sampled_from(["DEBIT_CAPTURE", "CREDIT_CAPTURE"]),
    st.sampled_from(["1", "2"]),
    st.sampled_from([8, 9]),
    st.sampled_from(["A1", "B2"]),
)  # fmt: skip


def masquee(dite: Dite, absents: set[str]) -> Dite:
    """La même, ces cases absentes ; sans l'opération, la banque ne dit que le montant pris."""
    vides: dict[str, Any] = dict.fromkeys(absents) | ({"survenu_le": MINUIT} if "survenu_le" in absents else {})
    sans = dite._replace(**vides)
    return sans._replace(pris=dite.montant, rendu=0) if "operation" in absents else sans


def sommes(dites: list[Dite]) -> Counter[Any]:
    """Ce qui en est compté, combien de fois ; l'instant d'une transaction ne la distingue pas."""
    return Counter(
        d._replace(survenu_le=LE if d.genre == "transactions" else d.survenu_le) for d, *_ in affirmees(dites)
    )


@given(
    st.lists(LIGNES, min_size=1, max_size=4, unique=True),
    st.lists(st.tuples(st.integers(0, 3), st.sets(st.sampled_from(FACULTATIFS))), max_size=8),
    st.randoms(use_true_random=False),
)
def test_redites_avec_des_cases_absentes_elles_comptent_une_fois_chacune(
    lignes: list[Dite], redites: list[tuple[int, set[str]]], hasard: Any
) -> None:
    toutes = [*lignes, *(masquee(lignes[laquelle % len(lignes)], absents) for laquelle, absents in redites)]
    hasard.shuffle(toutes)
    assert sommes(toutes) == sommes(lignes)
    assert sorted(rang for affirmee in affirmees(toutes) for rang in affirmee.rangs) == list(range(len(toutes)))


@given(
    LIGNES,
    st.lists(st.sets(st.sampled_from(FACULTATIFS), max_size=5), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_une_seule_ligne_jamais_dite_en_entier_ne_compte_qu_une_fois(
    ligne: Dite, masques: list[set[str]], hasard: Any
) -> None:
    dites = [masquee(ligne, absents) for absents in masques]
    hasard.shuffle(dites)
    ((dite, rangs, _),) = affirmees(dites)
    assert sorted(rangs) == list(range(len(dites)))
    if any("operation" not in absents for absents in masques):
        assert (dite.pris, dite.rendu) == (ligne.pris, ligne.rendu)


@given(st.lists(st.tuples(LIGNES, st.sets(st.sampled_from(FACULTATIFS))), max_size=8), st.randoms())
def test_l_ordre_et_le_nombre_des_redites_n_y_changent_rien(dits: list[tuple[Dite, set[str]]], hasard: Any) -> None:
    dites = [masquee(dite, absents) for dite, absents in dits]
    melees = [*dites, *dites]
    hasard.shuffle(melees)
    assert sommes(melees) == sommes(dites)


def test_deux_lignes_dont_une_case_presente_differe_sont_deux() -> None:
    une = Dite("rapprochements", "T1", LE, 10_00, "M1", None, None, 8, None, "0123", 10_00, 0, 1, LE)
    assert len(affirmees([une, une._replace(frais=9)])) == 2
    assert len(affirmees([une, une._replace(marchand="M2")])) == 2
    assert len(affirmees([une, une._replace(autorisation="123")])) == 1
