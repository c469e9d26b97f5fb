"""Les lectures du support sont écrites, ne se défont pas, et se relisent ; les notes de même."""

import json
import os
import pwd
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

import service.cli.security
import service.cli.support  # noqa: F401 (inscrit ses commandes)
from api.socle.identite import RoleUtilisateur
from service.cli.application import app
from tests.support.banc import MOTIF, REF, Service, acces, agent

AUDITEUR = agent("aline", RoleUtilisateur.AUDIT)
MOI = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def commande(base: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lance une commande sur la base du test."""
    monkeypatch.setenv("CREANCES_DATABASE_URL", base.url)
    monkeypatch.setenv("CREANCES_MODE", "demonstration")
    return lambda *mots: CliRunner().invoke(app, list(mots))


def test_la_commande_history_demande_un_motif_et_ecrit_l_utilisateur_du_systeme(
    paye: tuple[Service, str], commande: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "quelqu-un-d-autre")
    sans = commande("history", REF)
    assert (sans.exit_code, "--motif" in sans.output, acces(paye[0])) == (2, True, [])
    fini = commande("history", REF, "--motif", MOTIF, "--json")
    assert fini.exit_code == 0, fini.output
    assert [etape["version"] for etape in json.loads(fini.stdout)] == [1, 2, 3, 4]
    assert acces(paye[0]) == [(MOI, "commande", "historique", f"creance-{REF}", ["a-1"], MOTIF)]


def test_la_commande_dit_chaque_message_avec_le_fait_qu_il_a_cause(paye: tuple[Service, str], commande: Any) -> None:
    etapes = json.loads(commande("history", REF, "--motif", MOTIF, "--json").stdout)
    assert [recue["sort"] for etape in etapes for recue in etape["notifications"]] == ["appliquee", "doublon"]
    dit = commande("history", paye[1], "--motif", MOTIF)
    assert "À dire à la personne : « La banque a accepté le paiement le" in dit.stdout
    assert dit.exit_code == 0
    assert "761208" in dit.output
    assert commande("history", "--assure", "a-1", "--motif", MOTIF, "--csv").stdout.count("\n") > 6


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((REF, "--as-of", "2026"), 2),
        ((REF, "--as-of", "2999-01-01"), 2),
        ((REF, "--as-of", "2020-01-01"), 1),
        ((REF, "--at-version", "99"), 1),
        (("\x1b[31m",), 2),
        ((), 2),
        (("INCONNUE1",), 1),
        ((REF, "--assure", "a-1"), 2),
    ],
)
@pytest.mark.usefixtures("paye")
def test_une_demande_impossible_est_refusee_en_une_phrase(commande: Any, arguments: tuple[str, ...], code: int) -> None:
    fini = commande("history", *arguments, "--motif", MOTIF)
    assert (fini.exit_code, "Traceback" in fini.output, "\x1b[31m" in fini.output) == (code, False, False), fini.output


@pytest.mark.usefixtures("paye")
def test_les_acces_aux_donnees_d_une_personne_se_listent_pour_elle(commande: Any) -> None:
    commande("history", REF, "--motif", MOTIF)
    dits = json.loads(commande("accesses", "--assure", "a-1", "--json").stdout)
    assert [(dit["qui"], dit["objet"], dit["motif"]) for dit in dits] == [(MOI, f"creance-{REF}", MOTIF)]
    assert json.loads(commande("accesses", "--assure", "a-2", "--json").stdout) == []
    assert "Appel" in commande("accesses").output


def test_l_auditeur_lit_les_acces_et_ne_change_rien(paye: tuple[Service, str]) -> None:
    service, _ = paye
    service.client.get(f"/api/v1/support/creances/{REF}/historique", headers=agent(), params={"motif": MOTIF})
    lus = service.client.get("/api/v1/audit/acces", headers=AUDITEUR, params={"assure": "a-1"}).json()
    assert [(lu["qui"], lu["motif"]) for lu in lus] == [("claire", MOTIF)]
    assert acces(service)[-1][:4] == ("aline", "api", "acces", "assure-a-1")
    assert service.client.get("/api/v1/audit/acces", headers=agent()).status_code == 403
    corps = {"objet": f"creance-{REF}", "texte": "bonjour"}
    assert service.client.post("/api/v1/support/notes", headers=AUDITEUR, json=corps).status_code == 403
    assert service.client.get(
        f"/api/v1/support/creances/{REF}/historique", headers=AUDITEUR, params={"motif": MOTIF}
    ).status_code == 403  # fmt: skip


@pytest.mark.parametrize(
    "ordre", ["UPDATE journal.{} SET enregistre_le = now()", "DELETE FROM journal.{}", "TRUNCATE journal.{}"]
)
@pytest.mark.parametrize("table", ["acces", "notes"])
def test_ce_qui_est_ecrit_ne_se_defait_pas(base: Any, ordre: str, table: str) -> None:
    with (
        psycopg.connect(base.url_proprietaire) as conn,
        pytest.raises(psycopg.Error, match="ajout seul"),
    ):
        conn.execute(ordre.format(table))


def test_une_note_se_lit_avec_l_histoire_sous_le_nom_de_son_auteur(paye: tuple[Service, str], commande: Any) -> None:
    service, _ = paye
    corps = {"objet": f"creance-{REF}", "texte": "Rappelée le 26 : <b>dit avoir payé</b>."}
    assert service.client.post("/api/v1/support/notes", headers=agent("paul"), json=corps).status_code == 201
    ecrite = commande("note", REF, "Seconde note", "--json")
    assert (ecrite.exit_code, json.loads(ecrite.stdout)["objet"]) == (0, f"creance-{REF}")
    notes = service.client.get(
        f"/api/v1/support/creances/{REF}/historique", headers=agent(), params={"motif": MOTIF}
    ).json()["notes"]
    assert [(note["auteur"], note["texte"]) for note in notes] == [("paul", corps["texte"]), (MOI, "Seconde note")]


@pytest.mark.parametrize("texte", ["", "   ", "a" * 2_001, "\x1b[2J", "\u202e", "NIR 2 55 08 14 168 025 38"])
def test_une_note_qui_porterait_autre_chose_que_du_texte_est_refusee(service: Service, texte: str) -> None:
    service.avis(REF)
    reponse = service.client.post(
        "/api/v1/support/notes", headers=agent(), json={"objet": f"creance-{REF}", "texte": texte}
    )
    assert (reponse.status_code, reponse.json()["code"]) == (422, "note_irrecevable")


def test_chaque_lecture_s_inscrit_aussi_au_journal_de_la_surete(paye: tuple[Service, str], commande: Any) -> None:
    service, transaction = paye
    service.client.get(f"/api/v1/support/creances/{REF}/historique", params={"motif": MOTIF}, headers=agent("claire"))
    assert commande("history", transaction, "--motif", MOTIF).exit_code == 0
    lus = [json.loads(ligne) for ligne in commande("security-log", "--kind=acces", "--json").stdout.splitlines()]
    assert [(lu["acteur"], lu["objet"]) for lu in lus] == [
        ("claire", f"creance-{REF}"),
        (MOI, f"paiement-{transaction}"),
    ]
    assert all(MOTIF in lu["detail"] and "1 personne(s)" in lu["detail"] for lu in lus)
    with psycopg.connect(service.url_base) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("DELETE FROM journal.securite")
