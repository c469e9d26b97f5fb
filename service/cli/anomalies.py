"""The commands that settle what the machine cannot: list, show, propose, approve, replay, ask the bank.

Over 300 lines: one command a gesture, and they share their options.
"""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import psycopg
import typer
from rich.table import Table

from domain.delai import PARIS
from domain.geste import A_DEUX, Geste, Proposition, Voie
from domain.imputation import Imputation
from domain.monnaie import CENTIMES_MAX, Centimes, Somme, euros
from domain.references import TRANSACTION, ReferenceCreance, ReferenceTransaction, lire_reference
from domain.refus import Refus
from guichet.acces import NON_DIT, Lecteur, Motif, noter_acces
from guichet.guichet import Guichet
from projections.lectures.ligne_d_anomalie import LigneDAnomalie
from service.cli.anomaly_tables import tell_list, tell_one, tell_settlement
from service.cli.application import (
    PROBLEM,
    USAGE,
    DataDir,
    Json,
    app,
    connection,
    console,
    errors,
    fail,
    print_json,
    quiet,
)
from service.cli.support import Reason, ask_reason
from service.cli.tables import whole
from service.cli.who import author, reader
from service.settings import Settings

commands = typer.Typer(name="anomalies", help="Ce qu'une personne doit régler, et le régler.", no_args_is_help=False)
app.add_typer(commands)

Ident = Annotated[str, typer.Argument(metavar="ID", help="Le nom de l'anomalie, tel que la liste le donne.")]
Why = Annotated[str, typer.Option("--motif", help="Pourquoi, pour l'histoire.")]
Reading = Annotated[str | None, typer.Option("--motif", help="Pourquoi ces données sont lues ; la lecture est écrite.")]
Which = Annotated[
    int | None, typer.Option("--proposition", min=1, help="La version de la proposition que vous avez lue.")
]

_AMOUNT: Final = re.compile(r"([0-9]{1,10})(?:[.,]([0-9]{2}))?")
_SHARE: Final = re.compile(r"([^=]+)(?:=(.+))?")


@commands.callback(invoke_without_command=True)
def anomalies(context: typer.Context) -> None:
    """Sans rien de plus : la liste."""
    if context.invoked_subcommand is None:
        list_(motif=None, as_json=False, data_dir=None)


