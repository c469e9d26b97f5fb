"""Ce qu'un règlement dit au journal de la sûreté : qui propose, approuve, décline, et qui voulait approuver seul."""

from typing import Any

from psycopg import Connection

from domain.geste import Proposition
from domain.monnaie import euros
from engine.security_log import Kind, SecurityEvent, note


def consigner(conn: Connection[Any], par: str, ident: str, fait: str, voulue: Proposition) -> None:
    """Inscrit ce que cette personne a fait, dans la transaction qui le fait : l'un ne va pas sans l'autre."""
    montant = f", {euros(voulue.montant)}" if voulue.montant else ""
    note(conn, SecurityEvent(Kind.APPROVAL, par, f"{fait} : {voulue.geste}{montant}", ident))


def consigner_refus(conn: Connection[Any], par: str, ident: str) -> None:
    """Inscrit qu'une personne a voulu approuver ce qu'elle avait proposé."""
    note(conn, SecurityEvent(Kind.REFUSAL, par, "approuver ce que l'on a proposé demande une autre personne", ident))
