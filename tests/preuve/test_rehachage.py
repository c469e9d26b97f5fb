"""Tout hacher de nouveau : ce qu'un propriétaire de la base a changé est trouvé, et nommé quand c'est encore là."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve.found import Fault, Rehashed
from preuve.helpers import Helpers
from preuve.rehash import rehash
from preuve.seal import SEALED_AT_ONCE, Sealer, Sealing, sign
from tests.preuve.test_sceau import PUBLIQUE, SCEAU, noter, sceller


class Altere:
    """Une base scellée, que son propriétaire peut changer sans qu'aucun déclencheur ne l'arrête."""

    def __init__(self, base: Any) -> None:
        self.service = psycopg.connect(base.url, autocommit=True)
        self.proprietaire = psycopg.connect(base.url_proprietaire, autocommit=True)
        self.proprietaire.execute("SET session_replication_role = replica")
        for (table,) in self.proprietaire.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'journal'::regnamespace AND relkind = 'r'"
        ).fetchall():
            self.proprietaire.execute(f"ALTER TABLE journal.{table} DISABLE TRIGGER ajout_seul".encode())

    def changer(self, sql: str) -> None:
        assert self.proprietaire.execute(sql.encode()).rowcount != 0, sql

    def verifier(self) -> Rehashed:
        return rehash(self.service, SCEAU.origin, SCEAU.secret, [PUBLIQUE])

    def fermer(self) -> None:
        self.service.close()
        self.proprietaire.close()


@pytest.fixture
def altere(base: Any) -> Iterator[Altere]:
    ouverte = Altere(base)
    ouverte.changer(
        "INSERT INTO journal.notes (objet, texte, auteur, ecrit_par) OVERRIDING SYSTEM VALUE"
        " SELECT 'ancienne', 'n° ' || n, 'moi', NULL FROM generate_series(1, 600) AS n"
    )
    sceller(ouverte.service)
    for numero in range(5):
        noter(ouverte.service, f"neuve {numero}")
        ouverte.service.execute(
            "INSERT INTO journal.cles_idempotence (auteur, cle, empreinte, reponse) VALUES ('a', %s, '\\x01', %s)",
            (f"k{numero}", json.dumps({"montant": 1, "é": [1.50, None, "x"], "a": numero})),
        )
        sceller(ouverte.service)
    yield ouverte
    ouverte.fermer()


def test_un_journal_restaure_dit_ou_il_en_est_et_ne_se_lit_pas_au_dela_du_sceau(altere: Altere) -> None:
    """Tout ce qui vient d'avant est d'un seul bloc ; ce qui n'est pas scellé se compte, sans se lire."""
    altere.service.execute(
        "INSERT INTO journal.notes (objet, texte, auteur) SELECT 'o', 't', 'moi' FROM generate_series(1, 20000)"
    )
    faites: list[tuple[str, int]] = []
    tracemalloc.start()
    trouve = rehash(
        altere.service,
        SCEAU.origin,
        SCEAU.secret,
        [PUBLIQUE],
        advance=lambda quoi, combien, _sur: faites.append((quoi, combien)),
    )
    _, sommet = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (trouve.count, trouve.unsealed) == (0, 20_000)
    assert sommet < 4 << 20, f"{sommet} octets"
    assert ("les lignes", 601) in faites, "les lignes d'avant, aussitôt comparées"


def test_ce_qui_n_a_pas_change_est_retrouve_et_la_suite_comptee(altere: Altere) -> None:
    noter(altere.service, "pas encore scellée")
    trouve = altere.verifier()
    assert (trouve.count, trouve.unsealed) == (0, 1)
    assert trouve.leaves == 600 + 10 + 1  # L'époque ouverte par les migrations.


