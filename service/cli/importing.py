"""The command that brings messages of the caisses in by the file."""

import logging
import os
import stat
import sys
from contextlib import ExitStack
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Annotated, Final

import typer

from service.cli.application import USAGE, DataDir, Json, app, errors, fail, read_settings, readable_failures
from service.files import unreadable
from service.imports.lines import BOM

STANDARD_INPUT: Final = Path("-")
BUFFER_BYTES: Final = 1024 * 1024

SUFFIXES: Final = {".jsonl": "jsonl", ".csv": "csv"}


@app.command("import-avis")
def import_avis(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FICHIER",
            help="Un fichier .jsonl ou .csv, ou - pour l'entrée standard.",
        ),
    ],
    form: Annotated[
        str | None, typer.Option("--format", help="jsonl ou csv ; sans cela, le nom du fichier ou son début le dit.")
    ] = None,
    from_line: Annotated[int, typer.Option(min=1, help="Reprendre à cette ligne du fichier.")] = 1,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Vérifier seulement, ne rien envoyer.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Met les messages des caisses sur leur topic ; chaque mauvaise ligne est nommée, les bonnes passent.

    JSON : un message du contrat par ligne. CSV : les colonnes portent les noms du contrat, `;`, une tabulation ou `,`
    sépare, les montants sont des centimes entiers, une case vide est un champ absent. Sort avec 1 si une ligne est
    refusée, ou si le fichier est vide.
    """
    from service.imports.run import READERS, Job, run_import
    from service.imports.sender import TopicMissing

    settings = read_settings(data_dir)
    # The command tells itself what Kafka does not take, and an absence once, not at each attempt.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    if settings.kafka_bootstrap is None and not dry_run:
        fail("Aucun courtier : donnez CREANCES_KAFKA_BOOTSTRAP, ou lancez `creances demo`.", USAGE)
    if form is not None and form not in READERS:
        raise typer.BadParameter(f"formats connus : {', '.join(READERS)}", param_hint="--format")
    with ExitStack() as stack, readable_failures():
        source = stack.enter_context(opened(file))
        chosen = form or (sniffed(source) if file == STANDARD_INPUT else SUFFIXES.get(file.suffix.lower()))
        if chosen is None:
            raise typer.BadParameter("le nom finit par .jsonl ou .csv, sinon donnez --format", param_hint="FICHIER")
        try:
            job = Job(str(file), source, size_of(source), chosen, from_line, dry_run)
            code = run_import(settings, job, errors, as_json=as_json)
        except TopicMissing as cause:
            fail(f"Le topic {cause} manque : lancez `creances topics`.")
    raise typer.Exit(code)


def opened(file: Path) -> BufferedReader:
    """The file, or standard input; one that cannot be read is a wrong usage."""
    try:
        if file == STANDARD_INPUT:
            return BufferedReader(FileIO(sys.stdin.fileno(), closefd=False), BUFFER_BYTES)
        return BufferedReader(FileIO(file), BUFFER_BYTES)
    except OSError as cause:
        raise typer.BadParameter(unreadable(file, cause), param_hint="FICHIER") from cause


def size_of(source: BufferedReader) -> int | None:
    """In bytes; None for what is no regular file."""
    found = os.fstat(source.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def sniffed(source: BufferedReader) -> str:
    """The format that a stream seems to have, told by its first sign."""
    start = source.peek(len(BOM) + 1).removeprefix(BOM).lstrip()
    return "csv" if start[:1] and start[:1] not in b"{[" else "jsonl"
