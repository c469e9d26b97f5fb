"""Le paiement : une tentative de l'assuré au kiosque, et ce que la banque en dit.

Plus de 300 lignes : tout le vocabulaire de l'agrégat, ses faits et ses décisions, se lit en un endroit.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Final, NamedTuple, Self, TypeAlias, TypeGuard, assert_never, get_args

from pydantic import AwareDatetime, Field

from domain.autorisation import meme_forme
from domain.avis import Canal
from domain.diffusion import Agent, Diffusion
from domain.faits import Agregat, Fait, Naissance
from domain.geste import IdAnomalie, Texte, Voie, numero_d_argent
from domain.imputation import Imputation
from domain.monnaie import Centimes, Somme
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from domain.refus import Fermeture, MontantSuperieurAOuvert, PaiementClos, RemboursementEnCours
from domain.sort import Sort
from domain.statut import StatutDePaiement

ARGENT_RATTACHE: Final = "l'argent pris par la banque a été mis sur vos créances"
ARGENT_RENDU: Final = "l'argent pris par la banque vous a été rendu"
"""Les causes d'un paiement en vérification, une fois réglé."""


class Fin(StrEnum):
    """Comment un paiement a fini."""

    ACCEPTE = "accepte"
    ECHOUE = "echoue"
    EXPIRE = "expire"
    """Inconnu du kiosque passé le délai : nous l'avons clos nous-mêmes. Une acceptation peut encore suivre."""
    EN_VERIFICATION = "en_verification"
    """La banque a pris un autre montant : ne pas payer de nouveau. L'acceptation du bon montant peut encore suivre."""

    @property
    def dite(self) -> str:
        """Le mot d'une personne, dans une phrase."""
        match self:
            case Fin.ACCEPTE:
                return "accepté"
            case Fin.ECHOUE:
                return "échoué"
            case Fin.EXPIRE:
                return "expiré"
            case Fin.EN_VERIFICATION:
                return "en vérification"
            case jamais:
                assert_never(jamais)


class Encaissement(NamedTuple):
    """De l'argent que la banque dit avoir pris sans qu'une créance le reçoive : ce qui en distingue deux."""

    raison: Sort
    marchand: str
    montant: Centimes
    autorisation: str | None
    """Sous sa forme comparable ; None tant que la banque ne l'a pas donnée."""


class Acceptation(NamedTuple):
    """Ce que la banque dit d'une acceptation."""

    marchand: str
    montant: Centimes
    autorisation: str | None
    accepte_le: datetime
    depart_presume: bool

    def sans_imputation(self, raison: Sort) -> Encaissement:
        """Ce qui distingue cet argent d'un autre, s'il ne peut être imputé pour cette raison."""
        return Encaissement(raison, self.marchand, self.montant, meme_forme(self.autorisation))


class Argent(NamedTuple):
    """De l'argent sans créance, et ce qui en reste à régler, en centimes."""

    encaissement: Encaissement
    reste: int


