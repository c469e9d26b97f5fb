"""Étape 2 sur 3 : les lignes cochées, le montant, et comment il se partage."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

from starlette.responses import Response

from api.assure.lecture import Consultation, Raison, raison_de_ne_pas_cocher, repris_possible
from api.assure.saisie import MontantIllisible, Saisie, écrire_partage
from api.assure.visite import Visite
from domain.refus import MontantHorsBornes, MontantSupérieurAuSolde, PaiementEnCours, Refus, RestantDûInsuffisant
from guichet.prevoir_paiement import PartPrévue
from projections.restant_du import LigneCréance

AU_MONTANT: Final = (MontantIllisible, MontantHorsBornes, MontantSupérieurAuSolde)


class Faute(NamedTuple):
    """Un refus, à l'élément de la page qu'il concerne."""

    cible: str
    """L'identifiant de l'élément."""
    phrase: str


class LigneÀCocher(NamedTuple):
    """Une créance de l'étape 2."""

    créance: LigneCréance
    raison: Raison | None
    """Pourquoi elle ne peut pas être cochée, ou None."""
    cochée: bool
    rang: int
    """Sa place dans l'imputation, la plus ancienne d'abord."""


def page_du_montant(
    visite: Visite,
    consultation: Consultation,
    *,
    saisie: Saisie | None = None,
    refus: Sequence[Refus] = (),
    prévision: Sequence[PartPrévue] = (),
    statut: int = 200,
) -> Response:
    """La page de l'étape 2 ; chaque refus à son champ et en tête, la saisie gardée."""
    lignes = _lignes(visite, consultation, saisie)
    cochées = [ligne.créance for ligne in lignes if ligne.cochée]
    maintenant = visite.moyens.dépendances.horloge()
    ouverts = consultation.sans_fin
    valeurs: dict[str, Any] = {
        "cherchée": lignes[0],
        "autres": lignes[1:],
        "plusieurs_caisses": len({ligne.créance.caisse for ligne in lignes}) > 1,
        "nombre": len(cochées),
        "solde_total": sum(ligne.restant_dû for ligne in cochées),
        "montant": saisie.montant if saisie else "",
        "fautes": [Faute(_cible(un_refus), un_refus.phrase) for un_refus in refus],
        "à_reprendre": [paiement for paiement in ouverts if repris_possible(paiement, maintenant)],
        "prévision": prévision,
        "politique": visite.moyens.dépendances.guichet.politique,
        "clé": nouvelle_clé(),
    }
    return visite.rendre("montant.html", valeurs, statut=statut)


def page_de_vérification(
    visite: Visite,
    consultation: Consultation,
    saisie: Saisie,
    prévision: Sequence[PartPrévue],
    *,
    refus: Refus | None = None,
) -> Response:
    """Le partage, relu avant de payer : ce que montre la page sans script, ou quand il vient de changer."""
    valeurs = {
        "saisie": saisie,
        "caisse": consultation.cherchée.caisse,
        "prévision": prévision,
        "total": sum(part.part for part in prévision),
        "partage_lu": écrire_partage(tuple((part.référence, part.part) for part in prévision if part.part)),
        "politique": visite.moyens.dépendances.guichet.politique,
        "refus": refus,
        # La clé du formulaire lu passe de page en page : la relecture n'ouvre pas un second paiement.
        "clé": saisie.clé,
    }
    return visite.rendre("verification.html", valeurs, statut=409 if refus else 200)


def nouvelle_clé() -> str:
    """La clé d'un formulaire : le même, envoyé deux fois, n'ouvre qu'un paiement."""
    return uuid4().hex


def _lignes(visite: Visite, consultation: Consultation, saisie: Saisie | None) -> list[LigneÀCocher]:
    """La créance cherchée d'abord, puis les autres, la plus ancienne d'abord."""
    politique = visite.moyens.dépendances.guichet.politique
    ouverts = consultation.sans_fin
    créances = [consultation.cherchée, *consultation.autres]
    demandées = set(saisie.cochées) if saisie else {consultation.cherchée.référence}
    anciennes = sorted(créances, key=lambda ligne: (ligne.date_émission, ligne.référence))
    rangs = {ligne.référence: rang for rang, ligne in enumerate(anciennes)}
    lignes = []
    for ligne in créances:
        raison = raison_de_ne_pas_cocher(ligne, politique, ouverts, exclusif=True)
        cochée = raison is None and ligne.référence in demandées
        lignes.append(LigneÀCocher(ligne, raison, cochée, rangs[ligne.référence]))
    return lignes


def _cible(refus: Refus) -> str:
    match refus:
        case RestantDûInsuffisant():
            return f"ligne-{refus.référence}"
        case PaiementEnCours():
            return "reprendre" if refus.transactions else "selection"
        case _:
            return "montant" if isinstance(refus, AU_MONTANT) else "selection"
