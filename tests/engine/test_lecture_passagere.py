"""Un flux se charge sans faire de modèle de chaque fait : l'agrégat est le même, à l'attribut près."""

import ast
import inspect
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import MapperDeserialisationError
from hypothesis import given
from hypothesis import strategies as st

from domain.agregats import AGREGATS, FAITS
from domain.faits import Fait, Naissance
from engine import lean
from engine.mapper import _written_strictly
from tests.engine.epreuve import MAPPER
from tests.engine.test_lecture_legere import ALTERATIONS, modeles
from tests.engine.test_mapper import CORPUS, stocke

FLUX = ("creance-1", "paiement-1", "messagerie-1", "anomalie-1")
PAR_AGREGAT = [
    (flux, [fait for fait in FAITS if vars(agregat).get(fait.__name__) is fait])
    for flux, agregat in zip(FLUX, AGREGATS, strict=True)
]


def exiger_memes(flux: str, version: int, topic: str, etat: bytes) -> None:
    """La lecture passagère montre les mêmes champs, des mêmes types, que le fait."""
    fait, passage = MAPPER.read(flux, version, topic, etat), MAPPER.passing(flux, version, topic, etat)
    assert vars(passage) == vars(fait)
    for nom, valeur in vars(fait).items():
        assert getattr(passage, nom) == valeur
        assert type(getattr(passage, nom)) is type(valeur)


@pytest.mark.parametrize("fichier", CORPUS, ids=lambda fichier: fichier.stem)
def test_tout_ce_qui_a_ete_stocke_se_lit_a_l_identique(fichier: Path) -> None:
    avant = stocke(fichier)
    exiger_memes(str(avant.originator_id), avant.originator_version, avant.topic, avant.state)


@given(st.sampled_from(FAITS).flatmap(modeles))
def test_tout_fait_que_sa_classe_admet_se_lit_a_l_identique(fait: Fait) -> None:
    exiger_memes(fait.originator_id, fait.originator_version, fait.TOPIC, _written_strictly(fait))


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("fichier", CORPUS, ids=lambda fichier: fichier.stem)
def test_un_etat_altere_est_lu_ou_refuse_de_meme(fichier: Path, alteration: str) -> None:
    avant = stocke(fichier)
    etat = json.loads(avant.state)
    alteres = [etat | {champ: ALTERATIONS[alteration]} for champ in [*etat, "en_trop"]]
    alteres += [{nom: valeur for nom, valeur in etat.items() if nom != champ} for champ in etat]
    for altere in alteres:
        octets = json.dumps(altere).encode()
        try:
            fait = MAPPER.read("f", 1, avant.topic, octets)
        except MapperDeserialisationError:
            with pytest.raises(MapperDeserialisationError):
                MAPPER.passing("f", 1, avant.topic, octets)
        else:
            assert vars(MAPPER.passing("f", 1, avant.topic, octets)) == vars(fait)


def plie(lire: Any, etats: list[tuple[str, int, str, bytes]]) -> object:
    """L'agrégat d'un flux, attribut par attribut, ou la faute qui empêche de le charger."""
    agregat: Any = None
    try:
        for etat in etats:
            agregat = lire(*etat).mutate(agregat)
    except Exception as faute:  # noqa: BLE001
        return type(faute), str(faute)
    return type(agregat), vars(agregat)


@given(
    st.sampled_from(PAR_AGREGAT).flatmap(
        lambda un: st.tuples(st.just(un[0]), st.lists(st.one_of(*map(modeles, un[1])), min_size=1, max_size=5))
    ),
    st.sampled_from(["ordonné", "tel quel"]),
)
def test_un_flux_se_charge_en_le_meme_agregat_ou_se_refuse_du_meme_mot(
    tire: tuple[str, list[Fait]], ordre: str
) -> None:
    flux, faits = tire
    if ordre == "ordonné":  # La naissance d'abord : la suite s'applique plus souvent.
        faits.sort(key=lambda fait: not isinstance(fait, Naissance))
    etats = [(flux, rang, fait.TOPIC, _written_strictly(fait)) for rang, fait in enumerate(faits, 1)]
    assert plie(MAPPER.passing, etats) == plie(MAPPER.lire, etats)


def garde_le_fait(classe: type[Fait]) -> bool:
    """Dit si `apply` donne `self` lui-même, et pas seulement un de ses attributs."""
    arbre = ast.parse(textwrap.dedent(inspect.getsource(classe.apply)))
    attributs = {id(noeud.value) for noeud in ast.walk(arbre) if isinstance(noeud, ast.Attribute)}
    return any(isinstance(n, ast.Name) and n.id == "self" and id(n) not in attributs for n in ast.walk(arbre))


@pytest.mark.parametrize("classe", FAITS, ids=lambda classe: classe.TOPIC)
def test_un_fait_que_son_agregat_garde_est_lu_en_modele(classe: type[Fait]) -> None:
    assert garde_le_fait(classe) == classe.KEPT
    agregat_lu = isinstance(MAPPER.passing(*un_etat(classe)), classe)
    assert agregat_lu == (classe.KEPT or classe.class_version > 1)


def un_etat(classe: type[Fait]) -> tuple[str, int, str, bytes]:
    stockes = [stocke(fichier) for fichier in CORPUS]
    return next(
        ("f", 1, avant.topic, avant.state)
        for avant in stockes
        if avant.topic == classe.TOPIC and not est_ancien(classe, avant.state)
    )


def est_ancien(classe: Any, etat: bytes) -> bool:
    try:
        lean.reader(classe)("f", 1, etat)
    except lean.NOT_READ:
        return True
    return False
