"""Douze situations d'un payeur, et ce qui manque parfois, jouées dans un vrai navigateur devant le vrai service.

Chaque étape est remise à `noter` : la suite y passe axe, `make screenshots` en écrit `docs/parcours.md`. Une seule
histoire, longue de plus de 300 lignes : la couper ferait deux parcours à tenir d'accord.
"""

from collections.abc import Callable
from typing import Any, Protocol

from api.application import Limites
from tests.api.conftest import notification
from tests.navigateur.conftest import INACTIVITE, Pile, Visiteur
from tests.outils import attendre

BUREAU = {"width": 1160, "height": 760}
TELEPHONE = {"width": 320, "height": 640}
BORNE = {"width": 1080, "height": 1180}
ACCEPTEE, REFUSEE = "5017 0000 0000 0000", "5017 0000 0000 0005"
LIBEREE = "SELECT 1 FROM vues.restant_du WHERE reference = %s AND en_cours = 0"
ANNULE = "Vous avez annulé ce paiement."


class Noter(Protocol):
    """Ce qui est fait de chaque étape."""

    def __call__(self, visiteur: Visiteur, geste: str, image: str | None = None) -> None:
        """`geste` : ce que la personne vient de faire ; `image` : le nom de l'écran à garder."""


Situation = Callable[[Pile, Any, Noter], None]


def payer_deux_references(pile: Pile, venir: Any, noter: Noter) -> None:
    """Payer deux références ensemble, sur le site"""
    ancienne, recente = pile.avis(87_09, assure="p-deux", solde=137_09), pile.avis(50_00, assure="p-deux")
    venu: Visiteur = venir(viewport=BUREAU)
    venu.entrer("p-deux")
    noter(venu, "Se connecte")
    page = venu.page
    venu.aller("/payer")
    page.get_by_text("Où trouver la référence").click()
    noter(venu, "Ouvre « Créance », puis « Où trouver la référence »", "etape-1")
    venu.chercher(ancienne)
    venu.saisir("45", recente)
    page.get_by_label("Montant du paiement").blur()
    noter(venu, "Tape sa référence, coche la seconde, écrit 45", "etape-2")
    page.route("**/depart.js", lambda route: route.abort())
    page.get_by_role("button", name="Payer", exact=True).click()
    page.wait_for_url("**/kiosque")
    noter(venu, "« Payer » : la page qui mène à la banque, vue un instant")
    page.unroute("**/depart.js")
    page.get_by_role("button", name="Continuer vers le kiosque bancaire").click()
    page.wait_for_url("**/paypage")
    page.get_by_text("Cartes d'essai").click()
    noter(venu, "Arrive à la banque (simulée)", "kiosque")
    venu.carte(ACCEPTEE)
    venu.lit("Votre paiement a été accepté.")
    noter(venu, "Donne sa carte", "recu")
    venu.continuer()
    venu.lit("Il est pris en compte")
    noter(venu, "« Continuer »", "etat")
    page.get_by_role("link", name="Reçu par courriel").click()
    page.get_by_label("Adresse de courriel").fill("camille")
    page.get_by_role("button", name="Envoyer le reçu").click()
    page.locator("#erreurs").wait_for()
    noter(venu, "Demande le reçu par courriel, et tape mal son adresse")
    page.get_by_label("Adresse de courriel").fill("camille.durand@exemple.fr")
    page.get_by_role("button", name="Envoyer le reçu").click()
    venu.lit("Le reçu est parti")
    noter(venu, "Corrige son adresse")
    page.get_by_role("link", name="voyez la boîte").click()
    noter(venu, "Dans la démonstration, voit ce qui serait parti")
    venu.aller("/")
    noter(venu, "Revient à l'accueil", "accueil")
    lire_ses_preuves(pile, venu, noter, ancienne)


def lire_ses_preuves(pile: Pile, venu: Visiteur, noter: Noter, reference: str) -> None:
    """La suite de la première : l'accusé, l'histoire, les reçus."""
    page = venu.page
    attendre(lambda: pile.lire("SELECT 1 FROM vues.messagerie WHERE assure = 'p-deux'"))
    venu.aller("/messagerie")
    noter(venu, "Ouvre sa messagerie")
    page.get_by_role("link", name="Accusé de réception").click()
    noter(venu, "Ouvre l'accusé de réception", "accuse")
    page.get_by_role("link", name="Supprimer").click()
    noter(venu, "Veut le supprimer")
    venu.aller("/creances")
    page.locator(f"#h-{reference} summary").click()
    noter(venu, "Regarde toutes ses créances", "creances")
    venu.aller("/paiements")
    noter(venu, "Regarde tous ses paiements")


