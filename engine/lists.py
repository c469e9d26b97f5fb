"""The lists that a view keeps beside its rows: made again when a version that does not know them has led it."""

from typing import Any, Final

import structlog
from psycopg import Connection

from engine.lease import Lease
from engine.view import View, ViewWithLists

# Up to where they are kept: elsewhere than at the view's position if the last to lead it did not keep them.
_KEPT: Final = "SELECT tenue = position FROM vues.suiveurs WHERE nom = %b"
_KEPT_UP: Final = "UPDATE vues.suiveurs SET tenue = position WHERE nom = %b"

_AS_LONG_AS_IT_TAKES: Final = "SELECT set_config('statement_timeout', '0', true)"


def take_up(conn: Connection[Any], view: View, lease: Lease) -> None:
    """Make them again if the last to lead the view did not keep them, under the lease just taken.

    Raises LeadershipLost.
    """
    if not isinstance(view, ViewWithLists):
        return
    with conn.transaction():
        lease.hold(conn)
        (kept,) = conn.execute(_KEPT, (view.nom,)).fetchone() or (False,)
        if not kept:
            conn.execute(_AS_LONG_AS_IT_TAKES)
            view.refaire(conn)
            conn.execute(_KEPT_UP, (view.nom,))
            structlog.get_logger().info("listes_refaites", suiveur=view.nom)


__all__ = ["take_up"]
