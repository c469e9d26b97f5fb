"""The commands of who wants a proof: of the whole log, of a balance."""

from pathlib import Path

import typer

from service.cli.application import PROBLEM, connection, console, print_json
from service.terminal import styled


def audit_seals(data_dir: Path | None, *, as_json: bool) -> None:
    """Hash the whole log again and compare it with what was sealed; ends with 1 if anything differs."""
    from preuve.rehash import rehash
    from service.composition import sealing, sealing_keys

    with connection(data_dir) as (settings, conn):
        with_what = sealing(settings)
        found = rehash(conn, with_what.origin, with_what.secret, sealing_keys(settings))
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
