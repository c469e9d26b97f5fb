"""L'arbre de Merkle : ce que dit la RFC 6962, écrit ici le plus naïvement possible, contre ce que nous calculons."""

from collections.abc import Callable, Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preuve.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    verify_consistency,
)
from preuve.tiles import TILE_WIDTH, Tile, bundle, bundle_path, grow, subtrees, tile_path, width_at
from preuve.verificateur import PreuveFausse, racine_depuis

TAILLES = st.one_of(st.integers(1, 40), st.integers(250, 260), st.integers(510, 520), st.just(1000))


def feuilles(nombre: int, graine: int = 0) -> list[bytes]:
    return [leaf_hash(b"%d:%d" % (graine, rang)) for rang in range(nombre)]


def mene(feuille: bytes, rang: int, taille: int, preuve: Sequence[bytes], racine: bytes) -> bool:
    """Si ce chemin mène de la feuille à la racine, d'après le vérificateur que chacun peut emporter."""
    try:
        return racine_depuis(feuille, rang, taille, list(preuve)) == racine
    except (PreuveFausse, IndexError):
        return False


def racine_naive(hachees: Sequence[bytes]) -> bytes:
    """MTH(D[n]) de la section 2.1, mot à mot."""
    if not hachees:
        return sha256(b"").digest()
    if len(hachees) == 1:
        return hachees[0]
    coupe = 1
    while coupe * 2 < len(hachees):
        coupe *= 2
    return sha256(b"\x01" + racine_naive(hachees[:coupe]) + racine_naive(hachees[coupe:])).digest()


class Tuiles:
    """Des tuiles gardées comme une base le ferait : une par niveau et numéro, la plus large à la place de l'autre."""

    def __init__(self) -> None:
        self.gardees: dict[tuple[int, int], bytes] = {}
        self.taille = 0

    def lire(self, level: int, number: int, width: int) -> bytes:  # noqa: ARG002  plus large que voulu, elle convient
        return self.gardees[level, number]

    def ajouter(self, hachees: Sequence[bytes]) -> list[Tile]:
        nouvelles = list(grow(self.taille, hachees, self.lire))
        for tuile in nouvelles:
            self.gardees[tuile.level, tuile.number] = tuile.hashes
        self.taille += len(hachees)
        return nouvelles

    @property
    def sous_arbres(self) -> Callable[[int, int], bytes]:
        return subtrees(self.taille, self.lire)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6))
def test_la_racine_est_celle_de_la_rfc_quelle_que_soit_la_croissance(lots: list[int]) -> None:
    hachees = feuilles(sum(lots))
    tuiles, fait = Tuiles(), 0
    for lot in lots:
        tuiles.ajouter(hachees[fait : fait + lot])
        fait += lot
        assert root(fait, tuiles.sous_arbres) == racine_naive(hachees[:fait])
    for (niveau, numero), octets in tuiles.gardees.items():
        assert len(octets) == 32 * width_at(niveau, numero, fait)


def test_un_arbre_vide_a_la_racine_de_la_rfc() -> None:
    assert root(0, subtrees(0, Tuiles().lire)) == EMPTY_ROOT == racine_naive([])


@given(TAILLES, st.data())
def test_chaque_feuille_se_prouve_et_aucune_autre(taille: int, tirage: st.DataObject) -> None:
    tuiles = Tuiles()
    hachees = feuilles(taille)
    tuiles.ajouter(hachees)
    racine = root(taille, tuiles.sous_arbres)
    rang = tirage.draw(st.integers(0, taille - 1))
    preuve = inclusion_proof(rang, taille, tuiles.sous_arbres)
    assert mene(hachees[rang], rang, taille, preuve, racine)
    autre = tirage.draw(st.integers(0, taille - 1))
    assert mene(hachees[autre], rang, taille, preuve, racine) is (autre == rang)
    assert not mene(hachees[rang], rang, taille, [*preuve, racine], racine)
    assert not mene(hachees[rang], rang, taille, preuve[:-1], racine) or taille == 1
    assert not mene(hachees[rang], taille, taille, preuve, racine)
    for au, maillon in enumerate(preuve):
        fausse = [*preuve]
        fausse[au] = bytes([maillon[0] ^ 1]) + maillon[1:]
        assert not mene(hachees[rang], rang, taille, fausse, racine)


@given(TAILLES, TAILLES)
def test_un_arbre_qui_a_grandi_le_prouve_et_un_autre_non(une: int, autre: int) -> None:
    avant, apres = min(une, autre), max(une, autre)
    tuiles, etrangeres = Tuiles(), Tuiles()
    hachees = feuilles(apres)
    tuiles.ajouter(hachees)
    etrangeres.ajouter([leaf_hash(b"autre"), *hachees[1:]])
    preuve = consistency_proof(avant, apres, tuiles.sous_arbres)
    vieille, neuve = racine_naive(hachees[:avant]), racine_naive(hachees)
    assert verify_consistency(avant, vieille, apres, neuve, preuve)
    assert not verify_consistency(avant, racine_naive([leaf_hash(b"autre"), *hachees[1:avant]]), apres, neuve, preuve)
    fausse = consistency_proof(avant, apres, etrangeres.sous_arbres)
    assert not verify_consistency(avant, vieille, apres, root(apres, etrangeres.sous_arbres), fausse)
    assert not verify_consistency(apres + 1, vieille, apres, neuve, preuve)
    for au, maillon in enumerate(preuve):
        abimee = [*preuve]
        abimee[au] = bytes([maillon[0] ^ 1]) + maillon[1:]
        assert not verify_consistency(avant, vieille, apres, neuve, abimee)


@pytest.mark.parametrize(
    ("niveau", "numero", "largeur", "chemin"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 999, 12, "tile/0/999.p/12"),
        (1, 1000, 256, "tile/1/x001/000"),
        (2, 1_234_067, 256, "tile/2/x001/x234/067"),
    ],
)
def test_les_chemins_sont_ceux_de_la_specification(niveau: int, numero: int, largeur: int, chemin: str) -> None:
    assert tile_path(niveau, numero, largeur) == chemin
    assert bundle_path(numero, largeur) == "tile/entries/" + chemin.split("/", 2)[2]


def test_les_tuiles_de_soixante_dix_mille_feuilles_sont_celles_de_la_specification() -> None:
    assert [width_at(0, 272, 70_000), width_at(0, 273, 70_000)] == [TILE_WIDTH, 112]
    assert [width_at(1, 0, 70_000), width_at(1, 1, 70_000), width_at(2, 0, 70_000)] == [TILE_WIDTH, 17, 1]


def test_une_liasse_dit_la_longueur_de_chaque_entree_et_refuse_la_trop_longue() -> None:
    assert bundle([b"a", b"", b"bc"]) == b"\x00\x01a\x00\x00\x00\x02bc"
    with pytest.raises(ValueError, match="65536"):
        bundle([b"x" * 65_536])
