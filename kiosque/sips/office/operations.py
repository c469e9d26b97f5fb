"""Annuler et rembourser : regarder, comparer, et seulement alors envoyer.

Office n'a pas de clé d'idempotence. Ce que la banque garde du paiement en tient lieu : égal à ce qui précédait
l'opération, elle n'a pas eu lieu ; égal à ce qui la suit, elle est faite, si elle a pu être envoyée ; autre, une
personne doit regarder. Jamais envoyée, un reste qui a bougé n'est pas de notre fait : rien ne part. Et si la banque
dit avoir fait une opération de ce genre sans que ce qu'elle garde ait bougé, une personne aussi : rien n'est envoyé une
seconde fois sur la foi d'un montant qu'elle ne tient pas à jour.

Elle peut aussi l'écrire en retard. Un envoi resté sans réponse n'est donc suivi d'aucun autre, ni d'un refus, tant que
`delai_de_renvoi` n'est pas passé : on regarde, et un reste inchangé ne prouve rien avant lui.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from domain.delai import PARIS
from domain.monnaie import euros
from kiosque.operation import (
    Envois,
    Faite,
    Indeterminee,
    NonOfferte,
    Operation,
    OperationRefusee,
    PeutEtre,
    Reportee,
    comparer_reste,
    trop_tot,
    une_fois_au_plus,
)
from kiosque.sips.codes import ACCEPTE, TRANSACTION_INCONNUE, sens_de_service
from kiosque.sips.donnees import valeur_de
from kiosque.sips.office.client import ANNULATION, DIAGNOSTIC, REMBOURSEMENT, ClientOffice
from kiosque.sips.office.diagnostic import A_REMETTRE, REMISE, code_d_appel, plates
from kiosque.sips.reponses import EURO, MONTANT, instant_de
from kiosque.sips.sceau import Marchand

IMPOSSIBLE: Final = "24"
"""Dans l'état du paiement : un remboursement avant la remise en banque, une annulation après."""
DEJA_FAITE_PEUT_ETRE: Final = (
    "la banque répond 24 à un second envoi : le premier, resté sans réponse, a pu être fait ; voyez avec elle"
)
NON_PERMISE: Final = "40"
A_REPOSER: Final = frozenset({"", "60", "62", "90", "91", "94", "97", "98", "99"})
"""La banque n'a pas su répondre (ou s'est tue) : elle a peut-être fait l'opération, ou la fera."""
SANS_CONCLUSION: Final = frozenset({TRANSACTION_INCONNUE, "34"})
"""Inconnue ne prouve pas une absence, et un sceau refusé se répare : rien n'est fait, mais rien n'est jugé."""

STATUT_REQUIS: Final = {ANNULATION: A_REMETTRE, REMBOURSEMENT: REMISE}
"""Une annulation précède la remise en banque, un remboursement la suit."""

STATUTS_FAITS: Final = {ANNULATION: frozenset({"CANCELLED"}), REMBOURSEMENT: frozenset({"TO_CREDIT", "CREDITED"})}
NOMS_FAITS: Final = {
    ANNULATION: frozenset({"CANCEL"}),
    REMBOURSEMENT: frozenset({"CREDIT", "REFUND", "CREDIT_CAPTURE"}),
}
"""Ce que la banque dit d'un paiement après une telle opération (`transactionStatus`, `lastOperationName`)."""

AVANCE_D_HORLOGE: Final = timedelta(minutes=10)
"""L'horloge de la banque peut être en retard d'autant sur la nôtre."""


@dataclass(frozen=True, slots=True)
class OperationVoulue:
    """Une opération voulue ; montants en centimes. `reste_avant` : ce que la banque gardait avant elle."""

    service: str
    transaction: str
    montant: int
    reste_avant: int
    envois: Envois


