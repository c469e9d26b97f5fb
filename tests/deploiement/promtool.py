"""Ce que Prometheus ferait : quelles alertes sonnent sur des mesures, selon `promtool`, l'outil qui l'accompagne."""

import math
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.outils import RACINE

PROMETHEUS: Final = RACINE / "deploy/prometheus"
FICHIERS: Final[list[str]] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))["rule_files"]
ALERTES: Final[dict[str, dict[str, Any]]] = {
    regle["alert"]: regle
    for fichier in FICHIERS
    for groupe in yaml.safe_load((PROMETHEUS / fichier).read_text("utf-8"))["groups"]
    for regle in groupe["rules"]
}

avec_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="il manque promtool (Debian : apt-get install prometheus)"
)
avec_alertmanager = pytest.mark.skipif(
    shutil.which("amtool") is None or shutil.which("prometheus-alertmanager") is None,
    reason="il manque amtool (Debian : apt-get install prometheus-alertmanager)",
)


def sonnent(cas: Mapping[str, tuple[str, Mapping[str, str]]], dossier: Path, *, pas: str = "1m") -> set[str]:
    """Les cas dont l'alerte sonne à l'instant dit : par cas, l'instant et ses séries, en notation de promtool."""
    essais = []
    for nom, (quand, series) in cas.items():
        alerte = nom.partition(" ")[0]
        essais.append(
            {
                "interval": pas,
                "input_series": [{"series": serie, "values": valeurs} for serie, valeurs in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alerte}", alertstate="firing"}}) > 0',
                        "eval_time": quand,
                        "exp_samples": [{"labels": nom_en_etiquette(nom), "value": -1}],
                    }
                ],
            }
        )
    dit = _promtool(essais, dossier, pas)
    return {nom for nom in cas if _trouve(dit, nom)}


def nom_en_etiquette(nom: str) -> str:
    """Un texte que promtool répète à côté de ce qu'il a trouvé : il dit de quel cas il parle."""
    return f'{{cas="{nom}"}}'


def _trouve(dit: str, nom: str) -> bool:
    """Vrai si promtool a trouvé l'alerte : il répète le cas attendu, et ce qu'il a eu à la place."""
    [eu] = re.findall(rf'exp: \{{cas="{re.escape(nom)}"\}} -1E\+00[^\n]*\s+got: ([^\n]*)', dit)
    return str(eu).strip() != "nil"


def _promtool(essais: Sequence[Mapping[str, Any]], dossier: Path, pas: str) -> str:
    """Lance promtool ; chaque attente est fausse exprès, si bien qu'il dit ce qu'il a trouvé."""
    regles = [str(PROMETHEUS / fichier) for fichier in FICHIERS]
    fichier = dossier / "essais.yml"
    fichier.write_text(
        yaml.safe_dump({"rule_files": regles, "evaluation_interval": pas, "tests": list(essais)}, allow_unicode=True)
    )
    fini = subprocess.run(
        ["promtool", "test", "rules", str(fichier)],  # noqa: S607 (celui de la machine)
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert "got:" in fini.stdout, fini.stdout
    return fini.stdout


def sonne_sur(alerte: str, *releves: str, dossier: Path, minutes: int = 20) -> bool:
    """Vrai si l'alerte sonne quand `/metrics` a dit ces relevés, l'un après l'autre, chacun le temps dit."""
    rien = f"_x{minutes}"
    series: dict[str, list[str]] = {}
    for rang, releve in enumerate(releves):
        for famille in text_string_to_metric_families(releve):
            for mesure in famille.samples:
                etiquettes = mesure.labels | {"job": "creances", "instance": "api:9000"}
                nom = mesure.name + "{" + ",".join(f'{n}="{_echappe(v)}"' for n, v in sorted(etiquettes.items())) + "}"
                # promtool n'écrit pas l'infini ; aucune alerte ne sonne sur « jamais ».
                if not mesure.name.endswith("_created") and math.isfinite(mesure.value):
                    series.setdefault(nom, [rien] * rang).append(f"{mesure.value!r}x{minutes - 1}")
        for valeurs in series.values():
            valeurs.extend([rien] * (rang + 1 - len(valeurs)))
    lues = {nom: " ".join(valeurs) for nom, valeurs in series.items()}
    lues['up{job="creances",instance="api:9000"}'] = f"1x{minutes * len(releves)}"
    quand = f"{minutes * len(releves) - 1}m"
    return sonnent({alerte: (quand, lues)}, dossier) == {alerte}


def _echappe(valeur: str) -> str:
    return valeur.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
