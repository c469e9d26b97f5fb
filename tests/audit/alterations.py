"""Ce que le propriétaire de la base pourrait y changer, une ligne par altération.

Chacune est vue de l'audit, ou porte pourquoi seule une preuve tenue hors de la base la montrerait.

Plus de 300 lignes : c'est une table.
"""
# ruff: noqa: E501, S608 (une altération par ligne, en SQL)

from typing import Final, NamedTuple


class Alteration(NamedTuple):
    """Un changement, en SQL ; il doit toucher au moins une ligne, ou changer la structure."""

    nom: str
    sql: str
    preuve: str | None = None
    """Pourquoi l'audit ne le voit pas ; None : il le voit."""


def _etat(topic: str, de: str, en: str, ou: str = "true") -> str:
    """Change les octets d'un seul événement de ce topic."""
    return (
        f"UPDATE journal.evenements SET etat = regexp_replace(convert_from(etat, 'UTF8'), '{de}', '{en}')::bytea"
        f" WHERE position = (SELECT max(position) FROM journal.evenements WHERE topic = '{topic}' AND {ou})"
    )


def _un(table: str, ou: str = "true") -> str:
    """Une seule ligne d'une table."""
    return f"ctid = (SELECT ctid FROM {table} WHERE {ou} ORDER BY ctid LIMIT 1)"


def _change(table: str, change: str, ou: str = "true") -> str:
    return f"UPDATE {table} SET {change} WHERE {_un(table, ou)}"


def _efface(table: str, ou: str = "true") -> str:
    return f"DELETE FROM {table} WHERE {_un(table, ou)}"


_COPIE: Final = (
    "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)"
    " SELECT flux, version + 1, topic, {etat}, {cause}, (SELECT max(enregistre_le) FROM journal.evenements)"
    " FROM journal.evenements e WHERE topic = '{topic}' AND version = (SELECT max(version) FROM journal.evenements"
    " f WHERE f.flux = e.flux) LIMIT 1"
)
_INSERE: Final = (
    "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)"
    " SELECT r.flux, max(r.version) + 1, '{topic}', '{etat}', '{cause}',"
    " (SELECT max(enregistre_le) FROM journal.evenements) FROM journal.evenements r WHERE r.flux = '{flux}'"
    " GROUP BY r.flux"
)
_ENCAISSEMENT: Final = (
    '{"timestamp":"2026-06-01T10:00:00Z","message_id":"fraude","montant":1000,"moyen":"cheque","date":"2026-05-30"}'
)
_ILLISIBLE: Final = "'rien de lisible'::bytea"
_DERNIER: Final = "position = (SELECT max(position) FROM journal.evenements)"
PUIS: Final = "puis, les gardes remises"
"""Dans une altération : ce qui suit se fait alors que les gardes du journal sont en place."""

PARTOUT: Final = (
    "UPDATE journal.evenements SET etat = replace(convert_from(etat, 'UTF8'), '{0}', '{1}')::bytea"
    " WHERE convert_from(etat, 'UTF8') LIKE '%{0}%'"
)
_H: Final = "enregistre_le = enregistre_le + interval '2 days'"
_H_AVANT: Final = "enregistre_le = enregistre_le - interval '2 days'"

_RESCELLE: Final = (
    "UPDATE journal.arretes SET contenu = convert_to({0}, 'UTF8'), empreinte = sha256(convert_to({0}, 'UTF8'))"
    " WHERE numero = 2"
)

