"""Ce que la banque poste, écrit de toutes les façons connues : un refus qui nomme le champ, ou la bonne valeur."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from domain.reponse import Issue, ReponseBancaire
from kiosque.interface import Recue, Rejetee, Requete, Verifiee
from kiosque.sips.sceau import Algorithme, sceller
from tests.kiosque.conftest import MARCHAND, SECRET, sips

RETIRE = "002001000000009"
KIOSQUE = sips(retires=[{"id": RETIRE, "cles": {1: "ancienne"}, "version_courante": 1}])
BASE: dict[str, str | None] = {
    "captureMode": "AUTHOR_CAPTURE",
    "currencyCode": "978",
    "merchantId": MARCHAND,
    "keyVersion": "1",
    "transactionReference": "T1",
    "amount": "2000",
    "responseCode": "00",
    "transactionDateTime": "2026-06-01T11:59:00+02:00",
    "authorisationId": "761208",
}
FINE = "\N{NARROW NO-BREAK SPACE}"
ACCENT = "|profil=éàü>>>???"


def data(**changements: str | None) -> str:
    return "|".join(f"{nom}={valeur}" for nom, valeur in (BASE | changements).items() if valeur is not None)


def poster(texte: str | bytes, encodage: str | None = None, *, secret: str = SECRET, suite: str = "") -> Recue:
    octets = texte.encode() if isinstance(texte, str) else texte
    champs: dict[str, Any] = {"Data": octets, "Seal": sceller(octets, secret.encode(), Algorithme.SHA_256)}
    if encodage is not None:
        champs["Encode"] = encodage
    return KIOSQUE.lire(Requete(urlencode(champs).encode() + suite.encode(), {}))


def lue(recue: Recue) -> ReponseBancaire:
    """La réponse, une fois relu aussi ce que le topic en garde."""
    assert isinstance(recue.lecture, Verifiee), recue.lecture
    assert recue.valeur is not None
    assert KIOSQUE.relire(json.loads(json.dumps(dict(recue.valeur)))) == recue.lecture
    return recue.lecture.reponse


ATTENDUE = lue(poster(data()))


def standard(texte: str) -> bytes:
    return base64.b64encode(texte.encode())


def url(texte: str) -> bytes:
    return base64.urlsafe_b64encode(texte.encode())


@pytest.mark.parametrize(
    "recue",
    [
        pytest.param(poster(data(captureMode="")), id="captureMode vide"),
        pytest.param(poster(data(captureMode="VALIDATION")), id="captureMode autre"),
        pytest.param(poster(data(amount="02000")), id="zéro de tête"),
        pytest.param(poster(data(currencyCode=None)), id="devise tue"),
        pytest.param(poster(data(authorisationId=" 761208 ")), id="autorisation entre blancs"),
        pytest.param(poster(data(maskedPan="4970100000000055")), id="numéro entier"),
        pytest.param(poster(data(returnContext="x" * 65)), id="jeton trop long"),
        pytest.param(poster(data() + "|"), id="barre à la fin"),
        pytest.param(poster("|" + data()), id="barre au début"),
        pytest.param(poster(data() + "|=x|y|z=|AMOUNT=9"), id="paires vides"),
        pytest.param(poster(data(x="a&b=c\r\n\0")), id="esperluette, lignes, octet nul"),
        pytest.param(poster(b"\xef\xbb\xbf" + data().encode()), id="marque d'ordre"),
        *(
            pytest.param(poster(data() + fin), id=f"fin de ligne {fin!r} après un champ utilisé")
            for fin in ("\n", "\r\n", "|\r\n")
        ),
        pytest.param(
            poster("\ufeff" + "|".join(reversed(data().split("|")))), id="marque d'ordre devant un champ utilisé"
        ),
        pytest.param(poster(standard(data() + "\n"), "base64"), id="fin de ligne en base64"),
        pytest.param(poster((data() + ACCENT).encode("latin-1")), id="latin-1"),
        pytest.param(poster(standard(data() + ACCENT), "base64"), id="base64"),
        pytest.param(poster(url(data() + ACCENT), "base64url"), id="base64url"),
        pytest.param(poster(url(data() + ACCENT).rstrip(b"="), "base64url"), id="sans remplissage"),
        pytest.param(poster(url(data() + ACCENT), "base64"), id="l'autre alphabet"),
        pytest.param(poster(standard(data() + ACCENT)), id="base64 que rien n'annonce"),
        pytest.param(poster(url(data() + ACCENT).rstrip(b"="), "null"), id="base64url que rien n'annonce"),
        pytest.param(poster(data(), "base64"), id="base64 annoncé à tort"),
        *(
            pytest.param(poster(octets, dit), id=f"{dit!r}, {octets[:3]!r}")
            for dit in ("UTF-8", "none", "base-64", "Base 64", "rot13", "aucun")
            for octets in (data().encode(), standard(data() + ACCENT), url(data() + ACCENT).rstrip(b"="))
        ),
        pytest.param(poster(data(), suite="&z=1&z=2"), id="champ inutile répété"),
    ],
)
def test_ce_qui_ne_change_pas_le_sens_est_lu(recue: Recue) -> None:
    assert lue(recue) == ATTENDUE


@pytest.mark.parametrize("absente", [None, "", "null", "NULL", "Null ", "   "])
def test_une_autorisation_absente_l_est_quelle_que_soit_son_ecriture(absente: str | None) -> None:
    assert lue(poster(data(authorisationId=absente))) == ATTENDUE._replace(autorisation=None)


@pytest.mark.parametrize("instant", ["26-01-01", "46154", "9999-12-31T23:59:59-14:00", "01/06/2026 10:00", ""])
def test_un_instant_abime_ne_coute_pas_l_acceptation(instant: str) -> None:
    assert lue(poster(data(transactionDateTime=instant))) == ATTENDUE._replace(transaction_le=None)


def test_un_marchand_retire_se_lit_sous_sa_cle() -> None:
    assert lue(poster(data(merchantId=RETIRE), secret="ancienne")).marchand == RETIRE


def test_un_montant_nul_et_un_code_court_ne_sont_jamais_de_l_argent_invente() -> None:
    assert lue(poster(data(amount="0"))).montant == 0
    assert lue(poster(data(responseCode="0"))).issue is Issue.REFUSEE


@pytest.mark.parametrize(
    ("recue", "detail"),
    [
        *(
            pytest.param(poster(data(amount=m)), "amount manque ou n'est pas", id=f"montant {m!r}")
            for m in ("16.00", "1600,00", "1 600", f"1{FINE}600", "-1", "+1", "1e3", "", "null", "1" * 13)
        ),
        *(pytest.param(poster(data(currencyCode=d)), "euro", id=f"devise {d!r}") for d in ("840", "EUR", " 978")),
        *(
            pytest.param(poster(data(keyVersion=v)), "version de clé inconnue", id=f"version {v!r}")
            for v in ("3", "01", "abc", None, "")
        ),
        *(
            pytest.param(poster(data(responseCode=c)), "responseCode manque", id=f"code {c!r}")
            for c in ("", " 00", "null", "0 0")
        ),
        *(
            pytest.param(poster(data(transactionReference=t)), "transactionReference", id=f"transaction {t!r}")
            for t in ("", "é", "A-1", "x" * 36, "T 1")
        ),
        pytest.param(poster(data(merchantId="002001000000008")), "marchand", id="marchand inconnu"),
        pytest.param(poster(data(merchantId=RETIRE)), "sceau", id="marchand retiré, autre clé"),
        pytest.param(poster(data().replace("amount", "Amount")), "amount manque", id="nom en capitale"),
        pytest.param(poster(data() + "|amount=2000"), "le champ amount est répété", id="montant répété"),
        pytest.param(poster(data() + "|responseCode=05"), "le champ responseCode est répété", id="code répété"),
        pytest.param(poster(data().replace("|", ";")), "marchand", id="points-virgules"),
        pytest.param(poster(data().encode("utf-16")), "marchand", id="UTF-16"),
        pytest.param(poster(data(x="a" * 33_000)), "Data dépasse 32768 octets", id="trop long"),
        pytest.param(poster(data(), suite="&Data=x"), "le champ Data est répété", id="Data répété"),
        pytest.param(poster(data(), suite="&Seal=x"), "le champ Seal est répété", id="Seal répété"),
        pytest.param(poster(standard(data()), "base64", suite="&Encode="), "Encode est répété", id="Encode répété"),
        pytest.param(
            poster(data(), suite="".join(f"&z{n}=1" for n in range(201))), "plus de 200 champs", id="201 champs"
        ),
        *(
            pytest.param(KIOSQUE.lire(Requete(corps, {})), "champ", id=repr(corps))
            for corps in (b"", b"Data=&Seal=x", b"Seal=x", b"Data=a%7Cb", b'{"Data":"x"}', b"--x\r\nContent")
        ),
    ],
)  # fmt: skip
def test_le_reste_est_refuse_en_nommant_le_champ(recue: Recue, detail: str) -> None:
    assert isinstance(recue.lecture, Rejetee)
    assert detail in str(recue.lecture.refus)


@pytest.mark.parametrize(
    "valeur",
    [
        {"Data": f'{{"merchantId":"{MARCHAND}","seal":"x","a":"\\ud800"}}', "InterfaceVersion": "DR_WS_2.58"},
        {"Data": '{"merchantId":"\\ud800"}', "InterfaceVersion": "DR_WS_2.58"},
        {"Data": f'{{"merchantId":"{MARCHAND}","seal":"x","\\udfff":{"9" * 9_999}}}', "InterfaceVersion": "DR_WS_2.58"},
        {"Data": '{"merchantId":' + "[" * 50_000, "InterfaceVersion": "DR_WS_2.58"},
        {"Data": "a\ud800", "Seal": "x"},
        {"Data": data(), "Seal": "\ud800"},
        {"Data": data(), "Seal": "x", "Encode": "\ud800"},
        {"Data": "x", "Seal": "x", "DataBase64": "\ud800"},
        {"Chiffre": "\ud800"},
    ],
    ids=range(9),
)
def test_rien_de_ce_que_le_topic_porte_ne_leve(valeur: dict[str, object]) -> None:
    assert isinstance(KIOSQUE.relire(valeur), Rejetee)
