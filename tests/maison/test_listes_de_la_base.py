"""Les textes qu'une colonne admet sont ceux d'un ensemble fermé du code : un membre de plus demande une migration."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, get_args

import psycopg

from api.socle.sessions_tenues import FinDeSession
from domain.ecart import GenreEcart
from domain.sort import ANOMALIES, Sort
from domain.statut import StatutDePaiement
from engine.role_state import State
from engine.security_log import Kind
from guichet.acces import VoieDeLecture
from kiosque.rapports import Genre
from projections.lectures import recherche, sources_d_anomalies
from projections.vues.anomalies import EtatDeReglement

FERMEES: Final[Mapping[str, Any]] = {
    "acces.sessions.fin": FinDeSession,
    "journal.acces.voie": VoieDeLecture,
    "journal.ecarts_de_rapport.genre": GenreEcart,
    "journal.ecarts_de_rapport.genre_de_rapport": Genre,
    "journal.lignes_de_rapport.genre": Genre,
    "journal.rapports.genre": Genre,
    "journal.securite.genre": Kind,
    "journal.sorts.sort": Sort,
    "vues.paiements.statut": StatutDePaiement,
    "vues.reglements.etat": EtatDeReglement,
    "vues.suiveurs.etat": State,
}
LIBRES: Final = {"vues.differences.genre", "vues.reconstructions.etat"}
"""Ce que des vues se disent d'elles-mêmes, sans énumération."""

_LISTES: Final = """
SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'c' AND pg_get_constraintdef(oid) LIKE '%ANY (ARRAY[%'
"""


def listes(url: str) -> dict[str, set[str]]:
    """Les textes que chaque colonne admet, si elle en a une liste."""
    with psycopg.connect(url) as conn:
        return {
            f"{table}.{colonne}": set(re.findall(r"'(\w*)'::", dite))
            for table, dite in conn.execute(_LISTES).fetchall()
            for colonne in re.findall(r"\((\w+) = ANY", dite)
        }


def autres(admis: Mapping[str, set[str]], fermees: Mapping[str, Any]) -> list[str]:
    """Les colonnes dont la liste n'est pas celle de l'ensemble fermé qui s'y écrit."""
    return [nom for nom, dit in fermees.items() if admis.get(nom) != set(get_args(dit) or dit)]


def test_une_colonne_admet_chaque_membre_et_rien_d_autre(base: Any) -> None:
    admis = listes(base.url_proprietaire)
    assert autres(admis, FERMEES) == []
    assert admis.keys() - FERMEES == LIBRES


def test_un_membre_que_la_base_refuserait_est_vu() -> None:
    plante = StrEnum("plante", {"PAGE": "page", "API": "api"})
    assert autres({"a.b.c": {"page"}}, {"a.b.c": plante}) == ["a.b.c"]
    assert autres({"a.b.c": {"page", "api"}}, {"a.b.c": plante}) == []


def test_les_sorts_que_le_support_voit_sont_ceux_que_dit_le_domaine() -> None:
    """`en_souffrance` se voit par son attente."""
    (vus,) = re.findall(r"s\.sort IN \((.*)\)", sources_d_anomalies._SORTS)
    (tus,) = re.findall(r"sort NOT IN \((.*?)\)", recherche._MESSAGES_DE)
    assert set(re.findall(r"'(\w+)'", vus)) == {sort.value for sort in ANOMALIES - {Sort.EN_SOUFFRANCE}}
    assert set(re.findall(r"'(\w+)'", tus)) == {sort.value for sort in set(Sort) - ANOMALIES}
