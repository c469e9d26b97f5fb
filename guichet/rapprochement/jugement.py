"""Juger un rapport : par tranches, chaque transaction de la banque face à la nôtre, puis l'inverse."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final

from psycopg import Connection

from domain.creance import Créance
from domain.delai import PARIS, precede
from domain.ecart import GenreEcart
from domain.paiement import Paiement
from guichet.guichet import Guichet, sans_dementi
from guichet.rapprochement import cotes as dits
from guichet.rapprochement import registre
from guichet.rapprochement.cotes import TRANCHE
from guichet.rapprochement.ecarts import (
    CoteBanque,
    CoteNous,
    Ecart,
    classer,
    cote_nous,
    manque_la_bas,
    remise_diminuee,
)
from guichet.rapprochement.registre import RapportInscrit
from kiosque.rapports import LIBELLES, Genre, LecteurDeRapports

AVANCE_D_HORLOGE: Final = timedelta(hours=1)
"""La banque peut dater un paiement d'un peu plus tard que nous ne l'enregistrons."""

RETARD_MAX: Final = timedelta(days=60)
"""Un paiement enregistré plus tard encore après son jour n'est plus cherché dans les rapports de ce jour."""


@dataclass(slots=True)
class Somme:
    """Les deux côtés d'un marchand et d'un jour, en centimes."""

    banque_pris: int = 0
    banque_rendu: int = 0
    frais: int = 0
    nous_pris: int = 0
    nous_repris: int = 0


