"""Ce qui s'affiche est une donnée : ni balisage, ni caractère de commande."""

import io
import json
import re

from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from api.support.export import _cellule
from service.cli.tables import lag_table
from service.controls import CONTROLS, csv_cell, json_text, shown
from service.terminal import DataConsole

HOSTILES = st.one_of(
    st.text(), st.sampled_from(["x[/boum]", "[link=http://x]y[/link]", ":smile:", "a\x1b[31mb", "\x9b31m"])
)


@given(HOSTILES)
def test_une_valeur_s_affiche_telle_quelle_dans_une_table_et_une_phrase(valeur: str) -> None:
    sortie = io.StringIO()
    console = DataConsole(file=sortie, width=100_000, force_terminal=False)
    table = Table("Cause", show_header=False, box=None)
    table.add_row(valeur)
    console.print(table)
    console.print(valeur, soft_wrap=True)
    dit = sortie.getvalue()
    assert not CONTROLS.search(dit)
    for ligne in shown(valeur).split("\n"):
        assert ligne.rstrip() in dit


@given(HOSTILES)
def test_le_json_se_relit_et_ne_porte_aucun_caractere_de_commande(valeur: str) -> None:
    assert json.loads(json_text({"valeur": valeur})) == {"valeur": valeur}
    assert not CONTROLS.search(json_text({"valeur": valeur}))


@given(HOSTILES)
def test_une_cellule_n_est_jamais_une_formule(valeur: str) -> None:
    assert csv_cell(valeur)[:1] not in {"=", "+", "-", "@", "\t", "\r"}


@given(st.one_of(HOSTILES, st.text(";=+-@ x＝＋－＠\n\u3000")), st.sampled_from(["", "vu", "vu ; "]))
def test_un_tableur_qui_separe_par_un_point_virgule_n_y_lit_pas_de_formule_non_plus(valeur: str, avant: str) -> None:
    for cellule in (csv_cell(shown(avant + valeur)), _cellule(avant + valeur)):
        assert not re.search(r"(^|;)\s*[=+\-@＝＋－＠]", cellule), cellule


# Unicode, DerivedCoreProperties.txt : `Default_Ignorable_Code_Point`, ce que rien ne montre.
INVISIBLES = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)


def test_ce_que_rien_ne_montre_est_dit() -> None:
    """Sans quoi deux noms qui se ressemblent ne diffèrent que par rien, et un texte en cache un autre."""
    tus = [f"U+{code:04X}" for de, a in INVISIBLES for code in range(de, a + 1) if shown(chr(code)) == chr(code)]
    assert tus == []
    assert json.loads(json_text({"valeur": "\U000e0101\u3164"})) == {"valeur": "\U000e0101\u3164"}


def test_la_derniere_erreur_d_un_role_se_lit_en_quatre_vingts_colonnes_sans_rien_commander_au_terminal() -> None:
    role = {"nom": "publication", "evenements": 0, "secondes": 0.0, "etat": "actif", "battement_secondes": 1.0}
    erreur = {
        "meneur": "vm:1",
        "erreur_le": "2026-06-01T10:00:00+00:00",
        "derniere_erreur": "Kafka\x1b[31m ne répond pas",
    }
    ecrit = io.StringIO()
    DataConsole(file=ecrit, width=80).print(lag_table([role | erreur]))
    assert "dernière erreur : 01/06/2026 12:00:00 Kafka\\x1b[31m ne répond pas" in " ".join(ecrit.getvalue().split())
