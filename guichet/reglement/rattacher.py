"""Rattacher de l'argent pris par la banque à des créances, celles que l'on choisit ou celles d'un paiement."""

from domain.geste import Proposition
from domain.monnaie import Centimes
from domain.refus import GesteImpossible, MontantSuperieurAOuvert
from guichet.reglement.acte import Acte, Effets, exiger_destinataires, partager


def preciser(acte: Acte) -> Proposition:
    """La proposition, avec son partage et son montant : ce que la seconde personne lira. Lève Refus.

    À une seule créance, sans part dite, tout va ; sans créance nommée, l'argent va à celles du paiement nommé.
    """
    voulue = acte.proposition
    if voulue.imputations and voulue.transaction is not None:
        raise GesteImpossible("Dites des créances, ou un paiement : pas les deux.")
    if len(voulue.imputations) == 1 and not voulue.imputations[0].part:
        part = Centimes(voulue.montant or acte.dossier.montant)
        (seule,) = voulue.imputations
        voulue = voulue.model_copy(update={"imputations": (seule.model_copy(update={"part": part}),)})
    if voulue.imputations:
        montant = Centimes(sum(imputation.part for imputation in voulue.imputations))
        if voulue.montant not in {0, montant}:
            raise GesteImpossible("Le montant n'est pas la somme des parts.")
        return voulue.model_copy(update={"montant": montant})
    if voulue.transaction is None:
        raise GesteImpossible("Dites à quelle créance, ou à quel paiement, rattacher cet argent.")
    cible = acte.paiement(voulue.transaction)
    if not cible.imputations:
        raise GesteImpossible("Ce paiement ne nous est pas connu : il ne dit pas à quelles créances il allait.")
    montant = Centimes(voulue.montant or acte.dossier.montant)
    parts, reste = partager(montant, cible, acte.creances(i.reference for i in cible.imputations))
    if reste:
        raise MontantSuperieurAOuvert(montant - reste)
    return voulue.model_copy(update={"montant": montant, "imputations": parts})


def rattacher(acte: Acte) -> Effets:
    """Rattache ; chaque créance et le paiement l'enregistrent du même bloc. Lève Refus."""
    paiement = acte.paiement()
    imputations = acte.proposition.imputations
    references = [imputation.reference for imputation in imputations]
    if not references or len(set(references)) != len(references):
        raise GesteImpossible("Nommez chaque créance une fois.")
    creances = acte.creances(references)
    exiger_destinataires(paiement, creances.values())
    paiement.imputer_argent(acte.dossier.ident, imputations, maintenant=acte.maintenant, **acte.personnes)
    for imputation in imputations:
        creances[imputation.reference].rattacher(
            paiement.transaction,
            acte.dossier.ident,
            imputation.part,
            maintenant=acte.maintenant,
            **acte.personnes,
        )
    paiement.finir_verification(maintenant=acte.maintenant)
    return Effets([paiement, *creances.values()])
