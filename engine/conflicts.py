"""Les conflits d'enregistrement : qui a été plus rapide, et ce qu'il faut refaire."""

from typing import Final

from psycopg.errors import UniqueViolation


class Conflict(Exception):
    """Quelqu'un d'autre a enregistré avant nous ; rien de ce lot n'est écrit."""


class VersionConflict(Conflict):
    """Un flux a avancé depuis sa lecture : recharger, décider de nouveau."""


class PositionConflict(Conflict):
    """La partition est déjà lue plus loin : laisser tomber le lot et se replacer."""


class KeyConflict(Conflict):
    """La même requête vient d'être traitée : rendre sa réponse."""


_PAR_CONTRAINTE: Final[dict[str, type[Conflict]]] = {
    "evenements_flux_version": VersionConflict,
    "positions_depuis": PositionConflict,
    "sorts_message": PositionConflict,
    "attentes_message": PositionConflict,
    "attentes_reglees_message": PositionConflict,
    "cles_idempotence_cle": KeyConflict,
}


def traduire(erreur: UniqueViolation) -> Exception:
    """Rend le conflit que désigne la contrainte violée ; l'erreur elle-même si aucune des nôtres ne l'est."""
    conflit = _PAR_CONTRAINTE.get(erreur.diag.constraint_name or "")
    return conflit(erreur.diag.message_detail or "") if conflit else erreur
