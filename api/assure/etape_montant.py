"""Étape 2 sur 3 : les lignes cochées, le montant, et comment il se partage."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

from starlette.responses import Response

from api.assure.feuillets import Feuillet, disponible_hors_page, feuillet
from api.assure.lecture import (
    Consultation,
    Raisons,
    attentes,
    phrase_en_cours,
)
from api.assure.montants import blocage, ensemble, propositions
from api.assure.rangees import LigneACocher, ecrire
from api.assure.saisie import MontantIllisible, Saisie, ecrire_partage
from api.socle.visite import Visite
from domain.monnaie import euros
from domain.ouverture import caisses_en_verification
from domain.refus import (
    MontantHorsBornes,
    MontantSuperieurAuSolde,
    PaiementEnCours,
    Refus,
    RestantDuInsuffisant,
    SelectionInvalide,
)
from guichet.prevoir_paiement import PartPrevue

AU_MONTANT: Final = (MontantIllisible, MontantHorsBornes, MontantSuperieurAuSolde)


class Faute(NamedTuple):
    """Un refus, à l'élément de la page qu'il concerne."""

    cible: str
    """L'identifiant de l'élément."""
    phrase: str


def page_du_montant(
    visite: Visite,
    consultation: Consultation,
    *,
    saisie: Saisie | None = None,
    refus: Sequence[Refus] = (),
    prevision: Sequence[PartPrevue] = (),
    statut: int = 200,
) -> Response:
    """La page de l'étape 2 ; chaque refus à son champ et en tête, la saisie gardée."""
    lignes = _lignes(visite, consultation, saisie)
    cochees = [ligne.creance for ligne in lignes if ligne.cochee]
    ouvertes = [ligne.creance for ligne in lignes]
    cochables = [ligne.creance for ligne in lignes if ligne.invite]
    en_verification = caisses_en_verification(consultation.sans_fin)
    politique = visite.moyens.dependances.guichet.politique
    solde = sum(ligne.restant_du for ligne in cochees)
    payable = any(ligne.raison is None for ligne in lignes)
    attendus = attentes(consultation.sans_fin, consultation.fermes, visite.retours)
    page_du_tableau = feuillet(lignes[1:], saisie.page if saisie else 1)
    plusieurs_caisses = len({ligne.creance.caisse for ligne in lignes}) > 1
    preuves = visite.moyens.dependances.sel_de_preuve is not None
    formes = {"plusieurs_caisses": plusieurs_caisses, "preuves": preuves}
    valeurs: dict[str, Any] = {
        "cherchee": lignes[0],
        "autres": len(lignes) - 1,
        "feuillet": page_du_tableau,
        "hors_page": _hors_page(lignes, page_du_tableau) if page_du_tableau.nombre > 1 else "",
        "rangees": ecrire(page_du_tableau.lignes, **formes),
        "rangees_ailleurs": ecrire(page_du_tableau.cochees_ailleurs, **formes),
        "plusieurs_caisses": plusieurs_caisses,
        "nombre": len(cochees),
        "solde_total": solde,
        "saisie_rendue": saisie is not None,
        "trop_peu": 0 < solde < politique.minimum_par_paiement,
        "montant": saisie.montant if saisie else "",
        "fautes": [_a_sa_place(_faute(un, visite, lignes), payable=payable, attendus=attendus.nombre) for un in refus],
        "attentes": attendus,
        "payable": payable,
        "invite": lignes[0].invite if lignes[0].raison is None else bool(cochables),
        "en_verification": " ".join(sorted(en_verification)),
        "prevision": prevision,
        "propositions": propositions(
            [ligne for ligne in cochees if ligne.caisse not in en_verification], ouvertes, cochables, politique
        ),
        "blocage": blocage(sum(part.part for part in prevision), cochees, ouvertes, politique) if prevision else None,
        "politique": politique,
        "cle": nouvelle_cle(),
    }
    return visite.rendre("montant.html", valeurs, statut=statut)


def page_de_verification(
    visite: Visite,
    consultation: Consultation,
    saisie: Saisie,
    prevision: Sequence[PartPrevue],
    *,
    refus: Refus | None = None,
) -> Response:
    """Le partage, relu avant de payer : ce que montre la page sans script, ou quand il vient de changer."""
    ouvertes = [consultation.cherchee, *consultation.autres]
    parts = {part.reference for part in prevision}
    cochees = [ligne for ligne in ouvertes if ligne.reference in parts]
    politique = visite.moyens.dependances.guichet.politique
    total = sum(part.part for part in prevision)
    retenue = retenue_par_une_verification(consultation, parts)
    valeurs = {
        "saisie": saisie,
        "caisse": cochees[0].caisse,
        "attentes": attentes(consultation.sans_fin if retenue else (), consultation.fermes, visite.retours),
        "retenue": retenue,
        "prevision": prevision,
        "total": total,
        "blocage": blocage(total, cochees, ouvertes, politique),
        "partage_lu": ecrire_partage(tuple((part.reference, part.part) for part in prevision if part.part)),
        "politique": politique,
        "refus": refus,
        # La clé du formulaire lu passe de page en page : la relecture n'ouvre pas un second paiement.
        "cle": saisie.cle,
    }
    return visite.rendre("verification.html", valeurs, statut=409 if refus else 200)


def retenue_par_une_verification(consultation: Consultation, references: Collection[str]) -> bool:
    """Dit si l'une de ces références est d'une caisse où un paiement est en vérification."""
    caisses = caisses_en_verification(consultation.sans_fin)
    ouvertes = (consultation.cherchee, *consultation.autres)
    return any(ligne.caisse in caisses for ligne in ouvertes if ligne.reference in references)


