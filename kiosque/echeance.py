"""Borner une question entière, en-têtes de la réponse compris : à la banque, et à tout autre serveur que l'on appelle.

httpx ne borne que chaque lecture : un serveur qui égrène ses octets tient sinon qui l'interroge aussi longtemps qu'il
veut.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import httpx

_ECHEANCE: Final[ContextVar[float | None]] = ContextVar("echeance", default=None)

RESTE_S_MIN: Final = 0.001
"""Un délai nul n'attendrait pas ; celui-ci échoue aussitôt, avec l'erreur de délai de httpx."""


@contextmanager
def avant(secondes: float) -> Iterator[None]:
    """Tout ce que ce fil lit ou écrit dans le bloc, par un transport d'ici, finit avant tant de secondes.

    Dans un autre bloc, l'échéance la plus proche vaut : nul ne reporte celle de qui l'appelle.
    """
    echeance = time.monotonic() + secondes
    autour = _ECHEANCE.get()
    jeton = _ECHEANCE.set(echeance if autour is None else min(autour, echeance))
    try:
        yield
    finally:
        _ECHEANCE.reset(jeton)


def transport_borne(limites: httpx.Limits, mandataire: str | None) -> httpx.HTTPTransport:
    """Un transport qui respecte `avant` ; l'environnement n'est pas consulté."""
    transport = httpx.HTTPTransport(limits=limites, proxy=mandataire, trust_env=False)
    _borner(transport)
    return transport


@contextmanager
def client_borne(secondes: float, *, environnement: bool = True) -> Iterator[httpx.Client]:
    """Un client dont tout ce qui se demande dans le bloc finit avant tant de secondes ; il ne suit aucune redirection.

    `environnement` : les mandataires et les certificats que l'environnement nomme valent.
    """
    with httpx.Client(timeout=secondes, follow_redirects=False, trust_env=environnement) as client:
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001  un par mandataire
            if isinstance(transport, httpx.HTTPTransport):
                _borner(transport)
        with avant(secondes):
            yield client


def _borner(transport: httpx.HTTPTransport) -> None:
    # httpx n'a pas de réglage pour cela ; son bassin de connexions, lui, reçoit de quoi il tire ses prises.
    bassin: Any = transport._pool  # noqa: SLF001
    bassin._network_backend = _Reseau(bassin._network_backend)  # noqa: SLF001


def _reste(delai: float | None) -> float | None:
    echeance = _ECHEANCE.get()
    if echeance is None:
        return delai
    reste = max(RESTE_S_MIN, echeance - time.monotonic())
    return reste if delai is None else min(delai, reste)


class _Reseau:
    """Ce qui ouvre les connexions."""

    def __init__(self, reseau: Any) -> None:
        self._reseau = reseau

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **autres: Any) -> "_Flux":
        return _Flux(self._reseau.connect_tcp(host, port, timeout=_reste(timeout), **autres))

    def __getattr__(self, nom: str) -> Any:
        return getattr(self._reseau, nom)


class _Flux:
    """Une connexion, dont chaque attente est bornée par l'échéance du fil qui s'en sert."""

    def __init__(self, flux: Any) -> None:
        self._flux = flux

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        octets: bytes = self._flux.read(max_bytes, timeout=_reste(timeout))
        return octets

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._flux.write(buffer, timeout=_reste(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> "_Flux":
        return _Flux(self._flux.start_tls(ssl_context, server_hostname=server_hostname, timeout=_reste(timeout)))

    def __getattr__(self, nom: str) -> Any:
        return getattr(self._flux, nom)
