"""Le sceau de Sips : une empreinte de `Data` tel qu'envoyé et d'un secret partagé, en hexadécimal minuscule.

Source : guide Sips Paypage POST, chapitre « Calculer le sceau ». L'algorithme est fixé par nos réglages et jamais
par le message, sans quoi un message pourrait choisir le plus faible.
"""

import hmac
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Self, assert_never

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from kiosque.interface import MarchandInconnu, SceauInvalide

CLES_VIVANTES_MAX = 2
"""Le temps d'un changement de clé, l'ancienne et la nouvelle vivent ensemble ; jamais plus."""


class Algorithme(StrEnum):
    """Les deux calculs que Sips propose ; les valeurs sont celles du champ `SealAlgorithm`."""

    SHA_256 = "SHA-256"
    HMAC_SHA_256 = "HMAC-SHA-256"


class Marchand(BaseModel):
    """Un contrat chez la banque : son identifiant (15 chiffres), ses clés par version, la version qui scelle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9]{15}$")
    cles: Mapping[int, SecretStr] = Field(min_length=1, max_length=CLES_VIVANTES_MAX)
    version_courante: int = Field(ge=1)

    @model_validator(mode="after")
    def cles_utilisables(self) -> Self:
        """Refuse une clé vide, qui scellerait sans secret, et une version courante sans clé."""
        if not all(cle.get_secret_value() for cle in self.cles.values()):
            raise ValueError("une clé secrète est vide")
        if self.version_courante not in self.cles:
            raise ValueError("la version courante n'a pas de clé")
        return self

    @property
    def secret_courant(self) -> bytes:
        """Le secret qui scelle ce que nous envoyons."""
        return self.cles[self.version_courante].get_secret_value().encode()


def sceller(data: bytes, secret: bytes, algorithme: Algorithme) -> str:
    """Le sceau de `Data` tel qu'envoyé : 64 chiffres hexadécimaux minuscules."""
    match algorithme:
        case Algorithme.SHA_256:
            return sha256(data + secret).hexdigest()
        case Algorithme.HMAC_SHA_256:
            return hmac.digest(secret, data, "sha256").hex()
        case _:
            assert_never(algorithme)


class Trousseau:
    """Les secrets vivants de nos marchands, prêts à vérifier un sceau sans rien reconstruire."""

    __slots__ = ("_algorithme", "_secrets")

    def __init__(self, marchands: Iterable[Marchand], algorithme: Algorithme) -> None:
        """Range les secrets par marchand et par version ; `ValueError` si deux secrets se disputent une place."""
        self._algorithme = algorithme
        self._secrets: dict[str, dict[str, bytes]] = {}
        for marchand in marchands:
            secrets = self._secrets.setdefault(marchand.id, {})
            for version, cle in marchand.cles.items():
                octets = cle.get_secret_value().encode()
                if secrets.setdefault(str(version), octets) != octets:
                    raise ValueError(f"deux secrets pour le marchand {marchand.id}, version {version}")

    def verifier(self, data: bytes, sceau: str, marchand: str | None, version: str | None) -> None:
        """Ne fait rien si le sceau est le bon ; lève `MarchandInconnu` ou `SceauInvalide`.

        `version` est le `keyVersion` de `Data`. Un sceau vide, en majuscules, ou d'une version inconnue est invalide.
        La comparaison prend un temps qui ne dit rien du sceau attendu.
        """
        secrets = self._secrets.get(marchand or "")
        if secrets is None:
            raise MarchandInconnu
        secret = secrets.get(version or "")
        if secret is None:
            raise SceauInvalide("version de clé inconnue")
        attendu = sceller(data, secret, self._algorithme)
        if not sceau.isascii() or not hmac.compare_digest(attendu, sceau):
            raise SceauInvalide

    def secrets_de(self, marchand: str, version: str | None = None) -> list[bytes]:
        """Les secrets vivants du marchand, ou le seul de cette version ; aucun s'il n'est pas des nôtres."""
        secrets = self._secrets.get(marchand, {})
        if version is None:
            return list(secrets.values())
        return [secrets[version]] if version in secrets else []
