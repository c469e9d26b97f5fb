"""The command line: `creances`. Exit codes: 0 well, 1 a problem was found, 2 wrong usage."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import psycopg
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table

from domain.delai import PARIS
from domain.monnaie import euros
from domain.references import lire_référence
from projections.historique import Étape
from service.logs import configure_logs
from service.settings import Settings, development_jwt_secret, settings_table, unknown_variables

app = typer.Typer(
    name="creances",
    help="Paiement en ligne des créances : de la notification de la banque au solde prouvable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Écrire du JSON.")]
Reference = Annotated[str, typer.Argument(help="Référence de l'avis : 16 chiffres et 1 lettre.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Dossier d'une démonstration en cours, à consulter.")]

PROBLEM = 1
USAGE = 2
SAME_TIME = timedelta(seconds=1)
"""An event recorded within this time of its happening is told with one time."""

console = Console()
errors = Console(stderr=True)


# --- Commands that run the service -----------------------------------------------------------------------------------


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port de l'API.")] = 8000,
    data_dir: Annotated[Path, typer.Option(help="Dossier des données, gardé d'une fois à l'autre.")] = Path(
        ".creances"
    ),
    avis: Annotated[int, typer.Option(min=3, help="Avis de démonstration.")] = 200,
    seed: Annotated[int, typer.Option(help="Graine des avis de démonstration.")] = 1,
    *,
    once: Annotated[bool, typer.Option("--once", help="Jouer le scénario, puis s'arrêter.")] = False,
) -> None:
    """Démarre tout, embarqué, joue un court scénario, puis sert jusqu'à Ctrl-C."""
    from service.demo import run_demo

    raise typer.Exit(run_demo(console, port=port, data_dir=data_dir, avis=avis, seed=seed, once=once))


@app.command()
def up() -> None:
    """Lance tous les rôles sur le PostgreSQL et le Kafka configurés (le kiosque simulé à part : `creances kiosque`)."""
    from service import run

    settings = _settings()
    raise typer.Exit(run.run_roles(settings, run.ALL))


@app.command()
def api() -> None:
    """Sert l'API et les pages."""
    from service import run

    raise typer.Exit(run.run_roles(_settings(), ["api"]))


@app.command()
def consume(
    topic: Annotated[str | None, typer.Argument(help="avis ou kiosque ; les deux sans argument.")] = None,
) -> None:
    """Consomme les avis des caisses et les notifications de la banque."""
    from service import run

    if topic not in {None, "avis", "kiosque"}:
        raise typer.BadParameter("avis ou kiosque")
    roles = [f"consume:{topic}"] if topic else ["consume:avis", "consume:kiosque"]
    raise typer.Exit(run.run_roles(_settings(), roles))


@app.command()
def project(
    names: Annotated[list[str] | None, typer.Argument(help="Vues à mener ; toutes sans argument.")] = None,
) -> None:
    """Mène les vues le long du journal."""
    from service import run
    from service.composition import VIEWS

    unknown = set(names or ()) - set(VIEWS)
    if unknown:
        raise typer.BadParameter(f"vue inconnue : {', '.join(sorted(unknown))} (connues : {', '.join(VIEWS)})")
    raise typer.Exit(run.run_roles(_settings(), [f"project:{name}" for name in names or VIEWS]))


@app.command()
def relance() -> None:
    """Interroge le kiosque sur les paiements sans réponse, et expire ceux qu'il ne connaît pas."""
    from service import run

    raise typer.Exit(run.run_roles(_settings(), ["relance"]))


@app.command()
def kiosque() -> None:
    """Sert le kiosque bancaire simulé."""
    from service import run

    raise typer.Exit(run.run_roles(_settings(), ["kiosque"]))


@app.command()
def migrate() -> None:
    """Crée ou met à niveau le schéma ; sans danger deux fois, à la fois, de deux endroits."""
    from journal.migrations import migrer

    settings = _settings()
    owner = settings.migration_database_url
    if owner is None:
        raise typer.BadParameter("CREANCES_DATABASE_URL manque.")
    user = psycopg.conninfo.conninfo_to_dict(settings.database_url or owner).get("user")
    with _readable_failures():
        if user is None:
            with psycopg.connect(settings.database_url or owner) as conn:
                (user,) = conn.execute("SELECT current_user").fetchone() or ("",)
        applied = migrer(owner, str(user))
    console.print("\n".join(f"appliquée : {name}" for name in applied) or "schéma à jour")


@app.command()
def topics() -> None:
    """Crée les topics manquants ; sans danger deux fois, à la fois, de deux endroits."""
    from service.kafka import create_topics

    with _readable_failures():
        created = create_topics(_settings())
    console.print("\n".join(f"créé : {name}" for name in created) or "topics déjà là")


# --- Commands that look ----------------------------------------------------------------------------------------------


