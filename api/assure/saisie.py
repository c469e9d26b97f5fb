"""Ce que la personne a tapé dans le formulaire de paiement."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from api.socle.formulaire import FormulairePerime
from api.socle.problemes import RefusDeSaisie
from domain.avis import Canal
from domain.monnaie import Centimes
from domain.references import (
    CHIFFRES,
    DefautDeReference,
    Pseudonyme,
    ReferenceCreance,
    ReferenceIllisible,
    lire_reference,
)
from domain.refus import SelectionInvalide
from guichet.ouvrir_paiement import Demande, Partage

_EN_EUROS: Final = re.compile(
    r"€?\s*([0-9]{1,9}|[0-9]{1,3}(?:\s[0-9]{3}){1,2})(?:[.,]([0-9]{1,2}))?\s*(?:€|[Ee][Uu][Rr](?:[Oo][Ss]?)?)?"
)
_EURO_AU_MILIEU: Final = re.compile(r"([0-9]{1,9})\s*€\s*([0-9]{2})")
_BLANCS: Final = re.compile(r"\s+")
_BORDS: Final = re.compile(r"^[\s\u200b-\u200f\u2060\ufeff]+|[\s\u200b-\u200f\u2060\ufeff]+$")
"""Les blancs autour d'un montant collé, et les signes sans largeur, que la personne ne voit pas."""
_CLE: Final = re.compile(r"[0-9a-f]{32}")
MONTANT_SIGNES_MAX: Final = 16
_ECRIT: Final = re.compile(rf"[0-9., €eurosEUROS]{{1,{MONTANT_SIGNES_MAX}}}")
_PAGE: Final = re.compile(r"([1-9][0-9]{0,3})")
_PART: Final = re.compile(r"([0-9]{16}[A-Z]):([0-9]{1,9})")


class MontantIllisible(RefusDeSaisie):
    """Le montant tapé ne se lit pas, ou pourrait se lire de deux façons."""

    code = "montant_illisible"
    enonce = "Saisissez le montant de votre paiement en euros, par exemple 20,00."


class ReferenceAbsente(RefusDeSaisie):
    """Rien n'a été tapé."""

    code = "reference_absente"
    enonce = "Saisissez la référence de l'avis : 16 chiffres et 1 lettre."


class ReferenceMalTapee(RefusDeSaisie):
    """La saisie n'est pas une référence : la personne lit ce qui manque."""

    code = "reference_mal_tapee"

    def __init__(self, lue: ReferenceIllisible) -> None:
        """Retient ce que le domaine en a lu."""
        super().__init__(lue)
        self.lue = lue

    @property
    def phrase(self) -> str:
        """Ce qui ne va pas, tout en une phrase, et la forme attendue."""
        premier, *suite = (_CE_QUI_MANQUE[defaut](self.lue) for defaut in self.lue.defauts)
        dit = f"{', '.join([premier, *suite[:-1]])} et {suite[-1]}" if suite else premier
        return f"{dit[0].upper()}{dit[1:]}. Une référence compte 16 chiffres et 1 lettre."


def _chiffres(lue: ReferenceIllisible) -> str:
    return f"{lue.chiffres} chiffre{'s' if lue.chiffres > 1 else ''}"


def _deplaces(lue: ReferenceIllisible) -> str:
    accord = "sont à la place de chiffres" if len(lue.deplaces) > 1 else "est à la place d'un chiffre"
    return f"« {' », « '.join(lue.deplaces)} » {accord}"


_CE_QUI_MANQUE: Final[Mapping[DefautDeReference, Callable[[ReferenceIllisible], str]]] = {
    DefautDeReference.LETTRE_ABSENTE: lambda _: "il manque la lettre à la fin de votre référence",
    DefautDeReference.CHIFFRES_MANQUANTS: lambda lue: (
        f"votre référence ne compte que {_chiffres(lue)} : il en manque {CHIFFRES - lue.chiffres}"
    ),
    DefautDeReference.CHIFFRES_EN_TROP: lambda lue: (
        f"votre référence compte {_chiffres(lue)} : il y en a {lue.chiffres - CHIFFRES} de trop"
    ),
    DefautDeReference.SIGNE_DEPLACE: _deplaces,
    DefautDeReference.LETTRES_EN_TROP: lambda _: (
        "votre référence se termine par plusieurs lettres : gardez celle de votre courrier"
    ),
    DefautDeReference.SUITE_EN_TROP: lambda _: "votre référence se termine par sa lettre : ôtez ce qui la suit",
    DefautDeReference.SECURITE_SOCIALE: lambda _: (
        "c'est un numéro de sécurité sociale : la référence de l'avis est un autre numéro, en haut de votre courrier"
    ),
    DefautDeReference.PAIEMENT: lambda _: "c'est la référence d'un paiement : son reçu est dans « Tous mes paiements »",
    DefautDeReference.PLUSIEURS: lambda _: (
        "vous avez collé plusieurs références : n'en gardez qu'une, vous pourrez cocher les autres ensuite"
    ),
    DefautDeReference.FORME: lambda _: "nous n'avons pas reconnu de référence dans ce que vous avez saisi",
}


