"""Ce qui est gardé d'un message de la banque : de quoi le croire et le relire, rien de la carte ni de la personne."""

import base64
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from kiosque.interface import Recue, Rejetee, Requete, Verifiee
from kiosque.sips.depouillement import (
    CHIFFRE,
    SCEAU_DE_LA_BANQUE,
    depouiller_office,
    pseudonyme_bancaire,
)
from kiosque.sips.office.sceau import ecrire_json, sceau_tient, sceller_json
from kiosque.sips.paypage import Sips
from kiosque.sips.sceau import Algorithme, sceller
from tests.kiosque.conftest import MARCHAND, SECRET, sips

CARTE = "4970100000000055"
PERSONNEL = {
    "customerEmail": "jeanne.martin@example.org",
    "panExpiryDate": "203002",
    "customerIpAddress": "194.78.195.168",
    "tokenPan": "g011040a730424d1ba6",
    "holderName": "MARTIN JEANNE",
}
SIMPLE = f"amount=2000|currencyCode=978|merchantId={MARCHAND}|keyVersion=1|transactionReference=T1|responseCode=00"
KIOSQUE = sips()


def poster(data: str, secret: str = SECRET, **autres: str) -> tuple[dict[str, str], Recue]:
    algorithme = Algorithme.SHA_256
    champs = {"Data": data, "Seal": sceller(data.encode(), secret.encode(), algorithme), **autres}
    return champs, KIOSQUE.lire(Requete(urlencode(champs).encode(), {}))


def toutes(valeurs: dict[str, str]) -> str:
    return "|".join(f"{nom}={valeur}" for nom, valeur in valeurs.items())


def test_un_message_qui_ne_porte_rien_de_trop_est_garde_tel_quel() -> None:
    champs, recue = poster(SIMPLE + "|maskedPan=5017##########00|returnContext=j1||")
    assert recue.valeur == champs


def test_ce_qui_est_de_trop_est_laisse_a_la_porte_et_le_reste_se_relit_sous_un_sceau() -> None:
    champs, recue = poster(f"{SIMPLE}|maskedPan={CARTE}|authorisationId=761208|{toutes(PERSONNEL)}")
    assert isinstance(recue.lecture, Verifiee)
    assert recue.valeur is not None
    garde = json.dumps(dict(recue.valeur))
    for valeur in (CARTE, *PERSONNEL.values()):
        assert valeur not in garde
    assert recue.valeur[SCEAU_DE_LA_BANQUE] == champs["Seal"]
    assert KIOSQUE.relire(recue.valeur) == recue.lecture


def test_un_message_depouille_que_le_topic_change_n_est_pas_cru() -> None:
    _, recue = poster(f"{SIMPLE}|{toutes(PERSONNEL)}")
    assert recue.valeur is not None
    faux = {**recue.valeur, "Data": recue.valeur["Data"].replace("amount=2000", "amount=9000")}
    assert isinstance(KIOSQUE.relire(faux), Rejetee)


@given(st.dictionaries(st.sampled_from([*PERSONNEL, "orderId", "paymentMeanBrand", "maskedPan", "inconnu"]), st.text()))
def test_depouiller_ne_change_jamais_la_reponse_lue(autres: dict[str, str]) -> None:
    propres = {n: "".join(c for c in v if c.isprintable() and c != "|") for n, v in autres.items()}
    _, recue = poster(f"{SIMPLE}|{toutes(propres)}" if propres else SIMPLE)
    assert isinstance(recue.lecture, Verifiee)
    assert recue.valeur is not None
    relue = KIOSQUE.relire(recue.valeur)
    assert isinstance(relue, Verifiee)
    for champ in ("transaction", "marchand", "montant", "issue", "code", "carte_masquee", "jeton_retour"):
        assert getattr(relue.reponse, champ) == getattr(recue.lecture.reponse, champ)


