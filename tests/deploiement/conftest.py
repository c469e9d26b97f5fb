"""Un lieu où l'exploitant joue une fiche."""

from tests.deploiement.banc import lieu

__all__ = ["lieu"]
