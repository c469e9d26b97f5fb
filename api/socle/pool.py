"""Le pool de lecture : une connexion morte est remplacée avant d'être prêtée, sans aller-retour pour celles qui vivent.

La vérification de psycopg interroge le serveur à chaque prêt : un cinquième du temps d'une page. Un serveur qui ferme,
tombe ou redémarre ferme la connexion, et cela se lit sur elle sans rien lui demander. Celui qui se tait (machine
perdue) ne répondrait pas non plus à la question : les délais de TCP en décident, ici comme là.
"""

import select
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool


async def verifier(conn: AsyncConnection[Any]) -> None:
    """Interroge le serveur si la connexion a quelque chose à lire : au repos, ce n'est qu'une fin ou un avis.

    Lève psycopg.OperationalError si elle est morte.
    """
    attente = select.poll()
    attente.register(conn.fileno(), select.POLLIN)
    if attente.poll(0):
        await AsyncConnectionPool.check_connection(conn)
