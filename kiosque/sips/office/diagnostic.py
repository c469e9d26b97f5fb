"""Ce qu'Office dit d'une transaction, ramené à une `ReponseBancaire`.

Deux codes : celui de l'appel (`getTransDataResponseCode`) et celui du paiement (`responseCode`) ; une version ancienne
ne donne que le second, qui est alors celui de l'appel. Un état que nous ne connaissons pas ne conclut rien.
"""

import re
from collections.abc import Mapping
from typing import Final

from domain.monnaie import Centimes
from domain.references import TRANSACTION, ReferenceTransaction
from domain.reponse import Issue, ReponseBancaire
from kiosque.interface import DeviseInattendue, FormulaireIllisible
from kiosque.sips.codes import (
    ACCEPTE,
    ANNULE,
    EN_COURS,
    SESSION_EXPIREE,
    TRANSACTION_INCONNUE,
    issue_de,
    sens_de_service,
)
from kiosque.sips.donnees import valeur_de
from kiosque.sips.office.sceau import Json
from kiosque.sips.reponses import CODE, EURO, MONTANT, carte_masquee, instant_de, texte_de

JETON_RENDU: Final = re.compile(r"[0-9a-f]{16}")
"""Les jetons que le guichet tire : rien d'autre n'est pris pour l'un d'eux."""

ETAT: Final = re.compile(r"[A-Z_]{1,32}")
"""La forme d'un état ; autre chose n'est pas gardé."""

A_REMETTRE: Final = "TO_CAPTURE"
REMISE: Final = "CAPTURED"
PRIS: Final = frozenset({A_REMETTRE, REMISE})
"""La banque tient l'argent. Les remboursements en cours ou faits n'y sont pas : ils demandent une personne."""

SANS_ARGENT: Final[Mapping[str, str]] = {
    "REFUSED": "05",
    "CANCELLED": ANNULE,
    "ABORTED": ANNULE,
    "EXPIRED": SESSION_EXPIREE,
}
"""La banque n'a rien pris ni ne prendra rien ; et le code à garder quand elle n'en donne pas."""


def plates(objet: Mapping[str, Json]) -> dict[str, str]:
    """Les valeurs simples, par nom : tout ce dont nous nous servons en est."""
    return {nom: valeur for nom, valeur in objet.items() if isinstance(valeur, str)}


def code_d_appel(valeurs: Mapping[str, str]) -> str:
    """Le code qui dit si la question a abouti ; vide s'il manque."""
    return valeur_de(valeurs, "getTransDataResponseCode") or valeur_de(valeurs, "responseCode") or ""


def est_inconnue(valeurs: Mapping[str, str]) -> bool:
    """Dit si la banque répond, sans aucun état, qu'elle ne connaît pas la transaction.

    Rien ne dit lequel des deux codes le porte : l'un ou l'autre, mais jamais celui du paiement quand l'appel a échoué.
    """
    if valeur_de(valeurs, "transactionStatus") is not None:
        return False
    appel = code_d_appel(valeurs)
    return TRANSACTION_INCONNUE in {appel, valeur_de(valeurs, "responseCode") if appel == ACCEPTE else None}


def extraire_diagnostic(valeurs: Mapping[str, str], marchand: str) -> ReponseBancaire:
    """La réponse que porte un diagnostic abouti ; lève `FormulaireIllisible` ou `DeviseInattendue`."""
    transaction, statut = valeur_de(valeurs, "transactionReference"), valeur_de(valeurs, "transactionStatus")
    if code_d_appel(valeurs) != ACCEPTE or statut is None:
        appel = code_d_appel(valeurs)
        raise FormulaireIllisible(
            f"la question n'a pas abouti (code {appel[:8] or 'absent'} : {sens_de_service(appel)})"
        )
    if transaction is None or not TRANSACTION.fullmatch(transaction):
        raise FormulaireIllisible("transactionReference manque ou est mal formée")
    if valeur_de(valeurs, "currencyCode") not in {None, EURO}:
        raise DeviseInattendue
    issue, code = _issue(statut, valeurs)
    return ReponseBancaire(
        transaction=ReferenceTransaction(transaction),
        marchand=marchand,
        montant=Centimes(_montant(valeurs, exige=issue is Issue.ACCEPTEE)),
        issue=issue,
        code=code,
        autorisation=texte_de(valeurs, "authorisationId"),
        carte_masquee=carte_masquee(valeur_de(valeurs, "maskedPan")),
        marque=texte_de(valeurs, "paymentMeanBrand"),
        transaction_le=instant_de(valeur_de(valeurs, "transactionDateTime")),
        code_acquereur=texte_de(valeurs, "acquirerResponseCode"),
        jeton_retour=_jeton(valeurs),
        demandee=True,
    )


def _issue(statut: str, valeurs: Mapping[str, str]) -> tuple[Issue, str]:
    """L'état conclut, et le code du paiement ne le contredit pas ; sinon rien n'est conclu, l'état tenant lieu de code.

    Le support lit ainsi qu'un paiement est remboursé là-bas, ou dans un état que nous ne connaissons pas.
    """
    code = valeur_de(valeurs, "responseCode") or ""
    if not CODE.fullmatch(code) or ("getTransDataResponseCode" not in valeurs and code == ACCEPTE):
        code = ""
    if statut in PRIS and code in {"", ACCEPTE}:
        return Issue.ACCEPTEE, ACCEPTE
    if statut in SANS_ARGENT:
        repli = SANS_ARGENT[statut]
        return Issue.REFUSEE, code if code and issue_de(code) is Issue.REFUSEE else repli
    if code and issue_de(code) is Issue.EN_ATTENTE:
        return Issue.EN_ATTENTE, code
    dit = statut if code in {"", ACCEPTE} else f"{statut}/{code}"
    return Issue.EN_ATTENTE, dit if ETAT.fullmatch(statut) else EN_COURS


def _jeton(valeurs: Mapping[str, str]) -> str | None:
    """Le jeton que notre formulaire a mis dans `orderId` ; None si ce qu'il porte n'a pas la forme de l'un des nôtres.

    Office ne rend pas `returnContext`. Un formulaire plus ancien mettait dans `orderId` la référence de transaction.
    """
    rendu = valeur_de(valeurs, "orderId")
    return rendu if rendu is not None and JETON_RENDU.fullmatch(rendu) else None


def _montant(valeurs: Mapping[str, str], *, exige: bool) -> int:
    """Le montant premier, en centimes ; 0 s'il manque là où rien n'a été pris."""
    montant = valeur_de(valeurs, "originAmount")
    if montant is not None and MONTANT.fullmatch(montant):
        return int(montant)
    if exige or montant is not None:
        raise FormulaireIllisible("originAmount manque ou n'est pas un nombre de centimes")
    return 0
