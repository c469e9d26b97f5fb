"""La lecture légère dit ce que dit la stricte, octet pour octet, de tout ce que le service écrit ou pourrait écrire."""

import builtins
import json
import types
import typing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Final, NewType, get_args, get_origin

import pytest
from eventsourcing.persistence import MapperDeserialisationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, StringConstraints, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from domain.agregats import FAITS
from domain.creance import Créance
from domain.faits import Fait
from domain.monnaie import Centimes
from engine import lean
from engine.mapper import _written_strictly
from tests.engine.epreuve import MAPPER
from tests.engine.test_mapper import CORPUS, d_aujourd_hui, stocke

HEURES = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.sampled_from(  # noqa: DTZ001
    [UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=9, minutes=30))]
))  # fmt: skip
SANS_VALIDER: Final = vars(Fait)["sans_valider"].__func__
"""Comme en service : pris avant que les tests n'y mettent leur validation."""
FAIT = st.sampled_from(FAITS)


def valeurs(annotation: Any) -> st.SearchStrategy[Any]:
    """Toutes les valeurs d'un type de champ."""
    if isinstance(annotation, NewType):
        return valeurs(annotation.__supertype__)
    base, *precisions = get_args(annotation) or (annotation,)
    match get_origin(annotation):
        case typing.Annotated:
            return _precisees(base, precisions).filter(lambda valeur: _admis(annotation, valeur))
        case typing.Literal:
            return st.sampled_from([base, *precisions])
        case builtins.tuple:
            return st.lists(valeurs(base), max_size=3).map(tuple)
        case typing.Union | types.UnionType:
            return st.one_of(*map(valeurs, [base, *precisions]))
        case _:
            return _simples(base)


def _simples(classe: Any) -> st.SearchStrategy[Any]:
    if classe is AwareDatetime:
        return HEURES
    return modeles(classe) if issubclass(classe, BaseModel) else st.from_type(classe)


def _precisees(base: Any, precisions: list[Any]) -> st.SearchStrategy[Any]:
    a_plat = [un for p in precisions for un in (p.metadata if isinstance(p, FieldInfo) else [p])]
    for precision in a_plat:
        if isinstance(precision, StringConstraints) and precision.pattern is not None:
            return st.from_regex(precision.pattern, fullmatch=True)
        if isinstance(precision, StringConstraints):
            return st.text(max_size=precision.max_length)
    bornes = {nom: getattr(p, nom) for p in a_plat for nom in ("ge", "le") if hasattr(p, nom)}
    return st.integers(bornes["ge"], bornes.get("le", 2**31)) if bornes else valeurs(base)


def _admis(annotation: Any, valeur: Any) -> bool:
    try:
        TypeAdapter(annotation).validate_python(valeur)
    except ValidationError:
        return False
    return True