def payer_les_petites_ensemble(pile: Pile, venir: Any, noter: Noter) -> None:
    """Payer ensemble trois petites créances, sur un téléphone de 320 pixels"""
    premiere, *_ = [pile.avis(montant, assure="p-petites", solde=60_00) for montant in (12_50, 6_60, 10_36)]
    venu: Visiteur = venir(viewport=TELEPHONE, has_touch=True)
    venu.entrer("p-petites", "application")
    venu.page.locator(".menu summary").click()
    noter(venu, "Ouvre le menu")
    venu.chercher(premiere)
    noter(venu, "Cherche la première", "telephone-petites")
    venu.page.get_by_role("button", name="Cocher les autres et payer").click()
    noter(venu, "Touche « Cocher les autres et payer »", "telephone-ensemble")
    venu.payer()
    venu.carte(ACCEPTEE)
    venu.continuer()
    venu.lit("Il est pris en compte")
    noter(venu, "Paie")
    venu.aller("/payer?reference=" + premiere)
    noter(venu, "Cherche encore la première")


def ne_pas_atteindre_le_minimum(pile: Pile, venir: Any, noter: Noter) -> None:
    """Ne pas pouvoir payer en ligne : trop peu, ou un avis qui n'y est pas ouvert"""
    petite = pile.avis(7_00, assure="p-peu", solde=40_00)
    pile.avis(3_80, assure="p-peu", solde=40_00)
    pile.avis(30_00, assure="p-peu", solde=250_00)
    venu: Visiteur = venir(viewport=TELEPHONE, has_touch=True)
    venu.entrer("p-peu", "application")
    noter(venu, "Se connecte")
    venu.chercher(petite)
    noter(venu, "Cherche sa créance de 7,00 €, avec une autre de 3,80 €", "telephone-restant-insuffisant")
    venu.aller("/creances")
    noter(venu, "Veut savoir pourquoi")
    venu.aller("/autres-moyens")
    noter(venu, "Cherche comment payer", "telephone-autres-moyens")


def payer_deux_caisses(pile: Pile, venir: Any, noter: Noter) -> None:
    """Devoir à deux caisses"""
    ici, ailleurs = pile.avis(45_00, assure="p-caisses"), pile.avis(30_00, assure="p-caisses", caisse="011")
    venu: Visiteur = venir(viewport=BUREAU)
    venu.entrer("p-caisses")
    venu.chercher(ici)
    venu.saisir("20", ailleurs)
    noter(venu, "Coche les deux")
    venu.page.get_by_role("button", name="Payer", exact=True).click()
    venu.page.locator("#erreurs").wait_for()
    noter(venu, "« Payer » quand même")


def mal_taper_la_reference(pile: Pile, venir: Any, noter: Noter) -> None:
    """Mal taper sa référence, et vouloir comprendre"""
    reference = pile.avis(45_00, assure="p-tape")
    venu: Visiteur = venir(viewport=TELEPHONE, has_touch=True)
    venu.entrer("p-tape", "application")
    for saisie, geste in {
        reference[:-1]: "Oublie la lettre",
        reference[1:]: "Oublie un chiffre",
        "3819999999999999Z": "Tape une référence qui n'est pas la sienne",
        "": "Ne tape rien",
    }.items():
        venu.aller(f"/payer?reference={saisie}")
        noter(venu, geste, "telephone-erreur-reference" if geste == "Oublie un chiffre" else None)
    venu.aller(f"/payer?reference=N° {reference[:3]}-{reference[3:8]} {reference[8:].lower().replace('0', 'O')}")
    noter(venu, "La tape avec « N° », un tiret, des espaces, des O pour des zéros")
    venu.saisir("12")
    venu.page.get_by_role("button", name="Payer", exact=True).click()
    venu.page.locator("#erreurs").wait_for()
    noter(venu, "Écrit 12 euros", "telephone-erreur")
    venu.aller("/comprendre")
    noter(venu, "Demande pourquoi", "telephone-comprendre")


