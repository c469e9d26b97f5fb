"""Le point signé sous lequel une clôture se tient : il couvre ce qu'elle compte, ou elle dit ce qui lui manque."""

import json
import runpy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.delai import PARIS
from preuve.checkpoints import Checkpoint
from preuve.covering import Counted, Cover, covers
from preuve.notes import read
from preuve.rows import GENERATION_BITS
from preuve.seal import Sealer, Sealing, sign
from projections.arretes.contenu import PointDeControle, lire
from projections.arretes.lecture import Cloture, dernieres
from service.closing import close_days
from service.closing_points import unfounded
from tests.arretes.autorite import autorite
from tests.arretes.histoires import Histoire, connexion, histoire
from tests.outils import commande
from tests.preuve.test_preuve import FAITS, ecrire_des_faits
from tests.preuve.test_sceau import PUBLIQUE, SCEAU, dernier_point, noter, sceller

PREMIER = datetime.now(PARIS).date() - timedelta(days=3)
CLE = SCEAU.private.private_bytes_raw().hex()
REGLAGES = {"preuve_origin": SCEAU.origin, "preuve_key": CLE, "preuve_salt": SCEAU.secret.decode()}


@cache
def _le_sien(dossier: Path) -> Any:
    return runpy.run_path(str(dossier / "verifier.py"))["verifier"]


def verifier(dossier: Path) -> tuple[list[str], int, int]:
    """Ce qu'en dit le vérificateur que l'archive porte."""
    dit: tuple[list[str], int, int] = _le_sien(dossier)(dossier)
    return dit


@pytest.fixture
def h(base: Any) -> Iterator[Histoire]:
    """Une histoire d'un jour, il y a peu, dont rien n'est scellé."""
    with histoire(base.url, 4, datetime.combine(PREMIER, datetime.min.time(), UTC) + timedelta(hours=9)) as une:
        for _ in range(3):
            une.emettre()
        yield une


