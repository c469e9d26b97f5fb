"""Le contrat d'un kiosque : la même suite pour Sips et pour une banque d'une tout autre forme."""

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.avis import Canal
from domain.reponse import Issue
from kiosque.interface import DemandeDePaiement, Inconnue, Indice, Kiosque, Rejetee, Requete, Trouvee, Verifiee
from kiosque.operation import AutreReste, Faite, Indeterminee, NonOfferte, Operation, Reportee
from kiosque.sips.office.sceau import ecrire_json, sceller_json
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Algorithme, Marchand, sceller
from tests.kiosque.envois import Memoire
from tests.kiosque.seconde_banque import Directe
from tests.outils import exemples

MARCHAND = "002001000000001"
CLE = b"002001000000001_KEY1"
LE = datetime(2026, 6, 1, 10, tzinfo=UTC)
STATUTS = {Issue.ACCEPTEE: "00", Issue.REFUSEE: "05", Issue.EN_ATTENTE: "60"}


OPERATIONS = {"annuler": "TO_CAPTURE", "rembourser": "CAPTURED"}
"""Chaque opération, et l'état d'un paiement qui la permet."""


@dataclass
class Compte:
    """Ce que la banque garde de T1, en centimes, et ce qu'on lui a fait faire."""

    garde: int = 20_00
    etat: str = "CAPTURED"
    envois: int = 0
    perdre: bool = False
    """Vrai : elle fait la prochaine opération, et sa réponse se perd."""
    ignorer: bool = False
    """Vrai : elle ne fait pas la prochaine, et n'y répond pas."""
    heure: datetime = LE
    ecrit: list[tuple[datetime, int]] = field(default_factory=list)
    """Ce qu'elle a retiré, et à partir de quand elle le montre."""
    retard: timedelta = timedelta()
    """Ce qu'elle met à l'écrire là où elle se laisse interroger."""

    def retirer(self, montant: int) -> bool:
        """Fait l'opération ; dit si la réponse arrive."""
        self.envois += 1
        if not self.ignorer:
            self.garde -= montant
            self.ecrit.append((self.heure + self.retard, montant))
        perdue = self.perdre or self.ignorer
        self.perdre = self.ignorer = False
        return not perdue

    @property
    def montre(self) -> int:
        """Ce qu'elle dit garder, à cette heure."""
        return self.garde + sum(montant for des, montant in self.ecrit if des > self.heure)


@dataclass
class Banque:
    """Un kiosque, et la banque au bout : ce qu'elle poste, ce qu'elle sait, et si elle répond."""

    kiosque: Kiosque
    poster: Callable[[Issue, int], Requete]
    """La requête que la banque envoie pour T1."""
    connues: dict[str, tuple[Issue, int]]
    panne: list[bool]
    compte: Compte


def de_sips(pile: ExitStack) -> Banque:
    connues: dict[str, tuple[Issue, int]] = {}
    panne = [False]
    compte = Compte()

    def poster(issue: Issue, montant: int) -> Requete:
        data = (
            f"amount={montant}|currencyCode=978|merchantId={MARCHAND}|keyVersion=1|transactionReference=T1"
            f"|responseCode={STATUTS[issue]}|transactionDateTime={LE.isoformat()}|authorisationId=761208|returnContext=j1"
        )
        return Requete(
            urlencode({"Data": data, "Seal": sceller(data.encode(), CLE, Algorithme.SHA_256)}).encode(),
            {"content-type": "application/x-www-form-urlencoded"},
        )

    def office(requete: httpx.Request) -> httpx.Response:
        if panne[0]:
            raise httpx.ReadTimeout("muette")
        question = json.loads(requete.content)
        if "cashManagement" in requete.url.path:
            if not compte.retirer(int(question["operationAmount"])):
                raise httpx.ReadTimeout("muette")
            faite = {"merchantId": MARCHAND, "responseCode": "00"}
            return httpx.Response(200, content=ecrire_json({**faite, "seal": sceller_json(faite, CLE)}))
        transaction = question["transactionReference"]
        champs = {"merchantId": MARCHAND, "getTransDataResponseCode": "25"}
        if transaction in connues:
            issue, montant = connues[transaction]
            statut = {Issue.ACCEPTEE: compte.etat, Issue.REFUSEE: "REFUSED", Issue.EN_ATTENTE: "TO_AUTHORIZE"}[issue]
            champs |= {
                "getTransDataResponseCode": "00",
                "responseCode": STATUTS[issue],
                "transactionStatus": statut,
                "transactionReference": transaction,
                "originAmount": str(montant),
                "currentAmount": str(compte.montre),
            }
        return httpx.Response(200, content=ecrire_json({**champs, "seal": sceller_json(champs, CLE)}))

    marchand = Marchand.model_validate({"id": MARCHAND, "cles": {1: CLE.decode()}, "version_courante": 1})
    client = pile.enter_context(httpx.Client(transport=httpx.MockTransport(office)))
    reglages = ReglagesSips(url="http://k.test/p", office="http://k.test", marchands={"": marchand})
    return Banque(Sips(reglages, client, horloge=lambda: compte.heure), poster, connues, panne, compte)


