"""Les réglages du kiosque Sips : où il est, sous quels contrats, avec quelles clés."""

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from kiosque.interface import CAISSE, url_permise
from kiosque.sips.sceau import Algorithme, Marchand

PAR_DEFAUT = ""
"""La clé du marchand qui encaisse pour toute caisse sans contrat propre."""


class ReglagesSips(BaseModel):
    """Ce qu'il faut pour parler à Sips.

    `url` : la page de paiement, où le navigateur poste. `office` : l'origine de Sips Office, sans le chemin du
    service. `marchands` : par code de caisse, ou `""` pour toutes les autres. `retires` : les contrats finis, que
    nous savons encore lire et interroger. `delai_s` : secondes au plus pour une question entière.
    `version_diagnostic`, `version_operations` : les `interfaceVersion` d'Office. `sceau_exige` : faux sur la seule
    plateforme de test, qui ne scelle pas ses réponses. `heures_closes` : quand aucune opération ne se fait, à
    Paris. `delai_de_renvoi` : après un envoi sans réponse, le temps que la banque peut mettre à écrire ce qu'elle a
    fait ; d'ici là, un reste inchangé ne prouve rien. `mandataire` : le proxy HTTP de sortie, s'il en faut un ;
    l'environnement n'est pas consulté. `secrets_de_pseudonyme` : le courant, puis le précédent. `essais_admis` : faux
    en production, où ce qui vient d'une plateforme d'essai n'est pas de l'argent, fût-il scellé.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    office: str
    algorithme: Algorithme = Algorithme.SHA_256
    marchands: Mapping[str, Marchand] = Field(min_length=1)
    version_interface: str = Field(default="HP_2.40", pattern=r"^HP_[23]\.[0-9]{1,3}$")
    retires: tuple[Marchand, ...] = ()
    version_diagnostic: str = Field(default="DR_WS_2.58", pattern=r"^DR_WS_[0-9]\.[0-9]{1,3}$")
    version_operations: str = Field(default="CR_WS_2.55", pattern=r"^CR_WS_[0-9]\.[0-9]{1,3}$")
    sceau_exige: bool = True
    heures_closes: tuple[time, time] = (time(22), time(23))
    delai_de_renvoi: timedelta = timedelta(hours=6)
    delai_s: float = Field(default=5.0, gt=0, le=60)
    mandataire: str | None = None
    secrets_de_pseudonyme: tuple[SecretStr, ...] = ()
    essais_admis: bool = True

    @model_validator(mode="after")
    def coherents(self) -> Self:
        """Refuse au démarrage une URL ou un code de caisse qui échouerait au premier paiement."""
        if not url_permise(self.url) or not url_permise(self.office):
            raise ValueError("les URL du kiosque sont en http ou https")
        for caisse in self.marchands:
            if caisse != PAR_DEFAUT and not CAISSE.fullmatch(caisse):
                raise ValueError(f"code de caisse impossible : {caisse!r}")
        return self

    @property
    def secrets_a_nous(self) -> tuple[bytes, ...]:
        """Ce dont sont tirés le `customerId` et la clé des rebuts ; sans secret donné, celui du premier marchand."""
        if self.secrets_de_pseudonyme:
            return tuple(secret.get_secret_value().encode() for secret in self.secrets_de_pseudonyme)
        return (next(iter(self.marchands.values())).secret_courant,)

    @property
    def connus(self) -> tuple[Marchand, ...]:
        """Tous nos marchands, ceux d'aujourd'hui d'abord."""
        return (*self.marchands.values(), *self.retires)
