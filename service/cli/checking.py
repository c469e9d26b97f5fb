"""The command that says, without starting anything, what keeps production from starting."""

import os

import typer

from service.cli.application import PROBLEM, Json, app, configured_settings, console, errors, print_json


@app.command()
def check(*, as_json: Json = False) -> None:
    """Ce qui empêche la production de démarrer, et ce qui y est douteux ; sort avec 1 si quelque chose l'empêche.

    Ce qui n'est que douteux (`blocks` : faux) n'empêche pas de démarrer.
    """
    from dotenv import dotenv_values

    from service.production import find_gaps
    from service.production_doubts import find_doubts

    settings = configured_settings()
    given = {name: value or "" for name, value in dotenv_values(".env", encoding="utf-8-sig").items()} | dict(
        os.environ
    )
    told = [
        *((gap.setting, gap.cause, True) for gap in find_gaps(settings)),
        *((setting, cause, False) for setting, cause in find_doubts(settings, given)),
    ]
    if as_json:
        print_json([{"setting": setting, "cause": cause, "blocks": blocks} for setting, cause, blocks in told])
    else:
        for setting, cause, _ in told:
            errors.print(f"{setting} : {cause}", soft_wrap=True)
        if not told:
            console.print("Rien ne manque à la production.")
    if told:
        raise typer.Exit(PROBLEM)
