"""Les notes du support sur une créance, un paiement, un assuré, une anomalie : en ajout seul.

Seul module qui lise et écrive `journal.notes`.
"""

import re
import unicodedata
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.geste import lire_id
from domain.nir import contient_un_nir
from domain.refus import Refus
from engine.clocks import AT_MOST, latest

NOTE_MAX: Final = 2_000
"""Longueur d'une note, en signes."""

_OBJET: Final = re.compile(r"(creance|paiement|assure|anomalie)-[A-Za-z0-9._:@/-]{1,200}")

_ECRIRE: Final = f"""
INSERT INTO journal.notes (objet, texte, auteur) SELECT %s, %s, %s FROM {AT_MOST} RETURNING rang, enregistre_le
"""  # noqa: S608 (constantes)
_LIRE: Final = """
SELECT rang, objet, texte, auteur, enregistre_le FROM journal.notes WHERE objet = ANY (%s) ORDER BY rang
"""

_EXISTE: Final = """
SELECT CASE WHEN %(genre)s = 'assure'
    THEN EXISTS (SELECT FROM vues.restant_du WHERE assure = %(nom)s)
        OR EXISTS (SELECT FROM vues.paiements WHERE assure = %(nom)s)
    ELSE EXISTS (SELECT FROM journal.evenements WHERE flux = %(objet)s)
        OR EXISTS (SELECT FROM journal.sorts WHERE objet = %(nom)s)
END
"""


class ObjetDeNoteInconnu(Refus):
    """Rien ne porte le nom sous lequel la note serait écrite."""

    code = "objet_inconnu"
    phrase_de_base = "Rien n'est enregistré sous ce nom : la note n'est pas écrite."


class NoteIrrecevable(Refus):
    """La note est vide, trop longue, ou porte ce qui ne doit pas y être."""

    code = "note_irrecevable"
    phrase_de_base = (
        f"Une note compte 1 à {NOTE_MAX} signes, sans caractère de commande ni numéro de sécurité sociale, et parle"
        " d'une créance, d'un paiement, d'un assuré ou d'une anomalie."
    )


class Note(NamedTuple):
    """Une note, telle qu'elle a été écrite."""

    rang: int
    objet: str
    texte: str
    auteur: str
    enregistre_le: datetime


def ecrire_note(conn: Connection[Any], objet: str, texte: str, auteur: str) -> Note:
    """Écrit une note ; lève NoteIrrecevable ou ObjetDeNoteInconnu."""
    lue = texte.replace("\r\n", "\n").strip()
    commande = any(
        unicodedata.category(signe) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} and signe != "\n" for signe in lue
    )
    if not 0 < len(lue) <= NOTE_MAX or commande or contient_un_nir(lue) or not _OBJET.fullmatch(objet):
        raise NoteIrrecevable
    if not _existe(conn, objet):
        raise ObjetDeNoteInconnu
    ecrite: Any = conn.execute(_ECRIRE, (objet, lue, auteur, latest())).fetchone()
    rang, enregistre_le = ecrite
    return Note(rang, objet, lue, auteur, enregistre_le)


def _existe(conn: Connection[Any], objet: str) -> bool:
    """Dit si quelque chose porte ce nom : ce qui s'y écrit ne s'efface plus, et se relit avec lui."""
    genre, _, nom = objet.partition("-")
    if genre == "anomalie":  # Ce qui attend une personne se lit dans les vues : qui appelle l'y a cherchée.
        return lire_id(nom) is not None and not contient_un_nir(nom)
    (existe,) = conn.execute(_EXISTE, {"genre": genre, "objet": objet, "nom": nom}).fetchone() or (False,)
    return bool(existe)


def notes_de(conn: Connection[Any], *objets: str) -> list[Note]:
    """Les notes de ces objets, dans l'ordre où elles ont été écrites."""
    return [Note(*ligne) for ligne in conn.execute(_LIRE, (list(objets),))]
