"""Ce que PostgreSQL constate seul : l'ordre du journal, les causes, et les tables qui se répondent.

Chaque constat est une requête qui rend une phrase par écart, et rien si tout va bien.
Plus de 300 lignes : une requête par constat.
"""

from typing import Final

from domain.anomalie import FAITS_D_ANOMALIE, Anomalie
from domain.creance import Créance
from domain.geste import Source
from domain.messagerie import Messagerie
from domain.paiement import Paiement
from projections.vues.durees import ECARTS

_TOPICS_DES_MESSAGES: Final = (
    Créance.AvisEmis.TOPIC,
    Créance.AvisRectifié.TOPIC,
    Créance.AvisAnnulé.TOPIC,
    Créance.EncaissementReçu.TOPIC,
    Créance.PaiementAccepté.TOPIC,
    Créance.PaiementÉchoué.TOPIC,
    Créance.TropPerçuConstaté.TOPIC,
    Paiement.PaiementConclu.TOPIC,
    Paiement.EncaissementNonImputé.TOPIC,
    Paiement.AcceptationPrécisée.TOPIC,
)

CAUSES: Final[dict[str, tuple[str, ...]]] = {
    "kafka:": _TOPICS_DES_MESSAGES,
    "requete:messagerie": (Messagerie.MessageLu.TOPIC, Messagerie.MessageSupprimé.TOPIC),
    "requete:": (Paiement.PaiementOuvert.TOPIC, Créance.PaiementInitié.TOPIC),
    "relance:inconnu-du-kiosque": (Paiement.PaiementConclu.TOPIC, Créance.PaiementÉchoué.TOPIC),
    "affichage:restant_du": (Créance.PaiementAffiché.TOPIC,),
    "reglement:": (
        *(fait.TOPIC for fait in FAITS_D_ANOMALIE),
        Paiement.EncaissementImputé.TOPIC,
        Paiement.EncaissementRendu.TOPIC,
        Paiement.PaiementRéglé.TOPIC,
        Paiement.RemboursementDemandé.TOPIC,
        Paiement.RemboursementEnvoyé.TOPIC,
        Paiement.RemboursementFait.TOPIC,
        Paiement.RemboursementRefusé.TOPIC,
        Créance.EncaissementRattaché.TOPIC,
        Créance.EncaissementReçu.TOPIC,
        Créance.PaiementContrepassé.TOPIC,
        Créance.TropPerçuRemboursé.TOPIC,
        Créance.TropPerçuConstaté.TOPIC,
    ),
}
"""Chaque cause connue (ou son début, s'il finit par « : ») et les faits qu'elle peut avoir ; une nouvelle s'y inscrit.

Un fait sous une autre cause n'a été écrit par aucun geste du service : c'est un écart.
"""

_PERMIS: Final = " OR ".join(
    "(e.cause {} AND e.topic IN ({}))".format(
        f"LIKE '{debut}%'" if debut.endswith(":") else f"= '{debut}'", ", ".join(f"'{topic}'" for topic in topics)
    )
    for debut, topics in CAUSES.items()
)

_A_LA_MEME_HEURE: Final = "abs(extract(epoch FROM {} - {})) > 3600"

_D_UN_ECART: Final = f"{Anomalie.flux(Source.ECART.value)}-"
"""Le début du flux d'un écart de rapport que des personnes ont réglé."""

_AUTORISATION: Final = """'"autorisation":"([^"]*)"'"""
"""Où un fait d'un paiement dit l'autorisation de la banque."""

# La première origine de chaque message, avec ce qu'il faut pour juger un fait qui s'en réclame.
_CAUSE: Final = "'kafka:' || topic || '/' || partition || '@' || decalage"
_ORIGINES: Final = f"""
SELECT {_CAUSE} AS cause, sort, champs ->> 'autorisation' AS autorisation, champs ->> 'marchand' AS marchand,
       champs ->> 'montant_centimes' AS montant, enregistre_le
FROM journal.sorts
"""  # noqa: S608

