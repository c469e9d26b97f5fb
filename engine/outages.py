"""Ce qui est une panne, et ce qui est une faute : une seule définition, pour toutes les pièces.

Une **panne** n'est la faute d'aucun message : un appui (PostgreSQL, Kafka, le réseau) manque ou refuse pour l'instant.
On ne décide de rien, on recule et on recommence ; rien n'est écarté. Une **faute** tient à ce que l'on traite, ou à
notre code devant lui : recommencer n'y changerait rien, on isole le fautif et les autres passent.

Devant le doute c'est une panne : PostgreSQL dit quand les données sont en cause (classes ci-dessous) ; tout autre refus
(droits, table absente, disque plein, base en lecture seule) rejetterait à tort chaque message l'un après l'autre.
"""

from typing import Final

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

CLASSES_DE_FAUTE: Final = frozenset(
    {
        "21",  # Cardinalité.
        "22",  # Donnée : trop longue, hors bornes, caractère intraduisible (22P05).
        "23",  # Contrainte ; celles que deux écrivains se disputent sont des conflits, traduits avant d'arriver ici.
        "44",  # WITH CHECK OPTION.
        "54",  # Limite du programme : une valeur qu'un index ne peut pas tenir.
        "P0",  # PL/pgSQL : RAISE.
    }
)
"""Classes de SQLSTATE par lesquelles PostgreSQL met en cause ce qu'on lui donne."""

CLASSES_QUI_SE_RETENTENT: Final = frozenset({"08", "40"})
"""Connexion perdue, transaction défaite par la concurrence : un nouvel essai, aussitôt, a des chances."""

ETATS_QUI_SE_RETENTENT: Final = frozenset({"57P01", "57P02", "57P03"})
"""Un serveur qui s'arrête, qui vient de tomber, ou qui démarre."""

_EPUISEMENT: Final = (PoolTimeout, TooManyRequests, PoolClosed)
"""Le pool a déjà fait attendre : demander encore doublerait l'attente."""


class Outage(Exception):
    """Un appui du service manque pour l'instant ; ce que lève, sous ce type, une pièce qui parle à autre chose."""


def is_outage(erreur: BaseException) -> bool:
    """Dit si l'erreur est une panne : attendre et recommencer, sans rien écarter."""
    match erreur:
        case Outage() | OSError() | MemoryError():
            return True
        case psycopg.Error(sqlstate=str(etat)):
            return etat[:2] not in CLASSES_DE_FAUTE
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return True  # Sans SQLSTATE : la connexion ne s'ouvre pas, ou s'est perdue.
        case _:
            return False  # Les DataError et ProgrammingError du client, et tout défaut du code.


def is_retryable(erreur: BaseException) -> bool:
    """Dit si un second essai, aussitôt, a des chances : pour une personne qui attend la réponse."""
    if not is_outage(erreur) or not isinstance(erreur, psycopg.Error) or isinstance(erreur, _EPUISEMENT):
        return False
    etat = erreur.sqlstate
    return etat is None or etat[:2] in CLASSES_QUI_SE_RETENTENT or etat in ETATS_QUI_SE_RETENTENT


def describe(erreur: BaseException) -> str:
    """L'erreur en une ligne, avec la cause qu'elle enveloppe : ce que `lag` et les logs montrent."""
    dits = [_en_une_ligne(erreur)]
    cause = erreur.__cause__
    if cause is not None and str(cause) not in dits[0]:
        dits.append(_en_une_ligne(cause))
    return " ← ".join(dits)


def _en_une_ligne(erreur: BaseException) -> str:
    nom, dit = type(erreur).__name__, " ".join(str(erreur).split())
    return f"{nom}: {dit.removeprefix(f'{nom}: ')}".removesuffix(": ")  # kafka-python nomme déjà le type.
