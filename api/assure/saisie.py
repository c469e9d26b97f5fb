"""Ce que la personne a tapé dans le formulaire de paiement."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.avis import Canal
from domain.monnaie import Centimes
from domain.references import Pseudonyme, ReferenceCreance, lire_reference
from domain.refus import Refus, SelectionInvalide
from guichet.ouvrir_paiement import Demande, Partage

_MONTANT: Final = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{1,2}))?")
_BLANCS: Final = re.compile(r"[\s€]+")
_CLE: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = re.compile(r"([0-9]{16}[A-Z]):([0-9]{1,9})")


class MontantIllisible(Refus):
    """Le montant saisi ne se lit pas."""

    code = "montant_illisible"
    phrase_de_base = "Saisissez le montant de votre paiement en euros, par exemple 20,00."


class ReferenceAbsente(Refus):
    """Aucune référence n'a été saisie."""

    code = "reference_absente"
    phrase_de_base = "Saisissez la référence de l'avis : 16 chiffres et 1 lettre."


class FormulairePerime(Refus):
    """La clé du formulaire n'est pas l'une des nôtres."""

    code = "formulaire_perime"
    phrase_de_base = "Ce formulaire a expiré : merci de recommencer votre recherche."


class Saisie(NamedTuple):
    """Les champs du formulaire, tels que tapés ; ils sont remontrés si le paiement est refusé."""

    cherchee: str
    cochees: tuple[str, ...]
    montant: str
    cle: str
    partage: str
    """Le partage que la personne a lu, écrit par notre page ; vide si elle n'en a pas encore lu."""
    action: str


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
    )


def lire_selection(saisie: Saisie) -> tuple[ReferenceCreance, ...]:
    """Les références cochées ; lève SélectionInvalide."""
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
    """Le montant en centimes de `20`, `20,5` ou `20.50 €` ; lève MontantIllisible."""
    trouve = _MONTANT.fullmatch(_BLANCS.sub("", texte))
    if trouve is None:
        raise MontantIllisible
    return Centimes(int(trouve[1]) * 100 + int((trouve[2] or "0").ljust(2, "0")))


def lire_partage(texte: str) -> Partage:
    """Le partage qu'`ecrire_partage` a écrit ; tout autre texte n'en est aucun, et ne correspondra à rien."""
    parts = [_PART.fullmatch(part) for part in texte.split(",")]
    return tuple((ReferenceCreance(part[1]), Centimes(int(part[2]))) for part in parts if part)


def ecrire_partage(partage: Partage) -> str:
    """Le partage, pour un champ caché du formulaire : `reference:centimes,…`."""
    return ",".join(f"{reference}:{part}" for reference, part in partage)