class Paiement(Agregat):
    """Une tentative de paiement sur une ou plusieurs créances d'une même caisse.

    N'est pas nommé Transaction : ce mot est ici celui de la base de données.
    """

    TOPIC = "paiement"

    class Event(Fait):
        """Un fait du paiement."""

        def apply(self, paiement: "Paiement") -> None:
            """Fait évoluer le paiement ; n'affecte que des attributs, ne décide de rien."""

    class PaiementOuvert(Event, Naissance):
        """L'assuré part payer au kiosque : le montant et son partage entre les créances sont fixés."""

        TOPIC: ClassVar[str] = "paiement.PaiementOuvert"
        transaction: ReferenceTransaction
        assure: Pseudonyme
        caisse: CodeCaisse
        canal: Canal
        marchand: Annotated[str, Diffusion.PUBLIQUE]
        """Le compte de la caisse chez la banque."""
        montant: Centimes
        imputations: tuple[Imputation, ...]
        expire_le: AwareDatetime
        """Fin de la remise du formulaire ; au-delà, le kiosque sera interrogé."""
        jeton_retour: Annotated[str, Diffusion.INTERNE] | None = Field(None, exclude_if=lambda jeton: jeton is None)
        """Notre part aléatoire, que le kiosque rend : elle dit que la réponse est celle de ce paiement-ci."""

    class PaiementConclu(Event):
        """Le paiement a une fin : accepté, échoué, expiré, en vérification ; une acceptation peut suivre."""

        TOPIC: ClassVar[str] = "paiement.PaiementConclu"
        issue: Fin
        code: Annotated[str, Diffusion.PUBLIQUE] | None
        """Le code de réponse du kiosque ; absent d'un paiement expiré ou en vérification."""
        cause: Annotated[str, Diffusion.PUBLIQUE]
        autorisation: Annotated[str, Diffusion.INTERNE] | None
        carte_masquee: Annotated[str, Diffusion.INTERNE] | None
        accepte_le: AwareDatetime | None
        """Départ du délai d'affichage ; présent pour une acceptation seulement."""
        depart_presume: bool
        """Vrai si l'heure de la banque n'était pas crédible : la réception fait foi."""

        def apply(self, paiement: "Paiement") -> None:
            paiement.fin = self.issue
            paiement.code = self.code
            paiement.cause = self.cause
            paiement.conclu_le = self.timestamp
            if self.issue is Fin.ACCEPTE:
                paiement.autorisation = self.autorisation
                paiement.accepte_le = self.accepte_le

    class EncaissementNonImputé(Event):
        """La banque a pris de l'argent qu'aucune créance ne peut recevoir encore ; il n'en bouge aucune."""

        TOPIC: ClassVar[str] = "paiement.EncaissementNonImpute"
        montant: Centimes
        raison: Sort
        """`non_rapprochee` ou `montant_incoherent`."""
        marchand: Annotated[str, Diffusion.PUBLIQUE]
        autorisation: Annotated[str, Diffusion.INTERNE] | None
        accepte_le: AwareDatetime
        depart_presume: bool

        def commencer(self) -> "Paiement":
            """Premier du flux, il dit que le paiement nous était inconnu."""
            paiement = Paiement.__new__(Paiement)
            paiement.__base_init__(self.originator_id, 0, self.timestamp)
            Paiement.__init__(
                paiement,
                transaction=Paiement.transaction_de(self.originator_id),
                assure=None,
                caisse=None,
                canal=None,
                marchand=self.marchand,
                montant=Centimes(0),
                imputations=(),
                expire_le=None,
                jeton_retour=None,
            )
            return paiement

        def apply(self, paiement: "Paiement") -> None:
            encaissement = Encaissement(self.raison, self.marchand, self.montant, meme_forme(self.autorisation))
            paiement.non_imputes.add(encaissement)
            paiement.argent[self.originator_version] = Argent(encaissement, self.montant)
            paiement.argent_pris_le = self.accepte_le

    class AcceptationPrécisée(Event):
        """La banque a donné l'autorisation d'une acceptation d'abord venue sans : elle ne compte pas deux fois."""

        TOPIC: ClassVar[str] = "paiement.AcceptationPrecisee"
        montant: Centimes
        raison: Sort | None
        """Celle de l'encaissement non imputé ; absente si c'est l'acceptation du paiement lui-même."""
        marchand: Annotated[str, Diffusion.PUBLIQUE]
        autorisation: Annotated[str, Diffusion.INTERNE]

        def apply(self, paiement: "Paiement") -> None:
            if self.raison is None:
                paiement.autorisation = self.autorisation
                return
            anonyme = Encaissement(self.raison, self.marchand, self.montant, None)
            precise = anonyme._replace(autorisation=meme_forme(self.autorisation))
            paiement.non_imputes.remove(anonyme)
            paiement.non_imputes.add(precise)
            for numero, argent in paiement.argent.items():
                if argent.encaissement == anonyme:
                    paiement.argent[numero] = Argent(precise, argent.reste)

    class EncaissementImputé(Event):
        """De l'argent qu'aucune créance n'avait reçu est rattaché, par deux personnes."""

        TOPIC: ClassVar[str] = "paiement.EncaissementImpute"
        anomalie: IdAnomalie
        """L'anomalie réglée : elle nomme l'argent."""
        montant: Centimes
        imputations: tuple[Imputation, ...]
        saisi_par: Agent
        approuve_par: Agent

        def apply(self, paiement: "Paiement") -> None:
            paiement.user(self.anomalie, self.montant)
            paiement.rattachements.extend(imputation.reference for imputation in self.imputations)
            paiement.rattache += self.montant

    class EncaissementRendu(Event):
        """De l'argent qu'aucune créance n'avait reçu n'est plus chez nous : rendu, ou repris par la banque."""

        TOPIC: ClassVar[str] = "paiement.EncaissementRendu"
        anomalie: IdAnomalie
        montant: Centimes
        voie: Voie | None
        """Absente : la banque l'a repris d'elle-même (impayé)."""
        saisi_par: Agent
        approuve_par: Agent

        def apply(self, paiement: "Paiement") -> None:
            paiement.user(self.anomalie, self.montant)
            if self.voie is None:
                paiement.argent_repris += self.montant

    class PaiementRéglé(Event):
        """Un paiement en vérification a sa fin pour l'assuré, une fois l'argent pris réglé."""

        TOPIC: ClassVar[str] = "paiement.PaiementRegle"
        issue: Fin
        montant: Somme
        """Ce qui est allé sur des créances."""
        accepte_le: AwareDatetime | None
        """Quand la banque a pris l'argent ; absent s'il a été rendu."""
        cause: Annotated[str, Diffusion.PUBLIQUE]

        def apply(self, paiement: "Paiement") -> None:
            paiement.regle = self.issue

    class RemboursementDemandé(Event):
        """La banque va rendre ces centimes sur la carte ; jusqu'à sa réponse, on ne lui en demande pas d'autre."""

        TOPIC: ClassVar[str] = "paiement.RemboursementDemande"
        KEPT: ClassVar[bool] = True
        anomalie: IdAnomalie
        montant: Somme
        reste_avant: Somme
        """Ce que la banque garde du paiement avant lui : c'est à cela qu'elle dira s'il est fait."""
        suivi: Annotated[bool, Diffusion.INTERNE] = Field(default=False, exclude_if=lambda suivi: not suivi)
        """Vrai si chaque envoi en est noté ; faux d'une demande plus ancienne : elle a pu partir sans trace."""

        def apply(self, paiement: "Paiement") -> None:
            paiement.remboursement = self
            paiement.envois = 0
            paiement.dernier_envoi = None

    class RemboursementEnvoyé(Event):
        """La demande part vers la banque : enregistré avant chaque envoi, qui a donc peut-être eu lieu."""

        TOPIC: ClassVar[str] = "paiement.RemboursementEnvoye"
        anomalie: IdAnomalie

        def apply(self, paiement: "Paiement") -> None:
            paiement.envois += 1
            paiement.dernier_envoi = self.timestamp

    class RemboursementFait(Event):
        """La banque l'a rendu."""

        TOPIC: ClassVar[str] = "paiement.RemboursementFait"
        anomalie: IdAnomalie
        montant: Somme

        def apply(self, paiement: "Paiement") -> None:
            paiement.remboursement = None
            paiement.recredite += self.montant

    class RemboursementRefusé(Event):
        """La banque ne le rendra pas par la carte ; rien n'a bougé."""

        TOPIC: ClassVar[str] = "paiement.RemboursementRefuse"
        anomalie: IdAnomalie
        cause: Texte

        def apply(self, paiement: "Paiement") -> None:
            paiement.remboursement = None

    def __init__(
        self,
        *,
        transaction: ReferenceTransaction,
        assure: Pseudonyme | None,
        caisse: CodeCaisse | None,
        canal: Canal | None,
        marchand: str,
        montant: Centimes,
        imputations: tuple[Imputation, ...],
        expire_le: datetime | None,
        jeton_retour: str | None,
    ) -> None:
        """Reçoit les champs de `PaiementOuvert` (absents pour un paiement inconnu) ; passer par `ouvrir`."""
        self.transaction = transaction
        self.assure = assure
        self.caisse = caisse
        self.canal = canal
        self.marchand = marchand
        self.montant = montant
        self.imputations = imputations
        self.expire_le = expire_le
        self.jeton_retour = jeton_retour
        self.fin: Fin | None = None
        self.code: str | None = None
        self.cause: str | None = None
        self.autorisation: str | None = None
        self.accepte_le: datetime | None = None
        self.conclu_le: datetime | None = None
        self.non_imputes: set[Encaissement] = set()
        """Tout l'argent que la banque a pris sans qu'une créance le reçoive d'abord, réglé ou non."""
        self.argent: dict[int, Argent] = {}
        """Le même, par version de son fait, avec ce qui en reste à régler."""
        self.rattachements: list[ReferenceCreance] = []
        """Les créances qui ont reçu de cet argent."""
        self.rattache = 0
        """Ce qu'elles en ont reçu, en centimes."""
        self.argent_pris_le: datetime | None = None
        """Quand la banque en a pris pour la dernière fois."""
        self.argent_repris = 0
        """Ce que la banque en a repris d'elle-même, en centimes."""
        self.regle: Fin | None = None
        """La fin d'un paiement en vérification, une fois son argent réglé."""
        self.remboursement: Paiement.RemboursementDemandé | None = None
        """Celui dont la banque n'a pas encore répondu."""
        self.envois = 0
        """Combien de fois il est parti vers la banque, ou a pu partir."""
        self.dernier_envoi: datetime | None = None
        self.recredite = 0
        """Ce qu'elle a rendu sur la carte, en centimes."""

    # --- Ce qu'il est ------------------------------------------------------------------------------------------------

    @staticmethod
    def flux(transaction: str) -> str:
        """Le nom du flux d'événements d'un paiement."""
        return _PREFIXE + transaction

    @staticmethod
    def transaction_de(flux: str) -> ReferenceTransaction:
        """La transaction du paiement dont c'est le flux ; lève ValueError si c'en est un autre."""
        if not flux.startswith(_PREFIXE):
            raise ValueError(f"ce flux n'est pas celui d'un paiement : {flux}")
        return ReferenceTransaction(flux.removeprefix(_PREFIXE))

    @property
    def connu(self) -> bool:
        """Faux si nous n'avons jamais ouvert ce paiement et que la banque en parle quand même."""
        return self.assure is not None

    @property
    def statut(self) -> StatutDePaiement:
        """Où il en est ; un paiement en vérification prend, une fois réglé, la fin que le règlement lui donne."""
        if self.fin is Fin.EN_VERIFICATION and self.regle is not None:
            return StatutDePaiement(self.regle)
        return StatutDePaiement.EN_COURS if self.fin is None else StatutDePaiement(self.fin)

    @property
    def pris(self) -> int:
        """Tout ce que la banque en a pris, d'après le journal, en centimes."""
        accepte = self.montant if self.fin is Fin.ACCEPTE else 0
        return accepte + sum(encaissement.montant for encaissement in self.non_imputes)

    @property
    def non_rattache(self) -> int:
        """Ce qui en attend encore une créance, en centimes."""
        return sum(argent.reste for argent in self.argent.values())

    def reste_de(self, anomalie: IdAnomalie) -> int:
        """Ce qui reste à régler de cet argent, en centimes ; 0 s'il n'y en a pas."""
        argent = self.argent.get(numero_d_argent(anomalie))
        return argent.reste if argent is not None else 0

    def marchand_de(self, anomalie: str) -> str:
        """Le marchand chez qui la banque a pris cet argent ; celui du paiement si rien ne le nomme."""
        argent = self.argent.get(numero_d_argent(anomalie))
        return argent.encaissement.marchand if argent is not None else self.marchand

    def user(self, anomalie: IdAnomalie, montant: int) -> None:
        """Retire de cet argent ce qui vient d'en être réglé ; n'est appelée que par un fait."""
        numero = numero_d_argent(anomalie)
        argent = self.argent[numero]
        self.argent[numero] = Argent(argent.encaissement, argent.reste - montant)

    def exiger_ouvert(self, maintenant: datetime, fermeture: Fermeture | None = None) -> None:
        """Vérifie que le formulaire du kiosque peut encore être remis ; lève PaiementClos, qui dit ce qui est arrivé.

        `fermeture` : ce que ses créances sont devenues (`domain.ouverture.fermeture_de`).
        """
        if self.fin is not None or self.expire_le is None or maintenant >= self.expire_le:
            raise PaiementClos(self.transaction, self.statut)
        if fermeture is not None:
            raise PaiementClos(self.transaction, self.statut, fermeture)

    # --- Ce qui lui arrive -------------------------------------------------------------------------------------------

    @classmethod
    def ouvrir(
        cls,
        transaction: ReferenceTransaction,
        *,
        assure: Pseudonyme,
        caisse: CodeCaisse,
        canal: Canal,
        marchand: str,
        montant: Centimes,
        imputations: tuple[Imputation, ...],
        expire_le: datetime,
        jeton_retour: str | None = None,
        maintenant: datetime,
    ) -> Self:
        """Ouvre un paiement ; ses règles sont dans `domain.ouverture`."""
        return cls._create(
            cls.PaiementOuvert,
            id=cls.flux(transaction),
            timestamp=maintenant,
            transaction=transaction,
            assure=assure,
            caisse=caisse,
            canal=canal,
            marchand=marchand,
            montant=montant,
            imputations=imputations,
            expire_le=expire_le,
            jeton_retour=jeton_retour,
        )

    def conclure(
        self,
        issue: Fin,
        cause: str,
        *,
        code: str | None = None,
        autorisation: str | None = None,
        carte_masquee: str | None = None,
        accepte_le: datetime | None = None,
        depart_presume: bool = False,
        maintenant: datetime,
    ) -> None:
        """Enregistre la fin du paiement. Lève ValueError si une acceptation serait défaite : elle domine toujours."""
        if self.fin is Fin.ACCEPTE:
            raise ValueError("une acceptation ne se défait pas")
        if self.fin is Fin.EN_VERIFICATION and issue is not Fin.ACCEPTE:
            raise ValueError("de l'argent pris reste en vérification jusqu'à l'acceptation du bon montant")
        self.trigger_event(
            self.PaiementConclu,
            issue=issue,
            code=code,
            cause=cause,
            autorisation=autorisation,
            carte_masquee=carte_masquee,
            accepte_le=accepte_le,
            depart_presume=depart_presume,
            timestamp=maintenant,
        )

    @classmethod
    def encaisser_inconnu(
        cls, transaction: ReferenceTransaction, acceptation: Acceptation, *, maintenant: datetime
    ) -> Self:
        """Enregistre l'argent d'un paiement que nous n'avons jamais ouvert."""
        fait = cls.EncaissementNonImputé(
            originator_id=cls.flux(transaction),
            originator_version=cls.INITIAL_VERSION,
            raison=Sort.NON_RAPPROCHEE,
            **acceptation._asdict(),
            timestamp=maintenant,
        )
        paiement: Self = fait.mutate(None)
        paiement.pending_events.append(fait)
        return paiement

    def encaisser_sans_imputer(self, acceptation: Acceptation, raison: Sort, *, maintenant: datetime) -> bool:
        """Enregistre de l'argent qu'aucune créance ne peut recevoir encore ; rend Faux s'il l'était déjà.

        Une autorisation absente n'est pas une autre autorisation : la première présente précise celle qui manquait.
        """
        encaissement = acceptation.sans_imputation(raison)
        memes = {connu for connu in self.non_imputes if connu[:3] == encaissement[:3]}
        if encaissement in memes or (encaissement.autorisation is None and memes):
            return False
        if encaissement._replace(autorisation=None) in memes:
            self._preciser(acceptation, raison, maintenant)
            return False
        self.trigger_event(self.EncaissementNonImputé, raison=raison, **acceptation._asdict(), timestamp=maintenant)
        return True

    def reconnaitre(self, acceptation: Acceptation, *, maintenant: datetime) -> bool:
        """Dit si c'est l'acceptation déjà enregistrée, et retient l'autorisation si elle manquait jusque-là."""
        if self.fin is not Fin.ACCEPTE or acceptation.montant != self.montant:
            return False
        dite, connue = meme_forme(acceptation.autorisation), meme_forme(self.autorisation)
        if dite is None or dite == connue:
            return True
        if connue is not None or acceptation.sans_imputation(Sort.MONTANT_INCOHERENT) in self.non_imputes:
            return False
        self._preciser(acceptation, None, maintenant)
        return True

    # --- Ce que deux personnes en règlent ----------------------------------------------------------------------------

    def imputer_argent(
        self,
        anomalie: IdAnomalie,
        imputations: tuple[Imputation, ...],
        *,
        saisi_par: str,
        approuve_par: str,
        maintenant: datetime,
    ) -> None:
        """Rattache de l'argent à ces créances ; elles l'enregistrent du même bloc. Lève MontantSuperieurAOuvert."""
        montant = Centimes(sum(imputation.part for imputation in imputations))
        self._exiger_reste(anomalie, montant)
        self.trigger_event(
            self.EncaissementImputé,
            anomalie=anomalie,
            montant=montant,
            imputations=imputations,
            saisi_par=saisi_par,
            approuve_par=approuve_par,
            timestamp=maintenant,
        )

    def rendre_argent(
        self,
        anomalie: IdAnomalie,
        montant: Centimes,
        voie: Voie | None,
        *,
        saisi_par: str,
        approuve_par: str,
        maintenant: datetime,
    ) -> None:
        """Rend de l'argent sans créance, ou constate que la banque l'a repris. Lève MontantSuperieurAOuvert."""
        self._exiger_reste(anomalie, montant)
        self.trigger_event(
            self.EncaissementRendu,
            anomalie=anomalie,
            montant=montant,
            voie=voie,
            saisi_par=saisi_par,
            approuve_par=approuve_par,
            timestamp=maintenant,
        )

    def finir_verification(self, *, maintenant: datetime) -> None:
        """Donne sa fin à un paiement en vérification dont tout l'argent est réglé ; sinon ne produit rien.

        Accepté si une créance en a reçu, échoué si tout a été rendu. L'acceptation du bon montant peut encore suivre.
        """
        if self.fin is not Fin.EN_VERIFICATION or self.non_rattache:
            return
        rattache = self.rattache > 0
        self.trigger_event(
            self.PaiementRéglé,
            issue=Fin.ACCEPTE if rattache else Fin.ECHOUE,
            montant=Somme(self.rattache),
            accepte_le=self.argent_pris_le if rattache else None,
            cause=ARGENT_RATTACHE if rattache else ARGENT_RENDU,
            timestamp=maintenant,
        )

    def demander_remboursement(self, anomalie: IdAnomalie, montant: Somme, *, maintenant: datetime) -> None:
        """Retient qu'un remboursement est demandé à la banque. Lève RemboursementEnCours, MontantSuperieurAOuvert."""
        if self.remboursement is not None:
            raise RemboursementEnCours
        garde = self.pris - self.recredite
        if not 0 < montant <= garde:
            raise MontantSuperieurAOuvert(garde)
        self.trigger_event(
            self.RemboursementDemandé,
            anomalie=anomalie,
            montant=montant,
            reste_avant=Somme(garde),
            suivi=True,
            timestamp=maintenant,
        )

    @property
    def peut_etre_envoye(self) -> bool:
        """Vrai si le remboursement demandé a pu partir vers la banque."""
        return self.remboursement is not None and (self.envois > 0 or not self.remboursement.suivi)

    @property
    def sans_reponse_depuis(self) -> datetime | None:
        """Depuis quand le remboursement demandé, peut-être parti, est sans réponse ; None s'il n'est jamais parti."""
        if self.remboursement is None or not self.peut_etre_envoye:
            return None
        return self.dernier_envoi or self.remboursement.timestamp

    def noter_envoi(self, demande: int, apres: int, *, maintenant: datetime) -> bool:
        """Enregistre que le remboursement demandé à cette version part vers la banque.

        Rend Faux, et ne produit rien, si ce n'est plus lui qui est demandé ou s'il est parti plus de `apres` fois.
        """
        voulu = self.remboursement
        if voulu is None or voulu.originator_version != demande or self.envois != apres:
            return False
        self.trigger_event(self.RemboursementEnvoyé, anomalie=voulu.anomalie, timestamp=maintenant)
        return True

    def conclure_remboursement(self, anomalie: IdAnomalie, refus: str | None, *, maintenant: datetime) -> bool:
        """Enregistre ce que la banque a fait du remboursement demandé ; rend Faux s'il n'y en a plus pour celle-ci."""
        demande = self.remboursement
        if demande is None or demande.anomalie != anomalie:
            return False
        if refus is None:
            self.trigger_event(self.RemboursementFait, anomalie=anomalie, montant=demande.montant, timestamp=maintenant)
        else:
            self.trigger_event(self.RemboursementRefusé, anomalie=anomalie, cause=refus, timestamp=maintenant)
        return True

    def _exiger_reste(self, anomalie: IdAnomalie, montant: int) -> None:
        reste = self.reste_de(anomalie)
        if not 0 < montant <= reste:
            raise MontantSuperieurAOuvert(reste)

    def _preciser(self, acceptation: Acceptation, raison: Sort | None, maintenant: datetime) -> None:
        self.trigger_event(
            self.AcceptationPrécisée,
            montant=acceptation.montant,
            raison=raison,
            marchand=acceptation.marchand,
            autorisation=acceptation.autorisation,
            timestamp=maintenant,
        )


_PREFIXE: Final = "paiement-"

FaitDePaiement: TypeAlias = (
    Paiement.PaiementOuvert
    | Paiement.PaiementConclu
    | Paiement.EncaissementNonImputé
    | Paiement.AcceptationPrécisée
    | Paiement.EncaissementImputé
    | Paiement.EncaissementRendu
    | Paiement.PaiementRéglé
    | Paiement.RemboursementDemandé
    | Paiement.RemboursementEnvoyé
    | Paiement.RemboursementFait
    | Paiement.RemboursementRefusé
)
"""Tous les faits d'un paiement : la somme fermée sur laquelle chaque `match` se finit par `assert_never`."""

FAITS_DE_PAIEMENT: Final[tuple[type[FaitDePaiement], ...]] = get_args(FaitDePaiement)


def est_de_paiement(fait: object) -> TypeGuard[FaitDePaiement]:
    """Dit si c'est un fait d'un paiement."""
    return isinstance(fait, FAITS_DE_PAIEMENT)
