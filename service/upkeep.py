"""What the role `relance` does for support in each round: pending refunds are asked again, dead letters noted."""

from contextlib import closing
from datetime import datetime
from typing import Final

import structlog

from domain.refus import Refus
from engine.database import connect
from engine.outages import is_outage
from guichet.guichet import Guichet
from guichet.reglement.banque import executer
from service.dead_letters import note_quietly
from service.settings import Settings

REFUNDS_MAX: Final = 50
"""Refunds asked about in one round, at most."""

# The refunds that two persons decided and the bank has not answered yet.
_PENDING: Final = "SELECT anomalie FROM vues.reglements WHERE etat = 'en_execution' ORDER BY saisi_le LIMIT %s"


def finish_refunds(counter: Guichet, now: datetime) -> int:
    """Ask the bank again about each refund it has not answered; return how many are over. Raises an outage."""
    with counter.base.transaction() as conn:
        pending = [ident for (ident,) in conn.execute(_PENDING, (REFUNDS_MAX,))]
    done = 0
    for ident in pending:
        try:
            done += executer(counter, ident, now).suite != "en_execution"
        except Refus as refused:  # Somebody else, or an earlier round that the view does not show yet, finished it.
            structlog.get_logger().info("remboursement_deja_conclu", anomalie=ident, cause=refused.code)
        except Exception as fault:
            if is_outage(fault):
                raise
            structlog.get_logger().exception("remboursement_fautif", anomalie=ident)
    return done


def note_refused_forms(settings: Settings) -> None:
    """Note the forms refused at the door since the last round, so that support's list shows them."""
    if settings.kafka_bootstrap is None or settings.database_url is None:
        return
    with closing(connect(settings.database_url, application="creances-relance")) as conn:
        note_quietly(settings, conn)
