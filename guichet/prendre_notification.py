"""Prendre un lot de notifications de la banque : chacune a exactement un sort, et les créances bougent une seule fois.

Le sceau est vérifié ici : le topic n'est pas cru. Deux requêtes par tranche chargent ce que le lot touche : les
paiements, puis les créances de leurs imputations.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, assert_never

import msgspec
from psycopg import Connection
from pydantic_core import from_json

from domain.creance import Créance
from domain.notification import appliquer_reponse
from domain.paiement import Paiement
from domain.references import ReferenceCreance
from domain.reponse import ReponseBancaire
from domain.sort import Sort
from engine.batch import Batch
from engine.messages import Message, Outcome, UnreadableMessage, add_fate, believable, hold_message, require_size
from engine.recorder import collect
from engine.waiting_room import awaited
from guichet.guichet import Guichet, sans_dementi
from kiosque.interface import Indice, Lecture, Rejetee, Verifiee

_Lue: TypeAlias = tuple[ReponseBancaire, datetime, str]
"""Une notification lue, l'instant de sa réception, et le flux de son paiement."""

GUILLEMETS_PAR_PAIRE: Final = 4

_TEXTES: Final = msgspec.json.Decoder(dict[str, str])
"""Ce qu'est un formulaire : une seule passe le lit et le vérifie."""

TRANCHE: Final = 125
"""Messages lus avant de demander ce qu'ils touchent."""


def lire_notification(guichet: Guichet, message: Message) -> tuple[Lecture, datetime]:
    """Lit une notification et l'instant de sa réception ; lève UnreadableMessage.

    `recue_le` n'est pas scellé : il ne compte que s'il précède l'arrivée du message dans Kafka.
    """
    require_size(message)
    valeur = _champs_texte(message.valeur)
    recue_le = _instant(valeur.pop("recue_le", None)) or message.recu_le
    if not believable(recue_le, message.recu_le):
        recue_le = message.recu_le
    return guichet.kiosque.relire(valeur), min(recue_le, message.recu_le)


def _champs_texte(octets: bytes) -> dict[str, str]:
    """Les champs du formulaire, tous des textes, sauf `recue_le` qui ne prouve rien. Lève UnreadableMessage."""
    if b"\\" not in octets:
        try:
            textes = _TEXTES.decode(octets)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass  # La lecture qui suit dira pourquoi.
        else:
            if octets.count(b'"') == GUILLEMETS_PAR_PAIRE * len(textes):
                return textes
    try:
        valeur = from_json(octets, allow_inf_nan=False)
    except ValueError as erreur:
        raise UnreadableMessage("ce n'est pas du JSON en UTF-8") from erreur
    if not isinstance(valeur, dict):
        raise UnreadableMessage("un objet JSON est attendu")
    # Quatre guillemets par paire de textes : autant que de paires lues, et aucune ne l'a été deux fois. Sinon (un texte
    # échappé, un champ qui n'est pas un texte), une relecture le dit.
    if octets.count(b'"') != GUILLEMETS_PAR_PAIRE * len(valeur):
        _exiger_sans_redite(octets)
    if not all(isinstance(champ, str) for nom, champ in valeur.items() if nom != "recue_le"):
        raise UnreadableMessage("les champs du formulaire sont des textes")
    return valeur


def _exiger_sans_redite(valeur: bytes) -> None:
    try:
        json.loads(valeur, object_pairs_hook=_sans_redite)
    except UnreadableMessage:
        raise
    except (ValueError, RecursionError) as erreur:  # Un nombre de cinq mille chiffres, par exemple.
        raise UnreadableMessage("ce n'est pas un formulaire") from erreur


def _sans_redite(paires: list[tuple[str, object]]) -> None:
    """Un champ répété dirait deux choses : aucune n'est choisie."""
    if len(dict(paires)) != len(paires):
        raise UnreadableMessage("un champ est présent deux fois")


