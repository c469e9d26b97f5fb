"""Rembourser un trop-perçu : sur la carte qui a payé, quand la banque le permet, sinon par virement."""

from typing import assert_never

from domain.geste import Proposition, Voie
from domain.monnaie import Somme
from domain.refus import AnomalieInconnue, GesteImpossible, MontantSuperieurAOuvert, PieceManquante
from guichet.reglement.acte import Acte, Effets


def preciser(acte: Acte) -> Proposition:
    """La proposition, avec son montant, et par où il est rendu. Lève PieceManquante, GesteImpossible."""
    voulue = acte.proposition
    montant = voulue.montant or Somme(acte.dossier.montant)
    match voulue.voie:
        case None:
            raise GesteImpossible("Dites par où l'argent est rendu : carte ou virement.")
        case Voie.VIREMENT:
            if not voulue.preuve:
                raise PieceManquante
            if voulue.transaction is not None:
                raise GesteImpossible("Un virement ne recrédite pas de carte.")
        case Voie.CARTE:
            if voulue.transaction is None:
                raise GesteImpossible("Dites de quel paiement recréditer la carte.")
        case _:
            assert_never(voulue.voie)
    return voulue.model_copy(update={"montant": montant})


def rembourser(acte: Acte, message_id: str, *, deja_rendu: bool = False) -> Effets:
    """Enregistre le remboursement ; par carte, le paiement doit avoir mis assez sur la créance. Lève Refus.

    `deja_rendu` : la banque l'a fait, c'est un fait.
    """
    reference, voulue = acte.dossier.reference, acte.proposition
    if reference is None:
        raise AnomalieInconnue
    creance = acte.creances([reference])[reference]
    if voulue.transaction is not None and not deja_rendu:
        recu = creance.porte(voulue.transaction) - creance.recredites.get(voulue.transaction, 0)
        if voulue.montant > recu:
            raise MontantSuperieurAOuvert(max(0, recu))
    creance.rembourser(
        message_id,
        voulue.montant,
        maintenant=acte.maintenant,
        voie=voulue.voie,
        transaction=voulue.transaction,
        deja_rendu=deja_rendu,
        **acte.personnes,
    )
    effets = Effets([creance])
    if deja_rendu:
        paiement = acte.paiement(voulue.transaction)
        paiement.conclure_remboursement(acte.dossier.ident, None, maintenant=acte.maintenant)
        effets.agregats.append(paiement)
    return effets
