"""Alertes et tableau de bord ne nomment que ce que `/metrics` dit réellement ; chaque alerte a sa marche à suivre."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from service import web
from service.publisher import Publisher
from tests.conftest import Serveurs, nouvelle_base
from tests.consumers.banc import avis, banc, notification
from tests.outils import RACINE
from tests.serveurs import servi

DEPLOY = RACINE / "deploy"
COMPOSE = yaml.safe_load((RACINE / "docker-compose.yml").read_text("utf-8"))
SCRUTATION = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
ALERTES: list[dict[str, Any]] = [
    regle
    for fichier in SCRUTATION["rule_files"]
    for groupe in yaml.safe_load((DEPLOY / "prometheus" / fichier).read_text("utf-8"))["groups"]
    for regle in groupe["rules"]
]
TABLEAU = json.loads((DEPLOY / "grafana/dashboards/creances.json").read_text("utf-8"))
REQUETES = {f"alerte {a['alert']}": str(a["expr"]) for a in ALERTES} | {
    f"panneau {p['title']} {cible['refId']}": cible["expr"] for p in TABLEAU["panels"] for cible in p["targets"]
}
# Ce que PromQL apporte de lui-même.
LANGAGE = {
    "abs", "absent", "and", "by", "clamp_min", "count", "delta", "deriv", "histogram_quantile", "increase", "max",
    "min", "offset", "or", "rate", "sum", "timestamp", "unless", "vector", "without",
}  # fmt: skip
# Ce que disent Prometheus, Alertmanager et les exporteurs, dans les versions que docker-compose.yml nomme.
DISQUE = {"instance", "job", "device", "fstype", "mountpoint"}
DES_AUTRES = {
    "up": {"job", "instance"},
    "alertmanager_notifications_failed_total": {"instance", "integration", "reason"},
    "prometheus_notifications_dropped_total": {"instance"},
    "prometheus_notifications_alertmanagers_discovered": {"instance"},
    "node_filesystem_avail_bytes": DISQUE,
    "node_filesystem_size_bytes": DISQUE,
    "node_time_seconds": {"instance"},
    "node_timex_sync_status": {"instance"},
    "pg_up": {"instance"},
    "pg_wal_size_bytes": {"instance"},
    "pg_database_size_bytes": {"instance", "datname"},
    "pg_stat_archiver_failed_count": {"instance"},
    "pg_stat_archiver_last_archive_age": {"instance"},
    "pg_stat_activity_count": {"instance", "datname", "state", "usename", "application_name"},
    "pg_settings_max_connections": {"instance"},
}
# Ce que `/metrics` ne dit qu'au besoin : un bail perdu, une reconstruction, une comparaison (docs/metriques.md).
AU_BESOIN = {
    "creances_bail_perdu_secondes": {"role"},
    "creances_parite_differences": {"vue"},
    "creances_parite_age_secondes": {"vue"},
    "creances_releve_age_secondes": set[str](),
    "creances_reconstruction_battement_secondes": {"vue"},
    "creances_reconstructions_total": {"vue", "issue"},
    "creances_affichage_prochain_depassement_secondes": set[str](),
    "creances_temoin_refus": {"temoin"},
    "creances_points_sans_accord_secondes": set[str](),
}


@pytest.fixture(scope="module")
def mesures(serveurs: Serveurs, kafka: str) -> dict[str, set[str]]:
    """Chaque nom que l'API réelle expose, et ses étiquettes, après un avis, une page et un formulaire refusé."""
    lues = ""
    with nouvelle_base(serveurs) as base, banc(base.url, kafka, "t-surveillance") as b:
        b.emettre_avis(avis(1))
        b.consommer("avis", 1)
        b.projeter()
        settings = b.settings.model_copy(update={"oidc_issuer": "http://emetteur.test"})
        publisher = Publisher(settings)
        with (
            servi(web.api(settings, b.guichet, publisher, demo=False)) as url,
            httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
        ):
            refuse = client.post("/kiosque/notification", data=notification("T1", 20_00) | {"Seal": "faux"})
            assert refuse.status_code == 400
            lues = client.get("/metrics").text
        publisher.close()
    exposees: dict[str, set[str]] = {}
    for famille in text_string_to_metric_families(lues):
        for mesure in famille.samples:
            exposees.setdefault(mesure.name, set()).update(mesure.labels)
    return exposees


