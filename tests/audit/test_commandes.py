"""`creances audit` et `creances balances` : ce qu'un auditeur lit, et les refus de ce qui n'a pas de sens."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import typer
from typer.testing import CliRunner

import service.cli  # noqa: F401 (inscrit ses commandes)
from domain.delai import jour_de_paris
from projections.comptes.totaux import CHAMPS, MOUVEMENTS
from service.cli.application import app
from service.cli.auditing import read_instant
from tests.audit.monde import AVIS, Monde
from tests.consumers.banc import MAINTENANT, avis


@pytest.fixture(autouse=True)
def reglages(base_peuplee: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREANCES_DATABASE_URL", base_peuplee.url)
    monkeypatch.setenv("CREANCES_KAFKA_BOOTSTRAP", "127.0.0.1:1")


def lancer(*arguments: str, code: int = 0) -> Any:
    fini = CliRunner().invoke(app, arguments)
    assert fini.exit_code == code, (fini.exit_code, fini.output, fini.exception)
    return fini


def test_le_rapport_dit_son_instant_sa_tete_son_epoque_sa_version_et_sa_base(
    proprietaire: psycopg.Connection[Any],
) -> None:
    dit = json.loads(lancer("audit", "--json").stdout)
    tete, epoque, base = proprietaire.execute(
        "SELECT max(position), (SELECT max(nom) FROM journal.epoques), current_database() FROM journal.evenements"
    ).fetchone() or (0, "", "")
    assert (dit["tete"], dit["epoque"], dit["ecarts"], dit["illisibles"]) == (tete, epoque, [], [])
    assert dit["base"].startswith(base)
    assert dit["version"]
    assert datetime.fromisoformat(dit["instant"]).tzinfo is not None
    assert dit["anomalies_ouvertes"] == sum(dit["anomalies"].values()) > 0, "elles ne sont pas des écarts"


def test_les_totaux_sont_ceux_d_un_livre_tenu_a_part() -> None:
    totaux = json.loads(lancer("audit", "--json").stdout)["totaux"]
    # Ce que `monde.peupler` et `monde.regler` font arriver, compté à la main, en centimes.
    emis = 15 * 87_09 + 50_00
    accepte = 50_00 + 20_00 + 21_00 + 22_00 + 30_00
    sans_creance = 30_00 + 21_00 + 15_00 + 8_00 + 20_00
    rattache, rendu, repris, contrepasse, rembourse = 10_00 + 30_00, 5_00, 8_00, 21_00, 30_00 + 60_00 - 87_09
    encaisse = 12_34 + 60_00 + 10_00 + 5_00 + 3_00
    attendus = {
        "emis": emis,
        "rectifie": 80_00 - 87_09,
        "annule": 87_09,
        "accepte": accepte,
        "rattache": rattache,
        "autres_encaissements": encaisse,
        "contrepasse": contrepasse,
        "rembourse": rembourse,
        "rendu": rendu,
        "non_rattache": sans_creance - rattache - rendu - repris,
        "preleve_par_la_banque": accepte + sans_creance - repris - contrepasse,
        "en_cours": 16_00,
        "trop_percu": 3_00,
        "cloture": emis + (80_00 - 87_09) - 87_09 - accepte - rattache - encaisse + contrepasse + rembourse,
    }
    assert {nom: totaux[nom] for nom in attendus} == attendus
    assert totaux["restant_du"] - totaux["trop_percu"] == totaux["cloture"]


def test_chaque_axe_refait_l_ensemble() -> None:
    dit = json.loads(lancer("audit", "--json").stdout)
    for axe in ("par_caisse", "par_jour"):
        for nom in (*MOUVEMENTS, "preleve_par_la_banque", "non_rattache"):
            assert sum(totaux[nom] for totaux in dit[axe].values()) == dit["totaux"][nom], (axe, nom)
    pris = sum(totaux["preleve_par_la_banque"] for totaux in dit["par_marchand"].values())
    repris = dit["totaux"]["contrepasse"]  # Les créances n'en savent pas le marchand.
    assert pris - repris == dit["totaux"]["preleve_par_la_banque"]
    assert dit["identite"]["difference"] == 0


def test_ce_qui_precede_un_jour_va_a_l_ouverture() -> None:
    demain = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    totaux = json.loads(lancer("audit", "--json", "--since", demain).stdout)["totaux"]
    assert totaux["ouverture"] == totaux["cloture"] != 0
    assert {totaux[nom] for nom in MOUVEMENTS} == {0}


def test_les_totaux_s_ecrivent_en_csv() -> None:
    lignes = list(csv.reader(io.StringIO(lancer("audit", "--csv").stdout), delimiter=";"))
    assert lignes[0] == ["axe", "cle", *(f"{champ}_centimes" for champ in CHAMPS)]
    assert {ligne[0] for ligne in lignes[1:]} == {"ensemble", "caisse", "marchand", "jour"}


def test_le_texte_se_lit_et_dit_aucun_ecart() -> None:
    dit = lancer("audit").output
    assert "aucun écart" in dit
    assert "Anomalies ouvertes" in dit


def soldes(*arguments: str) -> dict[str, dict[str, str]]:
    fini = lancer("balances", *arguments)
    lues = csv.DictReader(io.StringIO(fini.stdout), delimiter=";")
    return {ligne["reference"]: ligne for ligne in lues}


def test_les_soldes_d_aujourd_hui_sont_ceux_de_la_vue(proprietaire: psycopg.Connection[Any]) -> None:
    aujourd_hui = jour_de_paris(datetime.now(UTC)).isoformat()
    dits = soldes("--at", aujourd_hui)
    vue = proprietaire.execute("SELECT reference, solde, en_cours, version, position FROM vues.restant_du").fetchall()
    assert {
        reference: (int(dit["solde"]), int(dit["en_cours"]), int(dit["version"]), int(dit["position"]))
        for reference, dit in dits.items()
    } == {reference: tuple(reste) for reference, *reste in vue}
    assert soldes("--at", aujourd_hui, "--caisse", "381") == dits
    assert soldes("--at", aujourd_hui, "--caisse", "011") == {}


def test_les_soldes_a_un_instant_sont_ceux_du_prefixe_du_journal(proprietaire: psycopg.Connection[Any]) -> None:
    instant, attendus = proprietaire.execute(
        "SELECT enregistre_le, (SELECT count(*) FROM journal.evenements e WHERE e.enregistre_le <= p.enregistre_le"
        " AND e.topic = 'creance.AvisEmis') FROM journal.evenements p WHERE position = 3"
    ).fetchone() or (MAINTENANT, 0)
    dits = soldes("--at", instant.isoformat())
    assert len(dits) == attendus < 16
    assert {dit["solde"] for dit in dits.values()} == {"8709"}


def test_une_reference_inconnue_n_est_pas_dite_juste() -> None:
    dit = lancer("audit", "38117012999999999F", code=2)
    assert "16 chiffres" in " ".join(dit.stderr.split())
    dit = lancer("audit", "3811701299999999F", "--json", code=1)
    assert (dit.stdout, dit.stderr.strip()) == ("", "Cette référence est inconnue.")


def test_les_memes_soldes_en_json_un_par_ligne() -> None:
    aujourd_hui = jour_de_paris(datetime.now(UTC)).isoformat()
    lus = [json.loads(ligne) for ligne in lancer("balances", "--at", aujourd_hui, "--json").stdout.splitlines()]
    assert {un["reference"]: str(un["solde"]) for un in lus} == {
        reference: un["solde"] for reference, un in soldes("--at", aujourd_hui).items()
    }
    assert {type(un["annulee"]) for un in lus} == {bool}


def test_un_jour_dit_sa_fin_a_paris() -> None:
    fini = lancer("balances", "--at", jour_de_paris(datetime.now(UTC)).isoformat())
    assert "à 23:59:59 (heure de Paris)" in fini.output


@pytest.mark.parametrize(
    ("au", "code", "phrase"),
    [
        ("2026", 2, "attendu"),
        ("2026-13-01", 2, "n'existe pas"),
        ("hier", 2, "attendu"),
        ("9999-01-01", 2, "pas encore venu"),
        ("2031-01-01T10:00", 2, "pas encore venu"),
        ("20260601", 2, "attendu"),
        ("2026-W22-1", 2, "attendu"),
        ("\x1b[31m", 2, "attendu"),
        ("2001-01-01", 1, "Rien n'était encore enregistré"),
    ],
)
def test_un_instant_qui_n_a_pas_de_sens_est_refuse(au: str, code: int, phrase: str) -> None:
    fini = lancer("balances", "--at", au, code=code)
    assert phrase in " ".join(fini.output.replace("│", " ").split())
    assert "\x1b[31m" not in fini.output


def test_une_caisse_a_trois_chiffres() -> None:
    lancer("balances", "--at", "2026-06-01", "--caisse", "38", code=2)


@pytest.mark.parametrize("heure", ["2026-10-25T02:30", "2026-10-25T02:00", "2026-10-25 02:59:59", "2026-03-29T02:30"])
def test_une_heure_de_paris_venue_deux_fois_ou_jamais_est_refusee_et_son_decalage_la_leve(heure: str) -> None:
    maintenant = datetime(2026, 12, 1, tzinfo=UTC)
    with pytest.raises(typer.BadParameter, match=r"deux fois.*décalage"):
        read_instant(heure, maintenant)
    ete, hiver = (read_instant(f"{heure}+0{decalage}:00", maintenant) for decalage in (2, 1))
    assert hiver - ete == timedelta(hours=1)
    assert read_instant("2026-10-25T03:00", maintenant).astimezone(UTC) == datetime(2026, 10, 25, 2, tzinfo=UTC)


def test_une_heure_sans_fuseau_est_de_paris() -> None:
    lue = read_instant("2026-06-01T10:00", datetime(2026, 12, 1, tzinfo=UTC))
    assert lue.astimezone(UTC) == datetime(2026, 6, 1, 8, tzinfo=UTC)


def test_le_retard_d_une_vue_n_est_pas_un_ecart(vide: Monde, monkeypatch: pytest.MonkeyPatch) -> None:
    vide.recevoir(AVIS, avis(1))
    vide.projeter()
    vide.recevoir(AVIS, avis(2), avis(1))
    vide.repondre(vide.ouvrir(20_00, 1), 20_00)
    monkeypatch.setenv("CREANCES_DATABASE_URL", str(vide.settings.database_url))
    assert json.loads(lancer("audit", "--json").stdout)["creances"] == 2


def test_une_faute_n_en_tait_pas_une_autre(vide: Monde, monkeypatch: pytest.MonkeyPatch) -> None:
    vide.recevoir(AVIS, *(avis(n) for n in range(1, 4)))
    vide.projeter()
    # Un flux qui ne se lit plus, écarté de sa vue ; la même vue altérée, sur lui et sur un autre.
    vide.conn.execute(
        "INSERT INTO journal.evenements (flux, version, topic, etat, cause) VALUES"
        " ('creance-' || %s, 2, 'creance.EncaissementRecu', 'rien', 'kafka:creances.avis/0@0')",
        (avis(1)["reference"],),
    )
    vide.projeter()
    monkeypatch.setenv("CREANCES_DATABASE_URL", str(vide.settings.database_url))
    vide.conn.execute("UPDATE vues.restant_du SET solde = solde + 1 WHERE reference <> %s", (avis(3)["reference"],))
    dit = json.loads(lancer("audit", "--json", code=1).stdout)
    assert [flux["flux"] for flux in dit["illisibles"]] == [f"creance-{avis(1)['reference']}"]
    for numero in (1, 2):
        assert any(f"{avis(numero)['reference']} solde vaut 8710" in ecart for ecart in dit["ecarts"]), dit["ecarts"]


@pytest.mark.parametrize(
    "table",
    [
        *("journal.arretes", "journal.epoques", "journal.evenements", "journal.jetons_d_arrete", "journal.points"),
        *("vues.ecartes", "vues.suiveurs"),
    ],
)
def test_une_table_qui_n_est_plus_la_est_nommee_et_le_reste_est_audite(
    proprietaire: psycopg.Connection[Any], table: str
) -> None:
    nom = table.rpartition(".")[2]
    proprietaire.execute(f"ALTER TABLE {table} RENAME TO {nom}_ailleurs")
    try:
        fini = CliRunner().invoke(app, ("audit", "--json"))
    finally:
        proprietaire.execute(f"ALTER TABLE {table}_ailleurs RENAME TO {nom}")
    assert fini.exit_code in {1, 3}, fini.exception
    dit = json.loads(fini.stdout)
    assert any(nom in phrase for phrase in dit["non_controles"]), dit["non_controles"]
    assert dit["base"]
    # Rien n'est dit du contenu d'une vue dont on ne sait plus où elle en est.
    assert nom != "suiveurs" or all(phrase.startswith("garde : ") for phrase in dit["ecarts"]), dit["ecarts"]
