"""Ce que chaque fait d'une créance fait de son solde : publié avec lui, pour que personne n'ait à refaire le calcul.

Le publieur garde le dernier solde qu'il a publié de chaque créance (`vues.soldes_publies`), et y ajoute l'effet du fait
suivant. Là où ce n'est pas la version d'avant (un renvoi, une table vidée), ou si la ligne n'a plus son empreinte
(changée à la main), le solde est refait depuis le journal : ce qui est publié ne dépend jamais de ce qui était gardé.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import structlog
from psycopg import Connection

from domain.creance import Créance, FaitDeCreance, est_de_creance
from engine.mapper import EventMapper
from engine.recorder import RecordedEvent
from projections.effets import effet

_EMPREINTE: Final = "hashtextextended(concat_ws(' ', flux, caisse, solde, en_cours, version), 0)"
"""Jugée par le PostgreSQL qui l'a faite : sur un autre, au pire, un solde est refait du journal."""

# Le dernier solde publié de ces créances, et s'il est tel qu'il a été gardé.
_LIRE: Final = f"""
SELECT flux, coalesce(empreinte = {_EMPREINTE}, true), caisse, solde, en_cours, version
FROM vues.soldes_publies WHERE flux = ANY (%b::text[])
"""  # noqa: S608  l'empreinte est une constante

# Ce que le journal dit de ces flux avant une version de chacun.
_AVANT: Final = """
SELECT e.flux, e.version, e.topic, e.etat
FROM unnest(%b::text[], %b::int8[]) AS avant (flux, version)
JOIN journal.evenements e ON e.flux = avant.flux AND e.version < avant.version
ORDER BY e.flux, e.version
"""

# Garde le dernier solde publié de chaque créance du lot.
_GARDER: Final = f"""
INSERT INTO vues.soldes_publies AS s (flux, caisse, solde, en_cours, version, empreinte)
SELECT *, {_EMPREINTE}
FROM unnest(%b::text[], %b::text[], %b::int8[], %b::int8[], %b::int8[]) AS u (flux, caisse, solde, en_cours, version)
ON CONFLICT (flux) DO UPDATE
SET caisse = excluded.caisse, solde = excluded.solde, en_cours = excluded.en_cours, version = excluded.version,
    empreinte = excluded.empreinte
"""  # noqa: S608  l'empreinte est une constante


DITS_MAX: Final = 20
"""Flux nommés au journal de bord, quand des lignes ont été changées."""


class Solde(NamedTuple):
    """Où en est une créance après une version ; des centimes."""

    caisse: str
    solde: int
    """Signé : une dette, ou un trop-perçu."""
    en_cours: int
    version: int

    def apres(self, fait: FaitDeCreance) -> Self:
        """Le solde après ce fait."""
        change = effet(fait)
        return self._replace(
            solde=self.solde + change.solde,
            en_cours=self.en_cours + change.en_cours,
            version=fait.originator_version,
        )

    def publie(self) -> dict[str, Any]:
        """Ce qui en est publié avec chaque fait : voir `CHAMPS_DU_SOLDE` dans `publication.contenu`."""
        return {
            "caisse": self.caisse,
            "restant_du_centimes": max(self.solde, 0),
            "en_cours_centimes": self.en_cours,
            "trop_percu_centimes": max(-self.solde, 0),
        }


def soldes_apres(conn: Connection[Any], mapper: EventMapper, faits: Iterable[RecordedEvent]) -> dict[int, Solde]:
    """Le solde après chacun de ces faits de créances, par position ; les autres faits n'en ont pas.

    `faits` : dans l'ordre du journal. Deux requêtes au plus. Lève ce que lève un fait illisible du même flux.
    """
    creances = [(lu.position, lu.event) for lu in faits if est_de_creance(lu.event)]
    premiers: dict[str, int] = {}
    for _, fait in creances:
        premiers.setdefault(fait.originator_id, fait.originator_version)
    courants = _avant(conn, mapper, premiers)
    soldes = {}
    for position, fait in creances:
        soldes[position] = courants[fait.originator_id] = _suivant(courants.get(fait.originator_id), fait)
    return soldes


def garder(conn: Connection[Any], faits: Sequence[RecordedEvent], soldes: Mapping[int, Solde]) -> None:
    """Garde le dernier solde de chaque créance de ce lot, publié."""
    derniers = {lu.event.originator_id: soldes[lu.position] for lu in faits if lu.position in soldes}
    if derniers:
        caisses, restes, en_cours, versions = zip(*derniers.values(), strict=True)
        conn.execute(_GARDER, (list(derniers), list(caisses), list(restes), list(en_cours), list(versions)))


def soldes_gardes(conn: Connection[Any], flux: Sequence[str]) -> tuple[dict[str, Solde], set[str]]:
    """Le dernier solde publié de ces créances, par flux ; et celles dont la ligne n'est plus ce qui y a été gardé.

    Celles dont rien n'est publié ne sont ni dans l'un ni dans l'autre.
    """
    gardes, changes = {}, set()
    for nom, fidele, *reste in conn.execute(_LIRE, (list(flux),), binary=True):
        if fidele:
            gardes[nom] = Solde(*reste)
        else:
            changes.add(nom)
    if changes:
        structlog.get_logger().error("soldes_gardes_changes", flux=sorted(changes)[:DITS_MAX], nombre=len(changes))
    return gardes, changes


def oublier(conn: Connection[Any]) -> None:
    """Oublie tout : la publication reprend au début."""
    conn.execute("DELETE FROM vues.soldes_publies")


def _avant(conn: Connection[Any], mapper: EventMapper, premiers: Mapping[str, int]) -> dict[str, Solde]:
    """Le solde de chaque flux juste avant cette version : celui qui est gardé, sinon celui que refait le journal."""
    gardes, _ = soldes_gardes(conn, list(premiers))
    courants = {flux: garde for flux, garde in gardes.items() if garde.version == premiers[flux] - 1}
    a_refaire = {flux: premier for flux, premier in premiers.items() if premier > 1 and flux not in courants}
    return courants | (refaits(conn, mapper, a_refaire) if a_refaire else {})


def refaits(conn: Connection[Any], mapper: EventMapper, avant: Mapping[str, int]) -> dict[str, Solde]:
    """Le solde de chaque flux juste avant cette version, refait du journal. Lève ce que lève un fait illisible."""
    soldes: dict[str, Solde] = {}
    for ligne in conn.execute(_AVANT, (list(avant), list(avant.values())), binary=True):
        fait = mapper.read(*ligne)
        if est_de_creance(fait):
            soldes[fait.originator_id] = _suivant(soldes.get(fait.originator_id), fait)
    return soldes


def _suivant(avant: Solde | None, fait: FaitDeCreance) -> Solde:
    if isinstance(fait, Créance.AvisEmis):
        avant = Solde(fait.caisse, 0, 0, 0)
    if avant is None:
        raise ValueError(f"le flux {fait.originator_id} ne commence pas par son avis")
    return avant.apres(fait)
