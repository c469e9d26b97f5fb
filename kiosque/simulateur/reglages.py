"""Les réglages du simulateur, et la consigne qui dérange l'envoi d'une réponse automatique."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from kiosque.interface import url_permise
from kiosque.sips.donnees import Encodage
from kiosque.sips.sceau import Algorithme, Marchand

RETARD_S_MAX = 3600.0
DOUBLONS_MAX = 100
PROCHAINES_MAX = 10_000


class ReglagesSimulateur(BaseModel):
    """Comment le simulateur se présente. Les valeurs par défaut sont le marchand de simulation public de Sips.

    `session_s` : durée d'une session de paiement, en secondes. `essais_max`, `attente_initiale_s`, `attente_s_max` :
    les nouveaux essais d'une réponse automatique, l'attente doublant à chaque fois, en secondes. `encodage` : celui
    des réponses. `delai_s` : secondes laissées au marchand pour répondre à un envoi.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    marchand: str = "002001000000001"
    secret: SecretStr = SecretStr("002001000000001_KEY1")
    version: int = Field(default=1, ge=1)
    algorithme: Algorithme = Algorithme.SHA_256
    encodage: Encodage = ""
    url_publique: str = "http://127.0.0.1:8001"
    nom_marchand: str = Field(default="CPAM Test (SIMULATION)", min_length=1, max_length=80)
    session_s: float = Field(default=900.0, gt=0)
    essais_max: int = Field(default=8, ge=1, le=50)
    attente_initiale_s: float = Field(default=0.5, ge=0, le=60)
    attente_s_max: float = Field(default=30.0, ge=0, le=600)
    delai_s: float = Field(default=5.0, gt=0, le=60)

    @model_validator(mode="after")
    def coherents(self) -> Self:
        """Refuse au démarrage une adresse publique ou un marchand impossibles."""
        if not url_permise(self.url_publique):
            raise ValueError("l'URL publique est en http ou https")
        _ = self.contrat
        return self

    @property
    def contrat(self) -> Marchand:
        """Le marchand et sa clé, tels que la banque les connaît."""
        return Marchand(id=self.marchand, cles={self.version: self.secret}, version_courante=self.version)


class Consigne(BaseModel):
    """Ce que l'on demande au simulateur de faire de travers. Sans rien, il se conduit bien.

    `doublons` : copies envoyées en plus de la première. `retard_s` : secondes avant l'envoi. `perdue` : jamais envoyée.
    `inversee` : retenue, puis envoyée après la réponse de la transaction suivante. `code_force` : le code de réponse,
    quelle que soit la carte ; donné à une transaction déjà en attente (60, 62…), il la dénoue pour les interrogations.
    `operation_muette` : la prochaine opération de caisse est faite, et sa réponse se perd. `office_code` : le code que
    toute question d'Office reçoit (90, 99, 40…), sans rien faire. `ecart_centimes` : ce que la banque prend de plus que
    demandé. `deux_fois` : une seconde acceptation suit, sous une autre autorisation. `orpheline` : le paiement est
    annulé, et la banque prend pourtant l'argent sous une référence que personne n'a ouverte. `impayee` : elle le
    reprend, et le rapport des impayés du jour le dit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    doublons: int = Field(default=0, ge=0, le=DOUBLONS_MAX)
    retard_s: float = Field(default=0.0, ge=0, le=RETARD_S_MAX, allow_inf_nan=False)
    perdue: bool = False
    inversee: bool = False
    operation_muette: bool = False
    ecart_centimes: int = Field(default=0, ge=0, le=1_000_00)
    deux_fois: bool = False
    orpheline: bool = False
    impayee: bool = False
    office_code: str | None = Field(default=None, pattern=r"^[0-9]{2}$")
    code_force: str | None = Field(default=None, pattern=r"^[0-9A-Za-z]{2}$")


class DemandeDeConsigne(Consigne):
    """Une consigne et à qui elle s'applique : une transaction nommée, ou les `prochaines` qui se concluront."""

    transaction: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]{1,35}$")
    prochaines: int = Field(default=1, ge=0, le=PROCHAINES_MAX)

    @property
    def consigne(self) -> Consigne:
        """La consigne seule."""
        return Consigne.model_validate(self.model_dump(exclude={"transaction", "prochaines"}))
