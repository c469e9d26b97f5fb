"""Ce qui a été repris des paiements d'un assuré : ses pages ne les disent plus comptés."""

from collections.abc import Mapping, Sequence
from functools import partial

import anyio.to_thread

from api.assure.lecture import lire_compte
from api.socle.dependances import Moyens
from domain.references import ReferenceCreance, ReferenceTransaction
from guichet.guichet import Guichet
from projections.lectures.compte import Compte
from projections.lectures.reprises import reprises
from projections.vues.paiements import LignePaiement


async def reprises_de(moyens: Moyens, lu: Compte) -> Mapping[ReferenceTransaction, int]:
    """Ce qui a été repris des paiements acceptés que ce compte montre, par transaction (centimes)."""
    if not any(paiement.statut == "accepte" for paiement in lu.paiements):
        return {}
    references = [ligne.reference for ligne in lu.creances]
    return await anyio.to_thread.run_sync(partial(_reprises, moyens.dependances.guichet, references))


async def repris_de(moyens: Moyens, paiement: LignePaiement) -> int:
    """Ce qui a été repris de ce paiement (centimes)."""
    lu = (await lire_compte(moyens, paiement.assure))._replace(paiements=[paiement])
    return (await reprises_de(moyens, lu)).get(ReferenceTransaction(paiement.transaction), 0)


def _reprises(guichet: Guichet, references: Sequence[ReferenceCreance]) -> Mapping[ReferenceTransaction, int]:
    with guichet.base.transaction() as conn:
        return reprises(conn, guichet.recorder, references)
