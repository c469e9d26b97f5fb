"""Les schémas publiés : ceux des classes, et jamais rompus."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from publication import schemas

DOSSIER = Path(__file__).parents[2] / schemas.DOSSIER
PaiementConclu = "fr.assurance-maladie.creances.PaiementConclu.v1.json"


def test_les_fichiers_sont_ceux_des_classes() -> None:
    """S'il échoue : `creances schemas`, qui refuse une rupture."""
    assert schemas.schemas_du_dossier(DOSSIER) == schemas.schemas()


def test_les_fichiers_sont_ceux_qui_s_ecriraient_a_l_octet_pres(tmp_path: Path) -> None:
    schemas.ecrire(tmp_path)
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {f.name: f.read_bytes() for f in DOSSIER.iterdir()}


@pytest.mark.parametrize(
    ("cle", "avant", "apres", "rompt"),
    [
        ("maximum", 10, 11, False),
        ("maximum", 10, None, False),
        ("maximum", 10, 9, True),
        ("maximum", None, 10, True),
        ("maxLength", 10, 11, False),
        ("minimum", 0, 1, True),
        ("minimum", 1, 0, True),
        ("pattern", "a", "b", True),
    ],
)
def test_un_plafond_se_releve_ou_se_retire_et_rien_ne_se_resserre(
    cle: str, avant: object, apres: object, *, rompt: bool
) -> None:
    ancien, nouveau = (
        {"f": {"properties": {"x": {cle: borne} if borne is not None else {}}}} for borne in (avant, apres)
    )
    assert bool(schemas.ruptures(ancien, nouveau)) is rompt


@pytest.mark.parametrize("nom", schemas.schemas())
def test_chaque_schema_est_valide_et_son_fichier_porte_le_nom_du_type(nom: str) -> None:
    schema = schemas.schemas()[nom]
    jsonschema.Draft202012Validator.check_schema(schema)
    version = nom.removesuffix(".json").rpartition(".")[2]
    assert nom == f"fr.assurance-maladie.creances.{schema['title']}.{version}.json"
    assert schema["$id"].endswith(f"{schema['title']}.{version}")
    assert schema["description"]


def change(chemin: str, valeur: Any = None) -> Callable[[Any], None]:
    """Change (None : retire) une valeur d'un schéma, au bout d'un chemin."""

    def changer(schema: Any) -> None:
        *parents, dernier = chemin.split("/")
        for cle in parents:
            schema = schema[cle]
        if valeur is None:
            del schema[dernier]
        else:
            schema[dernier] = valeur

    return changer


def renommer(schema: Any) -> None:
    schema["properties"]["motif_de_fin"] = schema["properties"].pop("cause")
    schema["required"][schema["required"].index("cause")] = "motif_de_fin"


RUPTURES: dict[str, Callable[[Any], None]] = {
    "cause a disparu": change("properties/cause"),
    "cause a disparu ": renommer,
    "cause : type passe de 'string' à 'integer'": change("properties/cause/type", "integer"),
    "issue : la valeur 'expire' a disparu": change("$defs/Fin/enum", ["accepte", "echoue"]),
    "nouveau devient obligatoire": lambda s: (
        s["properties"].update(nouveau={"type": "string"}),
        s["required"].append("nouveau"),
    )[0],
    "cause n'est plus toujours là": change("required", ["issue", "code", "accepte_le", "depart_presume"]),
    "cause : maxLength passe de None à 10": change("properties/cause/maxLength", 10),
    "accepte_le : format passe de 'date-time' à 'date'": change(
        "properties/accepte_le/anyOf", [{"type": "string", "format": "date"}, {"type": "null"}]
    ),
    "code : anyOf passe de": change("properties/code/anyOf", [{"type": "string"}]),
    "le schéma : additionalProperties passe de True à False": change("additionalProperties", valeur=False),
}


@pytest.mark.parametrize(("raison", "planter"), RUPTURES.items())
def test_une_rupture_plantee_est_refusee_et_rien_n_est_ecrit(
    raison: str, planter: Callable[[Any], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas.ecrire(tmp_path)
    avant = schemas.schemas_du_dossier(tmp_path)
    nouveaux = copy.deepcopy(avant)
    planter(nouveaux[PaiementConclu])
    monkeypatch.setattr(schemas, "schemas", lambda: nouveaux)
    with pytest.raises(schemas.SchemaIncompatible) as refus:
        schemas.ecrire(tmp_path)
    assert raison.strip() in " ; ".join(refus.value.ruptures[PaiementConclu])
    assert schemas.schemas_du_dossier(tmp_path) == avant


def test_un_evenement_que_l_on_ne_publie_plus_est_une_rupture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schemas.ecrire(tmp_path)
    restants = schemas.schemas()
    del restants[PaiementConclu]
    monkeypatch.setattr(schemas, "schemas", lambda: restants)
    with pytest.raises(schemas.SchemaIncompatible, match="n'est plus publié"):
        schemas.ecrire(tmp_path)


PERMIS: list[Callable[[Any], None]] = [
    lambda s: s["properties"].update(nouveau={"type": "string"}),
    change("$defs/Fin/enum", ["accepte", "echoue", "expire", "en_verification", "annule"]),
    change("description", "Mieux dit."),
    change("properties/code/description", "Mieux dit."),
]


@pytest.mark.parametrize("changer", PERMIS)
def test_un_ajout_facultatif_ou_une_description_passe(
    changer: Callable[[Any], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas.ecrire(tmp_path)
    nouveaux = copy.deepcopy(schemas.schemas_du_dossier(tmp_path))
    changer(nouveaux[PaiementConclu])
    monkeypatch.setattr(schemas, "schemas", lambda: nouveaux)
    assert schemas.ecrire(tmp_path) == [PaiementConclu]
    assert schemas.schemas_du_dossier(tmp_path) == json.loads(json.dumps(nouveaux))