def test_un_formulaire_en_base64_est_depouille_de_meme() -> None:
    data = base64.b64encode(f"{SIMPLE}|{toutes(PERSONNEL)}|paymentMeanBrand=CARTE BLEUE é".encode()).decode()
    _, recue = poster(data, Encode="base64")
    assert recue.valeur is not None
    clair = base64.b64decode(recue.valeur["Data"]).decode()
    assert not any(valeur in clair for valeur in PERSONNEL.values())
    assert "CARTE BLEUE é" in clair
    assert KIOSQUE.relire(recue.valeur) == recue.lecture


def test_une_reponse_d_office_est_depouillee_et_scellee_de_nouveau() -> None:
    objet = {
        "merchantId": MARCHAND,
        "transactionReference": "T1",
        "originAmount": "2000",
        "maskedPan": CARTE,
        **PERSONNEL,
    }
    scellee = {**objet, "seal": sceller_json(objet, SECRET.encode())}
    gardee = depouiller_office(scellee, [SECRET.encode()])
    texte = ecrire_json(gardee).decode()
    assert not any(valeur in texte for valeur in (CARTE, *PERSONNEL.values()))
    assert sceau_tient(gardee, str(gardee["seal"]), [SECRET.encode()])


class TestRefuse:
    def test_sans_rien_de_personnel_il_est_garde_tel_quel(self) -> None:
        champs, recue = poster(SIMPLE, secret="une autre clé")
        assert isinstance(recue.lecture, Rejetee)
        assert KIOSQUE.proteger(recue.valeur, b"") == champs

    def test_avec_une_carte_il_est_chiffre_et_se_relit_quand_la_cle_est_la(self) -> None:
        champs, recue = poster(f"{SIMPLE}|maskedPan={CARTE}|{toutes(PERSONNEL)}", secret="la clé pas encore réglée")
        garde = KIOSQUE.proteger(recue.valeur, urlencode(champs).encode())
        assert garde is not None
        assert set(garde) == {CHIFFRE}
        assert isinstance(KIOSQUE.relire(garde), Rejetee)
        reglee = {"id": MARCHAND, "cles": {1: "la clé pas encore réglée"}, "version_courante": 1}
        pseudonyme = (SecretStr("nouveau-secret"), SecretStr(SECRET))  # Le précédent rouvre encore.
        with sips(marchands={"": reglee}, secrets_de_pseudonyme=pseudonyme) as apres:
            relue = apres.relire(garde)
        assert isinstance(relue, Verifiee)
        assert relue.reponse.transaction == "T1"

    @pytest.mark.parametrize(
        "corps",
        [
            f"Data=a&Data={CARTE}&Seal=x",
            "Data=a&Data=b&Seal=jeanne.martin%40example.org",
            "Data=panExpiryDate%3D203002&Data=b",
        ],
    )
    def test_un_corps_que_rien_n_a_su_lire_est_chiffre_s_il_parle(self, corps: str) -> None:
        recue = KIOSQUE.lire(Requete(corps.encode(), {}))
        assert recue.valeur is None
        garde = KIOSQUE.proteger(None, corps.encode())
        assert garde is not None
        assert set(garde) == {CHIFFRE}
        assert isinstance(KIOSQUE.relire(garde), Rejetee)

    def test_un_corps_qui_ne_dit_rien_reste_tel_que_recu(self) -> None:
        assert KIOSQUE.proteger(None, b"Data=a&Data=b") is None

    @pytest.mark.parametrize("jeton", ["", "x", "é", 3, None])
    def test_un_message_chiffre_par_un_autre_est_refuse(self, jeton: object) -> None:
        assert isinstance(KIOSQUE.relire({CHIFFRE: jeton}), Rejetee)


def test_le_pseudonyme_de_la_banque_demande_notre_secret() -> None:
    un, autre = (pseudonyme_bancaire("a-1", secret, 19) for secret in (b"un", b"autre"))
    assert un != autre
    assert un == pseudonyme_bancaire("a-1", b"un", 19)
    assert len(un) == 19


def test_le_client_remis_a_la_banque_change_avec_le_secret(kiosque: Sips) -> None:
    with sips(secrets_de_pseudonyme=(SecretStr("x" * 32),)) as autre:
        assert kiosque._reglages.secrets_a_nous != autre._reglages.secrets_a_nous