@pytest.fixture
def conn(base: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(base.url, autocommit=True) as ouverte:
        yield ouverte


def clore(h: Histoire, jours: int = 1) -> list[Cloture]:
    """Arrête ce jour et les suivants."""
    return close_days(h.m.guichet.base, h.m.guichet.recorder, PREMIER + timedelta(days=jours - 1))


def derniere_note(conn: psycopg.Connection[Any]) -> str:
    (note,) = conn.execute("SELECT note FROM journal.points ORDER BY taille DESC LIMIT 1").fetchone() or ("",)
    return str(note)


def dit(point: Checkpoint, hors: int = 0) -> PointDeControle:
    return PointDeControle(origine=point.origin, taille=point.size, racine=point.root.hex(), hors_du_point=hors)


def test_le_premier_point_qui_couvre_tout_est_celui_de_la_cloture(h: Histoire, conn: psycopg.Connection[Any]) -> None:
    sceller(conn)
    attendu = dernier_point(conn)
    noter(conn, "d'après")
    sceller(conn)
    assert dernier_point(conn).size > attendu.size
    [cloture] = clore(h)
    assert cloture.arrete.point_de_controle == dit(attendu)
    assert unfounded(conn, SCEAU.origin, [PUBLIQUE]) == []


def test_sans_sceau_rien_n_est_dit(h: Histoire, conn: psycopg.Connection[Any]) -> None:
    [cloture] = clore(h)
    assert cloture.arrete.point_de_controle is None
    assert unfounded(conn, SCEAU.origin, [PUBLIQUE]) == []


def test_ce_qui_n_est_pas_encore_scelle_est_dit_et_le_reste(h: Histoire, conn: psycopg.Connection[Any]) -> None:
    sceller(conn)
    dernier = dernier_point(conn)
    h.emettre()
    h.emettre()
    [cloture] = clore(h)
    assert cloture.arrete.point_de_controle == dit(dernier, hors=2)
    # Ce qui est tardif, et scellé depuis, n'y change rien ; le jour d'après se tient sous un point qui couvre tout.
    h.emettre()
    sceller(conn)
    suivants = clore(h, jours=2)
    assert [un.arrete.point_de_controle for un in suivants] == [dit(dernier_point(conn))]
    assert dernieres(conn, 2)[1].octets == cloture.octets
    assert unfounded(conn, SCEAU.origin, [PUBLIQUE]) == []


def test_un_evenement_d_avant_dont_la_transaction_a_commence_plus_tard_est_hors_du_point(
    base: Any, conn: psycopg.Connection[Any]
) -> None:
    """Un lot scelle des transactions : la position de son dernier événement ne dit pas que tous ceux d'avant y sont."""
    sceller(conn)
    avant = dernier_point(conn)
    with psycopg.connect(base.url) as premiere:
        # Combien de transactions, de toutes les bases du serveur, l'ont précédée depuis ce qui est scellé.
        [(precedentes,)] = premiere.execute(
            "SELECT pg_current_xact_id()::text::bigint - (max(jusqu_a) & (1::bigint << %s) - 1) FROM journal.sceaux",
            (GENERATION_BITS,),
        ).fetchall()
        ecrire_des_faits(conn, FAITS[0])
        ecrire_des_faits(premiere, FAITS[1])
    scelleur = Sealer(SCEAU, transactions_at_once=precedentes)
    assert scelleur.advance(conn)
    assert dernier_point(conn) != avant
    [(position, scellee)] = conn.execute(
        "SELECT (SELECT max(position) FROM journal.evenements), max(position) FROM journal.sceaux"
    ).fetchall()
    assert position == scellee
    assert covers(conn, [Counted(position, 0)]) == [Cover(dernier_point(conn), derniere_note(conn), 1)]
    sceller(conn, scelleur)
    assert covers(conn, [Counted(position, 0)]) == [Cover(dernier_point(conn), derniere_note(conn), 0)]


def test_la_commande_et_le_csv_le_disent_et_le_jeton_le_porte(
    base: Any, h: Histoire, conn: psycopg.Connection[Any], tmp_path: Path
) -> None:
    h.emettre()
    sceller(conn)
    point = dernier_point(conn)
    ecrit = f"{point.origin} {point.size} {point.root.hex()}"
    with autorite(tmp_path / "tsa") as tsa:
        reglages = REGLAGES | {"database_url": base.url, "tsa_url": tsa.url, "tsa_roots": tsa.racines}
        pdf = tmp_path / "a.pdf"
        en_json = commande("arrete", PREMIER, "--json", "--pdf", pdf, **reglages)
        assert en_json.returncode == 0, en_json.stderr
        assert json.loads(en_json.stdout)["point_de_controle"]["racine"] == point.root.hex()
        csv = commande("arrete", PREMIER, "--csv", **reglages).stdout
        assert f"point_de_controle;{ecrit}\r\nhors_du_point;0" in csv.replace("\r\r", "\r").replace(
            "\n", "\r\n"
        ).replace("\r\r", "\r")
        en_clair = " ".join(commande("arrete", PREMIER, **reglages).stdout.split())
        assert f"{point.size} lignes, racine {point.root.hex()}." in en_clair
        assert pdf.read_bytes().startswith(b"%PDF")
    [cloture] = dernieres(conn)
    assert cloture.jeton is not None
    assert point.root.hex().encode() in cloture.octets
    assert sha256(cloture.octets).digest() in cloture.jeton.reponse, "le jeton porte sur ces octets, racine comprise"


GESTES = (
    ("DELETE FROM journal.points", "n'a pas de point signé"),
    ("DELETE FROM journal.sceaux", "n'a pas de point signé"),
    ("UPDATE journal.points SET note = $${autre}$$", "ce n'est pas le point"),
    ("UPDATE journal.points SET note = $${etrangere}$$", "n'est pas signé de la clé du journal"),
    ("UPDATE journal.sceaux SET jusqu_a = jusqu_a - 1 WHERE taille = {taille}", "1 de ses lignes sont hors"),
)
"""Ce que fait le propriétaire de la base, et ce qui en est dit."""


@pytest.mark.parametrize(("geste", "phrase"), GESTES)
def test_un_point_qui_n_est_plus_celui_de_la_cloture_est_dit(
    base: Any, h: Histoire, conn: psycopg.Connection[Any], geste: str, phrase: str
) -> None:
    sceller(conn)
    h.emettre()
    sceller(conn)
    [cloture] = clore(h)
    point = cloture.arrete.point_de_controle
    assert point is not None
    etranger = Sealing(SCEAU.origin, Ed25519PrivateKey.generate(), SCEAU.secret)
    epoque = cloture.arrete.epoque
    notes = {
        "autre": sign(SCEAU, epoque, point.taille, b"x" * 32),
        "etrangere": sign(etranger, epoque, point.taille, bytes.fromhex(point.racine)),
        "taille": str(point.taille),
    }
    with connexion(base.url_proprietaire) as proprietaire:
        for table in ("points", "sceaux"):
            proprietaire.execute(f"ALTER TABLE journal.{table} DISABLE TRIGGER ajout_seul".encode())
        assert proprietaire.execute(geste.format(**notes).encode()).rowcount > 0
    [(jour, dite)] = unfounded(conn, SCEAU.origin, [PUBLIQUE])
    assert (jour, phrase in dite) == (PREMIER, True), dite
    audit = commande("audit", "--json", database_url=base.url, **REGLAGES)
    assert f"arrêté du {PREMIER} : {dite}" in json.loads(audit.stdout)["ecarts"]


def test_une_cloture_d_avant_se_lit_encore_telle_quelle(h: Histoire) -> None:
    """Celles qui n'ont pas de point gardent leurs octets."""
    [cloture] = clore(h)
    assert b'"point_de_controle":null' in cloture.octets
    assert lire(cloture.octets).octets() == cloture.octets


def test_l_archive_tient_le_point_et_le_compare(
    base: Any, h: Histoire, conn: psycopg.Connection[Any], tmp_path: Path
) -> None:
    h.emettre()
    sceller(conn)
    [cloture] = clore(h)
    dossier = tmp_path / "archive"
    faite = commande("archiver", PREMIER.year, dossier, database_url=base.url, **REGLAGES)
    assert faite.returncode == 0, faite.stderr
    point = dossier / PREMIER.isoformat() / "point.txt"
    epoque = cloture.arrete.epoque
    assert read(point.read_text("utf-8"), [SCEAU.signer(epoque).verifier]).signers
    assert verifier(dossier) == ([], 1, 4)
    point.write_text(sign(SCEAU, epoque, dernier_point(conn).size, b"x" * 32), "utf-8")
    [faute] = verifier(dossier)[0]
    assert "le point signé n'est pas celui" in faute


@pytest.fixture
def archive(base: Any, h: Histoire, conn: psycopg.Connection[Any], tmp_path: Path) -> tuple[Path, Cloture]:
    """Un jour dont trois événements sont sous son point, et un en est hors."""
    sceller(conn)
    h.emettre()
    [cloture] = clore(h)
    sceller(conn)
    dossier = tmp_path / "archive"
    faite = commande("archiver", PREMIER.year, dossier, database_url=base.url, **REGLAGES)
    assert faite.returncode == 0, faite.stderr
    return dossier, cloture


def test_chaque_evenement_de_l_archive_mene_a_la_racine_sans_base(archive: tuple[Path, Cloture]) -> None:
    dossier, cloture = archive
    dit_hors = cloture.arrete.point_de_controle
    assert dit_hors is not None
    assert dit_hors.hors_du_point == 1
    assert verifier(dossier) == ([], 1, 3)


def test_un_evenement_change_depuis_ou_un_autre_sel_arretent_l_archive(
    base: Any, archive: tuple[Path, Cloture], tmp_path: Path
) -> None:
    """Elle ne mènerait pas à la racine : elle le dit, plutôt que de se remettre."""
    autre = REGLAGES | {"preuve_salt": "x" * 33}
    with connexion(base.url_proprietaire) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
        for reglages in (autre, REGLAGES):
            refusee = commande("archiver", PREMIER.year, tmp_path / "autre", database_url=base.url, **reglages)
            assert (refusee.returncode, "CREANCES_PREUVE_SALT" in refusee.stderr) == (1, True), refusee.stderr
            rmtree(tmp_path / "autre")
            proprietaire.execute("UPDATE journal.evenements SET cause = cause || '!' WHERE position = 2")
            assert (archive[0] / "arbre").exists()


def test_aucun_bit_retourne_dans_l_archive_n_y_est_accepte(archive: tuple[Path, Cloture]) -> None:
    """Arbre, événements, sels : ni retournés, ni coupés, ni ôtés."""
    dossier, cloture = archive
    jour = dossier / PREMIER.isoformat()
    arbre = dossier / "arbre" / cloture.arrete.epoque
    for fichier in (arbre, jour / "evenements.jsonl", jour / "sceau.jsonl"):
        avant = fichier.read_bytes()
        for rang in range(0, 8 * len(avant), 7):
            apres = bytearray(avant)
            apres[rang // 8] ^= 1 << rang % 8
            fichier.write_bytes(bytes(apres))
            fautes, _, retrouves = verifier(dossier)
            # La casse d'un sel en hexadécimal ne change pas ses octets.
            assert fautes or (retrouves == 3 and apres.lower() == avant), (fichier.name, rang)
        fichier.write_bytes(avant)
    for fichier in (arbre, jour / "evenements.jsonl", jour / "sceau.jsonl"):
        avant = fichier.read_bytes()
        for coupe in (b"", avant[:-32], avant[: len(avant) // 2]):
            fichier.write_bytes(coupe)
            assert verifier(dossier)[0], fichier.name
        fichier.unlink()
        assert verifier(dossier)[0], fichier.name
        fichier.write_bytes(avant)
    assert verifier(dossier) == ([], 1, 3)


def test_ce_qui_manque_a_l_archive_est_dit(archive: tuple[Path, Cloture]) -> None:
    """Un point ôté, ou tout l'arbre : sans eux rien ne mène plus à une signature."""
    dossier, _ = archive
    point = dossier / PREMIER.isoformat() / "point.txt"
    avant = point.read_bytes()
    point.unlink()
    [faute] = verifier(dossier)[0]
    assert "son point signé manque" in faute
    point.write_bytes(avant)
    rmtree(dossier / "arbre")
    [faute] = verifier(dossier)[0]
    assert "l'arbre manque" in faute
