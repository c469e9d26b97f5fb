"""The command that says, without starting anything, what keeps production from starting."""

import typer

from service.cli.application import PROBLEM, Json, app, configured_settings, console, errors, print_json


@app.command()
def check(*, as_json: Json = False) -> None:
    """Ce qui empêcherait la production de démarrer, tout à la fois ; sort avec 1 s'il manque quelque chose."""
    from service.production import find_gaps

    gaps = find_gaps(configured_settings())
    if as_json:
        print_json([{"setting": gap.setting, "cause": gap.cause} for gap in gaps])
    elif gaps:
        for gap in gaps:
            errors.print(f"{gap.setting} : {gap.cause}", soft_wrap=True)
    else:
        console.print("Rien ne manque à la production.")
    if gaps:
        raise typer.Exit(PROBLEM)
