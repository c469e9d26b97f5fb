"""Les droits dans la base : ce que chaque rôle peut, en entier, et ce qui lui est refusé quand il l'essaie."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from tests.outils import RACINE

# Ce que chaque rôle ajoute au journal. Une table nouvelle y prend sa place, ici et dans service/schema/rights.sql.
AJOUTE: Final = {
    "creances_api": {
        "evenements",
        "cles_idempotence",
        "securite",
        "acces",
        "notes",
        "reculs",
        "attentes_reglees",
        "ecarts_de_rapport",
        "reprises",
    },
    "creances_consommateur": {
        "evenements",
        "positions",
        "sorts",
        "attentes",
        "attentes_reglees",
        "topics",
        "pertes",
        "arrets",
        "reculs",
    },
    "creances_suiveur": {"evenements", "reculs"},
    "creances_publication": {"topics", "reculs"},
    "creances_relance": {"evenements", "reculs", "arretes", "jetons_d_arrete", "jetons_de_point"},
    "creances_exploitation": {
        "arretes",
        "jetons_d_arrete",
        "epoques",
        "reprises",
        "rapports",
        "lignes_de_rapport",
        "ecarts_de_rapport",
        "securite",
        "acces",
        "notes",
        "reculs",
        "evenements",
        "attentes_reglees",
    },
    "creances_sceau": {"sceaux", "noeuds", "points", "cosignatures", "refus_de_temoins", "reculs"},
    "creances_lecture": set[str](),
}

AU_DEMARRAGE: Final = {"evenements", "epoques", "topics", "positions", "reprises", "reculs"}
"""Ce que chaque rôle regarde en démarrant : le journal est-il en retard sur ce que Kafka a vu."""

# Ce que chaque rôle lit du journal ; None : tout.
LIT: Final[dict[str, set[str] | None]] = {
    "creances_api": None,
    "creances_exploitation": None,
    "creances_sceau": None,
    "creances_suiveur": AU_DEMARRAGE,
    "creances_relance": AU_DEMARRAGE
    | {"arretes", "jetons_d_arrete", "rapports", "lignes_de_rapport", "ecarts_de_rapport", "points", "sceaux"}
    | {"cosignatures", "jetons_de_point"},
    "creances_publication": AU_DEMARRAGE,
}
TOUS_LISENT_SAUF: Final = {"cles_idempotence"}

# Ce que chaque rôle change des vues, hors le suiveur, qui les tient toutes.
CHANGE: Final = {
    "creances_api": {"suiveurs", "ecartes", "rebuts", "lectures_de_rebuts", "lectures_du_fil"},
    "creances_consommateur": {"suiveurs", "sorts"},
    "creances_publication": {"suiveurs", "publications", "ecartes", "soldes_publies"},
    "creances_relance": {
        "suiveurs",
        "rebuts",
        "lectures_de_rebuts",
        "baux",
        "accords",
        "parite",
        "differences",
        "releves_de_retard",
        "releves_de_l_horloge",
    },
    "creances_exploitation": {"suiveurs", "ecartes", "rebuts", "lectures_de_rebuts"},
    "creances_lecture": set[str](),
}

# Qui inscrit un événement garde la trace dont il vient ; nul ne la change ensuite.
TRACE: Final = set(CHANGE) - {"creances_publication", "creances_lecture"}

JAMAIS_CHOISIES: Final = {"enregistre_le", "lu_par", "ouverte_par", "ecrit_par"}


@pytest.fixture
def conn(base: Any) -> Iterator[psycopg.Connection[Any]]:
    """Une connexion du service, qui peut prendre chacun de ses rôles."""
    with psycopg.connect(base.url, autocommit=True) as ouverte:
        yield ouverte


def devenir(conn: psycopg.Connection[Any], role: str) -> None:
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))


def droits(conn: psycopg.Connection[Any], schema: str, droit: str) -> dict[str, set[str]]:
    """Les tables de ce schéma sur lesquelles chaque rôle a ce droit, en entier ou par colonnes."""
    trouves: dict[str, set[str]] = defaultdict(set)
    lignes = conn.execute(
        "SELECT r.rolname, c.relname FROM pg_roles r, pg_class c"
        " WHERE r.rolname = ANY (%s) AND c.relnamespace = to_regnamespace(%s) AND c.relkind IN ('r', 'p')"
        " AND (has_table_privilege(r.rolname, c.oid, %s)"
        "      OR %s <> 'DELETE' AND has_any_column_privilege(r.rolname, c.oid, replace(%s, 'DELETE', 'SELECT')))",
        (list(AJOUTE), schema, droit, droit, droit),
    )
    for role, table in lignes:
        trouves[role].add(table)
    return trouves


def tables(conn: psycopg.Connection[Any], schema: str) -> set[str]:
    requete = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p')"
    return {nom for (nom,) in conn.execute(requete, (schema,))}


@pytest.mark.parametrize("role", AJOUTE)
def test_chaque_role_n_ajoute_au_journal_que_ce_qui_est_a_lui(conn: psycopg.Connection[Any], role: str) -> None:
    assert droits(conn, "journal", "INSERT")[role] == AJOUTE[role]
    assert droits(conn, "journal", "UPDATE")[role] == droits(conn, "journal", "DELETE")[role] == set()


def test_chaque_table_du_journal_a_quelqu_un_qui_l_ecrit(conn: psycopg.Connection[Any]) -> None:
    assert tables(conn, "journal") == set.union(*AJOUTE.values()), "à nommer dans service/schema/rights.sql, et ici"


@pytest.mark.parametrize("role", AJOUTE)
def test_chaque_role_ne_lit_du_journal_que_ce_qu_il_lui_faut(conn: psycopg.Connection[Any], role: str) -> None:
    attendues = LIT.get(role, tables(conn, "journal") - TOUS_LISENT_SAUF)
    assert droits(conn, "journal", "SELECT")[role] == (tables(conn, "journal") if attendues is None else attendues)


@pytest.mark.parametrize("role", CHANGE)
def test_chaque_role_ne_change_des_vues_que_ce_qu_il_tient(conn: psycopg.Connection[Any], role: str) -> None:
    for droit in ("INSERT", "UPDATE"):
        attendues = CHANGE[role] - ({"ecartes"} if (role, droit) == ("creances_api", "INSERT") else set())
        gardees = {"traces"} if droit == "INSERT" and role in TRACE else set()
        assert droits(conn, "vues", droit)[role] == attendues | gardees
    assert droits(conn, "vues", "SELECT")[role] == tables(conn, "vues")


@pytest.mark.parametrize("role", [*AJOUTE, "creances_service"])
@pytest.mark.parametrize(
    "interdit",
    [
        # Une position choisie, une heure choisie, de 1999 ou de 2999.
        (
            "INSERT INTO journal.evenements (position, flux, version, topic, etat, cause) OVERRIDING SYSTEM VALUE"
            " VALUES (1, 'f', 1, 't', '', 'c')"
        ),
        (
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)"
            " VALUES ('f', 1, 't', '', 'c', '1999-01-01')"
        ),
        (
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)"
            " VALUES ('f', 1, 't', '', 'c', '2999-01-01')"
        ),
        (
            "INSERT INTO journal.sorts (topic_id, topic, partition, decalage, sort, cause, empreinte, champs,"
            " enregistre_le)"
            " VALUES (gen_random_uuid(), 't', 0, 0, 'appliquee', 'c', '', '{}', '1999-01-01')"
        ),
        "INSERT INTO journal.epoques (nom, raison, ouverte_par) VALUES ('20260101T000000Z', 'r', 'un autre')",
        "INSERT INTO journal.topics (rang, topic, topic_id) OVERRIDING SYSTEM VALUE VALUES (1, 't', gen_random_uuid())",
        # L'horloge et les numéros.
        "SELECT setval('journal.horloge', 1)",
        "SELECT nextval('journal.horloge')",
        "SELECT setval('journal.evenements_position_seq', 1)",
        "SELECT setval('journal.numeros_de_transaction', 1)",
        # Ce qui est écrit, et ce qui le garde.
        "UPDATE journal.evenements SET cause = 'autre'",
        "DELETE FROM journal.sorts",
        "TRUNCATE journal.evenements",
        "ALTER TABLE journal.evenements DISABLE TRIGGER date",
        "SET session_replication_role = replica",
        "CREATE TABLE journal.autre (n int)",
        "UPDATE public.creances_migrations SET empreinte = ''",
        "CREATE ROLE autre",
        # Ce qui remplit le disque, ou le journal des écritures, sans être nulle part dans ce qui est gardé.
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT pg_logical_emit_message(false, 'a', 'b')",
    ],
)
def test_ce_que_personne_ne_peut(conn: psycopg.Connection[Any], role: str, interdit: str) -> None:
    devenir(conn, role)
    with pytest.raises(InsufficientPrivilege):
        conn.execute(interdit.encode())


@pytest.mark.parametrize(
    ("role", "interdit"),
    [
        ("creances_lecture", "INSERT INTO vues.suiveurs (nom) VALUES ('x')"),
        ("creances_lecture", "SELECT * FROM journal.cles_idempotence"),
        ("creances_lecture", "SELECT * FROM acces.sessions"),
        ("creances_lecture", "SELECT nextval('journal.numeros_de_transaction')"),
        ("creances_consommateur", "SELECT nextval('journal.numeros_de_transaction')"),
        ("creances_consommateur", "SELECT * FROM acces.sessions"),
        ("creances_consommateur", "UPDATE vues.restant_du SET solde = 0"),
        ("creances_consommateur", "INSERT INTO journal.epoques (nom, raison) VALUES ('20260101T000000Z', 'r')"),
        ("creances_api", "UPDATE vues.restant_du SET solde = 0"),
        (
            "creances_api",
            (
                "INSERT INTO journal.positions (topic_id, topic, partition, depuis, jusqu_a)"
                " VALUES (gen_random_uuid(), 't', 0, 0, 1)"
            ),
        ),
        ("creances_suiveur", "SELECT * FROM journal.sorts"),
        ("creances_suiveur", "ALTER TABLE vues.restant_du ADD COLUMN note text"),
        ("creances_suiveur", "SELECT * FROM acces.sessions"),
        (
            "creances_publication",
            ("INSERT INTO journal.evenements (flux, version, topic, etat, cause) VALUES ('f', 1, 't', '', 'c')"),
        ),
        ("creances_publication", "UPDATE vues.paiements SET statut = 'accepte'"),
        ("creances_relance", "DELETE FROM vues.paiements"),
        (
            "creances_exploitation",
            ("INSERT INTO journal.evenements (flux, version, topic, etat, cause) VALUES ('f', 1, 't', '', 'c')"),
        ),
        ("creances_exploitation", "DELETE FROM acces.sessions"),
        ("creances_exploitation", "UPDATE acces.sessions SET assure = 'a-2'"),
        ("creances_exploitation", "UPDATE acces.sessions SET empreinte = sha256('x')"),
        ("creances_exploitation", "UPDATE acces.sessions SET vue_le = 'infinity'"),
        ("creances_exploitation", "SELECT sujet, sid FROM acces.sessions"),
        ("creances_exploitation", "INSERT INTO acces.sessions (empreinte) VALUES ('')"),
        ("creances_exploitation", "UPDATE vues.suiveurs SET position = 0"),
        ("creances_exploitation", "UPDATE vues.suiveurs SET bail = NULL, bail_expire_le = NULL"),
        ("creances_exploitation", "INSERT INTO vues.suiveurs (nom, position) VALUES ('x', 9)"),
        ("creances_api", "UPDATE acces.sessions SET role = 'support'"),
        ("creances_api", "UPDATE acces.sessions SET assure = 'a-2'"),
        ("creances_api", "UPDATE acces.sessions SET ouverte_le = 'infinity'"),
        ("creances_api", "UPDATE acces.sessions SET sujet = ''"),
        ("creances_service", "UPDATE acces.sessions SET assure = 'a-2'"),
        ("creances_api", "UPDATE vues.suiveurs SET position = 0"),
        ("creances_api", "UPDATE vues.ecartes SET cause = ''"),
        ("creances_consommateur", "UPDATE vues.suiveurs SET position = 0"),
        ("creances_consommateur", "UPDATE vues.suiveurs SET tenue = 0"),
        ("creances_relance", "UPDATE vues.suiveurs SET position = 0"),
        ("creances_relance", "UPDATE vues.suiveurs SET nom = 'autre'"),
        ("creances_sceau", "UPDATE vues.suiveurs SET position = 0"),
        ("creances_sceau", "UPDATE vues.suiveurs SET bail_session = 0"),
        ("creances_publication", "UPDATE vues.suiveurs SET nom = 'autre'"),
        ("creances_publication", "DELETE FROM vues.suiveurs"),
        ("creances_sceau", "INSERT INTO journal.notes (objet, texte, auteur) VALUES ('o', 't', 'a')"),
        ("creances_sceau", "SELECT * FROM acces.sessions"),
        ("creances_sceau", "SELECT * FROM vues.restant_du"),
        ("creances_api", "INSERT INTO journal.points (epoque, taille, note) VALUES ('e', 1, 'n')"),
    ],
)
def test_ce_qui_est_a_un_autre_role(conn: psycopg.Connection[Any], role: str, interdit: str) -> None:
    devenir(conn, role)
    with pytest.raises(InsufficientPrivilege):
        conn.execute(interdit.encode())


def test_seul_qui_compare_les_vues_au_journal_a_des_tables_a_soi(base: Any) -> None:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        # Une base copiée d'une autre n'en reprend pas ces droits-là : la migration suivante les pose.
        conn.execute((RACINE / "service/schema/rights.sql").read_bytes())
        for role in AJOUTE:
            devenir(conn, role)
            if role != "creances_relance":
                with pytest.raises(InsufficientPrivilege):
                    conn.execute("CREATE TEMPORARY TABLE place (n int)")
            else:
                conn.execute("CREATE TEMPORARY TABLE place (n int)")


@pytest.mark.parametrize("role", ["creances_lecture", "creances_publication", "creances_sceau"])
@pytest.mark.parametrize(
    "verrou",
    [
        "pg_advisory_lock(1)",
        "pg_advisory_lock(1, 1)",
        "pg_advisory_xact_lock(x'6F72646572'::int8)",
        "pg_try_advisory_lock(1)",
        "pg_advisory_lock_shared(1)",
        "pg_try_advisory_xact_lock_shared(1, 1)",
    ],
)
def test_qui_n_ecrit_pas_les_evenements_ne_tient_aucun_verrou(
    conn: psycopg.Connection[Any], role: str, verrou: str
) -> None:
    devenir(conn, role)
    with pytest.raises(InsufficientPrivilege):
        conn.execute(f"SELECT {verrou}".encode())


@pytest.mark.parametrize("role", ["creances_api", "creances_exploitation", "creances_service"])
@pytest.mark.parametrize("fin", ["finie_le = NULL, fin = NULL", "finie_le = 'infinity'", "fin = 'canal'"])
def test_une_session_finie_ne_se_rouvre_pas(conn: psycopg.Connection[Any], role: str, fin: str) -> None:
    conn.execute(
        "INSERT INTO acces.sessions (empreinte, role, canal, ouverte_le, vue_le)"
        " VALUES (sha256('x'), 'assure', 'web', now(), now())"
    )
    devenir(conn, role)
    conn.execute("UPDATE acces.sessions SET finie_le = now(), fin = 'administrateur' WHERE finie_le IS NULL")
    with pytest.raises(InsufficientPrivilege):
        conn.execute(f"UPDATE acces.sessions SET {fin}".encode())  # noqa: S608 (constantes)


def test_ce_qui_est_donne_de_trop_est_repris_a_la_migration_suivante(base: Any) -> None:
    trop = [
        ("creances_sceau", "INSERT ON journal.notes"),
        ("creances_lecture", "UPDATE ON journal.evenements"),
        ("creances_exploitation", "UPDATE ON acces.sessions"),
        ("creances_sceau", "UPDATE ON vues.suiveurs"),
        ("creances_lecture", "UPDATE ON vues.restant_du"),
        ("creances_api", "DELETE ON vues.ecartes"),
    ]
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        for role, droit in trop:
            if " vues." in droit:
                conn.execute("SET ROLE creances_service")
            conn.execute(f"GRANT {droit} TO {role}".encode())
            conn.execute("RESET ROLE")
        conn.execute((RACINE / "service/schema/rights.sql").read_bytes())
        for role, droit in trop:
            quoi, _, table = droit.partition(" ON ")
            assert conn.execute("SELECT has_table_privilege(%s, %s, %s)", (role, table, quoi)).fetchone() == (False,), (
                droit
            )


@pytest.mark.parametrize(
    ("donne", "essai"),
    [
        ("SELECT ON journal.cles_idempotence TO creances_lecture", "SELECT * FROM journal.cles_idempotence"),
        ("SELECT (sujet) ON acces.sessions TO creances_exploitation", "SELECT sujet FROM acces.sessions"),
        ("INSERT ON journal.evenements TO PUBLIC", "INSERT INTO journal.evenements DEFAULT VALUES"),
        ("SELECT ON acces.sessions TO PUBLIC", "SELECT count(*) FROM acces.sessions"),
        ("UPDATE ON vues.restant_du TO PUBLIC", "UPDATE vues.restant_du SET solde = 0"),
        ("UPDATE ON SEQUENCE journal.horloge TO creances_lecture", "SELECT setval('journal.horloge', 1)"),
        ("UPDATE ON SEQUENCE journal.horloge TO PUBLIC", "SELECT setval('journal.horloge', 1)"),
        (
            "USAGE ON SEQUENCE journal.numeros_de_transaction TO creances_lecture",
            "SELECT nextval('journal.numeros_de_transaction')",
        ),
        ("CREATE ON SCHEMA journal TO creances_lecture", "CREATE TABLE journal.autre (n int)"),
        ("EXECUTE ON FUNCTION pg_advisory_lock(int8) TO creances_lecture", "SELECT pg_advisory_lock(1)"),
        ("EXECUTE ON FUNCTION lo_creat(int) TO PUBLIC", "SELECT lo_creat(-1)"),
        ("CREATE ON SCHEMA vues TO PUBLIC", "CREATE TABLE vues.autre (n int)"),
        ("USAGE ON SCHEMA acces TO creances_lecture", "SELECT 'acces.sessions'::regclass"),
        (
            "INSERT, UPDATE ON public.creances_migrations TO creances_lecture",
            "UPDATE public.creances_migrations SET empreinte = ''",
        ),
    ],
)
def test_ce_qui_est_donne_de_trop_ne_sert_plus_apres_la_migration_suivante(base: Any, donne: str, essai: str) -> None:
    role = "creances_exploitation" if "creances_exploitation" in donne else "creances_lecture"
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        if "vues" in donne:
            conn.execute("SET ROLE creances_service")
        conn.execute(f"GRANT {donne}".encode())
        conn.execute("RESET ROLE")
        conn.execute((RACINE / "service/schema/rights.sql").read_bytes())
        devenir(conn, role)
        with pytest.raises(InsufficientPrivilege):
            conn.execute(essai.encode())


def test_aucune_colonne_que_la_base_donne_n_est_ouverte_a_l_ecriture(conn: psycopg.Connection[Any]) -> None:
    ouvertes = conn.execute(
        "SELECT r.rolname, c.relname, a.attname FROM pg_roles r, pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE r.rolname LIKE 'creances\\_%%' AND c.relnamespace = 'journal'::regnamespace AND c.relkind = 'r'"
        " AND a.attnum > 0 AND (a.attidentity <> '' OR a.attname = ANY (%s))"
        " AND has_column_privilege(r.rolname, c.oid, a.attnum, 'INSERT')",
        (list(JAMAIS_CHOISIES),),
    ).fetchall()
    assert ouvertes == []


def test_chaque_table_du_journal_se_garde_meme_d_une_replique(base: Any) -> None:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        for table in sorted(tables(conn, "journal")):
            etats = conn.execute(
                "SELECT tgname, tgenabled FROM pg_trigger"
                " WHERE tgrelid = to_regclass('journal.' || quote_ident(%s)) AND NOT tgisinternal",
                (table,),
            ).fetchall()
            assert ("ajout_seul", "A") in etats, table
            assert {etat for _, etat in etats} == {"A"}, table
        conn.execute("SET session_replication_role = replica")
        with pytest.raises(InsufficientPrivilege):
            conn.execute("DELETE FROM journal.evenements")


def test_l_heure_est_celle_de_la_base_meme_pour_qui_en_donne_une_autre(base: Any) -> None:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        for version, heure in ((1, "1999-01-01"), (2, "2999-01-01")):
            conn.execute(
                "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)"
                " VALUES ('f', %s, 't', '', 'c', %s)",
                (version, heure),
            )
        ecarts = conn.execute(
            "SELECT abs(extract(epoch FROM clock_timestamp() - enregistre_le)) < 60 FROM journal.evenements"
        ).fetchall()
    assert ecarts == [(True,), (True,)]


def test_les_evenements_d_un_lot_ont_une_meme_heure_au_dessus_de_la_precedente(
    conn: psycopg.Connection[Any],
) -> None:
    devenir(conn, "creances_api")
    for lot in range(3):
        conn.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause)"
            " SELECT 'f' || n, %s, 't', '', 'c' FROM generate_series(1, 50) AS n",
            (lot + 1,),
        )
    heures = [h for (h,) in conn.execute("SELECT enregistre_le FROM journal.evenements ORDER BY position")]
    assert heures == sorted(heures)
    assert len(set(heures)) == 3


def test_un_ecrivain_qui_oublie_l_ordre_le_prend_quand_meme(base: Any, conn: psycopg.Connection[Any]) -> None:
    ecrire = "INSERT INTO journal.evenements (flux, version, topic, etat, cause) VALUES ('f', 1, 't', '', 'c')"
    with psycopg.connect(base.url) as autre:
        autre.execute(ecrire)
        conn.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute(ecrire.replace("'f'", "'g'"))


def test_une_fonction_du_service_ne_prend_pas_la_place_de_celles_de_la_base(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE FUNCTION vues.currval(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'")
    conn.execute("CREATE FUNCTION vues.currval(text) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'")
    conn.execute(
        "CREATE FUNCTION vues.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'epoch'::timestamptz $$"
    )
    conn.execute("SET search_path = vues, pg_catalog")
    conn.execute("INSERT INTO journal.evenements (flux, version, topic, etat, cause) VALUES ('f', 1, 't', '', 'c')")
    conn.execute("INSERT INTO journal.topics (topic, topic_id) VALUES ('t', gen_random_uuid())")
    for table in ("evenements", "topics"):
        (an,) = conn.execute(f"SELECT extract(year FROM max(enregistre_le)) FROM journal.{table}").fetchone() or (0,)  # noqa: S608
        assert an > 2000
