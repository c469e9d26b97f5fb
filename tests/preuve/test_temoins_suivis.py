"""Le rôle qui fait cosigner : ce qu'il garde, ce qu'il dit, et qu'aucun témoin n'arrête le sceau."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve import verificateur, witnessing
from preuve.balance import prove
from preuve.checkpoints import Checkpoint
from preuve.notes import KeyType, Signer, Verifier, read, split
from preuve.seal import log_name
from preuve.witness import Witness
from preuve.witness_client import Caller
from preuve.witness_protocol import Answer, Cosigned, KnowsSize, Request, Stranger, Unusable, read_answer
from preuve.witness_role import PREFIX, WitnessRole
from publication.epoques import ouvrir_epoque
from tests.outils import attendre
from tests.preuve.temoins import CLE_DU_TEMOIN
from tests.preuve.test_preuve import FAITS, REFERENCE, ecrire_des_faits
from tests.preuve.test_sceau import PUBLIQUE, SCEAU, noter, sceller
from tests.serveurs import goutte_a_goutte

UN = Signer("temoin.example/un", KeyType.COSIGNATURE, CLE_DU_TEMOIN)


@pytest.fixture
def conn(base: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(base.url, autocommit=True) as ouverte:
        yield ouverte


@pytest.fixture
def temoin(tmp_path: Path) -> Iterator[Witness]:
    ouvert = Witness(tmp_path / "etat.db", UN, {SCEAU.origin: [PUBLIQUE]})
    yield ouvert
    ouvert.close()


def direct(temoin: Witness) -> Callable[[Request], Answer]:
    """Le témoin, sans réseau."""

    def envoyer(demande: Request) -> Answer:
        dit = temoin.add_checkpoint(demande.body)
        return read_answer(dit.status, dit.text.encode())

    return envoyer


def role(base: Any, envoyer: Callable[[Request], Answer], **options: Any) -> WitnessRole:
    return WitnessRole(base.url, UN.verifier, envoyer, interval_s=0.05, **options)


def etat(conn: psycopg.Connection[Any]) -> tuple[str, str]:
    ligne = conn.execute("SELECT etat, derniere_erreur FROM vues.suiveurs WHERE nom = %s", (PREFIX + UN.name,))
    return ligne.fetchone() or ("", "")


def refus(conn: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return conn.execute("SELECT taille, connue, vu FROM journal.refus_de_temoins ORDER BY rang").fetchall()


def cles(conn: psycopg.Connection[Any]) -> list[Verifier]:
    point = witnessing.last_point(conn)
    assert point
    return [SCEAU.signer(point.epoch).verifier, UN.verifier]


def perdre_la_fin(base: Any, taille: int) -> None:
    """Ce que fait une sauvegarde restaurée : le journal et son sceau s'arrêtent là, comme si rien n'avait suivi."""
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        for table in ("sceaux", "noeuds", "points", "cosignatures", "notes"):
            proprietaire.execute(f"ALTER TABLE journal.{table} DISABLE TRIGGER ajout_seul".encode())
        (jusqu_a,) = proprietaire.execute(
            "SELECT jusqu_a FROM journal.sceaux WHERE taille = %s", (taille,)
        ).fetchone() or (0,)
        proprietaire.execute("DELETE FROM journal.cosignatures WHERE taille > %s", (taille,))
        proprietaire.execute("DELETE FROM journal.points WHERE taille > %s", (taille,))
        proprietaire.execute("DELETE FROM journal.sceaux WHERE taille > %s", (taille,))
        proprietaire.execute("DELETE FROM journal.notes WHERE ecrit_par > %s", (jusqu_a,))


def grandir(conn: psycopg.Connection[Any], *textes: str) -> int:
    for texte in textes:
        noter(conn, texte)
    sceller(conn)
    point = witnessing.last_point(conn)
    assert point
    return point.size


def test_chaque_etat_est_cosigne_et_le_point_le_porte(
    base: Any, conn: psycopg.Connection[Any], temoin: Witness
) -> None:
    suivi = role(base, direct(temoin))
    suivi.look(conn)
    assert witnessing.cosigned_checkpoint(conn) is None
    taille = 0
    for texte in ("une", "deux", "trois"):
        taille = grandir(conn, texte)
        suivi.look(conn)
        note = witnessing.cosigned_checkpoint(conn)
        assert note
        lue = read(note, cles(conn))
        assert (Checkpoint.parse(lue.text).size, len(lue.signers), len(lue.cosignatures)) == (taille, 1, 1)
    assert witnessing.cosigned_checkpoint(conn, at_least=2) is None
    [place] = witnessing.standings(conn, [UN.name])
    assert (place.size, place.leaves, place.refuses) == (taille, 0, False)
    role(base, direct(temoin)).look(conn)  # Un autre processus, qui n'a rien retenu.
    assert conn.execute("SELECT count(*) FROM journal.cosignatures").fetchone() == (3,)
    assert (etat(conn)[0], refus(conn)) == ("actif", [])


def test_un_journal_revenu_en_arriere_est_refuse_meme_s_il_ne_grandit_pas(
    base: Any, conn: psycopg.Connection[Any], temoin: Witness
) -> None:
    ancienne = grandir(conn, "avant")
    role(base, direct(temoin)).look(conn)
    perdue = grandir(conn, "perdue")
    role(base, direct(temoin)).look(conn)
    perdre_la_fin(base, ancienne)

    suivi = role(base, direct(temoin))
    suivi.look(conn)
    assert refus(conn) == [(ancienne, perdue, None)]
    assert etat(conn)[0] == "arrete"
    assert f"connaît {perdue} feuilles" in etat(conn)[1]
    suivi.look(conn)
    assert len(refus(conn)) == 1, "dit une fois"
    grandie = grandir(conn, "d'une", "autre", "suite")
    suivi.look(conn)
    assert grandie > perdue, "le sceau n'attend personne"
    assert [place.refuses for place in witnessing.standings(conn, [UN.name])] == [True]
    assert witnessing.cosigned_size(conn, witnessing.last_point(conn).epoch, UN.name) == ancienne  # type: ignore[union-attr]

    ouvrir_epoque(conn, "sauvegarde restaurée")
    grandir(conn, "sous la nouvelle époque")
    suivi.look(conn)
    note = witnessing.cosigned_checkpoint(conn)
    assert note
    assert len(read(note, cles(conn)).cosignatures) == 1
    assert [place.refuses for place in witnessing.standings(conn, [UN.name])] == [False]


def test_l_etat_abandonne_est_garde_des_qu_il_est_retrouve(
    base: Any, conn: psycopg.Connection[Any], temoin: Witness
) -> None:
    ancienne = grandir(conn, "avant")
    grandir(conn, "perdue")
    role(base, direct(temoin)).look(conn)
    perdu = witnessing.cosigned_checkpoint(conn)
    assert perdu
    point = witnessing.last_point(conn)
    assert point
    perdre_la_fin(base, ancienne)
    trouves: list[str | None] = [None, perdu, perdu]
    suivi = role(base, direct(temoin), recall=lambda _conn, _point: trouves.pop(0))
    for _ in range(4):
        suivi.look(conn)
    assert [vu for _, _, vu in refus(conn)] == [None, perdu], "une fois sans, une fois avec, et plus jamais"
    trusted = [SCEAU.signer(point.epoch).verifier]
    assert witnessing.contradicts(conn, point.epoch, perdu, trusted)


def test_seul_un_etat_que_notre_cle_a_signe_et_que_l_arbre_ne_continue_pas_contredit(
    conn: psycopg.Connection[Any],
) -> None:
    taille = grandir(conn, "une", "deux")
    point = witnessing.last_point(conn)
    assert point
    cle = [SCEAU.signer(point.epoch).verifier]

    def signe(combien: int, racine: bytes, cle_de: Any = SCEAU.private, epoque: str = point.epoch) -> str:
        texte = Checkpoint(log_name(SCEAU.origin, epoque), combien, racine).text
        return f"{texte}\n{Signer(log_name(SCEAU.origin, epoque), KeyType.NOTE, cle_de).line(texte)}"

    racine = point.checkpoint.root
    assert not witnessing.contradicts(conn, point.epoch, point.note, cle)
    assert not witnessing.contradicts(conn, point.epoch, "rien", cle)
    assert not witnessing.contradicts(conn, point.epoch, signe(taille + 1, racine, CLE_DU_TEMOIN), cle)
    assert not witnessing.contradicts(conn, point.epoch, signe(taille + 1, racine, epoque="20200101T000000Z"), cle)
    assert witnessing.contradicts(conn, point.epoch, signe(taille + 1, racine), cle)
    assert witnessing.contradicts(conn, point.epoch, signe(taille, b"\x01" * 32), cle)


def test_ce_qu_un_autre_processus_a_montre_entre_temps_n_est_pas_un_refus(
    base: Any, conn: psycopg.Connection[Any], temoin: Witness
) -> None:
    grandir(conn, "une")

    def envoyer(demande: Request) -> Answer:
        grandir(conn, "une autre, montrée par un autre")
        role(base, direct(temoin)).look(conn)
        return direct(temoin)(demande)

    assert role(base, envoyer).look(conn) == 0.0
    assert refus(conn) == []


@pytest.mark.parametrize(
    "reponse",
    [
        Unusable("ne répond pas"),
        Stranger(404),
        Cosigned("— temoin.example/un AAAA\n"),
        Cosigned(""),
        KnowsSize(0),
    ],
    ids=str,
)
def test_un_temoin_absent_inconnu_ou_menteur_ne_retarde_que_ses_cosignatures(
    base: Any, conn: psycopg.Connection[Any], temoin: Witness, reponse: Answer
) -> None:
    muet = True
    suivi = role(base, lambda demande: reponse if muet else direct(temoin)(demande))
    taille = grandir(conn, "une")
    assert suivi.look(conn) > 0
    assert witnessing.cosigned_checkpoint(conn) is None
    [place] = witnessing.standings(conn, [UN.name])
    assert (place.leaves, place.refuses, etat(conn)[0]) == (taille, False, "arrete")
    assert UN.name in etat(conn)[1]
    assert grandir(conn, "deux") > taille, "le sceau continue"
    muet = False
    suivi.look(conn)
    [place] = witnessing.standings(conn, [UN.name])
    assert (place.leaves, etat(conn)[0]) == (0, "actif")


def test_le_role_de_la_base_qui_scelle_peut_garder_ce_que_dit_un_temoin(
    base: Any, conn: psycopg.Connection[Any], temoin: Witness
) -> None:
    ancienne = grandir(conn, "une")
    grandir(conn, "deux")
    with psycopg.connect(base.url, autocommit=True) as seul:
        seul.execute("SET ROLE creances_sceau")
        role(base, direct(temoin)).look(seul)
        perdre_la_fin(base, ancienne)
        role(base, direct(temoin)).look(seul)
    assert len(refus(conn)) == 1


def test_le_temoin_est_suivi_jusqu_a_l_arret(base: Any, conn: psycopg.Connection[Any], temoin: Witness) -> None:
    taille = grandir(conn, "une")
    arret = threading.Event()
    fil = threading.Thread(target=role(base, direct(temoin)).run, args=(arret,))
    fil.start()
    try:
        epoque = split(witnessing.last_point(conn).note)[0].split("\n")[0].rpartition("/")[2]  # type: ignore[union-attr]
        attendre(lambda: witnessing.cosigned_size(conn, epoque, UN.name) == taille, quoi="la cosignature")
        plus = grandir(conn, "deux")
        attendre(lambda: witnessing.cosigned_size(conn, epoque, UN.name) == plus, quoi="la suivante")
    finally:
        arret.set()
        fil.join(30)
    assert not fil.is_alive()
    assert etat(conn)[0] == "inactif"


def test_un_temoin_qui_traine_est_quitte_au_bout_du_temps_dit() -> None:
    with goutte_a_goutte(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Attente: ") as port:
        appel = Caller(f"http://127.0.0.1:{port}", within_s=0.3)
        demande = Request(0, (), "rien\n\n— a b\n")
        assert appel(demande) == Unusable("n'a pas répondu en 0.3 s")
        assert appel(demande) == Unusable("n'en finit pas de répondre à la demande d'avant")


def test_ce_qui_n_est_pas_un_temoin_est_dit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as libre:
        port = libre.getsockname()[1]
    assert isinstance(Caller(f"http://127.0.0.1:{port}")(Request(0, (), "")), Unusable)
    assert isinstance(Caller("http://[")(Request(0, (), "")), Unusable)


def test_un_retard_d_accord_est_celui_du_temoin_qui_manque() -> None:
    assert witnessing.without_agreement_s([5.0, 0.0, 9.0], 1) == 0.0
    assert witnessing.without_agreement_s([5.0, 0.0, 9.0], 2) == 5.0
    assert witnessing.without_agreement_s([5.0, 0.0, 9.0], 3) == 9.0
    assert witnessing.without_agreement_s([], 1) == 0.0


def test_la_preuve_d_un_solde_porte_ce_que_nos_temoins_ont_cosigne(
    base: Any, conn: psycopg.Connection[Any], temoin: Witness
) -> None:
    for fait in FAITS[:3]:
        ecrire_des_faits(conn, fait)
    sceller(conn)
    role(base, direct(temoin)).look(conn)
    noter(conn, "d'autres, après")
    sceller(conn)

    def prouver(*temoins: Signer) -> tuple[dict[str, Any], list[str]]:
        faite = prove(conn, SCEAU.secret, REFERENCE, witnesses=[un.verifier for un in temoins])
        lue = json.loads(faite)
        verificateur.verifier(faite, [str(cles(conn)[0]), *(str(un.verifier) for un in temoins)])
        return lue, [nom for nom, _ in split(lue["point"])[1]]

    epoque = cles(conn)[0].name
    lue, signee = prouver(UN)
    assert (lue["version"], signee) == (3, [epoque, UN.name])
    tourne = Signer(UN.name, KeyType.COSIGNATURE, Ed25519PrivateKey.generate())
    for temoins in ((), (Signer("temoin.example/autre", KeyType.COSIGNATURE, CLE_DU_TEMOIN),), (tourne,)):
        assert prouver(*temoins)[1] == [epoque]  # Qui vérifie n'a pas la clé de ces lignes.
    ecrire_des_faits(conn, FAITS[3])
    sceller(conn)
    lue, signee = prouver(UN)
    assert (lue["version"], signee) == (4, [epoque])  # Le dernier fait d'abord : le témoin ne l'a pas encore vu.
    role(base, direct(temoin)).look(conn)
    lue, signee = prouver(UN)
    assert (lue["version"], signee) == (4, [epoque, UN.name])
