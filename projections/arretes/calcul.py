"""Les totaux d'un jour, en rejouant les seuls flux qu'il touche : ce qui a bougé, et ce que cela laisse."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, assert_never

from psycopg import Connection

from domain.creance import Créance, FaitDeCreance, est_de_creance
from domain.paiement import Paiement, est_de_paiement
from engine.mapper import EventMapper
from engine.outages import describe, is_outage
from projections.arretes.contenu import Arrete, Axe, Periode, Tableau
from projections.arretes.journal import LIGNES_PAR_LECTURE, Tranche
from projections.comptes.totaux import MOUVEMENTS, RENDUS, Comptable, Totaux
from projections.effets import ECRITURES, prises

# Toute l'histoire, jusqu'à la clôture, des flux d'argent que le jour touche.
_FLUX_DU_JOUR: Final = """
SELECT flux, version, topic, etat, position, (extract(epoch FROM enregistre_le) * 1000000)::int8
FROM journal.evenements
WHERE position <= %(jusqu_a)s AND flux IN (
    SELECT flux FROM journal.evenements WHERE position > %(depuis)s AND position <= %(jusqu_a)s
      AND (flux LIKE 'creance-%%' OR flux LIKE 'paiement-%%'))
ORDER BY flux, version
"""

_FLUX_NOMMES: Final = """
SELECT flux, version, topic, etat, position, (extract(epoch FROM enregistre_le) * 1000000)::int8
FROM journal.evenements
WHERE position <= %(jusqu_a)s AND flux = ANY (%(flux)s) ORDER BY flux, version
"""


class JournalIllisible(Exception):
    """Un flux du jour ne se rejoue pas : aucune clôture ne s'écrit sans lui."""

    def __init__(self, flux: str, cause: str) -> None:
        """`flux` : lequel ; `cause` : pourquoi."""
        super().__init__(f"{flux} ne se lit pas : {cause}")


class _Reste(NamedTuple):
    """Ce qu'une créance laisse, en centimes."""

    restant_du: int
    trop_percu: int
    en_cours: int

    @classmethod
    def de(cls, creance: Créance | None) -> "_Reste":
        return cls(0, 0, 0) if creance is None else cls(creance.restant_du, creance.trop_percu, creance.reserve)


class _Journee:
    """L'addition d'un jour."""

    def __init__(self, tranche: Tranche) -> None:
        self._depuis = tranche.depuis
        self.compte = Comptable()
        self.restes: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        """Par caisse, de combien ont changé le restant dû, le trop-perçu, l'en-cours."""
        self._rendus: list[tuple[str, str, str | None, int]] = []
        """Ce qui revient au marchand d'un paiement : nom, transaction, anomalie, montant."""

    def creance(self, faits: Iterable[tuple[Any, int, int]]) -> None:
        """Une créance, fait par fait : fait, position, instant."""
        creance: Créance | None = None
        avant: _Reste | None = None
        for fait, position, le in faits:
            if not est_de_creance(fait):
                raise TypeError("porte des faits d'un autre agrégat")
            if position > self._depuis and avant is None:
                avant = _Reste.de(creance)
            creance = fait.mutate(creance)
            if creance is None:
                raise TypeError("n'a pas d'avis")
            if position > self._depuis:
                self._bouger(creance, fait, le)
        if creance is not None and avant is not None:
            restes = self.restes[creance.avis.caisse]
            for rang, (ancien, neuf) in enumerate(zip(avant, _Reste.de(creance), strict=True)):
                restes[rang] += neuf - ancien

    def _bouger(self, creance: Créance, fait: FaitDeCreance, le: int) -> None:
        if (ecrite := ECRITURES.get(fait.TOPIC)) is None:
            return
        montant = ecrite.montant(fait)
        self.compte.mouvement(ecrite.nom, montant, creance.avis.caisse, le)
        # Les paiements disent eux-mêmes les autres. Un remboursement peut n'en nommer aucun.
        if ecrite.nom in RENDUS and (transaction := getattr(fait, "transaction", None)) is not None:
            self._rendus.append((ecrite.nom, transaction, getattr(fait, "anomalie", None), montant))

    def paiement(self, faits: Iterable[tuple[Any, int, int]]) -> None:
        """Un paiement, fait par fait."""
        paiement: Paiement | None = None
        for fait, position, le in faits:
            if not est_de_paiement(fait):
                raise TypeError("porte des faits d'un autre agrégat")
            paiement = fait.mutate(paiement)
            if paiement is None:
                raise TypeError("n'a pas d'ouverture")
            if position <= self._depuis:
                continue
            for nom, montant, marchand in prises(fait, paiement):
                if nom in MOUVEMENTS:
                    self.compte.chez(marchand, nom, montant)
                else:
                    self.compte.banque(nom, montant, paiement.caisse, marchand, le)

    @property
    def flux_des_rendus(self) -> list[str]:
        """Les paiements dont il faut encore connaître le marchand."""
        return sorted({Paiement.flux(transaction) for _, transaction, _, _ in self._rendus})

    def rendre(self, paiements: dict[str, Paiement]) -> None:
        """Ce qui a été repris ou rendu, chez le marchand de chacun."""
        for nom, transaction, anomalie, montant in self._rendus:
            paiement = paiements.get(Paiement.flux(transaction))
            if paiement is None:
                raise JournalIllisible(Paiement.flux(transaction), "rien n'en est enregistré")
            marchand = paiement.marchand if anomalie is None else paiement.marchand_de(anomalie)
            self.compte.chez(marchand, nom, montant)


