"""Les écarts entre la banque et nous, jugés transaction par transaction ; rien ici ne lit ni n'écrit.

L'argent est comparé rapport par rapport : la même remise est dite par les opérations et par les rapprochements, et ne
doit pas compter deux fois.
Plus de 300 lignes : les deux côtés, et un jugement par genre d'écart, se lisent ensemble.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple, assert_never

from domain.delai import PARIS
from domain.ecart import GenreEcart
from domain.monnaie import euros
from domain.paiement import Fin, Paiement
from domain.sort import Sort
from kiosque.rapports import Genre

INCONNU_ICI: Final = "inconnu"
ABSENT_LA_BAS: Final = "absent"
EN_COURS: Final = "en_cours"
NON_IMPUTE: Final = "non_impute"

_ETATS_DITS: Final[Mapping[str, str]] = {
    Fin.ACCEPTE.value: "est accepté",
    Fin.ECHOUE.value: "a échoué",
    Fin.EXPIRE.value: "a expiré",
    Fin.EN_VERIFICATION.value: "est en vérification",
    EN_COURS: "est en cours",
    NON_IMPUTE: "n'a rien donné à aucune créance",
}
"""L'état d'un paiement, dans une phrase."""


class CoteBanque(NamedTuple):
    """Tout ce qu'un genre de rapport dit d'une transaction, tous fichiers réunis ; centimes."""

    genre: Genre
    transaction: str
    marchand: str | None
    jour: date
    pris: int
    rendu: int
    codes: frozenset[str]
    etats: frozenset[str]
    refuse: bool
    """Un code a conclu sans acceptation."""
    annule: bool
    """Un état dit la transaction annulée."""
    pris_sous: Mapping[str, int]
    """Ce qu'elle en a pris, par marchand ; vide si le rapport n'en nomme pas."""
    rendu_ailleurs: int
    """Ce qu'un autre rapport dit rendu en plus : un remboursement n'est pas l'impayé du même paiement."""
    rendu_corrige: int = 0
    """Ce que des lignes corrigées depuis disaient rendu."""
    avant: int = 0
    """Ce qu'elle a pris sous cette référence avant que notre paiement soit ouvert : l'argent d'un autre."""

    @property
    def etat(self) -> str:
        """Ce que la banque en dit, en peu de mots."""
        return " ".join(sorted(self.etats) or [f"code {code}" for code in sorted(self.codes)]) or "sans état"

    @property
    def refusee(self) -> bool:
        """Dit si un code a conclu sans acceptation."""
        return self.pris == 0 and self.refuse


class CoteNous(NamedTuple):
    """Ce que notre journal dit de la même transaction ; centimes."""

    etat: str
    marchand: str | None
    jour: date | None
    pris: int
    repris: int
    """Ce qui a été contre-passé sur ses créances."""
    pris_sous: Mapping[str, int]
    """Ce qui en est pris, par marchand."""
    ouvert_le: datetime | None = None
    """Absent si nous n'avons jamais ouvert ce paiement."""
    d_un_autre: int = 0
    """Ce que nous savons pris sous sa référence pour un autre paiement."""


class Ecart(NamedTuple):
    """Un écart et ses deux côtés."""

    genre_de_rapport: Genre
    genre: GenreEcart
    transaction: str
    marchand: str | None
    jour: date
    montant: int
    """Ce qui est en cause, en centimes."""
    montant_banque: int
    montant_chez_nous: int
    etat_banque: str
    etat_chez_nous: str
    cause: str
    a_demander: bool = False
    """Si interroger la banque sur elle peut l'expliquer."""

    @property
    def cle(self) -> tuple[Genre, str, GenreEcart]:
        """Ce qu'un seul écart ouvert peut occuper à la fois."""
        return self.genre_de_rapport, self.transaction, self.genre

    @property
    def cotes(self) -> tuple[int, int, str, str]:
        """Les deux côtés : s'ils changent, c'est un autre écart."""
        return self.montant_banque, self.montant_chez_nous, self.etat_banque, self.etat_chez_nous


def pris_par_nous(paiement: Paiement) -> Mapping[str, int]:
    """L'argent que notre journal dit pris par la banque, par marchand : l'acceptation, et ce qui n'est pas imputé."""
    pris = Counter({paiement.marchand: paiement.montant} if paiement.fin is Fin.ACCEPTE else {})
    for encaissement in paiement.non_imputes:
        pris[encaissement.marchand] += encaissement.montant
    return pris


