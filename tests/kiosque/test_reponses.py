"""La réponse de la banque : chaque code, ce qui est exigé, ce qui est toléré, ce qui est jeté."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from domain.monnaie import Centimes
from domain.references import ReferenceTransaction
from domain.reponse import Issue, ReponseBancaire
from kiosque.interface import DeviseInattendue, FormulaireIllisible, FormulaireIrrecevable, PlateformeDEssai
from kiosque.sips.codes import SENS, sens_de
from kiosque.sips.paypage import Sips

Sceller = Callable[..., dict[str, str]]
Lire = Callable[..., ReponseBancaire]

BASE = {
    "merchantId": "002001000000001",
    "keyVersion": "1",
    "transactionReference": "PCLCB172540000004",
    "amount": "2000",
    "currencyCode": "978",
    "responseCode": "00",
}
EN_ATTENTE = {"60", "62", "90", "94", "99"}
CONCLUANTS = {"00", "05", "12", "14", "17", "24", "25", "30", "34", "40", "51", "54", "63", "75", "97"}


@pytest.fixture
def lue(kiosque: Sips, sceau_de_la_banque: Sceller) -> Lire:
    def lire(**changements: str | None) -> ReponseBancaire:
        valeurs = {nom: valeur for nom, valeur in (BASE | changements).items() if valeur is not None}
        return kiosque.reponse(sceau_de_la_banque("|".join(f"{n}={v}" for n, v in valeurs.items()), encodage="base64"))

    return lire


def test_une_reponse_complete_est_lue_champ_par_champ(lue: Lire) -> None:
    assert lue(
        authorisationId="761208",
        maskedPan="5017#####00",
        paymentMeanBrand="CB",
        transactionDateTime="2017-09-11T15:54:23+02:00",
        acquirerResponseCode="00",
    ) == ReponseBancaire(
        transaction=ReferenceTransaction("PCLCB172540000004"),
        marchand="002001000000001",
        montant=Centimes(20_00),
        issue=Issue.ACCEPTEE,
        code="00",
        autorisation="761208",
        carte_masquee="5017#####00",
        marque="CB",
        transaction_le=datetime(2017, 9, 11, 13, 54, 23, tzinfo=UTC),
        code_acquereur="00",
    )


@pytest.mark.parametrize("code", sorted(SENS))
def test_chaque_code_connu_a_son_issue(lue: Lire, code: str) -> None:
    attendue = Issue.ACCEPTEE if code == "00" else Issue.EN_ATTENTE if code in EN_ATTENTE else Issue.REFUSEE
    reponse = lue(responseCode=code)
    assert (reponse.issue, reponse.code) == (attendue, code)


def test_les_codes_du_protocole_sont_tous_connus() -> None:
    assert set(SENS) == EN_ATTENTE | CONCLUANTS


@pytest.mark.parametrize("code", ["01", "42", "0", "000", "OK", "A1"])
def test_un_code_inconnu_est_un_refus_qui_garde_son_code(lue: Lire, code: str) -> None:
    reponse = lue(responseCode=code)
    assert (reponse.issue, reponse.code) == (Issue.REFUSEE, code)
    assert code in sens_de(code)


@pytest.mark.parametrize("nom", ["transactionReference", "amount", "responseCode"])
@pytest.mark.parametrize("valeur", [None, "", "null", "é", "1\n2", "12 34", "x" * 36])
def test_un_champ_exige_absent_ou_mal_forme_est_illisible(lue: Lire, nom: str, valeur: str | None) -> None:
    with pytest.raises(FormulaireIllisible):
        lue(**{nom: valeur})


@pytest.mark.parametrize("montant", ["-1", "+1", "1.0", "1e3", "0x1", "1_000", "१२", "1" * 13])
def test_un_montant_qui_n_est_pas_un_nombre_de_centimes_est_illisible(lue: Lire, montant: str) -> None:
    with pytest.raises(FormulaireIllisible):
        lue(amount=montant)


def test_le_plus_grand_montant_du_protocole_se_lit(lue: Lire) -> None:
    assert lue(amount="9" * 12).montant == 999_999_999_999


@pytest.mark.parametrize(
    ("date", "utc"),
    [
        ("2026-07-01 12:00:00", "2026-07-01T10:00:00Z"),
        ("2026-01-01 12:00:00", "2026-01-01T11:00:00Z"),
        ("2026-10-25 02:30:00", "2026-10-25T01:30:00Z"),
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
    ],
)
def test_une_date_a_l_ancienne_est_l_heure_de_paris(lue: Lire, date: str, utc: str) -> None:
    """Celle qui y vient deux fois, ou jamais, est la plus tardive : elle ne précède pas l'ouverture du paiement."""
    assert lue(transactionDateTime=date).transaction_le == datetime.fromisoformat(utc)


