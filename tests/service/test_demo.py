"""La démonstration, comme un nouveau venu la lance, et la ligne de commande à côté d'elle."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from docs import flow
from preuve.folder import TileFolder
from service import composition
from service.composition import VIEWS
from service.settings import Settings
from tests.outils import CREANCES, RACINE, attendre
from tests.preuve.test_juges import OUI_S, dit_oui

MOTIF = ("--motif", "essai")

pytestmark = [pytest.mark.serveur, pytest.mark.lent]  # Ses commandes démarrent les leurs.


def creances(dossier: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Lance une commande à côté de la démonstration."""
    return subprocess.run(
        [*CREANCES, *arguments, "--data-dir", str(dossier)],
        capture_output=True,
        text=True,
        cwd=RACINE,
        timeout=240,
        check=False,
    )


def en_json(dossier: Path, *arguments: str) -> Any:
    fini = creances(dossier, *arguments, "--json")
    assert fini.returncode == 0, fini.stderr
    return json.loads(fini.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Une démonstration servie : son dossier, et ce qu'elle a écrit jusque-là."""
    dossier = tmp_path_factory.mktemp("demo")
    sortie = dossier / "sortie.txt"
    with sortie.open("w") as flux:
        lancee = subprocess.Popen(
            [*CREANCES, "demo", "--port", "0", "--avis", "30", "--data-dir", str(dossier)],
            stdout=flux,
            stderr=subprocess.STDOUT,
            cwd=RACINE,
        )
    try:
        attendre(
            lambda: "est servie sur" in sortie.read_text() or lancee.poll() is not None,
            secondes=100,
            quoi="la démonstration servie",
        )
        assert lancee.poll() is None, sortie.read_text()
        yield dossier, sortie.read_text()
    finally:
        lancee.send_signal(signal.SIGINT)
        assert lancee.wait(timeout=90) == 0, sortie.read_text()
    assert not (dossier / "stack.json").exists()


def creance_du_scenario(dit: str) -> str:
    trouvee = re.search(r"Histoire de (\d{16}[A-Z])", dit)
    assert trouvee is not None
    return trouvee[1]


def test_la_demonstration_raconte_ses_etapes(demo: tuple[Path, str]) -> None:
    _, dit = demo
    assert "[/" not in dit, "rien n'est balisé"
    for mot in ("Les caisses émettent 30 avis", "la banque accepte", "doublon", "refuse la carte", "Retard", "0 écart"):
        assert mot in " ".join(dit.split()), mot


def test_elle_perd_une_acceptation_et_la_retrouve_par_office(demo: tuple[Path, str]) -> None:
    dossier, dit = demo
    perdue = re.search(r"Office répond sur (PCLCB\d+) : sa réponse est transmise", " ".join(dit.split()))
    assert perdue is not None
    assert "se perd en route" in " ".join(dit.split())
    with psycopg.connect(json.loads((dossier / "stack.json").read_text())["database_url"]) as conn:
        etat = conn.execute("SELECT statut FROM vues.paiements WHERE transaction = %s", (perdue[1],)).fetchone()
    assert etat == ("accepte",)


def test_elle_rapproche_les_rapports_du_jour_et_n_y_trouve_que_l_ecart_plante(demo: tuple[Path, str]) -> None:
    dossier, dit = demo
    assert "21,00 € à la banque, 20,00 € ici" in " ".join(re.sub("[│┃]", " ", dit).split())
    with psycopg.connect(json.loads((dossier / "stack.json").read_text())["database_url"]) as conn:
        ecarts = conn.execute("SELECT DISTINCT genre, montant FROM vues.ecarts_ouverts").fetchall()
    assert ecarts == [("autre_montant", 1_00)]
    assert sorted(fichier.name.partition("-")[0] for fichier in (dossier / "rapports").iterdir()) == [
        "impayes", "operations", "rapprochements", "transactions",
    ]  # fmt: skip


def test_elle_rejoue_ce_qu_une_cle_fausse_avait_refuse(demo: tuple[Path, str]) -> None:
    dossier, dit = demo
    lu = " ".join(dit.split())
    assert "La porte le refuse (400, sceau_invalide) et le garde" in lu
    assert "La clé est corrigée : le support rejoue" in lu
    with psycopg.connect(json.loads((dossier / "stack.json").read_text())["database_url"]) as conn:
        regles = conn.execute(
            "SELECT etat FROM vues.reglements WHERE anomalie LIKE 'rebut-%' ORDER BY anomalie"
        ).fetchall()
        accepte = conn.execute(
            "SELECT count(*) FROM vues.paiements WHERE montant = 1700 AND statut = 'accepte'"
        ).fetchone()
    assert (regles, accepte) == ([("reglee",)], (1,))


def test_stack_json_dit_ou_tout_se_trouve(demo: tuple[Path, str]) -> None:
    dit = json.loads((demo[0] / "stack.json").read_text())
    assert set(dit) == {
        "api_url", "kiosque_url", "database_url", "owner_database_url", "kafka_bootstrap",
        "merchant_id", "secret_key", "key_version", "preuve_temoins",
    }  # fmt: skip


def test_le_temoin_de_la_demonstration_cosigne_son_journal(demo: tuple[Path, str]) -> None:
    dossier, _ = demo

    def vu() -> bool:
        return creances(dossier, "temoins").returncode == 0

    attendre(vu, quoi="le journal est cosigné")
    [temoin] = en_json(dossier, "temoins")["temoins"]
    assert (temoin["temoin"], temoin["refuse"]) == ("temoin.invalid/demonstration", False)
    assert temoin["taille"] > 0


@pytest.mark.timeout(900)  # Le premier construit le juge.
def test_un_autre_que_nous_relit_tout_le_journal_de_la_demonstration(demo: tuple[Path, str], tmp_path: Path) -> None:
    """Le `fsck` de Tessera, sur l'arbre que le sceau de la démonstration a signé."""
    dossier, _ = demo
    scelle = composition.sealing(Settings(_env_file=None, mode="demonstration", data_dir=dossier))
    base = json.loads((dossier / "stack.json").read_text())["database_url"]
    with psycopg.connect(base, autocommit=True) as conn:
        TileFolder(tmp_path, scelle).follow(conn)
    [log] = tmp_path.iterdir()
    assert int((log / "checkpoint").read_text("utf-8").split("\n")[1]) > 100, "un journal de plus de cent lignes"
    assert dit_oui(log, OUI_S)


def test_history_montre_chaque_evenement_avec_le_solde_apres_lui(demo: tuple[Path, str]) -> None:
    dossier, dit = demo
    reference = creance_du_scenario(dit)
    etapes = en_json(dossier, "history", reference, *MOTIF)
    assert [(etape["type"], etape["restant_du_centimes"], etape["en_cours_centimes"]) for etape in etapes] == [
        ("AvisEmis", 87_09, 0),
        ("PaiementInitié", 87_09, 20_00),
        ("PaiementAccepté", 67_09, 0),
        ("PaiementAffiché", 67_09, 0),
    ]
    assert len(en_json(dossier, "history", reference, *MOTIF, "--at-version", "2")) == 2
    au = etapes[2]["enregistre_le"]
    assert [etape["version"] for etape in en_json(dossier, "history", reference, *MOTIF, "--as-of", au)] == [1, 2, 3]
    assert creances(dossier, "history", reference, *MOTIF, "--as-of", "2020-01-01T00:00:00Z").returncode == 1


def test_balance_notifications_lag_et_audit_s_accordent(demo: tuple[Path, str]) -> None:
    dossier, dit = demo
    reference = creance_du_scenario(dit)
    assert en_json(dossier, "balance", reference) == {
        "reference": reference,
        "montant_initial_centimes": 87_09,
        "restant_du_centimes": 67_09,
        "en_cours_centimes": 0,
        "trop_percu_centimes": 0,
        "statut": "due",
        "version": 4,
    }
    sorts = en_json(dossier, "notifications")
    assert sorts["total"] == 5 == sum(sorts["fates"].values())
    assert (sorts["fates"]["appliquee"], sorts["fates"]["doublon"]) == (4, 1)

    def a_jour() -> dict[str, int] | None:
        vus = {role["nom"]: int(role["evenements"]) for role in en_json(dossier, "lag")}
        return None if any(vus.values()) else vus

    # Le témoin cosigne toutes les quelques secondes, et chaque lecture se scelle.
    assert attendre(a_jour, quoi="chacun à jour") == {
        "consommateur_avis": 0,
        "consommateur_kiosque": 0,
        "restant_du": 0,
        "paiements": 0,
        "delai_affichage": 0,
        "publication": 0,
        "soldes": 0,
        "messagerie": 0,
        "anomalies": 0,
        "relance": 0,
        "sceller": 0,
        "temoin.invalid/demonstration": 0,
    }
    assert en_json(dossier, "audit")["ecarts_total"] == 0
    assert en_json(dossier, "audit", reference)["creances"] == 1


def test_l_audit_trouve_un_solde_altere_et_le_dit(demo: tuple[Path, str]) -> None:
    dossier, dit = demo
    reference = creance_du_scenario(dit)
    url = json.loads((dossier / "stack.json").read_text())["database_url"]
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("UPDATE vues.restant_du SET solde = solde - 1 WHERE reference = %s", (reference,))
        fini = creances(dossier, "audit")
        conn.execute("UPDATE vues.restant_du SET solde = solde + 1 WHERE reference = %s", (reference,))
    assert fini.returncode == 1
    assert f"{reference} solde vaut 6708, le journal dit 6709" in " ".join(fini.stdout.split())


def test_une_reference_mal_formee_est_un_mauvais_usage(demo: tuple[Path, str]) -> None:
    assert creances(demo[0], "balance", "123").returncode == 2
    assert creances(demo[0], "balance", "0000000000000000Z").returncode == 1


def test_les_mesures_de_l_api_couvrent_tous_les_roles(demo: tuple[Path, str]) -> None:
    url = json.loads((demo[0] / "stack.json").read_text())["api_url"]
    mesures = httpx.get(f"{url}/metrics", trust_env=False).text
    for serveur in ("postgresql", "kafka"):
        assert f'creances_roles_lisibles{{serveur="{serveur}"}} 1.0' in mesures
    for role in ("consommateur_avis", "consommateur_kiosque", *VIEWS):
        assert f'creances_retard_evenements{{role="{role}"}} 0.0' in mesures
        assert f'creances_role_actif{{role="{role}"}} 1.0' in mesures
    assert 'creances_sorts{sort="doublon",topic="creances.kiosque.notifications"} 1.0' in mesures


def test_un_jeton_de_developpement_ouvre_l_api(demo: tuple[Path, str]) -> None:
    fini = creances(demo[0], "token", "--role", "exploitation")
    assert fini.returncode == 0, fini.stderr
    assert fini.stdout.count(".") == 2
    assert creances(demo[0], "token", "--role", "assure").returncode == 2


def test_le_readme_montre_ce_que_les_commandes_ecrivent(demo: tuple[Path, str]) -> None:
    """À refaire par `make flow` quand il ne le montre plus ; les chiffres, propres à une exécution, ne comptent pas."""
    dossier, dit = demo
    _, _, reste = (RACINE / "README.md").read_text("utf-8").partition(flow.BEGIN)
    montre, fin, _ = reste.partition(flow.END)
    assert fin
    assert flow.words(montre) == flow.words(flow.section(dit, dossier))
