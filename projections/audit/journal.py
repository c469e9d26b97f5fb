"""Le journal tel que l'audit le lit : une fois, flux par flux ; ce qui ne se lit pas est nommé, le reste continue."""

from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Protocol, cast

from psycopg import Connection

from domain.anomalie import Anomalie
from domain.creance import Créance
from domain.messagerie import Messagerie
from domain.paiement import Paiement
from projections.audit.anomalies_reglees import SuiviDAnomalie
from projections.audit.contexte import Contexte, Ligne
from projections.audit.creances import SuiviDeCreance
from projections.audit.lecture import parcourir
from projections.audit.messageries import SuiviDeMessagerie
from projections.audit.paiements import SuiviDePaiement

_EVENEMENTS: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le FROM journal.evenements
WHERE %s::text[] IS NULL OR flux = ANY (%s::text[]) ORDER BY flux, version
"""

AVANCE_TOUS_LES: Final = 4_096
"""Événements entre deux nouvelles de l'avancement."""


class Suivi(Protocol):
    """La lecture d'un flux."""

    def prendre(self, ligne: Ligne) -> None:
        """Le fait suivant ; toute exception dit que le flux ne se lit pas."""

    def clore(self) -> None:
        """Le flux est lu en entier."""

    def abandonner(self, position: int) -> None:
        """Le fait à cette position ne se lit pas."""


_SUIVIS: Final[dict[str, Callable[[Contexte, str], Suivi]]] = {
    Créance.flux(""): SuiviDeCreance,
    Paiement.flux(""): SuiviDePaiement,
    Messagerie.flux(""): SuiviDeMessagerie,
    Anomalie.flux(""): SuiviDAnomalie,
}
"""Par le début du nom d'un flux, ce qui le lit."""


def lire_le_journal(
    conn: Connection[Any],
    contexte: Contexte,
    flux: list[str] | None = None,
    avancer: Callable[[int], None] = lambda _lus: None,
) -> None:
    """Lit tout le journal, ou ces flux ; `avancer` reçoit le compte des événements lus."""
    lus = 0
    contexte.signatures = {} if flux is None else None

    def comptees(lignes: Iterable[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        nonlocal lus
        for ligne in lignes:
            lus += 1
            if lus % AVANCE_TOUS_LES == 0:
                avancer(lus)
            yield ligne

    evenements = comptees(parcourir(conn, _EVENEMENTS, (flux, flux)))
    for nom, lignes in groupby(evenements, key=itemgetter(1)):
        _suivre(contexte, nom, cast("Iterable[Ligne]", lignes))


def _suivre(contexte: Contexte, flux: str, lignes: Iterable[Ligne]) -> None:
    prefixe, tiret, _ = flux.partition("-")
    construire = _SUIVIS.get(prefixe + tiret)
    if construire is None:
        contexte.ecart(f"{flux} : aucun agrégat n'a de flux de ce nom")
        return
    suivi = construire(contexte, flux)
    derniere, precedente = 0, 0
    for ligne in lignes:
        position, _, version, *_ = ligne
        if version != derniere + 1:
            contexte.ecart(f"{flux} : il manque des événements entre les versions {derniere} et {version}")
            contexte.illisible(flux, f"un trou précède la version {version}")
            suivi.abandonner(position)
            return
        if position <= precedente:
            contexte.ecart(f"{flux} : v{version} est à la position {position}, avant la version qui la précède")
        derniere, precedente = version, position
        try:
            suivi.prendre(ligne)
        except Exception as refus:  # noqa: BLE001 (un flux qui ne se rejoue pas ne doit pas taire les autres)
            contexte.illisible(flux, f"v{version}, à la position {position} : {refus!r}")
            suivi.abandonner(position)
            return
    suivi.clore()
