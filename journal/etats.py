"""L'état de chaque rôle qui tourne en fond : qui le mène, son dernier signe de vie, sa dernière erreur."""

import os
import socket
from contextlib import closing
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection

from journal.bases import connecter

ERREUR_MAX: Final = 2_000
"""Longueur d'une erreur gardée, en signes."""

# Dit dans quel état est un rôle, et qui le mène.
_DIRE: Final = """
INSERT INTO vues.suiveurs AS s (nom, etat, meneur, battement_le) VALUES (%b, %b, %b, clock_timestamp())
ON CONFLICT (nom) DO UPDATE SET etat = excluded.etat, meneur = excluded.meneur, battement_le = excluded.battement_le
"""

# Garde pourquoi un rôle s'est arrêté.
_GARDER_ERREUR: Final = """
INSERT INTO vues.suiveurs AS s (nom, etat, derniere_erreur, erreur_le) VALUES (%b, 'arrete', %b, clock_timestamp())
ON CONFLICT (nom) DO UPDATE
SET etat = excluded.etat, derniere_erreur = excluded.derniere_erreur, erreur_le = excluded.erreur_le
"""


def dire_état(conn: Connection[Any], nom: str, état: str) -> None:
    """Enregistre l'état d'un rôle (`actif` ou `inactif`) et le processus qui le mène."""
    meneur = f"{socket.gethostname()}:{os.getpid()}" if état == "actif" else None
    conn.execute(_DIRE, (nom, état, meneur))


def garder_erreur(url: str, nom: str, erreur: Exception) -> None:
    """Garde la dernière erreur d'un rôle, par une connexion neuve ; si la base ne répond pas, le journal le dit."""
    try:
        with closing(connecter(url, application=f"creances-{nom}")) as conn:
            conn.execute(_GARDER_ERREUR, (nom, f"{type(erreur).__name__}: {erreur}"[:ERREUR_MAX]))
    except psycopg.Error:
        structlog.get_logger().warning("erreur_non_gardee", role=nom, erreur=str(erreur)[:ERREUR_MAX])
