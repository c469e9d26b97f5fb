"""Qui appelle, et pourquoi : ce que chaque lecture du support demande d'abord."""

from typing import Annotated

from fastapi import Query

from api.socle.dependances import Moyens
from api.socle.enveloppe import correlation
from api.socle.identite import Identite
from api.support import consultation
from guichet.acces import MOTIF_MAX, Lecteur, Voie

MotifDit = Annotated[
    str | None,
    Query(alias="motif", description=f"Pourquoi ces données sont lues, {MOTIF_MAX} signes au plus. Obligatoire."),
]


def lecteur_de(identite: Identite, voie: Voie = Voie.API) -> Lecteur:
    """Sous quel nom cette lecture est écrite."""
    return Lecteur(identite.personne, identite.role.value, voie, correlation())


def sources(moyens: Moyens) -> consultation.Moyens:
    """La base et le recorder du guichet."""
    guichet = moyens.dependances.guichet
    return guichet.base, guichet.recorder