@pytest.mark.parametrize(
    ("geste", "fautes", "nomme"),
    [
        (
            "UPDATE journal.notes SET texte = 'autre' WHERE texte = 'neuve 2'",
            {Fault.CHANGED, Fault.MISSING},
            "notes rang=",
        ),
        (
            "UPDATE journal.notes SET texte = 'autre' WHERE texte = 'n° 300'",
            {Fault.CHANGED, Fault.MISSING},
            "notes rang=",
        ),
        ("DELETE FROM journal.notes WHERE texte = 'n° 2'", {Fault.MISSING}, "feuille "),
        ("DELETE FROM journal.notes WHERE texte = 'neuve 2'", {Fault.MISSING}, "feuille "),
        (
            "UPDATE journal.cles_idempotence SET reponse = jsonb_set(reponse, '{montant}', '2') WHERE cle = 'k1'",
            {Fault.CHANGED, Fault.MISSING},
            "cles_idempotence auteur=a cle=k1",
        ),
        (
            "UPDATE journal.notes SET enregistre_le = enregistre_le + interval '1 microsecond' WHERE texte = 'neuve 4'",
            {Fault.CHANGED, Fault.MISSING},
            "notes rang=",
        ),
        (
            "UPDATE journal.notes SET ecrit_par = ecrit_par + 1 WHERE texte = 'neuve 1'",
            {Fault.CHANGED, Fault.MISSING},
            "notes rang=",
        ),
        (
            (
                "INSERT INTO journal.notes (objet, texte, auteur, ecrit_par)"
                " SELECT 'o', 'glissée', 'moi', ecrit_par FROM journal.notes WHERE texte = 'neuve 3'"
            ),
            {Fault.CHANGED},
            "notes rang=",
        ),
        (
            "INSERT INTO journal.notes (objet, texte, auteur, ecrit_par) VALUES ('o', 'glissée', 'moi', NULL)",
            {Fault.CHANGED},
            "notes rang=",
        ),
        (
            "UPDATE journal.notes SET auteur = 'lui' WHERE texte = 'n° 5'",
            {Fault.CHANGED, Fault.MISSING},
            "notes rang=",
        ),
        (
            "UPDATE journal.sceaux SET empreintes = set_byte(empreintes, 3, 7) WHERE avant = 601",
            {Fault.TREE},
            "sous-arbres",
        ),
        ("UPDATE journal.noeuds SET empreinte = set_byte(empreinte, 0, 7) WHERE numero = 1", {Fault.TREE}, "nœud 1"),
        ("DELETE FROM journal.noeuds WHERE numero = 0", {Fault.TREE}, "nœud 0"),
        ("DELETE FROM journal.sceaux WHERE avant = 603", {Fault.TREE}, "il manque les feuilles de 603"),
        ("UPDATE journal.points SET note = replace(note, 'creances', 'crEances')", {Fault.SIGNATURE}, "point de "),
        ("DELETE FROM journal.points WHERE taille = 603", {Fault.SIGNATURE}, "l'arbre de 603 feuilles"),
    ],
)
def test_ce_que_le_proprietaire_change_est_trouve(altere: Altere, geste: str, fautes: set[Fault], nomme: str) -> None:
    altere.changer(geste)
    trouve = altere.verifier()
    assert fautes <= {difference.fault for difference in trouve.differences}
    assert any(nomme in difference.where for difference in trouve.differences)


SANS_CONTRAINTE = """
DO $$ DECLARE une record; BEGIN
    FOR une IN SELECT conrelid::regclass AS nom, conname FROM pg_constraint
               WHERE connamespace = 'journal'::regnamespace AND contype = 'c' LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', une.nom, une.conname);
    END LOOP;
END $$
"""


@pytest.mark.parametrize(
    ("geste", "faute"),
    [
        ("UPDATE journal.sceaux SET empreintes = substring(empreintes FROM 1 FOR 31) WHERE avant = 603", Fault.TREE),
        ("UPDATE journal.sceaux SET empreintes = '' WHERE avant = 603", Fault.TREE),
        ("UPDATE journal.sceaux SET empreintes = empreintes || empreintes WHERE avant = 603", Fault.TREE),
        ("UPDATE journal.sceaux SET pics = '' WHERE avant = 609", Fault.TREE),
        ("UPDATE journal.sceaux SET taille = taille + 1 WHERE avant = 609", Fault.SIGNATURE),
        ("UPDATE journal.sceaux SET taille = 9223372036854775807 WHERE avant = 609", Fault.SIGNATURE),
        ("UPDATE journal.sceaux SET avant = -5 WHERE avant = 603", Fault.TREE),
        ("UPDATE journal.sceaux SET depuis = 0 WHERE avant = 603", Fault.TREE),
        ("UPDATE journal.sceaux SET jusqu_a = 9223372036854775807 WHERE avant = 603", Fault.TREE),
        ("UPDATE journal.sceaux SET jusqu_a = depuis WHERE avant = 603", Fault.TREE),
        ("UPDATE journal.sceaux SET position = 999", Fault.TREE),
        ("UPDATE journal.sceaux SET epoque = 'zzz'", Fault.MISSING),
        ("UPDATE journal.noeuds SET empreinte = '' WHERE numero = 0", Fault.TREE),
        (
            "UPDATE journal.points SET note = replace(note, E'\\n603\\n', E'\\n' || repeat('9', 5000) || E'\\n')",
            Fault.SIGNATURE,
        ),
        ("UPDATE journal.notes SET ecrit_par = NULL WHERE texte = 'neuve 2'", Fault.CHANGED),
        ("UPDATE journal.notes SET enregistre_le = 'infinity' WHERE texte = 'neuve 2'", Fault.CHANGED),
        ("UPDATE journal.cles_idempotence SET reponse = repeat('9', 9000)::jsonb WHERE cle = 'k1'", Fault.CHANGED),
        (
            "UPDATE journal.cles_idempotence SET reponse = (repeat('[', 3000) || repeat(']', 3000))::jsonb",
            Fault.CHANGED,
        ),
        ("ALTER TABLE journal.notes ADD COLUMN de_plus numeric DEFAULT 5", Fault.SHAPE),
        ("ALTER TABLE journal.notes ALTER COLUMN texte TYPE varchar", Fault.SHAPE),
        ("ALTER TABLE journal.notes DROP COLUMN rang CASCADE", Fault.SHAPE),
        ("ALTER TABLE journal.notes RENAME COLUMN ecrit_par TO autre", Fault.SHAPE),
        ("ALTER TABLE journal.notes RENAME COLUMN auteur TO autrice", Fault.CHANGED),
        ("ALTER TABLE journal.notes DROP COLUMN auteur CASCADE", Fault.CHANGED),
        ("ALTER TABLE journal.securite RENAME TO autre", Fault.SHAPE),
        ("DROP TABLE journal.securite CASCADE", Fault.SHAPE),
    ],
)
def test_ce_que_le_proprietaire_defait_est_dit_et_n_arrete_pas_le_controle(
    altere: Altere, geste: str, faute: Fault
) -> None:
    """Les contraintes ôtées d'abord : ce qui tient la base ne tient pas son propriétaire."""
    altere.changer(SANS_CONTRAINTE)
    altere.changer(geste)
    trouve = altere.verifier()
    assert faute in {difference.fault for difference in trouve.differences}


