"""La tournée du rôle `relance` efface les messages échus, et eux seuls."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg

from kiosque.sips.paypage import Sips
from service import composition, roles
from service.publisher import Publisher
from service.settings import Settings
from tests.outils import attendre

AJOUTER = "INSERT INTO vues.messagerie (transaction, assure, accepte_le, echeance) VALUES (%s, 'a-1', %s, %s)"


def test_la_tournee_efface_les_messages_echus_et_eux_seuls(base: Any) -> None:
    settings = Settings(_env_file=None, database_url=base.url, kafka_bootstrap="127.0.0.1:9")
    guichet, webhook_sender = composition.guichet(settings, application="purge"), Publisher(settings)
    maintenant, arret = datetime.now(UTC), threading.Event()
    with guichet.base, cast("Sips", guichet.kiosque), psycopg.connect(base.url, autocommit=True) as conn:
        for transaction, jours in (("T1", -1), ("T2", 2)):
            conn.execute(AJOUTER, (transaction, maintenant, (maintenant + timedelta(days=jours)).date()))

        def restent() -> list[str]:
            lignes = conn.execute("SELECT transaction FROM vues.messagerie ORDER BY 1").fetchall()
            return [transaction for (transaction,) in lignes]

        fil = threading.Thread(target=roles.relance(settings, guichet, webhook_sender).run, args=(arret,))
        fil.start()
        try:
            attendre(lambda: restent() == ["T2"], quoi="la purge de T1 seul")
        finally:
            arret.set()
            fil.join()
            webhook_sender.close()