def prendre_notifications(
    guichet: Guichet, conn: Connection[Any], messages: Sequence[Message], maintenant: datetime
) -> Outcome:
    """Décide d'un lot de notifications, dans l'ordre."""
    traitement = Outcome(Batch(), [])
    illisibles: dict[str, str] = {}
    lues, paiements, creances = _lire_et_charger(guichet, conn, messages, illisibles)
    attendus = set[str]()
    if not messages[0].held:
        attendus = awaited(conn, [lue[2] for lue in lues if isinstance(lue, tuple)])
    traitement.awaited.update(attendus)
    for message, lue in zip(messages, lues, strict=True):
        if isinstance(lue, str):
            add_fate(traitement, message, Sort.REJETEE.value, lue, objet=None, champs={}, dead=True)
            continue
        if isinstance(lue, Indice):
            cause = "rien ne prouve que la banque le dise : elle sera interrogée"
            add_fate(traitement, message, Sort.EN_ATTENTE.value, cause, objet=lue.transaction, champs={}, dead=False)
            continue
        reponse, recue_le, flux = lue
        if raison := _raison_d_attendre(flux, paiements.get(reponse.transaction), creances, illisibles, attendus):
            attendus.add(flux)
            champs = _champs(reponse, recue_le)
            hold_message(traitement, message, flux, raison, objet=reponse.transaction, champs=champs)
            continue
        verdict, paiement = appliquer_reponse(
            paiements.get(reponse.transaction),
            creances,
            reponse,
            recue_le=recue_le,
            maintenant=maintenant,
        )
        if paiement is not None:
            paiements[reponse.transaction] = paiement
            touchees = [creances[imputation.reference] for imputation in paiement.imputations]
            traitement.lot.entries += collect([paiement, *touchees], message.origine)
        add_fate(
            traitement,
            message,
            verdict.sort.value,
            verdict.cause,
            objet=reponse.transaction,
            champs=_champs(reponse, recue_le),
            dead=verdict.sort is Sort.REJETEE,
        )
    return traitement


def _lire_et_charger(
    guichet: Guichet, conn: Connection[Any], messages: Sequence[Message], illisibles: dict[str, str]
) -> tuple[list[_Lue | Indice | str], dict[str, Paiement], dict[ReferenceCreance, Créance]]:
    """Lit les messages (une cause, pour ceux qui sont illisibles) et charge tout ce qu'ils touchent.

    Par tranches : PostgreSQL cherche celle qu'on vient de demander pendant que la suivante est lue.
    """
    lues: list[_Lue | Indice | str] = []
    paiements: dict[str, Paiement] = {}
    creances: dict[ReferenceCreance, Créance] = {}
    with conn.pipeline():
        attendus = []
        for debut in range(0, len(messages), TRANCHE):
            tranche = [_lire_ou_dire_pourquoi(guichet, message) for message in messages[debut : debut + TRANCHE]]
            lues += tranche
            flux = [lue[2] for lue in tranche if isinstance(lue, tuple)]
            attendus.append(guichet.recorder.request(conn, flux, illisibles))
        demandees: set[str] = set()
        attendues = []
        for attendre in attendus:
            charges: list[Paiement] = list(sans_dementi(attendre(), illisibles).values())
            paiements |= {paiement.transaction: paiement for paiement in charges}
            references = {i.reference for paiement in charges for i in paiement.imputations} - demandees
            demandees |= references
            attendues.append(guichet.recorder.request(conn, map(Créance.flux, references), illisibles))
        for attendre in attendues:
            lues_la = sans_dementi(attendre(), illisibles)
            creances |= {creance.avis.reference: creance for creance in lues_la.values()}
    return lues, paiements, creances


def _raison_d_attendre(
    flux: str,
    paiement: Paiement | None,
    creances: Mapping[ReferenceCreance, Créance],
    illisibles: Mapping[str, str],
    attendus: set[str],
) -> str:
    """Pourquoi cette réponse doit attendre ; vide si elle peut être appliquée."""
    if flux in illisibles:
        return f"{flux} ne peut pas être lu : {illisibles[flux]}"
    for imputation in paiement.imputations if paiement is not None else ():
        if imputation.reference not in creances:
            nom = Créance.flux(imputation.reference)
            pourquoi = illisibles.get(nom, "il n'a aucun événement")
            return f"{nom} ne peut pas être lu : {pourquoi}"
    return "des réponses plus anciennes attendent ce paiement" if flux in attendus else ""


def _lire_ou_dire_pourquoi(guichet: Guichet, message: Message) -> _Lue | Indice | str:
    try:
        lecture, recue_le = lire_notification(guichet, message)
    except UnreadableMessage as illisible:
        return str(illisible)
    match lecture:
        case Verifiee(reponse=reponse):
            return reponse.retenue, recue_le, Paiement.flux(reponse.transaction)
        case Indice():
            return lecture
        case Rejetee(refus=refus):
            return str(refus)
        case _:
            assert_never(lecture)


def _instant(valeur: object) -> datetime | None:
    if not isinstance(valeur, str):
        return None
    try:
        lu = datetime.fromisoformat(valeur)
        if lu.tzinfo is UTC:
            return lu
        return lu.astimezone(UTC) if lu.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _champs(reponse: ReponseBancaire, recue_le: datetime) -> dict[str, Any]:
    """Les champs nommés que PostgreSQL garde : de la carte, rien que le numéro masqué."""
    return {
        "issue": reponse.issue.value,
        "code": reponse.code,
        "code_acquereur": reponse.code_acquereur,
        "montant_centimes": reponse.montant,
        "marchand": reponse.marchand,
        "autorisation": reponse.autorisation,
        "carte_masquee": reponse.carte_masquee,
        "transaction_le": reponse.transaction_le,
        "recue_le": recue_le,
    }
