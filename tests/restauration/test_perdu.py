"""Ce qu'une restauration a perdu : chaque événement du journal ne répond que d'un seul événement publié."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.lost import Published, _Ours, _says_the_same, _unanswered

MONTANTS = st.lists(st.integers(1, 3), max_size=8)


def publie(version: int, montant: int, **champs: Any) -> Published:
    donnees = {"montant_centimes": montant, "date": "2026-06-01"} | champs
    return Published("creance-X", version, "EncaissementRecu", "2026-06-01T10:00:00Z", "E", donnees)


def tenu(montant: int, **champs: Any) -> _Ours:
    return _Ours("EncaissementRecu", {"montant_centimes": montant, "date": "2026-06-01"} | champs)


@given(MONTANTS, MONTANTS)
def test_ce_qui_est_perdu_est_exactement_ce_que_le_journal_n_a_pas_une_fois_chacun(
    publies: list[int], tenus: list[int]
) -> None:
    evenements = [publie(version, montant) for version, montant in enumerate(publies, 1)]
    journal = {version: tenu(montant) for version, montant in enumerate(tenus, 1)}
    perdus = Counter(int(e.data["montant_centimes"]) for e in _unanswered(evenements, journal))
    assert perdus == Counter(publies) - Counter(tenus)


def test_une_heure_de_lecture_un_solde_ou_un_champ_venu_depuis_ne_sont_pas_des_differences() -> None:
    ancien = publie(1, 5, accepte_le="2026-06-01T10:00:00Z", restant_du_centimes=9)
    assert _says_the_same(ancien, tenu(5, accepte_le="2026-06-02T10:00:00Z", canal="web", restant_du_centimes=4))
    assert not _says_the_same(ancien, tenu(6))
    assert not _says_the_same(ancien, tenu(5, date="2026-06-02"))
    assert not _says_the_same(ancien, _Ours("AvisAnnule", {"montant_centimes": 5}))


def test_ce_qui_ne_se_lit_pas_est_la_et_l_audit_le_nomme() -> None:
    assert list(_unanswered([publie(1, 5)], {1: _Ours("", None)})) == []
