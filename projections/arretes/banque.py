"""Ce que les rapports de la banque disent d'un jour, marchand par marchand, face à ce que la clôture en porte."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from psycopg import Connection

from domain.redite import TRANSACTIONS, Dite, affirmees
from projections.arretes.contenu import DitDeLaBanque
from projections.arretes.journal import Tranche, debut_du

_RAPPORTS: Final = "SELECT coalesce(max(rang), 0) FROM journal.rapports"

# Toutes les lignes des transactions du jour : une correction peut les dater d'un autre.
_LIGNES: Final = f"""
SELECT {", ".join(Dite._fields)}
FROM journal.lignes_de_rapport JOIN (SELECT rang AS rapport, genere_le FROM journal.rapports) AS r USING (rapport)
WHERE rapport <= %(rapports)s AND genre IN ('transactions', 'operations') AND transaction IN
    (SELECT transaction FROM journal.lignes_de_rapport WHERE survenu_le >= %(debut)s AND survenu_le < %(fin)s)
ORDER BY transaction
"""  # noqa: S608

# Une acceptation n'est jamais enregistrée avant l'heure qu'en dit la banque : celles de ce jour-là, connues à la
# clôture, sont toutes dans la tranche.
_DITS: Final = """
WITH dits AS (
    SELECT * FROM unnest(%(marchands)s::text[], %(transactions)s::int8[], %(pris)s::int8[], %(rendus)s::int8[])
        AS d (marchand, transactions, pris, rendu)
), couverts AS (
    SELECT m.marchand FROM journal.rapports r CROSS JOIN unnest(r.marchands) AS m (marchand)
    WHERE r.genre = 'transactions' AND r.rang <= %(rapports)s GROUP BY m.marchand
    HAVING range_agg(tstzrange(r.couvre_depuis, r.couvre_jusqua)) @> tstzrange(%(debut)s, %(fin)s)
), faits AS (
    SELECT flux, topic, convert_from(etat, 'UTF8')::jsonb AS e FROM journal.evenements
    WHERE position > %(depuis)s AND position <= %(jusqu_a)s
      AND topic IN ('paiement.PaiementConclu', 'paiement.EncaissementNonImpute')
), acceptes AS (
    SELECT coalesce(f.e ->> 'marchand', convert_from(o.etat, 'UTF8')::jsonb ->> 'marchand') AS marchand,
           coalesce(f.e ->> 'montant', convert_from(o.etat, 'UTF8')::jsonb ->> 'montant')::int8 AS montant
    FROM faits f JOIN journal.evenements o ON o.flux = f.flux AND o.version = 1
    WHERE (f.topic = 'paiement.EncaissementNonImpute' OR f.e ->> 'issue' = 'accepte')
      AND (f.e ->> 'accepte_le')::timestamptz >= %(debut)s AND (f.e ->> 'accepte_le')::timestamptz < %(fin)s
), ici AS (
    SELECT marchand, sum(montant)::int8 AS pris_ici FROM acceptes GROUP BY marchand
), ouverts AS (
    SELECT coalesce(marchand, '') AS marchand, count(*) AS ecarts, sum(montant)::int8 AS montant
    FROM vues.ecarts_ouverts GROUP BY 1
)
SELECT marchand, couverts.marchand IS NOT NULL, coalesce(transactions, 0), coalesce(pris, 0), coalesce(rendu, 0),
       coalesce(pris_ici, 0), coalesce(ecarts, 0), coalesce(ouverts.montant, 0)
FROM dits FULL JOIN ici USING (marchand) FULL JOIN ouverts USING (marchand) FULL JOIN couverts USING (marchand)
ORDER BY marchand
"""


def rapports_lus(conn: Connection[Any]) -> int:
    """Le rang du dernier rapport de la banque qui est lu ; 0 s'il n'y en a aucun."""
    (rang,) = conn.execute(_RAPPORTS).fetchone() or (0,)
    return int(rang)


def dits_de_la_banque(conn: Connection[Any], tranche: Tranche, rapports: int) -> tuple[DitDeLaBanque, ...]:
    """Ce que la banque dit de ce jour dans les rapports lus jusqu'à ce rang, marchand par marchand."""
    bornes: dict[str, Any] = {
        "debut": debut_du(tranche.jour),
        "fin": debut_du(tranche.jour + timedelta(days=1)),
        "depuis": tranche.depuis,
        "jusqu_a": tranche.jusqu_a,
        "rapports": rapports,
    }
    bornes |= _dites(conn, bornes)
    return tuple(
        DitDeLaBanque(
            marchand=marchand,
            couvert=couvert,
            transactions=transactions,
            pris=pris,
            rendu=rendu,
            pris_ici=pris_ici,
            difference=pris - pris_ici if couvert else None,
            ecarts_ouverts=ecarts,
            montant_des_ecarts=montant,
        )
        for marchand, couvert, transactions, pris, rendu, pris_ici, ecarts, montant in conn.execute(_DITS, bornes)
    )


def _dites(conn: Connection[Any], bornes: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Les sommes du jour, marchand par marchand ; une ligne redite, une case en plus ou en moins, n'y est qu'une."""
    sommes: dict[str, list[int]] = {}
    with conn.cursor(name="dits_de_la_banque") as curseur:
        curseur.execute(_LIGNES, bornes)
        for _, lignes in groupby(map(Dite._make, curseur), key=attrgetter("transaction")):
            for dite, *_ in affirmees(lignes):
                if not bornes["debut"] <= dite.survenu_le < bornes["fin"]:
                    continue
                somme = sommes.setdefault(dite.marchand or "", [0, 0, 0])
                if dite.genre == TRANSACTIONS:
                    somme[0] += 1
                    somme[1] += dite.pris
                else:
                    somme[2] += dite.rendu
    colonnes = zip(*sommes.values(), strict=True) if sommes else ((), (), ())
    noms = ("transactions", "pris", "rendus")
    return {"marchands": list(sommes)} | {nom: list(col) for nom, col in zip(noms, colonnes, strict=True)}
