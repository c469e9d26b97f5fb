"""L'audit : recalculer chaque solde depuis le journal, et comparer chaque vue à sa propre position.

Tout est lu dans un même instantané. Le retard d'une vue n'est pas un écart : elle est comparée au journal arrêté à sa
position. Le solde est calculé deux fois, par l'agrégat et par la formule de la règle, qui doivent s'accorder.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from eventsourcing.persistence import StoredEvent
from psycopg import Connection, IsolationLevel

from domain.accuse import est_échu, échéance_de
from domain.creance import Créance
from domain.faits import Fait
from domain.messagerie import Messagerie
from domain.paiement import Fin, Paiement
from journal import comptes
from journal.mapper import MapperDesFaits
from projections.restant_du import LigneCréance

LIGNES_PAR_LECTURE: Final = 2_000
"""Lignes lues à la fois du serveur : l'audit ne charge jamais le journal entier."""

ÉCARTS_MAX: Final = 1_000
"""Écarts rapportés, au plus ; au-delà, ils sont seulement comptés."""

# Les flux d'un préfixe, jusqu'à une position.
_FLUX: Final = """
SELECT flux, version, topic, etat FROM journal.evenements
WHERE flux >= %s AND flux < %s AND position <= %s ORDER BY flux, version
"""

_VUE_RESTANT_DÛ: Final = """
SELECT reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee, montant_initial, solde, en_cours,
       version, position
FROM vues.restant_du WHERE %s::text IS NULL OR reference = %s ORDER BY reference
"""

_VUE_PAIEMENTS: Final = "SELECT transaction, montant, statut FROM vues.paiements ORDER BY transaction"

_VUE_AFFICHAGE: Final = "SELECT transaction, reference, affiche_le IS NOT NULL FROM vues.delai_affichage"

_VUE_MESSAGERIE: Final = """
SELECT transaction, assure, accepte_le, lu_le IS NOT NULL, supprime_le IS NOT NULL, echeance FROM vues.messagerie
"""

_POSITIONS: Final = "SELECT nom, position FROM vues.suiveurs"

_TÊTE: Final = "SELECT coalesce(max(position), 0), count(*) FROM journal.evenements"

_ÉCARTÉS: Final = "SELECT suiveur, flux, position, cause FROM vues.ecartes ORDER BY suiveur, position"


@dataclass(slots=True)
class Rapport:
    """Ce que l'audit a vu, et ce qui ne va pas."""

    créances: int = 0
    paiements: int = 0
    événements: int = 0
    tête: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    restant_dû_total: int = 0
    accepté_total: int = 0
    écarts: list[str] = field(default_factory=list)
    écarts_comptés: int = 0

    def écart(self, phrase: str) -> None:
        """Ajoute un écart."""
        self.écarts_comptés += 1
        if len(self.écarts) < ÉCARTS_MAX:
            self.écarts.append(phrase)

    def en_json(self) -> dict[str, Any]:
        """Le rapport, prêt pour JSON."""
        return {
            "creances": self.créances,
            "paiements": self.paiements,
            "evenements": self.événements,
            "tete": self.tête,
            "positions": self.positions,
            "restant_du_total_centimes": self.restant_dû_total,
            "accepte_total_centimes": self.accepté_total,
            "ecarts_total": self.écarts_comptés,
            "ecarts": self.écarts,
        }


def auditer(conn: Connection[Any], référence: str | None = None, maintenant: datetime | None = None) -> Rapport:
    """Audite tout, ou une créance ; `conn` est en autocommit et hors transaction.

    `maintenant` dit quels messages sont échus : la vue peut encore les porter ou non, ce n'est pas un écart.
    """
    maintenant = maintenant or datetime.now(UTC)
    rapport = Rapport()
    avant = conn.isolation_level
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with conn.transaction():
            rapport.tête, rapport.événements = conn.execute(_TÊTE).fetchone() or (0, 0)
            rapport.positions = dict(conn.execute(_POSITIONS).fetchall())
            _comparer_restant_dû(conn, rapport, référence)
            if référence is None:
                parts = _parts_acceptées(conn, rapport.tête)
                _comparer_encaissements(conn, rapport, dict(parts))
                _comparer_paiements(conn, rapport)
                _comparer_affichage(conn, rapport)
                _comparer_messagerie(conn, rapport, maintenant)
                for phrase in comptes.écarts(conn):
                    rapport.écart(phrase)
            _rapporter_écartés(conn, rapport, référence)
    finally:
        conn.isolation_level = avant
    return rapport


