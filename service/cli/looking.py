"""The commands that look, and change nothing."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.table import Table

from domain.monnaie import euros
from domain.refus import Refus
from service.cli.application import (
    DataDir,
    Json,
    Reference,
    app,
    connection,
    console,
    database_of,
    errors,
    fail,
    print_json,
    quiet,
    read_reference,
    read_settings,
    readable_failures,
)
from service.cli.tables import lag_alerts, lag_table, redraw, whole
from service.settings import development_jwt_secret, settings_table, unknown_variables
from service.terminal import styled

NOT_ALL_CHECKED: Final = 3
"""What a command exits with if it found no difference but could not read everything."""


@app.command()
def balance(
    reference: Reference,
    *,
    motif: Annotated[
        str | None, typer.Option("--motif", help="Pourquoi ce solde est lu ; la lecture est écrite.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Le solde d'une créance, tel que la vue le montre."""
    from guichet.acces import NON_DIT, lire_motif, noter_acces
    from projections.vues.restant_du import lire_creance
    from service.cli.who import reader

    try:
        reason = NON_DIT if motif is None else lire_motif(motif)
    except Refus as refused:
        raise typer.BadParameter(refused.phrase, param_hint="--motif") from None
    with connection(data_dir) as (settings, conn):
        row = lire_creance(conn, read_reference(reference))
        if row is not None:
            about = f"creance-{row.reference}"
            noter_acces(conn, reader(settings), quoi="solde", objet=about, assures=[row.assure], motif=reason)
    if row is None:
        fail("Cette référence est inconnue.")
    answer = {
        "reference": row.reference,
        "montant_initial_centimes": row.montant_initial,
        "restant_du_centimes": row.restant_du,
        "en_cours_centimes": row.en_cours,
        "trop_percu_centimes": row.trop_percu,
        "statut": row.statut,
        "version": row.version,
    }
    if as_json:
        print_json(answer)
        return
    table = Table(whole("Référence"), "Initial", "Restant dû", "En cours", "Trop-perçu", whole("Statut"), "Version")
    amounts = (row.montant_initial, row.restant_du, row.en_cours, row.trop_percu)
    table.add_row(row.reference, *map(euros, amounts), row.statut, str(row.version))
    console.print(table)


@app.command()
def lag(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Rafraîchir chaque seconde jusqu'à Ctrl-C.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Le retard de chaque rôle, en événements et en secondes ; sort avec 1 si l'un ou Kafka se tait."""
    from engine.database import Database
    from service.lag import lag as read_lag
    from service.lag import not_working, unreadable

    with readable_failures():
        settings = read_settings(data_dir)
        quiet()
        with Database(database_of(settings), application="creances-lag", connexions_max=1) as base:
            rows = read_lag(settings, base)
            if as_json:
                print_json(rows)
            elif watch:
                redraw(lambda: lag_table(read_lag(settings, base)))
            else:
                console.print(lag_table(rows))
                for alert in lag_alerts(rows):
                    console.print(alert, markup=False, soft_wrap=True)
            if silent := unreadable(rows):
                fail(silent)
            if stopped := not_working(rows):
                fail(f"Rôles silencieux ou arrêtés : {', '.join(stopped)}.")


@app.command()
def notifications(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Le sort de chaque notification lue ; leur somme est ce que le topic a porté."""
    from domain.sort import Sort
    from engine.fates import fates_of

    with connection(data_dir) as (settings, conn):
        counts = fates_of(conn, settings.topic_notifications)
    fates = {sort.value: counts.get(sort.value, 0) for sort in Sort}
    answer = {"total": sum(fates.values()), "fates": fates}
    if as_json:
        print_json(answer)
        return
    table = Table("Sort", "Notifications")
    for name, count in fates.items():
        table.add_row(name, str(count))
    table.add_section()
    table.add_row("total", str(answer["total"]))
    console.print(table)


@app.command()
def token(
    role: Annotated[str, typer.Option(help="Le rôle du jeton ; un rôle inconnu est refusé avec la liste.")],
    assure: Annotated[str | None, typer.Option(help="Pseudonyme de l'assuré, pour ce rôle.")] = None,
    personne: Annotated[str | None, typer.Option(help="Le nom de l'agent, pour un autre rôle.")] = None,
    caisse: Annotated[list[str] | None, typer.Option(help="Une caisse du partenaire ; se répète.")] = None,
    *,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Un jeton de développement ; refusé si un émetteur OIDC est configuré."""
    from api.socle.identite import RoleUtilisateur, emettre_jeton

    try:
        chosen = RoleUtilisateur(role)
    except ValueError as cause:
        raise typer.BadParameter(f"rôle inconnu : {role!r} (connus : {', '.join(RoleUtilisateur)})") from cause
    if (chosen is RoleUtilisateur.ASSURE) != (assure is not None):
        raise typer.BadParameter("--assure va avec le rôle assure, et seulement lui")
    if caisse and chosen is not RoleUtilisateur.PARTENAIRE:
        raise typer.BadParameter("--caisse va avec le rôle partenaire, et seulement lui")
    settings = read_settings(data_dir)
    try:
        secret = development_jwt_secret(settings)
    except ValueError as cause:
        fail(str(cause))
    text = emettre_jeton(
        secret,
        chosen,
        assure,
        audience=settings.oidc_audience,
        maintenant=datetime.now(UTC),
        personne=personne,
        caisses=caisse or (),
    )
    if as_json:
        print_json({"token": text})
    else:
        sys.stdout.write(text + "\n")


@app.command("settings")
def show_settings(*, as_json: Json = False) -> None:
    """Les réglages en vigueur, secrets masqués."""
    import os

    rows = settings_table(read_settings())
    for name in unknown_variables(os.environ):
        errors.print(styled("attention", "yellow"), f"{name} ne nomme aucun réglage")
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    table = Table("Variable", "Valeur", "Description")
    for row in rows:
        table.add_row(row.variable, row.value if row.is_default else styled(row.value, "bold"), row.description)
    console.print(table)
