"""What each statement of a follower or a view means, in memory."""

from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from engine import follower, lease, lists, role_state, set_aside
from projections.vues import delai_affichage, durees, paiements, restant_du
from tests.simulation.connection import Answer, Statement
from tests.simulation.journal_statements import EVENTS
from tests.simulation.server import Server, Transaction
from tests.simulation.tables import Row

FOLLOWERS, ASIDE = "vues.suiveurs", "vues.ecartes"
BALANCES, PAYMENTS, CLOCKS = "vues.restant_du", "vues.paiements", "vues.delai_affichage"


class FollowerRow(NamedTuple):
    """`vues.suiveurs`, without what is only told."""

    nom: str
    position: int = 0
    tenue: int = 0
    etat: str = "inactif"
    bail: UUID | None = None
    bail_expire_le: datetime | None = None
    bail_session: Any = None


class Aside(NamedTuple):
    """`vues.ecartes`."""

    suiveur: str
    position: int
    flux: str
    cause: str
    type_inconnu: str | None = None
    libere_le: datetime | None = None


class Balance(NamedTuple):
    """`vues.restant_du`."""

    reference: str
    assure: str
    caisse: str
    nature: str
    date_emission: date
    payable_en_ligne: bool
    annulee: bool
    montant_initial: int
    solde: int
    en_cours: int
    version: int
    position: int


class Payment(NamedTuple):
    """`vues.paiements`."""

    transaction: str
    assure: str
    caisse: str
    canal: str
    montant: int
    statut: str
    ouvert_le: datetime
    expire_le: datetime
    version: int
    code: str | None = None
    cause: str | None = None
    conclu_le: datetime | None = None
    accepte_le: datetime | None = None


class Clock(NamedTuple):
    """`vues.delai_affichage`."""

    transaction: str
    reference: str
    accepte_le: datetime
    version: int
    montree: bool
    affiche_le: datetime | None = None


# --- Followers -------------------------------------------------------------------------------------------------------


def _enrol(server: Server, transaction: Transaction, params: Any) -> Answer:
    server.upsert(transaction, FOLLOWERS, FollowerRow(params[0]), lambda old, _: old)
    return Answer()


def _tell(server: Server, transaction: Transaction, params: Any) -> Answer:
    row = FollowerRow(params[0], etat=params[1] if len(params) == 6 else "arrete")
    server.upsert(transaction, FOLLOWERS, row, lambda old, new: old._replace(etat=new.etat))
    return Answer([(server.scheduler.now,)])


def _take(server: Server, transaction: Transaction, params: Any) -> Answer:
    now, key = server.scheduler.now, (params["name"],)

    def take(row: FollowerRow) -> FollowerRow | None:
        held = row.bail is not None and row.bail_expire_le is not None
        if held and row.bail != params["former"] and row.bail_session in server.sessions:
            expires = row.bail_expire_le
            if expires is not None and now <= expires <= now + params["believed"]:
                return None
        return row._replace(bail=params["new"], bail_expire_le=now + params["length"], bail_session=transaction.owner)

    if (FOLLOWERS, key) in server.locks:
        return Answer(rowcount=0)  # Skipped, not waited for.
    return Answer(rowcount=int(server.change(transaction, FOLLOWERS, key, take)))


def _renew(server: Server, transaction: Transaction, params: Any) -> Answer:
    length, name, number = params
    until = server.scheduler.now + length
    done = server.change(
        transaction,
        FOLLOWERS,
        (name,),
        lambda row: row._replace(bail_expire_le=until) if row.bail == number else None,
    )
    return Answer(rowcount=int(done))


def _hold_lease(server: Server, transaction: Transaction, params: Any) -> Answer:
    name, number = params
    held = server.change(transaction, FOLLOWERS, (name,), lambda row: row if row.bail == number else None)
    return Answer([()] if held else [])


def _give_back(server: Server, transaction: Transaction, params: Any) -> Answer:
    name, number = params
    done = server.change(
        transaction,
        FOLLOWERS,
        (name,),
        lambda row: row._replace(bail=None, bail_expire_le=None, bail_session=None) if row.bail == number else None,
    )
    return Answer(rowcount=int(done))


def _position(server: Server, transaction: Transaction, params: Any) -> Answer:
    row = server.row(transaction, FOLLOWERS, (params[0],))
    return Answer([(row.position,)] if row else [])


def _head(server: Server, transaction: Transaction, _params: Any) -> Answer:
    return Answer([(max((event.position for event in server.rows(transaction, EVENTS)), default=0),)])


def _following(server: Server, transaction: Transaction, params: Any) -> Answer:
    after, until, topics, known, most = params
    return Answer(
        sorted(
            event
            for event in server.rows(transaction, EVENTS)
            if after < event.position <= until and (event.topic in topics or event.topic not in known)
        )[:most]
    )


