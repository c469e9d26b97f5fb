"""Ce que l'API reçoit de la composition, et comment une route le retrouve."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import anyio
from fastapi import Depends
from prometheus_client import CollectorRegistry
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from api.socle.client_oidc import ClientOIDC
from api.socle.consigne import Consigne
from api.socle.consignes import Consignes
from api.socle.courriel import Courriel
from api.socle.debits import Debits, Reseau
from api.socle.identite import Verificateur
from api.socle.kafka import Publier
from api.socle.limites import Limites
from api.socle.rebuts import Memoire, Place
from api.socle.redites import Redites
from api.socle.traces import Traceur
from guichet.guichet import Guichet
from guichet.reglement.rejouer import Boite
from preuve.trust import Trusted

SECRET_DE_SESSION_OCTETS: Final = 32


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
    fermer: Callable[[], None] = lambda: None
    """Appelé à l'arrêt, sans attendre : ce que les mesures tiennent ouvert d'une lecture à l'autre."""
    limites: Limites = field(default_factory=Limites)
    commercants: frozenset[str] = frozenset()
    """Les identifiants de nos commerçants : ce qui les porte passe d'abord aux rebuts."""
    reseaux_de_la_banque: tuple[Reseau, ...] = ()
    """D'où la banque notifie ; ce qui en vient n'est compté avec personne. Vide : on ne le sait pas."""
    demo: bool = False
    """Vrai : la page d'accueil laisse choisir qui l'on est."""
    secret_de_session: str = field(default_factory=lambda: secrets.token_urlsafe(SECRET_DE_SESSION_OCTETS), repr=False)
    """Chiffre le cookie des pages ; le même pour toutes les instances derrière une même adresse."""
    secret_de_session_precedent: str | None = field(default=None, repr=False)
    """Le temps d'un changement : ce qui est fait sous lui se lit encore, rien ne se fait plus sous lui."""
    duree_de_session: timedelta = timedelta(hours=2)
    """De la connexion à la fin, quoi que fasse la personne."""
    repos_de_session: timedelta = timedelta(minutes=30)
    """Sans page vue pendant ce temps, la session est finie."""
    connexion: ClientOIDC | None = None
    """Comment on se connecte aux pages ; absent : seulement dans la démonstration."""
    inactivite_borne: timedelta = timedelta(minutes=2)
    """À la borne, une session sans activité depuis ce temps est close."""
    consignes: Mapping[str, Consignes] = field(default_factory=dict)
    """Comment payer autrement, par caisse ; les autres renvoient à elles."""
    courriel: Courriel | None = None
    """Comment un reçu part par courriel ; absent : la page ne l'offre pas."""
    connexions_max: int = 10
    exploitation_a_part: bool = False
    """Vrai : `/readyz`, `/metrics` et `/docs` sont sur le port d'exploitation, et non ici."""
    boite: Boite | None = None
    """Kafka, pour rejouer un message refusé ; absent : le rejeu n'est pas possible d'ici."""
    traceur: Traceur | None = None
    """Trace chaque appel ; absent : aucun ne l'est."""
    sel_de_preuve: bytes | None = field(default=None, repr=False)
    """D'où sont tirés les sels des feuilles scellées ; absent : aucune preuve n'est donnée d'ici."""
    preuve_reconnue: Trusted | None = None
    """Par qui une preuve doit être signée, pour qui la vérifie sur nos pages ; absent : rien n'y est vérifié."""
    auditer: Callable[[int], None] | None = None
    """Fait faire, à part, l'audit de ce rang de `vues.audits` ; absent : l'audit n'est pas possible d'ici."""

    @property
    def connectable(self) -> bool:
        """Dit si l'on peut se connecter aux pages."""
        return self.connexion is not None or self.demo

    @property
    def secrets_de_session(self) -> tuple[str, ...]:
        """Le courant, puis le précédent."""
        precedent = self.secret_de_session_precedent
        return (self.secret_de_session, precedent) if precedent else (self.secret_de_session,)

    @property
    def https(self) -> bool:
        """Dit si le navigateur nous joint par HTTPS."""
        return self.guichet.adresses.retour.startswith("https://")


FILS_DE_COURRIEL: Final = 8
"""Envois de reçus à la fois, au plus ; au-delà, la personne lit que son reçu n'est pas parti."""

FILS_DE_LA_BANQUE: Final = 8
"""Questions à la banque à la fois, au plus ; au-delà, elle ne répond pas, et le rôle de relance les pose."""


@contextmanager
def sans_attendre(fils: anyio.CapacityLimiter) -> Iterator[anyio.CapacityLimiter]:
    """Prend une place le temps du bloc, et rend de quoi y mener un fil ; lève anyio.WouldBlock s'il n'y en a plus.

    Regarder s'il en reste, puis la demander, en laisserait passer d'autres entre les deux, qui attendraient leur tour.
    """
    place = object()
    fils.acquire_on_behalf_of_nowait(place)
    try:
        yield anyio.CapacityLimiter(1)
    finally:
        fils.release_on_behalf_of(place)


@dataclass(frozen=True)
class Moyens:
    """Les dépendances, et ce que l'application en a construit."""

    dependances: Dependances
    pool: AsyncConnectionPool[AsyncConnection[Any]]
    debits: Debits
    place: Place
    consigne: Consigne
    redites: Redites[tuple[str, str]] = field(default_factory=Redites)
    """Ce que n'importe qui fait dire au journal des processus : par événement, et par cause."""
    refuses: Memoire = field(default_factory=Memoire)
    """Les formulaires refusés déjà gardés."""
    pris: Memoire = field(default_factory=Memoire)
    """Les notifications que Kafka a déjà prises."""
    demandes: Memoire = field(default_factory=Memoire)
    """Les transactions déjà demandées à la banque au retour du navigateur."""
    fils_de_courriel: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(FILS_DE_COURRIEL))
    """À part : un serveur de courriel qui se tait tient son fil, et les paiements ont besoin des leurs."""
    fils_de_la_banque: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(FILS_DE_LA_BANQUE))
    """De même, pour ce que l'on demande à la banque au retour d'un paiement."""
    attentes: Counter[str] = field(default_factory=Counter)
    """Par partenaire, les appels qui attendent la suite de son fil : chacun tient une connexion."""


async def moyens(requete: Request) -> Moyens:
    """Les moyens de l'application qui sert cette requête ; une fonction synchrone serait appelée dans un fil à part."""
    trouves: Moyens = requete.app.state.moyens
    return trouves


DeLApplication = Annotated[Moyens, Depends(moyens)]