def champs_de(classe: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Les champs d'un modèle ; les facultatifs manquent parfois."""
    types = {
        nom: valeurs(Annotated[champ.annotation, *champ.metadata] if champ.metadata else champ.annotation)
        for nom, champ in classe.model_fields.items()
    }
    requis = {nom: types[nom] for nom, champ in classe.model_fields.items() if champ.is_required()}
    return st.fixed_dictionaries(requis, optional={nom: types[nom] for nom in types if nom not in requis})


def modeles(classe: Any) -> st.SearchStrategy[Any]:
    return champs_de(classe).map(lambda champs: classe(**champs))


FAITS_CONSTRUITS = FAIT.flatmap(modeles)


def exiger_identiques(flux: str, version: int, topic: str, etat: bytes) -> None:
    """Les deux lectures, le même fait : mêmes champs, mêmes types, même ordre, et les mêmes octets une fois récrit."""
    strict, leger = MAPPER.lire(flux, version, topic, etat), MAPPER.read(flux, version, topic, etat)
    assert leger == strict
    assert [(nom, type(valeur)) for nom, valeur in vars(leger).items()] == [
        (nom, type(valeur)) for nom, valeur in vars(strict).items()
    ]
    assert MAPPER.write(leger) == MAPPER.write(strict) == _written_strictly(leger) == _written_strictly(strict)


@pytest.mark.parametrize("fichier", CORPUS, ids=lambda fichier: fichier.stem)
def test_tout_ce_qui_a_ete_stocke_se_lit_des_deux_facons_a_l_identique(fichier: Path) -> None:
    avant = stocke(fichier)
    exiger_identiques(str(avant.originator_id), avant.originator_version, avant.topic, avant.state)


@pytest.mark.parametrize("fichier", CORPUS, ids=lambda fichier: fichier.stem)
def test_seule_une_ancienne_version_demande_la_lecture_stricte(fichier: Path) -> None:
    """Sinon tout se lirait encore, mais lentement, et rien ne le dirait."""
    avant = stocke(fichier)
    classe = next(fait for fait in FAITS if avant.topic == fait.TOPIC)
    lire = lean.reader(classe)
    if d_aujourd_hui(fichier) == fichier:
        lire("f", 1, avant.state)
    else:
        with pytest.raises(lean.NOT_READ):
            lire("f", 1, avant.state)


@given(FAITS_CONSTRUITS)
def test_tout_fait_que_sa_classe_admet_s_ecrit_et_se_lit_des_deux_facons_a_l_identique(fait: Fait) -> None:
    etat = _written_strictly(fait)
    assert MAPPER.write(fait) == etat
    exiger_identiques(fait.originator_id, fait.originator_version, fait.TOPIC, etat)


@given(FAIT.flatmap(lambda classe: st.tuples(st.just(classe), champs_de(classe))), st.randoms())
def test_un_fait_declenche_sans_valider_s_ecrit_comme_s_il_l_avait_ete(
    tire: tuple[type[Fait], dict[str, Any]], hasard: Any
) -> None:
    classe, champs = tire
    melanges = list(champs.items())
    hasard.shuffle(melanges)
    assert MAPPER.write(SANS_VALIDER(classe, dict(melanges))) == _written_strictly(classe(**champs))


ALTERATIONS: dict[str, Any] = {
    "un autre type": [],
    "un objet": {},
    "un booléen": True,
    "un nombre à virgule": 12.5,
    "un entier à virgule": 12.0,
    "un négatif": -1,
    "un nombre en texte": "12",
    "trop grand": 10**19,
    "un instant sans décalage": "2026-06-01T10:00:00",
    "un texte trop long": "é" * 1000,
    "rien": None,
}
FORMES = ("String should match pattern", "numéro de sécurité sociale")
"""Ce que seule la lecture stricte refuse : la forme d'un texte."""


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("fichier", CORPUS, ids=lambda fichier: fichier.stem)
def test_un_etat_altere_est_refuse_des_deux_facons(fichier: Path, alteration: str) -> None:
    avant = stocke(fichier)
    etat = json.loads(avant.state)
    for champ in [*etat, "en_trop"]:
        verifier_altere(avant.topic, etat | {champ: ALTERATIONS[alteration]})
    for champ in etat:
        verifier_altere(avant.topic, {nom: valeur for nom, valeur in etat.items() if nom != champ})


def verifier_altere(topic: str, etat: dict[str, Any]) -> None:
    octets = json.dumps(etat).encode()
    try:
        strict = MAPPER.lire("f", 1, topic, octets)
    except MapperDeserialisationError as refus:
        if not any(forme in str(refus) for forme in FORMES):
            with pytest.raises(MapperDeserialisationError):
                MAPPER.read("f", 1, topic, octets)
        return
    assert MAPPER.read("f", 1, topic, octets) == strict


@pytest.mark.parametrize(
    "champs",
    [
        {"montant_initial": Centimes(-1)},
        {"montant_initial": 12.0},
        {"motif": "x" * 201},
        {"timestamp": datetime(2026, 6, 1)},  # noqa: DTZ001
        {"message_id": None},
        {"en_trop": 1},
    ],
    ids=lambda champs: next(iter(champs)),
)
def test_rien_ne_s_ecrit_qui_ne_se_relirait_pas(champs: dict[str, Any]) -> None:
    """Un fait déclenché n'est pas validé en service : l'écriture est le dernier regard."""
    bons = {
        "originator_id": "creance-1",
        "originator_version": 2,
        "timestamp": datetime(2026, 6, 1, tzinfo=UTC),
        "message_id": "m",
        "montant_initial": Centimes(1),
        "montant_precedent": Centimes(2),
        "motif": "x",
    }
    assert MAPPER.write(SANS_VALIDER(Créance.AvisRectifié, dict(bons)))
    with pytest.raises(MapperDeserialisationError, match="ne s'écrit pas"):
        MAPPER.write(SANS_VALIDER(Créance.AvisRectifié, bons | champs))
    for absent in bons:
        with pytest.raises(MapperDeserialisationError):
            MAPPER.write(SANS_VALIDER(Créance.AvisRectifié, {nom: bons[nom] for nom in bons if nom != absent}))
