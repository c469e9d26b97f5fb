"""L'heure qu'un tiers dit d'un point signé : demandée de temps en temps, portée par la preuve, vérifiée par openssl."""

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.database import Database
from preuve import stamped, verificateur, witnessing
from preuve.balance import prove
from preuve.notes import KeyType, Signer
from service.point_stamps import stamp_point
from service.settings import Settings
from service.timestamping import NoTimestamp
from tests.arretes.autorite import Autorite, autorite
from tests.outils import commande
from tests.preuve.test_preuve import FAITS, REFERENCE, ecrire_des_faits
from tests.preuve.test_preuve_javascript import juger
from tests.preuve.test_sceau import SCEAU, noter, sceller

TEMOIN = Signer("temoin.example/un", KeyType.COSIGNATURE, Ed25519PrivateKey.from_private_bytes(b"t" * 32))


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Autorite]:
    with autorite(tmp_path_factory.mktemp("tsa")) as une:
        yield une


@pytest.fixture
def conn(base: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(base.url, autocommit=True) as ouverte:
        ecrire_des_faits(ouverte, *FAITS[:3])
        sceller(ouverte)
        yield ouverte


def horodater(base: Any, tsa: Autorite, toutes_les: timedelta = timedelta(microseconds=1)) -> int | None:
    reglages = Settings(
        _env_file=None, database_url=base.url, tsa_url=tsa.url, tsa_roots=tsa.racines, tsa_interval=toutes_les
    )
    with Database(base.url) as ouverte:
        return stamp_point(reglages, ouverte)


def cle(conn: psycopg.Connection[Any]) -> str:
    (epoque,) = conn.execute("SELECT max(nom) FROM journal.epoques").fetchone() or ("",)
    return str(SCEAU.signer(epoque).verifier)


def cosigner(conn: psycopg.Connection[Any]) -> None:
    point = witnessing.last_point(conn)
    assert point is not None
    witnessing.keep(conn, point, TEMOIN.name, TEMOIN.line(point.checkpoint.text, 1_800_000_000))


def openssl(preuve: bytes, dit: str, tsa: Autorite, dossier: Path) -> bool:
    """Ce que la phrase du vérificateur dit de lancer, à la lettre."""
    [empreinte] = re.findall(r"openssl ts -verify -digest ([0-9a-f]{64})\.", dit)
    (dossier / "jeton.tsr").write_bytes(base64.b64decode(json.loads(preuve)["jeton"]))
    commande = ["openssl", "ts", "-verify", "-digest", empreinte, "-in", "jeton.tsr", "-CAfile", str(tsa.racines)]
    return subprocess.run(commande, cwd=dossier, capture_output=True, check=False).returncode == 0


def test_une_preuve_porte_l_heure_de_son_point(
    base: Any, conn: psycopg.Connection[Any], tsa: Autorite, tmp_path: Path
) -> None:
    sans = prove(conn, SCEAU.secret, REFERENCE)
    assert json.loads(sans)["format"] == "creances-preuve-1"
    assert "jeton" not in json.loads(sans)
    taille = horodater(base, tsa)
    noter(conn, "d'après")
    sceller(conn)
    preuve = prove(conn, SCEAU.secret, REFERENCE)
    dit = verificateur.verifier(preuve, [cle(conn)])
    assert f", {taille} lignes. Son heure est à vérifier" in dit, "sous le point horodaté, pas sous le dernier"
    assert juger([preuve], [cle(conn)]) == [(True, dit)]
    assert openssl(preuve, dit, tsa, tmp_path)


def test_un_fait_d_apres_le_dernier_jeton_est_prouve_sans_heure(
    base: Any, conn: psycopg.Connection[Any], tsa: Autorite
) -> None:
    horodater(base, tsa)
    ecrire_des_faits(conn, FAITS[3])
    sceller(conn)
    assert "jeton" not in json.loads(prove(conn, SCEAU.secret, REFERENCE))
    horodater(base, tsa)
    assert "jeton" in json.loads(prove(conn, SCEAU.secret, REFERENCE))


def test_un_point_vu_par_un_temoin_passe_avant_un_point_horodate(
    base: Any, conn: psycopg.Connection[Any], tsa: Autorite
) -> None:
    def prouver() -> Any:
        return json.loads(prove(conn, SCEAU.secret, REFERENCE, witnesses=[TEMOIN.verifier]))

    horodater(base, tsa)
    assert prouver()["format"] == "creances-preuve-2", "aucun témoin n'a rien vu"
    noter(conn, "vue")
    sceller(conn)
    cosigner(conn)
    assert (prouver()["format"], TEMOIN.name in prouver()["point"]) == ("creances-preuve-1", True)
    noter(conn, "pas encore vue")
    sceller(conn)
    horodater(base, tsa)
    assert (prouver()["format"], TEMOIN.name in prouver()["point"]) == ("creances-preuve-2", True), "l'un et l'autre"


def test_l_heure_n_est_demandee_ni_trop_souvent_ni_deux_fois_du_meme_point(
    base: Any, conn: psycopg.Connection[Any], tsa: Autorite
) -> None:
    assert horodater(base, tsa) is not None
    assert horodater(base, tsa) is None, "le même point"
    noter(conn, "une de plus")
    sceller(conn)
    assert horodater(base, tsa, timedelta(hours=1)) is None
    assert horodater(base, tsa) is not None


def test_sans_autorite_ou_si_elle_se_tait_rien_n_est_garde(
    base: Any, conn: psycopg.Connection[Any], tsa: Autorite
) -> None:
    with Database(base.url) as ouverte:
        assert stamp_point(Settings(_env_file=None, database_url=base.url), ouverte) is None
    tsa.muette = True
    try:
        with pytest.raises(NoTimestamp):
            horodater(base, tsa)
    finally:
        tsa.muette = False
    assert conn.execute("SELECT count(*) FROM journal.jetons_de_point").fetchone() == (0,)


def test_le_role_qui_arrete_les_journees_peut_garder_l_heure_d_un_point(
    base: Any, conn: psycopg.Connection[Any], tsa: Autorite
) -> None:
    cosigner(conn)
    with Database(base.url) as ouverte, ouverte.transaction() as une:
        une.execute("SET LOCAL ROLE creances_relance")
        point = stamped.due(une, timedelta())
        assert point is not None
        stamped.keep(une, point, tsa.url, datetime.now(UTC), b"jeton")
        assert stamped.due(une, timedelta()) is None


def test_un_jeton_d_un_autre_point_ou_ote_est_vu_des_deux(
    base: Any, conn: psycopg.Connection[Any], tsa: Autorite, tmp_path: Path
) -> None:
    horodater(base, tsa)
    avant = json.loads(prove(conn, SCEAU.secret, REFERENCE))
    noter(conn, "une de plus")
    sceller(conn)
    horodater(base, tsa)
    preuve = json.loads(prove(conn, SCEAU.secret, REFERENCE))
    assert preuve["jeton"] != avant["jeton"]
    sans = {nom: valeur for nom, valeur in preuve.items() if nom != "jeton"}
    fausses = [
        preuve | {"jeton": avant["jeton"]},
        preuve | {"point": avant["point"]},
        preuve | {"jeton": ""},
        preuve | {"jeton": None},
        preuve | {"jeton": [preuve["jeton"]]},
        preuve | {"format": "creances-preuve-1"},
        sans,
        sans | {"format": "creances-preuve-1", "jeton": ""},
        sans | {"heure": preuve["jeton"]},
    ]
    ecrites = [verificateur.ecrire(une) for une in fausses]
    for une in ecrites:
        with pytest.raises(verificateur.PreuveFausse):
            verificateur.verifier(une, [cle(conn)])
    assert [oui for oui, _ in juger(ecrites, [cle(conn)])] == [False] * len(ecrites)
    # Un jeton qui porte la bonne empreinte et que l'autorité n'a pas signé : la preuve du solde vaut, openssl dit non.
    dit = verificateur.verifier(verificateur.ecrire(preuve), [cle(conn)])
    octets = bytearray(base64.b64decode(preuve["jeton"]))
    octets[-5] ^= 1
    tordue = verificateur.ecrire(preuve | {"jeton": base64.b64encode(octets).decode()})
    assert verificateur.verifier(tordue, [cle(conn)]) == dit
    assert not openssl(tordue, dit, tsa, tmp_path)


def test_un_jeton_qui_n_est_plus_celui_du_point_n_ote_pas_la_preuve(
    base: Any, conn: psycopg.Connection[Any], tsa: Autorite
) -> None:
    horodater(base, tsa)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.jetons_de_point DISABLE TRIGGER ajout_seul")
        proprietaire.execute("UPDATE journal.jetons_de_point SET jeton = 'autre'")
    preuve = prove(conn, SCEAU.secret, REFERENCE)
    assert "Son heure" not in verificateur.verifier(preuve, [cle(conn)])


@pytest.mark.usefixtures("conn")
def test_un_jeton_change_dans_la_base_est_vu_par_l_audit(base: Any, tsa: Autorite) -> None:
    def ecarts() -> list[str]:
        dit = commande("audit", "--json", database_url=base.url, tsa_url=tsa.url, tsa_roots=tsa.racines)
        return [ecart for ecart in json.loads(dit.stdout)["ecarts"] if "horodatage" in ecart]

    taille = horodater(base, tsa)
    assert ecarts() == []
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.jetons_de_point DISABLE TRIGGER ajout_seul")
        proprietaire.execute("UPDATE journal.jetons_de_point SET jeton = set_byte(jeton, length(jeton) - 5, 0)")
        proprietaire.execute("ALTER TABLE journal.jetons_de_point ENABLE ALWAYS TRIGGER ajout_seul")
    [ecart] = ecarts()
    assert ecart.startswith(f"point de {taille} lignes de {SCEAU.origin}/")
