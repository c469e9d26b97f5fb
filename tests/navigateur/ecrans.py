"""Les écrans de la documentation, pris dans le vrai service : `make screenshots`. Ne fait pas partie des tests."""

from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.navigateur.conftest import Pile, Visiteur
from tests.outils import attendre

DOSSIER = Path(__file__).resolve().parents[2] / "docs" / "ecrans"
COULEURS = 96
BUREAU = {"width": 1100, "height": 760}
TELEPHONE = {"width": 375, "height": 720}
BORNE = {"width": 1080, "height": 1180}


def test_les_ecrans(pile: Pile, visiteurs: Any) -> None:
    ancienne, recente = pile.avis(87_09, assure="demo-0042", solde=137_09), pile.avis(50_00, assure="demo-0042")
    pile.avis(12_50, assure="demo-0042", solde=60_00)
    DOSSIER.mkdir(exist_ok=True)
    bureau: Visiteur = visiteurs(viewport=BUREAU)
    bureau.entrer("demo-0042")
    bureau.aller("/payer")
    bureau.page.get_by_text("Où trouver la référence").click()
    prendre(bureau, "etape-1")
    bureau.chercher(ancienne)
    bureau.saisir("45", recente)
    bureau.page.get_by_label("Montant du paiement").blur()
    prendre(bureau, "etape-2")
    bureau.payer()
    prendre(bureau, "kiosque")
    bureau.carte("5017 0000 0000 0000")
    bureau.lit("Votre paiement a été accepté.")
    prendre(bureau, "recu")
    bureau.continuer()
    bureau.lit("Il est pris en compte")
    prendre(bureau, "etat")
    bureau.aller("/")
    prendre(bureau, "accueil")
    attendre(lambda: pile.lire("SELECT 1 FROM vues.messagerie"))
    bureau.aller("/messagerie")
    bureau.page.get_by_role("link", name="Accusé de réception").click()
    prendre(bureau, "accuse")
    bureau.aller("/creances")
    bureau.page.locator(f"#h-{ancienne} summary").click()
    prendre(bureau, "creances")

    telephone: Visiteur = visiteurs(viewport=TELEPHONE, has_touch=True)
    telephone.entrer("demo-0042", "application")
    prendre(telephone, "telephone-accueil")
    telephone.chercher(recente)
    telephone.saisir("12", ancienne)
    telephone.page.get_by_role("button", name="Payer", exact=True).click()
    telephone.page.locator("#erreurs").wait_for()
    prendre(telephone, "telephone-erreur")
    telephone.saisir("40")
    telephone.page.get_by_label("Montant du paiement").blur()
    prendre(telephone, "telephone-etape-2")

    borne: Visiteur = visiteurs(viewport=BORNE, has_touch=True)
    borne.entrer("demo-0042", "bms")
    borne.chercher(recente)
    prendre(borne, "borne-etape-2")


def prendre(visiteur: Visiteur, nom: str) -> None:
    """Toute la page, en PNG d'une palette courte : nos pages ont peu de couleurs."""
    visiteur.page.evaluate("scrollTo(0, 0)")
    pris = visiteur.page.screenshot(full_page=True, animations="disabled", caret="hide")
    with Image.open(BytesIO(pris)) as image:
        image.convert("RGB").quantize(COULEURS, dither=Image.Dither.NONE).save(DOSSIER / f"{nom}.png", optimize=True)
