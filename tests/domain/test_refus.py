"""Les refus : une liste fermée, chacun avec son code et sa phrase, aussi sans docstrings."""

import subprocess
import sys
from pathlib import Path

from domain.fautes import INATTENDUE, faute_dite
from domain.refus import Refus, refus_connus

SANS_DOCSTRINGS = """
import sys
import guichet.ouvrir_paiement
from domain.refus import MontantHorsBornes, refus_connus
muets = [refus for refus in refus_connus() if not refus.phrase_de_base.endswith(".")]
if MontantHorsBornes.__doc__ is not None or muets or "16,00" not in MontantHorsBornes(1600, 5000).phrase:
    sys.exit(f"{muets}")
"""
"""Sans `assert` : `-OO` les ôte aussi."""


def test_les_phrases_ne_sont_pas_dans_les_docstrings() -> None:
    racine = Path(__file__).parents[2]
    fini = subprocess.run(
        [sys.executable, "-OO", "-c", SANS_DOCSTRINGS],
        cwd=racine,
        capture_output=True,
        text=True,
        check=False,
    )
    assert fini.returncode == 0, fini.stderr


def test_chaque_refus_a_son_code_et_sa_phrase_a_lui() -> None:
    connus = {refus for refus in refus_connus() if refus.__module__.startswith(("domain.", "guichet."))}
    assert len({refus.code for refus in connus}) == len(connus)
    assert all("phrase_de_base" in vars(refus) and "code" in vars(refus) for refus in connus)
    assert Refus not in connus


def test_une_faute_de_forme_se_dit_en_francais_et_nomme_le_montant_quand_c_en_est_un() -> None:
    def dite(genre: str, champ: str) -> str:
        return faute_dite({"type": genre, "loc": (champ,), "msg": "Input should be…"})

    assert dite("greater_than_equal", "montant_initial_centimes") == "le montant ne peut pas être négatif"
    assert dite("greater_than_equal", "version") == "la valeur ne peut pas être négative"
    assert dite("jamais_vu", "version") == INATTENDUE
    assert dite("int_type", "version") == "un nombre entier est attendu"
    assert dite("int_type", "montant_centimes") == "un nombre entier de centimes est attendu"


def test_une_valeur_sous_un_minimum_qui_n_est_pas_zero_n_est_pas_dite_negative() -> None:
    erreur = {"type": "greater_than_equal", "loc": ("query", "limite"), "msg": "Input should be…", "ctx": {"ge": 1}}
    assert faute_dite(erreur) == "la valeur doit être d'au moins 1"
