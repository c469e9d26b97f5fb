"""L'accusé de réception et le reçu en PDF accessible (PDF/UA-1) : une page, balisée, en français, polices incluses."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final

import typst

from api.assure.justificatif import Justificatif
from api.socle.rendu import heure, jour
from domain.accuse import EXPEDITEUR, OBJET, Accuse
from domain.caisses import nom_de_caisse
from domain.monnaie import euros
from projections.vues.paiements import LignePaiement

_GABARITS: Final = Path(__file__).parent / "gabarits"
_NORME: Final = "ua-1"
"""typst refuse alors de composer ce qui n'y satisfait pas : un document sans titre ou sans langue, par exemple."""

_UN_A_LA_FOIS: Final = Lock()


def accuse_en_pdf(accuse: Accuse) -> bytes:
    """Le PDF de ce message : toujours les mêmes octets. Bloquant, quelques millisecondes."""
    valeurs = {
        "objet": OBJET,
        "expediteur": EXPEDITEUR,
        "date": accuse.horodatage,
        "echeance": f"{accuse.echeance:%d/%m/%Y}",
        "transaction": accuse.transaction,
        "paragraphes": accuse.paragraphes,
        "signature": accuse.signature,
        "note": accuse.note,
    }
    return _composer("accuse", valeurs, accuse.accepte_le)


def recu_en_pdf(paiement: LignePaiement, accepte_le: datetime, justificatif: Justificatif, repris: int = 0) -> bytes:
    """Le reçu de ce paiement accepté : toujours les mêmes octets. Bloquant, quelques millisecondes.

    `repris` : ce qui ne compte plus depuis (centimes).
    """
    date = f"{jour(accepte_le)} à {heure(accepte_le)}"
    lignes = {
        "Montant payé": euros(paiement.montant),
        "Repris depuis, et de nouveau dû": euros(repris) if repris else None,
        "Date": date,
        "Caisse gestionnaire": nom_de_caisse(paiement.caisse),
        "Référence de la transaction": paiement.transaction,
        "Carte": justificatif.carte_masquee,
        "Autorisation": justificatif.autorisation,
    }
    valeurs = {
        "titre": "Reçu de votre paiement de créance",
        "date": date,
        "lignes": [(nom, valeur) for nom, valeur in lignes.items() if valeur],
        "parts": [(part.reference, euros(part.part)) for part in justificatif.parts],
    }
    return _composer("recu", valeurs, accepte_le)


def _composer(gabarit: str, valeurs: Mapping[str, object], instant: datetime) -> bytes:
    # Les valeurs sont des données du document, jamais du code : rien de ce qu'elles portent n'est interprété.
    with _UN_A_LA_FOIS:
        octets = _compositeur().compile(
            _gabarit(gabarit),
            format="pdf",
            sys_inputs={"valeurs": json.dumps(valeurs)},
            pdf_standards=_NORME,
            timestamp=instant.astimezone(UTC).replace(microsecond=0),  # typst n'en veut pas.
        )
    if not isinstance(octets, bytes):
        raise TypeError("typst n'a pas rendu un document")
    return octets


@cache
def _gabarit(nom: str) -> bytes:
    return (_GABARITS / f"{nom}.typ").read_bytes()


@cache
def _compositeur() -> typst.Compiler:
    """Un seul compositeur, sur les polices que typst apporte : le rendu ne dépend pas de la machine."""
    return typst.Compiler(font_paths=typst.Fonts(include_system_fonts=False), ignore_system_fonts=True)
