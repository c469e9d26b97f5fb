"""Annuler et rembourser : regarder, comparer, et seulement alors envoyer.

Office n'a pas de clé d'idempotence. Ce que la banque garde du paiement en tient lieu : égal à ce qui précédait
l'opération, elle n'a pas eu lieu ; égal à ce qui la suit, elle est faite ; autre, une personne doit regarder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from kiosque.interface import Faite, Indeterminee, NonOfferte, Operation, OperationRefusee, Reportee
from kiosque.sips.codes import ACCEPTE, sens_de
from kiosque.sips.donnees import valeur_de
from kiosque.sips.office.client import ANNULATION, DIAGNOSTIC, REMBOURSEMENT, ClientOffice
from kiosque.sips.office.diagnostic import A_REMETTRE, REMISE, code_d_appel, plates
from kiosque.sips.reponses import EURO, MONTANT
from kiosque.sips.sceau import Marchand

PARIS: Final = ZoneInfo("Europe/Paris")
NON_PERMISE: Final = "40"
PEUT_ETRE_FAITE: Final = frozenset({"24", "60", "62", "90", "94", "97", "98", "99"})
"""Après eux l'opération a pu avoir lieu : on regarde. 24 se dit aussi d'une opération déjà faite à l'identique."""

ENVOIS_MAX: Final = 2

STATUT_REQUIS: Final = {ANNULATION: A_REMETTRE, REMBOURSEMENT: REMISE}
"""Une annulation précède la remise en banque, un remboursement la suit."""


@dataclass(frozen=True, slots=True)
class Demande:
    """Une opération voulue ; montants en centimes. `reste_avant` : ce que la banque gardait avant elle."""

    service: str
    transaction: str
    montant: int
    reste_avant: int


class OperationsOffice:
    """Les opérations de caisse d'un contrat."""

    def __init__(
        self,
        client: ClientOffice,
        *,
        version_diagnostic: str,
        version_operations: str,
        heures_closes: tuple[time, time],
        horloge: Callable[[], datetime],
    ) -> None:
        """`heures_closes` : à Paris, quand la banque n'en fait aucune (de l'une, comprise, à l'autre)."""
        self._client = client
        self._versions = (version_diagnostic, version_operations)
        self._heures_closes = heures_closes
        self._horloge = horloge

    def operer(self, demande: Demande, marchand: Marchand) -> Operation:
        """Fait l'opération une fois au plus, ou dit pourquoi elle ne l'est pas."""
        if not 0 < demande.montant <= demande.reste_avant:
            return OperationRefusee("51", "le montant est nul, ou dépasse ce que la banque garde")
        issue = self._regarder(demande, marchand)
        for _ in range(ENVOIS_MAX):
            if issue is not None:
                return issue
            if (report := self._heure_close()) is not None:
                return report
            reponse = self._envoyer(demande, marchand)
            if not isinstance(reponse, str):
                return reponse
            issue = self._regarder(demande, marchand)
            if issue is None and reponse == "24":
                return OperationRefusee(reponse, sens_de(reponse))
        return issue or Indeterminee("la banque ne dit pas si l'opération est faite")

    def _regarder(self, demande: Demande, marchand: Marchand) -> Operation | None:
        """Ce que la banque garde dit tout : None si l'opération reste à faire et peut l'être."""
        question = {"interfaceVersion": self._versions[0], "transactionReference": demande.transaction}
        reponse = self._client.demander(DIAGNOSTIC, question, marchand)
        if isinstance(reponse, Indeterminee):
            return reponse
        valeurs = plates(reponse.objet)
        code, statut = code_d_appel(valeurs), valeur_de(valeurs, "transactionStatus")
        if code == NON_PERMISE:
            return NonOfferte(sens_de(code))
        if code != ACCEPTE or statut is None or valeurs.get("transactionReference") != demande.transaction:
            return Indeterminee(f"le diagnostic n'aboutit pas ({sens_de(code)})")
        return _comparer(demande, statut, valeur_de(valeurs, "currentAmount"))

    def _envoyer(self, demande: Demande, marchand: Marchand) -> Operation | str:
        """Envoie l'opération ; rend un code (ou un texte vide, sans réponse) s'il faut regarder avant de conclure."""
        question = {
            "interfaceVersion": self._versions[1],
            "transactionReference": demande.transaction,
            "operationAmount": str(demande.montant),
            "currencyCode": EURO,
        }
        reponse = self._client.demander(demande.service, question, marchand)
        if isinstance(reponse, Indeterminee):
            return ""
        code = valeur_de(plates(reponse.objet), "responseCode") or ""
        if code == ACCEPTE:
            return Faite(demande.reste_avant - demande.montant)
        if code == NON_PERMISE:
            return NonOfferte(sens_de(code))
        if not code or code in PEUT_ETRE_FAITE:
            return code
        return OperationRefusee(code, sens_de(code))

    def _heure_close(self) -> Reportee | None:
        debut, fin = self._heures_closes
        heure = self._horloge().astimezone(PARIS).time()
        close = debut <= heure < fin if debut <= fin else heure >= debut or heure < fin
        return Reportee(f"pas d'opération de {debut:%H:%M} à {fin:%H:%M}, heure de Paris") if close else None


def _comparer(demande: Demande, statut: str, garde: str | None) -> Operation | None:
    """Ce que la banque garde, contre ce qu'elle gardait avant et doit garder après ; None : elle reste à faire."""
    if garde is None or not MONTANT.fullmatch(garde):
        return Indeterminee("la banque ne dit pas ce qu'elle garde du paiement")
    if int(garde) == demande.reste_avant - demande.montant:
        return Faite(int(garde))
    if int(garde) != demande.reste_avant:
        return Indeterminee(f"la banque garde {garde} centimes, {demande.reste_avant} étaient attendus")
    if statut != STATUT_REQUIS[demande.service]:
        return OperationRefusee("24", f"opération impossible dans l'état {statut[:32]}")
    return None
