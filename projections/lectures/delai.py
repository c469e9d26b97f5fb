"""L'horloge des 24 h telle qu'elle se lit : d'après la vue, et ce que le journal dit de plus qu'elle.

Rien de ce qui est lu ne grandit avec les paiements affichés.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import AsyncConnection, Connection

from domain.agregats import AGREGATS
from domain.creance import Créance
from domain.paiement import Paiement
from engine.mapper import EventMapper
from projections.effets import TOPICS_DU_DELAI
from projections.vues import durees
from projections.vues.delai_affichage import Part, part_de
from projections.vues.durees import TRANCHES

# Où en est la vue.
_POSITION: Final = "SELECT position FROM vues.suiveurs WHERE nom = 'delai_affichage'"

# Ce que le journal dit de plus que la vue : au-delà de sa position, et ce qu'elle a écarté (par un index à lui).
_AU_DELA: Final = f"""
SELECT flux, version, topic, etat FROM journal.evenements
WHERE position > %s AND topic IN ({", ".join(f"'{topic}'" for topic in sorted(TOPICS_DU_DELAI))})
UNION ALL
SELECT e.flux, e.version, e.topic, e.etat FROM vues.ecartes x JOIN journal.evenements e USING (position)
WHERE x.suiveur = 'delai_affichage' AND x.position <= %s
ORDER BY flux, version
"""  # noqa: S608 (des topics du domaine)

# Les parts que la vue dit en attente.
_EN_ATTENTE: Final = "SELECT transaction, reference, accepte_le FROM vues.affichages_en_attente"

# Ce que la banque a dit de ces paiements.
_CONCLUS: Final = """
SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%s) AND topic = %s
"""

# L'état de l'horloge : les comptes de la vue, corrigés de ce que le journal dit de plus. Seuls sont relus les paiements
# qui attendent, et ceux dont le journal dit plus que la vue : par la clé, jamais toute la vue (d'où le tableau).
_ETAT: Final = f"""
WITH nouvelles AS (
    SELECT * FROM unnest(%(transactions)s::text[], %(references)s::text[], %(acceptes)s::timestamptz[],
                         %(affiches)s::timestamptz[]) AS n (transaction, reference, accepte_le, affiche_le)
), touches AS (
    SELECT transaction FROM nouvelles UNION SELECT transaction FROM vues.affichages_en_attente
), connues AS (
    SELECT * FROM vues.delai_affichage WHERE transaction = ANY (ARRAY(SELECT transaction FROM touches))
), parts AS (
    SELECT transaction, coalesce(d.accepte_le, n.accepte_le) AS accepte_le,
           coalesce(d.affiche_le, n.affiche_le) AS affiche_le
    FROM connues d FULL JOIN nouvelles n USING (transaction, reference)
), vues_du_journal AS (
    SELECT * FROM parts WHERE accepte_le IS NOT NULL
), en_attente AS (
    SELECT extract(epoch FROM %(maintenant)s - min(accepte_le)) AS secondes FROM vues_du_journal
    GROUP BY transaction HAVING count(*) > count(affiche_le)
), comptes AS (
    SELECT tranche_ms, sum(paiements) AS paiements FROM (
        SELECT tranche_ms, paiements FROM vues.durees_d_affichage
        UNION ALL SELECT tranche_ms, -1 FROM ({TRANCHES.format(parts="connues")}) AS deja
        UNION ALL SELECT tranche_ms, 1 FROM ({TRANCHES.format(parts="vues_du_journal")}) AS desormais
    ) AS tous GROUP BY tranche_ms
), rangs AS (
    SELECT tranche_ms, sum(paiements) OVER (ORDER BY tranche_ms) AS rang, sum(paiements) OVER () AS total FROM comptes
)
SELECT (SELECT coalesce(sum(paiements), 0)::int8 FROM comptes),
       (SELECT count(*) FROM en_attente),
       (SELECT max(secondes) FROM en_attente),
       (SELECT count(*) FROM en_attente WHERE secondes > %(delai_s)s)
           + (SELECT coalesce(sum(paiements), 0)::int8 FROM comptes WHERE tranche_ms > %(tranche_ms)s),
       ARRAY(SELECT (SELECT min(tranche_ms) FROM rangs WHERE rang >= centile * total AND total > 0)
             FROM unnest(ARRAY[0.5, 0.95, 0.99]) WITH ORDINALITY AS c (centile, ordre) ORDER BY ordre)
