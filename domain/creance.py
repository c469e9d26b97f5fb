"""La créance : ce qu'un avis de somme à payer ouvre, et tout ce qui en fait monter ou baisser le restant dû.

Plus de 300 lignes : tout le vocabulaire de l'agrégat, ses faits et ses décisions, se lit en un endroit.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NamedTuple,
    Self,
    TypeAlias,
    TypeGuard,
    assert_never,
    get_args,
)

from pydantic import AwareDatetime, Field

from domain.avis import Avis, Canal, MessageId, Mode, Motif, Moyen, Nature
from domain.diffusion import Agent, Diffusion
from domain.faits import Agregat, Fait, Naissance
from domain.geste import IdAnomalie, Voie, meme_personne
from domain.monnaie import Centimes, Somme, euros
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from domain.refus import (
    AvisContradictoire,
    AvisDejaAnnule,
    MessageContradictoire,
    MontantSuperieurAOuvert,
    PaiementNonAccepte,
    RemboursementExcessif,
    SecondePersonneRequise,
)

_facultatif: Final[Any] = Field(None, exclude_if=lambda valeur: valeur is None)
"""Un champ venu plus tard : absent, il n'est pas stocké, et ce qui l'a été se lit encore."""


class Reservation(NamedTuple):
    """La part qu'un paiement en cours retient, et jusqu'à quand il peut être repris."""

    part: Centimes
    expire_le: datetime


@dataclass(slots=True)
class PartRattachee:
    """De l'argent que deux personnes ont rattaché à la créance, et ce qui en a été contre-passé ; centimes."""

    transaction: ReferenceTransaction
    part: int
    contrepassee: int = 0


@dataclass(slots=True)
class PartAcceptee:
    """La part qu'un paiement accepté a réglée ; contre-passée, elle reste connue comme acceptée."""

    part: Centimes
    accepte_le: datetime
    affichee: bool = False
    contrepassee: bool = False


ContenuDeMessage: TypeAlias = (
    tuple[Literal["encaissement"], Centimes, Moyen, date]
    | tuple[Literal["rectification"], Centimes, str]
    | tuple[Literal["remboursement"], Somme]
    | tuple[Literal["annulation"], str]
)
"""Ce qu'un message a dit, pour en reconnaître un second : le même, ou un autre sous le même identifiant."""


