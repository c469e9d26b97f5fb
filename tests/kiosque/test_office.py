"""Sips Office JSON : le sceau et ses vecteurs, ce que vaut chaque réponse, et l'opération faite une fois au plus."""

import json
from collections.abc import Iterator, Mapping
from datetime import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.reponse import Issue
from kiosque.interface import FormulaireIllisible, Inconnue, Rejetee, Trouvee
from kiosque.operation import Faite, Indeterminee, NonOfferte, OperationRefusee, Reportee
from kiosque.sips.office.sceau import Json, a_sceller, ecrire_json, lire_json, sceau_tient, sceller_json
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Marchand
from tests.kiosque.banc import Banc, banc
from tests.kiosque.envois import Memoire
from tests.outils import exemples

MARCHAND = "002001000000001"
CLE = b"002001000000001_KEY1"
CLE_DES_VECTEURS = b"002001000000002_KEY1"


# --- Le sceau --------------------------------------------------------------------------------------------------------


def test_le_vecteur_publie_par_worldline() -> None:
    publie = json.loads((Path(__file__).parent / "vecteur_office.json").read_text())
    sceau = sceller_json(publie["message"], publie["secret"].encode())
    assert sceau == publie["seal"]
    assert sceau == "dd6eb8dd6c951b1ddc1af121007aaabe8ad4fda1d15ce386cfa455821d602025"


def test_une_question_simple() -> None:
    question = {
        "interfaceVersion": "DR_WS_2.58",
        "keyVersion": "1",
        "merchantId": "002001000000002",
        "transactionReference": "ASAP2026000001",
    }
    attendu = "7d3cf40ee411c88dc6fe21ec02ace47c49bb702eea1fa300cee2d41571400aab"
    assert sceller_json(question, CLE_DES_VECTEURS) == attendu


def test_un_objet_emboite_et_un_accent() -> None:
    question: dict[str, Json] = {
        "operationOrigin": "éTEST",
        "s10TransactionReference": {"s10TransactionIdDate": "20261125", "s10TransactionId": "000123"},
        "currencyCode": "978",
        "interfaceVersion": "CR_WS_2.55",
        "merchantId": "002001000000002",
        "operationAmount": "1050",
    }
    attendu = "b98c6827e545529d6cc43449b229701a1c6efd232276c799087dc049585ff643"
    assert sceller_json(question, CLE_DES_VECTEURS) == attendu
    assert "éTEST".encode() in ecrire_json(question)


def test_le_texte_scelle_publie() -> None:
    message: dict[str, Json] = {
        "amount": "10",
        "automaticResponseUrl": "http://test.com",
        "customerId": "customerId",
        "customerContact": {"lastName": "lastName", "firstName": "firstName"},
        "customerAddress": {"businessName": "customerBusinessName", "city": "customerCity"},
        "deliveryAddress": {"company": "deliveryCompany", "zipcode": "deliveryZipcode"},
        "interfaceVersion": "IR_WS_2.19",
        "templateName": "customCSS.css",
        "keyVersion": "200",
    }
    assert a_sceller(message) == (
        "10http://test.comcustomerBusinessNamecustomerCityfirstNamelastNamecustomerId"
        "deliveryCompanydeliveryZipcodeIR_WS_2.19customCSS.css"
    )


def test_une_reponse_rangee_sans_la_casse_tient_aussi() -> None:
    message = {"cardData": {"cardCSCResultCode": "4D", "cardCorporateIndicator": "N"}}
    sans_casse = sceller_json(message, CLE, sans_casse=True)
    assert sans_casse != sceller_json(message, CLE)
    assert sceau_tient(message, sans_casse, [b"une autre", CLE])
    assert not sceau_tient(message, sans_casse, [b"une autre"])


