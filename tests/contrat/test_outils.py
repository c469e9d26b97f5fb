"""Les outils de ceux qui nous lisent tirent de nos contrats ce qu'il leur faut : un client, des classes, des canaux."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from publication import schemas
from publication.cloudevent import composer, type_publie
from publication.contenu import faits_publies
from tests.outils import RACINE
from tests.publication.test_contenu import SOURCE, exemple

OUTILS = RACINE / ".venv" / "contrat"
OPENAPI = RACINE / "docs" / "openapi.json"
ASYNCAPI = RACINE / "docs" / "asyncapi.yaml"


@pytest.fixture(scope="module", autouse=True)
def installes() -> None:
    """Les outils ; l'intégration continue les a, ailleurs ces tests s'en passent et le disent."""
    if (OUTILS / ".installed").exists() and shutil.which("node") is not None:
        return
    if os.environ.get("CI"):
        pytest.fail("il manque les outils des contrats : make contrat")
    pytest.skip("demande les outils des contrats : make contrat")


def lancer(*commande: str | Path, dans: Path) -> str:
    fini = subprocess.run(
        [str(partie) for partie in commande],
        cwd=dans,
        env=os.environ | {"PATH": f"{OUTILS / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert fini.returncode == 0, fini.stdout + fini.stderr
    return fini.stdout + fini.stderr


@pytest.mark.lent
def test_openapi_python_client_fait_un_client_entier_qui_s_importe(tmp_path: Path) -> None:
    client = tmp_path / "client_des_creances"
    dit = lancer(
        "openapi-python-client", "generate", "--path", OPENAPI, "--output-path", client, "--meta=none", dans=tmp_path
    )
    assert "WARNING" not in dit.upper(), dit
    assert "ERROR" not in dit.upper(), dit
    importer = (
        "import importlib, pkgutil, client_des_creances as c\n"
        "noms = [m.name for m in pkgutil.walk_packages(c.__path__, c.__name__ + '.')]\n"
        "[importlib.import_module(nom) for nom in noms]\n"
        "from client_des_creances.models import PageDuFil\n"
        "page = PageDuFil.from_dict({'epoque': 'e', 'evenements': [], 'marques': [], 'suite': 'e.1'})\n"
        "assert page.suite == 'e.1'\n"
        "print(sum('.api.' in nom for nom in noms))\n"
    )
    combien = int(lancer(OUTILS / "bin" / "python", "-c", importer, dans=tmp_path))
    operations = [op for chemin in json.loads(OPENAPI.read_text("utf-8"))["paths"].values() for op in chemin.values()]
    assert combien >= len(operations)


def test_openapi_n_a_ni_reference_pendante_ni_nom_qui_ne_soit_pas_ascii() -> None:
    document = json.loads(OPENAPI.read_text("utf-8"))
    connus = {f"#/components/{genre}/{nom}" for genre, noms in document["components"].items() for nom in noms}
    assert set(references(document)) <= connus
    operations = [op for chemin in document["paths"].values() for op in chemin.values()]
    noms = [op["operationId"] for op in operations]
    assert all(nom.isascii() and nom.isidentifier() for nom in noms)
    assert len(set(noms)) == len(noms)
    assert all(nom.isascii() for nom in document["components"]["schemas"])


def references(noeud: Any) -> list[str]:
    if isinstance(noeud, list):
        return [une for element in noeud for une in references(element)]
    if not isinstance(noeud, dict):
        return []
    siennes = [noeud["$ref"]] if isinstance(noeud.get("$ref"), str) else []
    return siennes + [une for element in noeud.values() for une in references(element)]


@pytest.mark.lent
def test_datamodel_code_generator_fait_des_classes_qui_lisent_nos_messages(tmp_path: Path) -> None:
    """Toutes : l'ancienne version qui s'en va est celle dont un champ porte le nom de son type."""
    sources = tmp_path / "schemas"
    sources.mkdir()
    for nom, schema in schemas.schemas().items():
        court = nom.removeprefix("fr.assurance-maladie.creances.").removesuffix(".json").replace(".", "_")
        (sources / f"{court}.json").write_text(json.dumps(schema), "utf-8")
    options = ["--input-file-type=jsonschema", "--output-model-type=pydantic_v2.BaseModel", "--disable-timestamp"]
    lancer("datamodel-codegen", f"--input={sources}", f"--output={tmp_path / 'classes'}", *options, dans=tmp_path)
    messages = {
        type_publie(classe).rpartition(".creances.")[2].replace(".", "_"): composer(
            exemple(classe), SOURCE
        ).valeur.decode()
        for classe in faits_publies()
    }
    (tmp_path / "messages.json").write_text(json.dumps(messages), "utf-8")
    relire = (
        "import importlib, json\n"
        "for nom, message in json.load(open('messages.json')).items():\n"
        "    module = importlib.import_module(f'classes.{nom}')\n"
        "    getattr(module, nom.partition('_')[0]).model_validate_json(message)\n"
    )
    lancer(sys.executable, "-c", relire, dans=tmp_path)


@pytest.mark.lent
def test_l_analyseur_d_asyncapi_ne_trouve_rien_a_redire(tmp_path: Path) -> None:
    dit = json.loads(lancer("node", RACINE / "tests/contrat/node/analyser.mjs", OUTILS, ASYNCAPI, dans=tmp_path))
    document = yaml.safe_load(ASYNCAPI.read_text("utf-8"))
    assert dit["fautes"] == []
    assert sorted(dit["canaux"]) == sorted(canal["address"] for canal in document["channels"].values())
    assert sorted(dit["serveurs"]) == sorted(document["servers"])
    nommes = {message["name"] for message in document["components"]["messages"].values() if "name" in message}
    assert set(dit["messages"]) >= nommes
