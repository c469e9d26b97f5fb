"""La preuve d'un solde : elle convainc sans nous, et rien n'y change sans qu'on le voie."""

import ast
import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve import verificateur
from preuve.balance import NothingSealed, NotYetSealed, RowNotSealed, Unprovable, prove
from preuve.notes import KeyType, Signer
from tests.conftest import Serveurs, nouvelle_base
from tests.consumers.banc import avis, banc
from tests.outils import RACINE
from tests.preuve.test_sceau import SCEAU, noter, sceller

REFERENCE: Final = "3811701200010075F"
BITS_RETOURNES: Final = 10_000


def ecrire_des_faits(conn: psycopg.Connection[Any], *faits: tuple[str, dict[str, object]]) -> None:
    for topic, etat in faits:
        conn.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause)"
            " SELECT %(f)s, 1 + count(*), %(t)s, %(e)s, 'essai' FROM journal.evenements WHERE flux = %(f)s",
            {"f": f"creance-{REFERENCE}", "t": f"creance.{topic}", "e": json.dumps(etat).encode()},
        )


FAITS: Final[tuple[tuple[str, dict[str, object]], ...]] = (
    ("AvisEmis", {"montant_initial": 87_09, "reference": REFERENCE}),
    ("PaiementInitie", {"transaction": "T1", "part": 20_00}),
    ("PaiementAccepte", {"transaction": "T1", "part": 20_00}),
    ("PaiementAffiche", {"transaction": "T1"}),
    ("AvisRectifie", {"montant_initial": 50_00, "montant_precedent": 87_09}),
    ("EncaissementRecu", {"montant": 12_34}),
    ("PaiementInitie", {"transaction": "T2", "part": 5_00}),
)


