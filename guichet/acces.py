"""Les lectures du support : qui, quoi, de qui, pourquoi. Écrit avant que rien ne soit montré, en ajout seul.

Seul module qui lise et écrive `journal.acces`.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, NewType

from psycopg import Connection

from domain.nir import contient_un_nir
from domain.refus import Refus
from engine.clocks import AT_MOST, latest

MOTIF_MIN: Final = 3
MOTIF_MAX: Final = 200
"""Longueur d'un motif, en signes."""

MOTIFS: Final = (
    "Appel de l'assuré",
    "Courrier de l'assuré",
    "Anomalie à régler",
    "Demande de la caisse",
    "Contrôle",
)
"""Ceux qui se choisissent ; un autre s'écrit."""

ACCES_LUS_MAX: Final = 500
"""Accès rendus à la fois, le plus récent d'abord."""

RANG_MAX: Final = 2**63 - 1
"""Le plus grand rang que la base compte."""

# Écrit un accès.
_NOTER: Final = f"""
INSERT INTO journal.acces (qui, role, voie, quoi, objet, assures, motif, correlation)
SELECT %s, %s, %s, %s, %s, %s, %s, %s FROM {AT_MOST} RETURNING rang
"""  # noqa: S608 (constantes)

# Ceux que des critères retiennent ; un critère absent n'écarte rien.
_RETENUS: Final = """
FROM journal.acces
WHERE (%(assure)s::text IS NULL OR assures @> ARRAY[%(assure)s::text] COLLATE "C")
  AND (%(qui)s::text IS NULL OR qui = %(qui)s)
  AND (%(objet)s::text IS NULL OR objet = %(objet)s)
"""

_COMPTER: Final = f"SELECT count(*) {_RETENUS}"

# Les mêmes, le plus récent d'abord.
_LISTER: Final = f"""
SELECT rang, qui, role, voie, quoi, objet, assures, motif, correlation, enregistre_le {_RETENUS}
  AND (%(avant)s::int8 IS NULL OR rang < %(avant)s)
ORDER BY rang DESC LIMIT %(limite)s
"""

Motif = NewType("Motif", str)
"""Pourquoi des données sont lues : 3 à 200 signes, sans numéro de sécurité sociale."""


CONTROLE: Final = Motif("contrôle des accès")
"""Celui de qui lit les accès : c'est tout ce que dit cette lecture."""

NON_DIT: Final = Motif("non dit (lecture à la ligne de commande)")
"""Celui de `creances balance` et `anomalies`, que des programmes appellent : lecture écrite, motif non demandé."""


class MotifRequis(Refus):
    """Aucun motif n'est donné, ou il ne dit rien."""

    code = "motif_requis"
    phrase_de_base = (
        f"Lire les données d'une personne demande un motif ({MOTIF_MIN} à {MOTIF_MAX} signes), par exemple"
        " « Appel de l'assuré »."
    )


class MotifIrrecevable(Refus):
    """Le motif porte ce qui ne doit pas être écrit là."""

    code = "motif_irrecevable"
    phrase_de_base = (
        "Un motif est une courte phrase : ni numéro de sécurité sociale, ni caractère de commande,"
        f" {MOTIF_MAX} signes au plus."
    )


class VoieDeLecture(StrEnum):
    """Par où l'on lit."""

    PAGE = "page"
    API = "api"
    COMMANDE = "commande"


class Lecteur(NamedTuple):
    """Qui lit, et par où."""

    qui: str
    role: str
    voie: VoieDeLecture
    correlation: str | None = None


class Acces(NamedTuple):
    """Une lecture, telle qu'elle a été écrite."""

    rang: int
    qui: str
    role: str
    voie: str
    quoi: str
    objet: str
    assures: list[str]
    motif: str
    correlation: str | None
    enregistre_le: datetime


def lire_motif(texte: str | None) -> Motif:
    """Le motif, sans blancs autour ; lève MotifRequis ou MotifIrrecevable."""
    motif = " ".join((texte or "").split(" ")).strip()
    if len(motif) < MOTIF_MIN:
        raise MotifRequis
    if len(motif) > MOTIF_MAX or not motif.isprintable() or contient_un_nir(motif):
        raise MotifIrrecevable
    return Motif(motif)


def noter_acces(
    conn: Connection[Any], lecteur: Lecteur, *, quoi: str, objet: str, assures: Iterable[str], motif: Motif
) -> int:
    """Écrit cette lecture, et rend son rang ; à valider avant de montrer quoi que ce soit."""
    personnes = sorted(set(assures))
    valeurs = (
        lecteur.qui,
        lecteur.role,
        lecteur.voie.value,
        quoi,
        objet,
        personnes,
        motif,
        lecteur.correlation,
        latest(),
    )
    (rang,) = conn.execute(_NOTER, valeurs).fetchone() or (0,)
    return int(rang)


def compter_acces(
    conn: Connection[Any], *, assure: str | None = None, qui: str | None = None, objet: str | None = None
) -> int:
    """Combien d'accès répondent à ces critères en tout."""
    (total,) = conn.execute(_COMPTER, {"assure": assure, "qui": qui, "objet": objet}).fetchone() or (0,)
    return int(total)


def lister_acces(
    conn: Connection[Any],
    *,
    assure: str | None = None,
    qui: str | None = None,
    objet: str | None = None,
    avant: int | None = None,
    limite: int = ACCES_LUS_MAX,
) -> list[Acces]:
    """Les accès, le plus récent d'abord : de cet assuré, de cet agent, à cet objet ; `avant` : la page suivante."""
    criteres = {"assure": assure, "qui": qui, "objet": objet, "avant": avant, "limite": limite}
    return [Acces(*ligne) for ligne in conn.execute(_LISTER, criteres)]
