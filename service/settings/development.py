"""Secrets of a demonstration, drawn once where nobody gave them."""

import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from service.settings.settings import Settings
from service.settings.values import SECRET_BYTES


def development_jwt_secret(settings: Settings) -> str:
    """Return the secret of development tokens; without one, create it once in DATA_DIR, readable by its owner only.

    Raises:
        ValueError: an OIDC issuer is configured; there are no development tokens then.
    """
    if settings.oidc_issuer is not None:
        raise ValueError("Un émetteur OIDC est configuré : pas de jeton de développement.")
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value()
    return drawn_secret(settings, "jwt.secret", lambda: secrets.token_urlsafe(SECRET_BYTES))


def drawn_secret(settings: Settings, name: str, draw: Callable[[], str]) -> str:
    """Return the secret kept in that file of DATA_DIR; drawn once, and readable by its owner only."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.data_dir / name
    if not path.exists():
        # Whole before it has its name: two roles that start together read the same secret.
        fresh = path.with_name(f"{name}.{os.getpid()}.{threading.get_ident()}")
        fresh.touch(mode=0o600)
        fresh.write_text(draw())
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass  # The other role was first: its secret holds.
        finally:
            fresh.unlink()
    return path.read_text().strip()


def demo_witness_key(settings: Settings) -> Path:
    """Where a demonstration keeps what its witness's cosignatures are recognised by, also when it has ended."""
    return settings.data_dir / "temoin" / "vkey"
