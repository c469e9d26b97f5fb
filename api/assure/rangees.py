"""Les rangées de l'étape 2, écrites d'avance : cinquante rangées ne traversent pas le gabarit valeur à valeur.

Un gabarit cherche chaque attribut et échappe chaque valeur à part : c'était le plus gros du temps d'une page de
cinquante lignes. Ici chaque champ est déjà le texte de la page, échappé, et le gabarit l'écrit tel quel.
"""

from functools import lru_cache
from typing import NamedTuple

from markupsafe import escape

from api.socle.rendu import jour, typographie
from domain.caisses import nom_de_caisse
from domain.monnaie import euros
from projections.vues.restant_du import LigneCreance


class Rangee(NamedTuple):
    """Une créance du tableau, dans l'ordre où le gabarit la prend ; tout texte est échappé."""

    reference: str
    rang: int
    restant: int
    disponible: int
    caisse: str
    nom_de_caisse: str
    emise_le: str
    initial_en_euros: str
    restant_en_euros: str
    en_cours_en_euros: str
    """Vide si rien n'est en cours."""
    raison: str
    """Pourquoi elle ne peut pas être cochée ; vide si elle peut l'être."""
    cochee: bool


def rangee(creance: LigneCreance, rang: int, raison: str, *, cochee: bool) -> Rangee:
    """La rangée de cette créance ; `raison` : la phrase qui dit pourquoi elle ne se coche pas, ou rien."""
    restant = creance.restant_du
    return Rangee(
        _echappe(creance.reference),
        rang,
        restant,
        creance.disponible,
        _echappe(creance.caisse),
        _nom_echappe(creance.caisse),
        _jour(creance.date_emission),
        _euros(creance.montant_initial),
        _euros(restant),
        _euros(creance.en_cours) if creance.en_cours else "",
        _echappe(typographie(raison)) if raison else "",
        cochee,
    )


def _echappe(texte: str) -> str:
    """Des lettres et des chiffres n'ont rien à échapper : c'est le cas de toutes les références."""
    return texte if texte.isalnum() else str(escape(texte))


@lru_cache(maxsize=256)
def _nom_echappe(caisse: str) -> str:
    return _echappe(nom_de_caisse(caisse))


# Un compte répète ses dates, et son montant restant est le plus souvent le montant initial.
_jour = lru_cache(maxsize=1024)(jour)
_euros = lru_cache(maxsize=4096)(euros)
