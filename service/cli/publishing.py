"""The commands about what others rely on: published events, their resend and schemas, the API's description."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from psycopg import Connection
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

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
    read_settings,
    readable_failures,
    start_roles,
)
from service.controls import shown
from service.settings import Settings


@app.command()
def publish(
    start: Annotated[
        int | None, typer.Option("--from", min=1, help="Renvoyer ce qui a été publié depuis cette position.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Renvoyer ce qui concerne une créance, ses paiements compris.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Renvoyer ce qui a été enregistré depuis cet instant (ISO 8601).")
    ] = None,
    partner: Annotated[
        str | None,
        typer.Option("--partenaire", help="À ce seul partenaire : sur le topic à lui, créé au besoin."),
    ] = None,
    caisse: Annotated[list[str] | None, typer.Option(help="Cette caisse seulement ; se répète.")] = None,
    *,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Publie le journal sur Kafka ; avec --from, --since ou --reference, renvoie ce qui l'a déjà été.

    Un renvoi va à tous, ou avec --partenaire à un seul ; une marque en dit la fin dans chaque partition. Sort avec 1 si
    rien n'en est des caisses demandées.
    """
    if start is None and reference is None and since is None:
        if partner is not None or caisse:
            raise typer.BadParameter("--partenaire et --caisse vont avec --from, --since ou --reference")
        start_roles(read_settings(data_dir), ["publish"])
    if strange := [one for one in caisse or () if not re.fullmatch(r"[0-9]{3}", one)]:
        raise typer.BadParameter(f"une caisse est un code de trois chiffres, non {', '.join(map(shown, strange))}")
    if start is not None and since is not None:
        raise typer.BadParameter("--from et --since disent deux départs")
    _resend(start, since, reference, partner, caisse, as_json=as_json, data_dir=data_dir)


def _resend(
    start: int | None,
    since: str | None,
    reference: str | None,
    partner: str | None,
    caisses: list[str] | None,
    *,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    from domain.agregats import AGREGATS
    from engine.mapper import EventMapper
    from engine.outages import Outage
    from publication.renvoi import DepartHorsBornes, a_renvoyer, flux_de, renvoyer
    from service.composition import emitter

    with connection(data_dir) as (settings, conn):
        streams = flux_de(conn, EventMapper(AGREGATS), read_reference(reference)) if reference else None
        if reference and len(streams or ()) == 1 and not a_renvoyer(conn, 1, streams):
            fail(f"Rien n'est publié sous la référence {reference}.")
        start = _position_at(conn, since) if since is not None else start or 1
        sender = emitter(settings, _own_topic(settings, partner))
        columns = (TextColumn("renvoi"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=errors, transient=True) as progress:
            task = progress.add_task("renvoi", total=a_renvoyer(conn, start, streams))
            try:
                done = renvoyer(
                    conn,
                    sender,
                    settings.shard_digit,
                    depuis=start,
                    flux=streams,
                    caisses=caisses,
                    avancee=lambda count: progress.advance(task, count),
                )
            except DepartHorsBornes as cause:
                fail(f"Aucun renvoi n'en part : {cause}.")
            except Outage as cause:
                fail(f"Le renvoi s'est interrompu ; le reprendre est sans danger. {type(cause).__name__} : {cause}")
            finally:
                sender.abandonner()
    if as_json:
        print_json({"renvoyes": done.renvoyes, "depuis": done.depuis, "jusqu_a": done.jusqu_a, "arretes": done.arretes})
    else:
        console.print(f"{done.renvoyes} événements renvoyés (positions {done.depuis} à {done.jusqu_a}).")
        for stream, why in done.arretes.items():
            errors.print(f"{stream} s'arrête avant sa fin : {why}", markup=False)
    if caisses and not done.renvoyes:
        fail(f"Rien de ce qui était demandé n'est de {', '.join(caisses)} : seule la marque de fin est partie.")
    if done.arretes:
        raise typer.Exit(PROBLEM)


def _position_at(conn: Connection[Any], since: str) -> int:
    from datetime import UTC, datetime

    from domain.refus import Refus
    from publication.curseur import lire_depart
    from publication.fil import avant_l_instant, tete

    try:
        return avant_l_instant(conn, lire_depart(since, datetime.now(UTC)), tete(conn)) + 1
    except Refus as refusal:
        raise typer.BadParameter(refusal.phrase) from None


def _own_topic(settings: Settings, partner: str | None) -> str | None:
    """The topic of one partner's resends, created if need be; None: that of all."""
    from service.kafka import create_topics

    if partner is None:
        return None
    if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", partner, re.ASCII) is None:
        raise typer.BadParameter("un partenaire se nomme en lettres, chiffres et tirets, 60 au plus")
    topic = settings.topic_renvois(partner)
    create_topics(settings, {topic: settings.partitions_evenements})
    return topic


@app.command()
def epoch(
    reason: Annotated[
        str | None, typer.Option("--open", help="Ouvrir une époque, avec cette raison : tout sera republié sous elle.")
    ] = None,
    *,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Les époques du journal ; en ouvrir une après avoir restauré une sauvegarde plus ancienne.

    Sort avec 1 tant que le journal est en retard sur ce qui a été publié ou lu.
    """
    from guichet.recul import recul
    from publication.epoques import epoques, ouvrir_epoque
    from service.rewind import REMEDY

    with connection(data_dir) as (_, conn):
        if reason is not None:
            if not reason.strip():
                raise typer.BadParameter("une raison est demandée")
            ouvrir_epoque(conn, reason.strip())
        rows = epoques(conn)
        behind = recul(conn)
    if behind is not None:
        errors.print(f"{behind} {REMEDY}", markup=False, soft_wrap=True)
    if as_json:
        print_json(
            [
                {
                    "nom": row.nom,
                    "raison": row.raison,
                    "ouverte_par": row.ouverte_par,
                    "enregistree_le": row.enregistree_le.isoformat(),
                }
                for row in rows
            ]
        )
    else:
        table = Table("Époque", "Raison", "Ouverte par")
        for row in rows:
            table.add_row(row.nom, row.raison, row.ouverte_par)
        console.print(table)
    if behind is not None:
        raise typer.Exit(PROBLEM)


@app.command()
def schemas(
    folder: Annotated[Path, typer.Option("--dossier", help="Dossier des schémas publiés.")] = Path("docs/schemas"),
    *,
    as_json: Json = False,
) -> None:
    """Écrit les schémas JSON des événements publiés ; refuse un changement qui romprait un consommateur."""
    from publication.schemas import SchemaIncompatible, ecrire

    try:
        with readable_failures():
            changed = ecrire(folder)
    except SchemaIncompatible as refusal:
        for name, reasons in refusal.ruptures.items():
            for reason in reasons:
                errors.print(f"{name} : {reason}", markup=False)
        fail(refusal.remede)
    if as_json:
        print_json(changed)
    else:
        console.print("\n".join(changed) or "schémas à jour")


@app.command()
def openapi() -> None:
    """Imprime la description OpenAPI de l'API, celle que sert `/openapi.json`."""
    from api.application import description

    print_json(description())