class Créance(Agregat):
    """La dette ouverte par un avis de somme à payer.

    `solde = montant − Σ parts acceptees − Σ rattachements − Σ encaissements + Σ contre-passations + Σ remboursements`,
    signé : son côté positif est le restant dû, son côté négatif le trop-perçu.
    """

    TOPIC = "creance"

    class Event(Fait):
        """Un fait de la créance."""

        def apply(self, creance: "Créance") -> None:
            """Fait évoluer la créance ; n'affecte que des attributs, ne décide de rien."""

    class AvisEmis(Event, Naissance):
        """Un avis de somme à payer a été émis : la créance est ouverte."""

        TOPIC: ClassVar[str] = "creance.AvisEmis"
        reference: ReferenceCreance
        assure: Pseudonyme
        caisse: CodeCaisse
        nature: Nature
        montant_initial: Centimes
        solde_pf_fr: Centimes
        date_emission: date
        mode: Mode
        payable_en_ligne: bool
        """Jugé une fois, sur le solde que porte l'avis à son émission."""

    class PaiementInitié(Event):
        """Un paiement en cours réserve sa part, pour que deux paiements ne puissent pas régler deux fois."""

        TOPIC: ClassVar[str] = "creance.PaiementInitie"
        transaction: ReferenceTransaction
        part: Centimes
        canal: Canal
        expire_le: AwareDatetime

        def apply(self, creance: "Créance") -> None:
            creance.en_cours[self.transaction] = Reservation(self.part, self.expire_le)

    class PaiementAccepté(Event):
        """La banque a accepté un paiement : un fait, quel que soit l'état de la créance."""

        TOPIC: ClassVar[str] = "creance.PaiementAccepte"
        transaction: ReferenceTransaction
        part: Centimes
        part_liberee: Centimes
        """La réservation que l'acceptation lève ; nulle si un échec l'avait déjà levée."""
        accepte_le: AwareDatetime

        def apply(self, creance: "Créance") -> None:
            creance.en_cours.pop(self.transaction, None)
            creance.acceptees[self.transaction] = PartAcceptee(self.part, self.accepte_le)
            creance.solde -= self.part

    class PaiementÉchoué(Event):
        """Un paiement n'a pas abouti : sa réservation est levée."""

        TOPIC: ClassVar[str] = "creance.PaiementEchoue"
        transaction: ReferenceTransaction
        part_liberee: Centimes
        cause: Annotated[str, Diffusion.PUBLIQUE]

        def apply(self, creance: "Créance") -> None:
            del creance.en_cours[self.transaction]

    class PaiementAffiché(Event):
        """Le paiement accepté est visible sur le compte de l'assuré : le délai de 24 h s'arrête."""

        TOPIC: ClassVar[str] = "creance.PaiementAffiche"
        transaction: ReferenceTransaction
        affiche_le: AwareDatetime

        def apply(self, creance: "Créance") -> None:
            creance.acceptees[self.transaction].affichee = True

    class PaiementContrepassé(Event):
        """Un paiement accepté a été repris par la banque ou annulé par la caisse : la dette revient."""

        TOPIC: ClassVar[str] = "creance.PaiementContrepasse"
        transaction: ReferenceTransaction
        part: Centimes
        motif: Motif
        saisi_par: Agent
        approuve_par: Agent
        anomalie: IdAnomalie | None = _facultatif
        """Le rattachement repris ; absent si c'est la part que le paiement réglait lui-même."""

        def apply(self, creance: "Créance") -> None:
            if self.anomalie is None:
                creance.acceptees[self.transaction].contrepassee = True
            else:
                creance.rattachees[self.anomalie].contrepassee += self.part
            creance.solde += self.part

    class EncaissementRattaché(Event):
        """Deux personnes ont rattaché à la créance de l'argent que la banque avait pris et qu'aucune n'avait reçu."""

        TOPIC: ClassVar[str] = "creance.EncaissementRattache"
        transaction: ReferenceTransaction
        anomalie: IdAnomalie
        """L'anomalie que ce rattachement règle : elle nomme l'argent."""
        part: Centimes
        saisi_par: Agent
        approuve_par: Agent

        def apply(self, creance: "Créance") -> None:
            rattachee = creance.rattachees.setdefault(self.anomalie, PartRattachee(self.transaction, 0))
            rattachee.part += self.part
            creance.solde -= self.part

    class TropPerçuConstaté(Event):
        """Le trop-perçu a changé ; l'événement en porte le nouveau total, aussi quand il baisse."""

        TOPIC: ClassVar[str] = "creance.TropPercuConstate"
        total: Somme

        def apply(self, creance: "Créance") -> None:
            creance.trop_percu_constate = self.total

    class TropPerçuRemboursé(Event):
        """Une partie du trop-perçu a été rendue à l'assuré."""

        TOPIC: ClassVar[str] = "creance.TropPercuRembourse"
        message_id: MessageId
        montant: Somme
        saisi_par: Agent
        approuve_par: Agent
        voie: Voie | None = _facultatif
        """Par où l'argent est rendu ; absent des premiers remboursements."""
        transaction: ReferenceTransaction | None = _facultatif
        """Le paiement dont la carte a été recréditée."""

        def apply(self, creance: "Créance") -> None:
            creance.messages[self.message_id] = ("remboursement", self.montant)
            creance.solde += self.montant
            if self.transaction is not None:
                creance.recredites[self.transaction] = creance.recredites.get(self.transaction, 0) + self.montant

    class EncaissementReçu(Event):
        """La caisse a encaissé une somme par un autre moyen (chèque, virement, retenue)."""

        TOPIC: ClassVar[str] = "creance.EncaissementRecu"
        class_version: ClassVar[int] = 2
        message_id: MessageId
        montant: Centimes
        moyen: Moyen
        encaisse_le: date
        """Le jour que dit la caisse."""

        @staticmethod
        def upcast_v1_v2(etat: dict[str, Any]) -> None:
            """`date` portait le nom d'un type : la même valeur, sous un nom qui dit ce qu'elle est."""
            etat["encaisse_le"] = etat.pop("date")

        def apply(self, creance: "Créance") -> None:
            creance.messages[self.message_id] = ("encaissement", self.montant, self.moyen, self.encaisse_le)
            creance.solde -= self.montant

    class AvisRectifié(Event):
        """La caisse a corrigé le montant de l'avis."""

        TOPIC: ClassVar[str] = "creance.AvisRectifie"
        message_id: MessageId
        montant_initial: Centimes
        montant_precedent: Centimes
        motif: Motif

        def apply(self, creance: "Créance") -> None:
            creance.messages[self.message_id] = ("rectification", self.montant_initial, self.motif)
            creance.solde += self.montant_initial - self.montant_precedent
            creance.montant = self.montant_initial

    class AvisAnnulé(Event):
        """La caisse a annulé l'avis : plus rien n'est dû, ce qui a été payé devient trop-perçu."""

        TOPIC: ClassVar[str] = "creance.AvisAnnule"
        message_id: MessageId
        montant_precedent: Centimes
        motif: Motif

        def apply(self, creance: "Créance") -> None:
            creance.messages[self.message_id] = ("annulation", self.motif)
            creance.solde -= self.montant_precedent
            creance.montant = Centimes(0)
            creance.annulee = True

    def __init__(
        self,
        *,
        reference: ReferenceCreance,
        assure: Pseudonyme,
        caisse: CodeCaisse,
        nature: Nature,
        montant_initial: Centimes,
        solde_pf_fr: Centimes,
        date_emission: date,
        mode: Mode,
        payable_en_ligne: bool,
    ) -> None:
        """Reçoit les champs d'`AvisEmis` ; passer par `ouvrir`."""
        self.avis = Avis(reference, assure, caisse, nature, montant_initial, solde_pf_fr, date_emission, mode)
        self.payable_en_ligne = payable_en_ligne
        self.montant = montant_initial
        self.solde: int = montant_initial
        """Signé : une dette, ou un trop-perçu."""
        self.annulee = False
        self.trop_percu_constate = 0
        self.en_cours: dict[ReferenceTransaction, Reservation] = {}
        self.acceptees: dict[ReferenceTransaction, PartAcceptee] = {}
        self.rattachees: dict[str, PartRattachee] = {}
        """Par anomalie réglée."""
        self.recredites: dict[ReferenceTransaction, int] = {}
        """Ce qui a été rendu sur la carte de chaque paiement, en centimes."""
        self.messages: dict[str, ContenuDeMessage] = {}

    # --- Ce qu'elle est ----------------------------------------------------------------------------------------------

    @staticmethod
    def flux(reference: str) -> str:
        """Le nom du flux d'événements d'une créance."""
        return _PREFIXE + reference

    @staticmethod
    def reference_de(flux: str) -> ReferenceCreance:
        """La référence de la créance dont c'est le flux ; lève ValueError si c'en est un autre."""
        if not flux.startswith(_PREFIXE):
            raise ValueError(f"ce flux n'est pas celui d'une créance : {flux}")
        return ReferenceCreance(flux.removeprefix(_PREFIXE))

    @property
    def restant_du(self) -> int:
        """Ce qui reste à payer, en centimes."""
        return max(self.solde, 0)

    @property
    def trop_percu(self) -> int:
        """Ce qui a été payé de trop, en centimes."""
        return max(-self.solde, 0)

    @property
    def reserve(self) -> int:
        """La somme des parts des paiements en cours, en centimes."""
        return sum(reservation.part for reservation in self.en_cours.values())

    @property
    def disponible(self) -> int:
        """Le restant dû net des paiements en cours, en centimes : ce qu'un nouveau paiement peut encore régler."""
        return max(self.restant_du - self.reserve, 0)

    # --- La caisse ---------------------------------------------------------------------------------------------------

    @classmethod
    def ouvrir(cls, avis: Avis, politique: Politique, *, maintenant: datetime) -> Self:
        """Ouvre la créance d'un avis ; juge une fois pour toutes si elle se paie en ligne."""
        return cls._create(
            cls.AvisEmis,
            id=cls.flux(avis.reference),
            timestamp=maintenant,
            payable_en_ligne=politique.ouvre_au_paiement(avis.solde_pf_fr),
            **avis._asdict(),
        )

    def confirmer_avis(self, avis: Avis) -> None:
        """Le même avis une seconde fois ne change rien, même après une rectification.

        Lève AvisContradictoire si son contenu diffère de l'avis d'origine.
        """
        if avis != self.avis:
            raise AvisContradictoire(self.avis.differences(avis))

    def rectifier(self, message_id: str, montant_initial: Centimes, motif: str, *, maintenant: datetime) -> bool:
        """Corrige le montant de l'avis ; rend Faux si ce message était déjà enregistré.

        Lève MessageContradictoire ou AvisDejaAnnule.
        """
        if self._deja_recu(message_id, ("rectification", montant_initial, motif)):
            return False
        if self.annulee:
            raise AvisDejaAnnule
        self.trigger_event(
            self.AvisRectifié,
            message_id=message_id,
            montant_initial=montant_initial,
            montant_precedent=self.montant,
            motif=motif,
            timestamp=maintenant,
        )
        self._constater_trop_percu(maintenant)
        return True

    def annuler(self, message_id: str, motif: str, *, maintenant: datetime) -> bool:
        """Annule l'avis ; rend Faux si ce message était déjà enregistré.

        Lève MessageContradictoire ou AvisDejaAnnule.
        """
        if self._deja_recu(message_id, ("annulation", motif)):
            return False
        if self.annulee:
            raise AvisDejaAnnule
        self.trigger_event(
            self.AvisAnnulé,
            message_id=message_id,
            montant_precedent=self.montant,
            motif=motif,
            timestamp=maintenant,
        )
        self._constater_trop_percu(maintenant)
        return True

    def encaisser(self, message_id: str, montant: Centimes, moyen: Moyen, le: date, *, maintenant: datetime) -> bool:
        """Enregistre une somme reçue par un autre moyen ; rend Faux si ce message était déjà enregistré.

        L'argent reçu est un fait : il est enregistré aussi sur une créance soldée ou annulée.
        Lève MessageContradictoire.
        """
        if self._deja_recu(message_id, ("encaissement", montant, moyen, le)):
            return False
        self.trigger_event(
            self.EncaissementReçu,
            message_id=message_id,
            montant=montant,
            moyen=moyen,
            encaisse_le=le,
            timestamp=maintenant,
        )
        self._constater_trop_percu(maintenant)
        return True

    # --- Le paiement en ligne ----------------------------------------------------------------------------------------

    def initier_paiement(
        self,
        transaction: ReferenceTransaction,
        part: Centimes,
        canal: Canal,
        expire_le: datetime,
        *,
        maintenant: datetime,
    ) -> None:
        """Réserve la part d'un paiement qui s'ouvre.

        Lève ValueError si la part n'est pas disponible : `domain.ouverture` l'a refusé avant.
        """
        if not 0 < part <= self.disponible:
            raise ValueError(f"part de {part} centimes pour {self.disponible} disponibles")
        self.trigger_event(
            self.PaiementInitié,
            transaction=transaction,
            part=part,
            canal=canal,
            expire_le=expire_le,
            timestamp=maintenant,
        )

    def accepter_paiement(
        self, transaction: ReferenceTransaction, part: Centimes, accepte_le: datetime, *, maintenant: datetime
    ) -> None:
        """Enregistre l'accord de la banque ; une transaction déjà acceptée ne produit rien."""
        if transaction in self.acceptees:
            return
        reservation = self.en_cours.get(transaction)
        self.trigger_event(
            self.PaiementAccepté,
            transaction=transaction,
            part=part,
            part_liberee=reservation.part if reservation else Centimes(0),
            accepte_le=accepte_le,
            timestamp=maintenant,
        )
        self._constater_trop_percu(maintenant)

    def constater_echec(self, transaction: ReferenceTransaction, cause: str, *, maintenant: datetime) -> None:
        """Lève la réservation d'un paiement qui n'a pas abouti ; sans réservation, ne produit rien."""
        reservation = self.en_cours.get(transaction)
        if reservation is None:
            return
        self.trigger_event(
            self.PaiementÉchoué,
            transaction=transaction,
            part_liberee=reservation.part,
            cause=cause,
            timestamp=maintenant,
        )

    def afficher_paiement(self, transaction: ReferenceTransaction, *, maintenant: datetime) -> None:
        """Constate que le paiement accepté est visible sur le compte ; déjà affiché, ne produit rien."""
        acceptee = self.acceptees.get(transaction)
        if acceptee is None or acceptee.affichee:
            return
        self.trigger_event(self.PaiementAffiché, transaction=transaction, affiche_le=maintenant, timestamp=maintenant)

    # --- Ce qui demande deux personnes -------------------------------------------------------------------------------

    def rattacher(
        self,
        transaction: ReferenceTransaction,
        anomalie: IdAnomalie,
        part: Centimes,
        *,
        saisi_par: str,
        approuve_par: str,
        maintenant: datetime,
    ) -> None:
        """Reçoit de l'argent pris par la banque, jusqu'à ce qui reste dû net des paiements en cours.

        Lève SecondePersonneRequise ou MontantSuperieurAOuvert.
        """
        _exiger_deux_personnes(saisi_par, approuve_par)
        if not 0 < part <= self.disponible:
            raise MontantSuperieurAOuvert(self.disponible)
        self.trigger_event(
            self.EncaissementRattaché,
            transaction=transaction,
            anomalie=anomalie,
            part=part,
            saisi_par=saisi_par,
            approuve_par=approuve_par,
            timestamp=maintenant,
        )
        self._constater_trop_percu(maintenant)

    def porte(self, transaction: ReferenceTransaction) -> int:
        """Ce que la créance a reçu de ce paiement et qui n'est pas contre-passé, en centimes."""
        acceptee = self.acceptees.get(transaction)
        recu = acceptee.part if acceptee is not None and not acceptee.contrepassee else 0
        return recu + sum(
            rattachee.part - rattachee.contrepassee
            for rattachee in self.rattachees.values()
            if rattachee.transaction == transaction
        )

    def contrepasse(self, transaction: ReferenceTransaction) -> int:
        """Ce qui, de ce paiement, a été contre-passé, en centimes."""
        acceptee = self.acceptees.get(transaction)
        repris = acceptee.part if acceptee is not None and acceptee.contrepassee else 0
        return repris + sum(r.contrepassee for r in self.rattachees.values() if r.transaction == transaction)

    def contrepasser_tout(
        self, transaction: ReferenceTransaction, motif: str, *, saisi_par: str, approuve_par: str, maintenant: datetime
    ) -> int:
        """Reprend tout ce que la créance a reçu de ce paiement ; rend ces centimes, 0 s'il n'y en avait plus.

        Lève SecondePersonneRequise.
        """
        _exiger_deux_personnes(saisi_par, approuve_par)
        repris = self.porte(transaction)
        communs = {"transaction": transaction, "motif": motif, "saisi_par": saisi_par, "approuve_par": approuve_par}
        acceptee = self.acceptees.get(transaction)
        if acceptee is not None and not acceptee.contrepassee:
            self.contrepasser(transaction, motif, saisi_par=saisi_par, approuve_par=approuve_par, maintenant=maintenant)
        for anomalie, rattachee in list(self.rattachees.items()):
            reste = rattachee.part - rattachee.contrepassee
            if rattachee.transaction == transaction and reste:
                self.trigger_event(
                    self.PaiementContrepassé, part=reste, anomalie=anomalie, timestamp=maintenant, **communs
                )
        self._constater_trop_percu(maintenant)
        return repris

    def contrepasser(
        self, transaction: ReferenceTransaction, motif: str, *, saisi_par: str, approuve_par: str, maintenant: datetime
    ) -> None:
        """Reprend la part d'un paiement accepté ; il reste connu comme accepté.

        Lève SecondePersonneRequise ou PaiementNonAccepte.
        """
        _exiger_deux_personnes(saisi_par, approuve_par)
        acceptee = self.acceptees.get(transaction)
        if acceptee is None or acceptee.contrepassee:
            raise PaiementNonAccepte
        self.trigger_event(
            self.PaiementContrepassé,
            transaction=transaction,
            part=acceptee.part,
            motif=motif,
            saisi_par=saisi_par,
            approuve_par=approuve_par,
            timestamp=maintenant,
        )
        self._constater_trop_percu(maintenant)

    def rembourser(
        self,
        message_id: str,
        montant: Somme,
        *,
        saisi_par: str,
        approuve_par: str,
        maintenant: datetime,
        voie: Voie | None = None,
        transaction: ReferenceTransaction | None = None,
        deja_rendu: bool = False,
    ) -> bool:
        """Rend une partie du trop-perçu ; rend Faux si ce message était déjà enregistré.

        `deja_rendu` : la banque l'a fait ; c'est un fait, même si le trop-perçu a baissé entre-temps.

        Lève SecondePersonneRequise, RemboursementExcessif ou MessageContradictoire.
        """
        _exiger_deux_personnes(saisi_par, approuve_par)
        if self._deja_recu(message_id, ("remboursement", montant)):
            return False
        if not deja_rendu and not 0 < montant <= self.trop_percu:
            raise RemboursementExcessif
        self.trigger_event(
            self.TropPerçuRemboursé,
            message_id=message_id,
            montant=montant,
            saisi_par=saisi_par,
            approuve_par=approuve_par,
            voie=voie,
            transaction=transaction,
            timestamp=maintenant,
        )
        self._constater_trop_percu(maintenant)
        return True

    # --- En commun ---------------------------------------------------------------------------------------------------

    def _deja_recu(self, message_id: str, contenu: ContenuDeMessage) -> bool:
        """Dit si ce message est déjà enregistré ; lève MessageContradictoire si c'était avec un autre contenu."""
        connu = self.messages.get(message_id)
        if connu is None:
            return False
        if connu != contenu:
            raise MessageContradictoire(_dire_message(connu), _dire_message(contenu))
        return True

    def _constater_trop_percu(self, maintenant: datetime) -> None:
        if self.trop_percu != self.trop_percu_constate:
            self.trigger_event(self.TropPerçuConstaté, total=self.trop_percu, timestamp=maintenant)