CONSTATS: Final[dict[str, str]] = {
    "l'ordre du journal": """
SELECT format('journal : la position %s est enregistrée avant celle qui la précède', position)
FROM (SELECT position, enregistre_le, lag(enregistre_le) OVER (ORDER BY position) AS avant FROM journal.evenements) AS e
WHERE enregistre_le < avant
UNION ALL
SELECT format('journal : la position %s est enregistrée dans l''avenir', position)
FROM journal.evenements WHERE enregistre_le > clock_timestamp() + interval '1 hour'
""",
    "les causes": f"""
SELECT format('journal : %s v%s : un %s sous la cause « %s », que rien n''explique',
              e.flux, e.version, e.topic, left(e.cause, 80))
FROM journal.evenements e WHERE NOT coalesce({_PERMIS}, false)
""",  # noqa: S608 (constantes)
    "les règlements": """
SELECT format('journal : %s v%s : sous le règlement « %s », que personne n''a fait',
              e.flux, e.version, left(e.cause, 80))
FROM journal.evenements e
WHERE e.cause LIKE 'reglement:%'
  AND NOT EXISTS (SELECT FROM journal.evenements a
                  WHERE a.flux = 'anomalie-' || substr(e.cause, length('reglement:') + 1) AND a.cause = e.cause
                    AND a.topic IN ('anomalie.AnomalieReglee', 'anomalie.ReglementApprouve')
                  UNION ALL SELECT WHERE e.flux = 'anomalie-' || substr(e.cause, length('reglement:') + 1))
""",
    "les messages des faits": f"""
SELECT format('journal : %s v%s : aucun message lu n''est à « %s »', e.flux, e.version, left(e.cause, 80))
FROM journal.evenements e
WHERE e.cause LIKE 'kafka:%' AND NOT EXISTS (SELECT FROM ({_ORIGINES}) AS s WHERE s.cause = e.cause)
UNION ALL
SELECT format('journal : %s v%s : le message « %s » ne dit pas cette autorisation',
              e.flux, e.version, left(e.cause, 80))
FROM journal.evenements e
WHERE e.topic = '{Paiement.AcceptationPrécisée.TOPIC}'
  AND NOT EXISTS (SELECT FROM ({_ORIGINES}) AS s WHERE s.cause = e.cause AND (s.sort = 'en_souffrance' OR
      s.sort = 'doublon' AND position(to_json(s.autorisation)::text IN convert_from(e.etat, 'SQL_ASCII')) > 0
      AND position(to_json(s.marchand)::text IN convert_from(e.etat, 'SQL_ASCII')) > 0
      AND position('"montant":' || s.montant || ',' IN convert_from(e.etat, 'SQL_ASCII')) > 0))
UNION ALL
SELECT format('journal : %s ne sait rien de l''autorisation que dit le message « %s », pourtant tenu pour une copie',
              '{Paiement.flux("")}' || s.objet, left({_CAUSE}, 80))
FROM journal.sorts s
WHERE s.sort = 'doublon' AND s.champs ->> 'issue' = 'acceptee'
  AND coalesce(s.champs ->> 'autorisation', '') NOT IN ('', 'null')
  AND NOT EXISTS (SELECT FROM journal.evenements e
                  WHERE e.flux = '{Paiement.flux("")}' || s.objet
                    AND ltrim(substring(convert_from(e.etat, 'SQL_ASCII') FROM {_AUTORISATION}), '0')
                        = ltrim(substring(to_json(s.champs ->> 'autorisation')::text FROM '^"(.*)"$'), '0'))
UNION ALL
SELECT format('journal : %s v%s : n''a pas l''heure de son message « %s »', e.flux, e.version, left(e.cause, 80))
FROM journal.evenements e JOIN ({_ORIGINES}) AS s USING (cause)
WHERE s.sort <> 'en_souffrance' AND {_A_LA_MEME_HEURE.format("e.enregistre_le", "s.enregistre_le")}
  AND NOT EXISTS (SELECT FROM ({_ORIGINES}) AS o WHERE o.cause = e.cause AND o.enregistre_le <> s.enregistre_le)
""",  # noqa: S608
    "l'ordre des messages": f"""
SELECT format('journal : la position %s tient du message « %s », lu avant celui de la position précédente',
              position, left(cause, 80))
FROM (SELECT e.position, e.cause, s.decalage,
             lag(s.decalage) OVER (PARTITION BY s.topic_id, s.partition ORDER BY e.position) AS avant
      FROM journal.evenements e
      JOIN (SELECT {_CAUSE} AS cause, min(topic_id::text) AS topic_id, min(partition) AS partition,
                   min(decalage) AS decalage
            FROM journal.sorts WHERE sort <> 'rejetee'
            -- De deux topics du même nom, rien ne dit lequel ; et celui qui a attendu vient quand il peut.
            GROUP BY 1 HAVING count(*) = 1 AND bool_and(sort <> 'en_souffrance')) AS s
           USING (cause)
      WHERE e.cause LIKE 'kafka:%') AS o
WHERE decalage < avant
""",  # noqa: S608
    "les clés": f"""
SELECT format('clé d''idempotence : %s n''a pas l''heure du paiement %s', k.cle, k.reponse ->> 'transaction')
FROM journal.cles_idempotence k
JOIN journal.evenements e ON e.flux = '{Paiement.flux("")}' || (k.reponse ->> 'transaction') AND e.version = 1
WHERE {_A_LA_MEME_HEURE.format("e.enregistre_le", "k.enregistre_le")}
UNION ALL
SELECT format('clé d''idempotence : %s, une empreinte de %s octets', k.cle, octet_length(k.empreinte))
FROM journal.cles_idempotence k WHERE octet_length(k.empreinte) <> 32
""",  # noqa: S608
    "les topics": """
SELECT DISTINCT format('position : %s lu sous %s, que rien ne nomme', p.topic, p.topic_id)
FROM journal.positions p
WHERE NOT EXISTS (SELECT FROM journal.topics t WHERE t.topic_id = p.topic_id AND t.topic = p.topic)
  AND NOT EXISTS (SELECT FROM journal.reprises r WHERE r.identifiant = p.topic_id AND r.topic = p.topic)
UNION ALL
SELECT DISTINCT format('sort : %s lu sous %s, que rien ne nomme', p.topic, p.topic_id)
FROM vues.sorts p
WHERE NOT EXISTS (SELECT FROM journal.topics t WHERE t.topic_id = p.topic_id AND t.topic = p.topic)
  AND NOT EXISTS (SELECT FROM journal.reprises r WHERE r.identifiant = p.topic_id AND r.topic = p.topic)
UNION ALL
SELECT format('topic : %s, rang %s, rencontré avant celui qui le précède', topic, rang)
FROM (SELECT *, lag(enregistre_le) OVER (ORDER BY rang) AS avant FROM journal.topics) AS t
WHERE enregistre_le < avant - interval '1 hour' OR enregistre_le > clock_timestamp() + interval '1 hour'
   OR enregistre_le < (SELECT min(e.enregistre_le) FROM journal.epoques e) - interval '1 hour'
UNION ALL
SELECT format('topic : %s, rencontré après qu''il a été lu', t.topic)
FROM journal.topics t
WHERE t.enregistre_le - interval '1 hour' >
      (SELECT min(p.enregistre_le) FROM journal.positions p WHERE p.topic_id = t.topic_id)
""",
    "les accidents de Kafka": f"""
SELECT format('perte : %s/%s, de %s à %s, sans la position qui les saute', l.topic, l.partition, l.depuis, l.jusqu_a)
FROM journal.pertes l
WHERE NOT EXISTS (SELECT FROM journal.positions p
                  WHERE p.topic_id = l.topic_id AND p.topic = l.topic AND p.partition = l.partition
                    AND p.depuis = l.depuis AND p.jusqu_a = l.jusqu_a
                    AND NOT {_A_LA_MEME_HEURE.format("p.enregistre_le", "l.enregistre_le")})
UNION ALL
SELECT format('arrêt : %s/%s ne s''arrête pas où la lecture s''est arrêtée', a.topic, a.partition)
FROM journal.arrets a
WHERE a.fin > a.position OR a.fin < 0
   OR a.position IS DISTINCT FROM coalesce(
        (SELECT max(p.jusqu_a) FROM journal.positions p
         WHERE p.topic_id = a.topic_id AND p.topic = a.topic AND p.partition = a.partition),
        (SELECT r.depuis FROM journal.reprises r WHERE r.identifiant = a.topic_id AND r.partition = a.partition), 0)
   OR a.enregistre_le > clock_timestamp() + interval '1 hour'
   OR a.enregistre_le < (SELECT max(p.enregistre_le) - interval '1 hour' FROM journal.positions p
                         WHERE p.topic_id = a.topic_id AND p.partition = a.partition)
UNION ALL
SELECT format('reprise : %s/%s, rang %s, d''une partition qui n''était pas arrêtée', r.topic, r.partition, r.rang)
FROM journal.reprises r
WHERE NOT EXISTS (
    SELECT FROM journal.arrets a
    WHERE a.topic = r.topic AND a.partition = r.partition AND a.enregistre_le <= r.enregistre_le + interval '1 hour'
      AND (a.topic_id = r.topic_id
           OR a.topic_id IN (SELECT avant.identifiant FROM journal.reprises avant
                             WHERE avant.topic_id = r.topic_id AND avant.partition = r.partition
                               AND avant.rang < r.rang)))
   OR r.motif = '' OR r.enregistre_le > clock_timestamp() + interval '1 hour'
""",  # noqa: S608
    "les attentes": f"""
SELECT format('attente : %s/%s@%s réglée sans avoir attendu', r.topic_id, r.partition, r.decalage)
FROM journal.attentes_reglees r
WHERE NOT EXISTS (SELECT FROM journal.attentes a WHERE a.topic_id = r.topic_id AND a.partition = r.partition
                    AND a.decalage = r.decalage AND a.enregistre_le <= r.enregistre_le + interval '1 hour')
UNION ALL
SELECT format('attente : %s/%s@%s n''a pas l''heure de son sort', a.topic, a.partition, a.decalage)
FROM journal.attentes a JOIN journal.sorts s USING (topic_id, partition, decalage)
WHERE {_A_LA_MEME_HEURE.format("a.enregistre_le", "s.enregistre_le")} OR a.recu_le > a.enregistre_le + interval '1 day'
UNION ALL
SELECT format('attente : %s/%s@%s, %s avant ceux qui le précèdent', topic, partition, decalage, flux)
FROM (SELECT *, lag(decalage) OVER (PARTITION BY topic_id, partition ORDER BY rang) AS avant FROM journal.attentes) AS a
WHERE decalage < avant
UNION ALL
SELECT format('attente : %s/%s@%s réglée dans l''avenir', topic_id, partition, decalage)
FROM journal.attentes_reglees WHERE enregistre_le > clock_timestamp() + interval '1 hour'
""",  # noqa: S608
    "les époques": """
SELECT 'époque : le journal n''en a aucune' WHERE NOT EXISTS (SELECT FROM journal.epoques)
UNION ALL
SELECT format('époque : %s n''a pas l''heure de son nom', nom)
FROM journal.epoques
WHERE abs(extract(epoch FROM enregistre_le - to_timestamp(nom, 'YYYYMMDD"T"HH24MISS"Z"'))) > 60
UNION ALL
SELECT 'époque : la première s''ouvre après le premier événement'
FROM (SELECT min(enregistre_le) AS le FROM journal.epoques) AS p, LATERAL (
      SELECT enregistre_le FROM journal.evenements ORDER BY position LIMIT 1) AS e
WHERE p.le > e.enregistre_le + interval '1 hour'
UNION ALL
SELECT format('publication : %s publie sous l''époque %s, qui n''existe pas', p.suiveur, p.epoque)
FROM vues.publications p WHERE NOT EXISTS (SELECT FROM journal.epoques e WHERE e.nom = p.epoque)
""",
    "les suiveurs": """
SELECT format('%s : à la position %s, au-delà du bout du journal', nom, position)
FROM vues.suiveurs WHERE position > (SELECT coalesce(max(position), 0) FROM journal.evenements) OR position < 0
UNION ALL
SELECT format('%s : événement %s de %s écarté, qui n''est pas au journal', x.suiveur, x.position, x.flux)
FROM vues.ecartes x
WHERE NOT EXISTS (SELECT FROM journal.evenements e WHERE e.position = x.position AND e.flux = x.flux)
""",
    "les durées d'affichage": f"""
SELECT format('durees_d_affichage : %s ms, %s paiements sont gardés, les lignes de la vue en disent %s',
              e.tranche_ms, e.gardes, e.comptes)
FROM ({ECARTS}) AS e (tranche_ms, gardes, comptes)
WHERE (SELECT tenue = position FROM vues.suiveurs WHERE nom = 'delai_affichage')
""",  # noqa: S608
}