def calculer(conn: Connection[Any], mapper: EventMapper, precedent: Arrete | None, tranche: Tranche) -> Tableau:
    """Les totaux de ce jour, par axe et par clé. Lève JournalIllisible."""
    journee = _Journee(tranche)
    bornes = {"depuis": tranche.depuis, "jusqu_a": tranche.jusqu_a}
    for flux, faits in _faits(conn, mapper, _FLUX_DU_JOUR, bornes):
        with _nommant(flux):
            (journee.creance if flux.startswith(Créance.flux("")) else journee.paiement)(faits)
    paiements: dict[str, Paiement] = {}
    for flux, faits in _faits(conn, mapper, _FLUX_NOMMES, bornes | {"flux": journee.flux_des_rendus}):
        with _nommant(flux):
            for fait, _, _ in faits:
                paiements[flux] = fait.mutate(paiements.get(flux))
    journee.rendre(paiements)
    return _tableau(precedent, journee)


@contextmanager
def _nommant(flux: str) -> Iterator[None]:
    """Ce qui empêche de lire un flux le nomme."""
    try:
        yield
    except Exception as faute:
        if is_outage(faute):
            raise
        raise JournalIllisible(flux, describe(faute)) from faute


def _faits(
    conn: Connection[Any], mapper: EventMapper, requete: str, parametres: dict[str, Any]
) -> Iterable[tuple[str, Iterable[tuple[Any, int, int]]]]:
    with conn.cursor(name="faits_du_jour") as curseur:
        curseur.itersize = LIGNES_PAR_LECTURE
        curseur.execute(requete, parametres, binary=True)
        for flux, lignes in groupby(curseur, key=itemgetter(0)):
            faits = (
                (mapper.lire(nom, version, topic, bytes(etat)), position, le)
                for nom, version, topic, etat, position, le in lignes
            )
            yield flux, faits


def _tableau(precedent: Arrete | None, journee: _Journee) -> Tableau:
    compte = journee.compte
    du_jour: Tableau = {
        Axe.ENSEMBLE: {"": compte.ensemble},
        Axe.CAISSE: dict(compte.par_caisse),
        Axe.MARCHAND: dict(compte.par_marchand),
    }
    tableau: Tableau = {}
    for axe, par_cle in du_jour.items():
        avant = {} if precedent is None else precedent.totaux[Periode.PERPETUEL].get(axe, {})
        cles = avant.keys() | par_cle.keys() | (journee.restes.keys() if axe is Axe.CAISSE else set())
        tableau[axe] = {}
        for cle in sorted(cles):
            restes = _restes(journee, axe, cle)
            tableau[axe][cle] = _clore(axe, avant.get(cle, Totaux()), par_cle.get(cle, Totaux()), restes)
    return tableau


def _restes(journee: _Journee, axe: Axe, cle: str) -> list[int]:
    match axe:
        case Axe.ENSEMBLE:
            return [sum(colonne) for colonne in zip([0, 0, 0], *journee.restes.values(), strict=True)]
        case Axe.CAISSE:
            return journee.restes.get(cle, [0, 0, 0])
        case Axe.MARCHAND:
            return [0, 0, 0]
        case _:
            assert_never(axe)


def _clore(axe: Axe, avant: Totaux, jour: Totaux, restes: list[int]) -> Totaux:
    """Ce qui a bougé ce jour, et ce qui reste de la veille et de lui."""
    clos = replace(jour, ouverture=avant.cloture)
    effet = sum(signe * getattr(jour, nom) for nom, signe in MOUVEMENTS.items())
    clos.cloture = avant.cloture + (effet if axe.des_creances else jour.preleve_par_la_banque)
    clos.non_rattache = avant.non_rattache + jour.non_rattache
    for nom, change in zip(("restant_du", "trop_percu", "en_cours"), restes, strict=True):
        setattr(clos, nom, getattr(avant, nom) + change)
    return clos
