"""Un rôle qui se tue lui-même, par SIGKILL, à sa n-ième étape : python -m tests.consumers.role_tue RÔLE N GROUPE."""

import os
import signal
import sys
import threading

from projections import DélaiAffichage, MessagerieDesAssurés
from service import composition
from service.settings import Settings
from tests.consumers.banc import MAINTENANT


def main() -> None:
    """Lit les réglages dans l'environnement, et mène le rôle jusqu'à l'étape fatale."""
    rôle, fatale, groupe = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    faites = 0

    def étape(_: str) -> None:
        nonlocal faites
        faites += 1
        if faites == fatale:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(_env_file=None)
    guichet = composition.guichet(settings, application="role-tue")
    if rôle in composition.VIEWS:
        suiveur = composition.follower(settings, guichet.enregistreur, rôle, étape)
        if isinstance(suiveur.vue, DélaiAffichage | MessagerieDesAssurés):
            suiveur.vue.horloge = lambda: MAINTENANT
        suiveur.tourner(threading.Event())
    else:
        lisant = composition.consumer(settings, guichet, rôle)
        lisant.groupe = groupe
        lisant.horloge = lambda: MAINTENANT
        # Les tours à vide ne comptent pas : seules les étapes d'un lot sont des endroits où mourir.
        lisant.étape = lambda nom: None if nom == "lire" else étape(nom)
        lisant.tourner(threading.Event())


if __name__ == "__main__":
    main()