# Un rapport est pris jusqu'à deux jours avant la date de son titre (`guichet.rapprocher.AVANCE_MAX`), une heure en plus
# pour l'horloge qui l'inscrit.
RAPPORTS: Final[dict[str, str]] = {
    "les rapports de la banque": f"""
SELECT format('rapport %s : %s lignes annoncées, %s gardées', r.rang, r.lignes, l.lignes)
FROM journal.rapports r
JOIN LATERAL (SELECT count(*) AS lignes, max(numero) AS dernier FROM journal.lignes_de_rapport WHERE rapport = r.rang)
     AS l ON l.lignes > r.lignes
UNION ALL
SELECT format('rapport %s : %s lignes annoncées, aucune gardée, ni avant lui', r.rang, r.lignes)
FROM journal.rapports r
WHERE r.lignes > 0
  AND NOT EXISTS (SELECT FROM journal.lignes_de_rapport l WHERE l.genre = r.genre AND l.rapport <= r.rang)
UNION ALL
SELECT format('rapport %s : lu avant celui qui le précède, ou en avance sur son heure', rang)
FROM (SELECT *, lag(enregistre_le) OVER (ORDER BY rang) AS avant, lag(position) OVER (ORDER BY rang) AS bout
      FROM journal.rapports) AS r
WHERE enregistre_le < avant - interval '1 hour' OR genere_le > enregistre_le + interval '49 hours'
   OR position < coalesce(bout, 0) OR position > (SELECT coalesce(max(position), 0) FROM journal.evenements)
   OR enregistre_le > clock_timestamp() + interval '1 hour' OR couvre_jusqua > genere_le + interval '1 day'
UNION ALL
SELECT format('rapport %s : le journal n''en était pas à la position %s', r.rang, r.position)
FROM journal.rapports r
WHERE (SELECT e.enregistre_le FROM journal.evenements e WHERE e.position <= r.position ORDER BY e.position DESC LIMIT 1)
      > r.enregistre_le + interval '1 hour'
   OR (SELECT e.enregistre_le FROM journal.evenements e WHERE e.position > r.position ORDER BY e.position LIMIT 1)
      < r.enregistre_le - interval '1 hour'
UNION ALL
SELECT format('ligne %s du rapport %s : sans ce rapport, ou d''un autre genre', l.numero, l.rapport)
FROM journal.lignes_de_rapport l
WHERE NOT EXISTS (SELECT FROM journal.rapports r WHERE r.rang = l.rapport AND r.genre = l.genre
                    AND NOT {_A_LA_MEME_HEURE.format("r.enregistre_le", "l.enregistre_le")}
                    AND (l.marchand IS NULL OR l.marchand = ANY (r.marchands)))
UNION ALL
SELECT format('ligne %s du rapport %s : %s centimes pris et %s rendus, pour %s', numero, rapport, pris, rendu, montant)
FROM journal.lignes_de_rapport
WHERE pris NOT IN (0, montant) OR rendu NOT IN (0, montant) OR (pris > 0 AND rendu > 0)
   OR (genre = 'impayes' AND (pris > 0 OR rendu <> montant)) OR (genre = 'transactions' AND rendu > 0)
   OR (genre = 'transactions' AND (pris > 0) IS DISTINCT FROM (code = '00' AND montant > 0))
   OR (genre IN ('operations', 'rapprochements') AND operation = 'DEBIT_CAPTURE' AND pris <> montant)
   OR (genre IN ('operations', 'rapprochements') AND operation = 'CREDIT_CAPTURE' AND rendu <> montant)
   OR (genre = 'operations' AND operation IS DISTINCT FROM 'DEBIT_CAPTURE' AND pris > 0)
UNION ALL
SELECT format('écart de rapport %s : ferme l''écart %s, qui n''est pas de cette transaction', c.rang, c.clot)
FROM journal.ecarts_de_rapport c
WHERE c.clot IS NOT NULL AND NOT EXISTS (
    SELECT FROM journal.ecarts_de_rapport o
    WHERE o.rang = c.clot AND o.rang < c.rang AND o.clot IS NULL AND o.transaction = c.transaction
      AND o.genre_de_rapport = c.genre_de_rapport AND o.genre = c.genre AND o.jour = c.jour
      AND o.marchand IS NOT DISTINCT FROM c.marchand AND o.montant = c.montant
      AND (o.montant_banque, o.montant_chez_nous, o.etat_banque, o.etat_chez_nous)
          = (c.montant_banque, c.montant_chez_nous, c.etat_banque, c.etat_chez_nous))
UNION ALL
SELECT format('écart de rapport %s : d''un rapport qui n''existe pas, ou d''une autre heure', e.rang)
FROM journal.ecarts_de_rapport e
WHERE e.rapport IS NOT NULL AND NOT EXISTS (
    SELECT FROM journal.rapports r WHERE r.rang = e.rapport
      AND NOT {_A_LA_MEME_HEURE.format("r.enregistre_le", "e.enregistre_le")})
""",  # noqa: S608
    "les écarts réglés": f"""
SELECT format('écart de rapport %s : fermé sans rapport, ni personne qui l''ait réglé', c.clot)
FROM journal.ecarts_de_rapport c
WHERE c.clot IS NOT NULL AND c.rapport IS NULL
  AND NOT EXISTS (SELECT FROM journal.evenements e
                  WHERE e.flux = '{_D_UN_ECART}' || c.clot AND e.topic = '{Anomalie.AnomalieRéglée.TOPIC}')
UNION ALL
SELECT DISTINCT format('journal : %s, réglé, mais rien ne le ferme', e.flux)
FROM journal.evenements e
WHERE e.flux LIKE '{_D_UN_ECART}%' AND e.topic = '{Anomalie.AnomalieRéglée.TOPIC}'
  AND NOT EXISTS (SELECT FROM journal.ecarts_de_rapport c
                  WHERE c.rapport IS NULL AND c.clot::text = substr(e.flux, length('{_D_UN_ECART}') + 1))
""",  # noqa: S608
    "les écarts ouverts": """
SELECT format('écarts ouverts : la vue et la table diffèrent sur l''écart %s', coalesce(v.rang, t.rang))
FROM vues.ecarts_ouverts v
FULL JOIN (SELECT o.* FROM journal.ecarts_de_rapport o
           WHERE o.clot IS NULL AND NOT EXISTS (SELECT FROM journal.ecarts_de_rapport c WHERE c.clot = o.rang)) AS t
     ON to_jsonb(v) = to_jsonb(t) - 'ecrit_par'
WHERE v.rang IS NULL OR t.rang IS NULL
""",
}
"""Ce que disent les rapports de la banque, et ce qu'on en a jugé."""
