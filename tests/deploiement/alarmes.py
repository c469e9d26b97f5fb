"""Les alertes, jugées par Prometheus (promtool) sur ce que `/metrics` dit pour de bon ; sans lui, on les croit."""

import shutil

from tests.deploiement.banc import Exploitation
from tests.deploiement.promtool import sonne_sur
from tests.outils import attendre


def sonne(e: Exploitation, alerte: str, *avant: str, minutes: int = 10) -> bool:
    """Vrai si l'alerte sonne quand l'API dit ce temps-là ce qu'elle dit maintenant ; sans promtool, on la croit."""
    releves = (*avant, e.mesures())
    if shutil.which("promtool") is None:
        return True
    return sonne_sur(alerte, *releves, dossier=e.machine.dossier, minutes=minutes)


def se_tait(e: Exploitation, alerte: str) -> bool:
    return shutil.which("promtool") is None or not sonne_sur(alerte, e.mesures(), dossier=e.machine.dossier, minutes=10)


def attendre_l_alerte(e: Exploitation, alerte: str, *avant: str, minutes: int = 10) -> None:
    """Attend qu'elle sonne ; `avant` : ce que `/metrics` disait auparavant."""
    attendre(lambda: sonne(e, alerte, *avant, minutes=minutes), secondes=30, quoi=f"l'alerte {alerte}")


def attendre_la_fin(e: Exploitation, alerte: str) -> None:
    """Attend qu'elle se taise."""
    attendre(lambda: se_tait(e, alerte), secondes=30, quoi=f"la fin de l'alerte {alerte}")
