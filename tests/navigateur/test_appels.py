"""Les sept appels de docs/support.md dans un vrai navigateur : de l'appel au solde réglé, à deux où l'argent bouge.

Chaque appel part de ce que la personne dit, et répond en trois gestes au plus : chercher, ouvrir, demander ou régler.
L'audit n'y trouve rien ensuite.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from domain.delai import PARIS
from projections.audit import auditer
from service import run
from tests.api.conftest import notification
from tests.consumers.banc import cheque
from tests.courtiers import port_libre
from tests.guichet.reglement.test_commande import SECRET, jeton_de
from tests.navigateur.conftest import Pile, Visiteur, repond
from tests.navigateur.test_support import MOTIF, devenir_agent
from tests.outils import CREANCES, RACINE, attendre, environnement

pytestmark = pytest.mark.lent

CARTE: Final = "5017 0000 0000 0000"
STATUT: Final = "SELECT 1 FROM vues.paiements WHERE transaction = %s AND statut = %s"


class Bureau:
    """Deux agents au téléphone, et ce que le service en a écrit ; sans script."""

    def __init__(self, pile: Pile, visiteurs: Any) -> None:
        self.pile = pile
        self._visiteurs = visiteurs
        self.claire: Visiteur = visiteurs(java_script_enabled=False)
        devenir_agent(self.claire)
        self._paul: Visiteur | None = None

    def payer(self, assure: str, reference: str, montant: str = "20", **consigne: object) -> Visiteur:
        """Une personne paie, jusqu'au reçu de la banque ; elle ne revient pas d'elle-même."""
        payeur: Visiteur = self._visiteurs()
        if consigne:
            self.pile.consigne(**consigne)
        payeur.entrer(assure)
        payeur.chercher(reference)
        payeur.saisir(montant)
        payeur.payer()
        payeur.carte(CARTE)
        payeur.page.get_by_role("button", name="Continuer").wait_for()
        return payeur

    def transaction(self, assure: str) -> str:
        """Le paiement de cet assuré."""
        ((trouvee,),) = self.pile.lire("SELECT transaction FROM vues.paiements WHERE assure = %s", assure)
        return str(trouvee)

    def statut(self, transaction: str, voulu: str) -> None:
        """Attend que le paiement en soit là."""
        attendre(lambda: self.pile.lire(STATUT, transaction, voulu), secondes=60, quoi=f"{transaction} {voulu}")

    def chercher(self, dit: str) -> None:
        """Premier geste : ce que la personne dit."""
        page = self.claire.page
        self.claire.aller("/support")
        page.get_by_label("Ce que la personne vous dit").fill(dit)
        page.get_by_label("Motif de la lecture").fill(MOTIF)
        page.get_by_role("button", name="Chercher").click()

    def ouvrir(self, nom: str) -> None:
        """Deuxième geste : l'anomalie que la page trouvée montre, ou un résultat parmi d'autres."""
        self.claire.page.get_by_role("link", name=nom).first.click()

    def proposer(self, libelle: str, raison: str, **champs: str) -> None:
        """Troisième geste : proposer un règlement."""
        gestes = self.claire.page.locator("#gestes details").filter(has=self.claire.page.get_by_text(libelle))
        if gestes.get_attribute("open") is None:
            gestes.locator("summary").click()
        for nom, valeur in champs.items():
            if nom == "voie":
                gestes.get_by_label(valeur).check()
            else:
                gestes.get_by_label(nom).fill(valeur)
        gestes.get_by_label("Raison").fill(raison)
        gestes.get_by_role("button", name="Proposer").click()
        self.claire.lit("une seconde personne doit maintenant l'approuver")

    def approuver(self) -> None:
        """La seconde personne part de la liste, relit et approuve."""
        if self._paul is None:
            self._paul = self._visiteurs(java_script_enabled=False)
            devenir_agent(self._paul, "Paul")
        ident = self.claire.page.url.partition("/support/anomalies/")[2].partition("?")[0]
        self._paul.aller("/support/anomalies?motif=essai")
        ligne = self._paul.page.locator("tr", has=self._paul.page.locator(f"a[href*='{ident}']"))
        assert "attend une seconde personne" in ligne.inner_text()
        ligne.get_by_role("link").first.click()
        self._paul.lit("Proposé par")
        self._paul.page.get_by_role("button", name="Approuver").click()
        self._paul.page.get_by_text("Réglé.").first.wait_for(timeout=60_000)

    def solde(self, reference: str, voulu: int, phrase: str) -> None:
        """Le solde est celui-là, et la page le dit à la personne."""
        requete = "SELECT solde FROM vues.restant_du WHERE reference = %s"
        attendre(lambda: self.pile.lire(requete, reference) == [(voulu,)], secondes=60, quoi=f"solde {voulu}")
        self.chercher(reference)
        self.claire.lit(phrase)

    def commande(self, *arguments: str, par: str = "") -> subprocess.CompletedProcess[str]:
        """La commande, sur le service qui tourne ; `par` : la personne dont le jeton est donné."""
        s = self.pile.settings
        reglages: dict[str, object] = {
            "database_url": s.database_url,
            "kafka_bootstrap": s.kafka_bootstrap,
            "kiosque_url": s.kiosque_url,
            "kiosque_office_closed_from": s.kiosque_office_closed_from,
            "kiosque_office_closed_until": s.kiosque_office_closed_until,
        }
        if par:
            reglages |= {"jwt_secret": SECRET, "agent_token": jeton_de(par)}
        return subprocess.run(
            [*CREANCES, *arguments],
            env=environnement(**reglages, topic_prefix=s.topic_prefix),
            cwd=RACINE,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def bureau(pile: Pile, visiteurs: Any) -> Iterator[Bureau]:
    """Le support au travail ; l'audit est net après l'appel."""
    yield Bureau(pile, visiteurs)
    with psycopg.connect(str(pile.settings.database_url), autocommit=True) as conn:
        attendre(lambda: not auditer(conn).ecarts, secondes=60, quoi="un audit net")
        assert auditer(conn).illisibles == {}


def test_j_ai_paye_20_euros_et_la_somme_est_toujours_affichee(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-affichee"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, perdue=True)
    transaction = bureau.transaction(assure)
    bureau.chercher(transaction)
    bureau.claire.lit("À dire à la personne")
    bureau.claire.page.get_by_role("button", name="Interroger la banque maintenant").click()
    bureau.claire.lit("Sa réponse est en route")
    bureau.statut(transaction, "accepte")
    bureau.ouvrir("Revenir à l'histoire")
    bureau.claire.lit("La banque a accepté le paiement le")
    bureau.solde(reference, 67_09, "Il reste 67,09")


def test_debite_deux_fois_sous_une_seule_autorisation(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-une-autorisation"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, doublons=1)
    transaction = bureau.transaction(assure)
    bureau.statut(transaction, "accepte")
    bureau.chercher(transaction)
    repete = bureau.claire.page.get_by_text("il n'a compté qu'une fois")
    attendre(lambda: relue(bureau.claire.page) and repete.count(), secondes=60)
    bureau.solde(reference, 67_09, "Il reste 67,09")


def test_debite_deux_fois_sous_deux_autorisations(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-deux-autorisations"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, deux_fois=True)
    transaction = bureau.transaction(assure)
    prise = "SELECT 1 FROM vues.argent WHERE transaction = %s AND reste > 0"
    attendre(lambda: pile.lire(prise, transaction), secondes=60)
    bureau.chercher(transaction)
    bureau.ouvrir("une seconde fois")
    bureau.claire.lit("Ce qui peut en être fait")
    bureau.proposer("Rendre l'argent", "deux débits sur son relevé", voie="la carte qui a payé")
    bureau.approuver()
    bureau.solde(reference, 67_09, "Il reste 67,09")


def test_refuse_mais_ma_banque_a_pris_l_argent(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-refuse"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, perdue=True)
    transaction = bureau.transaction(assure)
    pile.poster(notification(transaction, 20_00, "05"))
    bureau.statut(transaction, "echoue")
    bureau.chercher(transaction)
    bureau.claire.lit("La banque n'a pas accepté le paiement")
    bureau.claire.page.get_by_role("button", name="Interroger la banque maintenant").click()
    bureau.claire.lit("Sa réponse est en route")
    bureau.statut(transaction, "accepte")
    bureau.ouvrir("Revenir à l'histoire")
    bureau.claire.lit("La banque a accepté le paiement le")
    bureau.solde(reference, 67_09, "Il reste 67,09")


def emettre_cheque(pile: Pile, reference: str, montant: int) -> None:
    """Un chèque dit par la caisse, sans attendre qu'il compte."""
    pile._emettre(reference, cheque(reference, montant, f"appel-{reference}", date="2026-02-10"))


