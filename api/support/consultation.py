"""Consulter une créance, un paiement, un assuré : le même cas d'usage pour la page, l'API et la commande.

La lecture est écrite (qui, quoi, de qui, pourquoi) et validée avant que rien ne soit rendu ; aussi celle qui ne trouve
rien.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias, assert_never

from pydantic import TypeAdapter, ValidationError

from domain.delai import jour_de_paris
from domain.references import TRANSACTION, PseudonymeRecu, lire_reference
from domain.refus import Refus
from domain.sort import Sort
from engine.database import Database
from engine.recorder import Recorder
from guichet.acces import Lecteur, Motif, noter_acces
from guichet.notes import Note, ObjetDeNoteInconnu, ecrire_note, notes_de
from guichet.reglement.dossiers import gestes_d_un_message
from projections.effets import VERIFICATION
from projections.lectures.anomalies import existe
from projections.lectures.dossier import dossier_de_creance, dossier_de_l_assure, dossier_de_paiement
from projections.lectures.historique import Etape
from projections.lectures.instant import ObjetInconnu, lire_instant
from projections.lectures.recherche import Resultats, trouver
from projections.lectures.saisie import lire_recherche
from projections.lectures.suite import Demande, Dossier

_PSEUDONYME: Final[TypeAdapter[str]] = TypeAdapter(PseudonymeRecu)


class GenreDeConsultation(StrEnum):
    """Ce qui se consulte."""

    CREANCE = "creance"
    PAIEMENT = "paiement"
    ASSURE = "assure"


class Objet(NamedTuple):
    """Une créance, un paiement ou un assuré, par son nom."""

    genre: GenreDeConsultation
    nom: str

    def __str__(self) -> str:
        """Sous quoi les accès et les notes le connaissent."""
        return f"{self.genre.value}-{self.nom}"


class Consultee(NamedTuple):
    """Ce que le support a le droit de voir, une fois sa lecture écrite."""

    objet: Objet
    dossier: Dossier
    notes: list[Note]


Moyens: TypeAlias = tuple[Database, Recorder]


def lire_objet(genre: GenreDeConsultation, nom: str) -> Objet:
    """L'objet de ce nom, une fois normalisé ; lève ObjetInconnu si aucun ne peut se nommer ainsi."""
    lu: str | None
    match genre:
        case GenreDeConsultation.CREANCE:
            lu = lire_reference(nom)
        case GenreDeConsultation.PAIEMENT:
            lu = nom.strip() if TRANSACTION.fullmatch(nom.strip()) else None
        case GenreDeConsultation.ASSURE:
            lu = _pseudonyme(nom)
        case _:
            assert_never(genre)
    if lu is None:
        raise ObjetInconnu
    return Objet(genre, lu)


def deviner_objet(nom: str) -> Objet:
    """Une créance si c'en est la référence, sinon un paiement ; lève ObjetInconnu."""
    return lire_objet(GenreDeConsultation.CREANCE if lire_reference(nom) else GenreDeConsultation.PAIEMENT, nom)


def lire_demande(au: str | None, version: int | None, maintenant: datetime) -> Demande:
    """« Telle que connue », à un instant ou à une version ; lève InstantIllisible ou InstantFutur."""
    return Demande(lire_instant(au, maintenant) if au else None, version)


def consulter(
    moyens: Moyens, lecteur: Lecteur, objet: Objet, motif: Motif, demande: Callable[[], Demande] = Demande
) -> Consultee:
    """L'histoire demandée ; lève ObjetInconnu, ou le refus de l'instant ou de la version."""
    base, recorder = moyens
    lire = _LECTURES[objet.genre]
    refus: Refus = ObjetInconnu()
    with base.transaction() as conn:
        try:
            dossier = lire(conn, recorder, objet.nom, demande())
        except Refus as dit:
            dossier, refus = None, dit
        assures = dossier.assures if dossier else ()
        noter_acces(conn, lecteur, quoi="historique", objet=str(objet), assures=assures, motif=motif)
        notes = notes_de(conn, str(objet)) if dossier else []
    if dossier is None:
        raise refus
    return Consultee(objet, dossier, notes)


def chercher(moyens: Moyens, lecteur: Lecteur, saisie: str, motif: Motif, *, maintenant: datetime) -> Resultats:
    """Ce qui répond à cette saisie ; lève RechercheIllisible ou NirCherche, et rien n'est alors lu.

    Ce qui est écrit de la recherche est ce qui en a été compris, jamais la saisie elle-même.
    """
    base, recorder = moyens
    criteres = lire_recherche(saisie, jour_de_paris(maintenant))
    with base.transaction() as conn:
        resultats = trouver(conn, criteres)
        # Un nom bien écrit n'est pas celui de quelque chose : rien n'est proposé qui ne s'ouvrirait pas.
        resultats.trouves = [
            trouve
            for trouve in resultats.trouves
            if trouve.genre != "anomalie" or existe(conn, recorder, trouve.nom, gestes_d_un_message=gestes_d_un_message)
        ]
        compris = " ; ".join(resultats.compris)
        noter_acces(conn, lecteur, quoi="recherche", objet=compris, assures=resultats.assures, motif=motif)
    return resultats


def annoter(moyens: Moyens, lecteur: Lecteur, objet: str, texte: str) -> Note:
    """Écrit une note sous le nom de l'agent ; lève NoteIrrecevable ou ObjetDeNoteInconnu."""
    base, recorder = moyens
    genre, _, nom = objet.partition("-")
    with base.transaction() as conn:
        if genre == "anomalie" and not existe(conn, recorder, nom, gestes_d_un_message=gestes_d_un_message):
            raise ObjetDeNoteInconnu
        return ecrire_note(conn, objet, texte, lecteur.qui)


def _pseudonyme(nom: str) -> str | None:
    try:
        return _PSEUDONYME.validate_python(nom.strip())
    except ValidationError:
        return None


_LECTURES: Final = {
    GenreDeConsultation.CREANCE: dossier_de_creance,
    GenreDeConsultation.PAIEMENT: dossier_de_paiement,
    GenreDeConsultation.ASSURE: dossier_de_l_assure,
}

__all__ = [
    "Consultee",
    "GenreDeConsultation",
    "Objet",
    "ObjetInconnu",
    "annoter",
    "consulter",
    "deviner_objet",
    "lire_demande",
]


def a_dire(dossier: Dossier) -> list[str]:
    """Les dernières phrases à lire à la personne, la plus récente d'abord : deux fois la même n'apprend rien.

    Une vérification en cours passe avant tout ; finie, elle ne se dit plus.
    """
    faits = [ligne.fait for ligne in dossier.lignes if isinstance(ligne.fait, Etape)]
    phrases = dict.fromkeys(fait.phrase for fait in reversed(faits) if fait.phrase not in {"", VERIFICATION})
    return [*[*([VERIFICATION] if dossier.en_verification else []), *phrases][:3], *_repetee(dossier)]


def _repetee(dossier: Dossier) -> list[str]:
    """« Débité deux fois », sous une seule autorisation : la banque a seulement répété sa réponse.

    Elle le fait à chaque retour de la personne : ce n'est dit qu'après le reste.
    """
    if not any(recu.sort is Sort.DOUBLON and recu.champs.get("autorisation") for recu in dossier.messages):
        return []
    return ["La banque a répété sa réponse pour un même paiement : il n'a compté qu'une fois."]