def nommees(requete: str) -> Iterator[tuple[str, set[str]]]:
    """Chaque mesure d'une requête, et les étiquettes que la requête lui demande."""
    sans_textes = re.sub(r'"[^"]*"', '""', requete)
    groupees = {e for liste in re.findall(r"\bby\s*\(([^)]*)\)", sans_textes) for e in re.findall(r"\w+", liste)}
    sans_groupes = re.sub(r"\bby\s*\([^)]*\)", "", sans_textes)
    for nom, choix in re.findall(
        r"(?<![\w.\[])([a-zA-Z_]\w*)(\{[^}]*\})?", re.sub(r"\[[^]]*\]|\boffset \w+", "", sans_groupes)
    ):
        if nom not in LANGAGE and (choix or nom not in re.findall(r"\w+(?=\s*[!=]~?\")", sans_groupes)):
            yield nom, groupees | set(re.findall(r"(\w+)\s*[!=]", choix))


@pytest.mark.parametrize("qui", REQUETES)
def test_chaque_requete_ne_nomme_que_ce_qui_est_mesure(qui: str, mesures: dict[str, set[str]]) -> None:
    lues = list(nommees(REQUETES[qui]))
    assert lues or REQUETES[qui] == "vector(1)"
    for nom, etiquettes in lues:
        ailleurs = DES_AUTRES | AU_BESOIN
        assert nom in mesures or nom in ailleurs, nom
        assert etiquettes <= (mesures.get(nom) or ailleurs.get(nom, set())), (nom, etiquettes)


@pytest.mark.parametrize(
    ("requete", "attendu"),
    [
        ("creances_rien > 0", [("creances_rien", set())]),
        ('sum by (role) (rate(a_total{x=~"b(c)"}[5m])) / b', [("a_total", {"role", "x"}), ("b", {"role"})]),
        ("a - (a offset 15m or 0 * a)", [("a", set())] * 3),
        ('histogram_quantile(0.5, sum by (le) (rate(c_bucket{r!="d"}[5m])))', [("c_bucket", {"le", "r"})]),
    ],
)
def test_une_requete_se_lit(requete: str, attendu: list[tuple[str, set[str]]]) -> None:
    assert list(nommees(requete)) == attendu


def test_chaque_mesure_de_retard_et_d_horloge_est_surveillee(mesures: dict[str, set[str]]) -> None:
    regardees = {nom for requete in REQUETES.values() for nom, _ in nommees(requete)}
    notres = {
        nom for nom in mesures if nom.startswith("creances_") and not nom.endswith(("_created", "_sum", "_count"))
    }
    assert notres <= regardees


def test_chaque_alerte_a_sa_marche_a_suivre_et_reciproquement() -> None:
    assert len({a["alert"] for a in ALERTES}) == len(ALERTES)
    suivies = set()
    for alerte in ALERTES:
        assert alerte["labels"]["severity"] in {"critique", "attention"} | {"veille"} & {alerte["alert"].lower()}
        assert alerte["annotations"]["summary"]
        fiche = RACINE / alerte["annotations"]["runbook"]
        assert alerte["alert"] in fiche.read_text("utf-8"), fiche
        suivies.add(fiche.name)
    assert suivies == {f.name for f in (RACINE / "docs/runbooks").glob("*.md")} - {"README.md"}
    sommaire = (RACINE / "docs/runbooks/README.md").read_text("utf-8")
    assert all(f"({nom})" in sommaire for nom in suivies)