def solde_par_la_formule(faits: list[Fait]) -> int:
    """Le solde selon la règle, sans passer par l'agrégat.

    montant − Σ parts acceptées − Σ encaissements + Σ contre-passations + Σ remboursements.
    """
    montant = 0
    autres = 0
    for fait in faits:
        match fait:
            case Créance.AvisEmis() | Créance.AvisRectifié():
                montant = fait.montant_initial
            case Créance.AvisAnnulé():
                montant = 0
            case Créance.PaiementAccepté():
                autres -= fait.part
            case Créance.EncaissementReçu():
                autres -= fait.montant
            case Créance.PaiementContrepassé():
                autres += fait.part
            case Créance.TropPerçuRemboursé():
                autres += fait.montant
            case _:
                pass
    return montant + autres


def _flux(
    conn: Connection[Any], préfixe: str, jusqu_à: int, nom: str | None = None
) -> Iterator[tuple[str, list[Fait]]]:
    """Les flux d'un préfixe, un à un, chacun avec ses faits."""
    bornes = (nom, nom + "\x01") if nom else (préfixe, préfixe + "\x7f")
    mapper = MapperDesFaits()
    with conn.cursor(name=f"audit_{préfixe.rstrip('-')}_{jusqu_à}") as curseur:
        curseur.itersize = LIGNES_PAR_LECTURE
        curseur.execute(_FLUX, (*bornes, jusqu_à))
        for flux, lignes in groupby(curseur, key=lambda ligne: ligne[0]):
            yield flux, [mapper.to_domain_event(StoredEvent(*ligne)) for ligne in lignes]


def _rejouer(faits: list[Fait]) -> Any:
    agrégat: Any = None
    for fait in faits:
        agrégat = fait.mutate(agrégat)
    return agrégat


def _comparer_restant_dû(conn: Connection[Any], rapport: Rapport, référence: str | None) -> None:
    """Fusionne les créances rejouées et les lignes de la vue, toutes deux dans l'ordre des références."""
    position = rapport.positions.get("restant_du", 0)
    nom = Créance.flux(référence) if référence else None
    with conn.cursor(name="audit_vue") as curseur:
        curseur.itersize = LIGNES_PAR_LECTURE
        curseur.execute(_VUE_RESTANT_DÛ, (référence, référence))
        lignes = (LigneCréance(*ligne) for ligne in curseur)
        ligne = next(lignes, None)
        for flux, faits in _flux(conn, "creance-", position, nom):
            créance: Créance = _rejouer(faits)
            rapport.créances += 1
            rapport.restant_dû_total += créance.restant_dû
            if créance.solde != (formule := solde_par_la_formule(faits)):
                rapport.écart(f"{flux} : solde {créance.solde} rejoué, {formule} par la formule")
            while ligne is not None and ligne.référence < créance.avis.référence:
                rapport.écart(f"restant_du : {ligne.référence} sans événement")
                ligne = next(lignes, None)
            if ligne is None or ligne.référence != créance.avis.référence:
                rapport.écart(f"restant_du : {créance.avis.référence} absente de la vue")
                continue
            _comparer_ligne(rapport, créance, ligne)
            ligne = next(lignes, None)
        while ligne is not None:
            rapport.écart(f"restant_du : {ligne.référence} sans événement")
            ligne = next(lignes, None)


def _comparer_ligne(rapport: Rapport, créance: Créance, ligne: LigneCréance) -> None:
    attendus = {
        "assure": (créance.avis.assuré, ligne.assuré),
        "montant_initial": (créance.montant, ligne.montant_initial),
        "solde": (créance.solde, ligne.solde),
        "en_cours": (créance.réservé, ligne.en_cours),
        "annulee": (créance.annulée, ligne.annulée),
        "payable_en_ligne": (créance.payable_en_ligne, ligne.payable_en_ligne),
        "version": (créance.version, ligne.version),
    }
    for champ, (journal, vue) in attendus.items():
        if journal != vue:
            rapport.écart(f"restant_du : {ligne.référence} {champ} vaut {vue}, le journal dit {journal}")


def _parts_acceptées(conn: Connection[Any], tête: int) -> Iterator[tuple[tuple[str, str], int]]:
    """Les parts que les créances ont acceptées : ((transaction, référence), centimes)."""
    for flux, faits in _flux(conn, "creance-", tête):
        for fait in faits:
            if isinstance(fait, Créance.PaiementAccepté):
                yield (fait.transaction, flux.removeprefix("creance-")), fait.part