def advance(server: Server, transaction: Transaction, params: Any) -> Answer:
    """Compare and set."""
    target, kept, name, from_position, number = params
    done = server.change(
        transaction,
        FOLLOWERS,
        (name,),
        lambda row: (
            row._replace(position=target, tenue=kept) if (row.position, row.bail) == (from_position, number) else None
        ),
    )
    return Answer(rowcount=int(done))


def _kept(server: Server, transaction: Transaction, params: Any) -> Answer:
    row = server.row(transaction, FOLLOWERS, (params[0],))
    return Answer([(row.tenue == row.position,)] if row else [])


def _kept_up(server: Server, transaction: Transaction, params: Any) -> Answer:
    server.change(transaction, FOLLOWERS, (params[0],), lambda row: row._replace(tenue=row.position))
    return Answer(rowcount=1)


def _lists(_server: Server, _transaction: Transaction, _params: Any) -> Answer:
    """What follows from a view's rows is read from them here: there is nothing to make again."""
    return Answer()


def _move_anyway(server: Server, transaction: Transaction, params: Any) -> Answer:
    target, name = params
    server.change(transaction, FOLLOWERS, (name,), lambda row: row._replace(position=target))
    return Answer(rowcount=1)


def _aside_streams(server: Server, transaction: Transaction, params: Any) -> Answer:
    name, streams = params
    found = {row.flux for row in server.rows(transaction, ASIDE) if row.suiveur == name and row.flux in streams}
    return Answer([(flux,) for flux in sorted(found)])


def _set_aside(server: Server, transaction: Transaction, params: Any) -> Answer:
    server.upsert(transaction, ASIDE, Aside(*params), lambda _, new: new)
    return Answer()


def _unknown(server: Server, transaction: Transaction, params: Any) -> Answer:
    rows = [row for row in server.rows(transaction, ASIDE) if row.suiveur == params[0] and row.libere_le is None]
    return Answer([(kind,) for kind in sorted({row.type_inconnu for row in rows if row.type_inconnu is not None})])


def _released(server: Server, transaction: Transaction, params: Any) -> Answer:
    aside = [row for row in server.rows(transaction, ASIDE) if row.suiveur == params[0]]
    streams = {row.flux for row in aside if row.libere_le is not None}
    positions = {row.position for row in aside if row.flux in streams}
    return Answer(sorted(event for event in server.rows(transaction, EVENTS) if event.position in positions))


def _reinstate(server: Server, transaction: Transaction, params: Any) -> Answer:
    found = [row for row in server.rows(transaction, ASIDE) if (row.suiveur, row.flux) == tuple(params)]
    return Answer(rowcount=sum(server.delete(transaction, ASIDE, (row.suiveur, row.position)) for row in found))


def _keep_aside(server: Server, transaction: Transaction, params: Any) -> Answer:
    cause, name, stream = params
    for row in list(server.rows(transaction, ASIDE)):
        if (row.suiveur, row.flux) == (name, stream):
            key = (name, row.position)
            server.change(transaction, ASIDE, key, lambda old: old._replace(cause=cause, libere_le=None))
    return Answer()


# --- Views -----------------------------------------------------------------------------------------------------------


def insert_into(table: str, kind: Any) -> Statement:
    def insert(server: Server, transaction: Transaction, params: Any) -> Answer:
        for row in zip(*params, strict=True):
            server.insert(transaction, table, kind(*row))
        return Answer(rowcount=len(params[0]))

    return insert


def _move(server: Server, transaction: Transaction, params: Any) -> Answer:
    moves = [_Move(*move) for move in zip(*params, strict=True)]
    moved = sum(server.change(transaction, BALANCES, (move.reference,), partial(_moved, move)) for move in moves)
    return Answer([(moved,)])


class _Move(NamedTuple):
    reference: str
    amount: int
    balance: int
    flying: int
    cancelled: bool
    since: int
    version: int
    position: int


def _moved(move: _Move, row: Row) -> Row | None:
    if row.version != move.since:
        return None
    return row._replace(
        montant_initial=row.montant_initial + move.amount,
        solde=row.solde + move.balance,
        en_cours=row.en_cours + move.flying,
        annulee=row.annulee or move.cancelled,
        version=move.version,
        position=move.position,
    )


def _shown(server: Server, transaction: Transaction, params: Any) -> Answer:
    aside = {row.flux for row in server.rows(transaction, ASIDE) if row.suiveur == "restant_du"}
    shown = []
    for payment, reference, stream, version in zip(*params, strict=True):
        row = server.row(transaction, BALANCES, (reference,))
        if row is not None and row.version >= version and stream not in aside:
            shown.append((payment, reference))
    return Answer(shown)


def _open_payments(server: Server, transaction: Transaction, params: Any) -> Answer:
    for payment, assure, caisse, channel, amount, opened, expires, version, _waits in zip(*params, strict=True):
        row = Payment(payment, assure, caisse, channel, amount, "en_cours", opened, expires, version)
        server.insert(transaction, PAYMENTS, row)
    return Answer()


