"""`Data` : ce qui s'écrit se relit, et rien d'autre qu'un refus ne sort d'octets quelconques."""

import contextlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosque.interface import FormulaireIllisible, FormulaireIrrecevable
from kiosque.sips.donnees import DATA_OCTETS_MAX, Encodage, decoder, ecrire, encoder, lire, valeur_de
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Algorithme, Marchand, sceller

SECRET = "002001000000001_KEY1"
MARCHAND = Marchand.model_validate({"id": "002001000000001", "cles": {1: SECRET}, "version_courante": 1})
KIOSQUE = Sips(
    ReglagesSips(url="http://kiosque.test/p", url_interrogation="http://kiosque.test/i", marchands={"": MARCHAND})
)

noms = st.text(string.ascii_letters + string.digits + "._", min_size=1, max_size=20)
valeurs = st.text(st.characters(exclude_characters="|", exclude_categories=["Cc", "Cs"]), max_size=30)
champs_libres = st.fixed_dictionaries(
    {}, optional={nom: st.text() | st.none() | st.integers() for nom in ("Data", "Seal", "Encode", "SealAlgorithm")}
)


@given(st.dictionaries(noms, valeurs, min_size=1, max_size=20), st.sampled_from(["base64", "base64url"]))
def test_ce_qui_s_ecrit_se_relit(paires: dict[str, str], encodage: Encodage) -> None:
    assert lire(decoder(encoder(ecrire(paires), encodage), encodage)) == paires


@given(st.dictionaries(noms, st.text(string.printable[:95].replace("|", "")), min_size=1, max_size=20))
def test_en_clair_ce_qui_s_ecrit_se_relit(paires: dict[str, str]) -> None:
    assert lire(decoder(encoder(ecrire(paires), ""), "")) == paires


@given(champs_libres)
def test_des_champs_quelconques_ne_levent_qu_un_refus(champs: dict[str, str]) -> None:
    with contextlib.suppress(FormulaireIrrecevable):
        KIOSQUE.lire(champs)


@given(st.binary(), st.sampled_from(["", "base64", "base64url", "rot13"]))
def test_des_octets_quelconques_ne_levent_qu_un_refus(octets: bytes, encodage: str) -> None:
    with contextlib.suppress(FormulaireIrrecevable):
        KIOSQUE.lire({"Data": octets.decode("utf-8", "surrogateescape"), "Seal": "0" * 64, "Encode": encodage})


@given(
    st.dictionaries(
        st.sampled_from(
            ["amount", "currencyCode", "transactionReference", "responseCode", "transactionDateTime", "maskedPan"]
        ),
        valeurs,
    )
)
def test_sous_un_bon_sceau_des_valeurs_quelconques_ne_levent_qu_un_refus(paires: dict[str, str]) -> None:
    data = encoder(ecrire({**paires, "merchantId": MARCHAND.id, "keyVersion": "1"}), "base64")
    sceau = sceller(data.encode(), SECRET.encode(), Algorithme.SHA_256)
    with contextlib.suppress(FormulaireIrrecevable):
        KIOSQUE.lire({"Data": data, "Seal": sceau, "Encode": "base64"})


def test_une_paire_se_coupe_au_premier_signe_egal_seulement() -> None:
    assert lire("normalReturnUrl=http://a/?b=c|d==") == {"normalReturnUrl": "http://a/?b=c", "d": "="}


def test_le_litteral_null_et_le_vide_sont_absents() -> None:
    lues = lire("a=null|b=|c=nullité".replace("é", "e"))
    assert [valeur_de(lues, nom) for nom in "abcd"] == [None, None, "nullite", None]


@pytest.mark.parametrize(
    "texte", ["", "amount", "amount=1|", "=1", "amount=1|amount=1", "a=1||b=2", "|".join("x" * 999)]
)
def test_un_data_mal_forme_est_illisible(texte: str) -> None:
    with pytest.raises(FormulaireIllisible):
        lire(texte)


@pytest.mark.parametrize(
    ("data", "encodage"),
    [
        ("a=é", ""),
        ("a=b", "rot13"),
        ("****", "base64"),
        ("YQ=b", "base64"),
        ("A", "base64"),
        ("//8=", "base64"),
        ("-_8=", "base64"),
        ("a" * (DATA_OCTETS_MAX + 1), ""),
    ],
)
def test_un_data_mal_encode_ou_trop_long_est_illisible(data: str, encodage: str) -> None:
    with pytest.raises(FormulaireIllisible):
        decoder(data, encodage)


@pytest.mark.parametrize("paires", [{"a": "b|c"}, {"a=b": "c"}, {"": "x"}, {"a": "x\n"}, {"a": "\ud800"}])
def test_ce_qui_ne_se_relirait_pas_ne_s_ecrit_pas(paires: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="champ"):
        ecrire(paires)