valeurs_json = st.recursive(
    st.text() | st.integers() | st.booleans() | st.none(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


@settings(max_examples=exemples(12, 200))
@given(st.dictionaries(st.text(), valeurs_json))
def test_un_objet_quelconque_se_scelle_ou_se_refuse(objet: dict[str, Any]) -> None:
    try:
        lu = lire_json(json.dumps(objet))
    except FormulaireIllisible:
        return
    if not any("\ud800" <= signe <= "\udfff" for signe in a_sceller(lu)):
        assert sceau_tient(lu, sceller_json(lu, CLE), [CLE])


@pytest.mark.parametrize("corps", [b"[]", b"{", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":' + b"[" * 50_000])
def test_autre_chose_qu_un_objet_simple_est_illisible(corps: bytes) -> None:
    with pytest.raises(FormulaireIllisible):
        lire_json(corps)


# --- Ce que vaut une réponse -----------------------------------------------------------------------------------------

ACCEPTEE = {
    "getTransDataResponseCode": "00",
    "responseCode": "00",
    "transactionStatus": "TO_CAPTURE",
    "transactionReference": "T1",
    "merchantId": MARCHAND,
    "originAmount": "2000",
    "currentAmount": "2000",
    "currencyCode": "978",
    "authorisationId": "761208",
    "transactionDateTime": "2026-06-01T11:59:00+02:00",
}


def dire(champs: Mapping[str, Any], **reglages: Any) -> Any:
    """Ce qu'une interrogation conclut d'une réponse que la banque scelle (si elle ne porte pas déjà un sceau)."""
    scellee = dict(champs) if "seal" in champs else {**champs, "seal": sceller_json(champs, CLE)}
    scellee = {nom: valeur for nom, valeur in scellee.items() if valeur is not None}
    marchand = Marchand.model_validate({"id": MARCHAND, "cles": {1: CLE.decode()}, "version_courante": 1})
    reglages_sips = ReglagesSips(url="http://k.test/p", office="http://k.test", marchands={"": marchand}, **reglages)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=ecrire_json(scellee)))
    with httpx.Client(transport=transport) as client:
        kiosque = Sips(reglages_sips, client)
        etat = kiosque.interroger("T1", MARCHAND)
        if isinstance(etat, Trouvee):
            assert kiosque.reponse(etat.valeur) == etat.reponse, "le topic en garde assez pour le relire"
        return etat


@pytest.mark.parametrize("statut", ["TO_CAPTURE", "CAPTURED"])
@pytest.mark.parametrize("ancien", [False, True], ids=["deux codes", "un seul code"])
def test_l_argent_pris_est_une_acceptation(statut: str, ancien: bool) -> None:  # noqa: FBT001
    champs = ACCEPTEE | {"transactionStatus": statut}
    if ancien:
        del champs["getTransDataResponseCode"]
    etat = dire(champs)
    assert (etat.reponse.issue, etat.reponse.montant, etat.reponse.autorisation) == (Issue.ACCEPTEE, 20_00, "761208")


@pytest.mark.parametrize(
    ("statut", "code", "attendu"),
    [
        ("REFUSED", "05", (Issue.REFUSEE, "05")),
        ("REFUSED", "51", (Issue.REFUSEE, "51")),
        ("CANCELLED", "00", (Issue.REFUSEE, "17")),
        ("ABORTED", "17", (Issue.REFUSEE, "17")),
        ("EXPIRED", "97", (Issue.REFUSEE, "97")),
        ("TO_AUTHORIZE", "60", (Issue.EN_ATTENTE, "60")),
        ("TO_CHALLENGE", "00", (Issue.EN_ATTENTE, "TO_CHALLENGE")),
        ("CREDITED", "00", (Issue.EN_ATTENTE, "CREDITED")),
        ("TO_REPLAY", "90", (Issue.EN_ATTENTE, "90")),
        ("JAMAIS_VU", "00", (Issue.EN_ATTENTE, "JAMAIS_VU")),
        ("jamais vu", "00", (Issue.EN_ATTENTE, "60")),
        ("X" * 65, "00", (Issue.EN_ATTENTE, "60")),
        ("CAPTURED", "05", (Issue.EN_ATTENTE, "CAPTURED/05")),
    ],
)
def test_tout_autre_etat_n_est_jamais_une_acceptation(statut: str, code: str, attendu: tuple[Issue, str]) -> None:
    etat = dire(ACCEPTEE | {"transactionStatus": statut, "responseCode": code})
    assert (etat.reponse.issue, etat.reponse.code) == attendu


@pytest.mark.parametrize(
    ("rendu", "jeton"), [("0123456789abcdef", "0123456789abcdef"), ("T1", None), ("", None), (None, None)]
)
def test_une_reponse_demandee_rend_notre_jeton_et_dit_qu_elle_l_est(rendu: str | None, jeton: str | None) -> None:
    etat = dire(ACCEPTEE | {"orderId": rendu} if rendu is not None else ACCEPTEE)
    assert (etat.reponse.jeton_retour, etat.reponse.demandee) == (jeton, True)


def test_une_transaction_inconnue_sous_son_sceau_est_un_resultat() -> None:
    assert dire({"getTransDataResponseCode": "25", "merchantId": MARCHAND}) == Inconnue()
    assert dire({"responseCode": "25", "transactionReference": "T1"}) == Inconnue()


@pytest.mark.parametrize(
    "champs",
    [
        *({"getTransDataResponseCode": code, "merchantId": MARCHAND} for code in ("34", "40", "90", "94", "99", "30")),
        {"getTransDataResponseCode": "25", "transactionReference": "T2"},
        {"responseCode": "00"},
        ACCEPTEE | {"transactionReference": "T2"},
        ACCEPTEE | {"merchantId": "002001000000009"},
        ACCEPTEE | {"originAmount": None},
        ACCEPTEE | {"originAmount": "20,00"},
        ACCEPTEE | {"currencyCode": "840"},
        ACCEPTEE | {"seal": None},
        ACCEPTEE | {"seal": ""},
        ACCEPTEE | {"seal": "0" * 64},
        ACCEPTEE | {"seal": sceller_json(ACCEPTEE, b"une autre")},
        ACCEPTEE | {"keyVersion": "3"},
        {},
    ],
    ids=repr,
)
def test_le_reste_ne_conclut_rien(champs: dict[str, Any]) -> None:
    assert isinstance(dire(champs), Indeterminee)


def test_sur_la_plateforme_de_test_une_reponse_peut_n_avoir_pas_de_sceau() -> None:
    etat = dire(ACCEPTEE | {"seal": None}, sceau_exige=False)
    assert etat.reponse.issue is Issue.ACCEPTEE
    assert isinstance(dire(ACCEPTEE | {"seal": "0" * 64}, sceau_exige=False), Indeterminee)


@pytest.mark.parametrize("change", [{"originAmount": "9999"}, {"merchantId": "002001000000009"}, {"seal": ""}])
def test_le_topic_n_est_pas_cru(change: dict[str, str], kiosque: Sips) -> None:
    objet = {**ACCEPTEE, "seal": sceller_json(ACCEPTEE, CLE)} | change
    assert isinstance(kiosque.relire({"Data": json.dumps(objet), "InterfaceVersion": "DR_WS_2.58"}), Rejetee)


# --- Les opérations --------------------------------------------------------------------------------------------------


@pytest.fixture
def b() -> Iterator[Banc]:
    with banc() as ouvert:
        ouvert.payer("T1")
        yield ouvert


def rembourser(b: Banc, montant: int = 5_00, avant: int = 20_00, envois: Memoire | None = None) -> Any:
    return b.kiosque.rembourser("T1", MARCHAND, montant, reste_avant=avant, envois=envois or Memoire())


def annuler(b: Banc, montant: int = 5_00, avant: int = 20_00, envois: Memoire | None = None) -> Any:
    return b.kiosque.annuler("T1", MARCHAND, montant, reste_avant=avant, envois=envois or Memoire())


def test_on_annule_avant_la_remise_et_on_rembourse_apres(b: Banc) -> None:
    assert isinstance(rembourser(b), OperationRefusee)
    assert annuler(b) == Faite(15_00)
    b.montre.avancer(minutes=24 * 60)
    assert isinstance(annuler(b, avant=15_00), OperationRefusee)
    assert rembourser(b, avant=15_00) == Faite(10_00)


def test_une_operation_redemandee_ne_se_fait_qu_une_fois(b: Banc) -> None:
    envois = Memoire()
    assert [annuler(b, envois=envois) for _ in range(3)] == [Faite(15_00)] * 3
    assert envois.notes == 1
    assert annuler(b, avant=15_00) == Faite(10_00)


def test_une_reponse_perdue_est_regardee_avant_tout_nouvel_envoi(b: Banc) -> None:
    b.regler(transaction="T1", operation_muette=True)
    assert annuler(b) == Faite(15_00)
    assert annuler(b, avant=15_00) == Faite(10_00), "une seule des deux annulations premières a été faite"


def test_un_reste_inattendu_demande_une_personne(b: Banc) -> None:
    assert annuler(b, 3_00) == Faite(17_00)
    assert isinstance(annuler(b, 5_00, envois=Memoire(peut_etre=True)), Indeterminee)


@pytest.mark.parametrize("code", ["90", "99", "34", "25"])
def test_une_banque_indisponible_laisse_l_operation_indeterminee(b: Banc, code: str) -> None:
    b.regler(transaction="T1", office_code=code)
    assert isinstance(annuler(b), Indeterminee)


def test_un_contrat_sans_operations_le_dit(b: Banc) -> None:
    b.regler(transaction="T1", office_code="40")
    assert isinstance(annuler(b), NonOfferte)


@pytest.mark.parametrize(("montant", "avant"), [(0, 20_00), (-1, 20_00), (20_01, 20_00)])
def test_un_montant_hors_de_ce_que_la_banque_garde_n_est_pas_envoye(b: Banc, montant: int, avant: int) -> None:
    assert isinstance(annuler(b, montant, avant), OperationRefusee)


def test_rien_ne_part_aux_heures_closes_mais_ce_qui_est_fait_se_lit(b: Banc) -> None:
    faite, reportee = Memoire(), Memoire()
    assert annuler(b, envois=faite) == Faite(15_00)
    b.montre.avancer(minutes=10 * 60 + 15)  # 22 h 15 à Paris
    assert isinstance(rembourser(b, avant=15_00, envois=reportee), Reportee)
    assert not reportee.peut_etre, "rien n'est parti : une première fois reste une première fois"
    assert annuler(b, envois=faite) == Faite(15_00)
    b.montre.avancer(minutes=60)
    assert rembourser(b, avant=15_00) == Faite(10_00)


class Banque:
    """Une banque qui fait d'une opération ce que le test veut : son diagnostic et ses réponses, dans l'ordre."""

    def __init__(self, gardes: list[int], codes: list[str | None]) -> None:
        self.gardes, self.codes, self.envois = gardes, codes, 0

    def __call__(self, requete: httpx.Request) -> httpx.Response:
        if "getTransactionData" in requete.url.path:
            garde = self.gardes.pop(0) if len(self.gardes) > 1 else self.gardes[0]
            champs = ACCEPTEE | {"currentAmount": str(garde), "transactionStatus": "CAPTURED"}
        else:
            self.envois += 1
            code = self.codes.pop(0)
            if code is None:
                raise httpx.ReadTimeout("muette")
            champs = {"responseCode": code, "merchantId": MARCHAND}
        return httpx.Response(200, content=ecrire_json({**champs, "seal": sceller_json(champs, CLE)}))


@pytest.mark.parametrize(
    ("gardes", "codes", "attendu", "envois"),
    [
        ([2000], ["00"], Faite, 1),
        ([2000, 1500], [None], Faite, 1),
        ([2000, 1500], ["24"], Faite, 1),
        ([2000, 2000], ["24"], OperationRefusee, 1),
        ([2000, 2000], [None, "00"], Indeterminee, 1),
        ([2000, 2000], ["99", "00"], Indeterminee, 1),
        ([2000, 1000], [None], Indeterminee, 1),
        ([2000], ["57"], OperationRefusee, 1),
        ([2000], ["40"], NonOfferte, 1),
    ],
)
def test_apres_un_silence_on_regarde_on_compare_et_rien_n_est_renvoye_aussitot(
    gardes: list[int], codes: list[str | None], attendu: type, envois: int
) -> None:
    banque = Banque(gardes, codes)
    marchand = Marchand.model_validate({"id": MARCHAND, "cles": {1: CLE.decode()}, "version_courante": 1})
    jamais = (time(0), time(0))
    reglages = ReglagesSips(
        url="http://k.test/p", office="http://k.test", marchands={"": marchand}, heures_closes=jamais
    )
    with httpx.Client(transport=httpx.MockTransport(banque)) as client:
        notes = Memoire()
        operation = Sips(reglages, client).rembourser("T1", MARCHAND, 5_00, reste_avant=20_00, envois=notes)
    assert isinstance(operation, attendu)
    assert banque.envois == notes.notes == envois
