"""Un grand journal, net : chaque paiement y a six événements, deux messages, une clé, et ses lignes dans chaque vue.

Écrit en SQL, d'un bloc, par le propriétaire : deux millions d'événements en une minute.
"""

from typing import Any, Final

import psycopg

from bench.data import keep_lists

EVENEMENTS_PAR_PAIEMENT: Final = 6

_IDENTITES: Final = """
CREATE TEMP TABLE p ON COMMIT DROP AS
SELECT i, format('38117012%sF', lpad(i::text, 8, '0')) AS reference, 'a-' || i AS assure, 'T' || i AS transaction,
       'cle-' || i AS cle, timestamptz '2026-06-01T08:00:00Z' + i * interval '1 ms' AS le
FROM generate_series(0, {} - 1) AS i
"""

_AVIS: Final = (
    '{"timestamp":"2026-06-01T08:00:00Z","originator_topic":"creance","reference":"%1$s","assure":"%2$s","caisse":"381",'
    '"nature":"PF/FR","montant_initial":8709,"solde_pf_fr":8709,"date_emission":"2026-05-12","mode":"papier",'
    '"payable_en_ligne":true}'
)
_OUVERT: Final = (
    '{"timestamp":"2026-06-01T08:00:00Z","originator_topic":"paiement","transaction":"%3$s","assure":"%2$s",'
    '"caisse":"381","canal":"web","marchand":"002001000000001","montant":2000,"imputations":[{"reference":"%1$s",'
    '"part":2000}],"expire_le":"2026-06-01T08:15:00Z"}'
)
_INITIE: Final = (
    '{"timestamp":"2026-06-01T08:00:00Z","transaction":"%3$s","part":2000,"canal":"web",'
    '"expire_le":"2026-06-01T08:15:00Z"}'
)
_CONCLU: Final = (
    '{"timestamp":"2026-06-01T08:05:00Z","issue":"accepte","code":"00","cause":"accept\\u00e9 par la banque",'
    '"autorisation":"761208","carte_masquee":"4500#","accepte_le":"2026-06-01T08:04:00Z","depart_presume":false}'
)
_ACCEPTE: Final = (
    '{"timestamp":"2026-06-01T08:05:00Z","transaction":"%3$s","part":2000,"part_liberee":2000,'
    '"accepte_le":"2026-06-01T08:04:00Z"}'
)
_AFFICHE: Final = '{"timestamp":"2026-06-01T08:06:00Z","transaction":"%3$s","affiche_le":"2026-06-01T08:06:00Z"}'

_EVENEMENTS: Final = f"""
INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)
SELECT e.flux, e.version, e.topic, convert_to(format(e.etat, reference, assure, transaction), 'UTF8'), e.cause, le
FROM p, LATERAL (VALUES
    (1, 'creance-' || reference, 1, 'creance.AvisEmis', $${_AVIS}$$, 'kafka:creances.avis/0@' || i),
    (2, 'paiement-' || transaction, 1, 'paiement.PaiementOuvert', $${_OUVERT}$$, 'requete:' || cle),
    (3, 'creance-' || reference, 2, 'creance.PaiementInitie', $${_INITIE}$$, 'requete:' || cle),
    (4, 'paiement-' || transaction, 2, 'paiement.PaiementConclu', $${_CONCLU}$$, 'kafka:notifications/0@' || i),
    (5, 'creance-' || reference, 3, 'creance.PaiementAccepte', $${_ACCEPTE}$$, 'kafka:notifications/0@' || i),
    (6, 'creance-' || reference, 4, 'creance.PaiementAffiche', $${_AFFICHE}$$, 'affichage:restant_du')
) AS e (rang, flux, version, topic, etat, cause)
ORDER BY i, rang
"""  # noqa: S608 (constantes)

