"""Lire un rapport ligne à ligne, conduit par les noms de son en-tête ; il est cru en entier ou refusé en entier.

La mémoire ne dépend pas de la taille du fichier : une ligne à la fois, et de longueur bornée.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from kiosque.rapports import LIBELLES, Entete, Genre, LigneDeRapport, Octets, RapportRefuse
from kiosque.sips.codes import ACCEPTE, NE_CONCLUENT_RIEN
from kiosque.sips.rapports.colonnes import REQUIS, Champ, NomsDesColonnes, genre_de, normaliser
from kiosque.sips.rapports.lignes import RETOUR_SEUL, Lignes
from kiosque.sips.rapports.valeurs import (
    exiger_euro,
    lire_autorisation,
    lire_code,
    lire_instant,
    lire_marchand,
    lire_montant,
    lire_reference,
    lire_texte,
)

ANNULEE: Final = "CANCELLED"
DEBIT: Final = "DEBIT_CAPTURE"
CREDIT: Final = "CREDIT_CAPTURE"
SEPARATEURS: Final = ("\t", ";", ",", "|")
"""La banque laisse le choix du sien ; la première ligne le montre."""

VIDE: Final = "le fichier est vide"
SANS_TITRE: Final = "TITLE est attendu au début du fichier, puis son séparateur (« ; », tabulation, « , » ou « | »)"
APRES_LE_RAPPORT_MAX: Final = timedelta(days=31)
"""Une ligne datée de plus tard encore après le rapport qui la porte est une date abîmée."""

AVANT_LE_RAPPORT_MAX: Final = timedelta(days=731)
"""Une ligne plus ancienne encore que son rapport aussi : elle lui ferait couvrir des années dont il ne dit rien."""

_FIN: Final = re.compile(r"END|FIN(?![A-Z]).*", re.DOTALL)
_MOTS_DE_TETE: Final = frozenset({"TITLE", "HEADER"})
_BLANCS: Final = " \t\r\n;,|"
_ABSENTE: Final = "null"
_VIDES: Final[dict[Champ, str | None]] = dict.fromkeys(Champ)
_MARCHAND: Final = re.compile(r"[0-9]{15}")
_COMPTE: Final = re.compile(r"[0-9]{1,7}")
_TELS_QUELS: Final = frozenset({Champ.SURVENU_LE, Champ.MONTANT, Champ.FRAIS})
"""Ceux que leur propre lecture juge, avec sa phrase."""


@dataclass(frozen=True, slots=True)
class EnteteLue(Entete):
    """Ce que disent les deux premières lignes : aussi où se lit chaque champ."""

    colonnes: Mapping[Champ, int]
    noms: Sequence[str]


class RapportSips:
    """Un rapport ouvert : son en-tête est lu, ses lignes viennent une à une, et la dernière ferme ou refuse."""

    def __init__(self, fichier: Octets, noms: NomsDesColonnes) -> None:
        """Lit les deux premières lignes ; lève RapportRefuse."""
        self._lignes = Lignes(fichier)
        titre_brut = next(self._lignes, None)
        if titre_brut is None:
            raise RapportRefuse(VIDE)
        if not titre_brut.strip(_BLANCS) and not any(ligne.strip(_BLANCS) for ligne in self._lignes):
            raise RapportRefuse(VIDE if self._lignes.numero == 1 else "le fichier n'a que des lignes vides")
        premiere = titre_brut.lstrip('"').upper()
        separateur = next((s for s in SEPARATEURS if premiere.startswith((f"TITLE{s}", f'TITLE"{s}'))), None)
        if separateur is None:
            raise RapportRefuse(SANS_TITRE, ligne=1)
        if "\r" in titre_brut.rstrip("\r\n"):
            raise RapportRefuse(RETOUR_SEUL, ligne=1)
        titre = next(csv.reader([titre_brut], delimiter=separateur))
        self._csv = csv.reader(self._lignes, delimiter=separateur, strict=True)
        self._debut = 2
        colonnes = self._suivante()
        if colonnes is None:
            raise RapportRefuse("le fichier est coupé : il finit après son titre", ligne=1)
        self._entete = _lire_entete(titre, colonnes, noms)

    @property
    def entete(self) -> EnteteLue:
        """Ce que disent les deux premières lignes."""
        return self._entete

    @property
    def octets_lus(self) -> int:
        """Pour une barre d'avancement."""
        return self._lignes.octets

    def __iter__(self) -> Iterator[LigneDeRapport]:
        """Les lignes dans l'ordre du fichier ; lève RapportRefuse, à la dernière si la fin manque."""
        lues = 0
        while (cases := self._suivante()) is not None:
            if not any(map(str.strip, cases)):
                continue
            mot = cases[0].strip().upper()
            if _FIN.fullmatch(mot):
                self._exiger_fin(cases[1:], lues)
                return
            if mot in _MOTS_DE_TETE:
                raise RapportRefuse(f"une seconde ligne {mot} : deux rapports bout à bout ?", ligne=self._debut)
            yield _lire_ligne(self._entete, cases, self._debut)
            lues += 1
        raise RapportRefuse("le fichier est coupé : la dernière ligne, END, manque", ligne=self._lignes.numero)

    def _suivante(self) -> list[str] | None:
        """Les cases de la ligne suivante ; `_debut` est son numéro, même si des guillemets l'étendent."""
        self._debut = self._lignes.numero + 1
        try:
            return next(self._csv, None)
        except csv.Error as erreur:
            retour = "new-line" in str(erreur)
            cause = RETOUR_SEUL if retour else "guillemets mal placés, ou jamais refermés"
            raise RapportRefuse(cause, ligne=self._debut) from erreur

    def _exiger_fin(self, suite: Sequence[str], lues: int) -> None:
        """Rien ne suit la ligne de fin ; si elle dit un compte, c'est celui des lignes."""
        compte = next((case.strip() for case in suite if case.strip()), "")
        if _COMPTE.fullmatch(compte) and int(compte) != lues:
            cause = f"la ligne de fin annonce {int(compte)} lignes, le fichier en a {lues}"
            raise RapportRefuse(cause, ligne=self._debut)
        for reste in self._lignes:
            if reste.strip(_BLANCS):
                raise RapportRefuse("du texte suit la ligne de fin", ligne=self._lignes.numero)


