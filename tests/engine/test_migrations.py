"""Le schéma : appliqué une fois, sous un verrou, et des droits qui ne permettent que d'ajouter."""

import secrets
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from engine import migrations
from engine.database import connect
from engine.migrations import DatabaseRefused, MigrationChanged
from service.cli.application import app
from service.schema import FOLDER, migrate
from tests.engine.test_session import REGLES

TOUTES = ["0001_journal.sql", "0002_vues.sql"]


@pytest.fixture
def utilisateur(base: Any) -> str:
    """Le rôle de connexion du service."""
    return urlsplit(base.url).username or ""


@pytest.fixture
def url_vide(base: Any, proprietaire: psycopg.Connection[Any]) -> Iterator[str]:
    """L'URL, pour le propriétaire, d'une base que rien n'a migrée."""
    nom = f"creances_vide_{secrets.token_hex(6)}"
    proprietaire.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(nom)))
    yield urlsplit(base.url_proprietaire)._replace(path=f"/{nom}").geturl()
    proprietaire.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(nom)))


@pytest.mark.parametrize("codage", ["LATIN1", "SQL_ASCII"])
def test_une_base_qui_n_est_pas_en_utf8_est_refusee_par_une_phrase_et_reste_vide(
    base: Any, proprietaire: psycopg.Connection[Any], utilisateur: str, codage: str
) -> None:
    nom = f"creances_latine_{secrets.token_hex(6)}"
    proprietaire.execute(
        sql.SQL("CREATE DATABASE {} ENCODING {} TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'").format(
            sql.Identifier(nom), sql.Literal(codage)
        )
    )
    url = urlsplit(base.url_proprietaire)._replace(path=f"/{nom}").geturl()
    try:
        with pytest.raises(DatabaseRefused, match=f"codée en {codage}, et non en UTF8"):
            migrate(url, utilisateur)
        dit = CliRunner().invoke(
            app, ["migrate"], env={"CREANCES_OWNER_DATABASE_URL": url, "CREANCES_DATABASE_URL": url}
        )
        assert dit.exit_code == 1
        assert "TEMPLATE template0" in dit.stderr
        with psycopg.connect(url) as conn:
            tables = conn.execute("SELECT to_regclass('public.creances_migrations')").fetchone()
            assert tables == (None,)
    finally:
        proprietaire.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(nom)))


@pytest.mark.parametrize(
    ("version", "dit"), [(140_013, "PostgreSQL 14 est trop ancien"), (90_624, "PostgreSQL 9 est trop ancien")]
)
def test_un_serveur_trop_ancien_est_refuse_par_une_phrase(version: int, dit: str) -> None:
    with pytest.raises(DatabaseRefused, match=dit):
        migrations.require_suitable(version, "UTF8")
    migrations.require_suitable(150_000, "UTF8")


def avec(monkeypatch: pytest.MonkeyPatch, *fichiers: tuple[str, str]) -> None:
    """Ajoute ces fichiers de migration aux vrais, ou les remplace."""
    tous = dict(migrations._files(FOLDER)) | dict(fichiers)
    monkeypatch.setattr(migrations, "_files", lambda _: sorted(tous.items()))


def test_une_base_a_jour_n_a_rien_a_migrer(url_vide: str, utilisateur: str) -> None:
    assert migrate(url_vide, utilisateur)[: len(TOUTES)] == TOUTES
    assert migrate(url_vide, utilisateur) == []


def test_ce_qu_une_migration_ecrit_ne_depend_pas_des_reglages_de_son_role(
    url_vide: str, utilisateur: str, proprietaire: psycopg.Connection[Any]
) -> None:
    nom = psycopg.conninfo.conninfo_to_dict(url_vide)["dbname"]
    for regle, valeur in REGLES.items():
        proprietaire.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(str(nom)), sql.Identifier(regle), sql.Literal(valeur)
            )
        )
    migrate(url_vide, utilisateur)
    with connect(url_vide, application="essai") as conn:
        (dit,) = conn.execute("SELECT obj_description('journal.evenements'::regclass)").fetchone() or ("",)
        (pose,) = conn.execute("SELECT count(*) FROM pg_class WHERE relname = 'creances_migrations'").fetchone() or (0,)
    assert "É" in dit or "é" in dit
    assert "Ã" not in dit
    assert pose == 1


def test_deux_migrations_en_meme_temps_n_appliquent_chaque_fichier_qu_une_fois(url_vide: str, utilisateur: str) -> None:
    depart = threading.Barrier(2)
    appliquees: list[list[str]] = []

    def migrer_ensemble() -> None:
        depart.wait()
        appliquees.append(migrate(url_vide, utilisateur))

    fils = [threading.Thread(target=migrer_ensemble) for _ in range(2)]
    for fil in fils:
        fil.start()
    for fil in fils:
        fil.join()
    assert sorted(appliquees) == [[], [nom for nom, _ in migrations._files(FOLDER)]]


def test_un_fichier_change_depuis_son_application_est_refuse(
    base: Any, utilisateur: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    avec(monkeypatch, ("0001_journal.sql", dict(migrations._files(FOLDER))["0001_journal.sql"] + "\n-- une retouche\n"))
    with pytest.raises(MigrationChanged, match="0001_journal"):
        migrate(base.url_proprietaire, utilisateur)


def test_une_migration_qui_echoue_ne_laisse_rien_et_s_applique_une_fois_corrigee(
    base: Any, utilisateur: str, proprietaire: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    avec(monkeypatch, ("9999_epreuve.sql", "CREATE TABLE vues.epreuve (n int); SELECT 1 / 0;"))
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(base.url_proprietaire, utilisateur)
    assert proprietaire.execute("SELECT to_regclass('vues.epreuve')").fetchone() == (None,)
    avec(monkeypatch, ("9999_epreuve.sql", "CREATE TABLE vues.epreuve (n int);"))
    assert migrate(base.url_proprietaire, utilisateur) == ["9999_epreuve.sql"]


@pytest.mark.parametrize(
    "interdit",
    [
        "ALTER TABLE journal.evenements ADD COLUMN note text",
        "ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul",
        "DROP TRIGGER ajout_seul ON journal.evenements",
        "DROP TABLE journal.sorts",
        "CREATE TABLE journal.autre (n int)",
        "SELECT setval('journal.evenements_position_seq', 1)",
        "SELECT setval('journal.numeros_de_transaction', 1)",
        "SET session_replication_role = replica",
        "UPDATE public.creances_migrations SET empreinte = ''",
    ],
)
def test_le_service_ne_change_rien_a_la_forme_du_journal(service: psycopg.Connection[Any], interdit: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(interdit.encode())


def test_le_service_dispose_des_vues(service: psycopg.Connection[Any]) -> None:
    service.execute("CREATE TABLE vues.epreuve (n int)")
    service.execute("INSERT INTO vues.epreuve VALUES (1)")
    service.execute("UPDATE vues.epreuve SET n = 2")
    service.execute("DELETE FROM vues.epreuve")
    service.execute("TRUNCATE vues.restant_du")
    service.execute("ALTER TABLE vues.restant_du ADD COLUMN note text")
    service.execute("DROP TABLE vues.epreuve")


def test_le_service_prend_des_numeros_de_transaction(service: psycopg.Connection[Any]) -> None:
    assert service.execute("SELECT nextval('journal.numeros_de_transaction')").fetchone() == (1,)
