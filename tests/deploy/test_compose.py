"""`docker-compose.yml` et le code disent la même chose ; aucun moteur Docker n'est demandé, tout se lit."""

import inspect
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from engine.role_state import HEARTBEAT_S
from kiosque.simulateur import ReglagesSimulateur, creer_simulateur
from preuve.witness import arguments
from service import kafka
from service.cli.entry import command
from service.cli.health import healthy
from service.composition import VIEWS
from service.health import ROLES
from service.production import find_gaps
from service.role_names import ALL, SIMULATOR
from service.settings import Settings, unknown_variables
from tests.outils import RACINE

COMPOSE = yaml.safe_load((RACINE / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NOTRES = {
    nom: service for nom, service in SERVICES.items() if service["image"] == "creances" and "entrypoint" not in service
}
TACHES = {"migrate", "topics"}
A_LA_DEMANDE = {"outils"}
"""Lancé commande par commande, par une personne."""


def resoudre(valeur: object) -> str:
    """Ce que vaut une variable que personne ne donne : son défaut, `${NOM:-defaut}`."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(valeur))


def environnement(service: dict[str, Any]) -> dict[str, str]:
    return {nom: resoudre(valeur) for nom, valeur in service.get("environment", {}).items()}


def analyser(arguments: list[str]) -> str:
    """Analyse une commande comme `creances` le ferait, sans la lancer ; rend son nom. Un mauvais usage lève."""
    nom, *reste = arguments
    command(nom).make_context(nom, reste)
    return nom


def roles(arguments: list[str]) -> set[str]:
    """Les rôles de `creances up` qu'une commande lance."""
    match arguments:
        case ["consume", topic]:
            return {f"consume:{topic}"}
        case ["project"]:
            return {f"project:{vue}" for vue in VIEWS}
        case [nom]:
            return {nom}
        case _:
            raise AssertionError(arguments)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Les secrets, tels que `deploy/secrets.sh` les tire."""
    dossier = tmp_path_factory.mktemp("deploy")
    script = dossier / "secrets.sh"
    script.write_bytes((RACINE / "deploy/secrets.sh").read_bytes())

    def tires() -> dict[str, bytes]:
        subprocess.run(["/bin/sh", str(script)], check=True, capture_output=True)
        return {fichier.name: fichier.read_bytes() for fichier in (dossier / "secrets").iterdir()}

    assert tires() == tires(), "la seconde fois ne change rien"
    return dossier / "secrets"


@pytest.fixture
def settings(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Les réglages qu'un service lira."""

    def lire(nom: str) -> Settings:
        variables = environnement(NOTRES[nom])
        assert unknown_variables(variables) == []
        for variable, valeur in variables.items():
            monkeypatch.setenv(variable, valeur.replace("/run/secrets", str(secrets)))
        return Settings(_env_file=None)

    return lire


def routes(application: Any) -> set[str]:
    return {route.path for route in application.routes if hasattr(route, "path")}


# --- Les commandes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nom", NOTRES)
def test_chaque_commande_est_une_commande_de_creances(nom: str) -> None:
    assert analyser(NOTRES[nom]["command"])


@pytest.mark.parametrize("arguments", [["consomme"], ["consume", "avis", "de-trop"], ["api", "--port", "80"]])
def test_une_commande_qui_n_existe_pas_est_vue(arguments: list[str]) -> None:
    with pytest.raises(Exception, match=r"consomme|extra argument|No such option"):
        analyser(arguments)


def test_chaque_role_a_un_conteneur_et_un_seul() -> None:
    lances = [role for nom, s in NOTRES.items() if nom not in TACHES | A_LA_DEMANDE for role in roles(s["command"])]
    assert sorted(lances) == sorted(str(role) for role in (*ALL, SIMULATOR))
    assert NOTRES["kiosque"]["profiles"] == ["essai"], "le kiosque simulé n'est là que pour essayer"


def test_le_temoin_d_essai_a_sa_cle_son_etat_et_rien_du_service(secrets: Path) -> None:
    temoin = SERVICES["temoin"]
    assert temoin["entrypoint"] == ["python", "-m", "preuve.witness"]
    assert (temoin["profiles"], temoin["secrets"], "environment" in temoin) == (["essai"], ["temoin_key"], False)
    dits = [resoudre(mot) for mot in temoin["command"]]
    lus = arguments().parse_args(dits)
    assert lus.state.is_relative_to(temoin["volumes"][0].partition(":")[2])
    assert len(bytes.fromhex((secrets / "temoin_key").read_text())) == 32
    origine = environnement(SERVICES["sceller"])["CREANCES_PREUVE_ORIGIN"]
    assert lus.log == [f"{origine}="], "la clé publique du journal reste à dire"


# --- Les réglages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nom", NOTRES)
def test_chaque_variable_est_un_reglage_et_chaque_secret_vient_d_un_fichier(nom: str, settings: Any) -> None:
    lus: Settings = settings(nom)
    assert lus.model_fields_set >= {"database_url", "kafka_bootstrap"}
    donnes = {v for v in environnement(NOTRES[nom]).values() if v.startswith("/run/secrets/")}
    assert {Path(v).name for v in donnes} == set(NOTRES[nom]["secrets"])
    base = urlsplit(str(lus.database_url))
    assert (base.hostname, base.port, base.path) == (
        "postgres",
        5432,
        f"/{SERVICES['postgres']['environment']['POSTGRES_DB']}",
    )
    ecoute = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"PLAINTEXT://{lus.kafka_bootstrap}" == ecoute
    assert f"PLAINTEXT://:{ecoute.rpartition(':')[2]}" in SERVICES["kafka"]["environment"]["KAFKA_LISTENERS"].split(",")


def test_les_secrets_tires_sont_ceux_que_compose_monte(secrets: Path) -> None:
    assert {Path(s["file"]).name for s in COMPOSE["secrets"].values()} == {f.name for f in secrets.iterdir()}
    assert set(COMPOSE["secrets"]) == {nom for s in SERVICES.values() for nom in s.get("secrets", [])}
    for nom, secret in COMPOSE["secrets"].items():
        assert secret["file"] == f"deploy/secrets/{nom}"
    assert secrets.stat().st_mode & 0o077 == 0
    proprietaire, service = (urlsplit((secrets / f"{x}database_url").read_text()) for x in ("owner_", ""))
    assert proprietaire.username == SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    assert proprietaire.password == (secrets / "owner_password").read_text()
    assert f"CREATE ROLE {service.username} LOGIN" in (RACINE / "deploy/postgres/10-service-role.sh").read_text()
    assert service.password == (secrets / "service_password").read_text()
    assert "deploy/secrets/" in (RACINE / ".gitignore").read_text().splitlines()


def test_chaque_role_n_a_que_la_connexion_de_son_metier(secrets: Path) -> None:
    metiers = {
        "api": "api",
        "consume-avis": "consommateur",
        "consume-kiosque": "consommateur",
        "project": "suiveur",
        "publish": "publication",
        "relance": "relance",
        "sceller": "sceau",
    }
    script = (RACINE / "deploy/postgres/10-service-role.sh").read_text()
    for nom, metier in metiers.items():
        assert [s for s in NOTRES[nom]["secrets"] if "database" in s] == [f"database_url_{metier}"]
        assert f"database_url_{metier}" in environnement(NOTRES[nom])["CREANCES_DATABASE_URL_FILE"]
        url = urlsplit((secrets / f"database_url_{metier}").read_text())
        assert (url.username, url.password) == (f"service_{metier}", (secrets / f"password_{metier}").read_text())
        assert f"password_{metier}" in SERVICES["postgres"]["secrets"]
        assert metier in re.findall(r"for role in ([a-z ]+); do", script)[0].split()
    assert set(NOTRES) - set(metiers) == {"migrate", "topics", "kiosque"} | A_LA_DEMANDE


def test_l_outil_voit_toute_la_production_et_n_en_manque_rien_que_la_maison_ne_dise(settings: Any) -> None:
    """Ce que `outils check` nomme encore est à qui installe : aucun secret tiré, rien que compose ne donnerait pas."""
    for nom in [nom for nom in NOTRES if nom not in {"temoin", "kiosque"}]:
        assert SERVICES[nom]["env_file"] == [{"path": "deploy/reglages/creances/creances.env", "required": False}]
        assert SERVICES[nom]["volumes"] == ["./deploy/reglages/creances:/etc/creances:ro"]
    assert SERVICES["temoin"]["env_file"] == []
    manquent = {gap.setting.removeprefix("CREANCES_").lower() for gap in find_gaps(settings("outils"))}
    par_compose = set(re.findall(r"\$\{(?:CREANCES_)?(\w+):-", (RACINE / "docker-compose.yml").read_text("utf-8")))
    du_fichier = {"oidc_issuer", "kafka_security_protocol"}
    assert manquent - du_fichier - {"database_url"} <= {nom.lower() for nom in par_compose}
    assert du_fichier <= manquent
    assert not {f"CREANCES_{nom.upper()}" for nom in du_fichier} & set(environnement(NOTRES["outils"]))
    for nom in par_compose:
        assert re.search(rf"`(CREANCES_)?{nom}`", (RACINE / "docs/production.md").read_text()) or nom in {
            "MODE", "OTLP_ENDPOINT", "ALERTMANAGER", "PREUVE_TEMOINS", "PREUVE_TEMOINS_ACCORD",
        }, nom  # fmt: skip


def test_seule_la_migration_tient_l_url_du_proprietaire() -> None:
    assert [nom for nom, s in NOTRES.items() if "owner_database_url" in s["secrets"]] == ["migrate"]


def test_aucun_topic_n_est_nomme_hors_des_reglages(settings: Any) -> None:
    connus = kafka.topics(settings("topics"))
    for fichier in [RACINE / "docker-compose.yml", *(RACINE / "deploy").rglob("*.*")]:
        if fichier.is_file() and "secrets" not in fichier.parts:
            nommes = re.findall(r"\bcreances\.(?:avis|kiosque|evenements)[\w.]*", fichier.read_text("utf-8"))
            assert set(nommes) <= set(connus), fichier
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert settings("topics").topic_replicas == 1, "un seul courtier ici"


# --- Ce qui se voit du dehors, et ce qui est permis ------------------------------------------------------------------


def test_le_courtier_est_la_version_que_les_tests_tournent() -> None:
    pom = (RACINE / "tests/kafka/pom.xml").read_text("utf-8")
    [version] = re.findall(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([\d.]+)</version>", pom)
    assert SERVICES["kafka"]["image"].partition("@")[0] == f"apache/kafka:{version}"


def test_les_images_s_epinglent_par_leur_empreinte(tmp_path: Path) -> None:
    # Aucun registre ici : ce qui répond à la place de Docker donne à chaque étiquette une empreinte à elle.
    (tmp_path / "deploy").mkdir()
    for nom in ("docker-compose.yml", "deploy/Dockerfile", "deploy/pin-images.sh"):
        shutil.copy(RACINE / nom, tmp_path / nom)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        '#!/bin/sh\nfor image; do :; done\nprintf "sha256:%s" "$(printf %s "$image" | sha256sum | cut -c-64)"\n'
    )
    docker.chmod(0o755)
    chemin = {"PATH": f"{docker.parent}:/usr/bin:/bin"}

    def lancer(*options: str) -> subprocess.CompletedProcess[str]:
        commande = ["deploy/pin-images.sh", *options]
        return subprocess.run(commande, cwd=tmp_path, env=chemin, capture_output=True, text=True, check=False)

    assert lancer("--check").returncode == 1
    for _ in range(2):  # Épingler de nouveau suit l'étiquette, sans rien empiler.
        assert lancer().returncode == 0
        assert lancer("--check").returncode == 0
    epinglees = yaml.safe_load((tmp_path / "docker-compose.yml").read_text())["services"]
    for nom, service in SERVICES.items():
        image = epinglees[nom].pop("image")
        etiquette, _, empreinte = image.partition("@sha256:")
        attendue = service["image"].partition("@")[0]
        assert (etiquette, len(empreinte)) == (attendue, 0 if attendue == "creances" else 64)
        assert epinglees[nom] == {cle: valeur for cle, valeur in service.items() if cle != "image"}
    assert (tmp_path / "deploy" / "Dockerfile").read_text().count("@sha256:") == 2


def test_rien_n_est_publie_hors_de_la_machine(settings: Any) -> None:
    publies = {nom: s["ports"] for nom, s in SERVICES.items() if "ports" in s}
    assert set(publies) == {"api", "kiosque", "grafana", "prometheus", "alertmanager"}
    assert all(port.startswith("127.0.0.1:") for ports in publies.values() for port in ports)
    assert publies["api"] == [f"127.0.0.1:{urlsplit(settings('api').public_url).port}:{settings('api').api_port}"]
    simule = settings("kiosque")
    assert publies["kiosque"] == [f"127.0.0.1:{urlsplit(simule.kiosque_url).port}:{simule.simulator_port}"]
    assert simule.simulator_url == simule.kiosque_url
    assert simule.simulator_host == settings("api").api_host == "0.0.0.0"  # noqa: S104


def test_la_banque_simulee_et_le_service_se_joignent(settings: Any) -> None:
    lus: Settings = settings("relance")
    assert lus.kiosque_office_url == f"http://kiosque:{lus.simulator_port}"
    assert lus.notification_url == f"http://api:{lus.api_port}"


@pytest.mark.parametrize("nom", SERVICES)
def test_aucun_conteneur_ne_gagne_de_droits(nom: str) -> None:
    service = SERVICES[nom]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
    # L'image d'Apache Kafka écrit sa configuration au démarrage.
    assert service.get("read_only", False) or nom == "kafka"


# --- Qui attend qui, et comment l'on sait qu'un rôle va bien ---------------------------------------------------------


def test_chacun_attend_ce_qu_il_lui_faut() -> None:
    for nom, service in SERVICES.items():
        for attendu, condition in service.get("depends_on", {}).items():
            assert attendu in SERVICES
            if attendu in TACHES:
                assert condition == {"condition": "service_completed_successfully"}, nom
            else:
                assert condition == {"condition": "service_healthy"}, nom
                assert "test" in SERVICES[attendu]["healthcheck"], nom
    for nom, service in NOTRES.items():
        if nom not in TACHES | A_LA_DEMANDE | {"kiosque"}:
            assert set(service["depends_on"]) == TACHES, nom


@pytest.mark.parametrize("nom", NOTRES)
def test_chaque_examen_de_sante_regarde_ce_role(nom: str, settings: Any) -> None:
    examen = NOTRES[nom]["healthcheck"]
    if nom in TACHES | A_LA_DEMANDE:
        assert examen == {"disable": True}
        return
    match examen["test"]:
        case ["CMD", "python", "-c", programme]:
            compile(programme, nom, "exec")
            [url] = re.findall(r"http://[^']+", programme)
            lus: Settings = settings(nom)
            simule = nom == "kiosque"
            assert urlsplit(url).port == (lus.simulator_port if simule else lus.ops_port)
            servies = routes(creer_simulateur(ReglagesSimulateur())) if simule else routes_de_l_api()
            assert urlsplit(url).path in servies
        case ["CMD", "creances", *arguments]:
            assert analyser(arguments) == "healthy"
            noms = [argument for argument in arguments[1:] if argument in ROLES]
            attendus = {
                "consume:avis": "consommateur_avis",
                "consume:kiosque": "consommateur_kiosque",
                "publish": "publication",
                **{f"project:{vue}": vue for vue in VIEWS},
            }
            assert set(noms) == {attendus.get(role, role) for role in roles(NOTRES[nom]["command"])}
            assert set(arguments[1:]) == set(noms)
        case autre:
            raise AssertionError(autre)


def routes_de_l_api() -> set[str]:
    from api.exploitation.sante import routes as sante

    return routes(sante)


def test_une_question_au_kiosque_tient_dans_l_age_que_l_examen_tolere(settings: Any) -> None:
    """Le rôle `relance` ne donne pas signe de vie tant qu'il attend une réponse."""
    lus: Settings = settings("relance")
    age = inspect.signature(healthy).parameters["max_age"].default
    assert lus.kiosque_timeout.total_seconds() + HEARTBEAT_S < age


# --- L'image ---------------------------------------------------------------------------------------------------------


def instructions() -> Iterator[tuple[str, str]]:
    texte = re.sub(r"^\s*#.*\n", "", (RACINE / "deploy/Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    for ligne in texte.replace("\\\n", " ").splitlines():
        if ligne.strip():
            instruction, _, reste = ligne.strip().partition(" ")
            yield instruction, reste.strip()


def valeurs(instruction: str) -> list[str]:
    return [reste for nom, reste in instructions() if nom == instruction]


def test_l_image_se_construit_de_fichiers_qui_existent() -> None:
    assert NOTRES["api"]["build"] == {"context": ".", "dockerfile": "deploy/Dockerfile"}
    admis = [ligne for ligne in (RACINE / ".dockerignore").read_text().splitlines() if ligne.startswith("!")]
    pyproject = tomllib.loads((RACINE / "pyproject.toml").read_text())
    pieces = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert set(admis) == {f"!{nom}" for nom in ("pyproject.toml", "LICENSE", "requirements", *pieces)}
    for copie in valeurs("COPY"):
        if copie.startswith("--from="):
            assert copie.partition(" ")[0] == "--from=build"
            continue
        *sources, _ = shlex.split(copie)
        for source in sources:
            assert (RACINE / source).exists(), source
            assert source == "." or f"!{source.split('/')[0]}" in admis


def test_l_image_est_du_python_que_les_tests_tournent() -> None:
    images = [image.split(" ")[0] for image in valeurs("FROM")]
    assert len(images) == 2
    assert len(set(images)) == 1, "ce qui est compilé dans l'une tourne dans l'autre"
    pyproject = tomllib.loads((RACINE / "pyproject.toml").read_text())
    version = pyproject["tool"]["mypy"]["python_version"]
    assert images[0].startswith(f"python:{version}-")
    assert pyproject["project"]["requires-python"] == f">={version}"


def test_l_image_lance_un_role_sans_privilege_ni_outil_de_construction() -> None:
    final = list(instructions())[[nom for nom, _ in instructions()].index("FROM", 1) :]
    assert [reste for nom, reste in final if nom == "USER"] == ["10001"]
    assert not any("pip" in reste for nom, reste in final if nom == "RUN")
    [entree], [commande] = valeurs("ENTRYPOINT"), valeurs("CMD")
    assert json.loads(entree) == ["creances"]
    assert analyser(json.loads(commande)) == "api"
    assert valeurs("EXPOSE") == [f"{Settings(_env_file=None).api_port} {Settings(_env_file=None).ops_port_apart}"]
    [examen] = valeurs("HEALTHCHECK")
    assert json.loads(examen[examen.index("[") :]) == NOTRES["api"]["healthcheck"]["test"][1:]
    entrees = pyproject_scripts()
    assert entrees["creances"] == "service.cli:main"


def pyproject_scripts() -> dict[str, str]:
    lus: dict[str, str] = tomllib.loads((RACINE / "pyproject.toml").read_text())["project"]["scripts"]
    return lus


def test_les_dependances_de_l_image_sont_celles_du_projet_figees_et_sans_rien_d_embarque() -> None:
    def figees(nom: str) -> dict[str, str]:
        texte = (RACINE / "requirements" / nom).read_text()
        assert texte.count("==") <= texte.count("--hash=sha256:")
        return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", texte, flags=re.MULTILINE))

    projet = tomllib.loads((RACINE / "pyproject.toml").read_text())
    noms = {re.split(r"[\[<>=]", d)[0].lower() for d in projet["project"]["dependencies"]}
    embarquees = {re.split(r"[\[<>=]", d)[0] for d in projet["project"]["optional-dependencies"]["embarque"]}
    production, construction, essai = figees("production.txt"), figees("build.txt"), figees("runtime.txt")
    assert noms <= set(production)
    assert not embarquees & set(production)
    assert "hatchling" in construction
    assert "hatchling" not in production
    for nom, version in (production | construction).items():
        assert essai.get(nom) == version, "ce que les tests ont vu tourner"
