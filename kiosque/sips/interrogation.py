"""Demander à la banque l'état d'une transaction, sans jamais conclure d'un silence ou d'une erreur."""

import json
import time
from collections.abc import Mapping
from http import HTTPStatus

import httpx

from kiosque.interface import FormulaireIrrecevable, KiosqueInjoignable
from kiosque.sips.codes import TRANSACTION_INCONNUE
from kiosque.sips.donnees import valeur_de
from kiosque.sips.enveloppe import ouvrir
from kiosque.sips.sceau import Trousseau

REPONSE_OCTETS_MAX = 64 * 1024
"""Taille d'une réponse : deux fois celle d'un `Data` maximal."""

CHAMPS = ("Data", "Seal", "InterfaceVersion", "Encode", "SealAlgorithm")


def interroger(
    client: httpx.Client,
    url: str,
    question: Mapping[str, str],
    *,
    transaction: str,
    trousseau: Trousseau,
    delai_s: float,
) -> dict[str, str] | None:
    """Le formulaire scellé que le kiosque répond, sceau non vérifié : l'appelant le lira comme toute notification.

    None seulement si un 404 porte, sous un bon sceau, le code 25 pour cette transaction : un 404 nu peut venir d'un
    proxy ou d'une URL fautive, et faire expirer un paiement que la banque a pris. Tout le reste : `KiosqueInjoignable`.
    """
    statut, corps = _poster(client, url, question, delai_s)
    if statut == HTTPStatus.OK:
        return _champs(corps)
    if statut == HTTPStatus.NOT_FOUND and _inconnue_sous_sceau(_champs(corps), transaction, trousseau):
        return None
    raise KiosqueInjoignable(f"réponse HTTP {statut}")


def _poster(client: httpx.Client, url: str, question: Mapping[str, str], delai_s: float) -> tuple[int, bytes]:
    """Le statut et le corps ; borne la taille, et le temps entier (celui de httpx ne borne que chaque attente)."""
    limite = time.monotonic() + delai_s
    corps = bytearray()
    try:
        with client.stream("POST", url, data=dict(question)) as reponse:
            for morceau in reponse.iter_bytes():
                corps += morceau
                if len(corps) > REPONSE_OCTETS_MAX:
                    raise KiosqueInjoignable("réponse trop longue")
                if time.monotonic() > limite:
                    raise KiosqueInjoignable("réponse trop lente")
            return reponse.status_code, bytes(corps)
    except httpx.HTTPError as erreur:
        raise KiosqueInjoignable(type(erreur).__name__) from erreur


def _champs(corps: bytes) -> dict[str, str]:
    """Les champs du formulaire scellé, reçus en JSON."""
    try:
        recu = json.loads(corps)
    except (ValueError, RecursionError) as erreur:
        raise KiosqueInjoignable("réponse illisible") from erreur
    if not isinstance(recu, dict):
        raise KiosqueInjoignable("réponse illisible")
    champs = {nom: recu[nom] for nom in CHAMPS if isinstance(recu.get(nom), str)}
    if not champs.get("Data") or not champs.get("Seal"):
        raise KiosqueInjoignable("réponse sans Data ni Seal")
    return champs


def _inconnue_sous_sceau(champs: Mapping[str, str], transaction: str, trousseau: Trousseau) -> bool:
    try:
        valeurs = ouvrir(champs, trousseau)
    except FormulaireIrrecevable:
        return False
    return (
        valeur_de(valeurs, "transactionReference") == transaction
        and valeur_de(valeurs, "responseCode") == TRANSACTION_INCONNUE
    )
