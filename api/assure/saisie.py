"""Ce que la personne a tapé dans le formulaire de paiement."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.avis import Canal
from domain.references import lire_référence
from domain.refus import Refus, SélectionInvalide
from guichet.ouvrir_paiement import Demande, Partage

_MONTANT: Final = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{1,2}))?")
_BLANCS: Final = re.compile(r"[\s€]+")
_CLÉ: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = re.compile(r"([0-9]{16}[A-Z]):([0-9]{1,9})")


class MontantIllisible(Refus):
    """Saisissez le montant de votre paiement en euros, par exemple 20,00."""

    code = "montant_illisible"


class RéférenceAbsente(Refus):
    """Saisissez la référence de l'avis : 16 chiffres et 1 lettre."""

    code = "reference_absente"


class FormulairePérimé(Refus):
    """Ce formulaire a expiré : merci de recommencer votre recherche."""

    code = "formulaire_perime"


class Saisie(NamedTuple):
    """Les champs du formulaire, tels que tapés ; ils sont remontrés si le paiement est refusé."""

    cherchée: str
    cochées: tuple[str, ...]
    montant: str
    clé: str
    partage: str
    """Le partage que la personne a lu, écrit par notre page ; vide si elle n'en a pas encore lu."""
    action: str


def lire_saisie(champs: Sequence[tuple[str, str]]) -> Saisie:
    """Les champs reconnus ; le dernier compte si l'un est répété."""
    par_nom = dict(champs)
    cochées = tuple(valeur for nom, valeur in champs if nom == "references")
    return Saisie(
        par_nom.get("reference", ""),
        cochées,
        par_nom.get("montant", ""),
        par_nom.get("cle", ""),
        par_nom.get("partage", ""),
        par_nom.get("action", "payer"),
    )


def lire_sélection(saisie: Saisie) -> tuple[str, ...]:
    """Les références cochées ; lève SélectionInvalide."""
    références = tuple(référence for coche in saisie.cochées if (référence := lire_référence(coche)))
    if len(références) != len(saisie.cochées) or not références:
        raise SélectionInvalide
    return références


def demande_de(saisie: Saisie, assuré: str, canal: Canal) -> Demande:
    """La demande de paiement ; lève le Refus que la personne doit lire.

    Exclusive : deux pages ouvertes ne peuvent pas mener à deux paiements de la même créance.
    """
    références, montant = lire_sélection(saisie), lire_montant(saisie.montant)
    if not _CLÉ.fullmatch(saisie.clé):
        raise FormulairePérimé
    empreinte = hashlib.sha256(json.dumps([références, montant]).encode()).digest()
    return Demande(
        assuré,
        références,
        montant,
        canal,
        f"page:{saisie.clé}",
        empreinte,
        exclusif=True,
        partage_lu=lire_partage(saisie.partage),
    )


def lire_montant(texte: str) -> int:
    """Le montant en centimes de `20`, `20,5` ou `20.50 €` ; lève MontantIllisible."""
    trouvé = _MONTANT.fullmatch(_BLANCS.sub("", texte))
    if trouvé is None:
        raise MontantIllisible
    return int(trouvé[1]) * 100 + int((trouvé[2] or "0").ljust(2, "0"))


def lire_partage(texte: str) -> Partage:
    """Le partage qu'`écrire_partage` a écrit ; tout autre texte n'en est aucun, et ne correspondra à rien."""
    parts = [_PART.fullmatch(part) for part in texte.split(",")]
    return tuple((part[1], int(part[2])) for part in parts if part)


def écrire_partage(partage: Partage) -> str:
    """Le partage, pour un champ caché du formulaire : `référence:centimes,…`."""
    return ",".join(f"{référence}:{part}" for référence, part in partage)
