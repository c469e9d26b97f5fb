"""La banque simulée : elle tient les sessions, conclut, scelle, et fait envoyer les réponses automatiques."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from kiosque.simulateur.consignes import Consignes
from kiosque.simulateur.etat import Conclusion, Demande, Horloge, Operation, Registre, Session
from kiosque.simulateur.reglages import ReglagesSimulateur
from kiosque.simulateur.reponse import UTILISES, lire_demande, sceller_reponse
from kiosque.simulateur.webhook_sender import Dormir, Envoi, WebhookSender
from kiosque.sips.codes import ACCEPTE, ANNULE, DOUBLON
from kiosque.sips.enveloppe import ouvrir
from kiosque.sips.sceau import Trousseau


class Banque:
    """L'état du simulateur et ses gestes ; rien d'HTTP ici que l'envoi."""

    def __init__(self, reglages: ReglagesSimulateur, horloge: Horloge, dormir: Dormir) -> None:
        """Part sans session ni consigne."""
        self.reglages = reglages
        self.registre = Registre(horloge, reglages.session_s)
        self.consignes = Consignes()
        self.webhook_sender = WebhookSender(reglages, dormir)
        self._horloge = horloge
        self._trousseau = Trousseau([reglages.contrat], reglages.algorithme)

    def lire_demande(self, champs: Mapping[str, str]) -> Demande:
        """La demande de paiement, sceau vérifié ; lève `FormulaireIrrecevable`."""
        return lire_demande(ouvrir(champs, self._trousseau, UTILISES))

    def conclure(self, session: Session, code: str) -> Conclusion:
        """Conclut la session, une fois, et expédie la réponse automatique. `code_force` l'emporte sur `code`."""
        consigne = self.consignes.prendre(session.demande.transaction)
        annonce = consigne.code_force or code
        if annonce != ACCEPTE:
            return self._conclure(session, annonce)
        if consigne.orpheline:
            self._prendre_sous_un_autre_nom(session)
            return self._conclure(session, ANNULE)
        if consigne.ecart_centimes:
            session.demande = replace(session.demande, montant=session.demande.montant + consigne.ecart_centimes)
        conclusion = self._conclure(session, annonce)
        if consigne.deux_fois:
            session.prises = 2
            autre = f"{(int(conclusion.autorisation or 0) + 1) % 1_000_000:06d}"
            self._expedier(session.demande, replace(conclusion, autorisation=autre))
        return conclusion

    def _conclure(self, session: Session, code: str) -> Conclusion:
        conclusion = self.registre.conclure(session, code)
        self._expedier(session.demande, conclusion)
        return conclusion

    def _prendre_sous_un_autre_nom(self, session: Session) -> None:
        """La banque prend l'argent, et répond sous une référence que personne n'a ouverte."""
        inconnue = self.registre.ouvrir(
            replace(session.demande, transaction=f"ORPHELINE{secrets.randbelow(10**8):08d}")
        )
        inconnue.authentification = session.authentification
        self._conclure(inconnue, ACCEPTE)

    def signaler_doublon(self, demande: Demande) -> Conclusion:
        """Répond 94 à une référence déjà conclue ; l'issue première, elle, ne change pas."""
        conclusion = Conclusion(code=DOUBLON, le=self._horloge())
        self._expedier(demande, conclusion)
        return conclusion

    def sceller(self, demande: Demande, conclusion: Conclusion) -> dict[str, str]:
        """Le formulaire scellé de la réponse."""
        return sceller_reponse(self.reglages, demande, conclusion)

    def etat(self, transaction: str) -> tuple[Session, Conclusion] | None:
        """La session de la transaction et sa conclusion du moment ; None si la banque ne la connaît pas."""
        session = self.registre.par_transaction(transaction)
        if session is None:
            return None
        return session, self.registre.etat(session, self.consignes.de(transaction).code_force)

    def operer(self, session: Session, nom: str, montant: int) -> None:
        """Enregistre une opération de caisse ; ses règles sont dans `office`."""
        session.operations.append(Operation(nom, montant, self._horloge()))

    def maintenant(self) -> datetime:
        """L'heure du simulateur."""
        return self._horloge()

    def _expedier(self, demande: Demande, conclusion: Conclusion) -> None:
        if demande.url_notification is None:
            return
        consigne = self.consignes.de(demande.transaction)
        champs = self.sceller(demande, conclusion)
        self.webhook_sender.expedier(
            Envoi(demande.transaction, conclusion.code, demande.url_notification, champs, consigne)
        )
