"""The partitions that stopped, their topic shorter or a batch unreadable, and taking one up again."""

from typing import Annotated, Final

import typer
from rich.table import Table

from engine.batch import Partition
from engine.positions import reprendre, stopped_partitions
from service.cli.application import PROBLEM, DataDir, Json, app, connection, console, fail, print_json
from service.cli.tables import whole

TOPIC: Final = typer.Argument(help="Le topic, tel que la liste le nomme.")


@app.command()
def partitions(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Les partitions arrêtées : raccourcies en deçà de notre position, ou illisibles là ; sort avec 1 s'il y en a."""
    with connection(data_dir) as (_, conn):
        stopped = stopped_partitions(conn)
    if as_json:
        print_json(
            [
                {
                    "topic": s.topic,
                    "partition": s.partition,
                    "position": s.position,
                    "fin": s.fin,
                    "le": s.le.isoformat(),
                }
                for s in stopped
            ]
        )
    elif stopped:
        table = Table(whole("Topic"), "Partition", "Position", "Fin alors", "Depuis")
        for s in stopped:
            table.add_row(s.topic, str(s.partition), str(s.position), str(s.fin), f"{s.le:%d/%m/%Y %H:%M:%S}")
        console.print(table)
    else:
        console.print("Aucune partition arrêtée.")
    if stopped:
        raise typer.Exit(PROBLEM)


@app.command("reprendre-partition")
def take_up(
    topic: Annotated[str, TOPIC],
    partition: Annotated[int, typer.Argument(min=0)],
    *,
    motif: Annotated[str, typer.Option(help="Pourquoi, pour l'histoire.")],
    depuis: Annotated[
        int, typer.Option(min=0, help="Position d'où relire ; 0 : tout, sans rien compter deux fois.")
    ] = 0,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Reprend une partition arrêtée ; le consommateur la relit de là, dans les secondes qui suivent.

    Tout relire ne compte rien deux fois : un message déjà appliqué a pour sort `doublon`.
    """
    with connection(data_dir) as (_, conn), conn.transaction():
        found = next((s for s in stopped_partitions(conn) if (s.topic, s.partition) == (topic, partition)), None)
        if found is None:
            fail(f"{topic}/{partition} n'est pas arrêtée.")
        reprendre(conn, Partition(found.topic_id, topic, partition), depuis, motif=motif)
    if as_json:
        print_json({"topic": topic, "partition": partition, "position": depuis})
        return
    console.print(f"{topic}/{partition} : reprise à la position {depuis}.", markup=False)