def cote_nous(paiement: Paiement | None, repris: int = 0) -> CoteNous:
    """Notre côté d'une transaction."""
    if paiement is None:
        return CoteNous(INCONNU_ICI, None, None, 0, 0, {})
    moment = paiement.accepte_le or paiement.modified_on
    jour = moment.astimezone(PARIS).date()
    return CoteNous(
        _etat_ici(paiement),
        paiement.marchand,
        jour,
        paiement.pris,
        repris,
        pris_par_nous(paiement),
        ouvert_le=paiement.created_on if paiement.connu else None,
        d_un_autre=sum(e.montant for e in paiement.non_imputes if e.raison is Sort.NON_RAPPROCHEE),
    )


def _etat_ici(paiement: Paiement) -> str:
    if paiement.fin is not None:
        return paiement.fin.value
    return EN_COURS if paiement.connu else NON_IMPUTE


def classer(banque: CoteBanque, nous: CoteNous) -> list[Ecart]:
    """Les écarts de cette transaction, dans ce genre de rapport ; aucun si les deux côtés s'accordent."""
    match banque.genre:
        case Genre.TRANSACTIONS:
            if banque.avant > nous.d_un_autre:
                return [_sur_un_autre(banque, nous)]
            return _sur_le_pris(banque, nous) if banque.pris else _sur_le_refus(banque, nous)
        case Genre.OPERATIONS:
            return [*_sur_l_annulation(banque, nous), *_sur_le_pris(banque, nous), *_sur_le_rendu(banque, nous)]
        case Genre.RAPPROCHEMENTS:
            return _sur_le_pris(banque, nous)
        case Genre.IMPAYES:
            return _sur_le_rendu(banque, nous)
        case jamais:
            assert_never(jamais)


def manque_la_bas(transaction: str, nous: CoteNous) -> Ecart:
    """L'écart d'un paiement accepté chez nous qu'un rapport aurait dû porter. Lève ValueError s'il n'a pas de jour."""
    if nous.jour is None:
        raise ValueError("un paiement inconnu ne manque à personne")
    cause = f"acceptée ici pour {euros(nous.pris)}, absente du rapport qui couvre ce jour"
    return Ecart(
        Genre.TRANSACTIONS, GenreEcart.MANQUE_LA_BAS, transaction, nous.marchand, nous.jour, nous.pris, 0, nous.pris,
        ABSENT_LA_BAS, nous.etat, cause,
    )  # fmt: skip


def _sur_un_autre(banque: CoteBanque, nous: CoteNous) -> Ecart:
    """La référence ne suffit pas : prise avant que notre paiement soit ouvert, elle en nommait un autre."""
    manque = banque.avant - nous.d_un_autre
    cause = (
        f"la banque a pris {euros(manque)} sous cette référence avant que ce paiement soit ouvert : c'en est un autre"
    )
    return _ecart(
        GenreEcart.AUTRE_ETAT, banque, nous, cause, montant=manque, montant_banque=banque.pris, a_demander=True
    )


def _sur_le_pris(banque: CoteBanque, nous: CoteNous) -> list[Ecart]:
    if banque.pris == 0:
        return []
    if nous.pris:
        ailleurs = _sous_un_autre_marchand(banque, nous)
        pris = banque.pris - sum(ecart.montant for ecart in ailleurs)
        if pris in {0, nous.pris} or remise_diminuee(banque, nous):
            return ailleurs
        cause = f"{euros(pris)} à la banque, {euros(nous.pris)} ici"
        return [
            *ailleurs,
            _ecart(GenreEcart.AUTRE_MONTANT, banque, nous, cause, montant=abs(pris - nous.pris), montant_banque=pris),
        ]
    if nous.etat == INCONNU_ICI:
        cause = f"la banque a pris {euros(banque.pris)} pour une transaction inconnue ici"
        return [
            _ecart(
                GenreEcart.MANQUE_ICI,
                banque,
                nous,
                cause,
                montant=banque.pris,
                montant_banque=banque.pris,
                a_demander=True,
            )
        ]
    cause = f"la banque a pris {euros(banque.pris)} ; ici le paiement {_ETATS_DITS[nous.etat]}"
    return [
        _ecart(
            GenreEcart.AUTRE_ETAT, banque, nous, cause, montant=banque.pris, montant_banque=banque.pris, a_demander=True
        )
    ]


def remise_diminuee(banque: CoteBanque, nous: CoteNous) -> bool:
    """Dit si la banque n'a remis que ce qu'une annulation partielle, faite ici aussi, avait laissé."""
    return banque.genre is not Genre.TRANSACTIONS and 0 < banque.pris == nous.pris - nous.repris < nous.pris


def _sous_un_autre_marchand(banque: CoteBanque, nous: CoteNous) -> list[Ecart]:
    """Ce que la banque a pris sous des marchands dont nous ne savons rien : ce n'est pas l'argent de ce paiement."""
    autres = {m: pris for m, pris in banque.pris_sous.items() if pris and m not in nous.pris_sous}
    if not autres:
        return []
    pris, marchand = sum(autres.values()), min(autres)
    cause = f"la banque a pris {euros(pris)} sous le marchand {marchand} ; ici elle est sous {min(nous.pris_sous)}"
    manque = _ecart(GenreEcart.MANQUE_ICI, banque, nous, cause, montant=pris, montant_banque=pris, a_demander=True)
    return [manque._replace(marchand=marchand)]


