"""Worldline Sips 2.0, connecteur Paypage POST : l'implémentation de `Kiosque` pour la banque d'aujourd'hui."""

from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType, TracebackType
from typing import Self

import httpx

from domain.reponse import ReponseBancaire
from kiosque.interface import Canal, DemandeDePaiement, DemandeInvalide, Formulaire
from kiosque.sips.enveloppe import fermer, ouvrir
from kiosque.sips.interrogation import interroger
from kiosque.sips.reglages import PAR_DEFAUT, ReglagesSips
from kiosque.sips.reponses import EURO, extraire
from kiosque.sips.sceau import Marchand, Trousseau

CLIENT_CARACTERES_MAX = 19
"""Longueur de `customerId` dans le dictionnaire de Sips."""

COMMANDE_CARACTERES_MAX = 32
"""Longueur de `orderId` dans le dictionnaire de Sips."""

# Sur tous nos canaux, borne comprise, la personne tape sa carte sur la page hébergée : c'est une vente à distance. Les
# canaux de présence (magasin, face à face) supposent un lecteur de carte que la borne n'a pas pour ce service.
CANAL_DE_COMMANDE: Mapping[Canal, str] = MappingProxyType(
    {"web": "INTERNET", "application": "INTERNET", "bms": "INTERNET"}
)


class Sips:
    """Le kiosque Sips. Sûr entre fils d'exécution ; tient une connexion HTTP ouverte, à fermer par `close`."""

    def __init__(self, reglages: ReglagesSips, client: httpx.Client | None = None) -> None:
        """Prépare les secrets une fois ; `client` remplace le client HTTP (l'appelant le ferme alors lui-même)."""
        self._reglages = reglages
        self._trousseau = Trousseau(reglages.marchands.values(), reglages.algorithme)
        self._client_a_nous = client is None
        self._client = client or httpx.Client(
            timeout=reglages.delai_s, proxy=reglages.mandataire, trust_env=False, follow_redirects=False
        )

    def marchand_de(self, caisse: str) -> str:
        """L'identifiant du marchand qui encaisse pour cette caisse ; `DemandeInvalide` s'il n'y en a pas."""
        return self._marchand(caisse).id

    def formulaire(self, demande: DemandeDePaiement) -> Formulaire:
        """Le formulaire scellé de la demande, à poster par le navigateur ; le même à chaque appel.

        Lève `DemandeInvalide` si aucun marchand n'encaisse pour la caisse.
        """
        valeurs = {
            "amount": str(demande.montant),
            "currencyCode": EURO,
            "transactionReference": demande.transaction,
            "normalReturnUrl": demande.url_retour,
            "automaticResponseUrl": demande.url_notification,
            "orderId": demande.transaction[:COMMANDE_CARACTERES_MAX],
            "customerId": pseudonyme_bancaire(demande.client),
            "captureMode": "AUTHOR_CAPTURE",
            "orderChannel": CANAL_DE_COMMANDE[demande.canal],
            "returnContext": f"{demande.caisse}-{demande.canal}",
        }
        return Formulaire(url=self._reglages.url, champs=self._fermer(valeurs, self._marchand(demande.caisse)))

    def lire(self, champs: Mapping[str, str]) -> ReponseBancaire:
        """La réponse que portent les champs reçus, sceau vérifié ; lève `FormulaireIrrecevable`, et rien d'autre."""
        return extraire(ouvrir(champs, self._trousseau))

    def interroger(self, transaction: str, marchand: str) -> Mapping[str, str] | None:
        """L'état de la transaction, scellé par le kiosque ; None s'il dit, sous son sceau, ne pas la connaître.

        Lève `KiosqueInjoignable`. L'adresse attendue parle le même langage que la page de paiement (`Data`, `Seal`) ;
        le connecteur JSON Sips Office, au sceau différent, demanderait une passerelle à cette adresse.
        """
        contrat = next((m for m in self._reglages.marchands.values() if m.id == marchand), None)
        if contrat is None:
            raise DemandeInvalide("ce marchand n'est pas dans les réglages")
        question = self._fermer({"transactionReference": transaction}, contrat)
        return interroger(
            self._client,
            self._reglages.url_interrogation,
            question,
            transaction=transaction,
            trousseau=self._trousseau,
            delai_s=self._reglages.delai_s,
        )

    def close(self) -> None:
        """Ferme la connexion HTTP, si elle est à nous."""
        if self._client_a_nous:
            self._client.close()

    def __enter__(self) -> Self:
        """Permet `with Sips(…) as kiosque`."""
        return self

    def __exit__(
        self, genre: type[BaseException] | None, erreur: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ferme en sortant du bloc."""
        self.close()

    def _marchand(self, caisse: str) -> Marchand:
        marchands = self._reglages.marchands
        marchand = marchands.get(caisse) or marchands.get(PAR_DEFAUT)
        if marchand is None:
            raise DemandeInvalide(f"aucun marchand n'encaisse pour la caisse {caisse}")
        return marchand

    def _fermer(self, valeurs: Mapping[str, str], marchand: Marchand) -> dict[str, str]:
        reglages = self._reglages
        return fermer(valeurs, marchand, reglages.algorithme, version_interface=reglages.version_interface)


def pseudonyme_bancaire(client: str) -> str:
    """Le `customerId` : stable pour une même personne, et qui ne rend pas notre pseudonyme à la banque."""
    return sha256(client.encode()).hexdigest()[:CLIENT_CARACTERES_MAX]
