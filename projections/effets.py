"""Ce que chaque fait d'argent ou de messagerie change pour qui le lit : seul l'audit en décide aussi, à part.

Chaque `match` finit par `assert_never` sur la somme fermée des faits : un fait nouveau dont rien n'est décidé ici est
nommé par mypy. Les vues et les lectures n'ajoutent que leur SQL. L'audit n'emploie pas ce module : il le vérifie.
Plus de 300 lignes : un cas par fait, et chaque question que les lecteurs en posent, côte à côte.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias, assert_never

from domain.anomalie import FAITS_D_ANOMALIE
from domain.avis import Moyen
from domain.creance import FAITS_DE_CREANCE, Créance, FaitDeCreance
from domain.delai import PARIS
from domain.messagerie import FAITS_DE_MESSAGERIE, FaitDeMessagerie, Messagerie
from domain.monnaie import euros
from domain.paiement import FAITS_DE_PAIEMENT, FaitDePaiement, Fin, Paiement


class Effet(NamedTuple):
    """Ce qu'un fait ajoute aux montants d'une créance, en centimes signés."""

    montant: int = 0
    """Au montant de l'avis."""
    solde: int = 0
    en_cours: int = 0
    """À la somme des parts réservées."""
    annulee: bool = False


RIEN: Final = Effet()


def effet(fait: FaitDeCreance) -> Effet:
    """L'effet d'un fait sur les montants de sa créance."""
    match fait:
        case Créance.AvisEmis():
            return Effet(montant=fait.montant_initial, solde=fait.montant_initial)
        case Créance.PaiementInitié():
            return Effet(en_cours=fait.part)
        case Créance.PaiementAccepté():
            return Effet(solde=-fait.part, en_cours=-fait.part_liberee)
        case Créance.PaiementÉchoué():
            return Effet(en_cours=-fait.part_liberee)
        case Créance.PaiementContrepassé():
            return Effet(solde=fait.part)
        case Créance.EncaissementRattaché():
            return Effet(solde=-fait.part)
        case Créance.TropPerçuRemboursé():
            return Effet(solde=fait.montant)
        case Créance.EncaissementReçu():
            return Effet(solde=-fait.montant)
        case Créance.AvisRectifié():
            ecart = fait.montant_initial - fait.montant_precedent
            return Effet(montant=ecart, solde=ecart)
        case Créance.AvisAnnulé():
            return Effet(montant=-fait.montant_precedent, solde=-fait.montant_precedent, annulee=True)
        case Créance.PaiementAffiché() | Créance.TropPerçuConstaté():
            return RIEN
        case _:
            assert_never(fait)


class Etat(StrEnum):
    """Où en est un mouvement."""

    EN_COURS = "en_cours"
    ACCEPTE = "accepte"
    ECHOUE = "echoue"
    CONTREPASSE = "contrepasse"
    ENREGISTRE = "enregistre"


class NouvelleLigne(NamedTuple):
    """Un fait qui se raconte par une ligne à lui ; son montant est ce qu'il change au solde."""

    libelle: str
    le: datetime | date
    etat: Etat = Etat.ENREGISTRE


class PaiementEnLigne(NamedTuple):
    """Un fait d'un paiement en ligne, qui tient tout entier en une ligne : ce qu'il y change, le reste absent."""

    transaction: str
    etat: Etat | None = None
    montant: int | None = None
    """Signé ; présent, le fait ouvre la ligne si elle manque."""
    affiche_le: datetime | None = None


Recit: TypeAlias = NouvelleLigne | PaiementEnLigne | None

_MOYENS: Final = {
    Moyen.CHEQUE: "Paiement par chèque",
    Moyen.VIREMENT: "Paiement par virement",
    Moyen.RETENUE: "Retenue sur vos remboursements",
}


def recit(fait: FaitDeCreance) -> Recit:
    """Ce que l'assuré lit d'un fait ; None s'il n'a rien à en lire."""
    match fait:
        case Créance.AvisEmis():
            return NouvelleLigne("Avis de somme à payer", fait.date_emission)
        case Créance.PaiementInitié():
            return PaiementEnLigne(fait.transaction, Etat.EN_COURS, -fait.part)
        case Créance.PaiementAccepté():
            # Une acceptation peut suivre un échec, ou venir sans réservation : c'est toujours la même ligne.
            return PaiementEnLigne(fait.transaction, Etat.ACCEPTE, -fait.part)
        case Créance.PaiementÉchoué():
            return PaiementEnLigne(fait.transaction, Etat.ECHOUE)
        case Créance.PaiementAffiché():
            return PaiementEnLigne(fait.transaction, affiche_le=fait.affiche_le)
        case Créance.PaiementContrepassé():
            return NouvelleLigne("Paiement en ligne repris", fait.timestamp, Etat.CONTREPASSE)
        case Créance.EncaissementRattaché():
            return NouvelleLigne("Paiement en ligne rattaché", fait.timestamp)
        case Créance.EncaissementReçu():
            return NouvelleLigne(_MOYENS[fait.moyen], fait.encaisse_le)
        case Créance.AvisRectifié():
            return NouvelleLigne("Montant rectifié par la caisse", fait.timestamp)
        case Créance.AvisAnnulé():
            return NouvelleLigne("Avis annulé par la caisse", fait.timestamp)
        case Créance.TropPerçuRemboursé():
            return NouvelleLigne("Trop-perçu remboursé", fait.timestamp)
        case Créance.TropPerçuConstaté():
            return None
        case _:
            assert_never(fait)


