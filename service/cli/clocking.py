"""`creances clock`: the 24 h clock, and when at today's pace the next payment will be late."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from domain.delai import PARIS
from service.cli.application import PROBLEM, DataDir, Json, app, connection, console, errors, print_json
from service.cli.tables import whole
from service.terminal import styled

if TYPE_CHECKING:
    from projections.lectures.horloge import EtatDeLHorloge


@app.command()
def clock(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """L'horloge des 24 h, par caisse, et ce qu'elle annonce ; sort avec 1 si un paiement en attente l'a passée."""
    from projections.lectures.horloge import etat_de_l_horloge

    with connection(data_dir) as (settings, conn):
        state = etat_de_l_horloge(conn, datetime.now(UTC), settings.politique.delai_affichage)
    if as_json:
        print_json(state.en_json())
    else:
        _tell(state)
    if state.depasses:
        raise typer.Exit(PROBLEM)


def _tell(state: "EtatDeLHorloge") -> None:
    late = f", dont {state.depasses_affiches} trop tard" if state.depasses_affiches else ""
    presumed = f", dont {state.presumes} au départ présumé" if state.presumes else ""
    console.print(f"{state.affiches} paiements affichés{late} ; {state.en_attente} en attente{presumed}.")
    if state.par_caisse:
        table = Table(whole("Caisse"), "En attente", "Le plus ancien")
        for caisse, (count, age_s) in sorted(state.par_caisse.items()):
            table.add_row(caisse, str(count), told_duration(age_s))
        console.print(table)
    ahead = state.prevision
    if state.depasses:
        errors.print(
            styled("dépassé", "red"),
            f"{state.depasses} paiements en attente ont passé le délai de {told_duration(state.delai_s)}.",
            soft_wrap=True,
        )
    elif ahead.dans_s is None:
        console.print("À ce rythme, aucun dépassement en vue.")
    else:
        console.print(f"À ce rythme, le prochain dépassement tombe dans {told_duration(ahead.dans_s)}.")
    if ahead.au_plus_tot is not None:
        console.print(
            f"Marge : {told_duration(ahead.marge_s)}, qui perd {ahead.marge_perdue:.2f} s par seconde ; au plus tôt le"
            f" {ahead.au_plus_tot.astimezone(PARIS):%d/%m/%Y à %H:%M:%S} si rien ne s'affiche d'ici là.",
            soft_wrap=True,
        )


def told_duration(seconds: float) -> str:
    """`3 h 05`, `12 min`, `40 s`; days beyond two."""
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{sign}{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:  # noqa: PLR2004  an hour
        return f"{sign}{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004  two days
        return f"{sign}{hours} h {minutes:02d}"
    return f"{sign}{hours // 24} j {hours % 24} h"
