"""L'anomalie : ce qu'une personne doit régler, et ce qu'elle en décide ; à deux, là où de l'argent bouge.

Une anomalie ne naît pas ici : un sort, de l'argent sans créance, un trop-perçu la font. Ce flux ne porte que ce que des
personnes en ont fait : il nomme des agents et reste dans le service.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final, Self, TypeAlias, TypeGuard, get_args

from pydantic import AwareDatetime

from domain.diffusion import Agent
from domain.faits import Agregat, Fait
from domain.geste import A_DEUX, Geste, IdAnomalie, Proposition, Texte, meme_personne
from domain.monnaie import Somme
from domain.references import ReferenceTransaction
from domain.refus import (
    AnomalieDejaReglee,
    AucunePropositionEnAttente,
    PropositionAutre,
    PropositionEnAttente,
    PropositionPerimee,
    SecondePersonneRequise,
)


class Anomalie(Agregat):
    """Ce que des personnes ont fait d'une anomalie."""

    TOPIC = "anomalie"

    class Event(Fait):
        """Un fait du règlement d'une anomalie ; il nomme des agents, il ne sort donc pas du service."""

        PUBLIE: ClassVar[bool] = False

        def commencer(self) -> "Anomalie":
            """Le premier fait ouvre le flux."""
            return Anomalie.intacte(Anomalie.id_de(self.originator_id), maintenant=self.timestamp)

        def apply(self, anomalie: "Anomalie") -> None:
            """Fait évoluer l'anomalie ; n'affecte que des attributs, ne décide de rien."""

    class AnomalieSignalée(Event):
        """Une personne, ou une réponse de la banque, a signalé ce qu'aucune règle n'avait vu."""

        TOPIC: ClassVar[str] = "anomalie.AnomalieSignalee"
        KEPT: ClassVar[bool] = True
        cause: Texte
        montant: Somme
        transaction: ReferenceTransaction
        par: Agent

        def apply(self, anomalie: "Anomalie") -> None:
            anomalie.signalee = self
            anomalie.reglee_le = None

    class RèglementProposé(Event):
        """Une première personne a dit quoi faire ; une seconde doit l'approuver avant l'échéance."""

        TOPIC: ClassVar[str] = "anomalie.ReglementPropose"
        KEPT: ClassVar[bool] = True
        proposition: Proposition
        par: Agent
        expire_le: AwareDatetime

        def apply(self, anomalie: "Anomalie") -> None:
            anomalie.proposee = self

    class RèglementApprouvé(Event):
        """Une seconde personne l'a approuvé."""

        TOPIC: ClassVar[str] = "anomalie.ReglementApprouve"
        par: Agent

        def apply(self, anomalie: "Anomalie") -> None:
            anomalie.approuvee_par = self.par

    class RèglementDécliné(Event):
        """La proposition ne sera pas suivie : une personne l'a déclinée, ou l'a retirée."""

        TOPIC: ClassVar[str] = "anomalie.ReglementDecline"
        par: Agent
        motif: Texte

        def apply(self, anomalie: "Anomalie") -> None:
            anomalie.proposee = None

    class RèglementAbandonné(Event):
        """Approuvé, il n'a pas été exécuté (la banque refuse, ou une personne y renonce) : tout est comme avant lui."""

        TOPIC: ClassVar[str] = "anomalie.ReglementAbandonne"
        cause: Texte

        def apply(self, anomalie: "Anomalie") -> None:
            anomalie.proposee = anomalie.approuvee_par = None

    class AnomalieRéglée(Event):
        """Le règlement est fait ; ce qu'il change à l'argent est enregistré du même bloc."""

        TOPIC: ClassVar[str] = "anomalie.AnomalieReglee"
        KEPT: ClassVar[bool] = True
        proposition: Proposition
        saisi_par: Agent
        approuve_par: Agent | None
        """Absent quand une seule personne suffit."""

        def apply(self, anomalie: "Anomalie") -> None:
            anomalie.proposee = anomalie.approuvee_par = None
            anomalie.reglee_le = self.timestamp
            anomalie.dernier = self

    def __init__(self, *, ident: IdAnomalie) -> None:
        """Passer par `intacte`."""
        self.ident = ident
        self.signalee: Anomalie.AnomalieSignalée | None = None
        self.proposee: Anomalie.RèglementProposé | None = None
        self.approuvee_par: str | None = None
        self.reglee_le: datetime | None = None
        self.dernier: Anomalie.AnomalieRéglée | None = None

    @staticmethod
    def flux(ident: str) -> str:
        """Le nom du flux d'événements d'une anomalie."""
        return _PREFIXE + ident

    @staticmethod
    def id_de(flux: str) -> IdAnomalie:
        """L'anomalie dont c'est le flux ; lève ValueError si c'en est un autre."""
        if not flux.startswith(_PREFIXE):
            raise ValueError(f"ce flux n'est pas celui d'une anomalie : {flux}")
        return IdAnomalie(flux.removeprefix(_PREFIXE))

    @classmethod
    def intacte(cls, ident: str, *, maintenant: datetime) -> Self:
        """Une anomalie dont personne n'a encore rien fait : elle n'a pas d'événement."""
        anomalie = cls.__new__(cls)
        anomalie.__base_init__(cls.flux(ident), 0, maintenant)
        anomalie.__init__(ident=IdAnomalie(ident))  # type: ignore[misc]
        return anomalie

    # --- Ce que des personnes en font --------------------------------------------------------------------------------

    def signaler(
        self, cause: str, montant: Somme, transaction: ReferenceTransaction, *, par: str, maintenant: datetime
    ) -> None:
        """Signale une anomalie ; la même, encore ouverte, ne produit rien."""
        if self.signalee is not None and self.reglee_le is None and self.signalee.cause == cause:
            return
        self.trigger_event(
            self.AnomalieSignalée,
            cause=cause,
            montant=montant,
            transaction=transaction,
            par=par,
            timestamp=maintenant,
        )

    def en_attente(self, maintenant: datetime) -> "Anomalie.RèglementProposé | None":
        """La proposition qu'une seconde personne peut encore approuver."""
        proposee = self.proposee
        if proposee is None or self.approuvee_par is not None or maintenant >= proposee.expire_le:
            return None
        return proposee

    def proposer(self, proposition: Proposition, *, par: str, expire_le: datetime, maintenant: datetime) -> bool:
        """Propose un règlement ; rend Faux si c'est la proposition déjà en attente, de la même personne.

        Lève PropositionEnAttente si une autre attend, ou si un règlement approuvé attend la banque.
        """
        attend = self.en_attente(maintenant)
        if attend is not None and attend.proposition == proposition and meme_personne(attend.par, par):
            return False
        self.exiger_libre(maintenant)
        self.trigger_event(
            self.RèglementProposé, proposition=proposition, par=par, expire_le=expire_le, timestamp=maintenant
        )
        return True

    def exiger_libre(self, maintenant: datetime) -> None:
        """Vérifie qu'aucune proposition n'attend ; lève PropositionEnAttente."""
        if self.proposee is not None and (self.approuvee_par is not None or self.en_attente(maintenant)):
            raise PropositionEnAttente(self.proposee.expire_le)

    def approuver(self, *, par: str, version: int | None, maintenant: datetime) -> "Anomalie.RèglementProposé":
        """La seconde personne approuve ; rend la proposition. `version` : celle qu'elle a lue (None : la dernière).

        Lève AnomalieDejaReglee, AucunePropositionEnAttente, PropositionPerimee, PropositionAutre ou
        SecondePersonneRequise.
        """
        proposee = self._attendue(version, maintenant)
        if not par or meme_personne(proposee.par, par):
            raise SecondePersonneRequise
        self.trigger_event(self.RèglementApprouvé, par=par, timestamp=maintenant)
        return proposee

    def decliner(self, motif: str, *, par: str, version: int | None, maintenant: datetime) -> None:
        """Décline la proposition, ou la retire. Lève comme `approuver`, sauf qu'une même personne le peut."""
        self._attendue(version, maintenant)
        self.trigger_event(self.RèglementDécliné, par=par, motif=motif, timestamp=maintenant)

    def abandonner(self, cause: str, *, maintenant: datetime) -> None:
        """Un règlement approuvé ne sera pas fait ; sans règlement en cours d'exécution, ne produit rien."""
        if self.approuvee_par is not None:
            self.trigger_event(self.RèglementAbandonné, cause=cause, timestamp=maintenant)

    def regler(
        self, proposition: Proposition, *, saisi_par: str, approuve_par: str | None, maintenant: datetime
    ) -> None:
        """Enregistre le règlement fait. Lève SecondePersonneRequise si deux personnes distinctes étaient requises."""
        if proposition.geste in A_DEUX and (not approuve_par or meme_personne(saisi_par, approuve_par)):
            raise SecondePersonneRequise
        self.trigger_event(
            self.AnomalieRéglée,
            proposition=proposition,
            saisi_par=saisi_par,
            approuve_par=approuve_par,
            timestamp=maintenant,
        )

    def _attendue(self, version: int | None, maintenant: datetime) -> "Anomalie.RèglementProposé":
        if self.proposee is None or self.approuvee_par is not None:
            # Un règlement d'une part seulement la laisse ouverte : si elle l'est encore, son dossier le dit.
            if self.approuvee_par is not None:
                raise AnomalieDejaReglee
            raise AucunePropositionEnAttente
        lue = self.proposee.originator_version if version is None else version
        # Qui ne dit pas laquelle n'a pas lu celle que l'on n'avait pas encore faite quand il a décidé.
        if lue != self.proposee.originator_version or (version is None and maintenant < self.proposee.timestamp):
            raise PropositionAutre
        if maintenant >= self.proposee.expire_le:
            raise PropositionPerimee(self.proposee.expire_le)
        return self.proposee