def _dire_message(contenu: ContenuDeMessage) -> str:
    """Le contenu d'un message de la caisse, en toutes lettres, sans sa raison."""
    match contenu:
        case ("encaissement", montant, moyen, le):
            return f"encaissement de {euros(montant)}, {moyen} du {le:%d/%m/%Y}"
        case ("rectification", montant, _):
            return f"rectification à {euros(montant)}"
        case ("remboursement", montant):
            return f"remboursement de {euros(montant)}"
        case ("annulation", _):
            return "annulation"
        case _:
            assert_never(contenu)


def _exiger_deux_personnes(saisi_par: str, approuve_par: str) -> None:
    if not saisi_par or not approuve_par or meme_personne(saisi_par, approuve_par):
        raise SecondePersonneRequise


_PREFIXE: Final = "creance-"

FaitDeCreance: TypeAlias = (
    Créance.AvisEmis
    | Créance.PaiementInitié
    | Créance.PaiementAccepté
    | Créance.PaiementÉchoué
    | Créance.PaiementAffiché
    | Créance.PaiementContrepassé
    | Créance.EncaissementRattaché
    | Créance.TropPerçuConstaté
    | Créance.TropPerçuRemboursé
    | Créance.EncaissementReçu
    | Créance.AvisRectifié
    | Créance.AvisAnnulé
)
"""Tous les faits d'une créance : la somme fermée sur laquelle chaque `match` se finit par `assert_never`."""

FAITS_DE_CREANCE: Final[tuple[type[FaitDeCreance], ...]] = get_args(FaitDeCreance)


def est_de_creance(fait: object) -> TypeGuard[FaitDeCreance]:
    """Dit si c'est un fait d'une créance."""
    return isinstance(fait, FAITS_DE_CREANCE)
