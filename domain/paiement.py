"""Le paiement : une tentative de l'assuré au kiosque, et ce que la banque en dit."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Self, TypeAlias, TypeGuard, get_args

from pydantic import AwareDatetime

from domain.avis import Canal
from domain.diffusion import Diffusion
from domain.faits import Agregat, Fait, Naissance
from domain.imputation import Imputation
from domain.monnaie import Centimes
from domain.references import CodeCaisse, Pseudonyme, ReferenceTransaction
from domain.refus import PaiementClos
from domain.sort import Sort


class Fin(StrEnum):
    """Comment un paiement a fini."""

    ACCEPTE = "accepte"
    ECHOUE = "echoue"
    EXPIRE = "expire"
    """Inconnu du kiosque passé le délai : nous l'avons clos nous-mêmes. Une acceptation peut encore suivre."""


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

    class PaiementConclu(Event):
        """Le paiement a une fin : accepté, échoué ou expiré. Une acceptation peut suivre les deux autres."""

        TOPIC: ClassVar[str] = "paiement.PaiementConclu"
        issue: Fin
        code: Annotated[str, Diffusion.PUBLIQUE] | None
        """Le code de réponse du kiosque ; absent si nous avons expiré le paiement nous-mêmes."""
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

        def mutate(self, aggregate: Any) -> Any:
            """Applique le fait ; s'il est le premier du flux, le paiement nous était inconnu."""
            if aggregate is not None:
                return super().mutate(aggregate)
            paiement = Paiement.__new__(Paiement)
            paiement.__base_init__(self.originator_id, self.originator_version, self.timestamp)
            Paiement.__init__(
                paiement,
                transaction=Paiement.transaction_de(self.originator_id),
                assure=None,
                caisse=None,
                canal=None,
                marchand=self.marchand,
                montant=0,
                imputations=(),
                expire_le=None,
            )
            self.apply(paiement)
            return paiement

        def apply(self, paiement: "Paiement") -> None:
            paiement.non_imputes.add((self.montant, self.autorisation))

    def __init__(
        self,
        *,
        transaction: str,
        assure: str | None,
        caisse: str | None,
        canal: Canal | None,
        marchand: str,
        montant: int,
        imputations: tuple[Imputation, ...],
        expire_le: datetime | None,
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
        self.fin: Fin | None = None
        self.code: str | None = None
        self.cause: str | None = None
        self.autorisation: str | None = None
        self.accepte_le: datetime | None = None
        self.conclu_le: datetime | None = None
        self.non_imputes: set[tuple[int, str | None]] = set()

    # --- Ce qu'il est ------------------------------------------------------------------------------------------------

    @staticmethod
    def flux(transaction: str) -> str:
        """Le nom du flux d'événements d'un paiement."""
        return _PREFIXE + transaction

    @staticmethod
    def transaction_de(flux: str) -> str:
        """La transaction du paiement dont c'est le flux ; lève ValueError si c'en est un autre."""
        if not flux.startswith(_PREFIXE):
            raise ValueError(f"ce flux n'est pas celui d'un paiement : {flux}")
        return flux.removeprefix(_PREFIXE)

    @property
    def connu(self) -> bool:
        """Faux si nous n'avons jamais ouvert ce paiement et que la banque en parle quand même."""
        return self.assure is not None

    def exiger_ouvert(self, maintenant: datetime) -> None:
        """Vérifie que le formulaire du kiosque peut encore être remis ; lève PaiementClos sinon."""
        if self.fin is not None or self.expire_le is None or maintenant >= self.expire_le:
            raise PaiementClos

    # --- Ce qui lui arrive -------------------------------------------------------------------------------------------

    @classmethod
    def ouvrir(
        cls,
        transaction: str,
        *,
        assure: str,
        caisse: str,
        canal: Canal,
        marchand: str,
        montant: int,
        imputations: tuple[Imputation, ...],
        expire_le: datetime,
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
    def encaisser_inconnu(cls, transaction: str, **champs: Any) -> Self:
        """Enregistre l'argent d'un paiement que nous n'avons jamais ouvert ; mêmes champs que l'événement."""
        fait = cls.EncaissementNonImputé(
            originator_id=cls.flux(transaction), originator_version=cls.INITIAL_VERSION, **champs
        )
        paiement: Self = fait.mutate(None)
        paiement.pending_events.append(fait)
        return paiement

    def encaisser_sans_imputer(self, **champs: Any) -> None:
        """Enregistre de l'argent qu'aucune créance ne peut recevoir encore ; mêmes champs que l'événement."""
        self.trigger_event(self.EncaissementNonImputé, **champs)


_PREFIXE: Final = "paiement-"

FaitDePaiement: TypeAlias = Paiement.PaiementOuvert | Paiement.PaiementConclu | Paiement.EncaissementNonImputé
"""Tous les faits d'un paiement : la somme fermée sur laquelle chaque `match` se finit par `assert_never`."""

FAITS_DE_PAIEMENT: Final[tuple[type[FaitDePaiement], ...]] = get_args(FaitDePaiement)


def est_de_paiement(fait: object) -> TypeGuard[FaitDePaiement]:
    """Dit si c'est un fait d'un paiement."""
    return isinstance(fait, FAITS_DE_PAIEMENT)