def _conclude(server: Server, transaction: Transaction, params: Any) -> Answer:
    for payment, status, code, cause, concluded, accepted, version in zip(*params, strict=True):
        told = {"statut": status, "code": code, "cause": cause, "conclu_le": concluded, "accepte_le": accepted}
        server.change(transaction, PAYMENTS, (payment,), partial(_newer, told | {"version": version}))
    return Answer()


def _newer(told: dict[str, Any], row: Row) -> Row | None:
    return row._replace(**told) if row.version < told["version"] else None


def _unanswered(server: Server, transaction: Transaction, params: Any) -> Answer:
    before, but, most = params
    rows = [
        row
        for row in server.rows(transaction, PAYMENTS)
        if row.statut == "en_cours" and row.ouvert_le <= before and row.transaction not in but
    ]
    return Answer([(row.transaction,) for row in sorted(rows, key=lambda row: row.ouvert_le)[:most]])


def _start_clocks(server: Server, transaction: Transaction, params: Any) -> Answer:
    *columns, _waits = params
    return insert_into(CLOCKS, Clock)(server, transaction, columns)


def _stop_clocks(server: Server, transaction: Transaction, params: Any) -> Answer:
    for payment, reference, at in zip(*params, strict=True):
        server.change(transaction, CLOCKS, (payment, reference), partial(_stopped, at))
    return Answer()


def _stopped(at: datetime, row: Row) -> Row:
    return row._replace(affiche_le=at, montree=True)


def _to_show(server: Server, transaction: Transaction, _params: Any) -> Answer:
    rows = sorted((r for r in server.rows(transaction, CLOCKS) if not r.montree), key=lambda row: row.accepte_le)
    return Answer([(row.transaction, row.reference, row.version) for row in rows])


def _show(server: Server, transaction: Transaction, params: Any) -> Answer:
    server.change(transaction, CLOCKS, tuple(params), lambda row: row._replace(montree=True))
    return Answer()


MOVE_ANYWAY = "what a follower without comparison would say"

STATEMENTS: dict[str, tuple[str, Statement]] = {
    follower._ENTER: ("enrol", _enrol),
    follower._POSITION: ("position", _position),
    follower._HEAD: ("head", _head),
    follower._NEXT: ("following", _following),
    follower._MOVE: ("advance", advance),
    lists._KEPT: ("kept", _kept),
    lists._KEPT_UP: ("kept up", _kept_up),
    lists._AS_LONG_AS_IT_TAKES: ("as long as it takes", lambda *_: Answer([("0",)])),
    restant_du._VIDER: ("lists", _lists),
    restant_du._REFAIRE: ("lists", _lists),
    restant_du._OUVRIR_TROP_PERCUES: ("lists", _lists),
    **dict.fromkeys(paiements._REFAIRE, ("lists", _lists)),
    delai_affichage._VIDER_L_ATTENTE: ("lists", _lists),
    delai_affichage._REFAIRE_L_ATTENTE: ("lists", _lists),
    durees._COMPTER: ("lists", lambda *_: Answer(rowcount=0)),
    durees._OTER_LES_VIDES: ("lists", _lists),
    durees._VIDER: ("lists", _lists),
    durees._REFAIRE: ("lists", _lists),
    MOVE_ANYWAY: ("advance anyway", _move_anyway),
    lease._TAKE: ("lead", _take),
    lease._RENEW: ("renew", _renew),
    lease._HOLD: ("hold lease", _hold_lease),
    lease._RELEASE: ("give back", _give_back),
    set_aside._STREAMS: ("streams aside", _aside_streams),
    set_aside._SET_ASIDE: ("set aside", _set_aside),
    set_aside._UNKNOWN: ("unknown kinds", _unknown),
    set_aside._RELEASED: ("released", _released),
    set_aside._FORGET: ("reinstate", _reinstate),
    set_aside._KEEP: ("keep aside", _keep_aside),
    role_state._DIRE: ("sign of life", _tell),
    role_state._INTERROMPRE: ("interruption", _tell),
    restant_du._OUVRIR: ("open balances", insert_into(BALANCES, Balance)),
    restant_du._BOUGER: ("move balances", _move),
    restant_du._MONTREES: ("shown", _shown),
    paiements._OUVRIR: ("open payments", _open_payments),
    paiements._CONCLURE: ("conclude payments", _conclude),
    paiements._SANS_REPONSE: ("unanswered", _unanswered),
    delai_affichage._DEMARRER: ("start clocks", _start_clocks),
    delai_affichage._ARRETER: ("stop clocks", _stop_clocks),
    delai_affichage._A_MONTRER: ("to show", _to_show),
    delai_affichage._MONTRER: ("show", _show),
}
