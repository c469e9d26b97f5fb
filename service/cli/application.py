"""What the commands share: the application, its options, the settings, and how a failure is told."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import psycopg
import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from domain.references import lire_reference
from service.cli.entry import PROBLEM as PROBLEM  # noqa: PLC0414  for the modules of commands, with the rest
from service.cli.entry import USAGE as USAGE  # noqa: PLC0414
from service.cli.entry import DataDir as DataDir  # noqa: PLC0414
from service.cli.entry import Json as Json  # noqa: PLC0414
from service.cli.entry import app as app  # noqa: PLC0414
from service.cli.entry import print_json as print_json  # noqa: PLC0414
from service.files import unreadable
from service.logs import REPEATERS, configure_logs
from service.settings import Settings
from service.settings.faults import setting_faults
from service.settings.kafka import BrokerMissing
from service.settings.preuve import Temoin
from service.terminal import DataConsole

Reference = Annotated[str, typer.Argument(help="Référence de l'avis : 16 chiffres et 1 lettre.")]

console = DataConsole()
errors = DataConsole(stderr=True)

GONE: Final = ("08", "57")
"""The classes of SQLSTATE of a server that is away, or going; with any other, it has answered."""


def read_settings(data_dir: Path | None = None) -> Settings:
    """The settings; of a running demo if there is one in `data_dir`, and nothing else is configured."""
    settings = configured_settings()
    if settings.database_url is None and settings.kafka_bootstrap is None:
        settings = _of_running_demo(settings, data_dir or settings.data_dir)
    configure_logs(settings.log_level, settings.log_format)
    return settings


def configured_settings() -> Settings:
    """The settings as they are given, without those of a running demo; what cannot be read ends the command."""
    try:
        return Settings()
    except SettingsError as cause:
        fail(str(cause), USAGE)
    except (OSError, UnicodeDecodeError) as cause:
        fail(f"Les réglages : {unreadable('.env', cause)}", USAGE)
    except ValidationError as cause:
        for variable, fault in setting_faults(cause):
            errors.print(f"{variable} : {fault}", markup=False, soft_wrap=True)
        raise typer.Exit(USAGE) from cause


def start_roles(settings: Settings, names: Sequence[str]) -> NoReturn:
    """Run these roles until a signal, and end the command; production that lacks something says all of it."""
    from service import run
    from service.production import ProductionRefused

    try:
        code = run.run_roles(settings, names)
    except ProductionRefused as cause:
        errors.print(str(cause), soft_wrap=True)
        fail("La production ne démarre pas ainsi ; pour un essai : CREANCES_MODE=demonstration.", USAGE)
    raise typer.Exit(code)


def quiet() -> None:
    """For a command that looks: what a library says of a server that is away, the command says in a sentence."""
    for library in REPEATERS:
        logging.getLogger(library).setLevel(logging.CRITICAL)


def _of_running_demo(settings: Settings, data_dir: Path) -> Settings:
    stack = data_dir / "stack.json"
    if not stack.exists():
        return settings
    known = ("database_url", "owner_database_url", "kafka_bootstrap", "kiosque_url")
    try:
        found = json.loads(stack.read_text("utf-8"))
        update = {key: found[key] for key in known} | {"data_dir": data_dir, "public_url": found["api_url"]}
        update["preuve_temoins"] = tuple(Temoin(**one) for one in found.get("preuve_temoins", ()))
    except (OSError, UnicodeDecodeError) as cause:
        fail(unreadable(stack, cause), USAGE)
    except (ValueError, LookupError, TypeError):
        fail(f"{stack} n'est pas la description d'une démonstration.", USAGE)
    return settings.model_copy(update=update | {"mode": "demonstration"})


def database_of(settings: Settings) -> str:
    """The database's URL; without one, the command ends and says what to do."""
    if settings.database_url is None:
        fail("Aucune base : donnez CREANCES_DATABASE_URL, ou lancez `creances demo`.", USAGE)
    return settings.database_url


@contextmanager
def connection(data_dir: Path | None) -> Iterator[tuple[Settings, psycopg.Connection[Any]]]:
    """The settings and an autocommit connection to the database, closed at the end."""
    from engine.database import connect

    settings = read_settings(data_dir)
    with readable_failures(), closing(connect(database_of(settings), application="creances-cli")) as conn:
        yield settings, conn


@contextmanager
def readable_failures() -> Iterator[None]:
    """A server that does not answer, a file that cannot be opened: a sentence, neither a traceback nor English."""
    try:
        yield
    except typer.Exit:
        raise
    except BrokerMissing:
        fail("Aucun courtier : donnez CREANCES_KAFKA_BOOTSTRAP, ou lancez `creances demo`.", USAGE)
    except Exception as cause:
        if (sentence := _sentence_of(cause)) is None:
            raise
        fail(sentence)


def _sentence_of(cause: Exception) -> str | None:
    """What to tell of a server's failure; None for anything else. Imports only then what most commands never need."""
    from kafka.errors import KafkaError

    from engine.kafka_records import UnreadableBatch
    from engine.migrations import DatabaseRefused
    from engine.outages import Outage, is_outage

    match cause:
        case DatabaseRefused() | Outage() | UnreadableBatch():
            return str(cause)
        case psycopg.Error():
            return _sentence_of_postgresql(cause) if is_outage(cause) else None
        case KafkaError():
            return f"Kafka ne répond pas : {_in_one_line(cause)}"
        case OSError(filename=str() | bytes() as path):
            return unreadable(os.fsdecode(path), cause)
        case _:
            return None


def _sentence_of_postgresql(cause: psycopg.Error) -> str:
    match cause:
        case psycopg.errors.UndefinedTable():
            return "Le schéma manque : lancez `creances migrate`."
        case psycopg.errors.UndefinedColumn() | psycopg.errors.UndefinedFunction():
            told = _in_one_line(cause)
            return f"Le schéma n'est pas celui de cette version du service : lancez `creances migrate`. {told}"
        case _:
            does = "ne répond pas" if (cause.sqlstate or GONE[0])[:2] in GONE else "refuse"
            return f"PostgreSQL {does} : {_in_one_line(cause)}"


def _in_one_line(cause: Exception) -> str:
    """What libpq or the broker says, without the tabs and line feeds that it lays its own lines out with."""
    return " ".join(str(cause).split())


def read_reference(text: str) -> str:
    """The reference as it is stored; a text that is none is a wrong usage."""
    reference = lire_reference(text)
    if reference is None:
        raise typer.BadParameter("une référence compte 16 chiffres et 1 lettre")
    return reference


def fail(sentence: str, code: int = PROBLEM) -> NoReturn:
    """Tell what went wrong and end the command with this exit code."""
    errors.print(sentence, markup=False, soft_wrap=True)
    raise typer.Exit(code)