def chercher_ce_qui_est_paye(pile: Pile, venir: Any, noter: Noter) -> None:
    """Chercher une créance soldée, ou payée de trop"""
    soldee, trop = pile.avis(30_00, assure="p-soldee"), pile.avis(30_00, assure="p-soldee")
    pile.cheque(soldee, 30_00)
    pile.cheque(trop, 42_00)
    venu: Visiteur = venir(viewport=BUREAU)
    venu.entrer("p-soldee")
    noter(venu, "Se connecte")
    venu.chercher(soldee)
    noter(venu, "Cherche une créance payée par chèque", "soldee")
    venu.chercher(trop)
    noter(venu, "Cherche celle pour laquelle un chèque de 42,00 € est arrivé")


def etre_refuse_puis_recommencer(pile: Pile, venir: Any, noter: Noter) -> None:
    """Être refusé par la banque, annuler, et recommencer"""
    reference = pile.avis(45_00, assure="p-refus")
    venu: Visiteur = venir(viewport=BUREAU)
    page = venu.page
    venu.entrer("p-refus")
    venu.chercher(reference)
    venu.saisir("20")
    venu.payer()
    page.get_by_role("button", name="Valider").click()
    page.get_by_role("alert").wait_for()
    noter(venu, "À la banque, valide sans rien taper")
    venu.carte(REFUSEE)
    venu.lit("Votre paiement n'a pas abouti.")
    noter(venu, "La banque refuse sa carte")
    venu.continuer()
    venu.lit("La banque a refusé ce paiement.")
    noter(venu, "« Continuer »", "refus")
    attendre(lambda: pile.lire(LIBEREE, reference))
    page.get_by_role("button", name="Recommencer").click()
    noter(venu, "« Recommencer »")
    venu.payer()
    page.get_by_role("button", name="Annuler").click()
    venu.continuer()
    venu.lit(ANNULE)
    noter(venu, "Annule à la banque")
    for code, geste in {"97": "Laisse passer le temps", "12": "La banque est en panne"}.items():
        attendre(lambda: pile.lire(LIBEREE, reference))
        venu.chercher(reference)
        venu.saisir("20")
        pile.consigne(code_force=code)
        venu.payer()
        venu.carte(ACCEPTEE)
        venu.continuer()
        venu.lit("Votre transaction de paiement a échoué.")
        noter(venu, geste)
    venu.aller("/")
    noter(venu, "Revient à l'accueil")


def attendre_la_confirmation(pile: Pile, venir: Any, noter: Noter) -> None:
    """Avoir payé, et attendre : personne n'est invité à payer deux fois"""
    reference, autre = pile.avis(45_00, assure="p-retard"), pile.avis(45_00, assure="p-retard", caisse="011")
    venu: Visiteur = venir(viewport=BUREAU)
    venu.entrer("p-retard")
    venu.chercher(reference)
    venu.saisir("20")
    pile.consigne(retard_s=15)
    venu.payer()
    venu.carte(ACCEPTEE)
    venu.page.get_by_role("button", name="Continuer").click()
    venu.page.wait_for_url("**/paiements/*")
    noter(venu, "La banque a dit oui, sa réponse tarde", "attente")
    venu.page.get_by_text("Nous vous remercions").first.wait_for(timeout=60_000)
    noter(venu, "Attend : la page change d'elle-même")
    venu.chercher(autre)
    venu.saisir("16")
    venu.payer()
    [(transaction,)] = pile.lire(
        "SELECT transaction FROM vues.paiements WHERE assure = 'p-retard' ORDER BY ouvert_le DESC LIMIT 1"
    )
    pile.poster(notification(transaction, 20_00))
    venu.aller(f"/paiements/{transaction}")
    venu.lit("Nous vérifions votre paiement")
    noter(venu, "La banque a pris un autre montant que celui demandé", "verification-banque")
    venu.aller("/")
    noter(venu, "Revient à l'accueil")
    venu.chercher(autre)
    noter(venu, "Cherche encore cette créance")


