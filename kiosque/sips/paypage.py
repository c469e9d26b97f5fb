"""Worldline Sips 2.0, Paypage POST et Office JSON : l'implémentation de `Kiosque` pour la banque d'aujourd'hui."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Final, Self

import httpx

from domain.avis import Canal
from domain.reponse import ReponseBancaire
from kiosque.echeance import transport_borne
from kiosque.interface import (
    DemandeDePaiement,
    DemandeInvalide,
    Echec,
    Etat,
    Formulaire,
    FormulaireIllisible,
    FormulaireIrrecevable,
    Inconnue,
    Lecture,
    MarchandInconnu,
    PlateformeDEssai,
    Recue,
    Rejetee,
    Requete,
    SceauInvalide,
    Trouvee,
    ValeurDuTopic,
    Verifiee,
)
from kiosque.operation import Envois, Indeterminee, Operation
from kiosque.sips.codes import ECHECS
from kiosque.sips.depouillement import (
    CHIFFRE,
    Coffre,
    corps_personnel,
    depouiller,
    depouiller_office,
    est_personnel,
    pseudonyme_bancaire,
)
from kiosque.sips.donnees import decoder, premieres, valeur_de
from kiosque.sips.enveloppe import fermer, octets_de, ouvrir, recueillir
from kiosque.sips.office.client import ANNULATION, DIAGNOSTIC, REMBOURSEMENT, ClientOffice, authentique
from kiosque.sips.office.diagnostic import est_inconnue, extraire_diagnostic, plates
from kiosque.sips.office.operations import OperationsOffice, OperationVoulue
from kiosque.sips.office.sceau import ecrire_json, lire_json
from kiosque.sips.reglages import PAR_DEFAUT, ReglagesSips
from kiosque.sips.reponses import EURO, UTILISES, extraire
from kiosque.sips.sceau import Algorithme, Marchand, Trousseau

PREFIXE_OFFICE = "DR_WS_"
"""L'`InterfaceVersion` d'une réponse d'Office sur le topic ; celle d'un formulaire commence par `HP_`."""

CONNEXIONS_GARDEES = 16

CLIENT_CARACTERES_MAX = 19
"""Longueur de `customerId` dans le dictionnaire de Sips."""

COMMANDE_CARACTERES_MAX = 32
"""Longueur de `orderId` dans le dictionnaire de Sips."""

# Sur tous nos canaux, borne comprise, la personne tape sa carte sur la page hébergée : c'est une vente à distance. Les
# canaux de présence (magasin, face à face) supposent un lecteur de carte que la borne n'a pas pour ce service.
CANAL_DE_COMMANDE: Mapping[Canal, str] = MappingProxyType(
    {Canal.WEB: "INTERNET", Canal.APPLICATION: "INTERNET", Canal.BMS: "INTERNET"}
)


PLATEFORMES_D_ESSAI: Final = frozenset({"SIMU", "TEST"})
"""Ce que dit `transactionPlatform` là où aucun argent ne passe ; en production, `PROD`, ou rien."""


class Sips:
    """Le kiosque Sips. Sûr entre fils d'exécution ; garde des connexions HTTP, à fermer par `close`."""

    def __init__(
        self,
        reglages: ReglagesSips,
        client: httpx.Client | None = None,
        *,
        horloge: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prépare les secrets une fois ; `client` remplace le client HTTP (l'appelant le ferme alors lui-même)."""
        self._reglages = reglages
        self._contrats = {contrat.id: contrat for contrat in reversed(reglages.connus)}
        self._trousseau = Trousseau(reglages.connus, reglages.algorithme)
        self._coffre = Coffre(reglages.secrets_a_nous)
        self._client_a_nous = client is None
        # La moitié pour joindre, la moitié pour attendre : une banque muette n'y retient personne plus que le délai.
        attente = httpx.Timeout(reglages.delai_s / 2)
        limites = httpx.Limits(max_connections=None, max_keepalive_connections=CONNEXIONS_GARDEES)
        self._client = client or httpx.Client(
            timeout=attente,
            transport=transport_borne(limites, reglages.mandataire),
            trust_env=False,
            follow_redirects=False,
        )
        self._office = ClientOffice(
            reglages.office,
            self._client,
            self._trousseau,
            delai_s=reglages.delai_s,
            sceau_exige=reglages.sceau_exige,
        )
        self._operations = OperationsOffice(
            self._office,
            version_diagnostic=reglages.version_diagnostic,
            version_operations=reglages.version_operations,
            heures_closes=reglages.heures_closes,
            delai_de_renvoi=reglages.delai_de_renvoi,
            horloge=horloge,
        )

    def marchand_de(self, caisse: str) -> str:
        """L'identifiant du marchand qui encaisse pour cette caisse ; `DemandeInvalide` s'il n'y en a pas."""
        marchands = self._reglages.marchands
        marchand = marchands.get(caisse) or marchands.get(PAR_DEFAUT)
        if marchand is None:
            raise DemandeInvalide(f"aucun marchand n'encaisse pour la caisse {caisse}")
        return marchand.id

    def formulaire(self, demande: DemandeDePaiement) -> Formulaire:
        """Le formulaire scellé de la demande, à poster par le navigateur ; le même à chaque appel.

        Scellé pour le marchand que le paiement a enregistré, même retiré depuis ; lève `DemandeInvalide` si les
        réglages n'en ont plus les clés.
        """
        contrat = self._contrat(demande.marchand)
        if contrat is None:
            raise DemandeInvalide("les réglages n'ont pas les clés du marchand de ce paiement")
        valeurs = {
            "amount": str(demande.montant),
            "currencyCode": EURO,
            "transactionReference": demande.transaction,
            "normalReturnUrl": demande.url_retour,
            "automaticResponseUrl": demande.url_notification,
            # Office ne rend que lui : une réponse demandée dit ainsi de quel paiement elle parle.
            "orderId": (demande.jeton_retour or demande.transaction)[:COMMANDE_CARACTERES_MAX],
            "customerId": pseudonyme_bancaire(demande.client, self._reglages.secrets_a_nous[0], CLIENT_CARACTERES_MAX),
            "captureMode": "AUTHOR_CAPTURE",
            "orderChannel": CANAL_DE_COMMANDE[demande.canal],
            "returnContext": demande.jeton_retour or f"{demande.caisse}-{demande.canal.value}",
        }
        return Formulaire(url=self._reglages.url, champs=self._fermer(valeurs, contrat))

    def lire(self, requete: Requete) -> Recue:
        """Authentifie puis lit un formulaire de la banque ; seuls les champs utilisés comptent."""
        try:
            champs = recueillir(requete.corps)
        except FormulaireIrrecevable as refus:
            return Recue(Rejetee(refus), None)
        lecture = self.relire(champs)
        if isinstance(lecture, Verifiee):
            return Recue(lecture, self._depouille(champs))
        return Recue(lecture, champs or None)

    def proteger(self, valeur: ValeurDuTopic | None, corps: bytes) -> ValeurDuTopic | None:
        """Un formulaire refusé, tel qu'il peut être gardé : chiffré s'il parle d'une carte ou d'une personne."""
        if valeur:
            return self._coffre.enfermer(ecrire_json(valeur)) if est_personnel(valeur) else valeur
        texte = corps.decode("latin-1")
        return self._coffre.enfermer(ecrire_json({"Corps": texte})) if corps_personnel(texte) else None

    def echec(self, code: str | None) -> Echec:
        """Ce que ce code veut dire, à une personne."""
        return ECHECS.get(code or "", Echec.INCIDENT)

    def relire(self, valeur: Mapping[str, object]) -> Lecture:
        """Lit un formulaire, ou une réponse d'Office, tel que le topic l'a gardé ; le sceau est vérifié ici."""
        try:
            return Verifiee(self.reponse(valeur))
        except FormulaireIrrecevable as refus:
            return Rejetee(refus)

    def reponse(self, valeur: Mapping[str, object]) -> ReponseBancaire:
        """La réponse que portent les champs, sceau vérifié ; lève `FormulaireIrrecevable`, et rien d'autre."""
        if CHIFFRE in valeur:
            valeur = self._coffre.rouvrir(valeur)
        version = valeur.get("InterfaceVersion")
        if isinstance(version, str) and version.startswith(PREFIXE_OFFICE):
            return self._reponse_d_office(valeur.get("Data"))
        valeurs = ouvrir(valeur, self._trousseau, UTILISES)
        self._exiger_la_production(valeurs)
        return extraire(valeurs)

    def interroger(self, transaction: str, marchand: str) -> Etat:
        """Demande à Office ; ce qu'il trouve est rendu dépouillé, sous un sceau, pour être relu comme le reste."""
        contrat = self._contrat(marchand)
        if contrat is None:
            return Indeterminee("les réglages n'ont pas les clés de ce marchand")
        question = {"interfaceVersion": self._reglages.version_diagnostic, "transactionReference": transaction}
        reponse = self._office.demander(DIAGNOSTIC, question, contrat)
        if isinstance(reponse, Indeterminee):
            return reponse
        valeurs = plates(reponse.objet)
        if valeurs.get("transactionReference", transaction) != transaction:
            return Indeterminee("la réponse parle d'une autre transaction")
        if est_inconnue(valeurs):
            return Inconnue()
        version = valeurs.get("keyVersion")
        objet = depouiller_office(reponse.objet, self._trousseau.secrets_de(marchand, version))
        corps = reponse.corps if objet == reponse.objet else ecrire_json(objet)
        valeur = {
            "Data": corps.decode(),
            "Seal": str(objet.get("seal") or ""),
            "InterfaceVersion": self._reglages.version_diagnostic,
            "Encode": "",
            "SealAlgorithm": Algorithme.HMAC_SHA_256.value,
        }
        try:
            return Trouvee(self.reponse(valeur), valeur)
        except FormulaireIrrecevable as refus:
            return Indeterminee(str(refus))

    def annuler(self, transaction: str, marchand: str, montant: int, *, reste_avant: int, envois: Envois) -> Operation:
        """Annule, en tout ou partie, avant la remise en banque."""
        return self._operer(OperationVoulue(ANNULATION, transaction, montant, reste_avant, envois), marchand)

    def rembourser(
        self, transaction: str, marchand: str, montant: int, *, reste_avant: int, envois: Envois
    ) -> Operation:
        """Rembourse, en tout ou partie, après la remise en banque."""
        return self._operer(OperationVoulue(REMBOURSEMENT, transaction, montant, reste_avant, envois), marchand)

    def close(self) -> None:
        """Ferme les connexions HTTP, si elles sont à nous."""
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

    def _reponse_d_office(self, data: object) -> ReponseBancaire:
        """Une réponse d'Office gardée par le topic : son sceau la prouve, sous le marchand qu'elle nomme."""
        if not isinstance(data, str) or not data:
            raise FormulaireIllisible("le champ Data manque")
        objet = lire_json(data)
        marchand = objet.get("merchantId")
        if not isinstance(marchand, str) or self._contrat(marchand) is None:
            raise MarchandInconnu
        if not authentique(objet, self._trousseau, marchand, sceau_exige=self._reglages.sceau_exige):
            raise SceauInvalide
        valeurs = plates(objet)
        self._exiger_la_production(valeurs)
        return extraire_diagnostic(valeurs, marchand)

    def _exiger_la_production(self, valeurs: Mapping[str, str]) -> None:
        if not self._reglages.essais_admis and valeur_de(valeurs, "transactionPlatform") in PLATEFORMES_D_ESSAI:
            raise PlateformeDEssai

    def _depouille(self, champs: dict[str, str]) -> ValeurDuTopic:
        nommees = premieres(decoder(octets_de(champs), champs.get("Encode") or ""))
        marchand, version = valeur_de(nommees, "merchantId"), valeur_de(nommees, "keyVersion")
        secrets = self._trousseau.secrets_de(marchand or "", version)
        return depouiller(champs, secrets, self._reglages.algorithme)

    def _operer(self, voulue: OperationVoulue, marchand: str) -> Operation:
        contrat = self._contrat(marchand)
        if contrat is None:
            return Indeterminee("les réglages n'ont pas les clés de ce marchand")
        return self._operations.operer(voulue, contrat)

    def _contrat(self, marchand: str) -> Marchand | None:
        """Le contrat de cet identifiant, retiré ou non."""
        return self._contrats.get(marchand)

    def _fermer(self, valeurs: Mapping[str, str], marchand: Marchand) -> dict[str, str]:
        reglages = self._reglages
        return fermer(valeurs, marchand, reglages.algorithme, version_interface=reglages.version_interface)