def tout_cocher(visite: Visite, consultation: Consultation, saisie: Saisie) -> Saisie:
    """La saisie, avec toutes les lignes que l'on propose à la caisse des lignes cochées, et ce qui se paie.

    Inchangée si ces lignes ne sont pas toutes d'une même caisse : la page n'y propose rien.
    """
    politique = visite.moyens.dependances.guichet.politique
    cochables = [ligne.creance for ligne in _lignes(visite, consultation, None) if ligne.invite]
    ouvertes = [consultation.cherchee, *consultation.autres]
    caisses = {ligne.caisse for ligne in ouvertes if ligne.reference in saisie.cochees}
    if len(caisses) != 1:
        return saisie._replace(action="partage")
    cochees = ensemble(caisses.pop(), cochables, politique, gardees=saisie.cochees)
    proposees = propositions(cochees, ouvertes, cochables, politique)
    montant = f"{euros(proposees[-1].montant)[:-2]}" if proposees else saisie.montant
    return saisie._replace(cochees=tuple(ligne.reference for ligne in cochees), montant=montant, action="partage")


def nouvelle_cle() -> str:
    """La clé d'un formulaire : le même, envoyé deux fois, n'ouvre qu'un paiement."""
    return uuid4().hex


def _lignes(visite: Visite, consultation: Consultation, saisie: Saisie | None) -> list[LigneACocher]:
    """La créance cherchée d'abord, puis les autres, la plus ancienne d'abord."""
    politique = visite.moyens.dependances.guichet.politique
    creances = [consultation.cherchee, *consultation.autres]
    demandees = set(saisie.cochees) if saisie else {consultation.cherchee.reference}
    anciennes = sorted(creances, key=lambda ligne: (ligne.date_emission, ligne.reference))
    rangs = {ligne.reference: rang for rang, ligne in enumerate(anciennes)}
    maintenant = visite.moyens.dependances.horloge()
    raisons = Raisons(
        creances,
        politique,
        consultation.sans_fin,
        maintenant=maintenant,
        exclusif=True,
        retours=visite.retours,
        fermes=consultation.fermes,
    )
    lignes = []
    for ligne in creances:
        raison = raisons.de(ligne)
        invite = raison is None and (not raisons.en_verification or raisons.invite(ligne))
        # Sans invitation, seule la personne coche.
        cochee = raison is None and ligne.reference in demandees and (invite or saisie is not None)
        lignes.append(LigneACocher(ligne, raison, cochee, rangs[ligne.reference], invite))
    return lignes


def _hors_page(lignes: Sequence[LigneACocher], montre: Feuillet) -> str:
    """Ce qui peut être payé et que la page ne montre pas, par caisse."""
    montrees = [
        lignes[0].creance.reference,
        *(une.creance.reference for une in (*montre.lignes, *montre.cochees_ailleurs)),
    ]
    return disponible_hors_page((ligne.creance for ligne in lignes), montrees)


def _a_sa_place(faute: Faute, *, payable: bool, attendus: int) -> Faute:
    """La même faute, menée à la sélection si l'élément qu'elle vise n'est pas sur la page."""
    absente = (faute.cible == "montant" and not payable) or (faute.cible == "reprendre" and not attendus)
    return faute._replace(cible="selection") if absente else faute


def _faute(refus: Refus, visite: Visite, lignes: Sequence[LigneACocher]) -> Faute:
    if isinstance(refus, RestantDuInsuffisant) and any(ligne.cochee for ligne in lignes):
        # Les lignes cochées peuvent se payer, avec d'autres : c'est leur somme qui ne suffit pas.
        restants = [ligne.creance.restant_du for ligne in lignes if ligne.cochee]
        minimum = visite.moyens.dependances.guichet.politique.minimum_par_paiement
        dit = "Les références cochées ne font" if len(restants) > 1 else "La référence cochée ne fait"
        phrase = (
            f"{dit} que {euros(sum(restants))} : cochez-en d'autres de la même caisse, pour atteindre {euros(minimum)}."
        )
        return Faute("selection", phrase)
    if isinstance(refus, SelectionInvalide) and (trop := _en_trop(visite, lignes)):
        return Faute("selection", trop)
    return Faute(_cible(refus), _phrase(refus, visite))


def _en_trop(visite: Visite, lignes: Sequence[LigneACocher]) -> str:
    """Ce que lit une personne qui a coché plus de références qu'un paiement n'en règle ; rien sinon."""
    cochees = sum(ligne.cochee for ligne in lignes)
    permises = visite.moyens.dependances.guichet.politique.references_max
    if cochees <= permises:
        return ""
    return (
        f"Vous avez coché {cochees} références ; un paiement en règle {permises} au plus :"
        f" décochez-en {cochees - permises}."
    )


def _phrase(refus: Refus, visite: Visite) -> str:
    if not isinstance(refus, PaiementEnCours):
        return refus.phrase
    confirme = not visite.retours.isdisjoint(refus.transactions)
    return phrase_en_cours(refus, visite.moyens.dependances.horloge(), confirme=confirme)


def _cible(refus: Refus) -> str:
    match refus:
        case RestantDuInsuffisant():
            return f"ligne-{refus.reference}"
        case PaiementEnCours():
            return "reprendre" if refus.transactions else "selection"
        case _:
            return "montant" if isinstance(refus, AU_MONTANT) else "selection"
