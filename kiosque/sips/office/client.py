"""Poster à Sips Office sans jamais conclure d'un silence ou d'une erreur."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import httpx

from kiosque.echeance import avant
from kiosque.interface import FormulaireIrrecevable
from kiosque.operation import Indeterminee
from kiosque.sips.office.sceau import Json, ecrire_json, lire_json, sceau_tient, sceller_json
from kiosque.sips.sceau import Marchand, Trousseau

CHEMIN: Final = "/rs-services/v2/"
DIAGNOSTIC: Final = "diagnostic/getTransactionData"
ANNULATION: Final = "cashManagement/cancel"
REMBOURSEMENT: Final = "cashManagement/refund"

REPONSE_OCTETS_MAX: Final = 32 * 1024
"""Taille d'une réponse : les vraies tiennent en 4 Kio, et celle-ci doit encore tenir dans un message du topic."""

ENTETES: Final = {"Content-Type": "application/json;charset=utf-8", "Accept": "application/json"}


class ReponseOffice(NamedTuple):
    """Une réponse dont le sceau est vérifié : ses octets, tels que reçus, et l'objet qu'ils portent."""

    corps: bytes
    objet: dict[str, Json]


class ClientOffice:
    """Scelle les questions, borne la taille et le temps des réponses, vérifie leur sceau. Sûr entre fils."""

    def __init__(
        self, origine: str, client: httpx.Client, trousseau: Trousseau, *, delai_s: float, sceau_exige: bool
    ) -> None:
        """`delai_s` : secondes pour une question entière. `sceau_exige` : faux, une réponse sans sceau est crue."""
        self._origine = origine.rstrip("/")
        self._client = client
        self._trousseau = trousseau
        self._delai_s = delai_s
        self._sceau_exige = sceau_exige

    def demander(self, service: str, question: Mapping[str, str], marchand: Marchand) -> ReponseOffice | Indeterminee:
        """La réponse du service, ou pourquoi l'on ne sait rien. Un sceau absent ou faux : l'on ne sait rien."""
        complete: dict[str, Json] = {
            **question,
            "merchantId": marchand.id,
            "keyVersion": str(marchand.version_courante),
        }
        complete["seal"] = sceller_json(complete, marchand.secret_courant)
        corps = self._poster(self._origine + CHEMIN + service, ecrire_json(complete))
        if isinstance(corps, Indeterminee):
            return corps
        try:
            objet = lire_json(corps)
        except FormulaireIrrecevable as refus:
            return Indeterminee(str(refus))
        if objet.get("merchantId", marchand.id) != marchand.id:
            return Indeterminee("la réponse nomme un autre marchand que la question")
        if not authentique(objet, self._trousseau, marchand.id, sceau_exige=self._sceau_exige):
            return Indeterminee("la réponse n'a pas de sceau qui tienne")
        return ReponseOffice(corps, objet)

    def _poster(self, url: str, corps: bytes) -> bytes | Indeterminee:
        """Le corps de la réponse ; borne le temps entier, quand celui de httpx ne borne que chaque attente."""
        limite = time.monotonic() + self._delai_s
        recu = bytearray()
        try:
            with (
                avant(self._delai_s),
                self._client.stream("POST", url, content=corps, headers=ENTETES) as reponse,
            ):
                if reponse.status_code != HTTPStatus.OK:
                    return Indeterminee(f"réponse HTTP {reponse.status_code}")
                for morceau in reponse.iter_bytes():
                    recu += morceau
                    if len(recu) > REPONSE_OCTETS_MAX:
                        return Indeterminee("réponse trop longue")
                    if time.monotonic() > limite:
                        return Indeterminee("réponse trop lente")
        except (httpx.HTTPError, httpx.InvalidURL) as erreur:
            return Indeterminee(f"pas de réponse ({type(erreur).__name__})")
        return bytes(recu)


def authentique(objet: Mapping[str, Json], trousseau: Trousseau, marchand: str, *, sceau_exige: bool) -> bool:
    """Dit si le sceau que porte la réponse est d'une clé vivante de ce marchand (de la version dite, si elle l'est)."""
    sceau, version = objet.get("seal"), objet.get("keyVersion")
    if sceau is None or sceau == "":
        return not sceau_exige
    if not isinstance(sceau, str):
        return False
    return sceau_tient(objet, sceau, trousseau.secrets_de(marchand, version if isinstance(version, str) else None))