_PAR_MOYEN: Final = {Moyen.CHEQUE: "par chèque", Moyen.VIREMENT: "par virement", Moyen.RETENUE: "par retenue"}


def quand(instant: datetime) -> str:
    """`25/11/2026 à 14 h 30`, à l'heure de Paris."""
    return f"{instant.astimezone(PARIS):%d/%m/%Y à %H h %M}"


def phrase(fait: FaitDeCreance, creance: str = "cette créance") -> str:
    """Ce que le support peut en lire à la personne, tel quel : aucun mot propre à la banque.

    `creance` : comment la nommer, là où d'autres se racontent aussi.
    """
    match fait:
        case Créance.AvisEmis():
            return f"La caisse a émis un avis de {euros(fait.montant_initial)}, daté du {fait.date_emission:%d/%m/%Y}."
        case Créance.PaiementInitié():
            return (
                f"Un paiement en ligne de {euros(fait.part)} sur {creance} a commencé le {quand(fait.timestamp)} ;"
                f" il pouvait être fini jusqu'au {quand(fait.expire_le)}."
            )
        case Créance.PaiementAccepté():
            return f"La banque a accepté le paiement le {quand(fait.accepte_le)} : {euros(fait.part)} sur {creance}."
        case Créance.PaiementÉchoué():
            return f"Le paiement n'a pas abouti : {euros(fait.part_liberee)} ne sont plus réservés."
        case Créance.PaiementAffiché():
            return f"Le paiement se voit sur le compte depuis le {quand(fait.affiche_le)}."
        case Créance.PaiementContrepassé():
            return f"Le paiement accepté a été repris : {euros(fait.part)} sont de nouveau dus."
        case Créance.EncaissementRattaché():
            return f"{euros(fait.part)} que la banque avait pris ont été mis sur {creance}."
        case Créance.TropPerçuConstaté():
            if not fait.total:
                return "Il n'y a plus de trop-perçu."
            return f"Vous avez payé {euros(fait.total)} de plus que ce qui était dû."
        case Créance.TropPerçuRemboursé():
            return f"La caisse a remboursé {euros(fait.montant)}."
        case Créance.EncaissementReçu():
            moyen = _PAR_MOYEN[fait.moyen]
            return f"La caisse a reçu {euros(fait.montant)} {moyen}, à la date du {fait.encaisse_le:%d/%m/%Y}."
        case Créance.AvisRectifié():
            avant, apres = euros(fait.montant_precedent), euros(fait.montant_initial)
            return f"La caisse a corrigé le montant de l'avis : {apres} au lieu de {avant}."
        case Créance.AvisAnnulé():
            return "La caisse a annulé l'avis : plus rien n'est dû."
        case _:
            assert_never(fait)


VERIFICATION: Final = "Nous vérifions votre paiement auprès de la banque ; ne payez pas une seconde fois."
"""À dire tant que le paiement est en vérification, et plus ensuite."""


def phrase_de_paiement(fait: FaitDePaiement) -> str:
    """Ce qu'un fait d'un paiement veut dire."""
    match fait:
        case Paiement.PaiementOuvert():
            return f"Un paiement en ligne de {euros(fait.montant)} a commencé le {quand(fait.timestamp)}."
        case Paiement.PaiementConclu():
            return _fin(fait)
        case Paiement.EncaissementNonImputé():
            return (
                f"La banque a pris {euros(fait.montant)} le {quand(fait.accepte_le)} ; cette somme n'est encore sur"
                " aucune créance."
            )
        case Paiement.AcceptationPrécisée():
            return "La banque a précisé le numéro d'autorisation du paiement déjà accepté."
        case Paiement.EncaissementImputé():
            references = ", ".join(imputation.reference for imputation in fait.imputations)
            return f"{euros(fait.montant)} que la banque avait pris ont été mis sur {references}."
        case Paiement.EncaissementRendu():
            qui = "La banque a repris d'elle-même" if fait.voie is None else "Nous avons rendu"
            return f"{qui} {euros(fait.montant)}."
        case Paiement.PaiementRéglé():
            if fait.accepte_le is None:
                return f"La vérification est finie le {quand(fait.timestamp)} : l'argent a été rendu."
            return (
                f"La vérification est finie : {euros(fait.montant)} pris le {quand(fait.accepte_le)} ont été comptés."
            )
        case Paiement.RemboursementDemandé():
            return f"Nous avons demandé à la banque de rendre {euros(fait.montant)} sur la carte."
        case Paiement.RemboursementEnvoyé():
            return "La demande est partie vers la banque."
        case Paiement.RemboursementFait():
            return f"La banque a rendu {euros(fait.montant)} sur la carte, le {quand(fait.timestamp)}."
        case Paiement.RemboursementRefusé():
            return "La banque ne peut pas rendre cette somme sur la carte : rien n'a bougé."
        case _:
            assert_never(fait)


