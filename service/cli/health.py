"""The command that tells an orchestrator whether a role does its work."""

from datetime import timedelta
from typing import Annotated

import typer

from service.cli.application import PROBLEM, DataDir, Json, app, connection, console, print_json


@app.command()
def healthy(
    names: Annotated[list[str], typer.Argument(metavar="RÔLE…", help="Des rôles, tels que `creances lag` les nomme.")],
    max_age: Annotated[float, typer.Option(min=1, help="Âge du dernier signe de vie, au plus (secondes).")] = 30,
    *,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Dit si des rôles travaillent : menés, et un signe de vie récent ; sort avec 1 sinon. Le retard n'y compte pas."""
    from service.health import ROLES, health

    if unknown := [name for name in names if name not in ROLES]:
        raise typer.BadParameter(f"rôle inconnu : {', '.join(unknown)} (connus : {', '.join(ROLES)})")
    with connection(data_dir) as (_, conn):
        rows = health(conn, names, timedelta(seconds=max_age))
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            age = f", signe de vie il y a {row['battement_secondes']:.0f} s" if row["battement_secondes"] else ""
            console.print(f"{row['nom']} : {'sain' if row['sain'] else 'en défaut'} ({row['etat']}{age})", markup=False)
    if not all(row["sain"] for row in rows):
        raise typer.Exit(PROBLEM)
