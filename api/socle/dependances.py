"""Ce que l'API reçoit de la composition, et comment une route le retrouve."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends
from prometheus_client import CollectorRegistry
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from api.socle.client_oidc import ClientOIDC
from api.socle.identite import Verificateur
from api.socle.kafka import Publier
from api.socle.rate_limiter import RateLimiter
from guichet.guichet import Guichet

CORPS_OCTETS_MAX: Final = 64 * 1024
"""Taille d'un corps de requête (octets) : aucun message du contrat ne l'approche."""

REBUTS_PAR_SECONDE: Final = 20.0
REBUTS_EN_RAFALE: Final = 500
"""Formulaires refusés gardés aux rebuts : au-delà, ils sont encore refusés et comptés, mais plus gardés."""

SECRET_DE_SESSION_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class Limites:
    """Les bornes de l'API."""

    corps_octets_max: int = CORPS_OCTETS_MAX
    rebuts_par_seconde: float = REBUTS_PAR_SECONDE
    rebuts_en_rafale: int = REBUTS_EN_RAFALE


@dataclass(frozen=True)
class Dependances:
    """Tout ce dont l'API a besoin ; le kiosque et la politique sont ceux du guichet."""

    guichet: Guichet
    url_base: str
    """PostgreSQL, pour le pool asynchrone qui lit les vues."""
    publier: Publier
    jetons: Verificateur
    retard: Callable[[], list[dict[str, Any]]]
    """Appelé dans un fil à part."""
    pret: Callable[[], bool]
    """Dit si le service peut servir (jamais sur le seul retard) ; appelé dans un fil à part."""
    horloge: Callable[[], datetime]
    """L'instant présent, en UTC."""
    metriques: CollectorRegistry = field(default_factory=CollectorRegistry)
    limites: Limites = Limites()
    demo: bool = False
    """Vrai : la page d'accueil laisse choisir qui l'on est."""
    secret_de_session: str = field(default_factory=lambda: secrets.token_urlsafe(SECRET_DE_SESSION_OCTETS), repr=False)
    """Chiffre le cookie des pages ; le même pour toutes les instances derrière une même adresse."""
    duree_de_session: timedelta = timedelta(hours=2)
    """De la connexion à la fin, quoi que fasse la personne."""
    repos_de_session: timedelta = timedelta(minutes=30)
    """Sans page vue pendant ce temps, la session est finie."""
    connexion: ClientOIDC | None = None
    """Comment on se connecte aux pages ; absent : seulement dans la démonstration."""
    inactivite_borne: timedelta = timedelta(minutes=2)
    """À la borne, une session sans activité depuis ce temps est close."""
    connexions_max: int = 10


@dataclass(frozen=True)
class Moyens:
    """Les dépendances, et ce que l'application en a construit."""

    dependances: Dependances
    pool: AsyncConnectionPool[AsyncConnection[Any]]
    seau: RateLimiter


async def moyens(requete: Request) -> Moyens:
    """Les moyens de l'application qui sert cette requête ; une fonction synchrone serait appelée dans un fil à part."""
    trouves: Moyens = requete.app.state.moyens
    return trouves


DeLApplication = Annotated[Moyens, Depends(moyens)]
