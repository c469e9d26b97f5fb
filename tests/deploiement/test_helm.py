"""Le chart Helm rend ce que le code attend : commandes, réglages, secrets, droits, portes, et rien de plus."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from api.exploitation.sante import vie
from service.composition import VIEWS
from service.production import find_gaps
from service.role_names import ALL, RoleKind
from service.settings import Settings, unknown_variables
from tests.deploy.test_compose import SERVICES, analyser, roles, routes, routes_de_l_api
from tests.outils import RACINE
from tests.service.test_certificats import ecrire

CHART: Final = RACINE / "deploy/helm/creances"
VALEURS: Final = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
REGLAGES: Final = {
    "CREANCES_KAFKA_BOOTSTRAP": "kafka-0.exemple.invalid:9093,kafka-1.exemple.invalid:9093",
    "CREANCES_PUBLIC_URL": "https://creances.exemple.invalid",
    "CREANCES_NOTIFICATION_URL": "https://creances-banque.exemple.invalid",
    "CREANCES_KIOSQUE_URL": "https://kiosque.exemple.invalid",
    "CREANCES_KIOSQUE_OFFICE_URL": "https://office.exemple.invalid",
    "CREANCES_KIOSQUE_MERCHANT_ID": "211040000000009",
    "CREANCES_OIDC_ISSUER": "https://sso.exemple.invalid/realms/cpam",
    "CREANCES_OIDC_CLIENT_ID": "creances",
    "CREANCES_PREUVE_ORIGIN": "creances.exemple.invalid/journal",
    "CREANCES_PREUVE_TEMOINS": "[]",
}
RESEAU: Final = {"postgresql": {"cidrs": ["10.1.0.0/24"]}, "kafka": {"cidrs": ["10.2.0.0/24"]}}
SERVEUR_HTTP: Final = "api"

HELM: Final = shutil.which("helm") or str(Path(sys.prefix) / "helm" / "helm")
"""Celui de la machine, ou celui que `make helm` a mis dans l'environnement."""

# En intégration, ce qui manque échoue.
sans_helm = pytest.mark.skipif(not Path(HELM).is_file() and "CI" not in os.environ, reason="il manque helm (make helm)")
pytestmark = sans_helm


