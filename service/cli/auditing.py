"""The commands of an auditor: `audit`, `balances`; they change nothing."""

import csv
import json
import re
import sys
from datetime import UTC, date, datetime, time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from domain.delai import PARIS, a_paris
from domain.monnaie import euros
from service.cli.application import (
    PROBLEM,
    DataDir,
    Json,
    app,
    connection,
    console,
    errors,
    fail,
    print_json,
    read_reference,
)
from service.cli.looking import NOT_ALL_CHECKED
from service.cli.progress import progress_bar
from service.cli.proof import audit_seals
from service.terminal import styled

if TYPE_CHECKING:
    from psycopg import Connection

    from projections.audit import Rapport
    from service.settings import Settings

Csv = Annotated[bool, typer.Option("--csv", help="Écrire les totaux en CSV (centimes, séparés par « ; »).")]

_INSTANT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}(?P<heure>[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(?P<fuseau>Z|[+-]\d{2}:\d{2})?)?"
)
_CAISSE: Final = re.compile(r"[0-9]{3}")


@app.command()
def audit(
    reference: Annotated[str | None, typer.Argument(help="Une seule créance ; toutes sans argument.")] = None,
    *,
    since: Annotated[
        str | None, typer.Option(help="Les totaux d'avant ce jour (AAAA-MM-JJ, de Paris) vont à l'ouverture.")
    ] = None,
    preuve: Annotated[
        bool, typer.Option("--preuve", help="Hacher de nouveau tout le journal, et le comparer à ce qui est scellé.")
    ] = False,
    as_csv: Csv = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Recalcule tout depuis le journal et compare ; sort avec 1 s'il y a un écart, 3 si tout n'a pas pu se lire."""
    from projections.audit import auditer
    from projections.audit.lecture import sans_s_arreter

    if preuve:
        audit_seals(data_dir, as_json=as_json)
        return
    wanted = read_reference(reference) if reference else None
    first_day = _day(since) if since is not None else None
    with connection(data_dir) as (settings, conn), progress_bar() as advance:
        report = auditer(conn, wanted, depuis=first_day, avancer=advance)
        if wanted is None:
            sans_s_arreter(conn, report, "les points signés", partial(_check_points, conn, settings, report))
            if settings.tsa_roots is not None:
                signed = partial(_check_signatures, conn, settings.tsa_roots, report)
                sans_s_arreter(conn, report, "les horodatages", signed)
    if wanted is not None and not report.creances and not report.ecarts_comptes and report.complet:
        fail("Cette référence est inconnue.")
    if as_json:
        print_json(report.en_json(version("creances")))
    elif as_csv:
        sys.stdout.write(report.en_csv())
    else:
        _tell(report)
    if report.ecarts_comptes:
        raise typer.Exit(PROBLEM)
    if not report.complet:
        raise typer.Exit(NOT_ALL_CHECKED)


def _check_signatures(conn: "Connection[Any]", roots: Path, report: "Rapport") -> None:
    """The tokens of closings and of signed states were signed by the authority of the settings, for what they bear on.

    The database does not hold its roots.
    """
    from service.closing_stamps import unsigned
    from service.point_stamps import unsigned_points
    from service.timestamping import NoTimestamp

    try:
        for day in unsigned(conn, roots):
            report.ecart(f"arrêté du {day} : son horodatage n'est pas signé par l'autorité des réglages")
        for state in unsigned_points(conn, roots):
            said = f"point de {state.size} lignes de {state.origin}"
            report.ecart(f"{said} : son horodatage n'est pas signé par l'autorité des réglages")
    except NoTimestamp as cause:
        report.non_controle(f"signature des horodatages : {cause}")


def _check_points(conn: "Connection[Any]", settings: "Settings", report: "Rapport") -> None:
    """The closings stand under the signed states that they say; signed by a key of the settings, if one is given."""
    from service.closing_points import unfounded
    from service.composition import trusted

    keys = trusted(settings).publics if settings.preuve_public_key or settings.preuve_key else ()
    for day, fault in unfounded(conn, settings.preuve_origin, keys):
        report.ecart(f"arrêté du {day} : {fault}")


@app.command()
def balances(
    at: Annotated[str, typer.Option(help="Un jour (sa fin, heure de Paris) ou un instant (ISO 8601).")],
    *,
    caisse: Annotated[
        list[str] | None, typer.Option(help="Cette caisse seulement (trois chiffres) ; à redire.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Tous les soldes à un instant, en CSV (centimes, séparés par « ; ») ; sort avec 3 si l'un ne peut se lire.

    --json : une ligne chacun.
    """
    from projections.lectures.soldes import Solde, SoldeIllisible, soldes_au

    when = read_instant(at, datetime.now(UTC))
    wanted = caisse or []
    for code in wanted:
        if not _CAISSE.fullmatch(code):
            raise typer.BadParameter(f"une caisse a trois chiffres : {code!r}")
    unread = 0
    with connection(data_dir) as (_, conn), soldes_au(conn, when, wanted) as found:
        told = f"{when.astimezone(PARIS):%d/%m/%Y à %H:%M:%S} (heure de Paris)"
        if found is None:
            fail(f"Rien n'était encore enregistré le {told}.")
        errors.print(f"Soldes au {told}, journal à la position {found.position}.", markup=False, soft_wrap=True)
        writer = csv.writer(sys.stdout, delimiter=";", lineterminator="\r\n")
        if not as_json:
            writer.writerow(Solde._fields)
        for row in found.soldes:
            if isinstance(row, SoldeIllisible):
                unread += 1
                errors.print(f"Illisible : {row.flux} : {row.cause}", markup=False, soft_wrap=True)
            elif as_json:
                sys.stdout.write(json.dumps(row._asdict()) + "\n")
            else:
                writer.writerow("oui" if cell is True else "non" if cell is False else cell for cell in row)
    if unread:
        raise typer.Exit(NOT_ALL_CHECKED)


def read_instant(text: str, now: datetime) -> datetime:
    """The end of a plain day, or an instant, of Paris unless it says otherwise; anything else is a wrong usage."""
    found = _INSTANT.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter("un jour AAAA-MM-JJ, ou un instant AAAA-MM-JJTHH:MM:SS, est attendu")
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError as cause:
        raise typer.BadParameter(f"cette date n'existe pas : {text.strip()}") from cause
    if found["heure"] is None:
        read = datetime.combine(read.date(), time.max, PARIS)
        today = now.astimezone(PARIS).date()
        if read.date() > today:
            raise typer.BadParameter("ce jour n'est pas encore venu")
        return read
    if read.tzinfo is None:
        try:
            read = a_paris(read)
        except ValueError as cause:
            raise typer.BadParameter(f"{cause} : ajoutez son décalage, +02:00 ou +01:00") from cause
    if read > now:
        raise typer.BadParameter("cet instant n'est pas encore venu")
    return read


def _day(text: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()):
            return date.fromisoformat(text.strip())
    except ValueError:
        pass
    raise typer.BadParameter("un jour AAAA-MM-JJ est attendu")


def _tell(report: "Rapport") -> None:
    from projections.comptes.totaux import INTITULES

    console.print(
        f"Audit du {report.instant.astimezone(PARIS):%d/%m/%Y à %H:%M:%S} (Paris) ; base {report.base} ;"
        f" époque {report.epoque} ; creances {version('creances')}.",
        soft_wrap=True,
    )
    console.print(
        f"{report.creances} créances, {report.paiements} paiements, {report.messages} messages,"
        f" {report.evenements} événements (tête du journal : {report.tete})."
    )
    table = Table("Totaux", "Montant", show_header=False)
    totals = report.totaux
    for name, told in INTITULES.items():
        table.add_row(told, Text(euros(getattr(totals, name)), justify="right"))
    console.print(table)
    open_ones = ", ".join(f"{count} {kind}" for kind, count in sorted(report.anomalies.items()))
    console.print(f"Anomalies ouvertes : {report.anomalies_ouvertes}{f' ({open_ones})' if open_ones else ''}.")
    for gap in report.ecarts:
        console.print(styled("écart", "red"), gap)
    for stream, reason in report.illisibles.items():
        console.print(styled("illisible", "red"), f"{stream} : {reason}")
    for reason in report.non_controles:
        console.print(styled("non contrôlé", "red"), reason)
    found = styled(f"{report.ecarts_comptes} écarts", "red") if report.ecarts else styled("aucun écart", "green")
    unread = styled(f", {len(report.illisibles)} flux illisibles", "red") if report.illisibles else ""
    unchecked = styled(f", {len(report.non_controles)} contrôles empêchés", "red") if report.non_controles else ""
    console.print(Text.assemble("Audit : ", found, unread, unchecked, "."))