@commands.command("list")
def list_(
    *,
    settled: Annotated[bool, typer.Option("--reglees", help="Les dernières réglées, au lieu des ouvertes.")] = False,
    genre: Annotated[str | None, typer.Option(help="Seulement celles de ce genre.")] = None,
    motif: Reading = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Tout ce qui est ouvert, le plus ancien d'abord."""
    from projections.lectures.anomalies import anomalies_reglees

    reason = _reason(motif)
    with connection(data_dir) as (settings, conn):
        rows = anomalies_reglees(conn) if settled else open_ones(settings, conn, datetime.now(UTC))
        note_reading(conn, reader(settings), "liste", rows, reason)
    kinds = sorted({row.genre for row in rows})
    rows = [row for row in rows if genre is None or row.genre == genre]
    if genre is not None and not rows and not as_json:
        errors.print(f"Aucune de ce genre ; il y en a de : {', '.join(kinds) or 'aucun'}.", soft_wrap=True)
    tell_list(rows, as_json=as_json, settled=settled)


@commands.command()
def show(ident: Ident, *, motif: Reading = None, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Une anomalie : ce qu'elle est, ce qui peut en être fait, ce que des personnes en ont fait."""
    from api.support.reglements import montrer

    reason = _reason(motif)
    with connection(data_dir) as (settings, conn):
        _note(settings, conn)
    with _counter(data_dir) as (settings, counter), _told_refusals():
        row, told = montrer(counter, reader(settings), reason, ident, datetime.now(UTC))
    if as_json:
        print_json({**row.en_detail(), "histoire": told})
        return
    tell_one(row, told)


@commands.command()
def settle(
    ident: Ident,
    *,
    gesture: Annotated[Geste, typer.Option("--geste", help="Ce qu'il faut faire.")],
    why: Why,
    amount: Annotated[str | None, typer.Option("--montant", help="En euros (20,00) ; absent : tout.")] = None,
    shares: Annotated[
        list[str] | None,
        typer.Option("--creance", metavar="REF[=EUROS]", help="Où va l'argent ; plusieurs fois s'il se partage."),
    ] = None,
    transaction: Annotated[
        str | None, typer.Option("--transaction", help="Le paiement visé, ou dont la carte est recréditée.")
    ] = None,
    way: Annotated[Voie | None, typer.Option("--voie", help="Par où l'argent est rendu.")] = None,
    proof: Annotated[str, typer.Option("--preuve", help="La pièce : référence d'un virement, d'un courrier.")] = "",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Règle une anomalie ; là où de l'argent bouge, propose : une seconde personne approuve."""
    from guichet.reglement.proposer import proposer

    if gesture is Geste.REJOUER:
        replay([ident], why, as_json=as_json, data_dir=data_dir)
        return
    if transaction is not None and not TRANSACTION.fullmatch(transaction):
        raise typer.BadParameter("une référence de transaction compte 1 à 35 lettres et chiffres")
    wanted = Proposition.model_construct(
        geste=gesture,
        montant=Somme(_centimes(amount) if amount is not None else 0),
        imputations=tuple(_share(text) for text in shares or ()),
        voie=way,
        transaction=ReferenceTransaction(transaction) if transaction else None,
        motif=why,
        preuve=proof,
    )
    with _counter(data_dir) as (settings, counter), _told_refusals():
        by = author(settings, in_two=gesture in A_DEUX)
        done = proposer(counter, ident, wanted, by, datetime.now(UTC))
    tell_settlement(ident, done, as_json=as_json)


@commands.command()
def approve(ident: Ident, *, version: Which = None, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Approuve le règlement qu'une autre personne a proposé, et le fait."""
    from guichet.reglement.approuver import approuver

    with _counter(data_dir) as (settings, counter), _told_refusals():
        by = author(settings, in_two=True)
        done = approuver(counter, ident, by, datetime.now(UTC), version=version)
    tell_settlement(ident, done, as_json=as_json)


@commands.command()
def decline(ident: Ident, *, why: Why, version: Which = None, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Décline le règlement proposé ; qui l'a proposé peut le retirer."""
    from guichet.reglement.approuver import decliner

    with _counter(data_dir) as (settings, counter), _told_refusals():
        done = decliner(counter, ident, author(settings, in_two=True), why, datetime.now(UTC), version=version)
    tell_settlement(ident, done, as_json=as_json)


@commands.command()
def report(
    transaction: Annotated[str, typer.Argument(help="La référence de transaction.")],
    *,
    why: Why,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Signale un paiement : il devient une anomalie, que l'on peut contre-passer."""
    from guichet.reglement.signaler import signaler

    with _counter(data_dir) as (settings, counter), _told_refusals():
        ident = signaler(counter, transaction, why, author(settings, in_two=False), datetime.now(UTC))
    if as_json:
        print_json({"id": ident})
    else:
        console.print(f"Signalé : {ident}", markup=False, highlight=False)


@commands.command("replay-all")
def replay_all(
    *,
    why: Why,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Rejoue tous les messages refusés qui ne le seraient plus : après une clé corrigée, par exemple."""
    from service.dead_letters import note_dead_letters

    quiet()
    with connection(data_dir) as (settings, conn):
        if settings.kafka_bootstrap is None:
            fail("Aucun courtier : donnez CREANCES_KAFKA_BOOTSTRAP.", USAGE)
        note_dead_letters(settings, conn)  # What Kafka cannot tell now is not done: this must not end well.
        idents = [row.id for row in open_ones(settings, conn, datetime.now(UTC)) if Geste.REJOUER in row.gestes]
    replay(idents, why, as_json=as_json, data_dir=data_dir)


@app.command("ask-bank")
def ask(
    transaction: Annotated[str, typer.Argument(help="La référence de transaction.")],
    *,
    motif: Reason = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Interroge la banque maintenant sur un paiement, aussi conclu ; sort avec 1 si elle dit autre chose que nous."""
    from api.support.reglements import noter_question
    from guichet.reglement.demander import demander
    from service.publisher import Publisher

    reason = ask_reason(motif)
    with _counter(data_dir) as (settings, counter), closing(Publisher(settings)) as publisher, _told_refusals():
        by = author(settings, in_two=False)
        noter_question(counter, reader(settings), transaction, reason)
        said = demander(counter, transaction, by, publisher.forward, datetime.now(UTC))
    if as_json:
        print_json(said.en_json())
    else:
        table = Table("", whole("Issue"), "Montant", "Autorisation", "Le")
        for name, side in (("Chez nous", said.chez_nous), ("La banque", said.la_banque)):
            if side is not None:
                when = f"{side.le.astimezone(PARIS):%d/%m/%Y %H:%M}" if side.le else ""
                paid = euros(side.montant) if side.montant is not None else ""
                table.add_row(name, side.issue_dite, paid, side.autorisation or "", when)
        console.print(table)
        console.print(said.phrase, markup=False)
    if said.anomalie is not None or said.la_banque is None:
        raise typer.Exit(PROBLEM)


# --- In common -------------------------------------------------------------------------------------------------------


def _reason(given: str | None) -> Motif:
    """The reason of this reading; unsaid, as programs call, it is recorded as such (see `creances balance`)."""
    return NON_DIT if given is None else ask_reason(given)


def note_reading(
    conn: psycopg.Connection[Any], who: Lecteur, about: str, rows: list[LigneDAnomalie], reason: Motif
) -> None:
    """Record that these anomalies were read, before any is told."""
    persons = {row.assure for row in rows if row.assure}
    noter_acces(conn, who, quoi="anomalies", objet=about, assures=persons, motif=reason)


def open_ones(settings: Settings, conn: psycopg.Connection[Any], now: datetime) -> list[LigneDAnomalie]:
    """Everything that is open, the oldest first; the dead letters are noted first, if Kafka answers."""
    from guichet.reglement.dossiers import gestes_d_un_message
    from projections.lectures.anomalies import anomalies_ouvertes

    _note(settings, conn)
    return anomalies_ouvertes(conn, now, gestes_d_un_message=gestes_d_un_message)


def _note(settings: Settings, conn: psycopg.Connection[Any]) -> None:
    from service.dead_letters import note_quietly

    quiet()
    if settings.kafka_bootstrap is not None:
        note_quietly(settings, conn)


def replay(idents: list[str], why: str, *, as_json: bool, data_dir: Any) -> None:
    """Put these messages back on their topic, and tell which would still be refused."""
    from guichet.reglement.rejouer import rejouer_tous
    from service.dead_letters import Mailbox
    from service.publisher import Publisher

    quiet()
    with _counter(data_dir) as (settings, counter), closing(Publisher(settings)) as publisher, _told_refusals():
        if settings.kafka_bootstrap is None:
            fail("Aucun courtier : donnez CREANCES_KAFKA_BOOTSTRAP.", USAGE)
        box, by = Mailbox(settings, publisher), author(settings, in_two=False)
        done = rejouer_tous(counter, idents, why, by, boite=box, maintenant=datetime.now(UTC))
    if as_json:
        print_json({"rejoues": done.rejoues, "refuses": done.refuses})
    else:
        console.print(f"{len(done.rejoues)} rejoués, {len(done.refuses)} encore refusés.", highlight=False)
        for ident, cause in done.refuses.items():
            console.print(f"{ident} : {cause}", markup=False, highlight=False)
    if done.refuses:
        raise typer.Exit(PROBLEM)


@contextmanager
def _counter(data_dir: Any) -> Iterator[tuple[Settings, Guichet]]:
    """The settings and the use cases, closed at the end."""
    from service import composition

    with connection(data_dir) as (settings, _):
        counter = composition.guichet(settings, application="creances-cli")
        try:
            yield settings, counter
        finally:
            counter.kiosque.close()
            counter.base.fermer()


@contextmanager
def _told_refusals() -> Iterator[None]:
    """A refusal is a sentence; nothing was changed."""
    try:
        yield
    except Refus as refused:
        fail(refused.phrase)


def _centimes(text: str) -> Centimes:
    read = _AMOUNT.fullmatch(text.strip().removesuffix("€").strip())
    if read is None or not 0 < (amount := int(read[1]) * 100 + int(read[2] or 0)) <= CENTIMES_MAX:
        raise typer.BadParameter(f"{text!r} : un montant s'écrit en euros, 20 ou 20,00 ; absent, il vaut tout")
    return Centimes(amount)


def _share(text: str) -> Imputation:
    read = _SHARE.fullmatch(text)
    reference = lire_reference(read[1]) if read else None
    if read is None or reference is None:
        raise typer.BadParameter("une référence compte 16 chiffres et 1 lettre", param_hint="--creance")
    part = _centimes(read[2]) if read[2] else Centimes(0)
    return Imputation(reference=ReferenceCreance(reference), part=part)
