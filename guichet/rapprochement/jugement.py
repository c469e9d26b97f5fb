"""Juger un rapport : par tranches, chaque transaction de la banque face à la nôtre, puis l'inverse."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby, islice, product
from operator import attrgetter
from random import randrange
from typing import Any, Final

from psycopg import Connection

from domain.creance import Créance
from domain.delai import PARIS, precede
from domain.ecart import GenreEcart
from domain.paiement import Paiement
from guichet.guichet import Guichet, sans_dementi
from guichet.rapprochement import cotes as dits
from guichet.rapprochement import registre
from guichet.rapprochement.ecarts import (
    CoteBanque,
    CoteNous,
    Ecart,
    classer,
    cote_nous,
    manque_la_bas,
)
from guichet.rapprochement.registre import RapportInscrit
from guichet.rapprochement.sommes import Sommes, somme_de, sommer
from kiosque.rapports import LIBELLES, Genre, LecteurDeRapports

AVANCE_D_HORLOGE: Final = timedelta(hours=1)
"""La banque peut dater un paiement d'un peu plus tard que nous ne l'enregistrons."""

RETARD_MAX: Final = timedelta(days=60)
"""Un paiement enregistré plus tard encore après son jour n'est plus cherché dans les rapports de ce jour."""

Cle = tuple[Genre, str, GenreEcart]

DEMANDES_MAX: Final = 1_000
"""Questions posées à la banque après un rapport, au plus, tirées au sort ; les suivants posent les autres."""

FERMES_MAX: Final = 50
"""Écarts fermés qu'une personne lit au plus."""

RENDU_AILLEURS: Final = {Genre.OPERATIONS: Genre.IMPAYES, Genre.IMPAYES: Genre.OPERATIONS}
"""L'argent rendu que dit l'autre rapport ; les rapprochements redisent celui des opérations."""

_PRIS: Final = (Paiement.PaiementConclu.TOPIC, Paiement.EncaissementNonImputé.TOPIC)


