"""Qui appelle, et pourquoi : ce que chaque lecture du support demande d'abord."""

from typing import Annotated

from fastapi import Query

from api.socle.dependances import Moyens
from api.socle.enveloppe import correlation
from api.socle.identite import Identite
from api.support import consultation
from guichet.acces import MOTIF_MAX, Lecteur, VoieDeLecture

MotifDit = Annotated[
    str | None,
    Query(alias="motif", description=f"Pourquoi ces données sont lues, {MOTIF_MAX} signes au plus. Obligatoire."),
]

Critere = Annotated[str | None, Query(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Un nom que l'auditeur cherche : ce qui est cherché est écrit, et rien de tel n'a de signe de commande."""


def lecteur_de(identite: Identite, voie: VoieDeLecture = VoieDeLecture.API) -> Lecteur:
    """Sous quel nom cette lecture est écrite."""
    return Lecteur(identite.personne, identite.role.value, voie, correlation())


def sources(moyens: Moyens) -> consultation.Moyens:
    """La base et le recorder du guichet."""
    guichet = moyens.dependances.guichet
    return guichet.base, guichet.recorder
