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

from domain.accuse import echeance_de, est_echu
from domain.creance import Créance
from domain.faits import Fait
from domain.messagerie import Messagerie
from domain.paiement import Fin, Paiement
from engine import fates as comptes
from engine.mapper import EventMapper
from projections.vues.restant_du import LigneCreance

LIGNES_PAR_LECTURE: Final = 2_000
"""Lignes lues à la fois du serveur : l'audit ne charge jamais le journal entier."""

ECARTS_MAX: Final = 1_000
"""Écarts rapportés, au plus ; au-delà, ils sont seulement comptés."""

# Les flux d'un préfixe, jusqu'à une position.
_FLUX: Final = """
SELECT flux, version, topic, etat FROM journal.evenements
WHERE flux >= %s AND flux < %s AND position <= %s ORDER BY flux, version
"""

_VUE_RESTANT_DU: Final = """
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

_TETE: Final = "SELECT coalesce(max(position), 0), count(*) FROM journal.evenements"

_ECARTES: Final = "SELECT suiveur, flux, position, cause FROM vues.ecartes ORDER BY suiveur, position"


@dataclass(slots=True)
class Rapport:
    """Ce que l'audit a vu, et ce qui ne va pas."""

    creances: int = 0
    paiements: int = 0
    evenements: int = 0
    tete: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    restant_du_total: int = 0
    accepte_total: int = 0
    ecarts: list[str] = field(default_factory=list)
    ecarts_comptes: int = 0

    def ecart(self, phrase: str) -> None:
        """Ajoute un écart."""
        self.ecarts_comptes += 1
        if len(self.ecarts) < ECARTS_MAX:
            self.ecarts.append(phrase)

    def en_json(self) -> dict[str, Any]:
        """Le rapport, prêt pour JSON."""
        return {
            "creances": self.creances,
            "paiements": self.paiements,
            "evenements": self.evenements,
            "tete": self.tete,
            "positions": self.positions,
            "restant_du_total_centimes": self.restant_du_total,
            "accepte_total_centimes": self.accepte_total,
            "ecarts_total": self.ecarts_comptes,
            "ecarts": self.ecarts,
        }


def auditer(conn: Connection[Any], reference: str | None = None, maintenant: datetime | None = None) -> Rapport:
    """Audite tout, ou une créance ; `conn` est en autocommit et hors transaction.

    `maintenant` dit quels messages sont échus : la vue peut encore les porter ou non, ce n'est pas un écart.
    """
    maintenant = maintenant or datetime.now(UTC)
    rapport = Rapport()
    avant = conn.isolation_level
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with conn.transaction():
            rapport.tete, rapport.evenements = conn.execute(_TETE).fetchone() or (0, 0)
            rapport.positions = dict(conn.execute(_POSITIONS).fetchall())
            _comparer_restant_du(conn, rapport, reference)
            if reference is None:
                parts = _parts_acceptees(conn, rapport.tete)
                _comparer_encaissements(conn, rapport, dict(parts))
                _comparer_paiements(conn, rapport)
                _comparer_affichage(conn, rapport)
                _comparer_messagerie(conn, rapport, maintenant)
                for phrase in comptes.ecarts(conn):
                    rapport.ecart(phrase)
            _rapporter_ecartes(conn, rapport, reference)
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
    conn: Connection[Any], prefixe: str, jusqu_a: int, nom: str | None = None
) -> Iterator[tuple[str, list[Fait]]]:
    """Les flux d'un préfixe, un à un, chacun avec ses faits."""
    bornes = (nom, nom + "\x01") if nom else (prefixe, prefixe + "\x7f")
    mapper = EventMapper()
    with conn.cursor(name=f"audit_{prefixe.rstrip('-')}_{jusqu_a}") as curseur:
        curseur.itersize = LIGNES_PAR_LECTURE
        curseur.execute(_FLUX, (*bornes, jusqu_a))
        for flux, lignes in groupby(curseur, key=lambda ligne: ligne[0]):
            yield flux, [mapper.to_domain_event(StoredEvent(*ligne)) for ligne in lignes]


def _rejouer(faits: list[Fait]) -> Any:
    agregat: Any = None
    for fait in faits:
        agregat = fait.mutate(agregat)
    return agregat


def _comparer_restant_du(conn: Connection[Any], rapport: Rapport, reference: str | None) -> None:
    """Fusionne les créances rejouées et les lignes de la vue, toutes deux dans l'ordre des références."""
    position = rapport.positions.get("restant_du", 0)
    nom = Créance.flux(reference) if reference else None
    with conn.cursor(name="audit_vue") as curseur:
        curseur.itersize = LIGNES_PAR_LECTURE
        curseur.execute(_VUE_RESTANT_DU, (reference, reference))
        lignes = (LigneCreance(*ligne) for ligne in curseur)
        ligne = next(lignes, None)
        for flux, faits in _flux(conn, "creance-", position, nom):
            creance: Créance = _rejouer(faits)
            rapport.creances += 1
            rapport.restant_du_total += creance.restant_du
            if creance.solde != (formule := solde_par_la_formule(faits)):
                rapport.ecart(f"{flux} : solde {creance.solde} rejoué, {formule} par la formule")
            while ligne is not None and ligne.reference < creance.avis.reference:
                rapport.ecart(f"restant_du : {ligne.reference} sans événement")
                ligne = next(lignes, None)
            if ligne is None or ligne.reference != creance.avis.reference:
                rapport.ecart(f"restant_du : {creance.avis.reference} absente de la vue")
                continue
            _comparer_ligne(rapport, creance, ligne)
            ligne = next(lignes, None)
        while ligne is not None:
            rapport.ecart(f"restant_du : {ligne.reference} sans événement")
            ligne = next(lignes, None)


