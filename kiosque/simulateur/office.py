"""Sips Office JSON, du côté de la banque : le diagnostic, l'annulation, le remboursement.

Une transaction acceptée attend sa remise en banque jusqu'au soir (22 h à Paris) ; avant elle s'annule, après elle se
rembourse.
"""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Final

from domain.delai import PARIS
from kiosque.interface import FormulaireIllisible
from kiosque.simulateur.banque import Banque
from kiosque.simulateur.etat import Conclusion, Session
from kiosque.sips.codes import ACCEPTE, ANNULE, NE_CONCLUENT_RIEN, SESSION_EXPIREE, TRANSACTION_INCONNUE
from kiosque.sips.office.client import ANNULATION, DIAGNOSTIC, REMBOURSEMENT
from kiosque.sips.office.diagnostic import A_REMETTRE, REMISE, plates
from kiosque.sips.office.sceau import Json, ecrire_json, lire_json, sceau_tient, sceller_json
from kiosque.sips.reponses import EURO, MONTANT

MAUVAIS_SCEAU: Final = "34"
FORMAT: Final = "30"
IMPOSSIBLE: Final = "24"
NON_PERMISE: Final = "40"
TROP: Final = "51"
REMISE_LE_SOIR: Final = time(22)

OPERATIONS: Final = {ANNULATION: ("CANCEL", A_REMETTRE), REMBOURSEMENT: ("CREDIT", REMISE)}
"""Le nom de l'opération, et l'état qu'elle demande."""


def repondre(banque: Banque, service: str, corps: bytes) -> bytes | None:
    """La réponse scellée à une question ; None si la consigne veut qu'elle se perde."""
    champ = "getTransDataResponseCode" if service == DIAGNOSTIC else "responseCode"
    valeurs = _question(banque, corps)
    if isinstance(valeurs, str):
        return _sceller(banque, {champ: valeurs})
    transaction = valeurs.get("transactionReference", "")
    trouvee = banque.etat(transaction)
    reponse: Mapping[str, str]
    if (code := banque.consignes.de(transaction).office_code) is not None:
        reponse = {champ: code}
    elif trouvee is None:
        reponse = {champ: TRANSACTION_INCONNUE, "transactionReference": transaction}
    elif service == DIAGNOSTIC:
        reponse = diagnostic(*trouvee, banque.maintenant())
    elif service not in OPERATIONS:
        reponse = {champ: NON_PERMISE}
    else:
        reponse = _operer(banque, service, valeurs, *trouvee)
        if reponse["responseCode"] == ACCEPTE and banque.consignes.operation_muette(transaction):
            return None
    return _sceller(banque, reponse)


def _question(banque: Banque, corps: bytes) -> dict[str, str] | str:
    """Les valeurs de la question, ou le code qui la refuse : 30 mal formée, 34 mal scellée."""
    try:
        question = lire_json(corps)
    except FormulaireIllisible:
        return FORMAT
    valeurs, contrat = plates(question), banque.reglages.contrat
    a_nous = valeurs.get("merchantId") == contrat.id and valeurs.get("keyVersion") == str(contrat.version_courante)
    scellee = sceau_tient(question, valeurs.get("seal", ""), [contrat.secret_courant])
    return valeurs if a_nous and scellee else MAUVAIS_SCEAU


def diagnostic(session: Session, conclusion: Conclusion, maintenant: datetime) -> dict[str, str]:
    """Les champs de `getTransactionData` ; les absents manquent, comme chez la banque."""
    derniere = session.operations[-1] if session.operations else None
    champs = {
        "getTransDataResponseCode": ACCEPTE,
        "responseCode": conclusion.code,
        "transactionStatus": statut(session, conclusion, maintenant),
        "transactionReference": session.demande.transaction,
        "originAmount": str(session.demande.montant),
        "currentAmount": str(session.reste),
        "currencyCode": EURO,
        "orderId": session.demande.rappels.get("orderId"),
        "transactionDateTime": _heure(conclusion.le),
        "lastOperationName": derniere.nom if derniere else "AUTHOR",
        "lastOperationDateTime": _heure(derniere.le if derniere else conclusion.le),
        "authorisationId": conclusion.autorisation,
        "maskedPan": conclusion.carte_masquee,
        "paymentMeanBrand": conclusion.marque,
        "acquirerResponseCode": ACCEPTE if conclusion.code == ACCEPTE else None,
    }
    return {nom: valeur for nom, valeur in champs.items() if valeur is not None}


def statut(session: Session, conclusion: Conclusion, maintenant: datetime) -> str:
    """Le `transactionStatus` du moment ; une annulation ou un remboursement partiel ne le change pas."""
    if conclusion.code == ACCEPTE:
        remise = maintenant >= soir(conclusion.le)
        if session.reste == 0:
            return "CREDITED" if session.operations[-1].nom == "CREDIT" else "CANCELLED"
        return REMISE if remise else A_REMETTRE
    if conclusion.code in NE_CONCLUENT_RIEN:
        return "TO_AUTHORIZE"
    return {ANNULE: "ABORTED", SESSION_EXPIREE: "EXPIRED"}.get(conclusion.code, "REFUSED")


def soir(instant: datetime) -> datetime:
    """La remise en banque qui suit cet instant."""
    local = instant.astimezone(PARIS)
    remise = datetime.combine(local.date(), REMISE_LE_SOIR, PARIS)
    return remise if local < remise else remise + timedelta(days=1)


def _operer(
    banque: Banque, service: str, valeurs: Mapping[str, str], session: Session, conclusion: Conclusion
) -> dict[str, str]:
    nom, requis = OPERATIONS[service]
    montant = valeurs.get("operationAmount", "")
    etat = statut(session, conclusion, banque.maintenant())
    if not MONTANT.fullmatch(montant) or int(montant) == 0 or valeurs.get("currencyCode") != EURO:
        return {"responseCode": FORMAT, "errorFieldName": "operationAmount", "newStatus": etat}
    if etat != requis:
        return {"responseCode": IMPOSSIBLE, "newStatus": etat}
    if int(montant) > session.reste:
        return {"responseCode": TROP, "newStatus": etat}
    banque.operer(session, nom, int(montant))
    return {
        "responseCode": ACCEPTE,
        "newStatus": statut(session, conclusion, banque.maintenant()),
        "newAmount": str(session.reste),
        "operationDateTime": _heure(banque.maintenant()),
    }


def _heure(instant: datetime) -> str:
    return instant.astimezone(PARIS).isoformat(timespec="seconds")


def _sceller(banque: Banque, champs: Mapping[str, str]) -> bytes:
    contrat = banque.reglages.contrat
    message: dict[str, Json] = {
        **champs,
        "merchantId": contrat.id,
        "keyVersion": str(contrat.version_courante),
    }
    message["seal"] = sceller_json(message, contrat.secret_courant)
    return ecrire_json(message)