def directe(_: ExitStack) -> Banque:
    connues: dict[str, tuple[Issue, int]] = {}
    panne = [False]
    compte = Compte()
    mots = {Issue.ACCEPTEE: "CAPTURED", Issue.REFUSEE: "REJECTED", Issue.EN_ATTENTE: "REDIRECTED"}

    def evenement(transaction: str, issue: Issue, montant: int) -> bytes:
        sortie: dict[str, Any] = {
            "amountOfMoney": {"amount": montant, "currencyCode": "EUR"},
            "references": {"merchantReference": transaction, "merchantParameters": "j1"},
        }
        paiement: dict[str, Any] = {"status": mots[issue], "paymentOutput": sortie, "authorisationCode": "761208"}
        paiement["amountKept"] = compte.montre
        return json.dumps({"merchantId": MARCHAND, "created": LE.isoformat(), "payment": paiement}).encode()

    def poster(issue: Issue, montant: int) -> Requete:
        corps = evenement("T1", issue, montant)
        signature = base64.b64encode(hmac.digest(CLE, corps, "sha256")).decode()
        return Requete(corps, {"x-gcs-signature": signature, "x-gcs-keyid": "clé-a"})

    def demander(chemin: str) -> tuple[int, bytes]:
        if panne[0]:
            raise TimeoutError
        transaction = chemin.rpartition("/")[2]
        return (200, evenement(transaction, *connues[transaction])) if transaction in connues else (404, b"")

    def envoyer(chemin: str, montant: int) -> int:
        assert chemin.endswith(("/T1/refund", "/T1/cancel"))
        if panne[0] or not compte.retirer(montant):
            raise TimeoutError
        return 201

    kiosque = Directe(MARCHAND, {"clé-a": CLE}, demander, horloge=lambda: compte.heure, envoyer=envoyer)
    return Banque(kiosque, poster, connues, panne, compte)


@pytest.fixture(params=[de_sips, directe], ids=["sips", "directe"])
def banque(request: pytest.FixtureRequest) -> Iterator[Banque]:
    with ExitStack() as pile:
        yield request.param(pile)


DEMANDE = DemandeDePaiement(
    transaction="T1",
    marchand=MARCHAND,
    caisse="381",
    montant=20_00,
    client="a-7c1e55d0",
    canal=Canal.WEB,
    url_retour="http://127.0.0.1:8000/kiosque/retour",
    url_notification="http://127.0.0.1:8000/kiosque/notification",
    jeton_retour="j1",
)


def test_la_meme_demande_donne_le_meme_depart(banque: Banque) -> None:
    assert banque.kiosque.marchand_de("381") == MARCHAND
    depart = banque.kiosque.formulaire(DEMANDE)
    assert depart == banque.kiosque.formulaire(DEMANDE)
    assert DEMANDE.client not in str(depart)


@pytest.mark.parametrize("issue", list(Issue))
def test_ce_que_la_banque_envoie_se_lit_et_se_relit_du_topic(banque: Banque, issue: Issue) -> None:
    recue = banque.kiosque.lire(banque.poster(issue, 20_00))
    assert isinstance(recue.lecture, Verifiee)
    lue = recue.lecture.reponse
    assert (lue.transaction, lue.marchand, lue.montant, lue.issue) == ("T1", MARCHAND, 20_00, issue)
    assert (lue.autorisation, lue.transaction_le, lue.jeton_retour) == ("761208", LE, "j1")
    assert recue.valeur is not None
    assert all(isinstance(valeur, str) for valeur in recue.valeur.values())
    assert banque.kiosque.relire(json.loads(json.dumps(recue.valeur))) == recue.lecture


