"""The command of who was handed a proof. With a key it needs nothing of this service, and imports nothing of it."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from preuve import verificateur
from service.cli.entry import PROBLEM, USAGE, DataDir, Json, app, print_json
from service.controls import shown
from service.files import unreadable


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="La preuve.")],
    keys: Annotated[
        list[str] | None,
        typer.Option("--key", help="Une clé de vérification, ou le fichier qui la contient ; à redire par témoin."),
    ] = None,
    *,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Vérifie la preuve d'un solde : oui, ou la première chose qui est fausse ; sans clé, celle de ce service."""
    content = _read(file)
    trusted = [key if "+" in key else _key_of(Path(key)) for key in keys or own_keys(content, data_dir)]
    try:
        told = verificateur.verifier(content, trusted)
    except verificateur.PreuveFausse as cause:
        if as_json:
            print_json({"juste": False, "dit": str(cause)})
            raise typer.Exit(PROBLEM) from None
        _end(f"Non : {cause}.", PROBLEM)
    if as_json:
        print_json({"juste": True, "dit": told})
    else:
        sys.stdout.write(f"{shown(told)}\n")


def _read(file: Path) -> bytes:
    try:
        return verificateur.lire(str(file))
    except OSError as cause:
        _end(unreadable(file, cause), USAGE)


def _key_of(file: Path) -> str:
    try:
        return _read(file).decode()
    except UnicodeDecodeError as cause:
        _end(unreadable(file, cause), USAGE)


def own_keys(proof_content: bytes, data_dir: Path | None) -> list[str]:
    """The keys of this service's log, if the proof says it is of it: who trusts this command trusts its settings."""
    from service.cli.application import configured_settings
    from service.composition import trusted

    settings = configured_settings()
    if data_dir is not None:
        settings = settings.model_copy(update={"data_dir": data_dir, "mode": "demonstration"})
    return trusted(settings).vkeys(proof_content)


def _end(sentence: str, code: int) -> NoReturn:
    sys.stderr.write(f"{shown(sentence)}\n")
    raise typer.Exit(code) from None