def test_les_commandes_que_les_marches_a_suivre_donnent_existent() -> None:
    from tests.deploy.test_compose import analyser

    donnees = {
        commande
        for fiche in (RACINE / "docs/runbooks").glob("*.md")
        for commande in re.findall(r"`creances ([^`]+)`", fiche.read_text("utf-8"))
    }
    assert donnees
    for commande in donnees:
        arguments = shlex.split(commande.replace("REF", "3811701200010075F"))
        assert analyser(arguments), commande


def test_les_requetes_sql_des_marches_a_suivre_se_lisent_sur_cette_base(base: Any) -> None:
    donnees = [
        requete.replace("%", "%%").replace("…", "x")
        for fiche in (RACINE / "docs/runbooks").glob("*.md")
        for requete in re.findall(r"`((?:SELECT|UPDATE) [^`]+)`", fiche.read_text("utf-8"))
    ]
    assert donnees
    with psycopg.connect(base.url, autocommit=True) as conn:
        for requete in donnees:
            conn.execute(f"EXPLAIN {requete}".encode())


def test_ce_que_les_marches_a_suivre_disent_de_chercher_au_journal_y_est_ecrit() -> None:
    code = "".join(f.read_text("utf-8") for d in ("service", "engine", "consumers") for f in (RACINE / d).rglob("*.py"))
    fiches = "".join(f.read_text("utf-8") for f in (RACINE / "docs/runbooks").glob("*.md"))
    cherches = set(re.findall(r"`([a-z]+_(?:tombe|interrompu|ecarte|recree|perdus))`", fiches))
    assert cherches
    assert [nom for nom in cherches if f'"{nom}"' not in code] == []


def test_prometheus_et_grafana_trouvent_ce_qu_ils_lisent(mesures: dict[str, set[str]]) -> None:
    assert mesures
    assert set(SCRUTATION["rule_files"]) == {f.name for f in (DEPLOY / "prometheus").glob("*.yml")} - {"prometheus.yml"}
    assert "./deploy/prometheus:/etc/prometheus:ro" in COMPOSE["services"]["prometheus"]["volumes"]
    tache, *autres = SCRUTATION["scrape_configs"]
    assert tache["job_name"] == "creances"
    [adresse_des_alertes] = SCRUTATION["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    for cible in [adresse_des_alertes, *(autre["static_configs"][0]["targets"][0] for autre in autres)]:
        assert cible.split(":")[0] in {*COMPOSE["services"], "127.0.0.1"}, cible
    assert {autre["job_name"] for autre in autres} >= {"postgres", "machine", "alertmanager"}
    assert tache["metrics_path"] == "/metrics"
    [cible] = tache["static_configs"][0]["targets"]
    hote, port = cible.split(":")
    assert COMPOSE["services"][hote]["environment"]["CREANCES_OPS_PORT"] == int(port)
    assert not [publie for publie in COMPOSE["services"][hote]["ports"] if publie.endswith(f":{port}")], "jamais publié"
    [source] = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    adresse = urlsplit(source["url"])
    assert COMPOSE["services"][adresse.hostname]["ports"][0].endswith(f":{adresse.port}")
    assert {p["datasource"]["uid"] for p in TABLEAU["panels"]} == {source["uid"]}
    [dossier] = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/creances.yml").read_text())["providers"]
    assert f"./deploy/grafana/dashboards:{dossier['options']['path']}:ro" in COMPOSE["services"]["grafana"]["volumes"]


def test_le_tableau_de_bord_ne_superpose_rien() -> None:
    places = [p["gridPos"] for p in TABLEAU["panels"]]
    cases = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cases) == len(set(cases))
    assert all(p["x"] + p["w"] <= 24 for p in places)
    assert len({p["id"] for p in TABLEAU["panels"]}) == len(places)


def test_la_scrutation_attend_plus_que_l_api(mesures: dict[str, set[str]]) -> None:
    assert mesures
    attente, intervalle = (int(SCRUTATION["global"][f"scrape_{x}"].removesuffix("s")) for x in ("timeout", "interval"))
    assert attente < intervalle