def helm(*arguments: str, valeurs: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HELM, *arguments, "--kube-version", "1.31.0", "--values", "-"],
        input=json.dumps(valeurs or {"settings": REGLAGES, "network": RESEAU}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@cache
def rendu(autres: str = "{}") -> list[dict[str, Any]]:
    """Tout ce que le chart rend, avec ces valeurs de plus."""
    valeurs = {"settings": REGLAGES, "network": RESEAU} | json.loads(autres)
    fini = helm("template", "essai", str(CHART), "--namespace", "creances", valeurs=valeurs)
    assert fini.returncode == 0, fini.stderr
    return [document for document in yaml.safe_load_all(fini.stdout) if document]


def du_genre(genre: str) -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"].removeprefix("essai-"): d for d in rendu() if d["kind"] == genre}


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for genre in ("Deployment", "Job"):
        for nom, document in du_genre(genre).items():
            yield nom, document["spec"]["template"]


def conteneur(pod: dict[str, Any]) -> dict[str, Any]:
    [seul] = pod["spec"]["containers"]
    return dict(seul)


def test_le_chart_se_lit_sans_remarque() -> None:
    fini = helm("lint", "--strict", str(CHART))
    assert fini.returncode == 0, fini.stdout + fini.stderr


@pytest.mark.parametrize("absent", sorted(REGLAGES))
def test_ce_qui_n_a_pas_de_bon_defaut_est_demande(absent: str) -> None:
    valeurs = {"settings": {nom: v for nom, v in REGLAGES.items() if nom != absent}, "network": RESEAU}
    fini = helm("template", "essai", str(CHART), valeurs=valeurs)
    assert fini.returncode != 0
    assert absent in fini.stderr


def test_les_portes_ne_s_ouvrent_pas_a_defaut_d_adresses() -> None:
    fini = helm("template", "essai", str(CHART), valeurs={"settings": REGLAGES})
    assert fini.returncode != 0
    assert "cidrs" in fini.stderr
    [vers_la_banque] = [
        d
        for d in rendu(json.dumps({"network": RESEAU | {"bank": {"cidrs": []}, "ingressNamespaces": []}}))
        if d["metadata"]["name"] == "essai-outside"
    ]
    assert not vers_la_banque["spec"]["egress"], "une liste vide ferme, et n'ouvre pas à tous"


def test_les_traces_sont_un_reglage_et_une_porte() -> None:
    eteintes = du_genre("ConfigMap")["settings"]["data"]
    assert "CREANCES_OTLP_ENDPOINT" not in eteintes
    traces = {"endpoint": "http://collecteur:4318", "share": "0.5", "cidrs": ["10.3.0.0/24"]}
    documents = {
        (d["kind"], d["metadata"]["name"].removeprefix("essai-")): d for d in rendu(json.dumps({"traces": traces}))
    }
    allumees = documents["ConfigMap", "settings"]["data"]
    assert unknown_variables(allumees) == []
    assert (allumees["CREANCES_OTLP_ENDPOINT"], allumees["CREANCES_TRACE_SHARE"]) == ("http://collecteur:4318", "0.5")
    sorties = documents["NetworkPolicy", "servers"]["spec"]["egress"]
    assert {"ports": [{"protocol": "TCP", "port": 4318}], "to": [{"ipBlock": {"cidr": "10.3.0.0/24"}}]} in sorties


def test_chaque_role_est_un_deploiement_et_les_migrations_une_tache() -> None:
    lances = [role for d in du_genre("Deployment").values() for role in roles(conteneur(d["spec"]["template"])["args"])]
    assert sorted(lances) == sorted(map(str, ALL))
    assert {nom: conteneur(d["spec"]["template"])["args"] for nom, d in du_genre("Job").items()} == {
        "migrate": ["migrate"],
        "topics": ["topics"],
    }
    poids = {nom: int(d["metadata"]["annotations"]["helm.sh/hook-weight"]) for nom, d in du_genre("Job").items()}
    avant = int(du_genre("ConfigMap")["settings"]["metadata"]["annotations"]["helm.sh/hook-weight"])
    assert avant < poids["migrate"] < poids["topics"]
    for nom, pod in pods():
        assert analyser(conteneur(pod)["args"]), nom


def test_chaque_pod_est_sans_privilege_sur_un_disque_en_lecture_seule() -> None:
    for nom, pod in pods():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True, nom
        assert pod["spec"]["securityContext"]["runAsUser"] == 10001
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert conteneur(pod)["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in conteneur(pod)["resources"]["limits"]
        assert "cpu" not in conteneur(pod)["resources"]["limits"]
        assert {v["name"] for v in pod["spec"]["volumes"]} == {"tmp", "secrets"}


@pytest.mark.parametrize("nom", ["migrate", "topics", *VALEURS["roles"]])
def test_la_production_demarre_avec_ces_reglages(nom: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = dict(pods())[nom]
    [volume] = [v["secret"] for v in pod["spec"]["volumes"] if v["name"] == "secrets"]
    for cle in (item["key"] for item in volume["items"]):
        base = f"postgresql://{cle}:x@pg.exemple.invalid/creances?sslmode=verify-full"
        (tmp_path / cle).write_text(base if "database_url" in cle else sha256(cle.encode()).hexdigest())
    ecrire(tmp_path, "autorite")
    (tmp_path / "autorite.pem").replace(tmp_path / "kafka_ca")
    variables: dict[str, str] = dict(du_genre("ConfigMap")["settings"]["data"])
    variables |= {e["name"]: e["value"] for e in conteneur(pod)["env"]}
    assert unknown_variables(variables) == []
    for variable, valeur in variables.items():
        monkeypatch.setenv(variable, valeur.replace("/run/secrets", str(tmp_path)))
    lus = Settings(_env_file=None)
    assert find_gaps(lus, [RoleKind.API] if nom == "api" else []) == []
    metier = VALEURS["roles"].get(nom, {}).get("login")
    attendue = f"database_url_{metier}" if metier else "database_url"
    assert f"//{attendue}:" in str(lus.database_url), "la connexion de son métier, et elle seule"
    assert (lus.owner_database_url is not None) == (nom == "migrate")
    assert lus.ops_port_apart == 9000


def test_les_roles_du_chart_sont_ceux_de_compose() -> None:
    for nom, role in VALEURS["roles"].items():
        assert SERVICES[nom]["command"] == role["command"]
        examen = SERVICES[nom]["healthcheck"]["test"]
        if nom != SERVEUR_HTTP:
            assert examen == ["CMD", "creances", "healthy", *role["healthy"]]


def test_chaque_sonde_regarde_ce_role() -> None:
    for nom, document in du_genre("Deployment").items():
        seul = conteneur(document["spec"]["template"])
        if nom == SERVEUR_HTTP:
            ports = {p["name"]: p["containerPort"] for p in seul["ports"]}
            assert ports == {"http": Settings(_env_file=None).api_port, "ops": 9000}
            for sonde in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert seul[sonde]["httpGet"]["path"] in routes_de_l_api() | routes(vie)
                assert seul[sonde]["httpGet"]["port"] == "ops"
            assert seul["livenessProbe"]["httpGet"]["path"] != "/readyz", "PostgreSQL absent ne redémarre personne"
        else:
            assert analyser(seul["readinessProbe"]["exec"]["command"][1:]) == "healthy"
            assert "livenessProbe" not in seul
        arret = Settings(_env_file=None).shutdown_timeout.total_seconds()
        assert document["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > arret
    assert len(VIEWS) == len(VALEURS["roles"]["project"]["healthy"])


def test_un_noeud_peut_partir_sans_arreter_un_role() -> None:
    plusieurs = {nom for nom, role in VALEURS["roles"].items() if role["replicas"] > 1}
    assert set(du_genre("PodDisruptionBudget")) == plusieurs
    for nom, document in du_genre("Deployment").items():
        etiquettes = document["spec"]["template"]["metadata"]["labels"]
        choisis = document["spec"]["selector"]["matchLabels"]
        assert choisis.items() <= etiquettes.items()
        if nom in plusieurs:
            budget = du_genre("PodDisruptionBudget")[nom]["spec"]
            assert budget["selector"]["matchLabels"] == choisis
            assert document["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        else:
            assert document["spec"]["strategy"] == {"type": "Recreate"}


def test_keda_suit_le_retard_des_groupes_tels_qu_ils_se_nomment() -> None:
    reglages = Settings(_env_file=None, topic_prefix="creances")
    attendus = {
        "consume-avis": (reglages.topic_avis, reglages.partitions_avis),
        "consume-kiosque": (reglages.topic_notifications, reglages.partitions_notifications),
    }
    objets = du_genre("ScaledObject")
    assert set(objets) == set(attendus)
    for nom, (topic, partitions) in attendus.items():
        spec = objets[nom]["spec"]
        [declencheur] = spec["triggers"]
        assert (declencheur["type"], declencheur["metadata"]["topic"]) == ("kafka", topic)
        assert declencheur["metadata"]["consumerGroup"] == topic, "le groupe porte le nom de son topic"
        assert spec["maxReplicaCount"] == partitions, "un de plus resterait oisif"
        assert spec["scaleTargetRef"]["name"] == f"essai-{nom}"
        assert "replicas" not in du_genre("Deployment")[nom]["spec"], "KEDA seul en décide"
    sans = rendu(json.dumps({"keda": {"enabled": False}}))
    assert not [d for d in sans if d["kind"] == "ScaledObject"]
    assert all("replicas" in d["spec"] for d in sans if d["kind"] == "Deployment")


def test_rien_n_entre_ni_ne_sort_qu_une_regle_ne_nomme() -> None:
    regles = du_genre("NetworkPolicy")
    assert set(regles) == {"closed", "servers", "outside", "api"}
    fermee = regles["closed"]["spec"]
    assert set(fermee["policyTypes"]) == {"Ingress", "Egress"}
    assert not {"ingress", "egress"} & set(fermee)
    for nom, pod in pods():
        assert fermee["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items(), nom
    [dehors] = regles["outside"]["spec"]["podSelector"]["matchExpressions"]
    assert dehors["values"] == ["api", "relance"], "qui parle à la banque ou à l'émetteur"
    ports = {r["ports"][0]["port"] for r in regles["api"]["spec"]["ingress"]}
    assert ports == {8000, 9000}
    assert all(r["from"] for r in regles["api"]["spec"]["ingress"])


def test_la_version_est_celle_du_service() -> None:
    import tomllib

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    version = tomllib.loads((RACINE / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert chart["appVersion"] == version
    assert conteneur(dict(pods())["api"])["image"] == f"creances:{version}"


TOUS: Final = {"migrate", "topics", *VALEURS["roles"]}
DE_PLUS: Final = {
    "kiosque_previous_secret_key": TOUS,
    "kiosque_merchants": TOUS,
    "kiosque_retired_merchants": TOUS,
    "pseudonym_previous_secret": {"api", "consume-kiosque"},
    "session_previous_secret": {"api"},
    "smtp_password": {"api"},
}


def test_un_secret_de_plus_va_a_qui_le_lit_et_a_personne_d_autre() -> None:
    """Sans quoi une clé ne tournerait qu'écrite en clair parmi les réglages."""
    documents = rendu(json.dumps({"moreSecrets": list(DE_PLUS)}))
    lus: dict[str, set[str]] = {cle: set() for cle in DE_PLUS}
    for document in documents:
        if document["kind"] in {"Deployment", "Job"}:
            pod = document["spec"]["template"]
            nom = document["metadata"]["name"].removeprefix("essai-")
            montes = {item["key"] for v in pod["spec"]["volumes"] if "secret" in v for item in v["secret"]["items"]}
            noms = {e["name"] for e in conteneur(pod)["env"]}
            for cle in DE_PLUS:
                assert (cle in montes) == (f"CREANCES_{cle.upper()}_FILE" in noms)
                lus[cle] |= {nom} if cle in montes else set()
    assert lus == DE_PLUS
    assert unknown_variables({f"CREANCES_{cle.upper()}_FILE": "x" for cle in DE_PLUS}) == []
    fini = helm(
        "template", "essai", str(CHART), valeurs={"settings": REGLAGES, "network": RESEAU, "moreSecrets": ["x"]}
    )
    assert "x n'est lu par aucun rôle" in fini.stderr
