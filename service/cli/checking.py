"""The command that says, without starting anything, what keeps production from starting."""

import os
from collections.abc import Sequence

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

    try:
        settings = configured_settings()
    except typer.Exit:
        errors.print("Le reste se dira quand ces réglages se liront.")
        raise
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
        _tell("La production ne démarre pas :", [(setting, cause) for setting, cause, blocks in told if blocks])
        _tell(
            "Douteux, sans empêcher de démarrer :", [(setting, cause) for setting, cause, blocks in told if not blocks]
        )
        if not told:
            console.print("Rien ne manque à la production.")
    if told:
        raise typer.Exit(PROBLEM)


def _tell(heading: str, found: Sequence[tuple[str, str]]) -> None:
    if found:
        errors.print(heading)
    for setting, cause in found:
        errors.print(f"{setting} : {cause}", soft_wrap=True)
