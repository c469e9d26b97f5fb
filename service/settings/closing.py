"""The daily closings: who says what time it was, and until when the bank's report is waited for."""

from datetime import time, timedelta
from typing import Self

from pydantic import Field, model_validator

from service.settings.values import Concern, Duration, ExistingFile, HttpUrl


class ClosingSettings(Concern):
    """The time-stamping authority (RFC 3161), and the hour of the closing."""

    tsa_url: HttpUrl | None = Field(
        None,
        description="Autorité d'horodatage des arrêtés et des points signés (RFC 3161) ; absent : ils ne sont pas"
        " horodatés.",
    )
    tsa_roots: ExistingFile | None = Field(
        None, description="Certificats racines de cette autorité (PEM) : un jeton n'est gardé que s'il en vient."
    )
    tsa_interval: Duration = Field(
        timedelta(hours=1),
        description="Temps entre deux points signés dont l'heure est demandée, au moins : une preuve la porte.",
    )
    arrete_at: time = Field(
        time(10), description="Heure de Paris où la veille est arrêtée, même si le rapport de la banque manque."
    )

    @model_validator(mode="after")
    def _authority_is_known(self) -> Self:
        if (self.tsa_url is None) != (self.tsa_roots is None):
            raise ValueError("TSA_URL et TSA_ROOTS vont ensemble")
        return self