Sommes = dict[tuple[str, date], Somme]

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
        self.ecarts: dict[tuple[Genre, str, GenreEcart], Ecart] = {}
        """Les écarts qui sont vrais maintenant, de ce qui a été jugé."""
        self.sommes: Sommes = {}
        self.transactions = 0
        self.accordees = 0
        self.illisibles: dict[str, str] = {}
        """Les transactions dont notre côté ne peut pas être lu, et pourquoi : elles seules ne sont pas jugées."""
        self._couvrants: list[RapportInscrit] = []

    def juger_fichier(self) -> None:
        """Juge chaque transaction dont parle le fichier."""
        for jours, banque, nous in self._face_a_face(self._rapport.genre, None):
            trouves = classer(banque, nous)
            self.transactions += 1
            self.accordees += not trouves
            self._garder(trouves)
            self._sommer(jours, banque, nous)

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
            transactions = [Paiement.transaction_de(nom) for nom in flux]
            for transaction, nous in self._absentes(transactions).items():
                if nous.pris and self._couvert(nous):
                    self._garder([manque_la_bas(transaction, nous)])
                    self._somme(nous.marchand, nous.jour).nous_pris += nous.pris

    def tenir_les_ecarts(self) -> tuple[int, int]:
        """Juge de nouveau les écarts ouverts, ferme ceux qui sont expliqués, ouvre les nouveaux ; rend ces comptes.

        Ajoute à `ecarts` ceux, anciens, qui restent vrais.
        """
        anciens = registre.ecarts_ouverts(self._conn)
        self._rejuger([ecart for _, ecart in anciens])
        leves: list[tuple[int | None, Ecart]] = []
        gardes = set()
        for rang, ancien in anciens:
            if ancien.transaction in self.illisibles:  # Personne ne sait s'il est encore vrai.
                self._garder([ancien])
            vrai = self.ecarts.get(ancien.cle)
            if vrai is not None and vrai.cotes == ancien.cotes:
                gardes.add(ancien.cle)
            else:
                leves.append((rang, ancien._replace(cause=self._explication(vrai))))
        nouveaux = [(None, ecart) for cle, ecart in self.ecarts.items() if cle not in gardes]
        registre.inscrire_ecarts(self._conn, self._rapport.rang, [*leves, *nouveaux])
        return len(nouveaux), len(leves)

    def _rejuger(self, anciens: Sequence[Ecart]) -> None:
        for genre in Genre:
            transactions = [ecart.transaction for ecart in anciens if ecart.genre_de_rapport is genre]
            if transactions:
                for _, banque, nous in self._face_a_face(genre, sorted(set(transactions))):
                    self._garder(classer(banque, nous))
        absents = [ecart.transaction for ecart in anciens if ecart.genre is GenreEcart.MANQUE_LA_BAS]
        for transaction, nous in self._absentes(absents).items():
            if nous.pris:
                self._garder([manque_la_bas(transaction, nous)])

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
    ) -> Iterator[tuple[list[tuple[Any, ...]], CoteBanque, CoteNous]]:
        """Chaque transaction, les jours que la banque en dit, son côté et le nôtre."""
        lignes = dits.cotes(self._conn, genre, transactions)
        groupes = ((transaction, list(jours)) for transaction, jours in groupby(lignes, key=itemgetter(0)))
        while tranche := list(islice(groupes, TRANCHE)):
            banques = [self._cote_banque(genre, transaction, jours) for transaction, jours in tranche]
            rendues = [banque.transaction for banque in banques if banque.rendu]
            if rendues and genre in RENDU_AILLEURS:
                ailleurs = dits.rendus(self._conn, RENDU_AILLEURS[genre], rendues)
                banques = [b._replace(rendu_ailleurs=ailleurs.get(b.transaction, 0)) for b in banques]
            a_reprendre = {banque.transaction for banque in banques if banque.rendu or banque.annule}
            nous = self._notre_cote([banque.transaction for banque in banques], a_reprendre)
            autres = {t for b in banques if (t := b.transaction) in nous and b.pris not in {0, nous[t].pris}}
            nous |= self._notre_cote(sorted(autres - a_reprendre), autres - a_reprendre)
            for (transaction, jours), banque in zip(tranche, banques, strict=True):
                if transaction in self.illisibles:
                    continue
                yield jours, _dater(banque, jours, nous[transaction]), nous[transaction]

    def _cote_banque(self, genre: Genre, transaction: str, jours: Sequence[tuple[Any, ...]]) -> CoteBanque:
        codes = frozenset(code for jour in jours for code in jour[5])
        etats = frozenset(etat for jour in jours for etat in jour[6])
        pris_sous = Counter[str]()
        for jour in jours:
            if jour[1]:
                pris_sous[jour[1]] += jour[3]
        return CoteBanque(
            genre=genre,
            transaction=transaction,
            marchand=next((jour[1] for jour in jours if jour[1]), None),
            jour=jours[0][2],
            pris=sum(jour[3] for jour in jours),
            rendu=sum(jour[4] for jour in jours),
            codes=codes,
            etats=etats,
            refuse=any(map(self._lecteur.refuse, codes)),
            annule=any(map(self._lecteur.annule, etats)),
            pris_sous=pris_sous,
            rendu_ailleurs=0,
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

    # --- Les sommes --------------------------------------------------------------------------------------------------

    def _sommer(self, jours: Sequence[tuple[Any, ...]], banque: CoteBanque, nous: CoteNous) -> None:
        """Ajoute ce que le fichier dit, et notre part de la même chose, aux jours de la banque."""
        dans_le_fichier = [jour for jour in jours if jour[7]]
        rendu_ailleurs = banque.rendu - sum(jour[9] for jour in jours)
        rendeur = next((j for j in dans_le_fichier if j[9]), None)
        for jour in dans_le_fichier:
            somme = self._somme(jour[1] or nous.marchand, jour[2])
            somme.banque_pris += jour[8]
            somme.banque_rendu += jour[9]
            somme.frais += jour[10]
            if jour is rendeur:
                somme.nous_repris += max(0, nous.repris - rendu_ailleurs)
        # Chaque marchand a sa part ; si le rapport n'en nomme pas, c'est celle du paiement entier.
        nommes = {jour[1] for jour in dans_le_fichier}
        for marchand in [None] if None in nommes else sorted(nommes):
            siens = [jour for jour in jours if marchand in {None, jour[1]}]
            ailleurs = sum(jour[3] - jour[8] for jour in siens)
            # Le premier jour qui porte de l'argent la reçoit : la banque et nous parlons de la même remise.
            lus = [jour for jour in siens if jour[7]]
            porteur = next((jour for jour in lus if jour[8]), lus[0])
            if porteur[8] or banque.genre is Genre.TRANSACTIONS:
                part = nous.pris if marchand is None else nous.pris_sous.get(marchand, 0)
                if remise_diminuee(banque, nous):
                    part -= nous.repris
                self._somme(porteur[1] or nous.marchand, porteur[2]).nous_pris += max(0, part - ailleurs)

    def _somme(self, marchand: str | None, jour: date | None) -> Somme:
        return self.sommes.setdefault((marchand or "", jour or date.min), Somme())


def _dater(banque: CoteBanque, jours: Sequence[tuple[Any, ...]], nous: CoteNous) -> CoteBanque:
    """Le côté de la banque, et ce qu'il dit pris avant que notre paiement soit ouvert.

    Les autres rapports datent la remise ou l'impayé, qui suivent : ils ne disent pas quand la personne a payé.
    """
    if nous.ouvert_le is None or banque.genre is not Genre.TRANSACTIONS:
        return banque
    pris = [(quand, montant) for jour in jours for quand, montant in zip(jour[11], jour[12], strict=True)]
    return banque._replace(avant=sum(montant for quand, montant in pris if precede(quand, nous.ouvert_le)))