@dataclass(frozen=True, slots=True)
class RapportsSips:
    """Les rapports de Sips, lus sous ces noms de colonne."""

    noms: NomsDesColonnes

    def ouvrir(self, fichier: Octets, /) -> RapportSips:
        """Lit les deux premières lignes ; lève RapportRefuse."""
        return RapportSips(fichier, self.noms)

    def refuse(self, code: str, /) -> bool:
        """Dit si ce code conclut sans acceptation."""
        return code != ACCEPTE and code not in NE_CONCLUENT_RIEN

    def annule(self, etat: str, /) -> bool:
        """Dit si la transaction est annulée avant sa remise."""
        return etat == ANNULEE


def _lire_entete(titre: Sequence[str], cases: Sequence[str], noms: NomsDesColonnes) -> EnteteLue:
    if not cases or cases[0].strip().upper() != "HEADER":
        raise RapportRefuse("HEADER est attendu au début de la deuxième ligne", ligne=2)
    colonnes = [normaliser(nom) for nom in cases]
    genre = genre_de(" ".join(titre[1:]), colonnes)
    if genre is None:
        raise RapportRefuse("ni le titre ni les colonnes ne disent quel rapport c'est", ligne=1)
    places: dict[Champ, int] = {}
    for champ, candidats in noms[genre].items():
        for candidat in candidats:
            trouvees = colonnes.count(normaliser(candidat))
            if trouvees > 1:
                raise RapportRefuse("la colonne est donnée deux fois", ligne=2, champ=candidat)
            if trouvees:
                places[champ] = colonnes.index(normaliser(candidat))
                break
        else:
            if champ in REQUIS[genre]:
                attendus = " ou ".join(candidats)
                raise RapportRefuse(f"la colonne manque au rapport des {LIBELLES[genre]}", ligne=2, champ=attendus)
    return EnteteLue(
        genre=genre,
        genere_le=_date_du_titre(titre),
        marchand=next((case.strip() for case in titre[1:] if _MARCHAND.fullmatch(case.strip())), None),
        colonnes=places,
        noms=tuple(cases),
    )


def _date_du_titre(titre: Sequence[str]) -> datetime:
    for case in titre[1:]:
        try:
            return lire_instant(case.strip())
        except ValueError:
            continue
    raise RapportRefuse("le titre ne porte pas de date (ISO ou AAAAMMJJ)", ligne=1)