"""  # noqa: S608 (constantes)


class Attente(NamedTuple):
    """Un paiement accepté que le compte ne montre pas encore."""

    transaction: str
    accepte_le: datetime
    """Le départ de son horloge."""
    presume: bool
    """Vrai si l'heure de la banque n'était pas crédible : le départ est celui de la réception."""


class _AuDela:
    """Ce que le journal dit des horloges au-delà de la vue : juste même si son suiveur est arrêté."""

    def __init__(self, lignes: Iterable[tuple[str, int, str, bytes]]) -> None:
        """Les faits illisibles sont laissés : l'audit les nomme."""
        mapper = EventMapper(AGREGATS)
        self.acceptes: dict[Part, datetime] = {}
        self.affiches: dict[Part, datetime] = {}
        for ligne in lignes:
            try:
                fait = mapper.lire(*ligne)
            except MapperDeserialisationError:
                continue
            if isinstance(fait, Créance.PaiementAccepté):
                self.acceptes[part_de(fait)] = fait.accepte_le
            elif isinstance(fait, Créance.PaiementAffiché):
                self.affiches[part_de(fait)] = fait.affiche_le

    def parametres(self) -> dict[str, list[Any]]:
        """Une colonne par champ, une ligne par part."""
        parts = list(self.acceptes | self.affiches)
        return {
            "transactions": [transaction for transaction, _ in parts],
            "references": [reference for _, reference in parts],
            "acceptes": [self.acceptes.get(part) for part in parts],
            "affiches": [self.affiches.get(part) for part in parts],
        }


def attentes(conn: Connection[Any]) -> list[Attente]:
    """Les paiements acceptés que le compte ne montre pas, le plus ancien d'abord, d'après le journal."""
    (position,) = conn.execute(_POSITION).fetchone() or (0,)
    au_dela = _AuDela(conn.execute(_AU_DELA, (position, position)))
    parts = {(transaction, ref): accepte_le for transaction, ref, accepte_le in conn.execute(_EN_ATTENTE)}
    departs: dict[str, datetime] = {}
    for part, accepte_le in (parts | au_dela.acceptes).items():
        if part not in au_dela.affiches:
            departs[part[0]] = min(accepte_le, departs.get(part[0], accepte_le))
    presumes = _departs_presumes(conn, departs)
    tries = sorted(departs.items(), key=lambda depart: (depart[1], depart[0]))
    return [Attente(transaction, accepte_le, transaction in presumes) for transaction, accepte_le in tries]


def _departs_presumes(conn: Connection[Any], transactions: Iterable[str]) -> set[str]:
    """Ceux de ces paiements dont l'heure de la banque n'était pas crédible."""
    mapper, flux = EventMapper(AGREGATS), [Paiement.flux(transaction) for transaction in transactions]
    presumes: set[str] = set()
    for ligne in conn.execute(_CONCLUS, (flux, Paiement.PaiementConclu.TOPIC)) if flux else ():
        with suppress(MapperDeserialisationError):
            fait = mapper.lire(*ligne)
            if isinstance(fait, Paiement.PaiementConclu) and fait.depart_presume:
                presumes.add(Paiement.transaction_de(fait.originator_id))
    return presumes


async def etat_du_delai(conn: AsyncConnection[Any], maintenant: datetime, delai: timedelta) -> dict[str, Any]:
    """L'horloge des 24 h : affichés, en attente, la plus vieille attente (secondes), dépassements, centiles.

    Un centile est la plus longue durée de sa tranche (`projections.vues.durees`).
    """
    (position,) = await (await conn.execute(_POSITION)).fetchone() or (0,)
    au_dela = _AuDela(await (await conn.execute(_AU_DELA, (position, position))).fetchall())
    parametres = {"maintenant": maintenant, "delai_s": delai.total_seconds(), "tranche_ms": durees.tranche_ms(delai)}
    ligne = await (await conn.execute(_ETAT, parametres | au_dela.parametres())).fetchone()
    affiches, en_attente, plus_ancien, depasses, centiles = ligne or (0, 0, None, 0, [None] * 3)
    p50, p95, p99 = (None if c is None else c / 1000 for c in centiles)
    return {
        "delai_secondes": int(delai.total_seconds()),
        "affiches": affiches,
        "en_attente": en_attente,
        "plus_ancien_en_attente_secondes": float(plus_ancien) if plus_ancien is not None else None,
        "depasses": depasses,
        "secondes_p50": p50,
        "secondes_p95": p95,
        "secondes_p99": p99,
    }
