"""Le socle : ce qu'il n'importe pas, et les ensembles qu'il ferme."""

import ast

import pytest

from api.socle.problemes import STATUTS_DES_REFUS, TITRES, RefusDeSaisie, statut_de
from domain.refus import Refus, refus_connus
from tests.outils import RACINE
from tests.test_architecture import importes

API = RACINE / "api"
PERSONNES = {dossier.name for dossier in API.iterdir() if (dossier / "__init__.py").exists()} - {"socle"}


def tous_les_refus() -> list[type[Refus]]:
    """Chaque refus que le service peut lever : `api.application` importe tout ce qui en déclare."""
    import api.application  # noqa: F401

    return [refus for refus in refus_connus() if not refus.__module__.startswith("tests.")]


def imports_vers_une_personne(source: str) -> list[str]:
    tetes = {f"api.{personne}" for personne in PERSONNES} | {"api.banque", "api.application"}
    arbre = ast.parse(source)
    noms = [module for _, module in importes(arbre)]
    noms += [
        f"{noeud.module}.{nom.name}"
        for noeud in ast.walk(arbre)
        if isinstance(noeud, ast.ImportFrom)
        for nom in noeud.names
    ]
    return [nom for nom in noms if any(nom == tete or nom.startswith(f"{tete}.") for tete in tetes)]


def test_le_socle_n_importe_aucune_personne() -> None:
    assert "assure" in PERSONNES
    fautes = {
        module.name: imports_vers_une_personne(module.read_text("utf-8")) for module in (API / "socle").rglob("*.py")
    }
    assert {nom: vers for nom, vers in fautes.items() if vers} == {}


@pytest.mark.parametrize(
    "source", ["from api.assure.saisie import Saisie", "from api import assure", "import api.banque"]
)
def test_un_import_vers_une_personne_est_vu(source: str) -> None:
    assert imports_vers_une_personne(source)


def test_un_gabarit_n_a_qu_un_nom_dans_toute_l_api() -> None:
    noms = [gabarit.name for gabarit in API.glob("*/gabarits/*.html")]
    assert len(noms) == len(set(noms))


def test_chaque_refus_a_son_statut_http() -> None:
    assert [refus.__name__ for refus in tous_les_refus() if statut_de(refus) not in TITRES] == []


def test_un_refus_sans_statut_est_vu() -> None:
    orphelin = type("Orphelin", (Refus,), {"__module__": __name__})
    with pytest.raises(LookupError):
        statut_de(orphelin)
    assert statut_de(type("DeSaisie", (RefusDeSaisie,), {"__module__": __name__})) == 422
    assert Refus not in STATUTS_DES_REFUS
