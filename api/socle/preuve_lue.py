"""Une preuve de solde, telle qu'une page la montre : pas à pas, et en entier pour qui la vérifie."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from starlette.responses import Response

from preuve import verificateur
from preuve.notes import Verifier
from preuve.trust import Trusted

VERIFICATEUR: Final = Path(verificateur.__file__)
"""Le vérificateur autonome, tel que nos pages le remettent."""

ADRESSE_DU_VERIFICATEUR: Final = "/preuve/verificateur.py"

_ORIGINE: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FaitProuve(NamedTuple):
    """Un fait de la créance, et sa place dans l'arbre."""

    calcul: str
    """Ce qu'il fait du solde, en une phrase."""
    enregistre_le: datetime
    feuille: int
    etages: int
    """Combien d'empreintes le mènent à la racine."""


def valeurs_de(faite: bytes, reconnue: Trusted | None) -> dict[str, Any]:
    """Ce que le gabarit d'une page de preuve attend ; la page ne prouve rien, elle fait lire et vérifier."""
    lue = json.loads(faite)
    origine, taille, racine = lue["point"].split("\n\n")[0].split("\n")
    return {
        "preuve": lue,
        "texte": faite.decode(),
        "faits": [_fait(calcul, fait) for calcul, fait in zip(lue["calcul"], lue["faits"], strict=True)],
        "origine": origine,
        "taille": int(taille),
        "racine": racine,
        "cles": reconnue.vkeys(faite) if reconnue is not None else [],
        "verificateur": ADRESSE_DU_VERIFICATEUR,
    }


def temoins_de(reconnue: Trusted | None) -> Sequence[Verifier]:
    """Ceux dont les cosignatures sont reconnues."""
    return reconnue.witnesses if reconnue is not None else ()


def fichier_de_preuve(reference: str, faite: bytes) -> Response:
    """La preuve, sous le nom que la page dit à la commande."""
    en_tetes = {"Content-Disposition": f'attachment; filename="preuve-{reference}.json"', "Cache-Control": "no-store"}
    return Response(faite, media_type="application/json", headers=en_tetes)


def _fait(calcul: str, fait: dict[str, Any]) -> FaitProuve:
    _, colonnes = verificateur.lire_ligne(verificateur.de_base64(fait["ligne"]))
    instant = _ORIGINE + timedelta(microseconds=int(colonnes["enregistre_le"]))
    return FaitProuve(calcul, instant, fait["feuille"], len(fait["chemin"]))
