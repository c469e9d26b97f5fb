"""Lire une demande scellée et sceller une réponse, du côté de la banque."""

from collections.abc import Mapping

from domain.delai import PARIS
from domain.references import TRANSACTION
from kiosque.interface import DeviseInattendue, FormulaireIllisible, url_permise
from kiosque.simulateur.etat import Conclusion, Demande
from kiosque.simulateur.reglages import ReglagesSimulateur
from kiosque.sips.codes import ACCEPTE
from kiosque.sips.donnees import valeur_de
from kiosque.sips.enveloppe import fermer
from kiosque.sips.reponses import EURO, MONTANT

VERSION_INTERFACE = "HP_2.40"
UTILISES = frozenset(
    {
        "merchantId",
        "keyVersion",
        "transactionReference",
        "amount",
        "currencyCode",
        "normalReturnUrl",
        "automaticResponseUrl",
    }
)
"""Les champs d'une demande dont la banque se sert."""

RAPPELS = ("orderId", "customerId", "captureMode", "orderChannel", "returnContext")


def lire_demande(valeurs: Mapping[str, str]) -> Demande:
    """La demande que portent des valeurs au sceau vérifié ; lève `FormulaireIllisible` ou `DeviseInattendue`."""
    transaction = transaction_de(valeurs)
    montant = valeur_de(valeurs, "amount")
    if montant is None or not MONTANT.fullmatch(montant) or int(montant) == 0:
        raise FormulaireIllisible("amount manque ou n'est pas un nombre de centimes")
    if valeur_de(valeurs, "currencyCode") != EURO:
        raise DeviseInattendue
    retour = valeur_de(valeurs, "normalReturnUrl")
    if retour is None or not url_permise(retour) or "?" in retour:
        raise FormulaireIllisible("normalReturnUrl manque, ou porte une chaîne de requête")
    notification = valeur_de(valeurs, "automaticResponseUrl")
    if notification is not None and not url_permise(notification):
        raise FormulaireIllisible("automaticResponseUrl n'est pas une URL http ou https")
    rappels = {nom: valeur for nom in RAPPELS if (valeur := valeur_de(valeurs, nom)) is not None}
    return Demande(transaction, int(montant), retour, notification, rappels)


def transaction_de(valeurs: Mapping[str, str]) -> str:
    """La référence de transaction ; lève `FormulaireIllisible`."""
    transaction = valeur_de(valeurs, "transactionReference")
    if transaction is None or not TRANSACTION.fullmatch(transaction):
        raise FormulaireIllisible("transactionReference manque ou est mal formée")
    return transaction


def sceller_reponse(reglages: ReglagesSimulateur, demande: Demande, conclusion: Conclusion) -> dict[str, str]:
    """Le formulaire scellé d'une réponse : le même pour l'automatique et la manuelle."""
    valeurs = {
        **demande.rappels,
        "amount": str(demande.montant),
        "currencyCode": EURO,
        "transactionReference": demande.transaction,
        "captureDay": "0",
        "transactionOrigin": "INTERNET",
        "paymentPattern": "ONE_SHOT",
        "responseCode": conclusion.code,
        "acquirerResponseCode": ACCEPTE if conclusion.code == ACCEPTE else "null",
        "authorisationId": conclusion.autorisation or "null",
        "maskedPan": conclusion.carte_masquee or "null",
        "paymentMeanBrand": conclusion.marque or "null",
        "paymentMeanType": "CARD" if conclusion.marque else "null",
        "transactionDateTime": conclusion.le.astimezone(PARIS).isoformat(timespec="seconds"),
    }
    return _fermer(reglages, valeurs)


def _fermer(reglages: ReglagesSimulateur, valeurs: Mapping[str, str]) -> dict[str, str]:
    return fermer(
        valeurs,
        reglages.contrat,
        reglages.algorithme,
        version_interface=VERSION_INTERFACE,
        encodage=reglages.encodage,
    )