class Jugement:
    """Le jugement d'un rapport, dans la transaction qui l'inscrit."""

    def __init__(
        self, guichet: Guichet, conn: Connection[Any], rapport: RapportInscrit, lecteur: LecteurDeRapports
    ) -> None:
        """`rapport` est inscrit, ses lignes aussi ; `lecteur` connaît les mots de la banque."""
        self._guichet = guichet
        self._conn = conn
        self._rapport = rapport
        self._lecteur = lecteur
        self.ecarts: dict[Cle, Ecart] = {}
        """Les écarts de ce rapport : ce que dit le fichier, et ce qui y manque."""
        self.a_demander: list[Ecart] = []
        """Ceux que la banque peut expliquer, les plus anciens compris : `DEMANDES_MAX` au plus."""
        self.fermes: list[Ecart] = []
        """Les premiers qu'il a fermés, `FERMES_MAX` au plus, chacun avec son explication."""
        self.restent = 0
        """Combien restent ouverts, tous rapports réunis."""
        self.questions = 0
        """Combien il y en a en tout."""
        self.sommes: Sommes = {}
        self.transactions = 0
        self.accordees = 0
        self.corrigees = 0
        """Lignes de rapports précédents que celui-ci corrige."""
        self.depassees = 0
        """Lignes du fichier qu'un rapport plus tardif, déjà lu, corrige."""
        self.illisibles: dict[str, str] = {}
        """Les transactions dont notre côté ne peut pas être lu, et pourquoi : elles seules ne sont pas jugées."""
        self._couvrants: list[RapportInscrit] = []

    def juger_fichier(self) -> None:
        """Juge chaque transaction dont parle le fichier."""
        for jours, banque, nous in self._face_a_face(self._rapport.genre, None):
            trouves = classer(banque, nous)
            self.transactions += 1
            self.corrigees += jours[0].corrigees
            self.depassees += jours[0].depassees
            self.accordees += not trouves
            self._garder(trouves)
            sommer(self.sommes, jours, banque, nous)

    def chercher_ce_qui_manque_la_bas(self) -> None:
        """Cherche les paiements acceptés chez nous, un jour qu'un rapport couvre, dont aucun rapport ne parle."""
        rapport = self._rapport
        precedent = registre.rapport_precedent(self._conn, rapport.genre, rapport.genere_le, rapport.marchands)
        self._couvrants = registre.rapports_couvrant(self._conn, rapport.genre, rapport.couvre_depuis - RETARD_MAX)
        bout = registre.bout_du_journal(self._conn)
        depuis = registre.position_avant(self._conn, rapport.couvre_depuis - AVANCE_D_HORLOGE, bout)
        if precedent is not None:
            # Ce qui a été enregistré en retard, pour un jour déjà couvert, n'a encore été confronté à rien.
            depuis = min(depuis, precedent.position)
        for flux in registre.flux_depuis(self._conn, depuis, bout, _PRIS):
            for transaction, nous in self._absentes([Paiement.transaction_de(nom) for nom in flux]).items():
                connu = (Genre.TRANSACTIONS, transaction, GenreEcart.MANQUE_LA_BAS) in self.ecarts
                if nous.pris and self._couvert(nous) and not connu:
                    self._garder([manque_la_bas(transaction, nous)])
                    somme_de(self.sommes, nous.marchand, nous.jour).nous_pris += nous.pris

    def tenir_les_ecarts(self) -> tuple[int, int]:
        """Juge de nouveau les écarts ouverts, ferme ceux qui sont expliqués, ouvre les nouveaux ; rend ces comptes.

        Par tranches : la mémoire ne grandit pas avec ce qui est resté ouvert.
        """
        du_fichier = {ecart.transaction for ecart in self.ecarts.values()}
        a_ouvrir = dict.fromkeys(self.ecarts)
        for ecart in self.ecarts.values():
            self._noter_la_question(ecart)
        ouverts = leves = 0
        for anciens in registre.ecarts_ouverts(self._conn):
            vrais = self._encore_vrais(anciens, du_fichier)
            fermes: list[tuple[int | None, Ecart]] = []
            gardes = set()
            for rang, ancien in anciens:
                vrai = vrais.get(ancien.cle)
                if vrai is not None and vrai.cotes == ancien.cotes:
                    gardes.add(ancien.cle)
                else:
                    fermes.append((rang, ancien._replace(cause=self._explication(vrai))))
            neufs: list[tuple[int | None, Ecart]] = [(None, e) for cle, e in vrais.items() if cle not in gardes]
            registre.inscrire_ecarts(self._conn, self._rapport.rang, [*fermes, *neufs])
            ouverts, leves = ouverts + len(neufs), leves + len(fermes)
            self.restent += len(anciens) - len(fermes) + len(neufs)
            self.fermes += [ferme for _, ferme in fermes[: FERMES_MAX - len(self.fermes)]]
            for cle, vrai in vrais.items():
                if cle in a_ouvrir:
                    del a_ouvrir[cle]
                else:
                    self._noter_la_question(vrai)
        registre.inscrire_ecarts(self._conn, self._rapport.rang, ((None, self.ecarts[cle]) for cle in a_ouvrir))
        self.restent += len(a_ouvrir)
        return ouverts + len(a_ouvrir), leves

    def _noter_la_question(self, ecart: Ecart) -> None:
        """Chacune a la même chance d'être posée : celles que la banque ne connaît pas ne cachent pas les autres."""
        if not ecart.a_demander:
            return
        self.questions += 1
        if len(self.a_demander) < DEMANDES_MAX:
            self.a_demander.append(ecart)
        elif (place := randrange(self.questions)) < DEMANDES_MAX:  # noqa: S311  no secret: a fair share
            self.a_demander[place] = ecart

    def _encore_vrais(self, anciens: Sequence[tuple[int, Ecart]], du_fichier: set[str]) -> dict[Cle, Ecart]:
        """Ce qui est vrai maintenant des transactions de ces écarts, ouverts avant ce rapport."""
        vrais = {ecart.cle: ecart for ecart in self._rejuger([ecart for _, ecart in anciens])}
        # De ceux-là, personne ne sait s'ils sont encore vrais.
        vrais |= {ancien.cle: ancien for _, ancien in anciens if ancien.transaction in self.illisibles}
        for transaction in {ancien.transaction for _, ancien in anciens} & du_fichier:
            for cle in product(Genre, (transaction,), GenreEcart):
                if (trouve := self.ecarts.get(cle)) is not None:
                    vrais.setdefault(cle, trouve)
        return vrais

    def _rejuger(self, anciens: Sequence[Ecart]) -> Iterator[Ecart]:
        for genre in Genre:
            transactions = [ecart.transaction for ecart in anciens if ecart.genre_de_rapport is genre]
            if transactions:
                for _, banque, nous in self._face_a_face(genre, sorted(set(transactions))):
                    yield from classer(banque, nous)
        absents = [ecart.transaction for ecart in anciens if ecart.genre is GenreEcart.MANQUE_LA_BAS]
        for transaction, nous in self._absentes(absents).items():
            if nous.pris:
                yield manque_la_bas(transaction, nous)

    def _absentes(self, transactions: Sequence[str]) -> dict[str, CoteNous]:
        """Notre côté de celles dont aucun rapport de transactions ne parle depuis qu'elles sont ouvertes ici.

        Une ligne plus ancienne nommait un autre paiement ; celles du fichier en cours sont jugées avec lui.
        """
        connues = dits.connues(self._conn, Genre.TRANSACTIONS, transactions)
        a_voir = [t for t in transactions if t not in connues or not connues[t][1]]
        return {
            transaction: nous
            for transaction, nous in self._notre_cote(sorted(set(a_voir))).items()
            if transaction not in connues or (nous.ouvert_le and precede(connues[transaction][0], nous.ouvert_le))
        }

    def _explication(self, vrai: Ecart | None) -> str:
        quand = f"{self._rapport.genere_le.astimezone(PARIS):%d/%m/%Y}"
        par = f"au rapport des {LIBELLES[self._rapport.genre]} du {quand}"
        return f"les deux côtés s'accordent, {par}" if vrai is None else f"remplacé, {par} : {vrai.cause}"

    def _garder(self, ecarts: Iterable[Ecart]) -> None:
        self.ecarts.update((ecart.cle, ecart) for ecart in ecarts)

    def _couvert(self, nous: CoteNous) -> bool:
        """Dit si un rapport lu couvre ce marchand ce jour-là."""
        if nous.jour is None:
            return False
        return any(
            nous.marchand in lu.marchands
            and lu.couvre_depuis.astimezone(PARIS).date() <= nous.jour < lu.couvre_jusqua.astimezone(PARIS).date()
            for lu in self._couvrants
        )

    # --- Les deux côtés ----------------------------------------------------------------------------------------------

    def _face_a_face(
        self, genre: Genre, transactions: Sequence[str] | None
    ) -> Iterator[tuple[list[dits.JourDit], CoteBanque, CoteNous]]:
        """Chaque transaction, les jours que la banque en dit, son côté et le nôtre."""
        lignes = dits.cotes(self._conn, genre, transactions)
        groupes = ((transaction, list(jours)) for transaction, jours in groupby(lignes, key=attrgetter("transaction")))
        while tranche := list(islice(groupes, dits.TRANCHE)):
            banques = [self._cote_banque(genre, transaction, jours) for transaction, jours in tranche]
            rendues = [banque.transaction for banque in banques if banque.rendu or banque.rendu_corrige]
            if rendues and genre in RENDU_AILLEURS:
                ailleurs = dits.rendus(self._conn, RENDU_AILLEURS[genre], rendues)
                banques = [b._replace(rendu_ailleurs=ailleurs.get(b.transaction, 0)) for b in banques]
            a_reprendre = {b.transaction for b in banques if b.rendu or b.annule or b.rendu_corrige}
            nous = self._notre_cote([banque.transaction for banque in banques], a_reprendre)
            autres = {t for b in banques if (t := b.transaction) in nous and b.pris not in {0, nous[t].pris}}
            nous |= self._notre_cote(sorted(autres - a_reprendre), autres - a_reprendre)
            for (transaction, jours), banque in zip(tranche, banques, strict=True):
                if transaction in self.illisibles:
                    continue
                yield jours, _dater(banque, jours, nous[transaction]), nous[transaction]

    def _cote_banque(self, genre: Genre, transaction: str, jours: Sequence[dits.JourDit]) -> CoteBanque:
        codes = frozenset(code for jour in jours for code in jour.codes)
        etats = frozenset(etat for jour in jours for etat in jour.etats)
        pris_sous = Counter[str]()
        for jour in jours:
            if jour.marchand:
                pris_sous[jour.marchand] += jour.pris
        return CoteBanque(
            genre=genre,
            transaction=transaction,
            marchand=next((jour.marchand for jour in jours if jour.marchand), None),
            jour=jours[0].le,
            pris=sum(jour.pris for jour in jours),
            rendu=sum(jour.rendu for jour in jours),
            codes=codes,
            etats=etats,
            refuse=any(map(self._lecteur.refuse, codes)),
            annule=any(map(self._lecteur.annule, etats)),
            pris_sous=pris_sous,
            rendu_ailleurs=0,
            rendu_corrige=jours[0].rendu_corrige,
        )

    def _notre_cote(self, transactions: Sequence[str], a_reprendre: set[str] | None = None) -> dict[str, CoteNous]:
        """Notre côté de chacune ; de `a_reprendre` (None : aucune), aussi ce qui est contre-passé.

        Celles qui ne peuvent pas être lues n'y sont pas : elles vont à `illisibles`.
        """
        illisibles: dict[str, str] = {}
        charges = self._guichet.recorder.load(self._conn, map(Paiement.flux, transactions), illisibles)
        charges = sans_dementi(charges, illisibles)
        self.illisibles.update((Paiement.transaction_de(nom), cause) for nom, cause in illisibles.items())
        paiements: dict[str, Paiement] = {
            transaction: charges[nom] for transaction in transactions if (nom := Paiement.flux(transaction)) in charges
        }
        repris = self._repris({t: paiements[t] for t in (a_reprendre or set()) & paiements.keys()})
        return {t: cote_nous(paiements.get(t), repris.get(t, 0)) for t in transactions if t not in self.illisibles}

    def _repris(self, paiements: dict[str, Paiement]) -> dict[str, int]:
        touchees = {
            t: {*(i.reference for i in paiement.imputations), *paiement.rattachements}
            for t, paiement in paiements.items()
        }
        illisibles: dict[str, str] = {}
        creances = self._guichet.charger_creances(self._conn, sorted(set().union(*touchees.values())), illisibles)
        for transaction, references in touchees.items() if illisibles else ():
            for nom in illisibles.keys() & set(map(Créance.flux, references)):
                self.illisibles[transaction] = f"{nom} : {illisibles[nom]}"
        return {
            transaction: paiement.argent_repris
            + paiement.recredite
            + sum(
                creance.contrepasse(paiement.transaction)
                for reference in touchees[transaction]
                if (creance := creances.get(reference)) is not None
            )
            for transaction, paiement in paiements.items()
        }


def _dater(banque: CoteBanque, jours: Sequence[dits.JourDit], nous: CoteNous) -> CoteBanque:
    """Le côté de la banque, et ce qu'il dit pris avant que notre paiement soit ouvert.

    Les autres rapports datent la remise ou l'impayé, qui suivent : ils ne disent pas quand la personne a payé.
    """
    if nous.ouvert_le is None or banque.genre is not Genre.TRANSACTIONS:
        return banque
    pris = [(quand, montant) for jour in jours for quand, montant in zip(jour.instants, jour.montants, strict=True)]
    return banque._replace(avant=sum(montant for quand, montant in pris if precede(quand, nous.ouvert_le)))
