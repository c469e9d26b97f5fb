"""Le sceau : chaque ligne du journal devient une feuille, une fois, dans l'ordre où les transactions finissent."""

import hmac
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import IsolationLevel, sql

from engine.role_state import RoleState
from preuve import leaves
from preuve.checkpoints import Checkpoint
from preuve.merkle import leaf_hash
from preuve.notes import read
from preuve.role import NAME
from preuve.rows import GENERATION_BITS, Row, _query, leaf_hashes, written_before, written_in
from preuve.seal import SEALED_AT_ONCE, Sealer, Sealing, TransactionsWentBack
from preuve.tree import Leaf, indexes_of
from tests.outils import exemples
from tests.preuve.test_arbre import racine_naive

SCEAU = Sealing("creances.example/essai", Ed25519PrivateKey.from_private_bytes(b"s" * 32), b"sel" * 11)
PUBLIQUE = SCEAU.signer("e").verifier.public
PREUVE = {"sceaux", "noeuds", "points", "cosignatures", "jetons_de_point"}


@pytest.fixture
def conn(base: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(base.url, autocommit=True) as ouverte:
        yield ouverte


@pytest.fixture
def ecrivain(base: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(base.url) as ouverte:
        yield ouverte


def noter(conn: psycopg.Connection[Any], texte: str) -> None:
    conn.execute("INSERT INTO journal.notes (objet, texte, auteur) VALUES ('essai', %s, 'moi')", (texte,))


def sceller(conn: psycopg.Connection[Any], scelleur: Sealer | None = None) -> None:
    scelleur = scelleur or Sealer(SCEAU)
    while scelleur.advance(conn):
        pass


def feuilles(conn: psycopg.Connection[Any]) -> list[bytes]:
    (dites,) = conn.execute(
        "SELECT coalesce(string_agg(empreintes, '' ORDER BY taille), '') FROM journal.sceaux"
        " WHERE epoque = (SELECT max(nom) FROM journal.epoques)"
    ).fetchone() or (b"",)
    return [dites[au : au + 32] for au in range(0, len(dites), 32)]


def lignes(conn: psycopg.Connection[Any]) -> list[Row]:
    """Toutes les lignes du journal, dans l'ordre où elles doivent être scellées, lues d'une traite."""
    (generation,) = conn.execute("SELECT count(*) FROM journal.epoques").fetchone() or (0,)
    plancher = generation << GENERATION_BITS
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    with conn.transaction():
        return [*written_before(conn, plancher), *written_in(conn, plancher, 2**62)]


def dernier_point(conn: psycopg.Connection[Any]) -> Checkpoint:
    epoque, note = conn.execute(
        "SELECT epoque, note FROM journal.points ORDER BY epoque DESC, taille DESC LIMIT 1"
    ).fetchone() or ("", "")
    return Checkpoint.parse(read(note, [SCEAU.signer(epoque).verifier]).text)


def test_chaque_table_du_journal_est_scellee_et_chaque_ligne_dit_sa_transaction(conn: psycopg.Connection[Any]) -> None:
    tables = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'journal'::regnamespace AND relkind IN ('r', 'p')"
    ).fetchall()
    assert {nom for (nom,) in tables} == set(leaves.ORDER) | PREUVE
    assert list(leaves.ORDER) == sorted(leaves.ORDER)
    noter(conn, "une")
    (ecrit_par, maintenant) = conn.execute(
        "SELECT ecrit_par, pg_snapshot_xmin(pg_current_snapshot())::text::int8 FROM journal.notes"
    ).fetchone() or (0, 0)
    assert ecrit_par >> GENERATION_BITS == 1
    assert ecrit_par & ((1 << GENERATION_BITS) - 1) < maintenant
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("INSERT INTO journal.notes (objet, texte, auteur, ecrit_par) VALUES ('o', 't', 'a', 1)")


def test_tout_est_scelle_une_fois_dans_l_ordre_et_l_etat_signe_est_la_racine(conn: psycopg.Connection[Any]) -> None:
    for numero in range(3):
        noter(conn, f"note {numero}")
        sceller(conn)
    noter(conn, "la dernière")
    sceller(conn)
    dites = feuilles(conn)
    assert dites == [leaf_hash(ligne.entry(SCEAU.secret)) for ligne in lignes(conn)]
    point = dernier_point(conn)
    assert (point.size, point.root) == (len(dites), racine_naive(dites))
    sceller(conn)
    assert feuilles(conn) == dites


def test_ce_qui_finit_apres_ce_qui_a_commence_apres_n_est_pas_manque(
    conn: psycopg.Connection[Any], ecrivain: psycopg.Connection[Any]
) -> None:
    sceller(conn)
    avant = len(feuilles(conn))
    noter(ecrivain, "commencée la première")
    noter(conn, "finie la première")
    sceller(conn)
    assert len(feuilles(conn)) == avant  # La plus ancienne n'a pas fini : rien après elle n'est encore complet.
    ecrivain.commit()
    sceller(conn)
    assert feuilles(conn) == [leaf_hash(ligne.entry(SCEAU.secret)) for ligne in lignes(conn)]
    assert len(feuilles(conn)) == avant + 2


def test_deux_scelleurs_a_la_fois_ne_scellent_rien_deux_fois(base: Any, conn: psycopg.Connection[Any]) -> None:
    sceller(conn)
    un, autre = Sealer(SCEAU), Sealer(SCEAU)
    with psycopg.connect(base.url, autocommit=True) as seconde:
        un.advance(conn)
        autre.advance(seconde)
        noter(conn, "pour deux")
        un.advance(conn)
        autre.advance(seconde)
    sceller(conn)
    assert feuilles(conn) == [leaf_hash(ligne.entry(SCEAU.secret)) for ligne in lignes(conn)]


def test_une_signature_manquee_est_faite_au_lot_suivant(base: Any, conn: psycopg.Connection[Any]) -> None:
    noter(conn, "une")
    sceller(conn)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.points DISABLE TRIGGER ajout_seul")
        proprietaire.execute("DELETE FROM journal.points")
    sceller(conn, Sealer(SCEAU))
    assert dernier_point(conn).size == len(feuilles(conn))


def test_une_epoque_ouverte_commence_un_arbre_qui_contient_tout(conn: psycopg.Connection[Any]) -> None:
    noter(conn, "d'avant")
    sceller(conn)
    premiere = dernier_point(conn)
    conn.execute("INSERT INTO journal.epoques (nom, raison) VALUES ('29990101T000000Z', 'essai')")
    noter(conn, "d'après")
    sceller(conn)
    point = dernier_point(conn)
    assert point.origin == "creances.example/essai/29990101T000000Z" != premiere.origin
    assert feuilles(conn) == [leaf_hash(ligne.entry(SCEAU.secret)) for ligne in lignes(conn)]
    assert point.root == racine_naive(feuilles(conn))


def test_un_serveur_dont_les_transactions_recommencent_plus_bas_arrete_le_sceau(
    base: Any, conn: psycopg.Connection[Any]
) -> None:
    sceller(conn)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.sceaux DISABLE TRIGGER ajout_seul")
        proprietaire.execute("UPDATE journal.sceaux SET jusqu_a = jusqu_a + 1000000000")
    noter(conn, "que personne ne verrait")
    with pytest.raises(TransactionsWentBack):
        sceller(conn)


def test_la_premiere_mise_sous_sceau_d_une_base_ancienne_prend_tout_par_morceaux(
    base: Any, conn: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute(
            sql.SQL(
                "INSERT INTO journal.notes (objet, texte, auteur, ecrit_par)"
                " SELECT 'essai', 'n° ' || n, 'moi', NULL FROM generate_series(1, 9000) AS n"
            )
        )
    noter(conn, "neuve")
    sceller(conn)
    assert len(feuilles(conn)) > 9_000
    assert (conn.execute("SELECT count(*) FROM journal.sceaux").fetchone() or (0,)) >= (3,)
    assert conn.execute("SELECT count(*) FROM journal.noeuds").fetchone() == (len(feuilles(conn)) // 256,)
    assert feuilles(conn) == [leaf_hash(ligne.entry(SCEAU.secret)) for ligne in lignes(conn)]


def test_le_role_de_la_base_qui_scelle_le_peut_avec_ses_seuls_droits(base: Any, conn: psycopg.Connection[Any]) -> None:
    noter(conn, "une")
    with psycopg.connect(base.url, autocommit=True) as seul:
        seul.execute("SET ROLE creances_sceau")
        sceller(seul)
        RoleState(base.url, NAME).dire(seul, "actif")
    assert dernier_point(conn).size == len(feuilles(conn)) > 1
    assert conn.execute("SELECT etat FROM vues.suiveurs WHERE nom = 'sceller'").fetchone() == ("actif",)


def test_chaque_genre_de_colonne_du_journal_sait_devenir_une_feuille(conn: psycopg.Connection[Any]) -> None:
    genres = conn.execute(
        "SELECT DISTINCT format_type(atttypid, NULL) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
        " WHERE relnamespace = 'journal'::regnamespace AND relname = ANY (%s) AND attnum > 0 AND NOT attisdropped",
        (list(leaves.ORDER),),
    ).fetchall()
    for (genre,) in genres:
        vide = {"uuid": "gen_random_uuid()", "jsonb": "'{}'", "bytea": "''", "boolean": "true"}
        valeur = vide.get(genre) or ("'{}'" if genre.endswith("[]") else "now()" if "time" in genre else "'1'")
        valeur = "'2026-06-01'" if genre == "date" else valeur
        assert octets_de(conn, f"SELECT {valeur}::{genre} AS texte"), genre
    with pytest.raises(TypeError, match="float8"):
        octets_de(conn, "SELECT 1::float8 AS texte")


def octets_de(conn: psycopg.Connection[Any], requete: str) -> bytes:
    """Les octets d'une ligne de `notes` qui aurait ces colonnes."""
    curseur = conn.cursor(binary=True)
    leaves.read_raw(curseur)
    lues = curseur.execute(requete.encode()).fetchall()
    [octets] = leaves.renderer("notes", tuple((une.name, une.type_code) for une in curseur.description or ()))(lues)
    return octets


def test_les_octets_d_une_ligne_sont_ceux_qui_ont_deja_ete_scelles(conn: psycopg.Connection[Any]) -> None:
    """Chaque genre de colonne, comme la première version l'a rendu : les feuilles d'avant valent encore."""
    une = octets_de(
        conn,
        "SELECT 'éü' AS objet, -12::int8 AS rang, 7::int4 AS petit, 3::int2 AS court, '\\x00ff10'::bytea AS empreinte,"
        " '2026-11-27 10:20:30.123456+00'::timestamptz AS enregistre_le, NULL::text AS rien, true AS vrai,"
        " '1969-12-31 23:59:59.999999+00'::timestamptz AS avant, '2026-02-28'::date AS jour,"
        " '1999-01-03'::date AS vieux, 0::int8 AS ecrit_par, repeat('x', 5000) AS long, '' AS creux,"
        """ '{"b": [1.50, null, "é", 1e2, true], "a": {"z": 0.10}}'::jsonb AS reponse,"""
        " '9f2c1f34-7c3e-4c52-8f0e-0d6a0a3b9f11'::uuid AS topic_id, ARRAY['un', 'deux é'] AS liste,"
        " ARRAY[]::text[] AS vide",
    )
    assert sha256(une).hexdigest() == "7e79874aa040e938f2c037bc0c661a05f0ede2d67dc580c524cc08ae9f474f58"
    for secret in (b"s" * 33, b"s" * 64, b"s" * 100):
        assert leaves.salt(secret, une) == hmac.digest(secret, une, "sha256")


def octets_naifs(noms: list[str], valeurs: tuple[Any, ...]) -> bytes:
    """Les octets d'une ligne de `notes`, valeur par valeur ; tout y est déjà en octets, ou un nombre, ou une liste."""

    def mesure(morceau: bytes) -> bytes:
        return len(morceau).to_bytes(4, "big") + morceau

    genres = {"t": b"s", "n": b"i", "o": b"o", "l": b"l"}
    ligne = mesure(b"notes")
    for nom, valeur in sorted(zip(noms, valeurs, strict=True)):
        if valeur is not None:
            rendue = b"%d" % valeur if isinstance(valeur, int) else valeur
            rendue = b"".join(mesure(b"s" + un) for un in rendue) if isinstance(rendue, list) else rendue
            ligne += mesure(nom.encode()) + mesure(genres[nom[0]] + rendue)
    return ligne


VALEURS = {
    "t": (25, st.sampled_from([b"", b"creance", b"x" * 3_000]) | st.binary(max_size=40)),
    "n": (20, st.sampled_from([0, 1]) | st.integers(-(2**63), 2**63 - 1)),
    "o": (17, st.binary(max_size=40)),
    "l": (1009, st.lists(st.binary(max_size=4), max_size=3)),
}


@given(st.data())
@settings(max_examples=exemples(150, 1_500))
def test_des_lignes_rendues_ensemble_ont_les_octets_de_chacune(donnees: st.DataObject) -> None:
    """Colonne par colonne, pour aller vite : répétées ou non, nulles ou non, courtes ou longues, c'est pareil."""
    noms = donnees.draw(
        st.lists(st.from_regex("[tnol][a-z]{0,3}", fullmatch=True), min_size=1, max_size=5, unique=True)
    )
    une = st.tuples(*(st.none() | VALEURS[nom[0]][1] for nom in noms))
    rangees = donnees.draw(st.lists(une, max_size=12)) * donnees.draw(st.integers(1, 8))
    rendre = leaves.renderer("notes", tuple((nom, VALEURS[nom[0]][0]) for nom in noms))
    assert rendre(rangees) == [octets_naifs(noms, valeurs) for valeurs in rangees]


def test_une_heure_que_python_n_a_pas_a_ses_octets_aussi(conn: psycopg.Connection[Any]) -> None:
    dites = {
        octets_de(conn, f"SELECT '{valeur}'::{genre} AS texte")
        for genre in ("timestamptz", "date")
        for valeur in ("infinity", "-infinity", "20000-01-01", "9999-12-31")
    }
    assert len(dites) == 8


def test_une_feuille_n_est_trouvee_qu_a_sa_place(conn: psycopg.Connection[Any]) -> None:
    """Ses octets peuvent se lire aussi à cheval sur deux autres : c'en est une autre, ou rien."""
    feuille, bord = sha256(b"une").digest(), bytes(16)
    lot = bord + feuille[:16] + feuille[16:] + bord
    # Deux fenêtres ; la seconde est de deux lots, dont le premier va déjà à la position 9.
    for taille, avant, empreintes, fenetre in ((2, 0, lot, 0), (4, 2, lot, 20), (7, 4, lot + feuille, 20)):
        conn.execute(
            "INSERT INTO journal.sceaux (epoque, taille, avant, empreintes, pics, depuis, jusqu_a, position)"
            " VALUES ('e', %s, %s, %s, '', %s, %s, %s)",
            (taille, avant, empreintes, fenetre, fenetre + 20, 9),
        )
    for position in (0, 5, 9, 10):  # Où que le journal l'ait atteinte d'abord, elle est trouvée là où elle est.
        cherchees = [Leaf(5, position, feuille), Leaf(35, position, feuille), Leaf(60, position, feuille)]
        assert indexes_of(conn, "e", cherchees) == [None, 6, None]
    assert indexes_of(conn, "e", [Leaf(5, 3, lot[:32]), Leaf(25, 3, lot[:32])]) == [0, 2]


def test_l_empreinte_de_chaque_feuille_est_celle_de_ses_donnees(conn: psycopg.Connection[Any]) -> None:
    """Il y a une boucle pour aller vite ; ce qui s'écrit dans le dossier et ce qui se vérifie n'en est pas."""
    for numero in range(3):
        noter(conn, f"note {numero}")
    toutes = lignes(conn)
    assert leaf_hashes(toutes, SCEAU.secret) == [leaf_hash(ligne.entry(SCEAU.secret)) for ligne in toutes]
    assert len(toutes) >= 3


def test_un_lot_ne_relit_pas_ce_qui_le_precede(base: Any, conn: psycopg.Connection[Any]) -> None:
    """Même si aucun VACUUM n'est passé depuis : il lit les pages de ce qui est neuf, et peu d'autres."""
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.notes SET (autovacuum_enabled = false)")
        proprietaire.execute(
            "INSERT INTO journal.notes (objet, texte, auteur)"
            " SELECT 'essai', repeat('x', 400), 'moi' FROM generate_series(1, 20000)"
        )
    noter(conn, "neuve")
    (pages,) = conn.execute("SELECT pg_relation_size('journal.notes') / 8192").fetchone() or (0,)
    (ecrit_par,) = conn.execute("SELECT max(ecrit_par) FROM journal.notes").fetchone() or (0,)
    assert pages > 1_000
    requete = _query("notes", leaves.WRITTEN_BY).decode()
    curseur = psycopg.ClientCursor(conn)
    [(plan,)] = curseur.execute(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {requete}".encode(), (ecrit_par - 1, ecrit_par)
    ).fetchall()
    lues = plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
    assert plan[0]["Plan"]["Actual Rows"] == 1
    assert lues < 50, plan


def test_un_retard_se_rattrape_par_morceaux_bornes_en_lignes(conn: psycopg.Connection[Any]) -> None:
    """Chaque lot est lu en mémoire : de grosses transactions n'y entrent pas par milliers, et aucune n'est coupée."""
    sceller(conn)
    for _ in range(100):
        conn.execute(
            "INSERT INTO journal.notes (objet, texte, auteur) SELECT 'essai', 'x', 'moi' FROM generate_series(1, 600)"
        )
    sceller(conn)
    lots = [
        int(lot)
        for (lot,) in conn.execute(
            "SELECT sum(taille - avant) FROM journal.sceaux WHERE depuis >= 0 GROUP BY jusqu_a ORDER BY jusqu_a"
        ).fetchall()
    ]
    assert sum(lots) == 100 * 600
    assert max(lots[:-1]) <= SEALED_AT_ONCE + 600
    assert {lot % 600 for lot in lots} == {0}
    assert feuilles(conn) == [leaf_hash(ligne.entry(SCEAU.secret)) for ligne in lignes(conn)]