_LE_RESTE: Final = (
    """
INSERT INTO journal.sorts (topic_id, topic, partition, decalage, sort, cause, objet, empreinte, champs, enregistre_le)
SELECT '00000000-0000-0000-0000-00000000000a'::uuid, 'creances.avis', 0, i, 'appliquee', 'enregistré', reference,
       'x'::bytea, '{"type": "avis_emis"}'::jsonb, le FROM p
UNION ALL
SELECT '00000000-0000-0000-0000-00000000000b', 'notifications', 0, i, 'appliquee', 'acceptée par la banque',
       transaction, 'x', '{"issue": "acceptee", "code": "00", "montant_centimes": 2000, "marchand": "002001000000001",
       "autorisation": "761208", "carte_masquee": "4500#", "transaction_le": "2026-06-01T08:04:00Z",
       "recue_le": "2026-06-01T08:05:00Z"}', le FROM p
""",
    """
INSERT INTO journal.topics (topic, topic_id) VALUES ('creances.avis', '00000000-0000-0000-0000-00000000000a'),
       ('notifications', '00000000-0000-0000-0000-00000000000b')
""",
    """
INSERT INTO journal.positions (topic_id, topic, partition, depuis, jusqu_a, enregistre_le)
SELECT t.topic_id, t.topic, 0, min(i), max(i) + 1, min(le) FROM p, journal.topics t
GROUP BY t.topic_id, t.topic, i / 500
""",
    "UPDATE journal.topics SET enregistre_le = timestamptz '2026-06-01T08:00:00Z'",
    """
INSERT INTO vues.sorts (topic_id, topic, partition, sort, messages)
SELECT topic_id, topic, partition, sort, count(*) FROM journal.sorts GROUP BY 1, 2, 3, 4
""",
    """
INSERT INTO journal.cles_idempotence (auteur, cle, empreinte, reponse, enregistre_le)
SELECT assure, cle, sha256(cle::bytea), jsonb_build_object(
    'transaction', transaction, 'montant_centimes', 2000, 'expire_le', '2026-06-01T08:15:00+00:00', 'imputations',
    jsonb_build_array(jsonb_build_object('reference', reference, 'montant_centimes', 2000)),
    'kiosque', jsonb_build_object('champs', jsonb_build_object('d', 'amount=2000|t=' || transaction))), le FROM p
""",
    """
INSERT INTO vues.restant_du
SELECT reference, assure, '381', 'PF/FR', date '2026-05-12', true, false, 8709, 6709, 0, 4, 6 * i + 6 FROM p
""",
    """
INSERT INTO vues.paiements (transaction, assure, caisse, canal, montant, statut, code, cause, ouvert_le, expire_le,
                            conclu_le, accepte_le, version)
SELECT transaction, assure, '381', 'web', 2000, 'accepte', '00', 'accepté par la banque', '2026-06-01T08:00:00Z',
       '2026-06-01T08:15:00Z', '2026-06-01T08:05:00Z', '2026-06-01T08:04:00Z', 2 FROM p
""",
    """
INSERT INTO vues.delai_affichage (transaction, reference, accepte_le, affiche_le, version, montree)
SELECT transaction, reference, '2026-06-01T08:04:00Z', '2026-06-01T08:06:00Z', 3, true FROM p
""",
    """
INSERT INTO vues.messagerie (transaction, assure, accepte_le, echeance)
SELECT transaction, assure, '2026-06-01T08:04:00Z', date '2026-12-01' FROM p
""",
    """
INSERT INTO vues.suiveurs (nom, position)
SELECT nom, (SELECT max(position) FROM journal.evenements)
FROM unnest(ARRAY['restant_du', 'paiements', 'delai_affichage', 'messagerie']) AS nom
""",
    "DELETE FROM journal.epoques",
    """
INSERT INTO journal.epoques (nom, raison, enregistre_le)
VALUES ('20260601T080000Z', 'ouverture du journal', timestamptz '2026-06-01T08:00:00Z')
""",
)


def remplir(proprietaire: psycopg.Connection[Any], paiements: int) -> int:
    """Écrit ces paiements dans une base vide ; rend le nombre d'événements."""
    with proprietaire.transaction():
        proprietaire.execute("ALTER TABLE journal.epoques DISABLE TRIGGER USER")
        proprietaire.execute("ALTER TABLE journal.topics DISABLE TRIGGER ajout_seul")
        for heure in ("a_l_heure", "date"):  # Les messages ont leur heure ; leurs faits ont la même.
            proprietaire.execute(f"ALTER TABLE journal.evenements DISABLE TRIGGER {heure}")
        proprietaire.execute(_IDENTITES.format(paiements))
        proprietaire.execute(_EVENEMENTS)
        for instruction in _LE_RESTE:
            proprietaire.execute(instruction)
        keep_lists(proprietaire)
        for table in ("epoques", "topics", "evenements"):
            proprietaire.execute(f"ALTER TABLE journal.{table} ENABLE TRIGGER USER")
    for table in ("journal.evenements", "journal.sorts", "journal.cles_idempotence", "vues.restant_du"):
        proprietaire.execute(f"VACUUM ANALYZE {table}")
    return EVENEMENTS_PAR_PAIEMENT * paiements