def _sur_le_refus(banque: CoteBanque, nous: CoteNous) -> list[Ecart]:
    if nous.etat == INCONNU_ICI:
        cause = "transaction inconnue ici ; la banque n'y a rien pris"
        return [_ecart(GenreEcart.MANQUE_ICI, banque, nous, cause, montant=0, montant_banque=0)]
    if nous.pris:
        # Un code qui ne conclut rien, ou une acceptation de zéro, ne montre pas l'argent que nous croyons pris.
        la_bas = "refusée à la banque" if banque.refusee else "la banque n'y dit rien de pris"
        cause = f"{la_bas} ({banque.etat}), acceptée ici pour {euros(nous.pris)}"
        return [_ecart(GenreEcart.AUTRE_ETAT, banque, nous, cause, montant=nous.pris, montant_banque=0)]
    if banque.refusee and nous.etat == EN_COURS:
        cause = f"refusée à la banque ({banque.etat}), encore en cours ici"
        return [_ecart(GenreEcart.AUTRE_ETAT, banque, nous, cause, montant=0, montant_banque=0, a_demander=True)]
    return []


def _sur_l_annulation(banque: CoteBanque, nous: CoteNous) -> Sequence[Ecart]:
    if not banque.annule or nous.pris <= nous.repris:
        return []
    cause = f"annulée à la banque avant sa remise, encore acceptée ici pour {euros(nous.pris)}"
    return [
        _ecart(GenreEcart.AUTRE_ETAT, banque, nous, cause, montant=nous.pris - nous.repris, montant_banque=banque.pris)
    ]


def _sur_le_rendu(banque: CoteBanque, nous: CoteNous) -> list[Ecart]:
    du = min(banque.rendu, banque.rendu + banque.rendu_ailleurs - nous.repris)
    if du <= 0:
        return _sur_le_rendu_corrige(banque, nous)
    if banque.genre is Genre.IMPAYES:
        cause = f"le porteur conteste {euros(banque.rendu)}{_a_reprendre(nous)}"
        return [
            _ecart(
                GenreEcart.IMPAYE, banque, nous, cause, montant=du, montant_banque=banque.rendu, chez_nous=nous.repris
            )
        ]
    cause = f"la banque a rendu {euros(banque.rendu)}{_a_reprendre(nous)}"
    return [
        _ecart(
            GenreEcart.REMBOURSEMENT,
            banque,
            nous,
            cause,
            montant=du,
            montant_banque=banque.rendu,
            chez_nous=nous.repris,
        )
    ]


def _sur_le_rendu_corrige(banque: CoteBanque, nous: CoteNous) -> list[Ecart]:
    """Ce qui a été repris ici sur la foi d'un rapport que la banque a corrigé depuis : elle garde cet argent."""
    trop = min(nous.repris - banque.rendu - banque.rendu_ailleurs, banque.rendu_corrige)
    if trop <= 0:
        return []
    cause = f"la banque ne dit plus rendus que {euros(banque.rendu)} ; {euros(nous.repris)} sont repris ici"
    return [
        _ecart(
            GenreEcart.AUTRE_MONTANT,
            banque,
            nous,
            cause,
            montant=trop,
            montant_banque=banque.rendu,
            chez_nous=nous.repris,
        )
    ]


def _a_reprendre(nous: CoteNous) -> str:
    """Ce que notre côté a d'un argent que la banque n'a plus, et ce qu'une personne peut en faire."""
    if nous.etat == INCONNU_ICI:
        return " d'une transaction inconnue ici : rien n'est à contre-passer"
    if not nous.pris:
        return f" ; ici le paiement {_ETATS_DITS[nous.etat]} : rien n'est à contre-passer"
    return f", dont {euros(nous.repris)} repris ici : la contre-passation est à proposer"


def _ecart(
    genre: GenreEcart,
    banque: CoteBanque,
    nous: CoteNous,
    cause: str,
    *,
    montant: int,
    montant_banque: int,
    chez_nous: int | None = None,
    a_demander: bool = False,
) -> Ecart:
    return Ecart(
        genre_de_rapport=banque.genre,
        genre=genre,
        transaction=banque.transaction,
        marchand=banque.marchand or nous.marchand,
        jour=banque.jour,
        montant=montant,
        montant_banque=montant_banque,
        montant_chez_nous=nous.pris if chez_nous is None else chez_nous,
        etat_banque=banque.etat,
        etat_chez_nous=nous.etat,
        cause=cause,
        a_demander=a_demander,
    )
