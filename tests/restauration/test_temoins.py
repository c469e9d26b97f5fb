"""La page des témoins, jouée telle qu'elle est écrite : d'une copie restaurée à une époque neuve, sans rien cacher.

Le témoin est un processus à part ; ni `pg_dump` ni une copie de base ne le font revenir en arrière.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from preuve.checkpoints import Checkpoint
from preuve.merkle import inclusion_proof, leaf_hash
from preuve.notes import KeyType, Verifier, read, split
from preuve.rows import written_in
from preuve.tiles import subtrees
from preuve.tree import Leaf, indexes_of, tile_reader
from preuve.witnessing import cosigned_checkpoint
from service import composition, points
from service.settings import Settings
from tests.conftest import Serveurs
from tests.consumers.banc import avis
from tests.deploiement.banc import Exploitation, Lieu, exploitation
from tests.deploiement.postgresql import postgresql_archive
from tests.outils import attendre
from tests.preuve.temoins import TemoinEnMarche, notre_temoin
from tests.preuve.test_arbre import mene

PAGE = "temoins.md"
RESTAURER = "restauration.md"
ORIGINE = "creances.invalid"
AVANT, PERDU, AUTRE = (avis(n, assure="a-1") for n in range(1, 4))

pytestmark = [
    pytest.mark.lent,
    pytest.mark.timeout(300),
    # Ce que kafka-python laisse au ramasse-miettes quand un rôle s'arrête en plein essai (voir tests/conftest.py).
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def temoigne(lieu: Lieu) -> Iterator[TemoinEnMarche]:
    """Un témoin du journal de cette machine, que ses rôles et ses commandes connaissent."""
    scelle = composition.sealing(Settings(_env_file=None))
    dossier = lieu.dossier / "temoin"
    dossier.mkdir()
    with notre_temoin(dossier, scelle.origin, scelle.private.public_key().public_bytes_raw()) as temoin:
        dits = [{"cle": str(temoin.verifieur), "url": temoin.url}]
        lieu.monkeypatch.setenv("CREANCES_PREUVE_TEMOINS", json.dumps(dits))
        lieu.monkeypatch.setenv("CREANCES_PREUVE_TEMOINS_INTERVAL", "100ms")
        yield temoin


def publie_et_cosigne(e: Exploitation, taille: int) -> str:
    """Le point de l'époque courante qui couvre au moins `taille` feuilles, une fois cosigné, sur le topic."""
    settings = Settings(_env_file=None)
    cosigne = (
        "SELECT epoque FROM journal.cosignatures WHERE epoque = (SELECT max(nom) FROM journal.epoques) AND taille >= %s"
    )
    [[epoque], *_] = attendre(lambda: e.lire(cosigne, taille), secondes=60, quoi=f"{taille} feuilles cosignées")

    def la() -> str | None:
        notes = points.latest(settings, f"{ORIGINE}/{epoque}")
        return notes[-1] if notes and point(notes[-1]).size >= taille else None

    return str(attendre(la, secondes=60, quoi=f"un point cosigné d'au moins {taille} feuilles, sur le topic"))


def point(note: str) -> Checkpoint:
    return Checkpoint.parse(split(note)[0])


def signataires(note: str, temoin: TemoinEnMarche) -> tuple[set[str], list[str]]:
    """Qui a signé cette note, des clés que l'auditeur tient : celle du journal, celle du témoin."""
    [publique] = composition.sealing_keys(Settings(_env_file=None))
    lue = read(note, [Verifier(point(note).origin, KeyType.NOTE, publique), temoin.verifieur])
    return set(lue.signers), [c.witness for c in lue.cosignatures]


def feuilles_scellees(e: Exploitation) -> int:
    [(taille,)] = e.lire("SELECT coalesce(max(taille), 0) FROM journal.points")
    return int(taille)


def scelle_tout(e: Exploitation) -> int:
    """La taille de l'arbre, une fois que plus aucun événement n'attend d'être scellé."""
    requete = (
        "SELECT coalesce(max(position), 0) >= (SELECT coalesce(max(position), 0) FROM journal.evenements)"
        " FROM journal.sceaux WHERE epoque = (SELECT max(nom) FROM journal.epoques)"
    )
    attendre(lambda: e.lire(requete) == [(True,)], secondes=40, quoi="tout est scellé")
    return feuilles_scellees(e)


