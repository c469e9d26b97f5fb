"""`creances rebuild`: a view made again from the log, beside the one that is read, and put in its place."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from service.cli.application import (
    PROBLEM,
    DataDir,
    Json,
    app,
    console,
    database_of,
    errors,
    fail,
    print_json,
    read_settings,
    readable_failures,
)
from service.cli.progress import progress_bar
from service.cli.tables import whole
from service.controls import shown
from service.terminal import styled

if TYPE_CHECKING:
    from engine.rebuild import Outcome

SHOWN: Final = 20
"""Rows that differ, told on a terminal; `--json` tells a thousand."""


@app.command()
def rebuild(
    name: Annotated[str, typer.Argument(metavar="VUE", help="La vue ; `creances lag` les nomme.")],
    *,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Événements appliqués ensemble.")] = 5_000,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Refait une vue du journal, à côté de celle que l'on lit, et la met à sa place ; tuée, elle se reprend.

    Sort avec 0 si elle a basculé tout entière, 1 si elle est refusée ou laisse des événements écartés.
    """
    from engine.lease import LeadershipLost
    from engine.rebuild import RebuildRefused
    from service.composition import VIEWS
    from service.rebuilding import rebuild as run

    if name not in VIEWS:
        raise typer.BadParameter(f"vue inconnue : {shown(name)} (connues : {', '.join(VIEWS)})", param_hint="VUE")
    settings = read_settings(data_dir)
    database_of(settings)
    try:
        with readable_failures(), progress_bar() as advance:
            outcome = run(settings, name, batch=batch, progress=advance)
    except (RebuildRefused, LeadershipLost) as refused:
        sentence = str(refused) if isinstance(refused, RebuildRefused) else "Un autre processus a pris la suite."
        if as_json:
            print_json({"vue": name, "basculee": False, "refus": sentence})
        fail(sentence)
    if as_json:
        print_json(_as_json(name, outcome))
    else:
        _tell(name, outcome)
    if not outcome.swapped or outcome.aside:
        raise typer.Exit(PROBLEM)


def _as_json(name: str, outcome: "Outcome") -> dict[str, Any]:
    return {
        "vue": name,
        "basculee": outcome.swapped,
        "refus": outcome.refusal,
        "reprise": outcome.resumed,
        "position": outcome.position,
        "evenements": outcome.events,
        "secondes": round(outcome.seconds, 3),
        "ecartes": [
            {"flux": one.stream, "position": one.position, "evenements": one.events, "cause": one.cause}
            for one in outcome.aside
        ],
        "lignes_comparees": outcome.compared,
        "differences": outcome.different,
        "lignes_differentes": [
            {"table": one.table, "cle": one.key, "flux": one.stream, "genre": one.kind} for one in outcome.differences
        ],
    }


def _tell(name: str, outcome: "Outcome") -> None:
    what = "reprise et " if outcome.resumed else ""
    pace = outcome.events / outcome.seconds if outcome.seconds else 0
    console.print(
        f"{name} : {outcome.events} événements, jusqu'à la position {outcome.position}, en {outcome.seconds:.1f} s"
        f" ({pace:.0f} par seconde).",
        soft_wrap=True,
    )
    if outcome.different:
        console.print(f"{outcome.different} lignes de {outcome.compared} étaient autres dans la vue qu'on lisait :")
        table = Table(whole("Table"), whole("Clé"), "Ce qui différait")
        for one in outcome.differences[:SHOWN]:
            table.add_row(one.table, one.key, one.kind)
        console.print(table)
        if outcome.different > SHOWN:
            console.print(f"… et {outcome.different - SHOWN} autres ; --json en dit mille.")
    else:
        console.print(f"{outcome.compared} lignes comparées, aucune n'était autre dans la vue qu'on lisait.")
    for aside in outcome.aside:
        told = f"{aside.stream} depuis la position {aside.position} ({aside.events}) : {aside.cause}"
        console.print(styled("écarté", "red"), told)
    if outcome.refusal is not None:
        errors.print(
            styled("refusée", "red"), f"{outcome.refusal}. La vue que l'on lit reste en place.", soft_wrap=True
        )
    else:
        console.print(f"La vue {what}refaite a pris sa place.")
