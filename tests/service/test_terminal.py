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


@given(st.one_of(HOSTILES, st.text(";=+-@ x")), st.sampled_from(["", "vu", "vu ; "]))
def test_un_tableur_qui_separe_par_un_point_virgule_n_y_lit_pas_de_formule_non_plus(valeur: str, avant: str) -> None:
    for cellule in (csv_cell(shown(avant + valeur)), _cellule(avant + valeur)):
        assert not re.search(r"(^|;\s*)[=+\-@]", cellule), cellule


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