_PREFIXE: Final = "anomalie-"

FaitDAnomalie: TypeAlias = (
    Anomalie.AnomalieSignalée
    | Anomalie.RèglementProposé
    | Anomalie.RèglementApprouvé
    | Anomalie.RèglementDécliné
    | Anomalie.RèglementAbandonné
    | Anomalie.AnomalieRéglée
)
"""Tous les faits d'une anomalie : la somme fermée sur laquelle chaque `match` se finit par `assert_never`."""

FAITS_D_ANOMALIE: Final[tuple[type[FaitDAnomalie], ...]] = get_args(FaitDAnomalie)


def est_d_anomalie(fait: object) -> TypeGuard[FaitDAnomalie]:
    """Dit si c'est un fait d'une anomalie."""
    return isinstance(fait, FAITS_D_ANOMALIE)


LIBELLES: Final[Mapping[Geste, str]] = {
    Geste.RATTACHER: "Rattacher l'argent à une créance",
    Geste.CONCLURE: "Conclure le paiement avec l'argent pris",
    Geste.RENDRE: "Rendre l'argent",
    Geste.CONSTATER_REPRISE: "Constater que la banque a repris l'argent",
    Geste.REMBOURSER: "Rembourser le trop-perçu",
    Geste.CONTREPASSER: "Contre-passer le paiement",
    Geste.APPLIQUER: "Appliquer le message à une créance",
    Geste.ECARTER: "Écarter le message",
    Geste.RENVOYER: "Renvoyer le message à la caisse",
    Geste.FAUSSE_ALERTE: "Déclarer une fausse alerte",
    Geste.LIBERER: "Reprendre l'événement écarté",
    Geste.REJOUER: "Rejouer le message",
    Geste.REPRENDRE: "Reprendre la partition",
}
"""Ce qu'une personne lit de chaque geste."""
