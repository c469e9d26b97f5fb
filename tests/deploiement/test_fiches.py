"""Les fiches : chaque commande existe, chaque bloc est joué par un test, chaque service et chaque outil est là."""

import re
import shlex
from collections.abc import Iterator
from typing import Final

import pytest

from publication.etat import EtatDesSoldes
from publication.publication import Publication
from service.health import ROLES
from service.role_names import RoleKind, role_named
from tests.deploiement.machine import ROLES as CONTENEURS
from tests.deploiement.machine import SERVICES, SORTIE, blocs
from tests.deploy.test_compose import analyser
from tests.outils import RACINE

FICHES: Final = sorted(f.name for f in (RACINE / "docs/runbooks").glob("*.md"))
BLOCS: Final = [(fiche, nom) for fiche in FICHES for nom in blocs(fiche)]
OUTILS: Final = {
    "amtool", "cat", "chown", "cp", "createdb", "creances", "date", "df", "docker", "echo", "grep", "mv",
    "pg_archivecleanup", "pg_basebackup", "pg_dump", "pg_restore", "pg_verifybackup", "printf", "promtool", "psql",
    "python3", "rm", "sleep", "touch",
}  # fmt: skip
VALEURS: Final = {
    "REF": "3811701200010075F",
    "ID": "argent-1",
    "ROLES": "consommateur_avis",
    "TRANSACTION": "PCLCB1",
    "RAISON": "essai",
    "VUE": "restant_du",
    "TOPIC": "creances.avis",
    "PARTITION": "0",
    "RAPPORTS": "f.csv",
}


def commandes(fiche: str) -> Iterator[list[str]]:
    """Chaque commande simple des blocs d'une fiche, ses variables remplacées."""
    for texte in blocs(fiche).values():
        for ligne in SORTIE.sub(lambda m: m["commande"], texte).splitlines():
            sans = re.sub(r"\s+#.*$", "", ligne)
            for variable, valeur in VALEURS.items():
                sans = sans.replace(f"${variable}", valeur)
            for morceau in re.split(r"(?:^|;|\|\|)\s*(?:until|do|done|while|if|then)\b|;|\|\||\|", sans):
                mots = shlex.split(re.sub(r"\s*[<>]+\s*\S+", "", morceau)) if _entier(morceau) else []
                if mots and not re.match(r"^(export|[A-Z_]+=)", mots[0]) and mots[0] not in {"done", "true"}:
                    yield mots


def _entier(morceau: str) -> bool:
    """Faux pour un bout de texte entre guillemets que la coupe a séparé."""
    return morceau.count("'") % 2 == 0 and morceau.count('"') % 2 == 0


@pytest.mark.parametrize("fiche", [f for f in FICHES if blocs(f)])
def test_chaque_commande_d_un_bloc_existe_avec_ces_options(fiche: str) -> None:
    vues = list(commandes(fiche))
    assert vues
    for mots in vues:
        assert mots[0] in OUTILS, mots
        if mots[0] == "creances":
            assert analyser(mots[1:]), mots
        if mots[:2] == ["docker", "compose"]:
            nommes = [mot for mot in mots[3:] if not mot.startswith("-") and not mot.startswith("$")]
            assert set(nommes) <= set(SERVICES), mots


@pytest.mark.parametrize("commande", [["consomme"], ["lag", "--sans"], ["healthy", "consommateur_avis", "--ago", "3"]])
def test_une_commande_qui_n_existe_pas_est_vue(commande: list[str]) -> None:
    with pytest.raises(Exception, match=r"consomme|No such option"):
        analyser(commande)


@pytest.mark.parametrize(("fiche", "nom"), [(f, n) for f, n in BLOCS if n != "variables"])
def test_chaque_bloc_est_joue_par_un_test(fiche: str, nom: str) -> None:
    essais = [
        fichier.read_text("utf-8")
        for dossier in ("deploiement", "restauration")
        for fichier in (RACINE / "tests" / dossier).glob("test_*.py")
    ]
    assert any(f'"{fiche}"' in texte and f'"{nom}"' in texte for texte in essais), f"{fiche} : {nom}"


def test_chaque_fiche_qui_guerit_dit_comment_on_le_sait() -> None:
    for fiche in FICHES:
        if "relancer" in blocs(fiche) or "lacher" in blocs(fiche):
            assert "fini" in blocs(fiche), fiche


def test_la_fiche_d_un_role_dit_le_conteneur_de_chacun() -> None:
    """L'alerte nomme un rôle, la commande veut un conteneur : à trois heures du matin, rien ne se devine."""
    texte = (RACINE / "docs/runbooks/role-inactif.md").read_text("utf-8")
    dits = {
        role: service
        for roles, service in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| `([\w-]+)` \|$", texte, re.MULTILINE)
        for role in re.findall(r"`(\w+)`", roles)
    }
    attendus = {
        signe: service
        for service, noms in CONTENEURS.items()
        for nom in noms
        if (role := role_named(nom)).kind is not RoleKind.API and (signe := role.signs)
    }
    assert dits == attendus | {EtatDesSoldes.nom: attendus[Publication.nom]}
    assert set(dits) == set(ROLES)