def test_on_me_reclame_alors_que_j_ai_paye_par_cheque_avant_l_avis(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-cheque-avant"
    attendu = f"38126120{pile.numero + 1:08d}F"
    emettre_cheque(pile, attendu, 30_00)
    bureau.chercher(attendu)
    attendre(lambda: "30,00" in relue(bureau.claire.page).content(), secondes=60)
    assert pile.avis(assure=assure) == attendu
    bureau.solde(attendu, 57_09, "Il reste 57,09")


def test_un_cheque_a_une_reference_fausse_va_a_la_bonne(pile: Pile, bureau: Bureau) -> None:
    reference, fausse = pile.avis(assure="n-appel-cheque-faux"), "3819999999999999F"
    emettre_cheque(pile, fausse, 30_00)
    bureau.chercher(fausse)
    attendre(lambda: "30,00" in relue(bureau.claire.page).content(), secondes=60)
    bureau.ouvrir("attend")
    bureau.claire.lit("Ce qui peut en être fait")
    bureau.proposer("Appliquer le message à une créance", "référence mal recopiée", Créance=reference)
    bureau.approuver()
    bureau.solde(reference, 57_09, "Il reste 57,09")


def test_paye_par_carte_et_par_cheque_le_trop_percu_est_rendu(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-trop-percu"
    reference = pile.avis(20_00, assure=assure)
    bureau.payer(assure, reference)
    transaction = bureau.transaction(assure)
    bureau.statut(transaction, "accepte")
    pile.cheque(reference, 20_00)
    trop = "SELECT 1 FROM vues.restant_du WHERE reference = %s AND solde = -2000"
    attendre(lambda: pile.lire(trop, reference), secondes=60)
    bureau.chercher(reference)
    bureau.claire.lit("Trop-perçu : 20,00")
    bureau.ouvrir("de trop")
    bureau.proposer(
        "Rembourser le trop-perçu", "payé deux fois", voie="la carte qui a payé", **{"Paiement visé": transaction}
    )
    bureau.approuver()
    bureau.solde(reference, 0, "Il ne reste rien à payer")


def test_la_banque_a_pris_un_autre_montant(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-autre-montant"
    reference = pile.avis(assure=assure)
    payeur = bureau.payer(assure, reference, ecart_centimes=1_00)
    transaction = bureau.transaction(assure)
    bureau.statut(transaction, "en_verification")
    payeur.continuer()
    payeur.lit("Nous vérifions votre paiement auprès de la banque ; ne payez pas une seconde fois")
    bureau.chercher(transaction)
    bureau.claire.lit("À dire à la personne")
    bureau.ouvrir("La banque a pris 21,00")
    bureau.proposer("Conclure le paiement avec l'argent pris", "vu avec elle")
    bureau.approuver()
    bureau.statut(transaction, "accepte")
    bureau.solde(reference, 66_09, "Il reste 66,09")
    payeur.aller(f"/paiements/{transaction}")
    payeur.lit("21,00")


def test_une_somme_orpheline_se_trouve_par_son_montant(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-orpheline"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, "23,45", orpheline=True)
    prise = "SELECT transaction FROM vues.argent WHERE transaction LIKE 'ORPHELINE%%' AND reste = 2345"
    ((transaction,),) = attendre(lambda: pile.lire(prise), secondes=60)
    bureau.chercher("23,45 € aujourd'hui")
    bureau.ouvrir(transaction)
    bureau.claire.lit("À dire à la personne")
    bureau.ouvrir("paiement inconnu")
    bureau.proposer("Rattacher l'argent à une créance", "vu au téléphone", Créance=reference)
    bureau.approuver()
    bureau.solde(reference, 63_64, "Il reste 63,64")


def test_ma_banque_m_a_rendu_l_argent_mais_la_dette_est_revenue(pile: Pile, bureau: Bureau, tmp_path: Path) -> None:
    assure = "n-appel-impaye"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, impayee=True)
    transaction = bureau.transaction(assure)
    bureau.statut(transaction, "accepte")
    jour = datetime.now(PARIS).date().isoformat()
    rapport = httpx.get(
        f"{pile.settings.kiosque_url}/simulateur/rapports/impayes", params={"jour": jour}, trust_env=False
    )
    fichier = tmp_path / "CHARGEBACKS.csv"
    fichier.write_bytes(rapport.content)
    fini = bureau.commande("rapprocher", str(fichier))
    assert fini.returncode == 1, fini.stderr
    bureau.chercher(transaction)
    bureau.claire.lit("À dire à la personne")
    bureau.ouvrir("impayé")
    piece = {"Pièce": f"impayés du {jour}"}
    bureau.proposer("Contre-passer le paiement", "impayé du jour", **piece)
    bureau.approuver()
    bureau.solde(reference, 87_09, "Il reste 87,09")


def relue(page: Any) -> Any:
    """La page, demandée de nouveau, une fois finie la navigation en cours."""
    page.wait_for_load_state("load")
    page.goto(page.url)
    return page


@contextmanager
def porte_a_la_cle_fausse(pile: Pile) -> Iterator[str]:
    """Une API de plus, à qui l'on a donné une mauvaise clé."""
    port = port_libre()
    fausse = {"kiosque_secret_key": SecretStr("une_autre_cle"), "api_port": port}
    settings = pile.settings.model_copy(update=fausse)
    arret = threading.Event()
    fil = threading.Thread(target=run.run_until, args=(settings, ["api"], arret), kwargs={"demo": True})
    fil.start()
    try:
        attendre(lambda: repond(f"http://127.0.0.1:{port}/livez"), secondes=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        arret.set()
        fil.join(60)


def test_depuis_ce_matin_plus_aucun_paiement_n_est_pris(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-cle"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, perdue=True)
    transaction = bureau.transaction(assure)
    with porte_a_la_cle_fausse(pile) as porte:
        dit = httpx.post(f"{porte}/kiosque/notification", data=notification(transaction, 20_00), trust_env=False)
    assert dit.status_code == 400
    noter = ("anomalies", "list", "--genre", "rebut", "--json")
    (garde,) = json.loads(bureau.commande(*noter).stdout)
    assert (garde["transaction"], garde["montant_centimes"]) == (transaction, 20_00)
    bureau.chercher(transaction)
    bureau.claire.lit("À dire à la personne")
    bureau.ouvrir(garde["cause"])
    bureau.claire.page.locator("#gestes summary", has_text="Rejouer").click()
    bureau.claire.page.locator("#raison-rejouer").fill("clé corrigée")
    bureau.claire.page.get_by_role("button", name="Faire : Rejouer").click()
    bureau.claire.lit("Réglé.")
    bureau.statut(transaction, "accepte")
    bureau.solde(reference, 67_09, "Il reste 67,09")


def test_par_la_commande_la_banque_interrogee_fait_baisser_le_solde(pile: Pile, bureau: Bureau) -> None:
    assure = "n-appel-commande"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, perdue=True)
    transaction = bureau.transaction(assure)
    trouve = bureau.commande("search", transaction, "--motif", "appel", "--json")
    assert transaction in trouve.stdout, trouve.stderr
    dite = bureau.commande("ask-bank", transaction, "--motif", "appel", "--json")
    assert json.loads(dite.stdout)["transmise"] is True, dite.stderr
    bureau.statut(transaction, "accepte")
    bureau.solde(reference, 67_09, "Il reste 67,09")


def test_par_la_commande_un_refus_que_la_banque_dement_fait_baisser_le_solde(pile: Pile, bureau: Bureau) -> None:
    assure = "n-commande-refuse"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, perdue=True)
    transaction = bureau.transaction(assure)
    pile.poster(notification(transaction, 20_00, "05"))
    bureau.statut(transaction, "echoue")
    trouve = json.loads(bureau.commande("search", reference, "--motif", "appel", "--json").stdout)
    assert reference in [resultat["nom"] for resultat in trouve["resultats"]]
    dite = json.loads(bureau.commande("ask-bank", transaction, "--motif", "appel", "--json", par="claire").stdout)
    assert (dite["chez_nous"]["issue"], dite["la_banque"]["issue"], dite["transmise"]) == ("echoue", "acceptee", True)
    bureau.statut(transaction, "accepte")
    bureau.solde(reference, 67_09, "Il reste 67,09")


def regler_par_la_commande(bureau: Bureau, ident: str, *precisions: str) -> None:
    """Propose, se voit refuser d'approuver soi-même, puis une seconde personne approuve."""
    geste = ("anomalies", "settle", ident, *precisions, "--motif", "vu au téléphone", "--json")
    propose = bureau.commande(*geste, par="claire")
    assert json.loads(propose.stdout)["suite"] == "propose", propose.stderr
    assert bureau.commande("anomalies", "approve", ident, par="Claire").returncode == 1
    fait = bureau.commande("anomalies", "approve", ident, "--json", par="paul")
    assert json.loads(fait.stdout)["suite"] == "regle", fait.stderr


def anomalie_de(bureau: Bureau, genre: str, nom: str) -> str:
    """La seule anomalie de ce genre sur cette créance ou ce paiement."""
    lignes = json.loads(bureau.commande("anomalies", "list", "--genre", genre, "--json").stdout)
    (ident,) = [ligne["id"] for ligne in lignes if nom in {ligne["transaction"], ligne["reference"]}]
    return str(ident)


def test_par_la_commande_la_seconde_autorisation_est_rendue_sur_la_carte(pile: Pile, bureau: Bureau) -> None:
    assure = "n-commande-deux-autorisations"
    reference = pile.avis(assure=assure)
    bureau.payer(assure, reference, deux_fois=True)
    transaction = bureau.transaction(assure)
    prise = "SELECT 1 FROM vues.argent WHERE transaction = %s AND reste > 0"
    attendre(lambda: pile.lire(prise, transaction), secondes=30)
    ident = anomalie_de(bureau, "montant_incoherent", transaction)
    regler_par_la_commande(bureau, ident, "--geste", "rendre", "--voie", "carte")
    bureau.solde(reference, 67_09, "Il reste 67,09")


def test_par_la_commande_le_trop_percu_est_rendu_sur_la_carte(pile: Pile, bureau: Bureau) -> None:
    assure = "n-commande-trop-percu"
    reference = pile.avis(20_00, assure=assure)
    bureau.payer(assure, reference)
    transaction = bureau.transaction(assure)
    bureau.statut(transaction, "accepte")
    pile.cheque(reference, 20_00)
    trop = "SELECT 1 FROM vues.restant_du WHERE reference = %s AND solde = -2000"
    attendre(lambda: pile.lire(trop, reference), secondes=20)
    ident = anomalie_de(bureau, "trop_percu", reference)
    precisions = ("--geste", "rembourser", "--voie", "carte", "--transaction", transaction)
    regler_par_la_commande(bureau, ident, *precisions)
    bureau.solde(reference, 0, "Il ne reste rien à payer")