def _fin(fait: Paiement.PaiementConclu) -> str:
    match fait.issue:
        case Fin.ACCEPTE:
            presume = " (heure de réception : la banque n'en a pas donné)" if fait.depart_presume else ""
            return f"La banque a accepté le paiement le {quand(fait.accepte_le or fait.timestamp)}{presume}."
        case Fin.ECHOUE:
            return f"La banque n'a pas accepté le paiement, le {quand(fait.timestamp)}."
        case Fin.EXPIRE:
            return f"Le paiement n'a pas été terminé à temps : il a été clos le {quand(fait.timestamp)}."
        case Fin.EN_VERIFICATION:
            return VERIFICATION
        case _:
            assert_never(fait.issue)


# --- Ce que les clôtures en comptent ---------------------------------------------------------------------------------


class Ecriture(NamedTuple):
    """Sous quel mouvement de solde (`projections.comptes.totaux`) un fait compte, et pour combien."""

    nom: str
    champ: str
    """Celui du fait, tel qu'il est stocké, qui en porte le montant."""
    moins: str | None = None
    """Celui qui s'en retranche."""

    def montant(self, fait: FaitDeCreance) -> int:
        """En centimes, du signe que dit ce mouvement."""
        montant: int = getattr(fait, self.champ)
        return montant if self.moins is None else montant - getattr(fait, self.moins)


def ecriture(classe: type[FaitDeCreance]) -> Ecriture | None:
    """Ce qu'un fait change aux totaux d'une clôture ; None s'il ne fait bouger aucun solde."""
    if issubclass(classe, Créance.AvisEmis):
        return Ecriture("emis", "montant_initial")
    if issubclass(classe, Créance.AvisRectifié):
        return Ecriture("rectifie", "montant_initial", "montant_precedent")
    if issubclass(classe, Créance.AvisAnnulé):
        return Ecriture("annule", "montant_precedent")
    if issubclass(classe, Créance.PaiementAccepté):
        return Ecriture("accepte", "part")
    if issubclass(classe, Créance.EncaissementRattaché):
        return Ecriture("rattache", "part")
    if issubclass(classe, Créance.EncaissementReçu):
        return Ecriture("autres_encaissements", "montant")
    if issubclass(classe, Créance.PaiementContrepassé):
        return Ecriture("contrepasse", "part")
    if issubclass(classe, Créance.TropPerçuRemboursé):
        return Ecriture("rembourse", "montant")
    if issubclass(
        classe,
        (Créance.PaiementInitié, Créance.PaiementÉchoué, Créance.PaiementAffiché, Créance.TropPerçuConstaté),
    ):
        return None
    assert_never(classe)


ECRITURES: Final = {classe.TOPIC: ecrite for classe in FAITS_DE_CREANCE if (ecrite := ecriture(classe)) is not None}
"""Par topic : ce que lisent aussi ceux qui refont une clôture depuis le JSON des faits."""


def prises(fait: FaitDePaiement, paiement: Paiement) -> list[tuple[str, int, str]]:
    """Ce que le fait change à l'argent pris par la banque : nom, montant (centimes, signé), marchand.

    `paiement` : tel que ce fait l'a laissé. Un nom qui est celui d'un mouvement de solde compte chez ce marchand : les
    créances ne savent pas le nommer.
    """
    match fait:
        case Paiement.PaiementConclu(issue=Fin.ACCEPTE):
            return [(nom, paiement.montant, paiement.marchand) for nom in ("preleve_par_la_banque", "accepte")]
        case Paiement.EncaissementNonImputé():
            return [(nom, fait.montant, fait.marchand) for nom in ("preleve_par_la_banque", "non_rattache")]
        case Paiement.EncaissementImputé():
            marchand = paiement.marchand_de(fait.anomalie)
            return [("non_rattache", -fait.montant, marchand), ("rattache", fait.montant, marchand)]
        case Paiement.EncaissementRendu():
            marchand = paiement.marchand_de(fait.anomalie)
            suite = ("preleve_par_la_banque", -fait.montant) if fait.voie is None else ("rendu", fait.montant)
            return [("non_rattache", -fait.montant, marchand), (*suite, marchand)]
        case (
            Paiement.PaiementConclu()
            | Paiement.PaiementOuvert()
            | Paiement.AcceptationPrécisée()
            | Paiement.PaiementRéglé()
            | Paiement.RemboursementDemandé()
            | Paiement.RemboursementEnvoyé()
            | Paiement.RemboursementFait()
            | Paiement.RemboursementRefusé()
        ):
            return []
        case _:
            assert_never(fait)


