"""La banque simulée : elle tient les sessions, conclut, scelle, et confie les réponses automatiques au facteur."""

from collections.abc import Mapping

from kiosque.simulateur.consignes import Consignes
from kiosque.simulateur.etat import Conclusion, Demande, Horloge, Registre, Session
from kiosque.simulateur.reglages import ReglagesSimulateur
from kiosque.simulateur.reponse import lire_demande, sceller_inconnue, sceller_reponse, transaction_de
from kiosque.simulateur.webhook_sender import Dormir, Envoi, WebhookSender
from kiosque.sips.codes import DOUBLON
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
        return lire_demande(ouvrir(champs, self._trousseau))

    def conclure(self, session: Session, code: str) -> Conclusion:
        """Conclut la session, une fois, et expédie la réponse automatique. `code_force` l'emporte sur `code`."""
        consigne = self.consignes.prendre(session.demande.transaction)
        conclusion = self.registre.conclure(session, consigne.code_force or code)
        self._expedier(session.demande, conclusion)
        return conclusion

    def signaler_doublon(self, demande: Demande) -> Conclusion:
        """Répond 94 à une référence déjà conclue ; l'issue première, elle, ne change pas."""
        conclusion = Conclusion(code=DOUBLON, le=self._horloge())
        self._expedier(demande, conclusion)
        return conclusion

    def sceller(self, demande: Demande, conclusion: Conclusion) -> dict[str, str]:
        """Le formulaire scellé de la réponse."""
        return sceller_reponse(self.reglages, demande, conclusion)

    def etat(self, champs: Mapping[str, str]) -> tuple[bool, dict[str, str]]:
        """Si la transaction interrogée est connue, et la réponse scellée ; lève `FormulaireIrrecevable`."""
        transaction = transaction_de(ouvrir(champs, self._trousseau))
        session = self.registre.par_transaction(transaction)
        if session is None:
            return False, sceller_inconnue(self.reglages, transaction)
        code_force = self.consignes.de(transaction).code_force
        return True, self.sceller(session.demande, self.registre.etat(session, code_force))

    def _expedier(self, demande: Demande, conclusion: Conclusion) -> None:
        if demande.url_notification is None:
            return
        consigne = self.consignes.de(demande.transaction)
        champs = self.sceller(demande, conclusion)
        self.webhook_sender.expedier(
            Envoi(demande.transaction, conclusion.code, demande.url_notification, champs, consigne)
        )
