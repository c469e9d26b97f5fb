"""The secret of development tokens, drawn once where nobody gave one."""

import os
import secrets

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
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.data_dir / "jwt.secret"
    if not path.exists():
        # Whole before it has its name: two roles that start together read the same secret.
        fresh = path.with_name(f"jwt.secret.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(SECRET_BYTES))
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass  # The other role was first: its secret holds.
        finally:
            fresh.unlink()
    return path.read_text().strip()
