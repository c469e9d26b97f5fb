"""La page de la restauration, jouée telle qu'elle est écrite : de la copie aux portes ouvertes, au centime près."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serveurs
from tests.consumers.banc import avis, cheque
from tests.deploiement.banc import Exploitation, Lieu, exploitation
from tests.deploiement.machine import Machine
from tests.deploiement.postgresql import postgresql_archive
from tests.outils import attendre

PAGE = "restauration.md"
RELUS, PAR_LE_RAPPORT, PERDU, CHEQUE, APRES = (avis(n, assure="a-1") for n in range(1, 6))
ENCAISSEMENT = cheque(CHEQUE["reference"], 12_34, "enc-1", date="2026-06-01")

pytestmark = [
    pytest.mark.lent,
    pytest.mark.timeout(300),
    # Ce que kafka-python laisse au ramasse-miettes quand un rôle s'arrête en plein essai (voir tests/conftest.py).
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def avant_la_copie(e: Exploitation) -> dict[str, Any]:
    """Des avis, et deux paiements ouverts dont la banque n'a encore rien dit."""
    e.demarrer()
    e.avis(RELUS, PAR_LE_RAPPORT, PERDU, CHEQUE)
    return {nom: e.ouvert(une["reference"]) for nom, une in (("relu", RELUS), ("rapport", PAR_LE_RAPPORT))}


def apres_la_copie(e: Exploitation, ouverts: dict[str, Any]) -> dict[str, Any]:
    """Ce que la copie ignore : un chèque, un avis, trois acceptations, dont une n'est jamais arrivée jusqu'à nous."""
    e.avis(APRES, ENCAISSEMENT)
    perdu = e.ouvert(PERDU["reference"])
    relu, perdu_t = e.payer(ouverts["relu"]), e.payer(perdu)
    par_le_rapport = e.payer(ouverts["rapport"], perdue=True)
    attendre(lambda: e.accepte(relu) and e.accepte(perdu_t), secondes=40, quoi="les acceptations")
    attendre(e.rattrape, secondes=40, quoi="les vues et la publication à jour")
    return {"relu": relu, "perdu": perdu_t, "rapport": par_le_rapport, "soldes": e.soldes()}


def rejouer_la_page(e: Exploitation, vu: dict[str, Any], dossier: Path, **valeurs: str) -> None:
    """De l'étape 3 à la fin."""
    m = e.machine
    m.jouer(PAGE, "relire", **valeurs)
    refus = e.machine.lancer("creances epoch --json # sort avec 1")
    assert "sauvegarde plus ancienne" in refus.dit
    dit = m.jouer(PAGE, "perdu", **valeurs)
    assert vu["perdu"] in dit, "le paiement perdu est nommé"
    assert "EncaissementRecu" not in dit, "ce que Kafka savait est revenu"
    m.jouer(PAGE, "epoque", RAISON="sauvegarde restaurée par un essai", **valeurs)
    m.jouer(PAGE, "ouvrir", **valeurs)
    attendre(lambda: e.accepte(vu["relu"]), secondes=30, quoi="l'accord relu sur Kafka")

    rapport = e.rapport(dossier / "transactions.csv")
    m.jouer(PAGE, "rapprocher", RAPPORTS=str(rapport), **valeurs)
    attendre(lambda: e.accepte(vu["rapport"]), secondes=40, quoi="l'accord que la banque a redit")

    [(argent, montant)] = attendre(lambda: argent_sans_dette(e), secondes=20, quoi="l'argent du paiement perdu")
    assert montant == 20_00
    agents = {nom: str(jeton_d_agent(m, dossier, nom)) for nom in ("UN", "AUTRE")}
    m.jouer(PAGE, "rattacher", ID=argent, REF=PERDU["reference"], **agents, **valeurs)
    attendu = dict(vu["soldes"])
    attendu[PAR_LE_RAPPORT["reference"]] = (attendu[PAR_LE_RAPPORT["reference"]][0] - 20_00, 0)
    attendre(lambda: e.soldes() == attendu, secondes=30, quoi=f"les soldes d'avant : {attendu}, et non {e.soldes()}")
    attendre(lambda: not argent_sans_dette(e), secondes=20, quoi="plus d'argent sans dette")
    m.jouer(PAGE, "fini", **valeurs)
    assert e.machine.lancer(f"creances rapprocher {e.rapport(dossier / 'le-soir.csv')}").code == 0


