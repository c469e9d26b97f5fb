"""L'autre côté : ce que montre chaque colonne de chaque vue."""

from datetime import datetime
from json import dumps
from typing import Any, Final

from psycopg import Connection

from domain.accuse import echeance_de, est_echu
from domain.delai import jour_de_paris
from domain.references import Pseudonyme
from projections.audit.contexte import Contexte
from projections.audit.lecture import parcourir
from projections.audit.rapprochement import Relation, Valeurs, us
from projections.audit.relations import (
    ARGENT,
    DELAI,
    EN_COURS,
    GESTES,
    MESSAGERIE,
    NON_AFFICHES,
    PAIEMENTS,
    REGLEMENTS,
    RESTANT_DU,
    SANS_ACCORD,
    TROP_PERCUS,
)

COLONNES: Final = {
    "restant_du": (
        "reference", "assure", "caisse", "nature", "date_emission", "payable_en_ligne", "annulee", "montant_initial",
        "solde", "en_cours", "version", "position",
    ),
    "paiements": (
        "transaction", "assure", "caisse", "canal", "montant", "statut", "code", "cause", "ouvert_le", "expire_le",
        "conclu_le", "accepte_le", "version", "regle_le", "montant_regle",
    ),
    "trop_percus": ("reference",),
    "paiements_en_cours": ("transaction", "ouvert_le"),
    "paiements_sans_accord": ("transaction", "conclu_le"),
    "affichages_en_attente": ("transaction", "reference", "accepte_le"),
    "durees_d_affichage": ("tranche_ms", "paiements"),
    "delai_affichage": ("transaction", "reference", "accepte_le", "affiche_le", "version", "montree"),
    "messagerie": ("transaction", "assure", "accepte_le", "echeance", "lu_le", "supprime_le"),
    "argent": (
        "anomalie", "transaction", "raison", "marchand", "autorisation", "montant", "reste", "accepte_le", "depuis",
        "cause",
    ),
    "reglements": (
        "anomalie", "etat", "signale_le", "transaction", "signalement", "montant", "proposition", "version",
        "saisi_par", "saisi_le", "expire_le", "approuve_par", "regle_le",
    ),
}  # fmt: skip
"""Toutes les colonnes de chaque vue : un test dit s'il en manque une."""

_REQUETES: Final = {nom: f"SELECT {', '.join(colonnes)} FROM vues.{nom}" for nom, colonnes in COLONNES.items()}  # noqa: S608


_TENUES: Final = "SELECT tenue = position FROM vues.suiveurs WHERE nom = %s"

LISTES: Final[dict[str, tuple[Relation, str]]] = {
    "trop_percus": (TROP_PERCUS, RESTANT_DU.nom),
    "paiements_en_cours": (EN_COURS, PAIEMENTS.nom),
    "paiements_sans_accord": (SANS_ACCORD, PAIEMENTS.nom),
    "affichages_en_attente": (NON_AFFICHES, DELAI.nom),
}
"""Ce que des vues tiennent à côté de leurs lignes : la relation, et la vue qui tient la liste."""


class ListePasTenue(Exception):
    """La vue a été menée par une version qui ne connaît pas cette liste : la suivante la refait en prenant la main."""


def accuse_attendu(assure: Pseudonyme, accepte_le: datetime, maintenant: datetime) -> Valeurs | None:
    """Ce que la messagerie doit montrer d'un paiement accepté ; None si le message est échu."""
    echeance = echeance_de(accepte_le)
    return None if est_echu(echeance, maintenant) else (assure, us(accepte_le), echeance.toordinal())


def lire_restant_du(conn: Connection[Any], contexte: Contexte, reference: str | None = None) -> None:
    """Chaque créance de la vue, ou une seule."""
    vu = contexte.comptes.vu
    for nom, *valeurs in parcourir(conn, *_choisir("restant_du", "reference", reference)):
        vu(RESTANT_DU, nom, tuple(valeurs))


def lire_paiements(conn: Connection[Any], contexte: Contexte) -> None:
    """Chaque paiement de la vue."""
    vu = contexte.comptes.vu
    for transaction, *valeurs in parcourir(conn, _REQUETES["paiements"]):
        vu(PAIEMENTS, transaction, tuple(valeurs))


def lire_liste(conn: Connection[Any], contexte: Contexte, nom: str) -> None:
    """Chaque ligne d'une liste ; lève ListePasTenue."""
    relation, vue = LISTES[nom]
    (tenue,) = conn.execute(_TENUES, (vue,)).fetchone() or (True,)
    if not tenue:
        raise ListePasTenue(f"une version d'avant mène {vue}")
    valeurs = len(relation.champs)
    for ligne in parcourir(conn, _REQUETES[nom]):
        cle = ligne[: len(ligne) - valeurs]
        contexte.comptes.vu(relation, cle if len(cle) > 1 else cle[0], ligne[len(cle) :])


def lire_delai(conn: Connection[Any], contexte: Contexte, reference: str | None = None) -> None:
    """Chaque part acceptée de la vue, ou celles d'une créance."""
    vu = contexte.comptes.vu
    for transaction, nom, *valeurs in parcourir(conn, *_choisir("delai_affichage", "reference", reference)):
        vu(DELAI, (transaction, nom), tuple(valeurs))


def lire_messagerie(conn: Connection[Any], contexte: Contexte) -> None:
    """Chaque message de la vue qui n'est pas échu : l'accusé, et chaque geste."""
    vu = contexte.comptes.vu
    aujourd_hui = jour_de_paris(contexte.maintenant).toordinal()
    for transaction, assure, accepte_le, echeance, lu_le, supprime_le in parcourir(conn, _REQUETES["messagerie"]):
        if echeance <= aujourd_hui:
            continue
        gestes = [(geste, le) for geste, le in (("lu", lu_le), ("supprime", supprime_le)) if le is not None]
        if accepte_le is not None or not gestes:
            vu(MESSAGERIE, transaction, (assure, accepte_le, echeance))
        for geste, le in gestes:
            vu(GESTES, (transaction, assure), (geste, le, echeance))


def lire_argent(conn: Connection[Any], contexte: Contexte) -> None:
    """Tout l'argent que la banque a pris sans créance, et ce qui en reste."""
    for anomalie, *valeurs in parcourir(conn, _REQUETES["argent"]):
        contexte.comptes.vu(ARGENT, anomalie, tuple(valeurs))


def lire_reglements(conn: Connection[Any], contexte: Contexte) -> None:
    """Chaque anomalie dont une personne s'est occupée."""
    for anomalie, *valeurs in parcourir(conn, _REQUETES["reglements"]):
        valeurs[_PROPOSITION] = json_en_clair(valeurs[_PROPOSITION])
        contexte.comptes.vu(REGLEMENTS, anomalie, tuple(valeurs))


def json_en_clair(valeur: Any) -> str | None:
    """Une valeur de JSON, toujours écrite pareil ; None si elle manque."""
    return None if valeur is None else dumps(valeur, sort_keys=True)


_PROPOSITION: Final = COLONNES["reglements"].index("proposition") - 1


def _choisir(nom: str, colonne: str, valeur: str | None) -> tuple[str, tuple[str, ...]]:
    if valeur is None:
        return _REQUETES[nom], ()
    return f"{_REQUETES[nom]} WHERE {colonne} = %s", (valeur,)
