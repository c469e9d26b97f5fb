"""Ce que la personne a tapé dans le formulaire de paiement."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.avis import Canal
from domain.references import lire_référence
from domain.refus import Refus, SélectionInvalide
from guichet.ouvrir_paiement import Demande

_MONTANT: Final = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{1,2}))?")
_BLANCS: Final = re.compile(r"[\s€]+")
_CLÉ: Final = re.compile(r"[0-9a-f]{32}")


class MontantIllisible(Refus):
    """Saisissez le montant de votre paiement en euros, par exemple 20,00."""

    code = "montant_illisible"


class FormulairePérimé(Refus):
    """Ce formulaire a expiré : merci de recommencer votre recherche."""

    code = "formulaire_perime"


class Saisie(NamedTuple):
    """Les champs du formulaire, tels que tapés ; ils sont remontrés si le paiement est refusé."""

    cherchée: str
    cochées: tuple[str, ...]
    montant: str
    clé: str


def lire_saisie(champs: Sequence[tuple[str, str]]) -> Saisie:
    """Les champs reconnus ; le dernier compte si l'un est répété."""
    par_nom = dict(champs)
    cochées = tuple(valeur for nom, valeur in champs if nom == "references")
    return Saisie(par_nom.get("reference", ""), cochées, par_nom.get("montant", ""), par_nom.get("cle", ""))


def demande_de(saisie: Saisie, assuré: str) -> Demande:
    """La demande de paiement ; lève le Refus que la personne doit lire."""
    références = tuple(référence for coche in saisie.cochées if (référence := lire_référence(coche)))
    if len(références) != len(saisie.cochées) or not références:
        raise SélectionInvalide
    if not _CLÉ.fullmatch(saisie.clé):
        raise FormulairePérimé
    montant = lire_montant(saisie.montant)
    empreinte = hashlib.sha256(json.dumps([références, montant]).encode()).digest()
    return Demande(assuré, références, montant, Canal.WEB, f"page:{saisie.clé}", empreinte)


def lire_montant(texte: str) -> int:
    """Le montant en centimes de `20`, `20,5` ou `20.50 €` ; lève MontantIllisible."""
    trouvé = _MONTANT.fullmatch(_BLANCS.sub("", texte))
    if trouvé is None:
        raise MontantIllisible
    return int(trouvé[1]) * 100 + int((trouvé[2] or "0").ljust(2, "0"))