class OperationsOffice:
    """Les opérations de caisse d'un contrat."""

    def __init__(
        self,
        client: ClientOffice,
        *,
        version_diagnostic: str,
        version_operations: str,
        heures_closes: tuple[time, time],
        delai_de_renvoi: timedelta,
        horloge: Callable[[], datetime],
    ) -> None:
        """`heures_closes` : à Paris, quand la banque n'en fait aucune (de l'une, comprise, à l'autre).

        `delai_de_renvoi` : après un envoi sans réponse, le temps que la banque peut mettre à écrire ce qu'elle a fait.
        """
        self._client = client
        self._versions = (version_diagnostic, version_operations)
        self._heures_closes = heures_closes
        self._delai_de_renvoi = delai_de_renvoi
        self._horloge = horloge

    def operer(self, voulue: OperationVoulue, marchand: Marchand) -> Operation:
        """Fait l'opération une fois au plus, ou dit pourquoi elle ne l'est pas."""

        def regarder(depart: datetime | None) -> Operation | None:
            depuis = None if depart is None else depart - AVANCE_D_HORLOGE
            return self._regarder(voulue, marchand, depuis) or (self._heure_close() if depart is None else None)

        deja_partie = voulue.envois.sans_reponse_depuis is not None
        return une_fois_au_plus(
            voulue.envois,
            voulue.montant,
            voulue.reste_avant,
            regarder=regarder,
            envoyer=lambda: self._envoyer(voulue, marchand, deja_partie=deja_partie),
            horloge=self._horloge,
        )

    def _regarder(
        self, voulue: OperationVoulue, marchand: Marchand, depuis: datetime | None = None
    ) -> Operation | None:
        """Ce que la banque garde dit tout : None si l'opération reste à faire et peut l'être.

        `depuis` : elle vient d'être envoyée, après cet instant ; None : elle ne l'a pas été par cet appel.
        """
        question = {"interfaceVersion": self._versions[0], "transactionReference": voulue.transaction}
        reponse = self._client.demander(DIAGNOSTIC, question, marchand)
        if isinstance(reponse, Indeterminee):
            return reponse
        valeurs = plates(reponse.objet)
        code, statut = code_d_appel(valeurs), valeur_de(valeurs, "transactionStatus")
        if code == NON_PERMISE and not voulue.envois.peut_etre:
            return NonOfferte(sens_de_service(code))
        if code != ACCEPTE or statut is None or valeurs.get("transactionReference") != voulue.transaction:
            return Indeterminee(f"le diagnostic n'aboutit pas ({sens_de_service(code)})")
        sans_reponse = voulue.envois.sans_reponse_depuis
        if depuis is None and sans_reponse is not None:
            depuis = sans_reponse - AVANCE_D_HORLOGE
        attendre = trop_tot(voulue.envois, self._horloge(), self._delai_de_renvoi)
        return _comparer(voulue, statut, valeurs, depuis, attendre)

    def _envoyer(self, voulue: OperationVoulue, marchand: Marchand, *, deja_partie: bool) -> Operation | PeutEtre:
        """Envoie l'opération. Un autre code que « faite » ne suffit pas.

        24 se dit aussi d'une opération déjà faite, et un code inconnu ne dit rien. `deja_partie` : un envoi d'avant est
        resté sans réponse ; 24 peut alors en parler, et n'est pas un refus, même si rien ne paraît avoir bougé.
        """
        question = {
            "interfaceVersion": self._versions[1],
            "transactionReference": voulue.transaction,
            "operationAmount": str(voulue.montant),
            "currencyCode": EURO,
        }
        reponse = self._client.demander(voulue.service, question, marchand)
        valeurs = {} if isinstance(reponse, Indeterminee) else plates(reponse.objet)
        code = valeur_de(valeurs, "responseCode") or ""
        if valeurs.get("transactionReference", voulue.transaction) != voulue.transaction:
            code = ""
        if code == ACCEPTE:
            return Faite(voulue.reste_avant - voulue.montant)
        if code == NON_PERMISE:
            return NonOfferte(sens_de_service(code))
        if code == IMPOSSIBLE and deja_partie:
            return PeutEtre(Indeterminee(DEJA_FAITE_PEUT_ETRE))
        if code not in A_REPOSER:
            voulue.envois.repondu()
        return PeutEtre(_juger(voulue, code))

    def _heure_close(self) -> Reportee | None:
        debut, fin = self._heures_closes
        heure = self._horloge().astimezone(PARIS).time()
        close = debut <= heure < fin if debut <= fin else heure >= debut or heure < fin
        return Reportee(f"pas d'opération de {debut:%H:%M} à {fin:%H:%M}, heure de Paris") if close else None


def _juger(voulue: OperationVoulue, code: str) -> Operation:
    """Ce que vaut ce code quand rien n'a bougé."""
    if code in A_REPOSER | SANS_CONCLUSION:
        return Indeterminee(f"la banque répond {code} ({sens_de_service(code)}), et rien n'a bougé")
    return _refusee(voulue, code, sens_de_service(code))


def _refusee(voulue: OperationVoulue, code: str, cause: str) -> OperationRefusee:
    return OperationRefusee(code, cause, annulable=code == IMPOSSIBLE and voulue.service == REMBOURSEMENT)


def _comparer(
    voulue: OperationVoulue,
    statut: str,
    valeurs: Mapping[str, str],
    depuis: datetime | None,
    attendre: Indeterminee | None,
) -> Operation | None:
    """Ce que la banque garde, contre ce qu'elle gardait avant et doit garder après ; None : elle reste à faire.

    `attendre` : ce que vaut un reste inchangé tant que la banque peut ne pas avoir écrit ce qu'elle a fait.
    """
    garde = valeur_de(valeurs, "currentAmount")
    if garde is None or not MONTANT.fullmatch(garde):
        return Indeterminee("la banque ne dit pas ce qu'elle garde du paiement")
    bougee = comparer_reste(int(garde), voulue.montant, voulue.reste_avant, peut_etre_envoyee=voulue.envois.peut_etre)
    if bougee is not None:
        return bougee
    if statut in STATUTS_FAITS[voulue.service] or _deja_dite(voulue, valeurs, depuis):
        return Indeterminee(f"la banque garde {euros(int(garde))}, et dit pourtant l'opération faite")
    if attendre is not None:
        return attendre
    if statut != STATUT_REQUIS[voulue.service]:
        return _refusee(voulue, IMPOSSIBLE, f"opération impossible dans l'état {statut[:32]}")
    return None


def _deja_dite(voulue: OperationVoulue, valeurs: Mapping[str, str], depuis: datetime | None) -> bool:
    """Dit si la dernière opération que la banque connaît pourrait être celle-ci, son montant n'étant pas tenu à jour.

    Une opération de ce genre alors que rien n'a été retiré depuis le départ, ou faite depuis notre envoi.
    """
    if valeur_de(valeurs, "lastOperationName") not in NOMS_FAITS[voulue.service]:
        return False
    premier = valeur_de(valeurs, "originAmount")
    if premier is not None and MONTANT.fullmatch(premier) and int(premier) == voulue.reste_avant:
        return True
    faite_le = instant_de(valeur_de(valeurs, "lastOperationDateTime"))
    return depuis is not None and faite_le is not None and faite_le >= depuis
