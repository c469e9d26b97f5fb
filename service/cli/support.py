"""`creances history`, `note`, `accesses`: what support reads of a person, why, and who read it before."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from domain.refus import Refus
from service.cli.application import (
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
from service.cli.looking import NOT_ALL_CHECKED
from service.cli.tables import accesses_table, history_table, messages_table
from service.cli.who import reader

NAME_MAX = 256
"""Of an agent or a person whose accesses are looked for: what is looked for is recorded."""

RANK_MAX = 2**63 - 1
"""The greatest rank that the database counts."""

if TYPE_CHECKING:
    from api.support.consultation import Consultee
    from guichet.acces import Motif

Reason = Annotated[
    str | None,
    typer.Option("--motif", help="Pourquoi ces données sont lues ; demandé au terminal s'il manque, et écrit."),
]


def ask_reason(given: str | None) -> "Motif":
    """The reason, asked for on a terminal; without one, or with one that says nothing, a wrong usage."""
    from guichet.acces import MOTIFS, lire_motif

    if given is None and sys.stdin.isatty() and sys.stderr.isatty():
        given = typer.prompt(f"Motif de cette lecture, qui sera écrit (par exemple « {MOTIFS[0]} »)", err=True)
    try:
        return lire_motif(given)
    except Refus as refused:
        raise typer.BadParameter(refused.phrase, param_hint="--motif") from None


@app.command()
def history(
    name: Annotated[
        str | None, typer.Argument(metavar="REFERENCE|TRANSACTION", help="La créance, ou le paiement.")
    ] = None,
    *,
    assure: Annotated[str | None, typer.Option(help="Un assuré, par son pseudonyme : tout ce qui est à lui.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Telle que connue à cet instant ; un jour seul vaut jusqu'à sa fin, à Paris.")
    ] = None,
    at_version: Annotated[int | None, typer.Option(min=1, help="Jusqu'à cette version.")] = None,
    motif: Reason = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Écrire du CSV.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Chaque événement d'une créance, d'un paiement ou d'un assuré, son heure, sa cause, et le solde après lui."""
    from api.support import consultation
    from api.support.export import en_csv
    from engine.database import Database
    from service.composition import recorder_on

    if (name is None) == (assure is None):
        raise typer.BadParameter("une référence, une transaction, ou --assure : l'un des trois")
    reason = ask_reason(motif)
    try:
        if assure is not None:
            wanted = consultation.lire_objet(consultation.GenreDeConsultation.ASSURE, assure)
        else:
            wanted = consultation.deviner_objet(str(name))
        asked = consultation.lire_demande(as_of, at_version, datetime.now(UTC))
    except Refus as refused:
        fail(refused.phrase, USAGE)
    settings = read_settings(data_dir)
    with readable_failures(), Database(database_of(settings), application="creances-cli") as base:
        try:
            found = consultation.consulter((base, recorder_on(base)), reader(settings), wanted, reason, lambda: asked)
        except Refus as refused:
            fail(refused.phrase)
    if as_json:
        print_json(found.dossier.en_liste())
    elif as_csv:
        sys.stdout.write(en_csv(found.dossier))
    else:
        _tell(found)
    if found.dossier.illisibles:
        raise typer.Exit(NOT_ALL_CHECKED)


def _tell(found: "Consultee") -> None:
    """On a terminal: what happened, what came in, what was noted."""
    from api.support.consultation import a_dire
    from projections.lectures.historique import Etape

    dossier = found.dossier
    if dossier.instant is not None or dossier.version is not None:
        console.print(dossier.phrase)
    for sentence in a_dire(dossier):
        console.print(f"À dire à la personne : « {sentence} »", soft_wrap=True, markup=False, highlight=False)
    console.print(history_table([line.fait for line in dossier.lignes if isinstance(line.fait, Etape)]))
    for bad in dossier.illisibles:
        sentence = f"Illisible : v{bad.version} ({bad.topic}), à la position {bad.position} : {bad.raison}"
        console.print(sentence, soft_wrap=True)
    if dossier.messages:
        console.print(messages_table(dossier.messages))
    for note in found.notes:
        console.print(f"Note de {note.auteur}, {note.enregistre_le:%d/%m/%Y} : {note.texte}", soft_wrap=True)


@app.command()
def note(
    name: Annotated[str, typer.Argument(metavar="REFERENCE|TRANSACTION|OBJET", help="Ou assure-…, anomalie-….")],
    text: Annotated[str, typer.Argument(metavar="TEXTE", help="Sans donnée d'identité ; ne s'efface plus.")],
    *,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Note quelque chose d'une créance, d'un paiement, d'un assuré ou d'une anomalie."""
    from api.support import consultation
    from engine.database import Database
    from service.composition import recorder_on

    settings = read_settings(data_dir)
    with readable_failures(), Database(database_of(settings), application="creances-cli") as base:
        try:
            about = name if name.startswith(("assure-", "anomalie-")) else str(consultation.deviner_objet(name))
            written = consultation.annoter((base, recorder_on(base, settings)), reader(settings), about, text)
        except Refus as refused:
            fail(refused.phrase, USAGE)
    if as_json:
        print_json(written._asdict() | {"enregistre_le": written.enregistre_le.isoformat()})
        return
    console.print(f"Noté sur {written.objet}, sous le nom de {written.auteur}.")


@app.command()
def accesses(
    *,
    assure: Annotated[str | None, typer.Option(help="Les accès aux données de cet assuré (pseudonyme).")] = None,
    qui: Annotated[str | None, typer.Option(help="Les accès de cet agent.")] = None,
    before: Annotated[
        int | None,
        typer.Option("--avant", min=0, max=RANK_MAX, help="Les accès d'avant ce rang : la suite d'une liste."),
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Qui a lu les données de qui, quand et pourquoi, le plus récent d'abord."""
    from guichet.acces import ACCES_LUS_MAX, CONTROLE, compter_acces, lister_acces, noter_acces

    if not all(named is None or (0 < len(named) <= NAME_MAX and named.isprintable()) for named in (assure, qui)):
        raise typer.BadParameter("un nom se lit, et ne porte aucun signe de commande")
    with connection(data_dir) as (settings, conn):
        found = lister_acces(conn, assure=assure, qui=qui, avant=before)
        total = compter_acces(conn, assure=assure, qui=qui)
        about = f"assure-{assure}" if assure else qui or "tous"
        noter_acces(conn, reader(settings, of_accesses=True), quoi="acces", objet=about, assures=(), motif=CONTROLE)
    if len(found) == ACCES_LUS_MAX:
        errors.print(f"{len(found)} accès sur {total} ; la suite : --avant {found[-1].rang}.", soft_wrap=True)
    if as_json:
        print_json([one._asdict() | {"enregistre_le": one.enregistre_le.isoformat()} for one in found])
    else:
        console.print(accesses_table(found))
