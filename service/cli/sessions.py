"""The sessions of the pages: who is signed in, and ending one."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from psycopg.rows import dict_row
from rich.markup import escape
from rich.table import Table

from engine.security_log import Kind, SecurityEvent, note
from service.cli.application import USAGE, DataDir, Json, app, connection, console, fail, print_json
from service.cli.tables import whole

commands = typer.Typer(help="Les sessions des pages : les voir, les finir.", no_args_is_help=True)
app.add_typer(commands, name="sessions")

# Sixteen digits of its digest name a session.
_OPEN = (
    "SELECT left(encode(empreinte, 'hex'), 16) AS session, role, assure, canal, ouverte_le, vue_le FROM acces.sessions"
    " WHERE finie_le IS NULL AND ouverte_le > %(since)s AND (%(assure)s::text IS NULL OR assure = %(assure)s)"
    " ORDER BY vue_le DESC LIMIT 1000"
)
_END = (
    "UPDATE acces.sessions SET finie_le = %(now)s, fin = 'administrateur' WHERE finie_le IS NULL AND (%(all)s"
    " OR assure = %(assure)s OR left(encode(empreinte, 'hex'), 16) = %(session)s)"
)


@commands.command("list")
def list_sessions(
    *,
    assure: Annotated[str | None, typer.Option(help="Seulement celles de cet assuré (pseudonyme).")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Les sessions qui n'ont pas été finies, la dernière vue d'abord (1000 au plus)."""
    with connection(data_dir) as (settings, conn), conn.cursor(row_factory=dict_row) as cursor:
        since = datetime.now(UTC) - settings.session_max_age
        rows: list[dict[str, Any]] = cursor.execute(_OPEN, {"since": since, "assure": assure}).fetchall()
    if as_json:
        print_json([row | {key: row[key].isoformat() for key in ("ouverte_le", "vue_le")} for row in rows])
        return
    table = Table(whole("Session"), "Rôle", "Assuré", "Canal", "Ouverte le", "Vue le")
    for row in rows:
        times = (f"{row[key]:%d/%m/%Y %H:%M:%S}" for key in ("ouverte_le", "vue_le"))
        table.add_row(row["session"], *(escape(row[key] or "") for key in ("role", "assure", "canal")), *times)
    console.print(table)


@commands.command("end")
def end_sessions(
    session: Annotated[str | None, typer.Argument(help="La session, telle que la liste la nomme.")] = None,
    *,
    assure: Annotated[str | None, typer.Option(help="Toutes celles de cet assuré (pseudonyme).")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Toutes, de tout le monde.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Finit des sessions : leur cookie n'ouvre plus rien dès la page suivante."""
    if sum((session is not None, assure is not None, everyone)) != 1:
        fail("Donnez une session, ou --assure, ou --all.", USAGE)
    asked = {"now": datetime.now(UTC), "all": everyone, "assure": assure, "session": session}
    with connection(data_dir) as (_, conn):
        ended = conn.execute(_END, asked).rowcount
        if ended:
            actor = str((conn.execute("SELECT session_user").fetchone() or ("",))[0])
            whose = session or assure or "toutes"
            note(conn, SecurityEvent(Kind.ADMINISTRATION, actor, f"{ended} session(s) finie(s)", whose))
    if not ended:
        fail("Aucune session ouverte ne répond à cette demande.")
    if as_json:
        print_json({"finies": ended})
        return
    console.print(f"{ended} session(s) finie(s).")
