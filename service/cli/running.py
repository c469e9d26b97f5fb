"""The commands that run the service, or prepare its servers."""

from pathlib import Path
from typing import Annotated

import psycopg
import typer

from service.cli.application import (
    PROBLEM,
    DataDir,
    Json,
    app,
    console,
    errors,
    print_json,
    read_settings,
    readable_failures,
    start_roles,
)
from service.controls import shown


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
    from service.role_names import ALL

    start_roles(read_settings(), [str(role) for role in ALL])


@app.command()
def api() -> None:
    """Sert l'API et les pages."""
    start_roles(read_settings(), ["api"])


@app.command()
def consume(
    topic: Annotated[str | None, typer.Argument(help="avis ou kiosque ; les deux sans argument.")] = None,
) -> None:
    """Consomme les avis des caisses et les notifications de la banque."""
    from consumers import NomDeConsommateur

    if topic is not None and topic not in set(NomDeConsommateur):
        raise typer.BadParameter(" ou ".join(NomDeConsommateur))
    start_roles(read_settings(), [f"consume:{name}" for name in ([topic] if topic else NomDeConsommateur)])


@app.command()
def project(
    names: Annotated[list[str] | None, typer.Argument(help="Vues à mener ; toutes sans argument.")] = None,
) -> None:
    """Mène les vues le long du journal."""
    from service.composition import VIEWS

    unknown = set(names or ()) - set(VIEWS)
    if unknown:
        raise typer.BadParameter(f"vue inconnue : {shown(', '.join(sorted(unknown)))} (connues : {', '.join(VIEWS)})")
    start_roles(read_settings(), [f"project:{name}" for name in names or VIEWS])


@app.command()
def relance() -> None:
    """Relance les paiements sans réponse, expire ceux que le kiosque ignore, et purge les messages échus."""
    start_roles(read_settings(), ["relance"])


@app.command()
def sceller() -> None:
    """Scelle le journal : chaque ligne devient une feuille de l'arbre, dont l'état est signé."""
    start_roles(read_settings(), ["sceller"])


@app.command()
def kiosque() -> None:
    """Sert le kiosque bancaire simulé."""
    start_roles(read_settings(), ["kiosque"])


@app.command()
def migrate(*, as_json: Json = False) -> None:
    """Crée ou met à niveau le schéma ; sans danger deux fois, à la fois, de deux endroits."""
    from engine.database import connect
    from service.schema import migrate

    settings = read_settings()
    owner = settings.migration_database_url
    if owner is None:
        raise typer.BadParameter("CREANCES_DATABASE_URL manque.")
    user = psycopg.conninfo.conninfo_to_dict(settings.database_url or owner).get("user")
    with readable_failures():
        if user is None:
            with connect(settings.database_url or owner, application="creances-migrate") as conn:
                (user,) = conn.execute("SELECT current_user").fetchone() or ("",)
        applied = migrate(owner, str(user))
    if as_json:
        print_json({"appliquees": applied})
        return
    console.print("\n".join(f"appliquée : {name}" for name in applied) or "schéma à jour")


@app.command()
def topics(
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Ne rien créer ; sort avec 1 si un topic diffère.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Crée les topics manquants, sans danger deux fois, et dit ceux qui ne sont pas ce que le contrat promet."""
    from service.kafka import create_topics
    from service.topic_promises import broken_promises

    settings = read_settings(data_dir)
    with readable_failures():
        created = [] if verify else create_topics(settings)
        broken = broken_promises(settings)
    if as_json:
        print_json({"crees": created, "differences": [one._asdict() for one in broken]})
    else:
        for name in created:
            console.print(f"créé : {name}")
        for one in broken:
            errors.print(one.sentence, soft_wrap=True)
        if not created and not broken:
            console.print("topics déjà là, tels que promis")
    if verify and broken:
        raise typer.Exit(PROBLEM)
