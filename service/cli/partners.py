"""`creances partenaires`: what those downstream have read, and how far behind they are."""

from rich.table import Table

from service.cli.application import DataDir, Json, app, connection, console, print_json, quiet


@app.command()
def partenaires(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Ce qu'a lu chaque groupe Kafka de ce que nous publions, et chaque lecteur du fil HTTP ; leur retard."""
    from service.partners import feed, groups

    quiet()
    with connection(data_dir) as (settings, conn):
        told = {"groupes": groups(settings), "fil": feed(conn)}
    if as_json:
        print_json(told)
        return
    table = Table("Lecteur", "De", "Retard", "Où il en est")
    for row in told["groupes"]:
        read = ", ".join(f"{number}@{one['lu']}" for number, one in row["partitions"].items())
        table.add_row(row["groupe"], row["topic"], f"{row['retard_messages']} messages", read)
    for row in told["fil"]:
        caisses = " ".join(row["caisses"])
        table.add_row(row["partenaire"], f"fil ({caisses})", f"{row['retard_evenements']} événements", row["curseur"])
    console.print(table)
