"""La vue `restant_du` contre les créances rejouées, et leur solde contre la formule."""

from typing import Any

from psycopg import Connection

from domain.creance import Créance
from projections.audit.formule import solde_par_la_formule
from projections.audit.journal import LIGNES_PAR_LECTURE, Journal
from projections.audit.rapport import Rapport
from projections.vues.restant_du import LigneCreance, RestantDu, lignes


def comparer_restant_du(conn: Connection[Any], journal: Journal, rapport: Rapport, reference: str | None) -> None:
    """Fusionne les créances rejouées et les lignes de la vue, toutes deux dans l'ordre des références."""
    vue = lignes(conn, reference, LIGNES_PAR_LECTURE)
    ligne = next(vue, None)
    for creance, faits in journal.creances(rapport.positions.get(RestantDu.nom, 0), reference):
        rapport.creances += 1
        rapport.restant_du_total += creance.restant_du
        if creance.solde != (formule := solde_par_la_formule(faits)):
            rapport.ecart(f"{creance.id} : solde {creance.solde} rejoué, {formule} par la formule")
        while ligne is not None and ligne.reference < creance.avis.reference:
            _seule(journal, rapport, ligne)
            ligne = next(vue, None)
        if ligne is None or ligne.reference != creance.avis.reference:
            rapport.ecart(f"restant_du : {creance.avis.reference} absente de la vue")
            continue
        _comparer_ligne(rapport, creance, ligne)
        ligne = next(vue, None)
    while ligne is not None:
        _seule(journal, rapport, ligne)
        ligne = next(vue, None)


def _seule(journal: Journal, rapport: Rapport, ligne: LigneCreance) -> None:
    if not journal.illisible(Créance.flux(ligne.reference)):
        rapport.ecart(f"restant_du : {ligne.reference} sans événement")


def _comparer_ligne(rapport: Rapport, creance: Créance, ligne: LigneCreance) -> None:
    attendus = {
        "assure": (creance.avis.assure, ligne.assure),
        "montant_initial": (creance.montant, ligne.montant_initial),
        "solde": (creance.solde, ligne.solde),
        "en_cours": (creance.reserve, ligne.en_cours),
        "annulee": (creance.annulee, ligne.annulee),
        "payable_en_ligne": (creance.payable_en_ligne, ligne.payable_en_ligne),
        "version": (creance.version, ligne.version),
    }
    for champ, (dit, vu) in attendus.items():
        if dit != vu:
            rapport.ecart(f"restant_du : {ligne.reference} {champ} vaut {vu}, le journal dit {dit}")
