"""Contre-passer un paiement : la banque l'a repris (impayé), ou il est venu par erreur ; la dette revient."""

from domain.geste import Proposition, Source
from domain.monnaie import Somme, euros
from domain.refus import GesteImpossible
from guichet.reglement.acte import Acte, Effets


def preciser(acte: Acte) -> Proposition:
    """La proposition, avec tout ce que les créances ont encore de ce paiement. Lève GesteImpossible.

    Un rapport qui n'en montre qu'une part reprise ne le contre-passe pas : la dette reviendrait de trop.
    """
    paiement = acte.paiement()
    references = [*(i.reference for i in paiement.imputations), *paiement.rattachements]
    creances = acte.creances(references)
    montant = Somme(sum(creance.porte(paiement.transaction) for creance in creances.values()))
    if not montant:
        raise GesteImpossible("Aucune créance n'a plus rien de ce paiement.")
    if acte.dossier.source is Source.ECART and acte.dossier.montant < montant:
        raise GesteImpossible(
            f"La banque n'en a repris que {euros(acte.dossier.montant)}, et un paiement se contre-passe en entier"
            f" ({euros(montant)}) : l'écart reste ouvert. Si elle a tout repris en plusieurs fois, signalez-le."
        )
    if acte.proposition.montant not in {0, montant}:
        raise GesteImpossible("Un paiement se contre-passe en entier.")
    return acte.proposition.model_copy(update={"montant": montant, "transaction": paiement.transaction})


def contrepasser(acte: Acte) -> Effets:
    """Reprend ce que chaque créance a reçu ; lève GesteImpossible si cela a changé depuis la proposition."""
    paiement = acte.paiement()
    references = [*(i.reference for i in paiement.imputations), *paiement.rattachements]
    creances = acte.creances(references)
    repris = sum(
        creance.contrepasser_tout(
            paiement.transaction, acte.proposition.motif, maintenant=acte.maintenant, **acte.personnes
        )
        for creance in creances.values()
    )
    if repris != acte.proposition.montant:
        raise GesteImpossible("Ce que les créances ont reçu a changé depuis la proposition : elle est à refaire.")
    return Effets(list(creances.values()))