@app.command()
def balance(reference: Reference, *, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Le solde d'une créance, tel que la vue le montre."""
    from projections.restant_du import lire_créance

    with _connection(data_dir) as (_, conn):
        row = lire_créance(conn, _reference(reference))
    if row is None:
        _fail("Cette référence est inconnue.")
    answer = {
        "reference": row.référence,
        "montant_initial_centimes": row.montant_initial,
        "restant_du_centimes": row.restant_dû,
        "en_cours_centimes": row.en_cours,
        "trop_percu_centimes": row.trop_perçu,
        "statut": row.statut,
        "version": row.version,
    }
    if as_json:
        _print_json(answer)
        return
    table = Table(_whole("Référence"), "Initial", "Restant dû", "En cours", "Trop-perçu", _whole("Statut"), "Version")
    amounts = (row.montant_initial, row.restant_dû, row.en_cours, row.trop_perçu)
    table.add_row(row.référence, *map(euros, amounts), row.statut, str(row.version))
    console.print(table)


@app.command()
def history(
    reference: Reference,
    *,
    as_of: Annotated[datetime | None, typer.Option(help="Telle que connue à cet instant (ISO 8601).")] = None,
    at_version: Annotated[int | None, typer.Option(min=1, help="Jusqu'à cette version.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Chaque événement d'une créance, son heure, sa cause, et le solde après lui."""
    from journal.bases import Base
    from journal.enregistreur import Enregistreur
    from projections.historique import historique

    when = as_of.replace(tzinfo=PARIS) if as_of is not None and as_of.tzinfo is None else as_of
    with _connection(data_dir) as (settings, conn):
        recorder = Enregistreur(Base(str(settings.database_url)))
        steps = historique(conn, recorder, _reference(reference), au=when, à_la_version=at_version)
    if not steps:
        _fail("Aucun événement pour cette référence.")
    if as_json:
        _print_json([step.en_json() for step in steps])
        return
    console.print(_history_table(steps))


@app.command()
def lag(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Rafraîchir chaque seconde jusqu'à Ctrl-C.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Le retard de chaque consommateur et suiveur, en événements et en secondes."""
    from journal.bases import Base
    from service.retard import lag as read_lag

    with _readable_failures():
        settings = _settings(data_dir)
        with Base(_database(settings), application="creances-lag", connexions_max=1) as base:
            rows = read_lag(settings, base)
            if as_json:
                _print_json(rows)
            elif watch:
                _watch(lambda: _lag_table(read_lag(settings, base)))
            else:
                console.print(_lag_table(rows))


@app.command()
def audit(
    reference: Annotated[str | None, typer.Argument(help="Une seule créance ; toutes sans argument.")] = None,
    *,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Recalcule chaque solde depuis le journal et compare chaque vue ; sort avec 1 s'il y a un écart."""
    from projections.audit import auditer

    with _connection(data_dir) as (_, conn):
        report = auditer(conn, _reference(reference) if reference else None)
    if as_json:
        _print_json(report.en_json())
    else:
        console.print(
            f"{report.créances} créances, {report.paiements} paiements, {report.événements} événements"
            f" (tête du journal : {report.tête})."
        )
        console.print(f"Restant dû : {euros(report.restant_dû_total)} ; accepté : {euros(report.accepté_total)}.")
        for gap in report.écarts:
            console.print(f"[red]écart[/red] {gap}")
        verdict = "[green]aucun écart[/green]" if not report.écarts else f"[red]{report.écarts_comptés} écarts[/red]"
        console.print(f"Audit : {verdict}.")
    if report.écarts_comptés:
        raise typer.Exit(PROBLEM)


@app.command()
def notifications(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Le sort de chaque notification lue ; leur somme est ce que le topic a porté."""
    from domain.sort import Sort

    with _connection(data_dir) as (settings, conn):
        counts = dict(
            conn.execute(
                "SELECT sort, count(*) FROM journal.sorts WHERE topic = %s GROUP BY sort",
                (settings.topic_notifications,),
            ).fetchall()
        )
    fates = {sort.value: counts.get(sort.value, 0) for sort in Sort}
    answer = {"total": sum(fates.values()), "fates": fates}
    if as_json:
        _print_json(answer)
        return
    table = Table("Sort", "Notifications")
    for name, count in fates.items():
        table.add_row(name, str(count))
    table.add_section()
    table.add_row("total", str(answer["total"]))
    console.print(table)


@app.command()
def token(
    role: Annotated[str, typer.Option(help="assure, support, exploitation ou partenaire.")],
    assure: Annotated[str | None, typer.Option(help="Pseudonyme de l'assuré, pour ce rôle.")] = None,
    *,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Un jeton de développement ; refusé si un émetteur OIDC est configuré."""
    from api.identite import Rôle, émettre_jeton

    try:
        chosen = Rôle(role)
    except ValueError as cause:
        raise typer.BadParameter(f"rôle inconnu : {role}") from cause
    if (chosen is Rôle.ASSURÉ) != (assure is not None):
        raise typer.BadParameter("--assure va avec le rôle assure, et seulement lui")
    settings = _settings(data_dir)
    try:
        secret = development_jwt_secret(settings)
    except ValueError as cause:
        _fail(str(cause))
    text = émettre_jeton(secret, chosen, assure, audience=settings.oidc_audience, maintenant=datetime.now(UTC))
    if as_json:
        _print_json({"token": text})
    else:
        sys.stdout.write(text + "\n")


@app.command("settings")
def show_settings(*, as_json: Json = False) -> None:
    """Les réglages en vigueur, secrets masqués."""
    import os

    rows = settings_table(_settings())
    for name in unknown_variables(os.environ):
        errors.print(f"[yellow]attention[/yellow] {name} ne nomme aucun réglage")
    if as_json:
        _print_json([row._asdict() for row in rows])
        return
    table = Table("Variable", "Valeur", "Description")
    for row in rows:
        table.add_row(row.variable, row.value if row.is_default else f"[bold]{row.value}[/bold]", row.description)
    console.print(table)


# --- Helpers ---------------------------------------------------------------------------------------------------------


def main() -> None:
    """Entry point of the `creances` command."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


def _settings(data_dir: Path | None = None) -> Settings:
    """The settings; of a running demo if there is one in `data_dir`, and nothing else is configured."""
    try:
        settings = Settings()
        if settings.database_url is None:
            settings = _of_running_demo(settings, data_dir or settings.data_dir)
    except ValidationError as cause:
        for fault in cause.errors(include_url=False, include_input=False):
            errors.print(f"CREANCES_{'.'.join(map(str, fault['loc'])).upper()} : {fault['msg']}", markup=False)
        raise typer.Exit(USAGE) from cause
    configure_logs(settings.log_level, settings.log_format)
    return settings


def _of_running_demo(settings: Settings, data_dir: Path) -> Settings:
    stack = data_dir / "stack.json"
    if not stack.exists():
        return settings
    found = json.loads(stack.read_text("utf-8"))
    known = {"database_url", "owner_database_url", "kafka_bootstrap"}
    return settings.model_copy(
        update={key: found[key] for key in known} | {"data_dir": data_dir, "public_url": found["api_url"]}
    )


def _database(settings: Settings) -> str:
    if settings.database_url is None:
        _fail("Aucune base : donnez CREANCES_DATABASE_URL, ou lancez `creances demo`.", USAGE)
    return settings.database_url


@contextmanager
def _connection(data_dir: Path | None) -> Iterator[tuple[Settings, psycopg.Connection[Any]]]:
    settings = _settings(data_dir)
    with _readable_failures(), closing(psycopg.connect(_database(settings), autocommit=True)) as conn:
        yield settings, conn


@contextmanager
def _readable_failures() -> Iterator[None]:
    """A server that does not answer is a sentence, not a traceback."""
    from kafka.errors import KafkaError
    from psycopg_pool import PoolTimeout

    try:
        yield
    except (psycopg.OperationalError, PoolTimeout) as cause:
        _fail(f"PostgreSQL ne répond pas : {cause}")
    except psycopg.errors.UndefinedTable:
        _fail("Le schéma manque : lancez `creances migrate`.")
    except KafkaError as cause:
        _fail(f"Kafka ne répond pas : {cause}")


def _reference(text: str) -> str:
    reference = lire_référence(text)
    if reference is None:
        raise typer.BadParameter("une référence compte 16 chiffres et 1 lettre")
    return reference


def _fail(sentence: str, code: int = PROBLEM) -> NoReturn:
    errors.print(sentence, markup=False)
    raise typer.Exit(code)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _history_table(steps: Sequence[Étape]) -> Table:
    """One row an event; a column that would say nothing is left out, so that it fits a terminal."""
    overpaid = any(step.trop_perçu for step in steps)
    late = any(abs(step.enregistré_le - step.survenu_le) >= SAME_TIME for step in steps)
    table = Table(_whole("v"), _whole("Événement"), "Enregistré le", *(["Survenu le"] if late else []))
    for name in ("Restant dû", "En cours", *(["Trop-perçu"] if overpaid else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Cause", overflow="fold")
    for step in steps:
        times = (step.enregistré_le, step.survenu_le) if late else (step.enregistré_le,)
        amounts = (step.restant_dû, step.en_cours, *((step.trop_perçu,) if overpaid else ()))
        table.add_row(
            str(step.version),
            step.type,
            *(f"{moment.astimezone(PARIS):%d/%m/%Y %H:%M:%S}" for moment in times),
            *map(euros, amounts),
            step.cause,
        )
    return table


def _whole(name: str) -> Column:
    """A column that is never cut."""
    return Column(name, no_wrap=True)


def _lag_table(rows: Sequence[dict[str, Any]]) -> Table:
    failed = any(row["derniere_erreur"] for row in rows)
    table = Table(_whole("Rôle"), "Événements", "Secondes", _whole("État"), "Meneur")
    if failed:
        table.add_column("Dernière erreur", overflow="fold")
    for row in rows:
        error = [(row["derniere_erreur"] or "")[:200]] if failed else []
        cells = (row["nom"], str(row["evenements"]), f"{row['secondes']:.1f}", row["etat"], row["meneur"] or "")
        table.add_row(*cells, *error)
    return table


def _watch(draw: Any) -> None:
    import time

    with Live(draw(), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(draw(), refresh=True)
