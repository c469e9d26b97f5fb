"""`Data` : ce qui s'écrit se relit, et rien d'autre qu'un refus ne sort d'octets quelconques."""

import base64
import contextlib
import json
import string
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosque.interface import FormulaireIllisible, FormulaireIrrecevable, Requete, Verifiee
from kiosque.sips.donnees import (
    DATA_OCTETS_MAX,
    Encodage,
    decoder,
    ecrire,
    encoder,
    lire_paires,
    paires_simples,
    premieres,
    valeur_de,
)
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.reponses import UTILISES
from kiosque.sips.sceau import Algorithme, Marchand, sceller

SECRET = "002001000000001_KEY1"
MARCHAND = Marchand.model_validate({"id": "002001000000001", "cles": {1: SECRET}, "version_courante": 1})
KIOSQUE = Sips(ReglagesSips(url="http://kiosque.test/p", office="http://kiosque.test", marchands={"": MARCHAND}))

noms = st.text(string.ascii_letters + string.digits + "._", min_size=1, max_size=20)
valeurs = st.text(st.characters(exclude_characters="|", exclude_categories=["Cc", "Cs"]), max_size=30)
champs_libres = st.fixed_dictionaries(
    {}, optional={nom: st.text() | st.none() | st.integers() for nom in ("Data", "Seal", "Encode", "SealAlgorithm")}
)


PAIRES = [
    "a=1",
    "b=2",
    "a=3",
    "c",
    "=4",
    "",
    "d=e=f",
    "amount=5",
    'g="',
    'h=1","i=2',
    "j\\=",
    "k=\\",
    "l=\t",
    "\ud800=",
]


@given(st.lists(st.sampled_from(PAIRES)).map("|".join) | st.text('a|="\\,:{}\t\N{NO-BREAK SPACE}') | st.text())
def test_lues_en_une_passe_les_paires_sont_celles_que_lit_la_boucle(texte: str) -> None:
    simples = paires_simples(texte)
    if simples is not None:
        assert simples == lire_paires(texte) == premieres(texte)


def test_une_paire_repetee_abimee_ou_vide_demande_la_boucle() -> None:
    assert paires_simples("a=1|b=2=3") == {"a": "1", "b": "2=3"}
    for texte in ("a=1|a=1", "a=1|b", "a=1||b=2", "=1", ""):
        assert paires_simples(texte) is None


@given(st.dictionaries(noms, valeurs, min_size=1, max_size=20), st.sampled_from(["base64", "base64url"]))
def test_ce_qui_s_ecrit_se_relit(paires: dict[str, str], encodage: Encodage) -> None:
    assert lire_paires(decoder(encoder(ecrire(paires), encodage).encode(), encodage)) == paires


@given(st.dictionaries(noms, st.text(string.printable[:95].replace("|", "")), min_size=1, max_size=20))
def test_en_clair_ce_qui_s_ecrit_se_relit(paires: dict[str, str]) -> None:
    assert lire_paires(decoder(encoder(ecrire(paires), "").encode(), "")) == paires


@given(champs_libres)
def test_des_champs_quelconques_ne_levent_qu_un_refus(champs: dict[str, str]) -> None:
    with contextlib.suppress(FormulaireIrrecevable):
        KIOSQUE.reponse(champs)


@given(st.binary(), st.sampled_from(["", "base64", "base64url", "rot13"]))
def test_des_octets_quelconques_ne_levent_qu_un_refus(octets: bytes, encodage: str) -> None:
    with contextlib.suppress(FormulaireIrrecevable):
        KIOSQUE.reponse({"Data": octets.decode("utf-8", "surrogateescape"), "Seal": "0" * 64, "Encode": encodage})


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
        KIOSQUE.reponse({"Data": data, "Seal": sceau, "Encode": "base64"})


def test_une_paire_se_coupe_au_premier_signe_egal_seulement() -> None:
    assert lire_paires("normalReturnUrl=http://a/?b=c|d==") == {"normalReturnUrl": "http://a/?b=c", "d": "="}


def test_le_litteral_null_et_le_vide_sont_absents() -> None:
    lues = lire_paires("a=null|b=|c=nullité".replace("é", "e"))
    assert [valeur_de(lues, nom) for nom in "abcd"] == [None, None, "nullite", None]


@pytest.mark.parametrize("texte", ["", "amount", "amount=1|", "=1|amount=1", "amount=1||", "|".join("x" * 999)])
def test_une_paire_vide_ou_sans_egal_est_passee(texte: str) -> None:
    assert lire_paires(texte).keys() <= {"amount"}


def test_un_champ_utilise_ne_vient_qu_une_fois_et_les_autres_autant_qu_ils_veulent() -> None:
    with pytest.raises(FormulaireIllisible, match="amount"):
        lire_paires("amount=1|x=1|amount=1")
    assert lire_paires("amount=1|x=1|x=2", {"amount"}) == {"amount": "1", "x": "1"}