def jeton_d_agent(m: Machine, dossier: Path, nom: str) -> Path:
    """Le fichier du jeton d'un agent du support."""
    fichier = dossier / f"{nom}.jeton"
    assert m.lancer(f"creances token --role support --personne {nom.lower()} > {fichier}").code == 0
    return fichier


def argent_sans_dette(e: Exploitation) -> list[tuple[str, int]]:
    """Les acceptations sans paiement connu, telles que la liste de support les nomme."""
    fini = e.machine.lancer("creances anomalies list --genre non_rapprochee --json")
    assert fini.code == 0, fini.dit
    return [(ligne["id"], ligne["montant_centimes"]) for ligne in json.loads(fini.dit)]


@pytest.mark.tres_lent
def test_d_un_pg_dump_aux_portes_ouvertes(lieu: Lieu, base: Any, serveurs: Serveurs) -> None:
    valeurs = {"BASE": base.nom, "SAUVEGARDE": str(lieu.dossier / "creances.dump")}
    with exploitation(lieu, base.url, base.url_proprietaire) as e:
        machine = e.machine
        try:
            ouverts = avant_la_copie(e)
            machine.jouer(PAGE, "sauvegarder", **valeurs)
            vu = apres_la_copie(e, ouverts)
            machine.jouer(PAGE, "fermer", **valeurs)
            machine.jouer(PAGE, "restaurer", **valeurs)
            rejouer_la_page(e, vu, lieu.dossier, **valeurs)
        finally:
            serveurs.supprimer_base(f"{base.nom}_avant")


# --- Une copie de base et le WAL -------------------------------------------------------------------------------------


@pytest.mark.tres_lent
@pytest.mark.parametrize("dernier", ["wal archivé", "wal du disque perdu"])
def test_d_une_copie_de_base_et_du_wal_rien_ne_se_perd(lieu: Lieu, dernier: str) -> None:
    with postgresql_archive() as pg:
        services: dict[str, Callable[[], None]] = {"demarrer": pg.demarrer, "arreter": pg.arreter}
        copie = pg.dossier / "copie"
        valeurs = {
            "BASE": "creances",
            "COPIE": str(copie),
            "ARCHIVES": str(pg.archives),
            "PGDATA": str(pg.dossier / "postgres"),
        }
        with exploitation(lieu, pg.servi.database_url, pg.servi.owner_database_url, services) as e:
            machine = e.machine
            ouverts = avant_la_copie(e)
            machine.jouer(PAGE, "copier", **valeurs)
            proprietaire = (pg.dossier / "postgres").stat()
            for chemin in (copie, *copie.rglob("*")):
                shutil.chown(chemin, proprietaire.st_uid, proprietaire.st_gid)
            vu = apres_la_copie(e, ouverts)
            machine.jouer(PAGE, "fermer", **valeurs)
            if dernier == "wal archivé":  # Le disque est perdu : il n'y a que les archives.
                assert machine.lancer("psql --dbname=creances --command='SELECT pg_switch_wal()'").code == 0
                [(tete,)] = e.lire("SELECT count(*) FROM journal.evenements")
                attendre(lambda: archives_a_jour(e), secondes=30, quoi="le WAL archivé")
                pg.arreter()
                shutil.rmtree(pg.dossier / "postgres" / "pg_wal")
                (pg.dossier / "postgres" / "pg_wal").mkdir()
            else:
                [(tete,)] = e.lire("SELECT count(*) FROM journal.evenements")
            machine.jouer(PAGE, "rejouer", **valeurs)
            assert e.lire("SELECT count(*) FROM journal.evenements") == [(tete,)], "jusqu'au dernier événement"
            machine.jouer(PAGE, "relire", **valeurs)
            assert machine.lancer("creances epoch").code == 0, "rien ne manque : aucune époque n'est à ouvrir"
            assert machine.lancer("creances lost").code == 0
            machine.jouer(PAGE, "ouvrir", **valeurs)
            assert e.soldes() == vu["soldes"]
            assert e.ouvert(APRES["reference"])["transaction"] not in vu.values()


def archives_a_jour(e: Exploitation) -> bool:
    requete = "SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) FROM pg_stat_archiver"
    return e.lire(requete) == [(True,)]