def _comparer_encaissements(conn: Connection[Any], rapport: Rapport, parts: dict[tuple[str, str], int]) -> None:
    """Chaque centime accepté par la banque est sur une créance, une fois et une seule."""
    for _, faits in _flux(conn, "paiement-", rapport.tête):
        paiement: Paiement = _rejouer(faits)
        if not paiement.connu:
            continue
        rapport.paiements += 1
        if paiement.fin is Fin.ACCEPTÉ:
            rapport.accepté_total += paiement.montant
            for imputation in paiement.imputations:
                part = parts.pop((paiement.transaction, imputation.référence), None)
                if part != imputation.part:
                    rapport.écart(
                        f"{paiement.transaction} : {imputation.part} centimes acceptés pour {imputation.référence},"
                        f" qui en porte {part or 0}"
                    )
    for (transaction, référence), part in parts.items():
        rapport.écart(f"{référence} : {part} centimes de {transaction}, que le paiement ne dit pas acceptés")


def _comparer_paiements(conn: Connection[Any], rapport: Rapport) -> None:
    """La vue `paiements` dit le montant et le statut que dit le journal."""
    position = rapport.positions.get("paiements", 0)
    vue = {transaction: (montant, statut) for transaction, montant, statut in conn.execute(_VUE_PAIEMENTS)}
    for _, faits in _flux(conn, "paiement-", position):
        paiement: Paiement = _rejouer(faits)
        if not paiement.connu:
            continue
        attendu = (paiement.montant, paiement.fin.value if paiement.fin else "en_cours")
        if (vu := vue.pop(paiement.transaction, None)) != attendu:
            rapport.écart(f"paiements : {paiement.transaction} vaut {vu}, le journal dit {attendu}")
    for transaction in vue:
        rapport.écart(f"paiements : {transaction} sans événement")


def _comparer_affichage(conn: Connection[Any], rapport: Rapport) -> None:
    position = rapport.positions.get("delai_affichage", 0)
    vue = {(transaction, référence): affiché for transaction, référence, affiché in conn.execute(_VUE_AFFICHAGE)}
    for flux, faits in _flux(conn, "creance-", position):
        référence = flux.removeprefix("creance-")
        créance: Créance = _rejouer(faits)
        for transaction, part in créance.acceptées.items():
            vu = vue.pop((transaction, référence), None)
            if vu != part.affichée:
                rapport.écart(f"delai_affichage : {transaction} sur {référence} vaut {vu}, le journal {part.affichée}")
    for transaction, référence in vue:
        rapport.écart(f"delai_affichage : {transaction} sur {référence} sans événement")


def _comparer_messagerie(conn: Connection[Any], rapport: Rapport, maintenant: datetime) -> None:
    """Un accusé par paiement accepté, lu ou supprimé comme le dit le journal."""
    position = rapport.positions.get("messagerie", 0)
    vue = {
        transaction: reste
        for transaction, *reste, échéance in conn.execute(_VUE_MESSAGERIE)
        if not est_échu(échéance, maintenant)
    }
    gestes: dict[str, Messagerie] = {
        messagerie.assuré: messagerie
        for messagerie in (_rejouer(faits) for _, faits in _flux(conn, "messagerie-", position))
    }
    for _, faits in _flux(conn, "paiement-", position):
        paiement: Paiement = _rejouer(faits)
        if paiement.accepté_le is None or est_échu(échéance_de(paiement.accepté_le), maintenant):
            continue
        transaction, geste = paiement.transaction, gestes.get(paiement.assuré or "")
        lu = geste is not None and transaction in geste.lus
        supprimé = geste is not None and transaction in geste.supprimés
        attendu = [paiement.assuré, paiement.accepté_le, lu, supprimé]
        if (vu := vue.pop(transaction, None)) != attendu:
            rapport.écart(f"messagerie : {transaction} vaut {vu}, le journal dit {attendu}")
    for transaction in vue:
        rapport.écart(f"messagerie : {transaction} sans événement")


def _rapporter_écartés(conn: Connection[Any], rapport: Rapport, référence: str | None) -> None:
    for suiveur, flux, position, cause in conn.execute(_ÉCARTÉS):
        if référence is None or flux == Créance.flux(référence):
            rapport.écart(f"{suiveur} : événement {position} de {flux} écarté ({cause})")
