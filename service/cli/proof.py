"""The commands of who wants a proof: of the whole log, of a balance."""

import os
import sys
from pathlib import Path
from typing import Final

import typer

from service.cli.application import (
    PROBLEM,
    DataDir,
    Reference,
    app,
    connection,
    console,
    database_of,
    fail,
    print_json,
    read_reference,
)
from service.cli.progress import progress_bar
from service.cli.support import Reason, ask_reason
from service.cli.who import reader
from service.terminal import styled

HELPERS_MAX: Final = 8
"""Processes that hash again at once, at most: each has a session of the database."""


def audit_seals(data_dir: Path | None, *, as_json: bool) -> None:
    """Hash the whole log again and compare it with what was sealed; ends with 1 if anything differs."""
    from preuve.helpers import Helpers
    from preuve.rehash import rehash
    from service.composition import sealing, sealing_keys

    with connection(data_dir) as (settings, conn), progress_bar() as advance:
        with_what = sealing(settings)
        helpers = Helpers(database_of(settings), min(os.cpu_count() or 1, HELPERS_MAX))
        keys = sealing_keys(settings)
        found = rehash(conn, with_what.origin, with_what.secret, keys, helpers=helpers, advance=advance)
    if as_json:
        differences = [{"genre": fault.value, "ou": where} for fault, where in found.differences]
        print_json(
            {
                "journal": f"{with_what.origin}/{found.epoch}",
                "feuilles": found.leaves,
                "non_scellees": found.unsealed,
                "differences_total": found.count,
                "differences": differences,
            }
        )
    else:
        for fault, where in found.differences:
            console.print(styled(fault.value, "red"), where, soft_wrap=True)
        verdict = styled(f"{found.count} différences", "red") if found.count else styled("rien n'a changé", "green")
        console.print(
            f"Journal {with_what.origin}/{found.epoch} : {found.leaves} lignes scellées hachées de nouveau,"
            f" {found.unsealed} pas encore scellées :",
            verdict,
            soft_wrap=True,
        )
    if found.count:
        raise typer.Exit(PROBLEM)


@app.command()
def proof(reference: Reference, *, motif: Reason = None, data_dir: DataDir = None) -> None:
    """La preuve du solde d'une créance, en JSON : ses faits, leur place dans l'arbre signé, et le calcul."""
    from guichet.acces import noter_acces
    from preuve.balance import NothingSealed, NotYetSealed, RowNotSealed, Unprovable, assures_de, prove
    from service.composition import proof_salt, trusted

    wanted = read_reference(reference)
    why = ask_reason(motif)
    with connection(data_dir) as (settings, conn):
        with conn.transaction():
            persons = assures_de(conn, wanted)
            noter_acces(conn, reader(settings), quoi="preuve", objet=f"creance-{wanted}", assures=persons, motif=why)
        try:
            made = prove(conn, proof_salt(settings) or b"", wanted, witnesses=trusted(settings).witnesses)
        except (NothingSealed, NotYetSealed, RowNotSealed, Unprovable) as refused:
            fail(refused.phrase)
    sys.stdout.write(made.decode())
