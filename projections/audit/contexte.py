"""Ce que partagent les lectures d'un audit : le rapport, les deux côtés à comparer, et où s'arrête chaque vue."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from domain.agregats import AGREGATS
from engine.mapper import EventMapper
from projections.audit.rapport import Rapport
from projections.audit.rapprochement import Cle, Comptes, Relation, Valeurs, us
from projections.audit.relations import CAISSE, REGLES, RETENUS, SORTS

Ligne = tuple[int, str, int, str, bytes, str, int]
"""Un événement stocké : position, flux, version, topic, état, cause, enregistré le (microsecondes)."""

MESSAGE: Final = "kafka:"
"""Le début de la cause d'un fait qu'un message a causé."""

REQUETE: Final = "requete:"

REGLEMENT: Final = "reglement:"

D_UNE_ATTENTE: Final = "reglement:attente-"
"""Le début de la cause d'un message retenu que des personnes ont appliqué ailleurs."""


@dataclass(slots=True)
class Rendu:
    """Ce que le journal dit d'une transaction dont la banque a rendu l'argent, ou l'a repris ; en centimes."""

    par_carte: int = 0
    """Rendu par la banque à notre demande."""
    repris: int = 0
    """Repris par la banque : contre-passé, ou constaté."""
    marchand: str = ""
    le: int = 0
    """Le dernier remboursement (microsecondes)."""


class Signature(NamedTuple):
    """Qui a fait un règlement, quand, pourquoi, et sous quel nom il est écrit ailleurs."""

    saisi_par: str
    approuve_par: str | None
    heure: int | None
    motif: str
    message_id: str


@dataclass(slots=True)
class Contexte:
    """Une lecture de tout : la première, qui compte, ou la seconde, qui nomme."""

    rapport: Rapport
    comptes: Comptes
    maintenant: datetime
    premiere: bool = True
    """Faux à la seconde lecture : les constats et les totaux sont déjà faits."""
    ecartes: dict[tuple[str, str], int] = field(default_factory=dict)
    """La position du premier événement écarté, par (suiveur, flux)."""
    retenus: set[str] = field(default_factory=set)
    """Les causes des messages qui ont attendu : leurs champs ne sont pas gardés avec leur sort."""
    prefixes: set[tuple[str, str]] = field(default_factory=set)
    """(relation, flux) illisible, dont la vue est pourtant arrêtée avant ce qui ne se lit pas."""
    mapper: EventMapper = field(default_factory=lambda: EventMapper(AGREGATS))
    preleve_par_message: int = 0
    """Ce que les messages de la banque disent pris, en centimes."""

    repris: int = 0
    """Ce que la banque a repris d'elle-même sans qu'une créance l'ait reçu, en centimes."""
    rendus: dict[str, Rendu] = field(default_factory=dict)
    """Ce que la banque a rendu à notre demande, ou repris, par transaction."""

    signatures: dict[str, list[Signature]] | None = None
    """Les règlements faits, par anomalie ; None si les anomalies ne sont pas lues."""

    def signer(self, ident: str, fait: Any, version: int) -> None:
        """Un règlement est fait ; `version` : celle de sa proposition."""
        if self.signatures is not None:
            dite = Signature(
                fait.saisi_par, fait.approuve_par, us(fait.timestamp), fait.proposition.motif, f"{ident}.{version}"
            )
            self.signatures.setdefault(ident, []).append(dite)

    def exiger_signature(self, flux: str, fait: Any, cause: str, **dits: str) -> None:
        """Un fait qu'un règlement a causé dit les mêmes personnes et la même heure que lui."""
        ident = cause.removeprefix(REGLEMENT)
        if self.signatures is None or ident == cause or f"anomalie-{ident}" in self.rapport.illisibles:
            return
        voulue = (fait.saisi_par, fait.approuve_par, us(fait.timestamp))
        if not any(
            une[:3] == voulue and all(getattr(une, nom) == dit for nom, dit in dits.items())
            for une in self.signatures.get(ident, ())
        ):
            self.ecart(f"{flux} : v{fait.originator_version} n'est pas signé comme le règlement de {ident}")

    def rendu(self, transaction: str) -> Rendu:
        """Ce qui en est dit jusqu'ici, à compléter."""
        return self.rendus.setdefault(transaction, Rendu())

    def limite(self, suiveur: str, flux: str) -> int:
        """La dernière position que cette vue a pu appliquer de ce flux."""
        position = self.rapport.positions.get(suiveur, 0)
        ecarte = self.ecartes.get((suiveur, flux))
        return position if ecarte is None else min(position, ecarte - 1)

    def ecart(self, phrase: str) -> None:
        """Un écart constaté en lisant."""
        if self.premiere:
            self.rapport.ecart(phrase)

    def illisible(self, flux: str, cause: str) -> None:
        """Un flux que l'on ne sait pas lire."""
        self.rapport.illisibles.setdefault(flux, cause)

    def incomparable(self, relation: str, flux: str) -> bool:
        """Dit si rien ne peut être comparé de ce flux pour cette relation."""
        return flux in self.rapport.illisibles and (relation, flux) not in self.prefixes


class Dits:
    """Ce qu'un flux dit, retenu jusqu'à ce qu'il soit lu en entier : d'un flux illisible, rien n'est dit."""

    __slots__ = ("_contexte", "_gardes")

    def __init__(self, contexte: Contexte) -> None:
        """Rien n'est dit encore."""
        self._contexte = contexte
        self._gardes: list[tuple[bool, Relation, Cle, Valeurs]] = []

    def dit(self, relation: Relation, cle: Cle, valeurs: Valeurs) -> None:
        """Le journal dit ces valeurs."""
        self._gardes.append((True, relation, cle, valeurs))

    def vu(self, relation: Relation, cle: Cle, valeurs: Valeurs) -> None:
        """L'autre côté d'une relation entre deux faits."""
        self._gardes.append((False, relation, cle, valeurs))

    def cause(self, cause: str, flux: str, valeurs: Valeurs) -> None:
        """Un fait qu'un message a causé, de lui-même ou par deux personnes."""
        if cause.startswith(D_UNE_ATTENTE):
            self.dit(RETENUS, (cause, ""), ())
        if not cause.startswith(MESSAGE):
            return
        if cause in self._contexte.retenus:
            self.dit(RETENUS, (cause, flux), ())
        else:
            self.dit(SORTS, (cause, flux), valeurs)

    def caisse(self, cause: str, flux: str, valeurs: Valeurs) -> None:
        """Ce qu'un fait dit de son message, que le sort de ce message dit aussi."""
        if cause.startswith(MESSAGE) and cause not in self._contexte.retenus:
            self.dit(CAISSE, (cause, flux), valeurs)

    def regle(self, cause: str, geste: str, montant: int) -> None:
        """De l'argent qu'un règlement a fait bouger."""
        if cause.startswith(REGLEMENT):
            self.dit(REGLES, cause.removeprefix(REGLEMENT), (geste, montant))

    def clore(self, seulement: str | None = None) -> None:
        """Dit tout ; `seulement` : une seule relation, le reste est abandonné."""
        comptes = self._contexte.comptes
        for dit, relation, cle, valeurs in self._gardes:
            if seulement is None or relation.nom == seulement:
                (comptes.dit if dit else comptes.vu)(relation, cle, valeurs)
        self._gardes.clear()


def champ(valeur: Any) -> Any:
    """Une valeur de JSON telle qu'elle se compare : un nombre à virgule ou un objet n'est égal à rien d'attendu."""
    return valeur if valeur is None or isinstance(valeur, str | int | bool) else repr(valeur)
