"""Des signes de commande et des balises dans chaque argument de chaque commande : un refus, rien d'écrit."""

from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

import service.cli.anomalies
import service.cli.auditing
import service.cli.dlq
import service.cli.health
import service.cli.looking
import service.cli.rebuilding
import service.cli.running
import service.cli.search
import service.cli.support  # noqa: F401 (inscrivent leurs commandes)
from service.cli.application import app
from tests.support.banc import MOTIF, REF, Service

ROUGE = "\x1b[31m<b>rouge</b>\x07\u202e"
GESTE = ("anomalies", "settle", "paiement-T", "--geste", "contrepasser")
COMMANDES = [
    ("search", ROUGE, "--motif", MOTIF),
    ("search", REF, "--motif", ROUGE),
    ("history", ROUGE, "--motif", MOTIF),
    ("history", REF, "--as-of", ROUGE, "--motif", MOTIF),
    ("history", REF, "--motif", ROUGE),
    ("history", "--assure", ROUGE, "--motif", MOTIF),
    ("note", ROUGE, "rappeler demain"),
    ("note", f"anomalie-{ROUGE}", "rappeler demain"),
    ("note", REF, ROUGE),
    ("accesses", "--assure", ROUGE),
    ("accesses", "--qui", ROUGE),
    ("accesses", "--avant", "9" * 30),
    ("token", "--role", ROUGE),
    ("project", ROUGE),
    ("rebuild", ROUGE),
    ("health", ROUGE),
    ("anomalies", "list", "--motif", ROUGE),
    ("anomalies", "show", ROUGE),
    ("anomalies", "show", "argent-T-1", "--motif", ROUGE),
    (*GESTE, "--motif", ROUGE),
    (*GESTE, "--motif", "vu avec elle", "--preuve", ROUGE),
    (*GESTE, "--motif", "vu avec elle", "--transaction", ROUGE),
    (*GESTE, "--motif", "vu avec elle", "--montant", ROUGE),
    (*GESTE, "--motif", "vu avec elle", "--creance", ROUGE),
    ("anomalies", "settle", ROUGE, "--geste", "contrepasser", "--motif", "vu avec elle"),
    ("anomalies", "settle", "paiement-T", "--geste", ROUGE, "--motif", "vu avec elle"),
    ("anomalies", "approve", ROUGE),
    ("anomalies", "decline", ROUGE, "--motif", "vu avec elle"),
    ("anomalies", "decline", "paiement-T", "--motif", ROUGE),
    ("anomalies", "report", ROUGE, "--motif", "vu avec elle"),
    ("anomalies", "report", "T", "--motif", ROUGE),
    ("ask-bank", ROUGE, "--motif", MOTIF),
    ("ask-bank", "T", "--motif", ROUGE),
    ("audit", ROUGE),
    ("audit", "--since", ROUGE),
    ("balances", "--at", ROUGE),
    ("balances", "--at", "2026-06-01", "--caisse", ROUGE),
]

COMPTES = """
SELECT (SELECT count(*) FROM journal.evenements), (SELECT count(*) FROM journal.notes),
       (SELECT count(*) FROM journal.acces WHERE objet ~ '[[:cntrl:]<>]' OR motif ~ '[[:cntrl:]<>]')
"""


@pytest.mark.parametrize("arguments", COMMANDES, ids=lambda arguments: " ".join(arguments).replace(ROUGE, "ROUGE"))
def test_un_argument_hostile_est_refuse(
    service: Service, base: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    service.avis(REF)
    monkeypatch.setenv("CREANCES_DATABASE_URL", base.url)
    monkeypatch.setenv("CREANCES_MODE", "demonstration")
    with psycopg.connect(base.url, autocommit=True) as conn:
        avant = conn.execute(COMPTES).fetchone()
        fini = CliRunner().invoke(app, [*arguments])
        assert fini.exit_code in {1, 2}, fini.output
        assert fini.exception is None or isinstance(fini.exception, SystemExit), fini.exception
        assert conn.execute(COMPTES).fetchone() == avant
    for brut in ("\x1b[31m", "\x07", "\u202e"):
        assert brut not in fini.output
