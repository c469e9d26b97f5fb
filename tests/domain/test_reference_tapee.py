"""La référence telle qu'une personne la tape : lue quand rien ne la rend douteuse, sinon ce qui manque est dit."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.references import DefautDeReference, ReferenceIllisible, lire_reference_tapee
from tests.outils import exemples

REF = "3811701200010075F"
REFERENCES = st.from_regex(r"[0-9]{16}[A-Z]", fullmatch=True)
SEPARATEURS = st.sampled_from(
    ["", " ", "-", ".", "\N{NO-BREAK SPACE}", "\N{EN DASH}", "\N{ZERO WIDTH SPACE}", "\N{SOFT HYPHEN}"]
)


@settings(max_examples=exemples(40, 300))
@given(REFERENCES, st.data())
def test_separateurs_casse_lettres_pour_chiffres_et_texte_autour_ne_changent_pas_la_reference(
    reference: str, data: st.DataObject
) -> None:
    # Une saisie sans un seul chiffre n'est pas lue.
    assume(reference[:-1].strip("0"))
    signes = [signe.replace("0", data.draw(st.sampled_from("0Oo"))) for signe in reference[:-1]]
    tapee = "".join(signe + data.draw(SEPARATEURS) for signe in signes) + reference[-1].lower()
    avant = data.draw(st.sampled_from(["", "N° ", "n°", "Réf. : ", "Votre référence est ", "  "]))
    apres = data.draw(st.sampled_from(["", ".", "  ", "\n"]))
    assert lire_reference_tapee(avant + tapee + apres) == reference


@given(st.text())
def test_toute_saisie_est_une_reference_ou_un_defaut(saisie: str) -> None:
    lue = lire_reference_tapee(saisie)
    assert isinstance(lue, ReferenceIllisible) or lire_reference_tapee(lue) == lue


@pytest.mark.parametrize(
    ("saisie", "defauts"),
    [
        ("3811701200010075", DefautDeReference.LETTRE_ABSENTE),
        ("381170120001007F", DefautDeReference.CHIFFRES_MANQUANTS),
        ("38117012000100755F", DefautDeReference.CHIFFRES_EN_TROP),
        ("1 3811701200010075F", DefautDeReference.CHIFFRES_EN_TROP),
        ("3811701200010075ſ", DefautDeReference.FORME),
        ("3811701200010075FF", DefautDeReference.LETTRES_EN_TROP),
        ("381170120OO10075fb", DefautDeReference.LETTRES_EN_TROP),
        ("381170120001007", (DefautDeReference.CHIFFRES_MANQUANTS, DefautDeReference.LETTRE_ABSENTE)),
        ("38117012X0010075F", DefautDeReference.SIGNE_DEPLACE),
        ("3811701200010075F1", DefautDeReference.SUITE_EN_TROP),
        ("2 55 08 14 168 025 38", DefautDeReference.SECURITE_SOCIALE),
        ("2550814168025", DefautDeReference.SECURITE_SOCIALE),
        ("284052A32102552", DefautDeReference.SECURITE_SOCIALE),
        ("PCLCB172540000004", DefautDeReference.PAIEMENT),
        ("pclcb 17254 0000004", DefautDeReference.PAIEMENT),
        ("3811701200010075 merci", DefautDeReference.FORME),
        ("", DefautDeReference.FORME),
        ("9" * 2_000, DefautDeReference.FORME),
        (f"{REF} ou 3811702400012980F", DefautDeReference.PLUSIEURS),
    ],
)
def test_ce_qui_fait_doute_est_nomme(saisie: str, defauts: DefautDeReference | tuple[DefautDeReference, ...]) -> None:
    lue = lire_reference_tapee(saisie)
    assert isinstance(lue, ReferenceIllisible)
    assert lue.defauts == (defauts if isinstance(defauts, tuple) else (defauts,))


@given(REFERENCES, st.integers(1, 7), st.sampled_from("XBS"), st.booleans())
def test_plusieurs_fautes_de_frappe_se_disent_toutes(reference: str, otes: int, deplace: str, lettre: bool) -> None:  # noqa: FBT001
    chiffres = "9" + reference[1 : -1 - otes]
    saisie = chiffres[:4] + deplace + chiffres[5:] + (reference[-1] if lettre else "")
    lue = lire_reference_tapee(saisie)
    assert isinstance(lue, ReferenceIllisible)
    attendus = [DefautDeReference.CHIFFRES_MANQUANTS, DefautDeReference.SIGNE_DEPLACE]
    assert list(lue.defauts) == attendus + ([] if lettre else [DefautDeReference.LETTRE_ABSENTE])
    assert (lue.chiffres, lue.deplaces) == (16 - otes, deplace)


def test_la_meme_reference_deux_fois_n_est_pas_un_doute() -> None:
    assert lire_reference_tapee(f"{REF}, je répète : {REF}") == REF