def test_le_jeton_confie_a_la_banque_revient(lue: Lire) -> None:
    assert lue(returnContext="h4-zard_9").jeton_retour == "h4-zard_9"
    assert lue().jeton_retour is None


def test_une_autre_devise_est_refusee_et_une_devise_tue_est_l_euro(lue: Lire) -> None:
    with pytest.raises(DeviseInattendue):
        lue(currencyCode="840")
    assert lue(currencyCode=None).montant == lue(currencyCode="null").montant == 20_00


@pytest.mark.parametrize(
    "date",
    [None, "null", "hier", "2018-02-30T00:00:00+01:00", "2018-02-06T07:54:23", "0001-01-01T00:00:00+12:00", "9" * 60],
)
def test_une_date_abimee_ou_sans_fuseau_ne_fait_pas_perdre_l_accord(lue: Lire, date: str | None) -> None:
    reponse = lue(transactionDateTime=date)
    assert (reponse.issue, reponse.transaction_le) == (Issue.ACCEPTEE, None)


@pytest.mark.parametrize("carte", ["4500#############01", "450000######0001", "************0001", "450000XXXXXX0001"])
def test_un_numero_vraiment_masque_est_garde(lue: Lire, carte: str) -> None:
    assert lue(maskedPan=carte).carte_masquee == carte


@pytest.mark.parametrize(
    "carte", ["4500000000000001", "4500000#####0001", "450000#####00001", "4500##0000000001", "#4500000000000#", "4500"]
)
def test_un_numero_qui_en_montre_trop_est_jete(lue: Lire, carte: str) -> None:
    reponse = lue(maskedPan=carte)
    assert (reponse.issue, reponse.carte_masquee) == (Issue.ACCEPTEE, None)


@pytest.mark.parametrize("valeur", ["x" * 65, "a\x00b", "a\nb"])
def test_une_valeur_libre_impropre_est_jetee_sans_perdre_l_accord(lue: Lire, valeur: str) -> None:
    reponse = lue(authorisationId=valeur, paymentMeanBrand=valeur, acquirerResponseCode=valeur)
    assert (reponse.issue, reponse.autorisation, reponse.marque, reponse.code_acquereur) == (
        Issue.ACCEPTEE,
        None,
        None,
        None,
    )


def test_un_refus_dit_sa_phrase_et_son_code() -> None:
    refus = FormulaireIllisible("un champ est répété" + "x" * 999)
    assert refus.code == "formulaire_illisible"
    assert str(refus).startswith("Le message de la banque est illisible ou incomplet (un champ est répété")
    assert len(str(refus)) < 300
    assert {sous.code for sous in FormulaireIrrecevable.__subclasses__()} == {
        "sceau_invalide",
        "formulaire_illisible",
        "marchand_inconnu",
        "devise_inattendue",
        "plateforme_d_essai",
    }


@pytest.mark.parametrize("plateforme", ["SIMU", "TEST"])
def test_en_production_ce_qu_une_plateforme_d_essai_scelle_n_est_pas_de_l_argent(
    autre_kiosque: Callable[..., Sips], sceau_de_la_banque: Sceller, plateforme: str
) -> None:
    def scelle(plateforme: str) -> dict[str, str]:
        return sceau_de_la_banque("|".join(f"{n}={v}" for n, v in (BASE | {"transactionPlatform": plateforme}).items()))

    with autre_kiosque(essais_admis=False) as production, autre_kiosque() as essai:
        with pytest.raises(PlateformeDEssai):
            production.reponse(scelle(plateforme))
        assert essai.reponse(scelle(plateforme)) == production.reponse(scelle("PROD"))
