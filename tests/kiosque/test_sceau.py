"""Le sceau : les vecteurs publiés par Sips, et tout ce qui doit être refusé."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr, ValidationError

from kiosque.interface import FormulaireIllisible, MarchandInconnu, SceauInvalide
from kiosque.sips.paypage import Sips
from kiosque.sips.sceau import Algorithme, Marchand, Trousseau, sceller

MARCHAND = "002001000000001"
SECRET = "002001000000001_KEY1"
DEMANDE = (
    "amount=1234|currencyCode=978|merchantId=002001000000001|normalReturnUrl=http://www.normalreturnurl.com"
    "|transactionReference=marlon1|keyVersion=1"
)
REPONSE = (
    "captureDay=0|captureMode=AUTHOR_CAPTURE|currencyCode=978|merchantId=002001000000001|orderChannel=INTERNET"
    "|responseCode=00|transactionDateTime=2018-02-06T07:54:23+01:00|transactionReference=b4fb98a9c2c|keyVersion=1"
    "|acquirerResponseCode=00|amount=2|authorisationId=12345|guaranteeIndicator=Y|cardCSCResultCode=4D"
    "|panExpiryDate=201902|paymentMeanBrand=VISA|paymentMeanType=CARD|customerIpAddress=194.78.195.168"
    "|maskedPan=4500#############01|holderAuthentRelegation=N|holderAuthentStatus=3D_SUCCESS"
    "|tokenPan=g011040a730424d1ba6|transactionOrigin=INTERNET|paymentPattern=ONE_SHOT"
)
SCEAU_REPONSE = "56bddfce68695b9b8a9de51c426aae31bb303fb15570f343975eaa3bd33c8c59"

Sceller = Callable[..., dict[str, str]]


@pytest.mark.parametrize(
    ("data", "algorithme", "sceau"),
    [
        (DEMANDE, Algorithme.SHA_256, "65421e720d149e8a79bdc9a29f6c462ed199b78f32e558c6c5fc15f0084e5384"),
        (DEMANDE, Algorithme.HMAC_SHA_256, "3bf5b394168a91d19baaf38bcf47605eadf44603c95223421327f5e1163dcaff"),
        (REPONSE, Algorithme.SHA_256, SCEAU_REPONSE),
    ],
)
def test_les_vecteurs_de_sips_sont_retrouves(data: str, algorithme: Algorithme, sceau: str) -> None:
    assert sceller(data.encode(), SECRET.encode(), algorithme) == sceau


def test_le_hmac_publie_par_worldline_est_retrouve() -> None:
    publie = "198e5f278e3f8548e174e84492953c4871732278b7e2aa2cbf20bb1ab85914ea"
    assert sceller(b"This is a test!", b"superSafeSecretKey", Algorithme.HMAC_SHA_256) == publie


def test_la_reponse_du_vecteur_est_acceptee(kiosque: Sips) -> None:
    assert kiosque.reponse({"Data": REPONSE, "Seal": SCEAU_REPONSE}).transaction == "b4fb98a9c2c"


def test_un_seul_chiffre_change_dans_data_est_refuse(kiosque: Sips) -> None:
    with pytest.raises(SceauInvalide):
        kiosque.reponse({"Data": REPONSE.replace("amount=2", "amount=3"), "Seal": SCEAU_REPONSE})


@pytest.mark.parametrize(
    "sceau", ["", "null", SCEAU_REPONSE.upper(), SCEAU_REPONSE[:-1], f"{SCEAU_REPONSE}0", f" {SCEAU_REPONSE}", "é" * 64]
)
def test_un_sceau_vide_en_majuscules_ou_mal_fait_est_refuse(kiosque: Sips, sceau: str) -> None:
    with pytest.raises(SceauInvalide):
        kiosque.reponse({"Data": REPONSE, "Seal": sceau})


def test_un_message_sans_sceau_est_illisible(kiosque: Sips) -> None:
    with pytest.raises(FormulaireIllisible):
        kiosque.reponse({"Data": REPONSE})


@pytest.mark.parametrize("regle", list(Algorithme))
def test_l_algorithme_annonce_par_le_message_ne_compte_pas(
    autre_kiosque: Callable[..., Sips], sceau_de_la_banque: Sceller, regle: Algorithme
) -> None:
    autre = next(algorithme for algorithme in Algorithme if algorithme is not regle)
    kiosque = autre_kiosque(regle)
    with pytest.raises(SceauInvalide):
        kiosque.reponse(sceau_de_la_banque(REPONSE, algorithme=autre) | {"SealAlgorithm": autre.value})
    bon = sceau_de_la_banque(REPONSE, algorithme=regle) | {"SealAlgorithm": autre.value}
    assert kiosque.reponse(bon).montant == 2


def test_un_autre_marchand_est_refuse(kiosque: Sips, sceau_de_la_banque: Sceller) -> None:
    with pytest.raises(MarchandInconnu):
        kiosque.reponse(sceau_de_la_banque(REPONSE.replace(MARCHAND, "002001000000002")))


def test_les_deux_versions_de_cle_vivent_ensemble(kiosque: Sips, sceau_de_la_banque: Sceller) -> None:
    seconde = REPONSE.replace("keyVersion=1", "keyVersion=2")
    assert kiosque.reponse(sceau_de_la_banque(seconde, secret="002001000000001_KEY2")).montant == 2
    with pytest.raises(SceauInvalide):
        kiosque.reponse(sceau_de_la_banque(seconde, secret=SECRET))


@pytest.mark.parametrize("version", ["3", "", "null", "01", "-1", "١"])
def test_une_version_de_cle_inconnue_est_refusee(kiosque: Sips, sceau_de_la_banque: Sceller, version: str) -> None:
    texte = REPONSE.replace("keyVersion=1", f"keyVersion={version}")
    encodage = "" if texte.isascii() else "base64"
    with pytest.raises(SceauInvalide):
        kiosque.reponse(sceau_de_la_banque(texte, encodage=encodage))


@pytest.mark.parametrize("encodage", ["base64", "base64url"])
def test_le_sceau_porte_sur_data_tel_qu_envoye(kiosque: Sips, sceau_de_la_banque: Sceller, encodage: str) -> None:
    champs = sceau_de_la_banque(f"{REPONSE}|returnContext=reçu?>~ÿ", encodage=encodage)
    assert kiosque.reponse(champs).code == "00"
    with pytest.raises(SceauInvalide):
        kiosque.reponse(champs | {"Seal": sceller(REPONSE.encode(), SECRET.encode(), Algorithme.SHA_256)})


def test_base64url_peut_arriver_sans_remplissage(kiosque: Sips) -> None:
    import base64

    data = base64.urlsafe_b64encode(REPONSE.encode()).decode().rstrip("=")
    sceau = sceller(data.encode(), SECRET.encode(), Algorithme.SHA_256)
    assert kiosque.reponse({"Data": data, "Seal": sceau, "Encode": "base64url"}).montant == 2


def test_une_cle_vide_ou_une_troisieme_cle_est_refusee_au_demarrage() -> None:
    with pytest.raises(ValidationError, match="vide"):
        Marchand(id=MARCHAND, cles={1: SecretStr("")}, version_courante=1)
    with pytest.raises(ValidationError):
        Marchand(id=MARCHAND, cles={n: SecretStr("x") for n in (1, 2, 3)}, version_courante=1)
    with pytest.raises(ValidationError, match="version courante"):
        Marchand(id=MARCHAND, cles={1: SecretStr("x")}, version_courante=2)


def test_deux_secrets_ne_se_disputent_pas_la_meme_version() -> None:
    marchands = [Marchand(id=MARCHAND, cles={1: SecretStr(cle)}, version_courante=1) for cle in ("un", "deux")]
    with pytest.raises(ValueError, match="deux secrets"):
        Trousseau(marchands, Algorithme.SHA_256)


def test_un_secret_ne_s_ecrit_dans_aucune_representation(kiosque: Sips) -> None:
    marchand = Marchand(id=MARCHAND, cles={1: SecretStr(SECRET)}, version_courante=1)
    assert SECRET not in repr(marchand) + str(marchand) + marchand.model_dump_json() + repr(kiosque)
