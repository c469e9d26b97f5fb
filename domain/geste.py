"""Les gestes par lesquels une anomalie se règle, ce que chacun précise, et lesquels demandent deux personnes."""

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, NamedTuple, NewType, assert_never

from pydantic import BaseModel, StringConstraints

from domain.diffusion import Diffusion
from domain.faits import MODELE
from domain.imputation import Imputation
from domain.monnaie import Somme
from domain.nir import contient_un_nir
from domain.references import ReferenceTransaction

IdAnomalie = NewType(
    "IdAnomalie",
    Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,16}-[A-Za-z0-9_-]{1,100}$"), Diffusion.PUBLIQUE],
)
"""Le nom stable d'une anomalie : sa source, puis ce qui la désigne ; ni pseudonyme ni donnée d'une personne."""

TEXTE_MAX: Final = 200
"""Signes d'un motif ou d'une pièce, au plus."""

AGENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._|:-]{0,63}")
"""La forme d'un nom d'agent : un identifiant, jamais une adresse de courriel."""

COMPTE_SYSTEME: Final = "systeme:"
"""Le début du nom d'un compte de la machine, qu'une ligne de commande prouve ; aucun émetteur ne nomme ainsi."""


def meme_personne(une: str, autre: str) -> bool:
    """Dit si ces deux noms d'agent peuvent désigner la même personne : ni la casse ni les blancs n'en font deux.

    Un compte de la machine et une personne de l'émetteur non plus : rien ne dit que ce n'est pas la même.
    """
    une, autre = une.strip().casefold(), autre.strip().casefold()
    return une == autre or une.startswith(COMPTE_SYSTEME) != autre.startswith(COMPTE_SYSTEME)


_CATEGORIES_REFUSEES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def texte_sur(texte: str) -> str:
    """Le texte d'une personne ; lève ValueError s'il porte un signe de commande, une balise ou un NIR."""
    if any(unicodedata.category(signe) in _CATEGORIES_REFUSEES or signe in "<>" for signe in texte):
        raise ValueError("le texte porte un signe de commande ou une balise")
    if contient_un_nir(texte):
        raise ValueError("le texte porte un numéro de sécurité sociale")
    return texte


Texte = Annotated[str, StringConstraints(max_length=TEXTE_MAX), Diffusion.INTERNE]
"""Une phrase écrite par une personne, passée par `texte_sur` à son entrée : elle n'est pas publiée."""


class Source(StrEnum):
    """D'où vient une anomalie : le premier mot de son nom."""

    ARGENT = "argent"
    """De l'argent que la banque a pris et qu'aucune créance n'a reçu."""
    TROP_PERCU = "trop_percu"
    SORT = "sort"
    """Un message dont le sort est une anomalie, sans argent à rattacher."""
    ATTENTE = "attente"
    """Un message en souffrance."""
    LEVEE = "levee"
    """Un message qui avait attendu, et dont le sort est une anomalie."""
    ECART = "ecart"
    """Un écart entre un rapport de la banque et nous."""
    ECARTE = "ecarte"
    """Un événement qu'un suiveur a écarté."""
    REBUT = "rebut"
    """Un formulaire refusé à la porte, gardé aux rebuts."""
    PARTITION = "partition"
    """Une partition à l'arrêt."""
    VUE = "vue"
    """Une ligne d'une vue qui ne dit pas ce que dit le journal."""
    PAIEMENT = "paiement"
    """Un paiement qu'une personne, ou une réponse de la banque, a signalé."""


class Geste(StrEnum):
    """Ce qui règle une anomalie."""

    RATTACHER = "rattacher"
    CONCLURE = "conclure"
    RENDRE = "rendre"
    CONSTATER_REPRISE = "constater_reprise"
    REMBOURSER = "rembourser"
    CONTREPASSER = "contrepasser"
    APPLIQUER = "appliquer"
    ECARTER = "ecarter"
    RENVOYER = "renvoyer"
    FAUSSE_ALERTE = "fausse_alerte"
    LIBERER = "liberer"
    REJOUER = "rejouer"
    REPRENDRE = "reprendre"


class Voie(StrEnum):
    """Par où de l'argent est rendu."""

    CARTE = "carte"
    """Par la banque, sur la carte qui a payé."""
    VIREMENT = "virement"
    """Par la caisse ; la pièce porte la référence du virement."""


class Proposition(BaseModel):
    """Un règlement voulu, tel qu'une personne le propose et qu'une autre l'approuve."""

    model_config = MODELE

    geste: Geste
    montant: Somme = Somme(0)
    """L'argent qu'il fait bouger, en centimes ; 0 : aucun."""
    imputations: tuple[Imputation, ...] = ()
    """Où va l'argent rattaché ; ou la seule créance à laquelle appliquer un message."""
    voie: Voie | None = None
    transaction: ReferenceTransaction | None = None
    """Le paiement dont la carte est recréditée, ou que l'on contre-passe."""
    motif: Texte
    preuve: Texte = ""
    """La pièce : référence d'un virement, d'un courrier, d'un rapport de la banque."""


