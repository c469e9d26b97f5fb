"""Un rôle qui se tue lui-même, par SIGKILL, à sa n-ième étape : python -m tests.consumers.role_tue RÔLE N GROUPE."""

import os
import signal
import sys
import threading

from projections import DelaiAffichage, MessagerieDesAssures
from service import composition
from service.settings import Settings
from tests.consumers.banc import MAINTENANT


def main() -> None:
    """Lit les réglages dans l'environnement, et mène le rôle jusqu'à l'étape fatale."""
    role, fatale, groupe = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    faites = 0

    def etape(_: str) -> None:
        nonlocal faites
        faites += 1
        if faites == fatale:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(_env_file=None)
    guichet = composition.guichet(settings, application="role-tue")
    if role in composition.VIEWS:
        suiveur = composition.follower(settings, guichet.recorder, role, etape)
        if isinstance(suiveur.vue, DelaiAffichage | MessagerieDesAssures):
            suiveur.vue.horloge = lambda: MAINTENANT
        suiveur.run(threading.Event())
    else:
        lisant = composition.consumer(settings, guichet, role)
        lisant.groupe = groupe
        lisant.horloge = lambda: MAINTENANT
        # Les tours à vide ne comptent pas : seules les étapes d'un lot sont des endroits où mourir.
        lisant.etape = lambda nom: None if nom == "lire" else etape(nom)
        lisant.run(threading.Event())


if __name__ == "__main__":
    main()
