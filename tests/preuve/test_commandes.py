"""`creances audit --preuve`, `proof` et `verify` : ce qu'une personne lance, et ce qui lui est répondu."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve.notes import KeyType, Signer
from service import composition
from service.settings import Settings, demo_witness_key
from service.settings.preuve import Temoin
from tests.outils import RACINE, attendre, commande
from tests.preuve.test_preuve import FAITS, REFERENCE, ecrire_des_faits

PREUVE = {"preuve_origin": "creances.example/essai", "preuve_key": "0a" * 32, "preuve_salt": "s" * 32}


def test_ce_que_le_role_scelle_se_prouve_se_verifie_et_se_rehache(base: Any, tmp_path: Path) -> None:
    reglages: dict[str, Any] = PREUVE | {
        "database_url": base.url,
        "data_dir": tmp_path,
        "preuve_dir": tmp_path / "arbre",
    }
    arret = threading.Event()
    role = threading.Thread(target=composition.sealer(Settings(_env_file=None, **reglages)).run, args=(arret,))
    role.start()
    try:
        with psycopg.connect(base.url, autocommit=True) as conn:
            ecrire_des_faits(conn, *FAITS)

            def scelles() -> bool:
                return conn.execute("SELECT 7 <= max(position) FROM journal.sceaux").fetchone() == (True,)

            attendre(scelles, quoi="les faits sont scellés")
    finally:
        arret.set()
        role.join()
    prouve = commande("proof", REFERENCE, "--motif", "contrôle", **reglages)
    assert prouve.returncode == 0, prouve.stderr
    preuve = tmp_path / "preuve.json"
    preuve.write_text(prouve.stdout, "utf-8")
    oui = commande("verify", str(preuve), **reglages)
    assert (oui.returncode, " doit 17,66 €. " in oui.stdout) == (0, True), oui.stderr
    [cle] = (tmp_path / "arbre").glob("*/vkey")
    dit = commande("verify", str(preuve), "--key", str(cle), "--json")
    assert (dit.returncode, json.loads(dit.stdout)["juste"]) == (0, True)
    preuve.write_text(prouve.stdout.replace('"version": 7', '"version": 8'), "utf-8")
    non = commande("verify", str(preuve), "--key", str(cle))
    assert (non.returncode, non.stderr.startswith("Non : « version »")) == (1, True)
    dit = commande("verify", str(preuve), "--key", str(cle), "--json")
    assert (dit.returncode, json.loads(dit.stdout)["juste"]) == (1, False)

    net = commande("audit", "--preuve", "--json", **reglages)
    assert (net.returncode, json.loads(net.stdout)["differences"]) == (0, [])
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
        proprietaire.execute("UPDATE journal.evenements SET etat = '{}' WHERE version = 3")
    trouve = commande("audit", "--preuve", **reglages)
    assert trouve.returncode == 1
    assert "altérée ou ajoutée evenements position=" in trouve.stdout
    refuse = commande("proof", REFERENCE, "--motif", "contrôle", **reglages)
    assert (refuse.returncode, "n'est pas celui qui a été scellé" in refuse.stderr) == (1, True)


def test_le_temoin_d_une_demonstration_finie_est_connu_la_ou_le_journal_l_est(tmp_path: Path) -> None:
    temoin = Signer("temoin.example/un", KeyType.COSIGNATURE, Ed25519PrivateKey.generate()).verifier
    autre = Signer("temoin.example/deux", KeyType.COSIGNATURE, Ed25519PrivateKey.generate()).verifier
    settings = Settings(_env_file=None, data_dir=tmp_path, mode="demonstration")
    assert composition.trusted(settings).witnesses == []
    laissee = demo_witness_key(settings)
    laissee.parent.mkdir()
    laissee.write_text(str(temoin), "utf-8")
    assert composition.trusted(settings).witnesses == [temoin]
    nommes = settings.model_copy(update={"preuve_temoins": (Temoin(cle=str(autre), url="https://temoin.example"),)})
    assert composition.trusted(nommes).witnesses == [autre]
    production = settings.model_copy(update={"mode": "production"})
    assert composition.trusted(production).witnesses == []


def test_qui_verifie_avec_une_cle_ne_charge_rien_de_ce_service() -> None:
    """Ni base, ni courtier, ni domaine : la commande répond aussitôt."""
    lance = (
        "import sys; from service.cli import main\n"
        "try: main()\n"
        "except SystemExit as fin: print(fin.code)\n"
        "print({nom.partition('.')[0] for nom in sys.modules} & {'psycopg', 'structlog', 'kafka', 'domain', 'rich'})"
    )
    docs = RACINE / "docs"
    arguments = ["verify", str(docs / "preuve-exemple.json"), "--key", str(docs / "preuve-exemple.vkey")]
    fini = subprocess.run(
        [sys.executable, "-c", lance, *arguments], cwd=RACINE, capture_output=True, text=True, check=True
    )
    oui, code, charges = fini.stdout.splitlines()
    assert (oui.startswith("Oui : "), code, charges) == (True, "0", "set()")