GESTES: Final[Mapping[Source, frozenset[Geste]]] = {
    Source.ARGENT: frozenset({Geste.RATTACHER, Geste.CONCLURE, Geste.RENDRE, Geste.CONSTATER_REPRISE}),
    Source.TROP_PERCU: frozenset({Geste.REMBOURSER}),
    Source.SORT: frozenset({Geste.FAUSSE_ALERTE, Geste.REJOUER}),
    Source.ATTENTE: frozenset({Geste.APPLIQUER, Geste.ECARTER, Geste.RENVOYER}),
    Source.LEVEE: frozenset({Geste.FAUSSE_ALERTE}),
    Source.ECART: frozenset({Geste.CONTREPASSER, Geste.FAUSSE_ALERTE}),
    Source.ECARTE: frozenset({Geste.LIBERER}),
    Source.REBUT: frozenset({Geste.REJOUER, Geste.FAUSSE_ALERTE}),
    Source.PARTITION: frozenset({Geste.REPRENDRE}),
    Source.VUE: frozenset(),  # `creances rebuild` la guérit ; la comparaison suivante la ferme.
    Source.PAIEMENT: frozenset({Geste.CONTREPASSER, Geste.FAUSSE_ALERTE}),
}
"""Ce qu'une source laisse faire, au plus ; l'état de l'anomalie peut en retirer."""


class Regle(NamedTuple):
    """Ce que les règles disent d'un geste."""

    precise: frozenset[str]
    """Ce qu'il précise, outre son motif et sa pièce. Le reste se refuse : enregistré sans effet, il mentirait ; et une
    voie ferait rendre de l'argent que rien ne rend."""
    a_deux: bool
    """Une seconde personne l'approuve : de l'argent bouge, ou un message de la caisse ne bougera pas ce qu'il dit."""
    du_dossier: bool = False
    """Il ne vise que le paiement de son anomalie : en nommer un autre se refuse."""


def regle(geste: Geste) -> Regle:  # noqa: PLR0911 (un cas par geste)
    """Ce que les règles disent de ce geste."""
    match geste:
        case Geste.RATTACHER:
            return Regle(frozenset({"montant", "imputations", "transaction"}), a_deux=True)
        case Geste.RENDRE:
            return Regle(frozenset({"montant", "voie", "transaction"}), a_deux=True, du_dossier=True)
        case Geste.REMBOURSER:
            return Regle(frozenset({"montant", "voie", "transaction"}), a_deux=True)
        case Geste.CONCLURE | Geste.CONSTATER_REPRISE | Geste.CONTREPASSER:
            return Regle(frozenset({"montant", "transaction"}), a_deux=True, du_dossier=True)
        case Geste.APPLIQUER:
            return Regle(frozenset({"montant", "imputations"}), a_deux=True)
        case Geste.ECARTER | Geste.RENVOYER:
            return Regle(frozenset({"montant"}), a_deux=True)
        case Geste.REJOUER:  # C'est la banque, sous son sceau, qui décide de nouveau.
            return Regle(frozenset(), a_deux=False)
        case Geste.FAUSSE_ALERTE | Geste.LIBERER | Geste.REPRENDRE:
            return Regle(frozenset(), a_deux=False)
        case _:
            assert_never(geste)


PRECISIONS: Final = {geste: regle(geste).precise for geste in Geste}
A_DEUX: Final = frozenset(geste for geste in Geste if regle(geste).a_deux)
DU_DOSSIER: Final = frozenset(geste for geste in Geste if regle(geste).du_dossier)


def de_trop(proposition: Proposition) -> list[str]:
    """Ce que cette proposition précise et que son geste n'a pas à dire."""
    dits = {
        "montant": bool(proposition.montant),
        "imputations": bool(proposition.imputations),
        "voie": proposition.voie is not None,
        "transaction": proposition.transaction is not None,
    }
    return [nom for nom, dit in dits.items() if dit and nom not in PRECISIONS[proposition.geste]]


def composer_id(source: Source, *reste: object) -> IdAnomalie:
    """Le nom d'une anomalie."""
    return IdAnomalie("-".join([source.value, *map(str, reste)]))


def lire_id(ident: str) -> tuple[Source, str] | None:
    """La source d'une anomalie et ce qui la désigne ; None si ce n'en est pas le nom."""
    tete, tiret, reste = ident.partition("-")
    if not tiret or not _RESTE.fullmatch(reste) or tete not in _SOURCES:
        return None
    return Source(tete), reste


_SOURCES: Final = frozenset(source.value for source in Source)
_RESTE: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


def numero_d_argent(ident: str) -> int:
    """La version de l'encaissement que nomme `argent-<transaction>-<version>` ; lève ValueError."""
    return int(ident.rpartition("-")[2])


__all__ = [
    "AGENT",
    "A_DEUX",
    "COMPTE_SYSTEME",
    "DU_DOSSIER",
    "GESTES",
    "PRECISIONS",
    "TEXTE_MAX",
    "Geste",
    "IdAnomalie",
    "Proposition",
    "Source",
    "Texte",
    "Voie",
    "composer_id",
    "de_trop",
    "lire_id",
    "meme_personne",
    "numero_d_argent",
    "texte_sur",
]
