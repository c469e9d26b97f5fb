"""Prendre un lot de messages de la caisse : avis, rectifications, annulations, encaissements.

Un message illisible ou contradictoire a son sort et ne retient jamais les autres.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, assert_never

from psycopg import Connection
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from domain.avis import Avis, MessageId, Mode, Motif, Moyen, Nature
from domain.creance import Créance
from domain.delai import jour_de_paris
from domain.fautes import autres_fautes, faute_dite
from domain.monnaie import Centimes
from domain.politique import Politique
from domain.references import CodeCaisse, PseudonymeRecu, ReferenceCreance
from domain.refus import AvisInconnu, Refus
from domain.sort import Sort, Verdict
from engine.batch import Batch
from engine.messages import Message, Outcome, UnreadableMessage, add_fate, hold_message, require_size
from engine.recorder import collect
from engine.waiting_room import awaited
from guichet.guichet import Guichet

CentimesPositifs = Annotated[Centimes, Field(gt=0)]


def _en_toutes_lettres(valeur: object) -> object:
    """Un nombre, même entre guillemets, passerait sinon pour des secondes depuis 1970."""
    if not isinstance(valeur, str) or not _JOUR.fullmatch(valeur):
        raise PydanticCustomError("date_parsing", "date illisible")
    return valeur


_JOUR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
Jour = Annotated[date, BeforeValidator(_en_toutes_lettres)]
"""Un jour, `AAAA-MM-JJ` et rien d'autre."""


def _sans_nul(valeur: object) -> object:
    """Un texte que PostgreSQL peut ranger : son JSON n'admet pas le caractère nul, et une raison n'en perd rien."""
    return valeur.replace("\x00", "\N{REPLACEMENT CHARACTER}") if isinstance(valeur, str) else valeur


MotifLu = Annotated[Motif, BeforeValidator(_sans_nul)]
"""Une raison, telle qu'elle est gardée."""


class _Entrant(BaseModel):
    """Un message de la caisse ; ses noms sont ceux du contrat."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    reference: ReferenceCreance


class MessageAvisEmis(_Entrant):
    """`avis_emis`."""

    type: Literal["avis_emis"]
    assure: PseudonymeRecu
    caisse: CodeCaisse
    nature: Nature
    montant_initial_centimes: CentimesPositifs
    solde_pf_fr_centimes: Centimes
    date_emission: Jour
    mode: Mode


class MessageAvisRectifie(_Entrant):
    """`avis_rectifie`."""

    type: Literal["avis_rectifie"]
    message_id: MessageId
    montant_initial_centimes: Centimes
    motif: MotifLu


class MessageAvisAnnule(_Entrant):
    """`avis_annule`."""

    type: Literal["avis_annule"]
    message_id: MessageId
    motif: MotifLu


class MessageEncaissementRecu(_Entrant):
    """`encaissement_recu`."""

    type: Literal["encaissement_recu"]
    message_id: MessageId
    montant_centimes: CentimesPositifs
    moyen: Moyen
    date: Jour


def _type_par_defaut(valeur: object) -> object:
    return {"type": "avis_emis", **valeur} if isinstance(valeur, dict) else valeur


MessageDeCaisse = MessageAvisEmis | MessageAvisRectifie | MessageAvisAnnule | MessageEncaissementRecu
_LECTEUR: TypeAdapter[MessageDeCaisse] = TypeAdapter(
    Annotated[
        Annotated[MessageDeCaisse, Field(discriminator="type")],
        BeforeValidator(_type_par_defaut),
    ]
)


def lire_message_de_caisse(valeur: bytes) -> MessageDeCaisse:
    """Lit un message de caisse ; lève UnreadableMessage avec une cause qu'une personne comprend."""
    try:
        valeur.decode("utf-8")
        lu = _LECTEUR.validate_json(valeur)
    except UnicodeDecodeError as erreur:
        raise UnreadableMessage(f"octets qui ne sont pas de l'UTF-8, à la place {erreur.start}") from erreur
    except ValidationError as erreur:
        raise UnreadableMessage(_phrase(erreur)) from erreur
    json.loads(valeur, object_pairs_hook=_sans_redite)
    return lu


def exiger_des_jours_plausibles(lu: MessageDeCaisse, politique: Politique, aujourd_hui: date) -> None:
    """Refuse une date hors de raison (an 26, 2062) ; lève UnreadableMessage, qui nomme le champ."""
    match lu:
        case MessageAvisEmis():
            nom, jour = "date_emission", lu.date_emission
        case MessageEncaissementRecu():
            nom, jour = "date", lu.date
        case MessageAvisRectifie() | MessageAvisAnnule():
            return
        case _:
            assert_never(lu)
    if not politique.admet_le_jour(jour, aujourd_hui):
        raise UnreadableMessage(f"{nom} : date hors de raison ({jour.isoformat()})")


def _sans_redite(paires: list[tuple[str, object]]) -> None:
    """Une clé répétée dirait deux choses : aucune n'est choisie."""
    vues: set[str] = set()
    for cle, _ in paires:
        if cle in vues:
            raise UnreadableMessage(f"{cle} : champ présent deux fois")
        vues.add(cle)


