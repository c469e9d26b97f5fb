"""Chaque champ de chaque sorte d'événement, changé seul : l'audit le voit, ou la liste dit que rien ne le redit."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.audit.test_alterations import altere

SEULE_UNE_PREUVE = {
    # L'heure que dit un fait, à moins qu'un autre fait ne soit du même geste.
    "creance.AvisEmis.timestamp",
    "creance.AvisRectifie.timestamp",
    "creance.AvisAnnule.timestamp",
    "creance.EncaissementRecu.timestamp",
    "paiement.EncaissementNonImpute.timestamp",
    "anomalie.ReglementApprouve.timestamp",
    # Ce que la caisse a écrit, et que le sort de son message ne garde pas ; ou d'un message retenu, appliqué ailleurs.
    "creance.AvisEmis.solde_pf_fr",
    "creance.AvisRectifie.motif",
    "creance.AvisAnnule.motif",
    "creance.EncaissementRecu.message_id",
    "creance.EncaissementRecu.encaisse_le",
    # Ce que la banque nous renvoie, et que seul son formulaire redit.
    "paiement.PaiementOuvert.jeton_retour",
}
"""Les champs que rien d'autre ne redit : aucun montant n'en dépend."""

UN_DE_CHAQUE = "SELECT DISTINCT ON (topic) topic, position, etat FROM journal.evenements ORDER BY topic, position DESC"


def changements(etat: Any, chemin: str = "") -> Iterator[tuple[str, Any]]:
    """Chaque feuille, avec l'état où elle seule est autre."""
    if isinstance(etat, dict):
        for cle, valeur in etat.items():
            for ou, autre in changements(valeur, f"{chemin}.{cle}"):
                yield ou, {**etat, cle: autre}
    elif isinstance(etat, list):
        for rang, valeur in enumerate(etat):
            for ou, autre in changements(valeur, f"{chemin}[]"):
                yield ou, [*etat[:rang], autre, *etat[rang + 1 :]]
    else:
        yield chemin, autrement(etat)


def autrement(valeur: Any) -> Any:  # noqa: PLR0911 (une forme, une réponse)
    """Une autre valeur, de la même forme."""
    if valeur is None:
        return "1"
    if isinstance(valeur, bool):
        return not valeur
    if isinstance(valeur, int):
        return valeur + 1
    if re.fullmatch(r"\d{4}-\d\d-\d\dT.*", valeur):
        return (datetime.fromisoformat(valeur) + timedelta(seconds=1)).isoformat()
    if re.fullmatch(r"\d{4}-\d\d-\d\d", valeur):
        return (datetime.fromisoformat(valeur) + timedelta(days=1)).date().isoformat()
    if re.fullmatch(r"\d{16}[A-Z]", valeur):
        return f"{(int(valeur[:16]) + 1):016d}{valeur[16]}"
    return valeur + "1"


@pytest.mark.lent
def test_chaque_champ_change_seul_est_vu(proprietaire: psycopg.Connection[Any]) -> None:
    tus = set()
    essayes = 0
    for topic, position, octets in proprietaire.execute(UN_DE_CHAQUE).fetchall():
        for chemin, autre in changements(json.loads(bytes(octets))):
            essayes += 1
            sql = "UPDATE journal.evenements SET etat = %s WHERE position = %s"
            rapport = altere(proprietaire, sql, json.dumps(autre).encode(), position)
            if not (rapport.ecarts or rapport.illisibles or rapport.non_controles):
                tus.add(f"{topic}{chemin}")
    assert essayes > 130
    assert tus == SEULE_UNE_PREUVE
