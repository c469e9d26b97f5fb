"""Une seconde banque, de la forme de Worldline Direct : JSON, HMAC de l'en-tête sur le corps brut, webhook, question.

Elle n'existe que pour dire que l'interface tient : rien ailleurs que dans un dossier n'y change.
"""

import base64
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from domain.monnaie import Centimes
from domain.references import ReferenceTransaction
from domain.reponse import Issue, ReponseBancaire
from kiosque.interface import (
    DemandeDePaiement,
    Echec,
    Etat,
    Formulaire,
    FormulaireIllisible,
    FormulaireIrrecevable,
    Inconnue,
    Indice,
    Lecture,
    MarchandInconnu,
    Recue,
    Rejetee,
    Requete,
    SceauInvalide,
    Trouvee,
    ValeurDuTopic,
    Verifiee,
)
from kiosque.operation import (
    UN_AUTRE_L_ENVOIE,
    Envois,
    Faite,
    Indeterminee,
    NonOfferte,
    Operation,
    comparer_reste,
    trop_tot,
)

ISSUES = {"CAPTURED": Issue.ACCEPTEE, "REJECTED": Issue.REFUSEE, "CANCELLED": Issue.REFUSEE}
Question = Callable[[str], tuple[int, bytes]]
"""GET du chemin donné : le statut HTTP et le corps ; lève OSError sans réponse."""
Envoi = Callable[[str, int], int]
"""POST de ces centimes au chemin donné : le statut HTTP ; lève OSError sans réponse."""
REGARDS_MAX = 2
DELAI_DE_RENVOI = timedelta(hours=6)


def _sans_operation(chemin: str, montant: int) -> int:
    """Une banque dont le contrat ne permet aucune opération."""
    del chemin, montant
    return 403