# --- Les faits que lit chaque vue ------------------------------------------------------------------------------------

_REGLEMENTS: Final = (
    Paiement.EncaissementImputé,
    Paiement.EncaissementRendu,
    Paiement.RemboursementDemandé,
    Paiement.RemboursementEnvoyé,
    Paiement.RemboursementFait,
    Paiement.RemboursementRefusé,
)


def regarde_l_horloge(classe: type[FaitDeCreance]) -> bool:
    """Dit si un fait démarre ou arrête l'horloge des 24 h."""
    if issubclass(classe, (Créance.PaiementAccepté, Créance.PaiementAffiché)):
        return True
    if issubclass(
        classe,
        (
            Créance.AvisEmis,
            Créance.PaiementInitié,
            Créance.PaiementÉchoué,
            Créance.PaiementContrepassé,
            Créance.EncaissementRattaché,
            Créance.TropPerçuConstaté,
            Créance.TropPerçuRemboursé,
            Créance.EncaissementReçu,
            Créance.AvisRectifié,
            Créance.AvisAnnulé,
        ),
    ):
        return False
    assert_never(classe)


def regarde_les_paiements(classe: type[FaitDePaiement]) -> bool:
    """Dit si un fait change où en est un paiement ouvert chez nous."""
    if issubclass(classe, (Paiement.PaiementOuvert, Paiement.PaiementConclu, Paiement.PaiementRéglé)):
        return True
    if issubclass(classe, (Paiement.EncaissementNonImputé, Paiement.AcceptationPrécisée, *_REGLEMENTS)):
        return False
    assert_never(classe)


def regarde_la_messagerie(classe: type[FaitDePaiement | FaitDeMessagerie]) -> bool:
    """Dit si un fait écrit à l'assuré, ou change un message."""
    if issubclass(classe, (Paiement.PaiementConclu, Messagerie.MessageLu, Messagerie.MessageSupprimé)):
        return True
    if issubclass(classe, (Paiement.PaiementOuvert, Paiement.EncaissementNonImputé, Paiement.AcceptationPrécisée)):
        return False
    if issubclass(classe, (Paiement.PaiementRéglé, *_REGLEMENTS)):
        return False
    assert_never(classe)


def regarde_l_argent(classe: type[FaitDePaiement]) -> bool:
    """Dit si un fait change l'argent qui attend une créance."""
    if issubclass(
        classe,
        (
            Paiement.EncaissementNonImputé,
            Paiement.AcceptationPrécisée,
            Paiement.EncaissementImputé,
            Paiement.EncaissementRendu,
        ),
    ):
        return True
    if issubclass(
        classe,
        (
            Paiement.PaiementOuvert,
            Paiement.PaiementConclu,
            Paiement.PaiementRéglé,
            Paiement.RemboursementDemandé,
            Paiement.RemboursementEnvoyé,
            Paiement.RemboursementFait,
            Paiement.RemboursementRefusé,
        ),
    ):
        return False
    assert_never(classe)


TOPICS_DE_RESTANT_DU: Final = frozenset(classe.TOPIC for classe in FAITS_DE_CREANCE)
"""Tous : même ceux qui ne bougent aucun montant font avancer la version."""

TOPICS_DU_DELAI: Final = frozenset(classe.TOPIC for classe in FAITS_DE_CREANCE if regarde_l_horloge(classe))

TOPICS_DES_PAIEMENTS: Final = frozenset(classe.TOPIC for classe in FAITS_DE_PAIEMENT if regarde_les_paiements(classe))

TOPICS_DE_LA_MESSAGERIE: Final = frozenset(
    classe.TOPIC for classe in (*FAITS_DE_PAIEMENT, *FAITS_DE_MESSAGERIE) if regarde_la_messagerie(classe)
)

TOPICS_DES_ANOMALIES: Final = frozenset(
    classe.TOPIC for classe in (*(fait for fait in FAITS_DE_PAIEMENT if regarde_l_argent(fait)), *FAITS_D_ANOMALIE)
)
"""L'argent sans créance, et ce que des personnes en font."""
