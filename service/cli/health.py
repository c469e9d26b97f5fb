"""The command that tells an orchestrator whether a role does its work."""

from datetime import timedelta
from typing import Annotated

import typer

from service.cli.application import (
    PROBLEM,
    DataDir,
    Json,
    app,
    connection,
    console,
    database_of,
    print_json,
    quiet,
    readable_failures,
)
from service.controls import shown
from service.settings import Settings


@app.command()
def healthy(
    names: Annotated[list[str], typer.Argument(metavar="RÔLE…", help="Des rôles, tels que `creances lag` les nomme.")],
    max_age: Annotated[float, typer.Option(min=1, help="Âge du dernier signe de vie, au plus (secondes).")] = 30,
    *,
    caught_up: Annotated[
        bool, typer.Option("--caught-up", help="Et plus rien n'attend devant eux : ils ont tout pris.")
    ] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Dit si des rôles travaillent : menés, et un signe de vie récent ; sort avec 1 sinon. Le retard n'y compte pas.

    Avec --caught-up, il y compte : une personne attend ainsi la fin d'un rattrapage.
    """
    from service.health import ROLES, health

    if unknown := [name for name in names if name not in ROLES]:
        raise typer.BadParameter(f"rôle inconnu : {', '.join(map(shown, unknown))} (connus : {', '.join(ROLES)})")
    with connection(data_dir) as (settings, conn):
        rows = health(conn, names, timedelta(seconds=max_age))
    waiting = _waiting(settings) if caught_up else {}
    for row in rows if caught_up else ():
        row["en_attente"] = waiting.get(row["nom"])
        row["sain"] = row["sain"] and row["en_attente"] == 0
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            age = f", signe de vie il y a {row['battement_secondes']:.0f} s" if row["battement_secondes"] else ""
            left = f", {row['en_attente']} en attente" if row.get("en_attente") is not None else ""
            told = "sain" if row["sain"] else "en défaut"
            console.print(f"{row['nom']} : {told} ({row['etat']}{age}{left})", markup=False)
    if not all(row["sain"] for row in rows):
        raise typer.Exit(PROBLEM)


def _waiting(settings: Settings) -> dict[str, int | None]:
    """How much each role has before it; None for one that cannot be told."""
    from engine.database import Database
    from service.lag import lag

    quiet()
    with readable_failures(), Database(database_of(settings), application="creances-cli", connexions_max=1) as base:
        return {row["nom"]: row["evenements"] for row in lag(settings, base)}