def _comparer_ligne(rapport: Rapport, creance: Créance, ligne: LigneCreance) -> None:
    attendus = {
        "assure": (creance.avis.assure, ligne.assure),
        "montant_initial": (creance.montant, ligne.montant_initial),
        "solde": (creance.solde, ligne.solde),
        "en_cours": (creance.reserve, ligne.en_cours),
        "annulee": (creance.annulee, ligne.annulee),
        "payable_en_ligne": (creance.payable_en_ligne, ligne.payable_en_ligne),
        "version": (creance.version, ligne.version),
    }
    for champ, (journal, vue) in attendus.items():
        if journal != vue:
            rapport.ecart(f"restant_du : {ligne.reference} {champ} vaut {vue}, le journal dit {journal}")


def _parts_acceptees(conn: Connection[Any], tete: int) -> Iterator[tuple[tuple[str, str], int]]:
    """Les parts que les créances ont acceptées : ((transaction, référence), centimes)."""
    for flux, faits in _flux(conn, "creance-", tete):
        for fait in faits:
            if isinstance(fait, Créance.PaiementAccepté):
                yield (fait.transaction, flux.removeprefix("creance-")), fait.part


def _comparer_encaissements(conn: Connection[Any], rapport: Rapport, parts: dict[tuple[str, str], int]) -> None:
    """Chaque centime accepté par la banque est sur une créance, une fois et une seule."""
    for _, faits in _flux(conn, "paiement-", rapport.tete):
        paiement: Paiement = _rejouer(faits)
        if not paiement.connu:
            continue
        rapport.paiements += 1
        if paiement.fin is Fin.ACCEPTE:
            rapport.accepte_total += paiement.montant
            for imputation in paiement.imputations:
                part = parts.pop((paiement.transaction, imputation.reference), None)
                if part != imputation.part:
                    rapport.ecart(
                        f"{paiement.transaction} : {imputation.part} centimes acceptés pour {imputation.reference},"
                        f" qui en porte {part or 0}"
                    )
    for (transaction, reference), part in parts.items():
        rapport.ecart(f"{reference} : {part} centimes de {transaction}, que le paiement ne dit pas acceptés")


def _comparer_paiements(conn: Connection[Any], rapport: Rapport) -> None:
    """La vue `paiements` dit le montant et le statut que dit le journal."""
    position = rapport.positions.get("paiements", 0)
    vue = {transaction: (montant, statut) for transaction, montant, statut in conn.execute(_VUE_PAIEMENTS)}
    for _, faits in _flux(conn, "paiement-", position):
        paiement: Paiement = _rejouer(faits)
        if not paiement.connu:
            continue
        attendu = (paiement.montant, paiement.statut.value)
        if (vu := vue.pop(paiement.transaction, None)) != attendu:
            rapport.ecart(f"paiements : {paiement.transaction} vaut {vu}, le journal dit {attendu}")
    for transaction in vue:
        rapport.ecart(f"paiements : {transaction} sans événement")


def _comparer_affichage(conn: Connection[Any], rapport: Rapport) -> None:
    position = rapport.positions.get("delai_affichage", 0)
    vue = {(transaction, reference): affiche for transaction, reference, affiche in conn.execute(_VUE_AFFICHAGE)}
    for flux, faits in _flux(conn, "creance-", position):
        reference = flux.removeprefix("creance-")
        creance: Créance = _rejouer(faits)
        for transaction, part in creance.acceptees.items():
            vu = vue.pop((transaction, reference), None)
            if vu != part.affichee:
                rapport.ecart(f"delai_affichage : {transaction} sur {reference} vaut {vu}, le journal {part.affichee}")
    for transaction, reference in vue:
        rapport.ecart(f"delai_affichage : {transaction} sur {reference} sans événement")


def _comparer_messagerie(conn: Connection[Any], rapport: Rapport, maintenant: datetime) -> None:
    """Un accusé par paiement accepté, lu ou supprimé comme le dit le journal."""
    position = rapport.positions.get("messagerie", 0)
    vue = {
        transaction: reste
        for transaction, *reste, echeance in conn.execute(_VUE_MESSAGERIE)
        if not est_echu(echeance, maintenant)
    }
    gestes: dict[str, Messagerie] = {
        messagerie.assure: messagerie
        for messagerie in (_rejouer(faits) for _, faits in _flux(conn, "messagerie-", position))
    }
    for _, faits in _flux(conn, "paiement-", position):
        paiement: Paiement = _rejouer(faits)
        if paiement.accepte_le is None or est_echu(echeance_de(paiement.accepte_le), maintenant):
            continue
        transaction, geste = paiement.transaction, gestes.get(paiement.assure or "")
        lu = geste is not None and transaction in geste.lus
        supprime = geste is not None and transaction in geste.supprimes
        attendu = [paiement.assure, paiement.accepte_le, lu, supprime]
        if (vu := vue.pop(transaction, None)) != attendu:
            rapport.ecart(f"messagerie : {transaction} vaut {vu}, le journal dit {attendu}")
    for transaction in vue:
        rapport.ecart(f"messagerie : {transaction} sans événement")


def _rapporter_ecartes(conn: Connection[Any], rapport: Rapport, reference: str | None) -> None:
    for suiveur, flux, position, cause in conn.execute(_ECARTES):
        if reference is None or flux == Créance.flux(reference):
            rapport.ecart(f"{suiveur} : événement {position} de {flux} écarté ({cause})")
