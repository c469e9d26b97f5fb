"""Ce que l'état d'une anomalie laisse faire de ce que sa source permet : exigé au guichet, montré aux pages."""

from typing import assert_never

from domain.ecart import GenreEcart
from domain.geste import GESTES, Geste, Source
from domain.sort import Sort

_RIEN_A_FAIRE = frozenset({Geste.FAUSSE_ALERTE})


def gestes_d_argent(*, connu: bool) -> frozenset[Geste]:
    """De l'argent sans créance ; `connu` : nous avons ouvert le paiement sous le nom duquel il a été pris."""
    return GESTES[Source.ARGENT] - (frozenset() if connu else {Geste.CONCLURE})


def gestes_d_un_sort(sort: Sort) -> frozenset[Geste]:
    """Un message dont le sort est une anomalie : seul ce qui a été rejeté se rejoue."""
    return GESTES[Source.SORT] if sort is Sort.REJETEE else _RIEN_A_FAIRE


def gestes_d_un_ecart(genre: GenreEcart) -> frozenset[Geste]:
    """Un écart avec un rapport : ce que la banque a repris ou rendu se contre-passe."""
    match genre:
        case GenreEcart.IMPAYE | GenreEcart.REMBOURSEMENT | GenreEcart.AUTRE_ETAT:
            return GESTES[Source.ECART]
        case GenreEcart.MANQUE_ICI | GenreEcart.MANQUE_LA_BAS | GenreEcart.AUTRE_MONTANT:
            return _RIEN_A_FAIRE
        case _:
            assert_never(genre)