def test_un_octet_change_ote_toute_foi(banque: Banque) -> None:
    requete = banque.poster(Issue.ACCEPTEE, 20_00)
    autre = banque.kiosque.lire(Requete(requete.corps.replace(b"2000", b"1999"), requete.entetes))
    assert isinstance(autre.lecture, Rejetee)
    assert autre.lecture.refus.code == "sceau_invalide"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=300), st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3))
def test_des_octets_quelconques_ne_levent_rien(banque: Banque, corps: bytes, entetes: dict[str, str]) -> None:
    recue = banque.kiosque.lire(Requete(corps, entetes))
    assert isinstance(recue.lecture, Rejetee | Indice)
    assert not isinstance(banque.kiosque.relire(dict(entetes)), Verifiee)


@pytest.mark.parametrize("issue", list(Issue))
def test_une_question_rend_ce_que_la_banque_sait_et_le_topic_le_verifie(banque: Banque, issue: Issue) -> None:
    banque.connues["T1"] = (issue, 20_00)
    etat = banque.kiosque.interroger("T1", MARCHAND)
    assert isinstance(etat, Trouvee)
    assert (etat.reponse.issue, etat.reponse.montant) == (issue, 20_00)
    assert banque.kiosque.relire(json.loads(json.dumps(dict(etat.valeur)))) == Verifiee(etat.reponse)


def test_l_inconnu_et_le_silence_sont_des_resultats(banque: Banque) -> None:
    assert banque.kiosque.interroger("T404", MARCHAND) == Inconnue()
    banque.panne[0] = True
    assert isinstance(banque.kiosque.interroger("T404", MARCHAND), Indeterminee)


def test_une_operation_sans_reponse_n_est_ni_faite_ni_refusee(banque: Banque) -> None:
    banque.panne[0] = True
    for operer in (banque.kiosque.annuler, banque.kiosque.rembourser):
        operation = operer("T1", MARCHAND, 5_00, reste_avant=20_00, envois=Memoire())
        assert isinstance(operation, Indeterminee | NonOfferte)


# --- Rendre, une fois au plus ----------------------------------------------------------------------------------------


def operer(banque: Banque, nom: str, envois: Memoire, montant: int = 5_00, avant: int = 20_00) -> Operation:
    banque.connues["T1"] = (Issue.ACCEPTEE, 20_00)
    banque.compte.etat = OPERATIONS[nom]
    operation: Operation = getattr(banque.kiosque, nom)("T1", MARCHAND, montant, reste_avant=avant, envois=envois)
    return operation


@pytest.mark.parametrize("nom", OPERATIONS)
def test_une_operation_se_fait_et_son_envoi_est_note_d_abord(banque: Banque, nom: str) -> None:
    envois = Memoire()
    assert operer(banque, nom, envois) == Faite(15_00)
    assert (banque.compte.garde, banque.compte.envois, envois.notes) == (15_00, 1, 1)


