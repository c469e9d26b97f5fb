"""Au retour d'un paiement que la banque dit avoir accepté : la lui demander aussitôt, si sa réponse n'est pas là.

Le retour du navigateur ne décide de rien ; il presse seulement la question que le service poserait plus tard. Ce que la
banque répond suit le chemin de toute notification.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import anyio
import anyio.from_thread
import anyio.to_thread
import structlog
from psycopg import Error as ErreurDeBase
from starlette.background import BackgroundTask

from api.socle.dependances import Moyens, sans_attendre
from api.socle.kafka import KafkaIndisponible
from engine.mapper import UnreadableStream
from guichet.relancer_paiement import relancer_paiement
from kiosque.interface import ValeurDuTopic

LAISSE_S: Final = 3.0
"""Le temps laissé à la réponse automatique, qui vient presque toujours avant (secondes)."""


Ecrire = Callable[[ValeurDuTopic, datetime], bytes]
"""Une réponse de la banque, telle que le topic des notifications la porte."""


def relance_au_retour(transaction: str, moyens: Moyens, ecrire: Ecrire) -> BackgroundTask | None:
    """La question, à poser une fois la page envoyée ; None si elle l'a déjà été pour cette transaction."""
    cle = transaction.encode()
    if cle in moyens.demandes:
        return None
    moyens.demandes.retenir(cle)
    return BackgroundTask(_demander, transaction, moyens, ecrire)


async def _demander(transaction: str, moyens: Moyens, ecrire: Ecrire) -> None:
    dependances = moyens.dependances

    def transmettre(cle: str, valeur: ValeurDuTopic) -> None:
        texte = ecrire(valeur, dependances.horloge())
        anyio.from_thread.run(dependances.publier, "notifications", cle.encode(), texte, [])

    await anyio.sleep(LAISSE_S)
    question = partial(relancer_paiement, dependances.guichet, transaction, transmettre, dependances.horloge())
    try:
        with sans_attendre(moyens.fils_de_la_banque) as fil:
            issue = await anyio.to_thread.run_sync(question, limiter=fil)
    except anyio.WouldBlock:
        # Elle ne répond déjà pas aux autres ; le rôle de relance la posera.
        if (fois := moyens.redites.fois(("relance_au_retour_manquee", "banque lente"))) is not None:
            structlog.get_logger().warning("relance_au_retour_manquee", cause="banque lente", fois=fois)
        return
    except (ErreurDeBase, KafkaIndisponible, UnreadableStream) as panne:
        # Le rôle de relance la posera : rien n'est perdu.
        structlog.get_logger().warning("relance_au_retour_manquee", transaction=transaction, cause=type(panne).__name__)
        return
    structlog.get_logger().info("relance_au_retour", transaction=transaction, issue=issue.value)