def test_ce_qu_aucun_json_ne_relit_se_scelle_quand_meme(altere: Altere) -> None:
    for cle, valeur in (("fond", "[" * 3_000 + "]" * 3_000), ("fin", "9" * 9_000), ("exposant", "1" + "0" * 900)):
        altere.service.execute(
            "INSERT INTO journal.cles_idempotence (auteur, cle, empreinte, reponse) SELECT 'a', %s, '', %s::jsonb",
            (cle, valeur),
        )
    sceller(altere.service)
    trouve = altere.verifier()
    assert (trouve.count, trouve.unsealed) == (0, 0)


def test_une_ligne_altere_n_accuse_qu_elle(altere: Altere) -> None:
    altere.changer("DELETE FROM journal.notes WHERE texte = 'n° 7'")
    altere.changer("UPDATE journal.notes SET texte = 'autre' WHERE texte = 'neuve 3'")
    trouve = altere.verifier()
    assert trouve.count == 3  # La feuille disparue ; la ligne altérée, et la feuille qu'elle n'a plus.


def test_un_arbre_recrit_et_signe_par_une_autre_cle_n_est_pas_cru(altere: Altere) -> None:
    faux = Sealing(SCEAU.origin, Ed25519PrivateKey.generate(), SCEAU.secret)
    for table in ("sceaux", "noeuds", "points"):
        altere.changer(f"DELETE FROM journal.{table}")  # noqa: S608
    sceller(altere.service, Sealer(faux))
    assert {difference.fault for difference in altere.verifier().differences} == {Fault.SIGNATURE}


def test_un_point_d_une_autre_taille_n_est_pas_l_etat_de_l_arbre(altere: Altere) -> None:
    (epoque,) = altere.service.execute("SELECT max(nom) FROM journal.epoques").fetchone() or ("",)
    note = sign(SCEAU, epoque, 603, b"\x00" * 32)
    altere.changer(f"UPDATE journal.points SET note = $${note}$$ WHERE taille = 603")  # noqa: S608
    assert [difference.fault for difference in altere.verifier().differences] == [Fault.SIGNATURE]


def test_un_grand_lot_scelle_en_plusieurs_fois_n_est_signe_qu_a_la_fin(base: Any) -> None:
    with psycopg.connect(base.url, autocommit=True) as conn:
        sceller(conn)
        conn.execute(
            "INSERT INTO journal.notes (objet, texte, auteur)"
            " SELECT 'essai', 'n° ' || n, 'moi' FROM generate_series(1, %s) AS n",
            (2 * SEALED_AT_ONCE + 1,),
        )
        sceller(conn)
        assert rehash(conn, SCEAU.origin, SCEAU.secret, [PUBLIQUE]).differences == []


def test_des_aides_disent_la_meme_chose_dans_le_meme_etat(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preuve.rehash.ALONE_BELOW", 0)
    monkeypatch.setattr("preuve.spans.READ_AT_ONCE", 40)
    altere = Altere(base)
    try:
        for numero in range(12):
            altere.service.execute(
                "INSERT INTO journal.notes (objet, texte, auteur)"
                " SELECT 'essai', %s || n, 'moi' FROM generate_series(1, 30) AS n",
                (f"{numero}/",),
            )
            sceller(altere.service)
        avancees: list[int] = []
        arbre: list[int] = []

        def a_plusieurs() -> Rehashed:
            avancees.clear()
            return rehash(
                altere.service,
                SCEAU.origin,
                SCEAU.secret,
                [PUBLIQUE],
                helpers=Helpers(base.url, 2),
                advance=lambda quoi, faites, _sur: (arbre if quoi == "l'arbre" else avancees).append(faites),
            )

        assert a_plusieurs() == altere.verifier()
        assert a_plusieurs().count == 0
        assert avancees == sorted(avancees)
        assert len(set(avancees)) > 3, "le travail est partagé"
        assert len(set(arbre)) > 3, "l'arbre avance aussi"
        altere.changer("UPDATE journal.notes SET texte = 'autre' WHERE texte IN ('3/7', '9/1')")
        altere.changer("DELETE FROM journal.notes WHERE texte = '11/30'")
        trouve = a_plusieurs()
        assert trouve == altere.verifier()
        assert trouve.count == 5
    finally:
        altere.fermer()