@pytest.mark.parametrize(
    ("data", "encodage"),
    [
        (b"****", "base64"),
        (b"YQ=b", "base64"),
        (b"A", "base64"),
        (b"\xff\xfe", "base64"),
        (b"a" * (DATA_OCTETS_MAX + 1), ""),
    ],
)
def test_un_data_mal_encode_ou_trop_long_est_illisible(data: bytes, encodage: str) -> None:
    with pytest.raises(FormulaireIllisible):
        decoder(data, encodage)


@pytest.mark.parametrize("paires", [{"a": "b|c"}, {"a=b": "c"}, {"": "x"}, {"a": "x\n"}, {"a": "\ud800"}])
def test_ce_qui_ne_se_relirait_pas_ne_s_ecrit_pas(paires: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="champ"):
        ecrire(paires)


# --- Le sceau d'abord, puis les seuls champs utilisés ----------------------------------------------------------------

BASE = {
    "captureMode": "AUTHOR_CAPTURE",
    "currencyCode": "978",
    "merchantId": MARCHAND.id,
    "keyVersion": "1",
    "transactionReference": "PCLCB172540000004",
    "amount": "2000",
    "responseCode": "00",
    "transactionDateTime": "2026-06-01T11:59:00+02:00",
    "authorisationId": "761208",
}
libre = st.text(st.characters(exclude_characters="|", exclude_categories=["Cs"]), max_size=20)
inutiles = st.one_of(
    st.just(""),
    libre.filter(lambda paire: "=" not in paire),
    st.tuples(libre.filter(lambda nom: "=" not in nom and nom not in UTILISES), libre).map("=".join),
)


@given(
    st.lists(inutiles, max_size=30).flatmap(
        lambda ajouts: st.permutations([*(f"{nom}={valeur}" for nom, valeur in BASE.items()), *ajouts])
    ),
    st.sampled_from(["", "null", "base64", "BASE64", "base64url", "Base64URL", " base64 "]),
    st.sampled_from([0, 4, 76]),
)
def test_ce_dont_on_ne_se_sert_pas_ne_change_rien_a_la_lecture(paires: list[str], encodage: str, pli: int) -> None:
    data = encoder_comme_la_banque("|".join(paires).encode(), encodage, pli)
    sceau = sceller(data, SECRET.encode(), Algorithme.SHA_256)
    corps = urlencode({"Data": data, "Seal": sceau, "Encode": encodage, "autre": "x"}).encode() + b"&autre=y"
    recue = KIOSQUE.lire(Requete(corps, {}))
    assert recue.lecture == Verifiee(KIOSQUE.reponse(scelle("|".join(f"{n}={v}" for n, v in BASE.items()))))
    assert recue.valeur is not None
    assert "autre" not in recue.valeur
    assert KIOSQUE.relire(json.loads(json.dumps(recue.valeur))) == recue.lecture


def test_ce_que_nous_ajoutons_ne_vient_pas_du_reseau() -> None:
    forge = base64.b64encode("|".join(f"{n}={v}" for n, v in BASE.items()).encode()).decode()
    corps = urlencode({"DataBase64": forge, "recue_le": "1999-01-01T00:00:00Z", **scelle("amount=1")}).encode()
    recue = KIOSQUE.lire(Requete(corps, {}))
    assert recue.valeur is not None
    assert recue.valeur.keys() == {"Data", "Seal"}


def test_un_accent_hors_utf_8_dans_un_champ_inutile_ne_coute_pas_une_acceptation() -> None:
    data = "|".join(f"{nom}={valeur}" for nom, valeur in {**BASE, "profil": "Règles"}.items()).encode("latin-1")
    sceau = sceller(data, SECRET.encode(), Algorithme.SHA_256)
    recue = KIOSQUE.lire(Requete(urlencode({"Data": data, "Seal": sceau}).encode(), {}))
    assert isinstance(recue.lecture, Verifiee)
    assert recue.valeur is not None
    assert KIOSQUE.relire(json.loads(json.dumps(recue.valeur))) == recue.lecture


@pytest.mark.parametrize("nom", sorted(UTILISES))
def test_un_champ_utilise_deux_fois_est_refuse_sous_son_bon_sceau(nom: str) -> None:
    valeurs = {**BASE, "maskedPan": "5017#####00", "returnContext": "j", "paymentMeanBrand": "CB"} | {
        "acquirerResponseCode": "00"
    }
    texte = "|".join(f"{n}={v}" for n, v in valeurs.items())
    with pytest.raises(FormulaireIllisible, match=nom):
        KIOSQUE.reponse(scelle(f"{texte}|{nom}={valeurs[nom]}"))


def scelle(texte: str) -> dict[str, str]:
    return {"Data": texte, "Seal": sceller(texte.encode(), SECRET.encode(), Algorithme.SHA_256)}


def encoder_comme_la_banque(octets: bytes, encodage: str, pli: int) -> bytes:
    """Replié, comme le font des bibliothèques d'ancienne école."""
    if encodage in {"", "null"}:
        return octets
    url = "url" in encodage.lower()
    code = base64.urlsafe_b64encode(octets) if url else base64.b64encode(octets)
    return b"\r\n".join(code[i : i + pli] for i in range(0, len(code), pli)) if pli else code
