"""Rendre de l'argent qu'aucune créance n'a reçu, par la carte ou par virement ; ou constater une reprise."""

from domain.geste import Geste, Proposition, Voie
from domain.monnaie import Centimes, Somme
from domain.refus import GesteImpossible, PieceManquante
from guichet.reglement.acte import Acte, Effets


def preciser(acte: Acte) -> Proposition:
    """La proposition, avec son montant ; lève PieceManquante, GesteImpossible."""
    voulue = acte.proposition
    par_la_banque = voulue.geste is Geste.CONSTATER_REPRISE
    if par_la_banque and voulue.voie is not None:
        raise GesteImpossible("Ce que la banque a repris d'elle-même n'a pas de voie.")
    if not par_la_banque and voulue.voie is None:
        raise GesteImpossible("Dites par où l'argent est rendu : carte ou virement.")
    if voulue.voie is not Voie.CARTE and not voulue.preuve:
        raise PieceManquante
    montant = voulue.montant or Somme(acte.dossier.montant)
    return voulue.model_copy(update={"montant": montant, "transaction": acte.dossier.transaction})


def rendre(acte: Acte) -> Effets:
    """Enregistre que l'argent est rendu, ou repris. Lève Refus."""
    paiement = acte.paiement()
    paiement.rendre_argent(
        acte.dossier.ident,
        Centimes(acte.proposition.montant),
        acte.proposition.voie,
        maintenant=acte.maintenant,
        **acte.personnes,
    )
    # La banque l'a fait : ce qui lui était demandé ne l'est plus. Rien n'était demandé, rien n'est enregistré.
    paiement.conclure_remboursement(acte.dossier.ident, None, maintenant=acte.maintenant)
    paiement.finir_verification(maintenant=acte.maintenant)
    return Effets([paiement])