class Scelle:
    """Un journal scellé, dont une créance de sept faits."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.conn = psycopg.connect(base.url, autocommit=True)
        for numero in range(300):
            noter(self.conn, f"avant {numero}")
        for fait in FAITS:
            ecrire_des_faits(self.conn, fait)
            sceller(self.conn)
        (self.epoque,) = self.conn.execute("SELECT max(nom) FROM journal.epoques").fetchone() or ("",)
        self.cle = str(SCEAU.signer(self.epoque).verifier)

    def prouver(self) -> bytes:
        return prove(self.conn, SCEAU.secret, REFERENCE)


@pytest.fixture(scope="module")
def scelle(serveurs: Serveurs) -> Iterator[Scelle]:
    with nouvelle_base(serveurs) as base:
        fait = Scelle(base)
        yield fait
        fait.conn.close()


@pytest.fixture(scope="module")
def preuve(scelle: Scelle) -> bytes:
    return scelle.prouver()


def test_une_preuve_convainc_et_dit_le_calcul(scelle: Scelle, preuve: bytes) -> None:
    dit = verificateur.verifier(preuve, [scelle.cle])
    assert dit.startswith(f"Oui : {REFERENCE} doit 17,66 €. Complet jusqu'à la version 7, à la position ")
    lue = json.loads(preuve)
    assert (lue["restant_du_centimes"], lue["en_cours_centimes"], lue["version"]) == (17_66, 5_00, 7)
    assert lue["calcul"][2] == "3. PaiementAccepte : 87,09 € - 20,00 € = 67,09 €"


def test_dix_mille_bits_retournes_ne_convainquent_personne(scelle: Scelle, preuve: bytes) -> None:
    hasard = random.Random(17)  # noqa: S311  a test's
    acceptes = []
    for bit in hasard.sample(range(8 * len(preuve)), BITS_RETOURNES):
        autre = bytearray(preuve)
        autre[bit // 8] ^= 1 << bit % 8
        try:
            verificateur.verifier(bytes(autre), [scelle.cle])
            acceptes.append(bit)
        except verificateur.PreuveFausse:
            pass
    assert acceptes == []


def _change(preuve: bytes, **champs: object) -> bytes:
    return verificateur.ecrire(json.loads(preuve) | champs)


def _sans(preuve: bytes, rang: int) -> bytes:
    lue = json.loads(preuve)
    del lue["faits"][rang]
    return verificateur.ecrire(lue)


def _fait(preuve: bytes, **champs: object) -> bytes:
    lue = json.loads(preuve)
    lue["faits"][2] |= champs
    return verificateur.ecrire(lue)


FAUX: Final[tuple[tuple[Any, str], ...]] = (
    (lambda p: _change(p, restant_du_centimes=0), "« restant_du_centimes » n'est pas ce que disent les faits"),
    (lambda p: _change(p, restant_du_centimes=1766.0), "un nombre n'est pas entier"),
    (lambda p: _change(p, version=8), "« version »"),
    (lambda p: _change(p, phrase="Complet."), "« phrase »"),
    (lambda p: _change(p, remise={}), "ce qu'elle doit dire, et cela seul"),
    (lambda p: _change(p, creance="3811701200010076G"), "le fait 1 n'est pas de cette créance"),
    (lambda p: _sans(p, 2), "il manque le fait 3"),
    (lambda p: _sans(p, 6), "« calcul, en_cours_centimes, phrase, position, version »"),
    (lambda p: _change(p, faits=[]), "la preuve ne porte aucun fait"),
    (lambda p: _fait(p, sel="A" * 43 + "="), "le fait 3 n'est pas dans l'arbre signé"),
    (lambda p: _fait(p, feuille=True), "un nombre n'est pas entier"),
    (lambda p: _fait(p, feuille=-1), "une feuille est hors de l'arbre"),
    (lambda p: _fait(p, chemin=[]), "n'est pas une preuve"),
    (lambda p: _fait(p, sel=""), "l'événement ou le sel 3 n'en est pas un"),
    (lambda p: _fait(p, sel="AB=="), "un champ en base64 n'est pas écrit comme il se doit"),
    (lambda p: p.replace(b"\n", b"\n ", 1), "le fichier n'est pas écrit comme il se doit"),
    (lambda _: b"[" * 100_000, "n'est pas une preuve"),
    (lambda _: b"{}\n", "n'est pas une preuve"),
    (lambda _: b"\xff", "n'est pas une preuve"),
)
"""Une preuve changée, et ce qui en est dit."""


@pytest.mark.parametrize(("geste", "dit"), FAUX)
def test_ce_qui_est_faux_est_dit_en_une_phrase(scelle: Scelle, preuve: bytes, geste: Any, dit: str) -> None:
    with pytest.raises(verificateur.PreuveFausse) as faux:
        verificateur.verifier(geste(preuve), [scelle.cle])
    assert dit in str(faux.value)


def test_la_cle_d_un_autre_ou_aucune_ne_suffit_pas(scelle: Scelle, preuve: bytes) -> None:
    autre = Signer(SCEAU.signer(scelle.epoque).name, KeyType.NOTE, Ed25519PrivateKey.generate()).verifier
    for cles in ([], [str(autre)]):
        with pytest.raises(verificateur.PreuveFausse, match="dont la clé n'est pas donnée"):
            verificateur.verifier(preuve, cles)


def test_un_temoin_dont_la_cle_est_donnee_est_nomme_et_un_inconnu_refuse(scelle: Scelle, preuve: bytes) -> None:
    temoin = Signer("temoin.example/un", KeyType.COSIGNATURE, Ed25519PrivateKey.generate())
    lue = json.loads(preuve)
    texte = lue["point"].rpartition("\n\n")[0] + "\n"
    lue["point"] += temoin.line(texte, 1_800_000_000)
    vu = verificateur.ecrire(lue)
    assert verificateur.verifier(vu, [scelle.cle, str(temoin.verifier)]).endswith("vu par temoin.example/un.")
    with pytest.raises(verificateur.PreuveFausse, match="temoin"):
        verificateur.verifier(vu, [scelle.cle])


def test_le_verificateur_se_suffit_et_tient_en_deux_cents_lignes(scelle: Scelle, preuve: bytes, tmp_path: Path) -> None:
    source = (RACINE / "preuve/verificateur.py").read_text("utf-8")
    assert len(source.splitlines()) < 200
    noms = {
        (noeud.module if isinstance(noeud, ast.ImportFrom) else noeud.names[0].name).partition(".")[0]  # type: ignore[union-attr]
        for noeud in ast.walk(ast.parse(source))
        if isinstance(noeud, ast.Import | ast.ImportFrom)
    }
    assert noms - sys.stdlib_module_names == {"cryptography"}
    (tmp_path / "verificateur.py").write_text(source, "utf-8")
    (tmp_path / "preuve.json").write_bytes(preuve)
    (tmp_path / "cle").write_text(scelle.cle, "utf-8")
    for fichier, code, dit in (("preuve.json", 0, "Oui : "), ("cle", 1, "Non : "), ("absent", 2, "Illisible")):
        fini = subprocess.run(
            [sys.executable, "-I", "verificateur.py", fichier, "cle"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (fini.returncode, dit in fini.stdout) == (code, True), fini.stdout + fini.stderr


def test_un_fait_pas_encore_scelle_attend_et_une_creance_inconnue_n_a_pas_de_preuve(base: Any) -> None:
    with psycopg.connect(base.url, autocommit=True) as conn:
        with pytest.raises(NothingSealed):
            prove(conn, SCEAU.secret, REFERENCE)
        ecrire_des_faits(conn, *FAITS[:3])
        with pytest.raises(NotYetSealed):
            prove(conn, SCEAU.secret, REFERENCE)
        sceller(conn)
        ecrire_des_faits(conn, *FAITS[3:])
        lue = json.loads(prove(conn, SCEAU.secret, REFERENCE))
        assert (lue["version"], lue["restant_du_centimes"]) == (3, 67_09)


def test_un_fait_change_n_a_pas_de_preuve(base: Any) -> None:
    with (
        psycopg.connect(base.url, autocommit=True) as conn,
        psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire,
    ):
        ecrire_des_faits(conn, *FAITS[:3])
        sceller(conn)
        proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
        proprietaire.execute("UPDATE journal.evenements SET cause = 'autre' WHERE version = 3")
        with pytest.raises(RowNotSealed):
            prove(conn, SCEAU.secret, REFERENCE)


@pytest.mark.parametrize(
    "geste",
    [
        "UPDATE journal.evenements SET etat = '{' WHERE version = 3",
        "UPDATE journal.evenements SET etat = '\\xff' WHERE version = 3",
        "UPDATE journal.evenements SET etat = '{}' WHERE version = 3",
        "UPDATE journal.evenements SET etat = '[]' WHERE version = 1",
        "UPDATE journal.evenements SET topic = 'creance.Inconnu' WHERE version = 3",
    ],
)
def test_un_fait_scelle_que_nul_ne_lit_n_a_pas_de_preuve(base: Any, geste: str) -> None:
    """Changé avant le sceau, par qui possède la base : il est bien ce qui a été scellé."""
    with (
        psycopg.connect(base.url, autocommit=True) as conn,
        psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire,
    ):
        ecrire_des_faits(conn, *FAITS[:3])
        proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
        proprietaire.execute(geste.encode())
        sceller(conn)
        with pytest.raises(Unprovable):
            prove(conn, SCEAU.secret, REFERENCE)


@pytest.mark.parametrize("note", ["rien", "a\n\n\u2014 b AAAAAA==\n"])
def test_un_point_qui_n_en_est_plus_un_ne_porte_pas_de_preuve(base: Any, note: str) -> None:
    with (
        psycopg.connect(base.url, autocommit=True) as conn,
        psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire,
    ):
        ecrire_des_faits(conn, *FAITS[:3])
        sceller(conn)
        proprietaire.execute("ALTER TABLE journal.points DISABLE TRIGGER ajout_seul")
        proprietaire.execute("UPDATE journal.points SET note = %s", (note,))
        with pytest.raises(Unprovable):
            prove(conn, SCEAU.secret, REFERENCE)


def test_la_preuve_d_un_vrai_avis_dit_ce_que_dit_la_vue(base: Any, kafka: str, prefixe: str) -> None:
    with banc(base.url, kafka, prefixe) as b, psycopg.connect(base.url, autocommit=True) as conn:
        b.emettre_avis(avis(1))
        b.consommer("avis", 1)
        b.projeter()
        sceller(conn)
        reference, solde, version = conn.execute(
            "SELECT reference, solde, version FROM vues.restant_du"
        ).fetchone() or ("", 0, 0)
        lue = json.loads(prove(conn, SCEAU.secret, reference))
        assert (lue["restant_du_centimes"], lue["version"]) == (solde, version)
        assert base64.b64decode(lue["faits"][0]["ligne"])


def test_l_exemple_de_la_page_dit_ce_que_dit_le_verificateur() -> None:
    docs = RACINE / "docs"
    page = (docs / "preuve.md").read_text("utf-8")
    exemple, cle = (docs / "preuve-exemple.json").read_bytes(), (docs / "preuve-exemple.vkey").read_text("utf-8")
    assert f"\n{verificateur.verifier(exemple, [cle])}\n" in page
    faux = exemple.replace(b'"restant_du_centimes": 6709', b'"restant_du_centimes": 0')
    with pytest.raises(verificateur.PreuveFausse) as refus:
        verificateur.verifier(faux, [cle])
    assert f"\nNon : {refus.value}.\n" in page
    for phrase in (json.loads(exemple)["calcul"][0], json.loads(exemple)["calcul"][2]):
        assert f"`{phrase}`" in page