def perdre_et_retrouver(e: Exploitation, temoin: TemoinEnMarche, restaurer: Callable[[], None], **valeurs: str) -> None:
    """Une fin de journal que le témoin a vue est perdue ; la page mène à une époque, et les deux se prouvent."""
    m = e.machine
    e.avis(PERDU)
    perdue = publie_et_cosigne(e, scelle_tout(e))
    restaurer()

    # Le sceau repart sur la base restaurée, et grandit autrement : nul ne lui a dit qu'elle l'était.
    e.demarrer("sceller")
    attendre(lambda: e.lire("SELECT vu FROM journal.refus_de_temoins") == [(perdue,)], secondes=60, quoi="le refus")
    assert feuilles_scellees(e) < point(perdue).size
    m.jouer(PAGE, "regarder", **valeurs)
    # Le sceau et la place de Kafka le disent tous deux : le premier qui l'a vu reste noté.
    dit = m.lancer("creances epoch --json # sort avec 1").dit
    assert "feuilles signées" in dit or f"{e.settings.topic_avis} avait été lu jusqu'à" in dit
    m.jouer(PAGE, "epoque", **valeurs)
    e.demarrer("consume-avis")
    e.avis(AUTRE)
    m.jouer(PAGE, "fini", **valeurs)
    neuve = publie_et_cosigne(e, scelle_tout(e))

    ancienne, actuelle = point(perdue).origin, point(neuve).origin
    assert actuelle > ancienne, "chaque branche a son journal"
    for note in (perdue, neuve):
        assert signataires(note, temoin) == ({point(note).origin}, [temoin.verifieur.name])
    gardees = points.latest(Settings(_env_file=None), ancienne)
    assert gardees[-1] == perdue, "la branche abandonnée reste sur Kafka, telle qu'elle fut cosignée"
    nommer_la_branche_abandonnee(e, perdue)


def nommer_la_branche_abandonnee(e: Exploitation, perdue: str) -> None:
    """L'arbre neuf tient une feuille qui porte l'état abandonné : qui l'a vu le retrouve."""
    sel = composition.sealing(Settings(_env_file=None)).secret
    with closing(psycopg.connect(str(e.settings.database_url), autocommit=True)) as conn:
        note = cosigned_checkpoint(conn)
        assert note
        [(epoque, ecrit_par)] = conn.execute(
            "SELECT (SELECT max(nom) FROM journal.epoques), ecrit_par FROM journal.refus_de_temoins"
        ).fetchall()
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with conn.transaction():
            [ligne] = [row for row in written_in(conn, ecrit_par - 1, ecrit_par) if perdue.encode() in row.canonical]
        feuille = leaf_hash(ligne.entry(sel))
        [numero] = indexes_of(conn, epoque, [Leaf(ligne.written_by, 0, feuille)])
        assert numero is not None
        preuve = inclusion_proof(numero, point(note).size, subtrees(point(note).size, tile_reader(conn, epoque)))
    assert mene(feuille, numero, point(note).size, preuve, point(note).root)


def test_d_un_pg_dump_a_une_epoque_ou_rien_n_est_cache(lieu: Lieu, base: Any, serveurs: Serveurs) -> None:
    valeurs = {"BASE": base.nom, "SAUVEGARDE": str(lieu.dossier / "creances.dump"), "RAISON": "restaurée par un essai"}
    with exploitation(lieu, base.url, base.url_proprietaire) as e, temoigne(lieu) as temoin:
        try:
            e.demarrer("consume-avis", "sceller")
            e.avis(AVANT)
            publie_et_cosigne(e, scelle_tout(e))
            e.machine.jouer(RESTAURER, "sauvegarder", **valeurs)

            def restaurer() -> None:
                e.machine.jouer(RESTAURER, "fermer", **valeurs)
                e.machine.jouer(RESTAURER, "restaurer", **valeurs)

            perdre_et_retrouver(e, temoin, restaurer, **valeurs)
        finally:
            serveurs.supprimer_base(f"{base.nom}_avant")


def test_d_une_copie_de_base_dont_le_dernier_wal_est_perdu(lieu: Lieu) -> None:
    with postgresql_archive() as pg:
        services: dict[str, Callable[[], None]] = {"demarrer": pg.demarrer, "arreter": pg.arreter}
        copie = pg.dossier / "copie"
        donnees = pg.dossier / "postgres"
        valeurs = {"BASE": "creances", "COPIE": str(copie), "ARCHIVES": str(pg.archives), "PGDATA": str(donnees)}
        valeurs["RAISON"] = "restaurée par un essai"
        with (
            exploitation(lieu, pg.servi.database_url, pg.servi.owner_database_url, services) as e,
            temoigne(lieu) as temoin,
        ):
            e.demarrer("consume-avis", "sceller")
            e.avis(AVANT)
            publie_et_cosigne(e, scelle_tout(e))
            e.machine.jouer(RESTAURER, "copier", **valeurs)
            utilisateur = donnees.stat()
            for chemin in (copie, *copie.rglob("*")):
                shutil.chown(chemin, utilisateur.st_uid, utilisateur.st_gid)

            def restaurer() -> None:
                """Le disque est perdu, et avec lui ce que son WAL n'avait pas encore archivé."""
                e.machine.jouer(RESTAURER, "fermer", **valeurs)
                archives = {fichier.name for fichier in pg.archives.iterdir()}
                pg.arreter()
                for (
                    fichier
                ) in pg.archives.iterdir():  # Un arrêt propre archive encore : le disque n'en a pas eu le temps.
                    if fichier.name not in archives:
                        fichier.unlink()
                shutil.rmtree(donnees / "pg_wal")
                (donnees / "pg_wal").mkdir()
                e.machine.jouer(RESTAURER, "rejouer", **valeurs)

            perdre_et_retrouver(e, temoin, restaurer, **valeurs)