ALTERATIONS: Final = (
    # --- Les événements : ce qu'ils disent ---
    Alteration("le montant d'un avis", _etat("creance.AvisEmis", '"montant_initial":[0-9]+', '"montant_initial":8708')),
    Alteration("l'assuré d'un avis", _etat("creance.AvisEmis", '"assure":"a-[0-9]"', '"assure":"a-99"')),
    Alteration("la caisse d'un avis", _etat("creance.AvisEmis", '"caisse":"381"', '"caisse":"011"')),
    Alteration("le jour d'un avis", _etat("creance.AvisEmis", "2026-05-12", "2026-05-13")),
    Alteration("payable en ligne ou non", _etat("creance.AvisEmis", '"payable_en_ligne":true', '"payable_en_ligne":false')),
    Alteration("la part réservée", _etat("creance.PaiementInitie", '"part":[0-9]+', '"part":1601')),
    Alteration("l'échéance d'une réservation", _etat("creance.PaiementInitie", "2026-06-01T10:15", "2026-06-01T11:15")),
    Alteration("le canal d'une réservation", _etat("creance.PaiementInitie", '"canal":"web"', '"canal":"bms"')),
    Alteration("la part acceptée", _etat("creance.PaiementAccepte", '"part":3000', '"part":2999')),
    Alteration("la part libérée par une acceptation", _etat("creance.PaiementAccepte", '"part_liberee":3000', '"part_liberee":0')),
    Alteration("l'heure d'une acceptation", _etat("creance.PaiementAccepte", "2026-06-01T09:59", "2026-06-01T08:59")),
    Alteration("la part libérée par un échec", _etat("creance.PaiementEchoue", '"part_liberee":1800', '"part_liberee":1799')),
    Alteration("la cause d'un échec", _etat("creance.PaiementEchoue", "expir", "annul")),
    Alteration("l'heure d'affichage", _etat("creance.PaiementAffiche", '"affiche_le":"2026-06-01T10', '"affiche_le":"2026-06-01T11')),
    Alteration("le total d'un trop-perçu", _etat("creance.TropPercuConstate", '"total":[0-9]+', '"total":1')),
    Alteration("le montant d'un chèque", _etat("creance.EncaissementRecu", '"montant":[0-9]+', '"montant":1001')),
    Alteration("une rectification", _etat("creance.AvisRectifie", '"montant_initial":8000', '"montant_initial":8001')),
    Alteration("le montant précédent d'une rectification", _etat("creance.AvisRectifie", '"montant_precedent":8709', '"montant_precedent":8700')),
    Alteration("le montant précédent d'une annulation", _etat("creance.AvisAnnule", '"montant_precedent":8709', '"montant_precedent":8700')),
    Alteration("le montant d'un paiement ouvert", _etat("paiement.PaiementOuvert", '"montant":3000', '"montant":3001')),
    Alteration("une imputation", _etat("paiement.PaiementOuvert", '"part":3000', '"part":2999')),
    Alteration("la créance d'une imputation", _etat("paiement.PaiementOuvert", '"reference":"3811701200000007F"', '"reference":"3811701200000008F"')),
    Alteration("le marchand d'un paiement", _etat("paiement.PaiementOuvert", '"marchand":"002001000000001"', '"marchand":"002001000000009"')),
    Alteration("le payeur d'un paiement", _etat("paiement.PaiementOuvert", '"assure":"a-2"', '"assure":"a-3"')),
    Alteration("l'issue d'un paiement", _etat("paiement.PaiementConclu", '"issue":"accepte"', '"issue":"echoue"', "convert_from(etat, ''UTF8'') LIKE ''%accepte%''".replace("''", "'"))),
    Alteration("le code d'un refus", _etat("paiement.PaiementConclu", '"code":"05"', '"code":"17"', "convert_from(etat, 'UTF8') LIKE '%\"05\"%'")),
    Alteration("l'autorisation d'une acceptation", _etat("paiement.PaiementConclu", '"autorisation":"761208"', '"autorisation":"761209"', "convert_from(etat, 'UTF8') LIKE '%761208%'")),
    Alteration("la carte masquée d'une acceptation", _etat("paiement.PaiementConclu", "4500#", "4970#", "convert_from(etat, 'UTF8') LIKE '%4500#%'")),
    Alteration("le départ présumé ou non", _etat("paiement.PaiementConclu", '"depart_presume":false', '"depart_presume":true', "convert_from(etat, 'UTF8') LIKE '%accepte%'")),
    Alteration("le montant d'un encaissement non imputé", _etat("paiement.EncaissementNonImpute", '"montant":[0-9]+', '"montant":1')),
    Alteration("le marchand d'un encaissement non imputé", _etat("paiement.EncaissementNonImpute", "002001000000001", "002001000000002")),
    Alteration("l'autorisation venue après", _etat("paiement.AcceptationPrecisee", "333333", "333334")),
    Alteration("un message lu à une autre heure", _etat("messagerie.MessageLu", "2026-06-01T10", "2026-06-01T12")),
    Alteration("l'échéance d'un message supprimé", _etat("messagerie.MessageSupprime", "2026-12-01", "2026-12-02")),
    Alteration("un événement que rien ne sait lire", f"UPDATE journal.evenements SET etat = {_ILLISIBLE} WHERE {_DERNIER}"),
    # --- Les événements : leur place ---
    Alteration("un événement effacé au milieu de son flux", "DELETE FROM journal.evenements WHERE position = (SELECT min(position) FROM journal.evenements WHERE topic = 'creance.PaiementInitie')"),
    Alteration("le dernier événement effacé", f"DELETE FROM journal.evenements WHERE {_DERNIER}"),
    Alteration("le premier événement d'un flux effacé", "DELETE FROM journal.evenements WHERE position = 1"),
    Alteration("tout un flux de créance effacé", "DELETE FROM journal.evenements WHERE flux = 'creance-3811701200000009F'"),
    Alteration("tout un flux de paiement effacé", "DELETE FROM journal.evenements WHERE flux = 'paiement-INCONNUE1'"),
    Alteration("un paiement effacé avec ce qu'il a fait aux créances", "DELETE FROM journal.evenements WHERE flux = 'paiement-INCONNUE4'"),
    Alteration("une acceptation redite", _COPIE.format(topic="creance.PaiementAffiche", etat="etat", cause="cause")),
    Alteration("un encaissement inventé, sous une cause inventée", _INSERE.format(topic="creance.EncaissementRecu", etat=_ENCAISSEMENT, cause="x", flux="creance-3811701200000009F")),
    Alteration("un encaissement inventé, sous un message qui n'existe pas", _INSERE.format(topic="creance.EncaissementRecu", etat=_ENCAISSEMENT, cause="kafka:creances.avis/0@999", flux="creance-3811701200000009F")),
    Alteration("un encaissement inventé, sous un vrai message", _INSERE.format(topic="creance.EncaissementRecu", etat=_ENCAISSEMENT, cause="kafka:creances.avis/0@0", flux="creance-3811701200000009F")),
    Alteration("une acceptation inventée", _INSERE.format(topic="creance.PaiementAccepte", etat='{"timestamp":"2026-06-01T10:00:00Z","transaction":"FAUX","part":100,"part_liberee":0,"accepte_le":"2026-06-01T10:00:00Z"}', cause="kafka:creances.kiosque.notifications/0@0", flux="creance-3811701200000009F")),
    Alteration("un flux d'aucun agrégat", "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le) SELECT 'autre-1', 1, topic, etat, cause, enregistre_le FROM journal.evenements WHERE position = 1"),
    Alteration("deux événements échangés entre flux", "UPDATE journal.evenements SET etat = CASE position WHEN 1 THEN (SELECT etat FROM journal.evenements WHERE position = 2) ELSE (SELECT etat FROM journal.evenements WHERE position = 1) END WHERE position IN (1, 2)"),
    Alteration("les positions de deux événements échangées", "ALTER TABLE journal.evenements ALTER position DROP IDENTITY; UPDATE journal.evenements SET position = -1 WHERE position = 1; UPDATE journal.evenements SET position = 1 WHERE position = 2; UPDATE journal.evenements SET position = 2 WHERE position = -1"),
    Alteration("une position renumérotée", "ALTER TABLE journal.evenements ALTER position DROP IDENTITY; UPDATE journal.evenements SET position = position + 1000 WHERE position = 30"),
    Alteration("une version renumérotée", "UPDATE journal.evenements SET version = 9 WHERE position = 1"),
    Alteration("un événement passé à un autre flux", f"UPDATE journal.evenements SET flux = 'creance-3811701200000099F' WHERE {_DERNIER}"),
    Alteration("le topic d'un événement", "UPDATE journal.evenements SET topic = 'creance.AvisAnnule' WHERE topic = 'creance.AvisRectifie'"),
    Alteration("un topic inconnu", f"UPDATE journal.evenements SET topic = 'creance.Rien' WHERE {_DERNIER}"),
    Alteration("la cause d'un fait", "UPDATE journal.evenements SET cause = 'kafka:creances.avis/0@1' WHERE position = 1"),
    Alteration("la cause d'une réservation", _change("journal.evenements", "cause = 'requete:autre'", "topic = 'creance.PaiementInitie'")),
    Alteration("la cause d'un affichage", _change("journal.evenements", "cause = 'affichage:autre'", "topic = 'creance.PaiementAffiche'")),
    Alteration("l'heure d'enregistrement d'un événement", "UPDATE journal.evenements SET enregistre_le = enregistre_le - interval '1 second' WHERE position = 30"),
    Alteration("une heure d'enregistrement infinie", f"UPDATE journal.evenements SET enregistre_le = 'infinity' WHERE {_DERNIER}"),
    Alteration("toutes les heures d'enregistrement décalées", f"UPDATE journal.evenements SET {_H_AVANT}"),
    # --- Les messages : sorts et positions ---
    Alteration("un sort effacé", _efface("journal.sorts", "sort = 'doublon'")),
    Alteration("un sort effacé, et son compte", _efface("journal.sorts", "sort = 'doublon' AND topic = 'creances.avis'") + "; UPDATE vues.sorts SET messages = messages - 1 WHERE sort = 'doublon' AND topic = 'creances.avis'"),
    Alteration("un sort changé", _change("journal.sorts", "sort = 'doublon'", "sort = 'appliquee'")),
    Alteration("un sort changé, et son compte", _change("journal.sorts", "sort = 'appliquee'", "sort = 'en_attente'") + "; UPDATE vues.sorts SET messages = messages + CASE sort WHEN 'appliquee' THEN 1 ELSE -1 END WHERE topic = 'creances.kiosque.notifications' AND sort IN ('appliquee', 'en_attente')"),
    Alteration("un sort inventé", "INSERT INTO journal.sorts (topic_id, topic, partition, decalage, sort, cause, empreinte, champs) SELECT topic_id, topic, partition, 999, 'doublon', cause, empreinte, champs FROM journal.sorts LIMIT 1"),
    Alteration("le topic d'un sort", _change("journal.sorts", "topic = 'autre'")),
    Alteration("l'identifiant du topic d'un sort", _change("journal.sorts", "topic_id = gen_random_uuid()")),
    Alteration("la partition d'un sort", _change("journal.sorts", "partition = 5")),
    Alteration("le décalage d'un sort", _change("journal.sorts", "decalage = 500")),
    Alteration("l'objet d'un sort", _change("journal.sorts", "objet = 'AUTRE'", "sort = 'appliquee'")),
    Alteration("la phrase d'un sort appliqué", _change("journal.sorts", "cause = 'autre'", "sort = 'appliquee'")),
    Alteration("la phrase d'un message retenu", _change("journal.sorts", "cause = 'autre'", "sort = 'en_souffrance'")),
    Alteration("l'empreinte d'un message retenu", _change("journal.sorts", r"empreinte = '\x00'", "sort = 'en_souffrance'")),
    Alteration("l'heure d'un sort", _change("journal.sorts", _H)),
    *(
        Alteration(
            f"le champ {champ} d'un sort",
            _change("journal.sorts", f"champs = champs || jsonb_build_object('{champ}', {valeur})", f"sort = 'appliquee' AND champs ->> 'issue' = '{issue}'"),
        )
        for champ, valeur, issue in (
            ("montant_centimes", "1", "acceptee"),
            ("autorisation", "'1'::text", "acceptee"),
            ("carte_masquee", "'4970'::text", "acceptee"),
            ("marchand", "'9'::text", "acceptee"),
            ("transaction_le", "'2026-06-01T08:00:00Z'::text", "acceptee"),
            ("issue", "'refusee'::text", "acceptee"),
            ("code", "'99'::text", "refusee"),
        )
    ),
    Alteration("les champs d'un sort qui ne se lisent plus", _change("journal.sorts", "champs = '[1, {\"a\": null}]'", "sort = 'appliquee' AND champs ? 'issue'")),
    Alteration("le montant d'argent non imputé dans son sort", _change("journal.sorts", "champs = champs || '{\"montant_centimes\": 1}'", "sort = 'montant_incoherent'")),
    Alteration("une position effacée", _efface("journal.positions")),
    Alteration("la dernière position effacée", "DELETE FROM journal.positions WHERE enregistre_le = (SELECT max(enregistre_le) FROM journal.positions)"),
    Alteration("une position avancée", _change("journal.positions", "jusqu_a = jusqu_a + 3")),
    Alteration("le départ d'une position", _change("journal.positions", "depuis = depuis + 1", "jusqu_a > depuis + 1")),
    Alteration("le topic d'une position", _change("journal.positions", "topic = 'autre'")),
    Alteration("la partition d'une position", _change("journal.positions", "partition = 7")),
    Alteration("l'identifiant d'une position", _change("journal.positions", "topic_id = gen_random_uuid()")),
    Alteration("l'heure d'une position", _change("journal.positions", _H)),
    # --- Les clés ---
    Alteration("une clé effacée", _efface("journal.cles_idempotence")),
    Alteration("une clé inventée", "INSERT INTO journal.cles_idempotence (auteur, cle, empreinte, reponse) SELECT auteur, 'autre', empreinte, reponse FROM journal.cles_idempotence LIMIT 1"),
    Alteration("le nom d'une clé", _change("journal.cles_idempotence", "cle = 'autre'")),
    Alteration("l'auteur d'une clé", _change("journal.cles_idempotence", "auteur = 'a-99'")),
    Alteration("la transaction d'une réponse gardée", _change("journal.cles_idempotence", "reponse = reponse || '{\"transaction\": \"AUTRE\"}'")),
    Alteration("le montant d'une réponse gardée", _change("journal.cles_idempotence", "reponse = reponse || '{\"montant_centimes\": 1}'")),
    Alteration("le partage d'une réponse gardée", _change("journal.cles_idempotence", "reponse = jsonb_set(reponse, '{imputations,0,montant_centimes}', '1')")),
    Alteration("l'échéance d'une réponse gardée", _change("journal.cles_idempotence", "reponse = reponse || '{\"expire_le\": \"2027-01-01T00:00:00+00:00\"}'")),
    Alteration("le formulaire d'une réponse gardée", _change("journal.cles_idempotence", "reponse = jsonb_set(reponse, '{kiosque,champs}', '{}')")),
    Alteration("une réponse gardée qui ne se lit plus", _change("journal.cles_idempotence", "reponse = '[]'")),
    Alteration("l'heure d'une clé", _change("journal.cles_idempotence", _H)),
    Alteration("une empreinte de clé tronquée", _change("journal.cles_idempotence", r"empreinte = '\x00'")),
    # --- Ce qui attend ---
    Alteration("un message retenu effacé", _efface("journal.attentes")),
    Alteration("le contenu d'un message retenu", _change("journal.attentes", "valeur = 'autre'")),
    Alteration("le flux d'un message retenu", _change("journal.attentes", "flux = 'creance-3811701200000001F'")),
    Alteration("la raison d'un message retenu", _change("journal.attentes", "raison = 'autre'")),
    Alteration("le topic d'un message retenu", _change("journal.attentes", "topic = 'autre'")),
    Alteration("le décalage d'un message retenu", _change("journal.attentes", "decalage = 900")),
    Alteration("l'heure d'un message retenu", _change("journal.attentes", _H_AVANT)),
    Alteration("la réception d'un message retenu, dans l'avenir", _change("journal.attentes", "recu_le = recu_le + interval '400 days'")),
    Alteration("l'ordre de deux messages retenus", "ALTER TABLE journal.attentes ALTER rang DROP IDENTITY; UPDATE journal.attentes SET rang = 1000 - rang"),
    Alteration("un règlement effacé", _efface("journal.attentes_reglees")),
    Alteration("un règlement inventé", "INSERT INTO journal.attentes_reglees (topic_id, partition, decalage, sort, cause) VALUES (gen_random_uuid(), 0, 1, 'appliquee', 'x')"),
    Alteration("un règlement inventé pour ce qui attend", "INSERT INTO journal.attentes_reglees (topic_id, partition, decalage, sort, cause) SELECT topic_id, partition, decalage, 'appliquee', 'enregistré' FROM journal.attentes a WHERE NOT EXISTS (SELECT FROM journal.attentes_reglees r WHERE r.decalage = a.decalage AND r.topic_id = a.topic_id)"),
    Alteration("le sort d'un règlement", _change("journal.attentes_reglees", "sort = 'doublon'")),
    Alteration("le décalage d'un règlement", _change("journal.attentes_reglees", "decalage = 901")),
    Alteration("l'heure d'un règlement", _change("journal.attentes_reglees", _H_AVANT)),
    # --- Ce que Kafka a fait ---
    Alteration("un topic rencontré effacé", _efface("journal.topics")),
    Alteration("le nom d'un topic rencontré", _change("journal.topics", "topic = 'autre'")),
    Alteration("l'identifiant d'un topic rencontré", _change("journal.topics", "topic_id = gen_random_uuid()")),
    Alteration("l'heure d'une rencontre", _change("journal.topics", _H)),
    Alteration("une perte effacée", _efface("journal.pertes")),
    Alteration("l'étendue d'une perte", _change("journal.pertes", "jusqu_a = jusqu_a - 1")),
    Alteration("l'heure d'une perte", _change("journal.pertes", _H)),
    Alteration("un arrêt effacé", _efface("journal.arrets")),
    Alteration("la position d'un arrêt", _change("journal.arrets", "position = position + 1")),
    Alteration("la fin vue d'un arrêt", _change("journal.arrets", "fin = fin + 100")),
    Alteration("l'heure d'un arrêt", _change("journal.arrets", _H)),
    Alteration("une reprise effacée", _efface("journal.reprises")),
    Alteration("le départ d'une reprise", _change("journal.reprises", "depuis = depuis + 1")),
    Alteration("l'identifiant d'une reprise", _change("journal.reprises", "identifiant = gen_random_uuid()")),
    Alteration("l'heure d'une reprise", _change("journal.reprises", _H)),
    # --- Les époques ---
    Alteration("l'époque effacée", _efface("journal.epoques")),
    Alteration("le nom de l'époque", _change("journal.epoques", "nom = '20200101T000000Z'")),
    Alteration("l'heure de l'époque", _change("journal.epoques", _H)),
    # --- Les rapports de la banque ---
    Alteration("un rapport effacé", _efface("journal.rapports")),
    Alteration("le genre d'un rapport", _change("journal.rapports", "genre = 'operations'")),
    Alteration("les marchands d'un rapport", _change("journal.rapports", "marchands = '{9}'")),
    Alteration("le compte des lignes d'un rapport", _change("journal.rapports", "lignes = 0")),
    Alteration("la position d'un rapport", _change("journal.rapports", "position = position + 1000000")),
    Alteration("un rapport généré dans l'avenir", _change("journal.rapports", "genere_le = genere_le + interval '900 days'")),
    Alteration("ce que couvre un rapport", _change("journal.rapports", "couvre_jusqua = couvre_jusqua + interval '3 days'")),
    Alteration("l'heure d'un rapport", _change("journal.rapports", _H)),
    *(
        Alteration(f"la colonne {colonne} d'une ligne de rapport", _change("journal.lignes_de_rapport", f"{colonne} = {valeur}"))
        for colonne, valeur in (
            ("cle", "sha256('x')"),
            ("rapport", "99"),
            ("genre", "'impayes'"),
            ("transaction", "'AUTRE'"),
            ("marchand", "'9'"),
            ("operation", "'X'"),
            ("sequence", "'7'"),
            ("montant", "montant + 1"),
            ("frais", "12"),
            ("pris", "0"),
            ("rendu", "montant"),
            ("code", "'05'"),
            ("autorisation", "'1'"),
            ("survenu_le", "survenu_le + interval '1 second'"),
            ("enregistre_le", "enregistre_le + interval '2 days'"),
        )
    ),
    Alteration("une clôture d'écart au mauvais écart", _change("journal.ecarts_de_rapport", "clot = 9999", "clot IS NOT NULL")),
    *(
        Alteration(f"la colonne {colonne} d'un écart fermé", _change("journal.ecarts_de_rapport", f"{colonne} = {valeur}", "clot IS NOT NULL"))
        for colonne, valeur in (
            ("genre_de_rapport", "'operations'"),
            ("genre", "'remboursement'"),
            ("transaction", "'AUTRE'"),
            ("marchand", "'9'"),
            ("jour", "jour + 1"),
            ("montant", "montant + 1"),
            ("montant_banque", "montant_banque + 1"),
            ("montant_chez_nous", "montant_chez_nous + 1"),
            ("etat_banque", "'X'"),
            ("etat_chez_nous", "'X'"),
        )
    ),
    Alteration("un écart fermé effacé", "DELETE FROM journal.ecarts_de_rapport WHERE rang = (SELECT min(clot) FROM journal.ecarts_de_rapport)"),
    Alteration("toutes les lignes des rapports effacées", "DELETE FROM journal.lignes_de_rapport"),
    Alteration("le rapport d'un écart", _change("journal.ecarts_de_rapport", "rapport = 99")),
    Alteration("l'heure d'un écart", _change("journal.ecarts_de_rapport", _H)),
    Alteration("la vue des écarts ouverts qui ne montre plus rien", "CREATE OR REPLACE VIEW vues.ecarts_ouverts AS SELECT * FROM journal.ecarts_de_rapport WHERE false"),
    # --- Les vues ---
    *(
        Alteration(f"restant_du.{colonne}", _change("vues.restant_du", f"{colonne} = {valeur}"))
        for colonne, valeur in (
            ("reference", "'3811701200000098F'"),
            ("assure", "'a-99'"),
            ("caisse", "'011'"),
            ("nature", "'autre'"),
            ("date_emission", "'infinity'"),
            ("payable_en_ligne", "NOT payable_en_ligne"),
            ("annulee", "NOT annulee"),
            ("montant_initial", "montant_initial + 1"),
            ("solde", "solde - 1"),
            ("en_cours", "en_cours + 1"),
            ("version", "version + 1"),
            ("position", "position + 1"),
        )
    ),
    Alteration("un solde changé d'un multiple de 2^61 − 1", _change("vues.restant_du", "solde = solde + 2305843009213693951")),
    Alteration("une ligne de restant_du effacée", _efface("vues.restant_du")),
    Alteration("une ligne de restant_du inventée", "INSERT INTO vues.restant_du SELECT '3811701200000098F', assure, caisse, nature, date_emission, payable_en_ligne, annulee, montant_initial, solde, en_cours, version, position FROM vues.restant_du LIMIT 1"),
    Alteration("deux soldes échangés", "UPDATE vues.restant_du r SET solde = (SELECT sum(solde) FROM vues.restant_du WHERE reference IN ('3811701200000002F', '3811701200000009F')) - solde WHERE reference IN ('3811701200000002F', '3811701200000009F')"),
    *(
        Alteration(f"paiements.{colonne}", _change("vues.paiements", f"{colonne} = {valeur}", "statut = 'accepte'"))
        for colonne, valeur in (
            ("transaction", "'AUTRE'"),
            ("assure", "'a-99'"),
            ("caisse", "'011'"),
            ("canal", "'bms'"),
            ("montant", "montant + 1"),
            ("statut", "'echoue'"),
            ("code", "'05'"),
            ("cause", "'autre'"),
            ("ouvert_le", "'-infinity'"),
            ("expire_le", "expire_le + interval '1 second'"),
            ("conclu_le", "NULL"),
            ("accepte_le", "accepte_le - interval '1 microsecond'"),
            ("version", "version + 1"),
        )
    ),
    Alteration("un statut que personne n'a", "ALTER TABLE vues.paiements DROP CONSTRAINT paiements_statut_check; " + _change("vues.paiements", "statut = 'volé'")),
    Alteration("une ligne de paiements effacée", _efface("vues.paiements")),
    Alteration("trop_percus.reference", _change("vues.trop_percus", "reference = '3811701200000098F'")),
    Alteration("un trop-perçu oublié", _efface("vues.trop_percus")),
    Alteration("un trop-perçu inventé", "INSERT INTO vues.trop_percus SELECT reference FROM vues.restant_du WHERE solde > 0 LIMIT 1"),
    Alteration("paiements_en_cours.transaction", _change("vues.paiements_en_cours", "transaction = 'AUTRE'")),
    Alteration("paiements_en_cours.ouvert_le", _change("vues.paiements_en_cours", "ouvert_le = ouvert_le - interval '1 day'")),
    Alteration("un paiement en cours oublié", _efface("vues.paiements_en_cours")),
    Alteration("un paiement accepté laissé en cours", "INSERT INTO vues.paiements_en_cours SELECT transaction, ouvert_le FROM vues.paiements WHERE statut = 'accepte' LIMIT 1"),
    Alteration("paiements_sans_accord.transaction", _change("vues.paiements_sans_accord", "transaction = 'AUTRE'")),
    Alteration("paiements_sans_accord.conclu_le", _change("vues.paiements_sans_accord", "conclu_le = conclu_le + interval '1 microsecond'")),
    Alteration("un paiement sans accord oublié", _efface("vues.paiements_sans_accord")),
    Alteration("des listes tenues ailleurs qu'à leur position", "UPDATE vues.suiveurs SET tenue = tenue - 1 WHERE nom = 'paiements'"),
    *(
        Alteration(f"delai_affichage.{colonne}", _change("vues.delai_affichage", f"{colonne} = {valeur}"))
        for colonne, valeur in (
            ("transaction", "'AUTRE'"),
            ("reference", "'3811701200000098F'"),
            ("accepte_le", "'infinity'"),
            ("affiche_le", "NULL"),
            ("version", "version + 1"),
            ("montree", "false"),
        )
    ),
    Alteration("une ligne de delai_affichage effacée", _efface("vues.delai_affichage")),
    Alteration("un affichage en attente inventé", "INSERT INTO vues.affichages_en_attente (transaction, reference, accepte_le) SELECT transaction, reference, accepte_le FROM vues.delai_affichage LIMIT 1"),
    Alteration("durees_d_affichage.tranche_ms", _change("vues.durees_d_affichage", "tranche_ms = tranche_ms + 60000")),
    Alteration("durees_d_affichage.paiements", _change("vues.durees_d_affichage", "paiements = paiements + 1")),
    Alteration("des durées oubliées", "DELETE FROM vues.durees_d_affichage"),
    *(
        Alteration(f"messagerie.{colonne}", _change("vues.messagerie", f"{colonne} = {valeur}", ou))
        for colonne, valeur, ou in (
            ("transaction", "'AUTRE'", "true"),
            ("assure", "'a-99'", "true"),
            ("accepte_le", "NULL", "true"),
            ("echeance", "echeance + 1", "true"),
            ("echeance", "'2026-01-01'", "true"),
            ("lu_le", "NULL", "lu_le IS NOT NULL"),
            ("supprime_le", "now()", "supprime_le IS NULL"),
        )
    ),
    Alteration("une ligne de messagerie effacée", _efface("vues.messagerie")),
    *(
        Alteration(f"argent.{colonne}", _change("vues.argent", f"{colonne} = {valeur}"))
        for colonne, valeur in (
            ("anomalie", "'argent-AUTRE-1'"),
            ("transaction", "'AUTRE'"),
            ("raison", "'autre'"),
            ("marchand", "'9'"),
            ("autorisation", "'9'"),
            ("montant", "montant + 1"),
            ("reste", "reste + 1"),
            ("accepte_le", "'infinity'"),
            ("depuis", "depuis + interval '1 second'"),
            ("cause", "'autre'"),
        )
    ),
    Alteration("une ligne d'argent effacée", _efface("vues.argent")),
    *(
        Alteration(f"reglements.{colonne}", _change("vues.reglements", f"{colonne} = {valeur}", "etat = 'reglee'"))
        for colonne, valeur in (
            ("anomalie", "'argent-AUTRE-1'"),
            ("etat", "'ouverte'"),
            ("signale_le", "now()"),
            ("transaction", "'AUTRE'"),
            ("signalement", "'autre'"),
            ("montant", "montant + 1"),
            ("proposition", "proposition || '{\"montant\": 1}'"),
            ("version", "version + 1"),
            ("saisi_par", "'autre'"),
            ("saisi_le", "now()"),
            ("expire_le", "now()"),
            ("approuve_par", "'autre'"),
            ("regle_le", "NULL"),
        )
    ),
    Alteration("une ligne de reglements effacée", _efface("vues.reglements")),
    Alteration("paiements.regle_le", _change("vues.paiements", "regle_le = now()")),
    Alteration("paiements.montant_regle", _change("vues.paiements", "montant_regle = 1")),
    # --- Les règlements ---
    Alteration("la part rattachée", _etat("creance.EncaissementRattache", '"part":3000', '"part":2999')),
    Alteration("l'argent imputé", _etat("paiement.EncaissementImpute", '"montant":3000', '"montant":2999')),
    Alteration("l'argent rendu", _etat("paiement.EncaissementRendu", '"montant":[0-9]+', '"montant":1')),
    Alteration("la seconde personne d'un règlement", _etat("anomalie.AnomalieReglee", '"approuve_par":"agent-2"', '"approuve_par":"agent-1"')),
    Alteration("le montant d'un règlement", _etat("anomalie.AnomalieReglee", '"montant":[0-9]+', '"montant":1')),
    Alteration("le montant d'un remboursement", _etat("creance.TropPercuRembourse", '"montant":[0-9]+', '"montant":1')),
    Alteration("la part contre-passée", _etat("creance.PaiementContrepasse", '"part":2100', '"part":2000')),
    Alteration("l'approbation effacée", "DELETE FROM journal.evenements WHERE topic = 'anomalie.ReglementApprouve'"),
    Alteration("tout un règlement effacé", "DELETE FROM journal.evenements WHERE flux = (SELECT max(flux) FROM journal.evenements WHERE topic = 'anomalie.AnomalieReglee')"),
    Alteration("un remboursement inventé", _INSERE.format(topic="creance.TropPercuRembourse", etat='{"timestamp":"2026-06-01T10:00:00Z","message_id":"x","montant":1,"saisi_par":"a","approuve_par":"b"}', cause="reglement:trop_percu-3811701200000007F-9", flux="creance-3811701200000007F")),
    Alteration("le compte d'un sort", _change("vues.sorts", "messages = messages + 1")),
    Alteration("un compte de sort effacé", _efface("vues.sorts")),
    Alteration("le topic d'un compte de sort", _change("vues.sorts", "topic = 'autre'")),
    Alteration("une vue reculée", "UPDATE vues.suiveurs SET position = 3 WHERE nom = 'restant_du'"),
    Alteration("une vue avancée au-delà du bout", "UPDATE vues.suiveurs SET position = 1000000 WHERE nom = 'paiements'"),
    Alteration("un suiveur effacé", "DELETE FROM vues.suiveurs WHERE nom = 'messagerie'"),
    Alteration("un événement écarté inventé", "INSERT INTO vues.ecartes (suiveur, position, flux, cause) VALUES ('paiements', 999999, 'paiement-X', 'x')"),
    Alteration("l'époque d'une publication", _change("vues.publications", "epoque = '20200101T000000Z'")),
    # --- La structure ---
    Alteration("une colonne de vue ôtée", "ALTER TABLE vues.restant_du DROP COLUMN nature"),
    Alteration("une vue ôtée", "DROP TABLE vues.messagerie"),
    Alteration("une table du journal ôtée", "DROP TABLE journal.cles_idempotence"),
    Alteration("tout le journal effacé", "DELETE FROM journal.evenements"),
    Alteration("tous les sorts effacés", "DELETE FROM journal.sorts"),
    # --- La même main à plusieurs endroits ---
    Alteration("un montant changé dans tous les événements", PARTOUT.format("3000", "2999")),
    Alteration(
        "un montant changé dans tous les événements, les sorts et les clés, mais non dans les vues",
        PARTOUT.format("3000", "2999")
        + "; UPDATE journal.sorts SET champs = replace(champs::text, '3000', '2999')::jsonb WHERE champs::text LIKE '%3000%'"
        + "; UPDATE journal.cles_idempotence SET reponse = replace(reponse::text, '3000', '2999')::jsonb WHERE reponse::text LIKE '%3000%'",
    ),
    Alteration(
        "un montant changé dans les événements et les vues, mais non dans ce que la banque a dit",
        PARTOUT.format("3000", "2999")
        + "; UPDATE vues.paiements SET montant = 2999 WHERE montant = 3000; UPDATE vues.restant_du SET solde = solde + 1 WHERE solde > 0",
    ),
    Alteration("une seule personne, partout où il y en avait deux", PARTOUT.format('"agent-2"', '"agent-1"') + "; UPDATE vues.reglements SET approuve_par = 'agent-1'"),
    Alteration("la seconde personne remplacée partout par un compte de la machine", PARTOUT.format('"agent-2"', '"systeme:x"') + "; UPDATE vues.reglements SET approuve_par = 'systeme:x' WHERE approuve_par IS NOT NULL"),
    Alteration("un assuré remplacé partout dans les événements et les vues", PARTOUT.format('"a-2"', '"a-77"') + "; UPDATE vues.restant_du SET assure = 'a-77' WHERE assure = 'a-2'; UPDATE vues.paiements SET assure = 'a-77' WHERE assure = 'a-2'"),
    # --- Un état qui se lit autrement qu'il ne s'écrit ---
    Alteration("un champ dit deux fois, la seconde autrement", _etat("creance.PaiementAccepte", '"part":3000', '"part":3000,"part":2999')),
    Alteration("un champ de plus", _etat("creance.PaiementAccepte", "^.", '{"remise":1,')),
    Alteration("un champ de moins", _etat("creance.PaiementAccepte", '"part_liberee":[0-9]+,', "")),
    Alteration("l'agrégat que nomme un premier fait", _etat("creance.AvisEmis", '"originator_topic":"creance"', '"originator_topic":"paiement"')),
    Alteration("une version de fait que rien ne sait élever", _etat("creance.PaiementAccepte", "^.", '{"class_version":99,')),
    Alteration("l'heure que dit la fin d'un paiement", _etat("paiement.PaiementConclu", '"timestamp":"2026', '"timestamp":"2025')),
    Alteration("l'heure que dit l'ouverture d'un paiement", _etat("paiement.PaiementOuvert", '"timestamp":"2026', '"timestamp":"2025')),
    Alteration("la casse d'une cause", _change("journal.evenements", "cause = upper(cause)", "cause LIKE 'kafka:%'")),
    # --- Des flux entiers ---
    Alteration("tout un flux renommé", "UPDATE journal.evenements SET flux = 'creance-3811701200000097F' WHERE flux = 'creance-3811701200000009F'"),
    Alteration("tout un flux renuméroté depuis zéro", "ALTER TABLE journal.evenements DROP CONSTRAINT evenements_version_check; UPDATE journal.evenements SET version = version - 1 WHERE flux = 'creance-3811701200000009F'"),
    Alteration("tout un flux redit sous un autre nom", "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le) SELECT 'creance-3811701200000096F', version, topic, etat, cause, (SELECT max(enregistre_le) FROM journal.evenements) FROM journal.evenements WHERE flux = 'creance-3811701200000009F' ORDER BY version"),
    Alteration("deux flux de créance échangés", "UPDATE journal.evenements SET flux = 'x' WHERE flux = 'creance-3811701200000002F'; UPDATE journal.evenements SET flux = 'creance-3811701200000002F' WHERE flux = 'creance-3811701200000009F'; UPDATE journal.evenements SET flux = 'creance-3811701200000009F' WHERE flux = 'x'"),
    # --- Les arrêtés, et leurs jetons ---
    Alteration("le numéro d'un arrêté", _change("journal.arretes", "numero = 9", "numero = 2")),
    Alteration("le jour d'un arrêté", _change("journal.arretes", "jour = jour - 5", "numero = 1")),
    Alteration("la position d'où part un arrêté", _change("journal.arretes", "depuis = 1", "numero = 2")),
    Alteration("la position où un arrêté s'arrête", _change("journal.arretes", "jusqu_a = jusqu_a + 1", "numero = 2")),
    Alteration("un octet d'un arrêté", _change("journal.arretes", "contenu = set_byte(contenu, 40, 65)", "numero = 2")),
    Alteration("l'empreinte d'un arrêté", _change("journal.arretes", "empreinte = sha256('x')", "numero = 1")),
    Alteration("l'empreinte du précédent", _change("journal.arretes", "precedent = sha256('x')", "numero = 2")),
    Alteration("l'heure d'un arrêté", _change("journal.arretes", _H, "numero = 2")),
    Alteration("l'heure d'un arrêté, avant ses événements", _change("journal.arretes", _H_AVANT, "numero = 2")),
    Alteration("un montant d'un arrêté, scellé de nouveau", _RESCELLE.format("""regexp_replace(convert_from(contenu, 'UTF8'), '"emis":[1-9][0-9]*', '"emis":1')""")),
    Alteration("un montant cumulé d'un arrêté, scellé de nouveau", _RESCELLE.format("""regexp_replace(convert_from(contenu, 'UTF8'), '("perpetuel".*"rendu":)0', '\\17')""")),
    Alteration("l'empreinte du journal dans un arrêté, scellé de nouveau", _RESCELLE.format("""regexp_replace(convert_from(contenu, 'UTF8'), '"journal":"....', '"journal":"0000')""")),
    Alteration("le compte des événements d'un arrêté, scellé de nouveau", _RESCELLE.format("""regexp_replace(convert_from(contenu, 'UTF8'), '"evenements":[0-9]+', '"evenements":99')""")),
    Alteration("une clé de trop dans un arrêté, scellé de nouveau", _RESCELLE.format("""replace(convert_from(contenu, 'UTF8'), '"format"', '"formas":1,"format"')""")),
    Alteration("le premier arrêté, effacé", _efface("journal.arretes", "numero = 1")),
    Alteration("le dernier arrêté, effacé", _efface("journal.arretes", "numero = 2")),
    Alteration("un événement arrêté, changé en un seul signe", "UPDATE journal.evenements SET cause = replace(cause, '@1', '@0') WHERE position = 2"),
    Alteration("le jour d'un jeton", _change("journal.jetons_d_arrete", "jour = jour + 9")),
    Alteration("l'empreinte d'un jeton", _change("journal.jetons_d_arrete", "empreinte = sha256('x')")),
    Alteration("l'heure que dit un jeton", _change("journal.jetons_d_arrete", "horodate_le = horodate_le - interval '1 second'")),
    Alteration("l'autorité d'un jeton", _change("journal.jetons_d_arrete", "autorite = 'autre'")),
    Alteration("l'heure où un jeton est venu", _change("journal.jetons_d_arrete", _H)),
    Alteration("le jeton d'un autre jour", "UPDATE journal.jetons_d_arrete SET jeton = (SELECT jeton FROM journal.jetons_d_arrete ORDER BY jour LIMIT 1)"),
    Alteration("la suite des arrêtés désarmée", f"{PUIS}; ALTER TABLE journal.arretes DISABLE TRIGGER suite"),
    # --- La structure, et les gardes ---
    Alteration("une colonne de vue renommée", "ALTER TABLE vues.paiements RENAME COLUMN montant TO somme"),
    Alteration("une table du journal renommée", "ALTER TABLE journal.sorts RENAME TO anciens_sorts"),
    Alteration("le type d'une colonne de vue", "ALTER TABLE vues.paiements ALTER montant TYPE text"),
    Alteration("un solde vidé", "ALTER TABLE vues.restant_du ALTER solde DROP NOT NULL; " + _change("vues.restant_du", "solde = NULL")),
    Alteration("une ligne de vue redite", "ALTER TABLE vues.restant_du DROP CONSTRAINT restant_du_pkey; INSERT INTO vues.restant_du SELECT * FROM vues.restant_du LIMIT 1"),
    Alteration("une vue remplacée par un calcul qui arrondit", "ALTER TABLE vues.restant_du RENAME TO ancien_restant_du; CREATE VIEW vues.restant_du AS SELECT reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee, montant_initial, solde / 100 * 100 AS solde, en_cours, version, position FROM vues.ancien_restant_du"),
    Alteration("la garde du journal désarmée", f"{PUIS}; ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul"),
    Alteration("la garde des sorts ôtée", f"{PUIS}; DROP TRIGGER ajout_seul ON journal.sorts"),
    Alteration("la garde qui ne refuse plus rien", f"{PUIS}; CREATE OR REPLACE FUNCTION journal.refuser_modification() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL;END;'"),
    Alteration("une règle qui détourne les écritures", f"{PUIS}; CREATE RULE rien AS ON INSERT TO journal.acces DO INSTEAD NOTHING"),
    Alteration("des lignes cachées à certains", f"{PUIS}; ALTER TABLE journal.sorts ENABLE ROW LEVEL SECURITY"),
    Alteration("des positions que qui écrit peut choisir", f"{PUIS}; ALTER TABLE journal.evenements ALTER position SET GENERATED BY DEFAULT"),
    Alteration("la garde des sorts qui ne refuse plus d'effacer", f"{PUIS}; DROP TRIGGER ajout_seul ON journal.sorts; CREATE TRIGGER ajout_seul BEFORE UPDATE ON journal.sorts FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()"),
    Alteration("la garde des sorts qui ne vaut jamais", f"{PUIS}; DROP TRIGGER ajout_seul ON journal.sorts; CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.sorts FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION journal.refuser_modification()"),
    Alteration("la garde des sorts, d'une seule colonne", f"{PUIS}; DROP TRIGGER ajout_seul ON journal.sorts; CREATE TRIGGER ajout_seul BEFORE UPDATE OF cause OR DELETE OR TRUNCATE ON journal.sorts FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()"),
    Alteration("la garde qui ne refuse plus qu'en commentaire", f"{PUIS}; CREATE OR REPLACE FUNCTION journal.refuser_modification() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN /* RAISE EXCEPTION */ RETURN NULL;END;'"),
    Alteration("l'heure des événements, laissée à qui écrit", f"{PUIS}; ALTER TABLE journal.evenements DISABLE TRIGGER date"),
    Alteration("l'ordre des heures, laissé à qui écrit", f"{PUIS}; DROP TRIGGER a_l_heure ON journal.evenements"),
    Alteration("l'heure des événements, calculée autrement", f"{PUIS}; CREATE OR REPLACE FUNCTION journal.dater() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW;END;'"),
    Alteration("l'heure par défaut d'une table du journal", f"{PUIS}; ALTER TABLE journal.sorts ALTER enregistre_le SET DEFAULT '2020-01-01'"),
    Alteration("une époque que rien ne consigne plus", f"{PUIS}; DROP TRIGGER consignee ON journal.epoques"),
    Alteration("des numéros redonnés après une restauration", f"{PUIS}; ALTER TABLE journal.epoques DISABLE TRIGGER sauter"),
    Alteration("des accès que rien ne consigne plus", f"{PUIS}; DROP TRIGGER consigne ON journal.acces"),
    Alteration("un déclencheur de plus, qui perd ce qui s'écrit", f"{PUIS}; CREATE FUNCTION journal.perdre() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL;END;'; CREATE TRIGGER zz BEFORE INSERT ON journal.sorts FOR EACH ROW EXECUTE FUNCTION journal.perdre()"),
    Alteration("des différences qu'une vue ne montre plus", f"{PUIS}; CREATE OR REPLACE VIEW vues.ecarts_ouverts AS SELECT * FROM journal.ecarts_de_rapport WHERE false"),
    Alteration("un déclencheur de plus sur une vue", f"{PUIS}; CREATE TRIGGER zz BEFORE UPDATE ON vues.restant_du FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()"),
    Alteration("deux fois la même version permise", f"{PUIS}; ALTER TABLE journal.evenements DROP CONSTRAINT evenements_flux_version"),
    Alteration("deux fois la même clé permise", f"{PUIS}; ALTER TABLE journal.cles_idempotence DROP CONSTRAINT cles_idempotence_cle"),
    Alteration("deux fois le même message permis", f"{PUIS}; ALTER TABLE journal.sorts DROP CONSTRAINT sorts_message"),
    Alteration("une vérification ôtée, une autre mise sous son nom", f"{PUIS}; ALTER TABLE journal.evenements DROP CONSTRAINT evenements_version_check; ALTER TABLE journal.evenements ADD CONSTRAINT evenements_version_check CHECK (true)"),
    Alteration("une colonne du journal qui peut rester vide", f"{PUIS}; ALTER TABLE journal.attentes ALTER recu_le DROP NOT NULL"),
    Alteration("un journal que le serveur perd s'il tombe", f"{PUIS}; ALTER TABLE journal.evenements SET UNLOGGED"),
    Alteration("une table du journal devenue un calcul", f"{PUIS}; CREATE SCHEMA ailleurs; ALTER TABLE journal.acces SET SCHEMA ailleurs; CREATE VIEW journal.acces AS SELECT * FROM ailleurs.acces WHERE false"),
    Alteration("des lignes lues d'une autre table", f"{PUIS}; CREATE TABLE vues.fille () INHERITS (journal.sorts)"),
    Alteration("les accès ôtés", f"{PUIS}; DROP TABLE journal.acces"),
    Alteration("les notes ôtées", f"{PUIS}; DROP TABLE journal.notes"),
    Alteration("le sceau ôté", f"{PUIS}; DROP TABLE journal.sceaux"),
    Alteration("une suite qui redonne les mêmes numéros", f"{PUIS}; ALTER SEQUENCE journal.numeros_de_transaction MAXVALUE 9 RESTART"),
    Alteration("le droit d'effacer, donné à tous", f"{PUIS}; GRANT DELETE ON journal.evenements TO PUBLIC"),
    Alteration("le droit de choisir une heure, donné à un rôle", f"{PUIS}; GRANT INSERT (enregistre_le) ON journal.evenements TO creances_lecture"),
    Alteration("le droit de changer une colonne, donné à un rôle", f"{PUIS}; GRANT UPDATE (etat) ON journal.evenements TO creances_lecture"),
    *(
        Alteration(f"le déclencheur {nom} de {table}, {verbe}", f"{PUIS}; {sql.format(nom=nom, table=table)}")
        for table, nom in (
            ("acces", "consigne"),
            ("arretes", "suite"),
            ("epoques", "consignee"),
            ("epoques", "date"),
            ("epoques", "generation"),
            ("epoques", "sauter"),
            ("evenements", "a_l_heure"),
            ("evenements", "date"),
            ("jetons_d_arrete", "date"),
        )
        for verbe, sql in (
            ("ôté", "DROP TRIGGER {nom} ON journal.{table}"),
            ("endormi", "ALTER TABLE journal.{table} DISABLE TRIGGER {nom}"),
            ("pour les seules répliques", "ALTER TABLE journal.{table} ENABLE REPLICA TRIGGER {nom}"),
        )
    ),
    Alteration("une heure que qui écrit choisit", f"{PUIS}; CREATE OR REPLACE FUNCTION journal.dater() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW;END;'"),
    Alteration("un déclencheur qui détourne ce qui s'écrit", f"{PUIS}; CREATE FUNCTION journal.rien() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL;END;'; CREATE TRIGGER rien BEFORE INSERT ON journal.sorts FOR EACH ROW EXECUTE FUNCTION journal.rien()"),
    Alteration("un déclencheur sur une vue", f"{PUIS}; CREATE TRIGGER rien BEFORE INSERT ON vues.argent FOR EACH ROW EXECUTE FUNCTION journal.refuser_modification()"),
    *(
        Alteration(f"{table} {verbe}", f"{PUIS}; {sql.format(table)}")
        for table in (
            *("journal.epoques", "journal.evenements", "vues.ecartes", "vues.suiveurs"),
            *("journal.acces", "journal.notes", "journal.securite", "journal.sceaux"),
        )
        for verbe, sql in (("ôtée", "DROP TABLE {} CASCADE"), ("renommée", "ALTER TABLE {} RENAME TO ailleurs"))
    ),
    # --- Ce que deux personnes, ou une, ont fait d'un écart ---
    Alteration("la fermeture d'un écart que des personnes ont réglé", "DELETE FROM journal.ecarts_de_rapport WHERE clot IS NOT NULL AND rapport IS NULL"),
    Alteration("un écart fermé sans que personne l'ait réglé", "INSERT INTO journal.ecarts_de_rapport (clot, genre_de_rapport, genre, transaction, marchand, jour, montant, montant_banque, montant_chez_nous, etat_banque, etat_chez_nous, cause) SELECT o.rang, genre_de_rapport, genre, transaction, marchand, jour, montant, montant_banque, montant_chez_nous, etat_banque, etat_chez_nous, 'x' FROM journal.ecarts_de_rapport o WHERE o.clot IS NULL AND NOT EXISTS (SELECT FROM journal.ecarts_de_rapport c WHERE c.clot = o.rang) LIMIT 1"),
    Alteration("tous les écarts effacés", "DELETE FROM journal.ecarts_de_rapport"),
    # --- Une copie qui apprenait quelque chose ---
    Alteration("l'autorisation venue après, effacée du journal", "DELETE FROM journal.evenements WHERE topic = 'paiement.AcceptationPrecisee' AND position = (SELECT max(position) FROM journal.evenements WHERE topic = 'paiement.AcceptationPrecisee')"),
    Alteration("l'autorisation que dit une copie", _change("journal.sorts", "champs = champs || '{\"autorisation\": \"999999\"}'", "sort = 'doublon' AND champs ->> 'issue' = 'acceptee' AND champs ->> 'autorisation' IS NOT NULL")),
    # --- Des heures que rien n'a pu donner ---
    Alteration("un règlement d'attente dans l'avenir", _change("journal.attentes_reglees", "enregistre_le = 'infinity'")),
    Alteration("un topic rencontré avant le journal", _change("journal.topics", "enregistre_le = '-infinity'")),
    Alteration("un rapport lu avant le début du journal", _change("journal.rapports", "position = -1")),
    # --- Ce que seule une preuve montrerait ---
    Alteration(
        "un paiement inconnu effacé partout à la fois",
        "DELETE FROM journal.evenements WHERE flux = 'paiement-INCONNUE4' OR flux LIKE 'anomalie-argent-INCONNUE4%'; DELETE FROM journal.sorts WHERE objet = 'INCONNUE4';"
        " DELETE FROM journal.positions WHERE topic_id NOT IN (SELECT topic_id FROM journal.topics);"
        " DELETE FROM vues.sorts WHERE topic_id NOT IN (SELECT topic_id FROM journal.topics);"
        " DELETE FROM vues.argent WHERE transaction = 'INCONNUE4'; DELETE FROM vues.reglements WHERE anomalie LIKE 'argent-INCONNUE4%'",
        "tout ce qui en parlait a disparu d'un même geste : le journal d'après est celui d'un monde où il n'est pas venu",
    ),
    Alteration(
        "l'empreinte d'un message ou d'une requête, la phrase et les champs d'un message qui n'a rien changé",
        _change("journal.sorts", "empreinte = sha256('x'), cause = 'autre', champs = '{}'", "sort = 'doublon'")
        + "; " + _change("journal.cles_idempotence", "empreinte = sha256('x')"),
        "l'original n'est pas gardé en base, et aucun fait ne le redit ; aucun montant n'en dépend",
    ),
    Alteration(
        "la clé, l'heure de réception d'un message retenu, ou la phrase de son règlement",
        _change("journal.attentes", r"cle = '\x01', recu_le = recu_le - interval '1 second'") + "; " + _change("journal.attentes_reglees", "cause = 'autre'"),
        "Kafka seul les redirait ; aucun montant n'en dépend",
    ),
    Alteration(
        "ce qu'une personne ou le serveur a écrit une seule fois : raison d'une époque, motif d'une reprise, nom d'un fichier",
        _change("journal.epoques", "raison = 'autre', ouverte_par = 'autre'")
        + "; "
        + _change("journal.cles_idempotence", "correlation = 'autre'")
        + "; " + _change("journal.reprises", "motif = 'autre'")
        + "; " + _change("journal.rapports", "empreinte = sha256('x'), fichier = 'autre', lu_par = 'autre', couvre_depuis = couvre_depuis - interval '1 day'")
        + "; " + _change("journal.lignes_de_rapport", "etat = 'X', numero = numero + 1")
        + "; " + _change("journal.ecarts_de_rapport", "cause = 'autre'")
        + "; " + _change("vues.publications", "topic = 'autre', topic_id = gen_random_uuid(), publie_le = now()")
        + "; " + _change("journal.evenements", "ecrit_par = 1"),
        "aucun autre endroit de la base ne le redit ; le sceau, si",
    ),
    Alteration(
        "un écart de rapport ouvert, une ligne de rapport ou un jeton effacés",
        "DELETE FROM journal.ecarts_de_rapport e WHERE clot IS NULL AND NOT EXISTS"
        " (SELECT FROM journal.ecarts_de_rapport c WHERE c.clot = e.rang); "
        + _efface("journal.lignes_de_rapport") + "; " + _efface("journal.jetons_d_arrete"),
        "ils se déduisent du rapport ou de l'arrêté, que l'audit ne refait pas ; le sceau les montre",
    ),
    Alteration(
        "l'heure que dit un avis, le solde qu'il portait, le motif d'une rectification",
        _etat("creance.AvisEmis", '"solde_pf_fr":([0-9])', r'"solde_pf_fr":1\1')
        + "; " + _etat("creance.AvisEmis", '"timestamp":"2026', '"timestamp":"2025')
        + "; " + _etat("creance.AvisRectifie", '"motif":"', '"motif":"x'),
        "la caisse seule les redirait : le message n'est pas gardé en base (voir test_chaque_champ)",
    ),
)  # fmt: skip