@pytest.mark.parametrize("nom", OPERATIONS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(autre=st.one_of(st.none(), st.integers(0, 45_00)), montant=st.integers(1, 20_00))
def test_jamais_envoyee_un_reste_qui_a_bouge_n_est_pas_de_notre_fait(
    banque: Banque, nom: str, autre: int | None, montant: int
) -> None:
    garde = 20_00 - montant if autre is None else autre
    banque.compte.garde, banque.compte.envois = garde, 0
    operation = operer(banque, nom, Memoire(), montant)
    if garde == 20_00:
        assert (operation, banque.compte.envois) == (Faite(20_00 - montant), 1)
    else:
        assert operation == AutreReste(garde, 20_00)
        assert "ne garde pas ce que nous croyons" in operation.cause
        assert (banque.compte.garde, banque.compte.envois) == (garde, 0)


@pytest.mark.parametrize("nom", OPERATIONS)
def test_peut_etre_envoyee_un_reste_diminue_d_autant_dit_qu_elle_est_faite(banque: Banque, nom: str) -> None:
    banque.compte.garde = 15_00
    assert operer(banque, nom, Memoire(peut_etre=True)) == Faite(15_00)
    banque.compte.garde = 16_00
    assert isinstance(operer(banque, nom, Memoire(peut_etre=True)), Indeterminee)
    assert banque.compte.envois == 0


@pytest.mark.parametrize("nom", OPERATIONS)
def test_une_reponse_perdue_ne_fait_rien_refaire(banque: Banque, nom: str) -> None:
    envois = Memoire(horloge=lambda: banque.compte.heure)
    banque.compte.perdre = True
    assert operer(banque, nom, envois) == Faite(15_00)
    assert operer(banque, nom, envois) == Faite(15_00)
    assert (banque.compte.garde, banque.compte.envois, envois.notes) == (15_00, 1, 1)


@pytest.mark.parametrize("nom", OPERATIONS)
def test_une_banque_qui_l_ecrit_en_retard_ne_la_fait_pas_deux_fois(banque: Banque, nom: str) -> None:
    compte = banque.compte
    envois = Memoire(horloge=lambda: compte.heure)
    compte.perdre, compte.retard = True, timedelta(hours=5)
    for _ in range(5):
        assert isinstance(operer(banque, nom, envois), Indeterminee)
        compte.heure += timedelta(hours=1)
    assert operer(banque, nom, envois) == Faite(15_00)
    assert (compte.garde, compte.envois, envois.notes) == (15_00, 1, 1)


@pytest.mark.parametrize("nom", OPERATIONS)
def test_ni_faite_ni_dite_elle_repart_quand_la_banque_l_aurait_ecrite(banque: Banque, nom: str) -> None:
    compte = banque.compte
    envois = Memoire(horloge=lambda: compte.heure)
    compte.ignorer = True
    for _ in range(2):
        assert isinstance(operer(banque, nom, envois), Indeterminee)
        compte.heure += timedelta(hours=3)
    assert operer(banque, nom, envois) == Faite(15_00)
    assert (compte.garde, compte.envois, envois.notes) == (15_00, 2, 2)


@pytest.mark.parametrize("nom", OPERATIONS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=exemples(60, 1000), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["faite", "perdue", "ignoree", "muette"]),
            st.integers(0, 350),
            st.integers(1, 500),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_quoi_qu_elle_fasse_elle_ne_rend_qu_une_fois(
    banque: Banque, nom: str, tours: list[tuple[str, int, int, bool]]
) -> None:
    """Un retard d'écriture sous les 6 h, des silences, des processus tués : une fois, et jamais crue refusée."""
    compte = banque.compte
    compte.garde, compte.envois, compte.ecrit, compte.heure = 20_00, 0, [], LE
    envois = Memoire(horloge=lambda: compte.heure)
    for fait, retard, attente, tue in tours:
        compte.perdre, compte.ignorer, banque.panne[0] = fait == "perdue", fait == "ignoree", fait == "muette"
        compte.retard = timedelta(minutes=retard)
        rendue = operer(banque, nom, envois)
        banque.panne[0] = False
        faites = len(compte.ecrit)
        assert faites <= 1
        if isinstance(rendue, Faite):
            assert faites == 1
        else:
            assert isinstance(rendue, Indeterminee | Reportee)
        if tue and envois.notes:  # Un autre processus n'en sait que ce que le journal garde.
            envois = replace(envois, sans_reponse_depuis=envois.sans_reponse_depuis or compte.heure)
        compte.heure += timedelta(minutes=attente)


@pytest.mark.parametrize("nom", OPERATIONS)
def test_rien_ne_part_si_un_autre_vient_de_l_envoyer(banque: Banque, nom: str) -> None:
    assert isinstance(operer(banque, nom, Memoire(permis=False)), Indeterminee)
    assert (banque.compte.garde, banque.compte.envois) == (20_00, 0)


@pytest.mark.parametrize("nom", OPERATIONS)
def test_rien_ne_part_sans_que_l_envoi_soit_note(banque: Banque, nom: str) -> None:
    class EnPanne(Memoire):
        def noter(self) -> bool:
            raise OSError("le journal ne répond pas")

    with pytest.raises(OSError, match="journal"):
        operer(banque, nom, EnPanne())
    assert (banque.compte.garde, banque.compte.envois) == (20_00, 0)


@pytest.mark.parametrize("nom", OPERATIONS)
def test_une_banque_muette_au_regard_laisse_la_premiere_fois_premiere(banque: Banque, nom: str) -> None:
    envois = Memoire()
    banque.panne[0] = True
    assert isinstance(operer(banque, nom, envois), Indeterminee)
    assert not envois.peut_etre
    banque.panne[0], banque.compte.garde = False, 15_00
    assert operer(banque, nom, envois) == AutreReste(15_00, 20_00), "rendue chez la banque entre-temps, non par nous"
