"""Ce que l'API demande à qui trace ses appels ; elle ne connaît pas OpenTelemetry."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

Conclure = Callable[[str, int], None]
"""Dit à la trace d'un appel sa route et le statut de sa réponse."""

Traceur = Callable[[str, Sequence[tuple[bytes, bytes]]], AbstractContextManager[Conclure]]
"""Trace un appel, de sa méthode et de ses en-têtes."""