def reprendre_un_paiement(pile: Pile, venir: Any, noter: Noter) -> None:
    """Quitter la banque sans finir, et reprendre"""
    reference = pile.avis(45_00, assure="p-reprise")
    pile.avis(30_00, assure="p-reprise")
    venu: Visiteur = venir(viewport=TELEPHONE, has_touch=True)
    venu.entrer("p-reprise", "application")
    venu.chercher(reference)
    venu.saisir("20")
    venu.payer()
    attendre(lambda: pile.paiements("p-reprise"))
    venu.aller("/")
    noter(venu, "Ferme la page de la banque, revient à l'accueil", "telephone-accueil")
    venu.page.get_by_role("link", name="voir où il en est").click()
    noter(venu, "« Voir où il en est »")
    venu.chercher(reference)
    noter(venu, "Cherche encore la même créance", "telephone-reprendre")
    venu.page.get_by_role("link", name="reprendre au kiosque bancaire").click()
    venu.page.wait_for_url("**/paypage")
    venu.carte("5017 0000 0000 3300")
    venu.page.get_by_label("Code reçu").wait_for()
    noter(venu, "Reprend ; sa banque lui demande un code")
    venu.page.get_by_label("Code reçu").fill("123456")
    venu.page.get_by_role("button", name="Confirmer").click()
    venu.continuer()
    venu.lit("Il est pris en compte")
    noter(venu, "Le donne")


def rester_trop_longtemps(pile: Pile, venir: Any, noter: Noter) -> None:
    """Rester trop longtemps : rien de ce qui est tapé n'est perdu"""
    reference, autre = pile.avis(45_00, assure="p-session"), pile.avis(30_00, assure="p-session")
    venu: Visiteur = venir(viewport=BUREAU)
    page = venu.page
    page.clock.install()
    venu.entrer("p-session")
    venu.chercher(reference)
    venu.saisir("33,50", autre)
    repos = float(page.locator("#veille").get_attribute("data-inactivite-s") or 0)
    page.clock.fast_forward(int(repos - 100) * 1000)
    page.get_by_role("alertdialog").wait_for()
    noter(venu, "Ne touche à rien : deux minutes avant la fin", "preavis")
    with page.expect_response("**/presence"):
        page.get_by_role("button", name="Rester connecté").click()
    venu.contexte.clear_cookies()
    page.get_by_role("button", name="Payer", exact=True).click()
    venu.lit("Votre session est terminée")
    noter(venu, "Envoie après la fin de sa session", "session-finie")
    page.get_by_role("link", name="Se connecter").click()
    page.get_by_label("Un autre assuré").fill("p-session")
    page.locator(".autre-assure button").click()
    page.get_by_label("Montant du paiement").wait_for()
    noter(venu, "Se reconnecte : ses lignes et son montant sont là")
    assert page.get_by_label("Montant du paiement").input_value() == "33,50"
    assert page.locator(f"#r-{autre}").is_checked()
    reste = float(page.locator("#veille").get_attribute("data-reste-s") or 0)
    fois, dernier = divmod(reste - 110, repos / 2)
    for saut in [repos / 2] * int(fois) + [dernier]:  # Présente tout du long.
        page.mouse.click(5, 5)
        page.clock.fast_forward(int(saut) * 1000)
    page.get_by_text("une session ne dure pas plus longtemps").wait_for()
    noter(venu, "Deux heures après sa connexion, quoi qu'elle fasse")


def payer_cinquante_lignes(pile: Pile, venir: Any, noter: Noter) -> None:
    """Devoir cinquante créances, sur un téléphone"""
    references = [pile.avis(20_00, assure="p-cinquante", attendu=rang == 49) for rang in range(50)]
    venu: Visiteur = venir(viewport=TELEPHONE, has_touch=True)
    venu.entrer("p-cinquante", "application")
    noter(venu, "Se connecte")
    venu.chercher(references[0])
    venu.page.evaluate(
        "document.querySelectorAll('input[name=references]:not(:checked)').forEach((une) => une.click())"
    )
    venu.saisir("30")
    noter(venu, "Coche tout, écrit 30")