def _lire_ligne(entete: EnteteLue, cases: Sequence[str], numero: int) -> LigneDeRapport:
    if len(cases) < len(entete.noms):
        raise RapportRefuse(f"{_cases(len(cases))} au lieu de {len(entete.noms)} : la ligne est coupée", ligne=numero)
    if any(case.strip() for case in cases[len(entete.noms) :]):
        raise RapportRefuse(f"{_cases(len(cases))} au lieu de {len(entete.noms)}", ligne=numero)
    champ = Champ.TRANSACTION
    lus: dict[Champ, str | None] = _VIDES.copy()
    try:
        for champ, place in entete.colonnes.items():
            valeur = cases[place].strip()
            if valeur and valeur.lower() != _ABSENTE:
                lus[champ] = valeur if champ in _TELS_QUELS else lire_texte(valeur)
            elif champ in REQUIS[entete.genre]:
                raise ValueError("la case est vide")  # noqa: TRY301  the place is named once, below
        champ = Champ.DEVISE
        exiger_euro(lus[champ] or "978")
        champ = Champ.TRANSACTION
        transaction = lire_reference(lus[champ] or "")
        champ = Champ.MARCHAND
        marchand = lire_marchand(nomme) if (nomme := lus[champ] or entete.marchand) else None
        champ = Champ.MONTANT
        # Le signe d'un impayé n'est pas documenté : c'est toujours de l'argent rendu.
        montant = abs(lire_montant(lus[champ] or "", signe=entete.genre is Genre.IMPAYES))
        champ = Champ.FRAIS
        frais = lire_montant(lu, signe=True) if (lu := lus[champ]) else None
        champ = Champ.CODE
        code = lire_code(lu) if (lu := lus[champ]) and entete.genre is Genre.TRANSACTIONS else lus[champ]
        champ = Champ.AUTORISATION
        autorisation = lire_autorisation(lu) if (lu := lus[champ]) else None
        champ = Champ.SURVENU_LE
        survenu_le = lire_instant(lus[champ] or "")
        if survenu_le > entete.genere_le + APRES_LE_RAPPORT_MAX:
            raise ValueError("la date est hors de raison : bien après le rapport")  # noqa: TRY301  as above
        if survenu_le < entete.genere_le - AVANT_LE_RAPPORT_MAX:
            raise ValueError("la date est hors de raison : bien avant le rapport")  # noqa: TRY301  as above
    except ValueError as erreur:
        nom = entete.noms[entete.colonnes[champ]] if champ in entete.colonnes else champ.value
        raise RapportRefuse(str(erreur), ligne=numero, champ=nom) from erreur
    operation = nommee.upper() if (nommee := lus[Champ.OPERATION]) else None
    return LigneDeRapport(
        numero=numero,
        genre=entete.genre,
        transaction=transaction,
        marchand=marchand,
        operation=operation,
        sequence=lus[Champ.SEQUENCE],
        montant=montant,
        frais=frais,
        pris=montant if _prend(entete.genre, operation, code) else 0,
        rendu=montant if _rend(entete.genre, operation) else 0,
        etat=lus[Champ.ETAT],
        code=code,
        autorisation=autorisation,
        survenu_le=survenu_le,
    )


def _cases(nombre: int) -> str:
    return f"{nombre} case{'s' if nombre > 1 else ''}"


def _prend(genre: Genre, operation: str | None, code: str | None) -> bool:
    """Une remise n'est comptée qu'à `DEBIT_CAPTURE`."""
    match genre:
        case Genre.TRANSACTIONS:
            return code == ACCEPTE
        case Genre.OPERATIONS:
            return operation == DEBIT
        case Genre.RAPPROCHEMENTS:
            return operation in {None, DEBIT}
        case Genre.IMPAYES:
            return False
        case _:
            assert_never(genre)


def _rend(genre: Genre, operation: str | None) -> bool:
    """`CREDIT_CAPTURE`, ou un impayé."""
    match genre:
        case Genre.IMPAYES:
            return True
        case Genre.OPERATIONS | Genre.RAPPROCHEMENTS:
            return operation == CREDIT
        case Genre.TRANSACTIONS:
            return False
        case _:
            assert_never(genre)
