"""La même opération dite autrement par un rapport plus tardif : le dernier qui en parle est ce que la banque en dit."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.redite import Dite, affirmees

LE = datetime(2026, 6, 1, 10, tzinfo=UTC)
MINUIT = datetime(2026, 5, 31, 22, tzinfo=UTC)
GENERE = datetime(2026, 6, 2, tzinfo=UTC)

OPERATIONS = st.tuples(st.sampled_from(["transactions", "operations", "impayes"]), st.sampled_from([0, 1, 2]))
"""Un genre, et une opération : de quoi la nommer."""
RAPPORTS = st.lists(
    st.dictionaries(OPERATIONS, st.sampled_from([0, 5_00, 20_00, 21_00]), max_size=5), min_size=1, max_size=5
)


def dite(genre: str, operation: int, montant: int, rapport: int, *, genere_le: datetime | None = None) -> Dite:
    """Une ligne de ce rapport ; ce qui nomme l'opération est ce que la banque donne : numéro, rang ou instant."""
    transactions = genre == "transactions"
    return Dite(
        genre, "T1", LE + timedelta(seconds=operation), montant, "M1", None if transactions else "CREDIT_CAPTURE",
        f"{operation}" if genre == "operations" else None, None, None, f"0{operation}9" if transactions else None,
        montant if transactions else 0, 0 if transactions else montant, rapport,
        genere_le or GENERE + timedelta(hours=rapport),
    )  # fmt: skip


@given(RAPPORTS, st.lists(st.integers(0, 4), max_size=4), st.randoms(use_true_random=False))
def test_le_dernier_rapport_qui_parle_d_une_operation_est_ce_que_la_banque_en_dit(
    rapports: list[dict[tuple[str, int], int]], redits: list[int], hasard: Any
) -> None:
    dits = {cle: (montant, rang) for rang, rapport in enumerate(rapports) for cle, montant in rapport.items()}
    lignes = [dite(*cle, montant, rang) for rang, rapport in enumerate(rapports) for cle, montant in rapport.items()]
    lignes += [ligne for ligne in lignes if ligne.rapport in redits]
    hasard.shuffle(lignes)
    assert Counter((a.genre, a.survenu_le, a.montant) for a, *_ in affirmees(lignes)) == Counter(
        (genre, LE + timedelta(seconds=operation), montant) for (genre, operation), (montant, _) in dits.items()
    )


def somme(*dites: Dite) -> list[int]:
    return sorted(a.pris + a.rendu for a, *_ in affirmees(dites))


def test_une_autorisation_absente_d_un_cote_se_corrige_a_la_meme_heure_et_a_elle_seule() -> None:
    fausse, juste = dite("transactions", 1, 21_00, 1), dite("transactions", 1, 20_00, 2)._replace(autorisation=None)
    assert somme(fausse, juste) == [20_00]
    assert somme(fausse, juste._replace(survenu_le=MINUIT)) == [20_00], "un jour sans heure ne diffère d'aucune"
    assert somme(fausse, juste._replace(survenu_le=LE + timedelta(minutes=5))) == [20_00, 21_00]


def test_une_autorisation_presente_des_deux_cotes_suffit() -> None:
    fausse, juste = dite("transactions", 1, 21_00, 1), dite("transactions", 1, 20_00, 2)
    assert somme(fausse, juste._replace(survenu_le=LE + timedelta(days=1), autorisation="19")) == [20_00]
    assert somme(fausse, juste._replace(autorisation="761209")) == [20_00, 21_00]
    assert somme(fausse, juste._replace(marchand="M2")) == [20_00, 21_00]


def test_deux_lignes_d_un_meme_rapport_sont_deux_operations() -> None:
    un, deux = (dite("impayes", 1, montant, 1) for montant in (5_00, 3_00))
    assert somme(un, deux) == [3_00, 5_00]
    assert somme(un, deux, deux._replace(rapport=2, genere_le=GENERE + timedelta(days=1))) == [3_00, 5_00]
    assert somme(un, deux, dite("impayes", 1, 4_00, 2)) == [4_00, 5_00], "une ligne n'en corrige qu'une"
    assert somme(un, deux, dite("impayes", 1, 4_00, 2), dite("impayes", 1, 3_00, 3)) == [3_00, 4_00]


def test_ce_qu_une_correction_omet_reste_su_de_l_operation() -> None:
    """Sans quoi la ligne du milieu ferait corriger la première opération par une autre : de l'argent s'oublierait."""
    premiere = dite("transactions", 1, 20_00, 1)
    sans_numero = dite("transactions", 1, 21_00, 2)._replace(autorisation=None)
    assert somme(premiere, sans_numero, dite("transactions", 1, 22_00, 3)._replace(autorisation="7")) == [21_00, 22_00]
    sans_heure = sans_numero._replace(survenu_le=MINUIT)
    plus_tard = dite("transactions", 1, 22_00, 3)._replace(autorisation=None, survenu_le=LE + timedelta(hours=1))
    assert somme(premiere._replace(autorisation=None), sans_heure, plus_tard) == [21_00, 22_00]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["transactions", "operations", "impayes"]),
            st.sampled_from([5_00, 20_00, 21_00]),
            st.sampled_from([LE, LE, MINUIT, LE + timedelta(hours=1)]),
            st.sampled_from(["1", "2"]),
            st.integers(1, 4),
        ),
        max_size=8,
    ),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_nulle_correction_ne_laisse_moins_d_operations_qu_un_rapport_n_en_dit(
    dits: list[tuple[str, int, datetime, str, int]],
    numerotes: bool,  # noqa: FBT001
    hasard: Any,
) -> None:
    """Un rapport ne se corrige pas : ce qu'il dit ensemble, seul un numéro en fait une seule opération."""
    lignes = []
    for genre, montant, instant, numero, rapport in dits:
        ligne = dite(genre, 0, montant, rapport)._replace(survenu_le=instant)
        dit = numero if numerotes else None
        transactions = genre == "transactions"
        lignes.append(ligne._replace(autorisation=dit) if transactions else ligne._replace(sequence=dit))
    retenues = affirmees(lignes)
    for genre, rapport in {(ligne.genre, ligne.rapport) for ligne in lignes}:
        ensemble = [li for li in lignes if (li.genre, li.rapport) == (genre, rapport)]
        numeros = [a.dite.autorisation or a.dite.sequence for a in affirmees(ensemble)]
        distinctes = len({numero for numero in numeros if numero}) + numeros.count(None)
        assert sum(a.dite.genre == genre for a in retenues) >= distinctes
    hasard.shuffle(lignes)
    assert Counter(a.dite for a in affirmees([*lignes, *lignes])) == Counter(a.dite for a in retenues)


def test_un_refus_sans_numero_ne_reprend_pas_l_argent_d_un_jour_sans_heure() -> None:
    pris = dite("transactions", 1, 20_00, 1)._replace(code="00")
    refus = pris._replace(pris=0, code="94", autorisation=None, rapport=2, genere_le=GENERE + timedelta(days=1))
    assert somme(pris._replace(survenu_le=MINUIT), refus._replace(survenu_le=MINUIT)) == [0, 20_00]
    assert somme(pris, refus._replace(survenu_le=LE + timedelta(hours=1))) == [0, 20_00]
    assert somme(pris, refus) == [0], "à la même heure, c'est la même ligne, corrigée"


def test_deux_rapports_du_meme_instant_se_departagent_par_leur_lecture() -> None:
    assert somme(
        dite("transactions", 1, 21_00, 7, genere_le=GENERE), dite("transactions", 1, 20_00, 8, genere_le=GENERE)
    ) == [20_00]