def laisser_la_borne(pile: Pile, venir: Any, noter: Noter) -> None:
    """Payer à une borne, puis s'en aller"""
    reference = pile.avis(45_00, assure="p-borne")
    venu: Visiteur = venir(viewport=BORNE, has_touch=True)
    venu.entrer("p-borne", "bms")
    venu.chercher(reference)
    present = venu.page.evaluate("setInterval(() => document.dispatchEvent(new Event('scroll')), 500)")
    noter(venu, "Cherche sa créance à la borne", "borne-etape-2")
    venu.page.evaluate("clearInterval", present)
    venu.page.get_by_role("alertdialog").wait_for()
    noter(venu, "S'éloigne", "borne-preavis")
    venu.page.wait_for_url("**/inactivite", timeout=4 * INACTIVITE.total_seconds() * 1000)
    noter(venu, "Ne revient pas", "borne-fin")


def se_passer_de_script(pile: Pile, venir: Any, noter: Noter) -> None:
    """Annexe : sans JavaScript"""
    reference, autre = pile.avis(40_00, assure="p-sans"), pile.avis(30_00, assure="p-sans")
    venu: Visiteur = venir(viewport=BUREAU, java_script_enabled=False)
    venu.entrer("p-sans")
    venu.chercher(reference)
    venu.saisir("45", autre)
    venu.page.get_by_role("button", name="Voir les totaux et le partage").click()
    noter(venu, "Demande les totaux et le partage")
    venu.page.get_by_role("button", name="Payer", exact=True).click()
    noter(venu, "« Payer » : le partage est à relire", "sans-script-verification")


def trouver_porte_close(pile: Pile, venir: Any, noter: Noter) -> None:
    """Annexe : ce qui n'existe pas, ce qui manque, ce qui est en panne"""
    reference = pile.avis(45_00, assure="p-porte")
    venu: Visiteur = venir(viewport=BUREAU)
    page = venu.page
    venu.aller("/")
    noter(venu, "Arrive à la démonstration", "choix")
    page.get_by_label("Un autre assuré").fill("une personne")
    page.locator(".autre-assure button").click()
    page.locator("#erreurs").wait_for()
    noter(venu, "Tape un pseudonyme impossible")
    venu.entrer("p-personne")
    noter(venu, "Tape un pseudonyme qui n'est à personne")
    page.get_by_role("button", name="Se déconnecter").click()
    venu.aller("/messagerie")
    noter(venu, "Suit un lien profond sans être connectée")
    page.get_by_label("Un autre assuré").fill("p-porte")
    page.locator(".autre-assure button").click()
    page.get_by_role("heading", name="Ma messagerie").wait_for()
    noter(venu, "Choisit qui elle est : le lien mène où elle voulait")
    venu.aller("/paiements")
    noter(venu, "N'a encore rien payé")
    venu.aller("/nulle-part")
    noter(venu, "Demande une page qui n'existe pas (404)", "introuvable")
    venu.aller("/paiements/inconnu")
    noter(venu, "Demande un paiement qui n'existe pas (404)")
    venu.aller("/deconnexion")
    noter(venu, "Demande ce qui ne se demande pas ainsi (405)")
    venu.chercher(reference)
    page.locator("form[data-saisie] input[name=jeton]").evaluate("(champ) => { champ.value = 'x'; }")
    venu.saisir("20")
    page.get_by_role("button", name="Payer", exact=True).click()
    venu.lit("Ce formulaire a expiré")
    noter(venu, "Envoie un formulaire d'avant une reconnexion (403)")
    with pile.instance(base=False) as url:
        page.goto(f"{url}/payer?reference={reference}")
        noter(venu, "La base de données est en panne (503)", "panne")
    with pile.instance(limites=Limites(lectures_par_minute=1)) as url:
        for _ in range(2):
            page.goto(f"{url}/comprendre")
        venu.lit("trop de demandes")
        noter(venu, "Demande trop de pages (429)")


SITUATIONS: tuple[Situation, ...] = (
    payer_deux_references,
    payer_les_petites_ensemble,
    ne_pas_atteindre_le_minimum,
    payer_deux_caisses,
    mal_taper_la_reference,
    chercher_ce_qui_est_paye,
    etre_refuse_puis_recommencer,
    attendre_la_confirmation,
    reprendre_un_paiement,
    rester_trop_longtemps,
    payer_cinquante_lignes,
    laisser_la_borne,
    se_passer_de_script,
    trouver_porte_close,
)
"""Douze, puis les annexes."""
