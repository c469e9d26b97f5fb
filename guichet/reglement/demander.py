"""Interroger la banque maintenant, aussi sur un paiement conclu : sa réponse à côté de la nôtre.

Ce qui diffère devient une anomalie. Une acceptation que nous n'avons pas prend, elle, le chemin de toute notification.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple, assert_never

from domain.autorisation import meme_forme
from domain.geste import IdAnomalie
from domain.monnaie import euros
from domain.paiement import Fin, Paiement
from domain.references import TRANSACTION, ReferenceTransaction
from domain.refus import PaiementInconnu
from domain.reponse import Issue, ReponseBancaire
from domain.statut import StatutDePaiement
from guichet.guichet import Guichet
from guichet.reglement.acte import lire_agent
from guichet.reglement.signaler import inscrire
from guichet.relancer_paiement import Transmettre
from kiosque.interface import Inconnue, Trouvee
from kiosque.operation import Indeterminee

_DITES: Final[dict[str, str]] = {
    "inconnu": "paiement inconnu",
    "inconnue": "paiement inconnu",
    Issue.ACCEPTEE: "acceptée",
    Issue.REFUSEE: "refusée",
    Issue.EN_ATTENTE: "pas encore conclue",
    StatutDePaiement.EN_COURS: "en cours",
    StatutDePaiement.ACCEPTE: "accepté",
    StatutDePaiement.ECHOUE: "échoué",
    StatutDePaiement.EXPIRE: "clos sans réponse",
    StatutDePaiement.EN_VERIFICATION: "en vérification",
}


class Cote(NamedTuple):
    """Ce qu'un côté dit d'un paiement ; le montant est en centimes, None s'il n'en dit rien."""

    issue: str
    montant: int | None = None
    autorisation: str | None = None
    carte_masquee: str | None = None
    le: datetime | None = None
    code: str | None = None

    @property
    def issue_dite(self) -> str:
        """L'issue, en mots."""
        return _DITES[self.issue]

    def en_json(self) -> dict[str, Any]:
        """La forme du contrat."""
        return {
            "issue": self.issue,
            "montant_centimes": self.montant,
            "autorisation": self.autorisation,
            "carte_masquee": self.carte_masquee,
            "le": self.le and self.le.isoformat(),
            "code": self.code,
        }


class Comparaison(NamedTuple):
    """La réponse de la banque à côté de la nôtre."""

    transaction: str
    chez_nous: Cote
    la_banque: Cote | None
    """None : elle n'a pas répondu."""
    phrase: str
    anomalie: IdAnomalie | None = None
    """Celle que la différence a ouverte."""
    transmise: bool = False
    """Sa réponse a pris le chemin des notifications : elle peut encore tout changer."""

    def en_json(self) -> dict[str, Any]:
        """La forme du contrat."""
        return {
            "transaction": self.transaction,
            "chez_nous": self.chez_nous.en_json(),
            "la_banque": self.la_banque and self.la_banque.en_json(),
            "phrase": self.phrase,
            "anomalie": self.anomalie,
            "transmise": self.transmise,
        }


def demander(
    guichet: Guichet, transaction: str, par: str, transmettre: Transmettre, maintenant: datetime
) -> Comparaison:
    """Interroge la banque et compare. Lève PaiementInconnu, AgentIrrecevable, et ce que `transmettre` lève."""
    agent = lire_agent(par)
    if not TRANSACTION.fullmatch(transaction):
        raise PaiementInconnu
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, ReferenceTransaction(transaction))
    if paiement is None:
        raise PaiementInconnu
    nous = _chez_nous(paiement)
    etat = guichet.kiosque.interroger(paiement.transaction, paiement.marchand)
    match etat:
        case Indeterminee():
            return Comparaison(transaction, nous, None, "La banque n'a pas répondu : réessayez dans un instant.")
        case Inconnue():
            return _inconnue(guichet, paiement, nous, agent, maintenant)
        case Trouvee(reponse=reponse, valeur=valeur):
            banque = _la_banque(reponse)
            if _apprend(paiement, reponse):
                transmettre(transaction, valeur)
                phrase = "La banque dit du nouveau : sa réponse est en route, comme toute notification."
                return Comparaison(transaction, nous, banque, phrase, transmise=True)
            difference = _difference(paiement, reponse)
            if difference is None:
                return Comparaison(transaction, nous, banque, "La banque dit comme nous.")
            ident = inscrire(guichet, transaction, difference, agent, maintenant)
            return Comparaison(transaction, nous, banque, difference, ident)
        case _:
            assert_never(etat)


def _inconnue(guichet: Guichet, paiement: Paiement, nous: Cote, agent: str, maintenant: datetime) -> Comparaison:
    banque = Cote("inconnue")
    if not paiement.pris:
        phrase = "La banque ne connaît pas ce paiement, et rien n'a été pris ici."
        return Comparaison(paiement.transaction, nous, banque, phrase)
    cause = f"La banque ne connaît pas ce paiement, pour lequel {euros(paiement.pris)} sont enregistrés ici."
    ident = inscrire(guichet, paiement.transaction, cause, agent, maintenant)
    return Comparaison(paiement.transaction, nous, banque, cause, ident)


def _apprend(paiement: Paiement, reponse: ReponseBancaire) -> bool:
    """Dit si cette réponse changerait quelque chose : de l'argent que nous n'avons pas, ou une fin qui manque."""
    if reponse.issue is Issue.ACCEPTEE:
        connus = {(e.montant, e.autorisation) for e in paiement.non_imputes}
        if paiement.fin is Fin.ACCEPTE:
            connus.add((paiement.montant, meme_forme(paiement.autorisation)))
        dite = meme_forme(reponse.autorisation)
        return not any(
            montant == reponse.montant and (dite is None or autorisation in {None, dite})
            for montant, autorisation in connus
        )
    return paiement.connu and paiement.fin is None and reponse.issue is Issue.REFUSEE


def _difference(paiement: Paiement, reponse: ReponseBancaire) -> str | None:
    """Ce qui diffère et que la réponse ne suffit pas à corriger, en une phrase."""
    if reponse.issue is Issue.REFUSEE and paiement.pris:
        return f"La banque dit ce paiement refusé (code {reponse.code}) ; {euros(paiement.pris)} sont enregistrés ici."
    if reponse.issue is Issue.EN_ATTENTE and paiement.pris:
        return f"La banque n'a pas conclu (code {reponse.code}) ; {euros(paiement.pris)} sont enregistrés ici."
    return None


def _chez_nous(paiement: Paiement) -> Cote:
    le = paiement.accepte_le or paiement.argent_pris_le or paiement.conclu_le
    statut = paiement.statut.value if paiement.connu else "inconnu"
    return Cote(statut, paiement.pris, paiement.autorisation, None, le, paiement.code)


def _la_banque(reponse: ReponseBancaire) -> Cote:
    return Cote(
        reponse.issue.value,
        reponse.montant,
        reponse.autorisation,
        reponse.carte_masquee,
        reponse.transaction_le,
        reponse.code,
    )