class Saisie(NamedTuple):
    """Les champs du formulaire, tels que tapés ; ils sont remontrés si le paiement est refusé."""

    cherchee: str
    cochees: tuple[str, ...]
    montant: str
    cle: str
    partage: str
    """Le partage que la personne a lu, écrit par notre page ; vide si elle n'en a pas encore lu."""
    action: str
    page: int = 1
    """La page du tableau que la personne a sous les yeux."""


def lire_saisie(champs: Sequence[tuple[str, str]]) -> Saisie:
    """Les champs reconnus ; le dernier compte si l'un est répété."""
    par_nom = dict(champs)
    cochees = tuple(valeur for nom, valeur in champs if nom == "references")
    return Saisie(
        par_nom.get("reference", ""),
        cochees,
        par_nom.get("montant", ""),
        par_nom.get("cle", ""),
        par_nom.get("partage", ""),
        par_nom.get("action", "payer"),
        int(trouvee[1]) if (trouvee := _PAGE.fullmatch(par_nom.get("page", ""))) else 1,
    )


def adresse_de_la_saisie(saisie: Saisie) -> str:
    """L'étape 2 avec ces lignes cochées et ce montant ; l'étape 1 si la référence ne se lit pas."""
    reference = lire_reference(saisie.cherchee)
    if reference is None:
        return "/payer"
    cochees = ",".join(coche for coche in map(lire_reference, saisie.cochees) if coche)
    montant = saisie.montant if _ECRIT.fullmatch(saisie.montant) else ""
    return f"/payer?{urlencode({'reference': reference, 'cochees': cochees, 'montant': montant}, safe=',')}"


def saisie_de_l_adresse(reference: str, cochees: str, montant: str) -> Saisie:
    """Ce qu'`adresse_de_la_saisie` a écrit."""
    return Saisie(reference, tuple(filter(None, cochees.split(","))), montant[:MONTANT_SIGNES_MAX], "", "", "payer")


def lire_selection(saisie: Saisie) -> tuple[ReferenceCreance, ...]:
    """Les références cochées ; lève SelectionInvalide."""
    references = tuple(reference for coche in saisie.cochees if (reference := lire_reference(coche)))
    if len(references) != len(saisie.cochees) or not references:
        raise SelectionInvalide
    return references


def demande_de(saisie: Saisie, assure: Pseudonyme, canal: Canal) -> Demande:
    """La demande de paiement ; lève le Refus que la personne doit lire.

    Exclusive : deux pages ouvertes ne peuvent pas mener à deux paiements de la même créance.
    """
    references, montant = lire_selection(saisie), lire_montant(saisie.montant)
    if not _CLE.fullmatch(saisie.cle):
        raise FormulairePerime
    empreinte = hashlib.sha256(json.dumps([references, montant]).encode()).digest()
    return Demande(
        assure,
        references,
        montant,
        canal,
        f"page:{saisie.cle}",
        empreinte,
        exclusif=True,
        partage_lu=lire_partage(saisie.partage),
    )


def lire_montant(texte: str) -> Centimes:
    """Le montant en centimes de `20`, `20,5`, `20.50 €`, `20 euros` ou `16€50` ; lève MontantIllisible dans le doute.

    Un blanc n'est admis qu'autour du signe € et entre des milliers : `1 6,00` est peut-être 16, peut-être 1.
    """
    serre = _BORDS.sub("", texte)
    trouve = _EN_EUROS.fullmatch(serre) or _EURO_AU_MILIEU.fullmatch(serre)
    if trouve is None:
        raise MontantIllisible
    return Centimes(int(_BLANCS.sub("", trouve[1])) * 100 + int((trouve[2] or "0").ljust(2, "0")))


def lire_partage(texte: str) -> Partage:
    """Le partage qu'`ecrire_partage` a écrit ; tout autre texte n'en est aucun, et ne correspondra à rien."""
    parts = [_PART.fullmatch(part) for part in texte.split(",")]
    return tuple((ReferenceCreance(part[1]), Centimes(int(part[2]))) for part in parts if part)


def ecrire_partage(partage: Partage) -> str:
    """Le partage, pour un champ caché du formulaire : `reference:centimes,…`."""
    return ",".join(f"{reference}:{part}" for reference, part in partage)
