"""Who acts at a command line: proven by an agent's access token, or by the machine's account. Never typed.

The account is the kernel's: the one that logged in, which `sudo` and `su` keep, else the process's own. `$USER` and its
like are never read. An account and an agent of the issuer never count as two persons (`domain.geste.meme_personne`).
"""

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
from pydantic import SecretStr

from domain.geste import AGENT, COMPTE_SYSTEME
from service.cli.application import USAGE, fail
from service.settings import Settings

if TYPE_CHECKING:
    from guichet.acces import Lecteur

_LOGIN: Final = Path("/proc/self/loginuid")
_SUPPORT: Final = "support"
_AUDIT: Final = "audit"
_NO_LOGIN: Final = 2**32 - 1
"""What the kernel says of a process that no login started, as in a container."""


def account() -> str:
    """The account of the machine that runs this command, as it is recorded."""
    number = _account_number()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = ""
    told = COMPTE_SYSTEME + name
    return told if name and AGENT.fullmatch(told) else f"{COMPTE_SYSTEME}uid-{number}"


def _account_number() -> int:
    try:
        number = int(_LOGIN.read_text("ascii"))
    except (OSError, ValueError):
        number = _NO_LOGIN
    return os.getuid() if number == _NO_LOGIN else number


def author(settings: Settings, *, in_two: bool) -> str:
    """The person who acts; `in_two`: one of the two whom money needs.

    With a token, the person whom it names. Without one, the account; but where there is an issuer, whoever moves money
    signs in with it: a machine's accounts are often shared, and one person may hold several.
    """
    if settings.agent_token is not None:
        return _signed_in(settings, settings.agent_token, _SUPPORT).qui
    if in_two and settings.oidc_issuer is not None:
        fail(
            "Faire bouger de l'argent demande votre jeton d'agent, délivré par l'émetteur : CREANCES_AGENT_TOKEN, ou"
            " CREANCES_AGENT_TOKEN_FILE.",
            USAGE,
        )
    return account()


def reader(settings: Settings, *, of_accesses: bool = False) -> "Lecteur":
    """The person who reads: by the token if one is given, else by the account; an auditor reads accesses only."""
    from guichet.acces import Lecteur, VoieDeLecture

    if settings.agent_token is not None:
        return _signed_in(settings, settings.agent_token, _AUDIT if of_accesses else _SUPPORT)
    return Lecteur(account().removeprefix(COMPTE_SYSTEME), "systeme", VoieDeLecture.COMMANDE)


def _signed_in(settings: Settings, token: SecretStr, role: str) -> "Lecteur":
    from api.socle.emetteur import Emetteur, EmetteurInjoignable, JetonInvalide
    from guichet.acces import Lecteur, VoieDeLecture
    from service.tokens import tokens_of

    issuer = Emetteur(settings.oidc_issuer) if settings.oidc_issuer is not None else None
    try:
        person = anyio.run(tokens_of(settings, issuer).verifier, token.get_secret_value().strip())
    except JetonInvalide:
        fail("CREANCES_AGENT_TOKEN : ce jeton n'est pas valide, ou ne l'est plus.", USAGE)
    except EmetteurInjoignable as cause:
        fail(f"L'émetteur ne répond pas : {cause}")
    if person.role.value != role or not person.personne:
        fail(f"CREANCES_AGENT_TOKEN : ce jeton n'est pas celui d'une personne du rôle {role}.", USAGE)
    return Lecteur(person.personne, person.role.value, VoieDeLecture.COMMANDE)
