"""The command that takes the bank's daily reports in, and tells where they and we differ."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from service.cli.application import (
    PROBLEM,
    USAGE,
    DataDir,
    Json,
    app,
    connection,
    console,
    database_of,
    errors,
    fail,
    print_json,
    read_settings,
    readable_failures,
)


@app.command("rapprocher")
def rapprocher(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FICHIER…", help="Rapports de la banque.")] = None,
    watch: Annotated[
        Path | None, typer.Option("--watch", metavar="DOSSIER", help="Prendre chaque rapport qui arrive ici.")
    ] = None,
    *,
    due: Annotated[
        bool, typer.Option("--due", help="Dire quels marchands attendent encore leur rapport de la veille.")
    ] = False,
    ask: Annotated[
        bool, typer.Option(help="Interroger la banque sur les transactions qu'elle est seule à connaître.")
    ] = True,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Rapproche les rapports de la banque de nos paiements : chaque écart devient une anomalie.

    Un rapport est pris en entier ou refusé en entier, et ne compte qu'une fois. Sort avec 1 si quelque chose diffère,
    2 si un rapport est refusé, 3 si notre côté d'une transaction est illisible : elle seule n'est pas jugée.
    """
    from service.reports.run import reconcile_files, watch_folder

    if sum((bool(files), watch is not None, due)) != 1:
        raise typer.BadParameter("donnez des fichiers, ou --watch, ou --due", param_hint="FICHIER…")
    if due:
        _tell_due(data_dir, as_json=as_json)
        return
    settings = read_settings(data_dir)
    database_of(settings)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    if settings.kafka_bootstrap is None and ask:
        fail("Aucun courtier : donnez CREANCES_KAFKA_BOOTSTRAP, ou --no-ask pour ne pas interroger la banque.", USAGE)
    try:
        if watch is not None:
            if not watch.is_dir():
                raise typer.BadParameter(f"{watch} n'est pas un dossier", param_hint="--watch")
            watch_folder(settings, watch, console, errors, ask=ask, as_json=as_json)
            return
        with readable_failures():
            code = reconcile_files(settings, files or [], console, errors, ask=ask, as_json=as_json)
    except ValueError as cause:
        fail(f"KIOSQUE_REPORT_COLUMNS : {cause}", USAGE)
    raise typer.Exit(code)


def _tell_due(data_dir: Path | None, *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from guichet.rapprocher import rapports_attendus
    from service.reports.merchants import merchants_of
    from service.reports.telling import due_sentences

    now = datetime.now(UTC)
    with connection(data_dir) as (settings, conn):
        missing = rapports_attendus(conn, merchants_of(settings), now)
    if as_json:
        print_json({"rapports_attendus": missing})
    else:
        for sentence in due_sentences(missing, now):
            console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(PROBLEM if missing else 0)