def prendre_avis(guichet: Guichet, conn: Connection[Any], messages: Sequence[Message], maintenant: datetime) -> Outcome:
    """Décide d'un lot de messages de caisse, dans l'ordre ; une seule requête charge ce qu'ils touchent."""
    traitement = Outcome(Batch(), [])
    lus: list[tuple[Message, MessageDeCaisse | UnreadableMessage]] = []
    for message in messages:
        try:
            require_size(message)
            lu = lire_message_de_caisse(message.valeur)
            exiger_des_jours_plausibles(lu, guichet.politique, jour_de_paris(maintenant))
            lus.append((message, lu))
        except UnreadableMessage as illisible:
            lus.append((message, illisible))
    references = {dit.reference for _, dit in lus if not isinstance(dit, UnreadableMessage)}
    illisibles: dict[str, str] = {}
    creances = guichet.charger_creances(conn, references, illisibles)
    attendus = set() if messages[0].held else awaited(conn, map(Créance.flux, references))
    traitement.awaited.update(attendus)
    for message, dit in lus:
        if isinstance(dit, UnreadableMessage):
            add_fate(traitement, message, Sort.REJETEE.value, str(dit), objet=None, champs={}, dead=True)
            continue
        flux, creance = Créance.flux(dit.reference), creances.get(dit.reference)
        if raison := _raison_d_attendre(dit, creance, illisibles.get(flux), devant=flux in attendus):
            attendus.add(flux)
            hold_message(traitement, message, flux, raison, objet=dit.reference, champs=_champs(dit))
            continue
        verdict = _appliquer(guichet, creances, dit, maintenant)
        creance = creances.get(dit.reference)
        if creance is not None:
            traitement.lot.entries += collect([creance], message.origine)
        add_fate(
            traitement,
            message,
            verdict.sort.value,
            verdict.cause,
            objet=dit.reference,
            champs=dit.model_dump() if verdict.sort is Sort.CONTRADICTOIRE else _champs(dit),
            dead=verdict.sort is Sort.REJETEE,
        )
    return traitement


def _champs(dit: MessageDeCaisse) -> dict[str, Any]:
    """Les champs que PostgreSQL garde : de quoi retrouver un chèque par son montant, un message par son nom.

    Ce qu'un message applique est au journal, ce qui attend est gardé entier ; d'un contradictoire, tout est gardé.
    """
    champs: dict[str, Any] = {"type": dit.type}
    if not isinstance(dit, MessageAvisEmis):
        champs["message_id"] = dit.message_id
    if isinstance(dit, MessageEncaissementRecu):
        champs |= {"montant_centimes": dit.montant_centimes, "moyen": dit.moyen, "date": dit.date}
    return champs


def _raison_d_attendre(lu: MessageDeCaisse, creance: Créance | None, illisible: str | None, *, devant: bool) -> str:
    """Pourquoi ce message doit attendre ; vide s'il peut être appliqué. `devant` : d'autres attendent déjà ce flux.

    L'avis qu'ils attendent, lui, passe.
    """
    if illisible is not None:
        return f"la créance ne peut pas être lue : {illisible}"
    if creance is None:
        return "" if isinstance(lu, MessageAvisEmis) else AvisInconnu().phrase
    return "des messages plus anciens attendent cette créance" if devant else ""


def _appliquer(
    guichet: Guichet, creances: dict[ReferenceCreance, Créance], lu: MessageDeCaisse, maintenant: datetime
) -> Verdict:
    try:
        nouveau = _decider(guichet, creances, lu, maintenant)
    except Refus as refus:
        return Verdict(Sort.CONTRADICTOIRE, str(refus))
    if nouveau:
        return Verdict(Sort.APPLIQUEE, "enregistré")
    return Verdict(Sort.DOUBLON, "déjà enregistré à l'identique")


def _decider(
    guichet: Guichet, creances: dict[ReferenceCreance, Créance], lu: MessageDeCaisse, maintenant: datetime
) -> bool:
    creance = creances.get(lu.reference)
    if isinstance(lu, MessageAvisEmis):
        avis = Avis(
            lu.reference,
            lu.assure,
            lu.caisse,
            lu.nature,
            lu.montant_initial_centimes,
            lu.solde_pf_fr_centimes,
            lu.date_emission,
            lu.mode,
        )
        if creance is not None:
            creance.confirmer_avis(avis)
            return False
        creances[lu.reference] = Créance.ouvrir(avis, guichet.politique, maintenant=maintenant)
        return True
    if creance is None:
        raise AvisInconnu
    match lu:
        case MessageAvisRectifie():
            return creance.rectifier(lu.message_id, lu.montant_initial_centimes, lu.motif, maintenant=maintenant)
        case MessageAvisAnnule():
            return creance.annuler(lu.message_id, lu.motif, maintenant=maintenant)
        case MessageEncaissementRecu():
            return creance.encaisser(lu.message_id, lu.montant_centimes, lu.moyen, lu.date, maintenant=maintenant)
        case _:
            assert_never(lu)


_DE_FORME: Final = frozenset({"string_pattern_mismatch", "literal_error", "enum"})
_ATTENDUS: Final[Mapping[str, str]] = {
    "reference": "16 chiffres et 1 lettre capitale, sans espace",
    "assure": "1 à 64 lettres sans accent, chiffres, points, tirets ou _, une lettre ou un chiffre d'abord",
    "caisse": "3 chiffres, zéro de tête compris",
    "nature": "PF/FR",
    "mode": " ou ".join(Mode),
    "moyen": " ou ".join(Moyen),
    "message_id": "1 à 100 lettres sans accent, chiffres, points, tirets, : ou _, une lettre ou un chiffre d'abord",
}
"""Ce que chaque champ attend, pour qui doit corriger son fichier : la forme seule ne le dirait pas."""


def _phrase(erreur: ValidationError) -> str:
    """La première faute, en français : où, et quoi."""
    fautes = erreur.errors(include_url=False, include_input=False, include_context=False)
    premiere = fautes[0]
    champ = ".".join(str(partie) for partie in premiere["loc"][1:]) or "message"
    attendu = f" ({_ATTENDUS[champ]})" if premiere["type"] in _DE_FORME and champ in _ATTENDUS else ""
    return f"{champ} : {faute_dite(premiere)}{attendu}{autres_fautes(len(fautes) - 1)}"
