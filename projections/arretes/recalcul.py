"""Les mêmes totaux, refaits par PostgreSQL seul : une instruction sur tout le journal, qui ne sait rien du reste.

Ni l'agrégat, ni le rejeu, ni la clôture de la veille : elle lit le JSON des faits, et additionne depuis le début. De
ce que les lecteurs décident d'un fait, elle n'a que sous quel mouvement il compte, et quel champ en porte le montant.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from psycopg import Connection

from projections.arretes.contenu import Axe, Tableau
from projections.comptes.totaux import CHAMPS, MOUVEMENTS, RENDUS, RESTES, Totaux
from projections.effets import ECRITURES

# Un caractère nul, que le JSON de PostgreSQL n'admet pas, ne se trouve que dans un texte libre, qui ne compte pas ici.
# `seuils` : la position qui suit chaque clôture, la première étant celle d'où l'on part ; un fait est de la tranche
# dont il a passé le seuil, et 0 est tout ce qui précède.
_TOUT: Final = """
WITH faits AS MATERIALIZED (
    SELECT flux, version, topic, width_bucket(position, %(seuils)s::int8[]) AS tranche,
           replace(convert_from(etat, 'UTF8'), '\\u0000', '\\ufffd')::jsonb AS e
    FROM journal.evenements
    WHERE position < %(fin)s AND (flux LIKE 'creance-%%' OR flux LIKE 'paiement-%%')
      AND topic NOT IN ('creance.PaiementAffiche', 'creance.TropPercuConstate')
), ecritures AS (
    SELECT * FROM unnest(%(ecrits)s::text[], %(mouvements)s::text[], %(sens)s::int8[], %(champs)s::text[],
                         %(moins)s::text[]) AS e (topic, nom, sens, champ, moins)
), avis AS (
    SELECT flux, e ->> 'caisse' AS caisse FROM faits WHERE topic = 'creance.AvisEmis'
), ouverts AS (
    SELECT flux, coalesce(e ->> 'caisse', 'inconnue') AS caisse, e ->> 'marchand' AS marchand,
           CASE topic WHEN 'paiement.PaiementOuvert' THEN (e ->> 'montant')::int8 ELSE 0 END AS montant
    FROM faits WHERE flux LIKE 'paiement-%%' AND version = 1
), argent AS (
    SELECT 'argent-' || substr(flux, length('paiement-') + 1) || '-' || version AS anomalie,
           e ->> 'marchand' AS marchand
    FROM faits WHERE topic = 'paiement.EncaissementNonImpute'
), dettes AS (
    SELECT f.*, a.caisse, m.nom, m.montant, m.sens, m.reserve,
           sum(m.montant * m.sens) OVER (PARTITION BY f.flux ORDER BY f.version) AS solde
    FROM faits f JOIN avis a USING (flux) LEFT JOIN ecritures k ON k.topic = f.topic
    CROSS JOIN LATERAL (SELECT
        k.nom,
        CASE WHEN k.nom IS NULL THEN 0 ELSE (f.e ->> k.champ)::int8 END
            - CASE WHEN k.moins IS NULL THEN 0 ELSE (f.e ->> k.moins)::int8 END,
        coalesce(k.sens, 1),
        CASE f.topic WHEN 'creance.PaiementInitie' THEN (f.e ->> 'part')::int8
            WHEN 'creance.PaiementAccepte' THEN -(f.e ->> 'part_liberee')::int8
            WHEN 'creance.PaiementEchoue' THEN -(f.e ->> 'part_liberee')::int8 ELSE 0 END
    ) AS m (nom, montant, sens, reserve)
), prises AS (
    SELECT f.*, o.caisse, coalesce(CASE f.topic WHEN 'paiement.EncaissementNonImpute' THEN f.e ->> 'marchand' END,
                                   a.marchand, o.marchand) AS chez,
           o.montant AS ouvert, (f.e ->> 'montant')::int8 AS dit
    FROM faits f JOIN ouverts o USING (flux) LEFT JOIN argent a ON a.anomalie = f.e ->> 'anomalie'
    WHERE f.topic IN ('paiement.EncaissementNonImpute', 'paiement.EncaissementImpute', 'paiement.EncaissementRendu')
       OR f.topic = 'paiement.PaiementConclu' AND f.e ->> 'issue' = 'accepte'
), un_a_un (tranche, caisse, marchand, en_tout, nom, montant) AS (
    SELECT d.tranche, d.caisse, NULL, true, l.nom, l.montant
    FROM dettes d CROSS JOIN LATERAL (VALUES
        (d.nom, d.montant), ('cloture', d.montant * d.sens), ('en_cours', d.reserve),
        ('preleve_par_la_banque', CASE d.nom WHEN 'contrepasse' THEN -d.montant END),
        ('restant_du', greatest(d.solde, 0) - greatest(d.solde - d.montant * d.sens, 0)),
        ('trop_percu', greatest(-d.solde, 0) - greatest(d.montant * d.sens - d.solde, 0))) AS l (nom, montant)
    WHERE l.nom IS NOT NULL
    UNION ALL
    SELECT p.tranche, p.caisse, p.chez, true, l.nom, l.montant
    FROM prises p CROSS JOIN LATERAL (VALUES
        ('preleve_par_la_banque', CASE p.topic WHEN 'paiement.PaiementConclu' THEN p.ouvert
            WHEN 'paiement.EncaissementNonImpute' THEN p.dit
            WHEN 'paiement.EncaissementRendu' THEN CASE WHEN p.e ->> 'voie' IS NULL THEN -p.dit END END),
        ('non_rattache', CASE p.topic WHEN 'paiement.PaiementConclu' THEN NULL
            WHEN 'paiement.EncaissementNonImpute' THEN p.dit ELSE -p.dit END),
        ('rendu', CASE WHEN p.topic = 'paiement.EncaissementRendu' AND p.e ->> 'voie' IS NOT NULL THEN p.dit END)
    ) AS l (nom, montant) WHERE l.montant IS NOT NULL
    UNION ALL
    SELECT p.tranche, NULL, p.chez, false,
           CASE p.topic WHEN 'paiement.PaiementConclu' THEN 'accepte' ELSE 'rattache' END,
           CASE p.topic WHEN 'paiement.PaiementConclu' THEN p.ouvert ELSE p.dit END
    FROM prises p WHERE p.topic IN ('paiement.PaiementConclu', 'paiement.EncaissementImpute')
    UNION ALL
    SELECT d.tranche, NULL, coalesce(a.marchand, o.marchand), false, l.nom, l.montant
    FROM dettes d JOIN ouverts o ON o.flux = 'paiement-' || (d.e ->> 'transaction')
    LEFT JOIN argent a ON a.anomalie = d.e ->> 'anomalie'
    CROSS JOIN LATERAL (VALUES (d.nom, d.montant),
        ('preleve_par_la_banque', CASE d.nom WHEN 'contrepasse' THEN -d.montant END)) AS l (nom, montant)
    WHERE d.nom = ANY (%(rendus)s) AND l.montant IS NOT NULL
), bouge AS (
    SELECT tranche, caisse, marchand, en_tout, nom, sum(montant)::int8 AS montant FROM un_a_un
    WHERE montant <> 0 OR nom NOT IN ('en_cours', 'trop_percu', 'restant_du', 'cloture')
    GROUP BY tranche, caisse, marchand, en_tout, nom
), par_axe AS (
    SELECT tranche, 'ensemble' AS axe, '' AS cle, nom, montant FROM bouge WHERE en_tout
    UNION ALL SELECT tranche, 'caisse', caisse, nom, montant FROM bouge WHERE caisse IS NOT NULL
    UNION ALL SELECT tranche, 'marchand', marchand, nom, montant FROM bouge WHERE marchand IS NOT NULL
    UNION ALL SELECT tranche, 'marchand', marchand, 'cloture', montant FROM bouge
              WHERE marchand IS NOT NULL AND nom = 'preleve_par_la_banque'
), sommes AS (
    SELECT tranche, axe, cle, nom, sum(montant)::int8 AS montant FROM par_axe GROUP BY tranche, axe, cle, nom
), cles AS (
    SELECT axe, cle, min(tranche) AS depuis FROM sommes GROUP BY axe, cle
    UNION SELECT 'ensemble', '', 0 WHERE NOT EXISTS (SELECT FROM sommes WHERE axe = 'ensemble')
), grille AS (
    SELECT t AS tranche, c.axe, c.cle, n.nom
    FROM generate_series(0, cardinality(%(seuils)s::int8[]) - 1) AS t CROSS JOIN cles c
    CROSS JOIN unnest(%(noms)s::text[]) AS n (nom)
), cumules AS (
    SELECT tranche, axe, cle, nom, coalesce(montant, 0) AS montant,
           sum(coalesce(montant, 0)) OVER (PARTITION BY axe, cle, nom ORDER BY tranche)::int8 AS cumul
    FROM grille LEFT JOIN sommes USING (tranche, axe, cle, nom)
)
SELECT tranche, axe, cle, jsonb_object_agg(nom, jsonb_build_array(montant, cumul))
FROM cumules JOIN cles c USING (axe, cle)
WHERE tranche > 0 AND (c.depuis <= tranche OR axe = 'ensemble') GROUP BY tranche, axe, cle ORDER BY tranche, axe, cle
"""


def recalculer(conn: Connection[Any], bornes: Sequence[int]) -> list[Tableau]:
    """Les totaux de chaque tranche : de la première borne (exclue) à la deuxième, et ainsi de suite."""
    noms = [nom for nom in CHAMPS if nom != "ouverture"]
    tableaux: list[Tableau] = [{axe: {} for axe in Axe} for _ in bornes[1:]]
    parametres = {
        "seuils": [borne + 1 for borne in bornes],
        "fin": bornes[-1] + 1,
        "noms": noms,
        "rendus": list(RENDUS),
        "ecrits": list(ECRITURES),
        "mouvements": [une.nom for une in ECRITURES.values()],
        "sens": [MOUVEMENTS[une.nom] for une in ECRITURES.values()],
        "champs": [une.champ for une in ECRITURES.values()],
        "moins": [une.moins for une in ECRITURES.values()],
    }
    for tranche, axe, cle, dits in conn.execute(_TOUT, parametres):
        valeurs = {nom: cumul if nom in RESTES else du_jour for nom, (du_jour, cumul) in dits.items()}
        clos, cumul = dits["cloture"]
        tableaux[tranche - 1][Axe(axe)][cle] = Totaux(ouverture=cumul - clos, **valeurs)
    return tableaux


def differences(calcule: Tableau, refait: Tableau) -> list[str]:
    """Ce en quoi deux calculs du même jour diffèrent, une phrase par montant."""
    phrases = []
    for axe in Axe:
        ici, la = calcule.get(axe, {}), refait.get(axe, {})
        for cle in sorted(ici.keys() | la.keys()):
            un, autre = ici.get(cle, Totaux()), la.get(cle, Totaux())
            phrases += [
                f"{axe} {cle} : {champ.name} vaut {getattr(un, champ.name)}, {getattr(autre, champ.name)} recalculé"
                for champ in fields(Totaux)
                if getattr(un, champ.name) != getattr(autre, champ.name)
            ]
    return phrases
