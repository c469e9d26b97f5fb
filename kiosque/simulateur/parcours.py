"""Le parcours de la personne sur la page de paiement : la carte, l'annulation, le reçu, le retour chez le marchand."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import HTMLResponse

from kiosque.interface import FormulaireIllisible
from kiosque.simulateur.banque import Banque
from kiosque.simulateur.carte import CODE_ENVOYE, Carte, lire_carte
from kiosque.simulateur.etat import Conclusion, Demande, Session
from kiosque.simulateur.pages import page
from kiosque.sips.codes import ACCEPTE, ANNULE, SESSION_EXPIREE, TROP_D_ESSAIS

ESSAIS_MAX = 3
"""Codes d'authentification faux, au plus."""


class Parcours:
    """Chaque étape reçoit les champs d'un formulaire et rend une page ; elle lève `FormulaireIrrecevable`."""

    def __init__(self, banque: Banque) -> None:
        """Les pages d'une banque."""
        self._banque = banque

    def presenter(self, champs: Mapping[str, str]) -> HTMLResponse:
        """La page de carte d'une demande scellée ; la même tant que la session est ouverte, 94 après sa fin."""
        demande = self._banque.lire_demande(champs)
        session = self._banque.registre.par_transaction(demande.transaction)
        if session is None:
            return self._saisie(self._banque.registre.ouvrir(demande))
        if self._banque.registre.expiree(session):
            return self._expirer(session)
        if session.conclusion is not None or session.demande != demande:
            return self._fin(demande, self._banque.signaler_doublon(demande), jeton=None)
        return self._saisie(session)

    def valider(self, champs: Mapping[str, str]) -> HTMLResponse:
        """Conclut par le code que la carte de test annonce. Rafraîchir la page de fin ne conclut pas deux fois."""
        session = self._session(champs)
        if session.conclusion is not None:
            return self._fin(session.demande, session.conclusion, jeton=session.jeton)
        if self._banque.registre.expiree(session):
            return self._expirer(session)
        carte = lire_carte(champs)
        if not isinstance(carte, Carte):
            return self._saisie(session, fautes=carte)
        self._banque.registre.presenter(session, carte.numero, carte.code)
        return self._authentifier(session) if carte.authentifiee else self._conclure(session, carte.code)

    def authentifier(self, champs: Mapping[str, str]) -> HTMLResponse:
        """Le détour 3-D Secure : le code que la banque a envoyé ; trop d'erreurs concluent par 75."""
        session = self._session(champs)
        if session.conclusion is not None:
            return self._fin(session.demande, session.conclusion, jeton=session.jeton)
        if self._banque.registre.expiree(session):
            return self._expirer(session)
        attendue = session.authentification
        if attendue is None:
            return self._saisie(session)
        if champs.get("code", "").strip() == CODE_ENVOYE:
            return self._conclure(session, attendue.code)
        attendue.essais += 1
        if attendue.essais >= ESSAIS_MAX:
            return self._conclure(session, TROP_D_ESSAIS)
        return self._authentifier(session, faute=f"Ce code n'est pas celui qui a été envoyé : {CODE_ENVOYE}.")

    def revenir(self, champs: Mapping[str, str]) -> HTMLResponse:
        """La page d'une session, après son délai : elle dit qu'elle est finie, et la banque en est prévenue."""
        session = self._session(champs)
        if session.conclusion is None and self._banque.registre.expiree(session):
            return self._expirer(session)
        if session.conclusion is not None:
            return self._fin(session.demande, session.conclusion, jeton=session.jeton)
        return self._authentifier(session) if session.authentification else self._saisie(session)

    def annuler(self, champs: Mapping[str, str]) -> HTMLResponse:
        """Conclut par 17, à la demande de la personne."""
        session = self._session(champs)
        if session.conclusion is not None:
            return self._fin(session.demande, session.conclusion, jeton=session.jeton)
        if self._banque.registre.expiree(session):
            return self._expirer(session)
        return self._conclure(session, ANNULE)

    def recu(self, champs: Mapping[str, str]) -> HTMLResponse:
        """Le reçu seul, sur une page faite pour l'impression."""
        session = self._session(champs)
        if session.conclusion is None or session.conclusion.code != ACCEPTE:
            raise FormulaireIllisible("aucun paiement accepté à imprimer")
        return page("recu.html", valeurs=self._valeurs(session.demande, session.conclusion))

    def _session(self, champs: Mapping[str, str]) -> Session:
        session = self._banque.registre.par_jeton(champs.get("jeton", ""))
        if session is None:
            raise FormulaireIllisible("cette session de paiement est inconnue")
        return session

    def _expirer(self, session: Session) -> HTMLResponse:
        return self._conclure(session, SESSION_EXPIREE)

    def _conclure(self, session: Session, code: str) -> HTMLResponse:
        conclusion = self._banque.conclure(session, code)
        return self._fin(session.demande, conclusion, jeton=session.jeton)

    def _saisie(self, session: Session, fautes: Mapping[str, str] | None = None) -> HTMLResponse:
        valeurs = self._valeurs(session.demande) | {"jeton": session.jeton, "fautes": fautes or {}}
        statut = HTTPStatus.UNPROCESSABLE_ENTITY if fautes else HTTPStatus.OK
        reponse = page("carte.html", statut=statut, retour=session.demande.url_retour, valeurs=valeurs)
        return self._surveiller(reponse, session)

    def _authentifier(self, session: Session, faute: str | None = None) -> HTMLResponse:
        valeurs = self._valeurs(session.demande) | {"jeton": session.jeton, "faute": faute, "envoye": CODE_ENVOYE}
        statut = HTTPStatus.UNPROCESSABLE_ENTITY if faute else HTTPStatus.OK
        reponse = page("authentification.html", statut=statut, retour=session.demande.url_retour, valeurs=valeurs)
        return self._surveiller(reponse, session)

    def _surveiller(self, reponse: HTMLResponse, session: Session) -> HTMLResponse:
        """Une page abandonnée se remplace d'elle-même à la fin de la session."""
        secondes = self._banque.registre.reste_s(session)
        reponse.headers["Refresh"] = f"{secondes}; url=/paypage/session/{session.jeton}"
        return reponse

    def _fin(self, demande: Demande, conclusion: Conclusion, *, jeton: str | None) -> HTMLResponse:
        """L'issue et « Continuer » : le retour au marchand, avec la même réponse scellée que l'automatique."""
        gabarit = "accepte.html" if conclusion.code == ACCEPTE else "refuse.html"
        valeurs = self._valeurs(demande, conclusion) | {
            "jeton": jeton,
            "champs": self._banque.sceller(demande, conclusion),
        }
        return page(gabarit, retour=demande.url_retour, valeurs=valeurs)

    def _valeurs(self, demande: Demande, conclusion: Conclusion | None = None) -> dict[str, object]:
        return {"reglages": self._banque.reglages, "demande": demande, "conclusion": conclusion}
