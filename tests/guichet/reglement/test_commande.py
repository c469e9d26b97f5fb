"""Par la commande, d'un bout à l'autre : lister, montrer, proposer, approuver ; deux agents, deux processus."""

import json
import subprocess
from typing import Any

from guichet.acces import NON_DIT
from projections.audit import auditer
from tests.guichet.reglement.banc import Banc, reference
from tests.outils import CREANCES, RACINE, environnement

ID = "argent-ORPHELIN-1"


def lancer(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CREANCES, *arguments],
        env=environnement(database_url=url),
        cwd=RACINE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_de_l_argent_orphelin_se_rattache_par_la_commande_a_deux(b: Banc, base: Any) -> None:
    b.ouvrir_creance(1)
    b.repondre("ORPHELIN", 20_00)
    b.projeter()
    (ligne,) = json.loads(lancer(base.url, "anomalies", "list", "--json").stdout)
    assert (ligne["id"], ligne["genre"], ligne["etat"], ligne["montant_centimes"]) == (
        *(ID, "non_rapprochee", "ouverte"),
        20_00,
    )
    vers = ("--geste", "rattacher", "--creance", f"{reference(1)}=20,00")
    pourquoi = ("--motif", "elle a appelé", "--json")
    propose = lancer(base.url, "anomalies", "settle", ID, *vers, "--par", "agent-1", *pourquoi)
    assert propose.returncode == 0, propose.stderr
    assert json.loads(propose.stdout)["suite"] == "propose"
    meme = lancer(base.url, "anomalies", "approve", ID, "--par", "Agent-1")
    assert (meme.returncode, "seconde personne" in meme.stderr) == (1, True)
    autre = lancer(base.url, "anomalies", "approve", ID, "--par", "agent-2", "--json")
    assert json.loads(autre.stdout)["suite"] == "regle"
    encore = lancer(base.url, "anomalies", "approve", ID, "--par", "agent-3")
    assert (encore.returncode, "déjà réglée" in encore.stderr) == (1, True)
    b.projeter()
    assert b.creance(1).restant_du == 67_09
    vue = json.loads(lancer(base.url, "anomalies", "show", ID, "--motif", "elle a appelé", "--json").stdout)
    assert b.conn.execute("SELECT quoi, objet, motif FROM journal.acces ORDER BY rang").fetchall() == [
        ("anomalies", "liste", NON_DIT),
        ("anomalie", f"anomalie-{ID}", "elle a appelé"),
    ]
    assert (vue["etat"], [pas["type"] for pas in vue["histoire"]][-1]) == ("reglee", "AnomalieRéglée")
    assert json.loads(lancer(base.url, "anomalies", "list", "--json").stdout) == []
    assert auditer(b.conn).ecarts == []


def test_les_mauvais_arguments_ont_leur_phrase(b: Banc, base: Any) -> None:
    b.repondre("ORPHELIN", 20_00)
    commun = ("--par", "agent-1", "--motif", "elle a appelé")
    for code, arguments in (
        (2, ("settle", ID, "--geste", "voler", *commun)),
        (2, ("settle", ID, "--geste", "rattacher", "--creance", "123", *commun)),
        (2, ("settle", ID, "--geste", "rattacher", "--montant", "-5", *commun)),
        (1, ("settle", ID, "--geste", "rattacher", "--creance", f"{reference(7)}", *commun)),
        (1, ("show", "argent-RIEN-1")),
        (1, ("settle", "argent-RIEN-1", "--geste", "rendre", "--voie", "carte", *commun)),
    ):
        fini = lancer(base.url, "anomalies", *arguments)
        assert fini.returncode == code, (arguments, fini.stderr)
        assert "Traceback" not in fini.stderr