class Directe:
    """Le kiosque de cette banque ; `cles` par identifiant, qui est un texte."""

    def __init__(
        self,
        marchand: str,
        cles: Mapping[str, bytes],
        demander: Question,
        *,
        horloge: Callable[[], datetime] = lambda: datetime.now(UTC),
        envoyer: Envoi = _sans_operation,
        caisses: Mapping[str, str] = MappingProxyType({}),
        retires: Sequence[str] = (),
    ) -> None:
        """`caisses` : celles dont le marchand n'est pas `marchand`."""
        self._marchand, self._cles, self._demander = marchand, MappingProxyType(dict(cles)), demander
        self._envoyer, self._horloge = envoyer, horloge
        self._caisses, self._connus = caisses, {marchand, *caisses.values(), *retires}

    def marchand_de(self, caisse: str) -> str:
        return self._caisses.get(caisse, self._marchand)

    def formulaire(self, demande: DemandeDePaiement) -> Formulaire:
        return Formulaire(f"https://direct.test/hosted/{demande.transaction}", {})

    def lire(self, requete: Requete) -> Recue:
        try:
            corps = requete.corps.decode()
        except UnicodeDecodeError:
            return Recue(Rejetee(FormulaireIllisible("le corps n'est pas de l'UTF-8")), None)
        valeur = {
            "corps": corps,
            "signature": requete.entetes.get("x-gcs-signature", ""),
            "cle": requete.entetes.get("x-gcs-keyid", ""),
        }
        return Recue(self.relire(valeur), valeur)

    def proteger(self, valeur: ValeurDuTopic | None, corps: bytes) -> ValeurDuTopic | None:  # noqa: ARG002
        """Rien de personnel n'y voyage."""
        return valeur

    def echec(self, code: str | None) -> Echec:  # noqa: ARG002
        """Elle ne dit pas pourquoi."""
        return Echec.INCIDENT

    def relire(self, valeur: Mapping[str, object]) -> Lecture:
        try:
            corps, signature, cle = (str(valeur.get(nom, "")) for nom in ("corps", "signature", "cle"))
            if not signature:
                return Indice(self._reponse(corps).transaction)
            attendue = base64.b64encode(hmac.digest(self._cles.get(cle, b"\0"), corps.encode(), "sha256")).decode()
            if cle not in self._cles or not hmac.compare_digest(attendue.encode(), signature.encode()):
                return Rejetee(SceauInvalide())
            return Verifiee(self._reponse(corps))
        except FormulaireIrrecevable as refus:
            return Rejetee(refus)

    def interroger(self, transaction: str, marchand: str) -> Etat:
        try:
            statut, corps = self._demander(f"/v2/{marchand}/payments/{transaction}")
        except OSError as erreur:
            return Indeterminee(type(erreur).__name__)
        if statut == 404:
            return Inconnue()
        if statut != 200:
            return Indeterminee(f"réponse HTTP {statut}")
        # La connexion authentifie la banque : la réponse est signée par nous, pour que le topic puisse être vérifié.
        cle, secret = next(iter(self._cles.items()))
        signature = base64.b64encode(hmac.new(secret, corps, sha256).digest()).decode()
        valeur = {"corps": corps.decode(), "signature": signature, "cle": cle}
        match self.relire(valeur):
            case Verifiee(reponse=reponse) if reponse.transaction == transaction:
                return Trouvee(reponse, valeur)
            case _:
                return Indeterminee("réponse illisible")

    def annuler(self, transaction: str, marchand: str, montant: int, *, reste_avant: int, envois: Envois) -> Operation:
        chemin = f"/v2/{marchand}/payments/{transaction}"
        return self._operer(chemin, "cancel", montant, reste_avant, envois)

    def rembourser(
        self, transaction: str, marchand: str, montant: int, *, reste_avant: int, envois: Envois
    ) -> Operation:
        chemin = f"/v2/{marchand}/payments/{transaction}"
        return self._operer(chemin, "refund", montant, reste_avant, envois)

    def _operer(self, chemin: str, nom: str, montant: int, reste_avant: int, envois: Envois) -> Operation:
        """Regarde, envoie une fois, et regarde de nouveau sans réponse : l'envoi a pu aboutir."""
        for _ in range(REGARDS_MAX):
            garde = self._garde(chemin)
            if garde is None:
                return Indeterminee("la banque ne dit pas ce qu'elle garde")
            bougee = comparer_reste(garde, montant, reste_avant, peut_etre_envoyee=envois.peut_etre)
            if (issue := bougee or trop_tot(envois, self._horloge(), DELAI_DE_RENVOI)) is not None:
                return issue
            if not envois.noter():
                return UN_AUTRE_L_ENVOIE
            try:
                statut = self._envoyer(f"{chemin}/{nom}", montant)
            except OSError:
                continue
            return Faite(reste_avant - montant) if statut == 201 else NonOfferte("cette banque ne le permet pas")
        return Indeterminee("la banque ne dit pas si l'opération est faite")

    def _garde(self, chemin: str) -> int | None:
        try:
            statut, corps = self._demander(chemin)
            lu: Any = json.loads(corps) if statut == 200 else {}
        except (OSError, ValueError):
            return None
        garde = lu.get("payment", {}).get("amountKept")
        return garde if isinstance(garde, int) else None

    def close(self) -> None:
        """Rien n'est tenu ouvert entre deux questions."""

    def _reponse(self, corps: str) -> ReponseBancaire:
        try:
            lu: dict[str, Any] = json.loads(corps)
            paiement = lu["payment"]
            sortie, le = paiement["paymentOutput"], datetime.fromisoformat(lu["created"])
            montant, transaction = sortie["amountOfMoney"]["amount"], sortie["references"]["merchantReference"]
            statut, marchand = str(paiement["status"]), str(lu["merchantId"])
        except (ValueError, KeyError, TypeError) as faute:
            raise FormulaireIllisible(type(faute).__name__) from None
        if marchand not in self._connus:
            raise MarchandInconnu
        if not isinstance(montant, int) or not isinstance(transaction, str):
            raise FormulaireIllisible("montant ou référence")
        return ReponseBancaire(
            transaction=ReferenceTransaction(transaction),
            marchand=marchand,
            montant=Centimes(montant),
            issue=ISSUES.get(statut, Issue.EN_ATTENTE),
            code=statut,
            autorisation=paiement.get("authorisationCode"),
            carte_masquee=None,
            marque=None,
            transaction_le=le,
            code_acquereur=None,
            jeton_retour=sortie["references"].get("merchantParameters"),
        )
