"""L'audit : rejouer le journal une fois, et le confronter à tout ce qui doit dire la même chose que lui.

Tout est lu dans un même instantané. Le retard d'une vue n'est pas un écart : elle est comparée au journal arrêté à sa
position ; une anomalie ouverte n'en est pas un non plus. Rien ne se tait derrière une faute : un flux illisible, une
table qui manque sont nommés, et le reste est audité. Voir docs/audit.md.
Plus de 300 lignes : l'ordre des lectures, et ce que chacune laisse à la suivante.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import date, datetime
from functools import partial
from typing import Any, Final

from psycopg import Connection, IsolationLevel
from psycopg.pq import TransactionStatus

from domain.creance import Créance
from projections.audit import a_part, arretes, gardes, messages, rapports, remboursements, vues
from projections.audit.anomalies import compter_les_anomalies
from projections.audit.constats import CONSTATS, RAPPORTS
from projections.audit.contexte import Contexte
from projections.audit.creances import solde_par_la_formule
from projections.audit.journal import lire_le_journal
from projections.audit.lecture import sans_s_arreter
from projections.audit.rapport import ECARTS_MAX, Rapport
from projections.audit.rapprochement import Details, Sommes
from projections.audit.relations import (
    ACCEPTATIONS,
    ARGENT,
    ATTENTES,
    CAISSE,
    CLES,
    COMPTES,
    DELAI,
    EN_COURS,
    GESTES,
    IMPUTATIONS,
    LEVEES,
    MESSAGERIE,
    NON_AFFICHES,
    PAIEMENTS,
    RATTACHEMENTS,
    REGLEMENTS,
    REGLES,
    RESTANT_DU,
    RETENUS,
    SANS_ACCORD,
    SORTS,
    TROP_PERCUS,
)
from projections.comptes.totaux import Comptable

__all__ = ["ECARTS_MAX", "Avancement", "Rapport", "auditer", "solde_par_la_formule"]

Avancement = Callable[[str, int, int], None]
"""Reçoit ce qui est lu, combien d'événements, sur combien."""

_OU: Final = "SELECT clock_timestamp(), current_database() || ', PostgreSQL ' || current_setting('server_version')"

_TETE: Final = "SELECT coalesce(max(position), 0), count(*) FROM journal.evenements"

_EPOQUE: Final = "SELECT coalesce(max(nom), '') FROM journal.epoques"

_LES_VUES: Final = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname = 'vues' AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')
"""

_POSITIONS: Final = "SELECT nom, position FROM vues.suiveurs"

_ECARTES: Final = """
SELECT suiveur, flux, position, cause FROM vues.ecartes WHERE %s::text IS NULL OR flux = %s ORDER BY suiveur, position
"""

_DUREES: Final = """
SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true),
       set_config('cursor_tuple_fraction', '1', true)
"""

DES_VUES: Final = frozenset(
    relation.nom
    for relation in (
        *(RESTANT_DU, PAIEMENTS, DELAI, MESSAGERIE, GESTES, ARGENT, REGLEMENTS),
        *(TROP_PERCUS, EN_COURS, SANS_ACCORD, NON_AFFICHES),
    )
)
"""Ce qui compare une vue au journal arrêté à la position de cette vue."""

_Lecture = tuple[str, frozenset[str], Callable[[], None]]
"""Une lecture : son nom, les relations dont elle dit un côté, et ce qui la fait."""


def auditer(
    conn: Connection[Any],
    reference: str | None = None,
    maintenant: datetime | None = None,
    *,
    depuis: date | None = None,
    avancer: Avancement = lambda _quoi, _lus, _sur: None,
) -> Rapport:
    """Audite tout, ou une créance ; `conn` est en autocommit. Dans une transaction déjà ouverte, c'est la sienne.

    `maintenant` (défaut : l'horloge de PostgreSQL) dit quels messages sont échus : la vue peut encore les porter ou
    non, ce n'est pas un écart. `depuis` : les totaux d'avant ce jour de Paris vont à l'ouverture.
    """
    rapport = Rapport(compte=Comptable(depuis))
    seul = conn.info.transaction_status is not TransactionStatus.IDLE
    with _instantane(conn):
        conn.execute(_DUREES)
        rapport.instant, rapport.base = conn.execute(_OU).fetchone() or (rapport.instant, "")
        sans_s_arreter(conn, rapport, "le bout du journal", partial(_lire_le_bout, conn, rapport))
        sans_s_arreter(conn, rapport, "l'époque", partial(_lire_l_epoque, conn, rapport))
        situees = sans_s_arreter(conn, rapport, "où en sont les vues", partial(_situer_les_vues, conn, rapport))
        audit = _Audit(conn, rapport, maintenant or rapport.instant, reference, avancer, seul=seul, situees=situees)
        audit.faire()
    return rapport


def _lire_le_bout(conn: Connection[Any], rapport: Rapport) -> None:
    rapport.tete, rapport.evenements = conn.execute(_TETE).fetchone() or (0, 0)


def _lire_l_epoque(conn: Connection[Any], rapport: Rapport) -> None:
    (rapport.epoque,) = conn.execute(_EPOQUE).fetchone() or ("",)


def _situer_les_vues(conn: Connection[Any], rapport: Rapport) -> None:
    rapport.positions = dict(conn.execute(_POSITIONS).fetchall())


@contextmanager
def _instantane(conn: Connection[Any]) -> Iterator[None]:
    """Une transaction qui ne voit que ce qui était validé quand elle a commencé."""
    if conn.info.transaction_status is not TransactionStatus.IDLE:
        with conn.transaction():
            yield
        return
    tables = conn.execute(_LES_VUES).fetchall()
    avant = conn.isolation_level
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with conn.transaction():
            # Avant l'instantané : une vue reconstruite ne prend pas la place d'une autre pendant qu'il dure.
            for (table,) in tables:
                conn.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
            yield
    finally:
        conn.isolation_level = avant


class _Audit:
    """Un audit, dans l'instantané de sa transaction."""

    def __init__(
        self,
        conn: Connection[Any],
        rapport: Rapport,
        maintenant: datetime,
        reference: str | None,
        avancer: Avancement,
        *,
        seul: bool,
        situees: bool,
    ) -> None:
        """`situees` : faux si rien ne dit où en sont les vues ; elles ne se comparent alors à rien."""
        self._conn = conn
        self._rapport = rapport
        self._maintenant = maintenant
        self._reference = reference
        self._avancer = avancer
        self._seul = seul
        self._situees = situees

    def faire(self) -> None:
        """Lit tout une fois ; ce qui ne s'accorde pas est relu, pour être nommé."""
        rapport = self._rapport
        sommes = Sommes()
        premiere = Contexte(rapport, sommes, self._maintenant)
        self._preparer(premiere)
        manquees: set[str] = set() if self._situees else set(DES_VUES)
        with self._constats():
            for nom, relations, lecture in self._lectures(premiere):
                self._avancer(nom, 0 if nom == "le journal" else rapport.evenements, rapport.evenements)
                if not sans_s_arreter(self._conn, rapport, nom, lecture):
                    manquees |= relations
        en_defaut = {nom: liste for nom, liste in sommes.en_defaut().items() if nom not in manquees}
        if en_defaut:
            self._nommer(premiere, en_defaut)
        rapport.compte.clore()
        if self._reference is None:
            self._verifier_les_totaux(premiere)

    def _preparer(self, contexte: Contexte) -> None:
        sans_s_arreter(self._conn, self._rapport, "les événements écartés", partial(self._lire_les_ecartes, contexte))
        if self._reference is None:
            sans_s_arreter(
                self._conn,
                self._rapport,
                "les messages retenus",
                lambda: contexte.retenus.update(messages.causes_retenues(self._conn)),
            )

    def _lire_les_ecartes(self, contexte: Contexte) -> None:
        flux = None if self._reference is None else Créance.flux(self._reference)
        for suiveur, nom, position, cause in self._conn.execute(_ECARTES, (flux, flux)):
            contexte.ecartes.setdefault((suiveur, nom), position)
            self._rapport.ecart(f"{suiveur} : événement {position} de {nom} écarté ({cause})")

    def _lectures(self, contexte: Contexte) -> list[_Lecture]:
        """Chaque côté de chaque relation, dans l'ordre où les lire : le journal d'abord."""
        conn, reference = self._conn, self._reference
        if reference is not None:
            seule = [Créance.flux(reference)]
            return [
                ("le journal", _noms(RESTANT_DU, DELAI), partial(self._une_creance, contexte, seule)),
                ("restant_du", _noms(RESTANT_DU), partial(vues.lire_restant_du, conn, contexte, reference)),
                ("delai_affichage", _noms(DELAI), partial(vues.lire_delai, conn, contexte, reference)),
            ]
        du_journal = _noms(
            *(RESTANT_DU, PAIEMENTS, DELAI, MESSAGERIE, GESTES, ARGENT, REGLEMENTS, IMPUTATIONS, ACCEPTATIONS, LEVEES),
            *(RATTACHEMENTS, REGLES, SORTS, CAISSE, RETENUS, CLES, TROP_PERCUS, EN_COURS, SANS_ACCORD, NON_AFFICHES),
        )
        quoi = "le journal" if contexte.premiere else "le journal, de nouveau"
        avancer = partial(self._avancer, quoi)
        sur = self._rapport.evenements
        return [
            (
                "le journal",
                du_journal,
                partial(lire_le_journal, conn, contexte, None, lambda lus: avancer(lus, sur)),
            ),
            ("restant_du", _noms(RESTANT_DU), partial(vues.lire_restant_du, conn, contexte)),
            ("paiements", _noms(PAIEMENTS), partial(vues.lire_paiements, conn, contexte)),
            *(
                (nom, _noms(relation), partial(vues.lire_liste, conn, contexte, nom))
                for nom, (relation, _) in vues.LISTES.items()
            ),
            ("delai_affichage", _noms(DELAI), partial(vues.lire_delai, conn, contexte)),
            ("messagerie", _noms(MESSAGERIE, GESTES), partial(vues.lire_messagerie, conn, contexte)),
            ("argent", _noms(ARGENT), partial(vues.lire_argent, conn, contexte)),
            ("reglements", _noms(REGLEMENTS), partial(vues.lire_reglements, conn, contexte)),
            (
                "les sorts",
                _noms(SORTS, CAISSE, RETENUS, ATTENTES, COMPTES),
                partial(messages.lire_les_sorts, conn, contexte),
            ),
            ("le compte des sorts", _noms(COMPTES), partial(messages.lire_les_comptes, conn, contexte)),
            ("les attentes", _noms(ATTENTES, RETENUS), partial(messages.lire_les_attentes, conn, contexte)),
            ("les clés d'idempotence", _noms(CLES), partial(messages.lire_les_cles, conn, contexte)),
            ("les lignes des rapports", frozenset(), partial(rapports.lire_les_lignes, conn, contexte)),
            ("les remboursements par carte", frozenset(), partial(remboursements.comparer, conn, contexte)),
        ]

    def _une_creance(self, contexte: Contexte, flux: list[str]) -> None:
        """Une créance seule : ce qu'elle dit des paiements et des messages n'a alors pas d'autre côté."""
        seules = Contexte(
            contexte.rapport,
            _Seulement(contexte.comptes, _noms(RESTANT_DU, DELAI)),
            contexte.maintenant,
            contexte.premiere,
            contexte.ecartes,
            prefixes=contexte.prefixes,
        )
        lire_le_journal(self._conn, seules, flux)

    def _constats(self) -> AbstractContextManager[None]:
        if self._reference is not None:
            return nullcontext()
        return a_part.pendant(self._conn, self._rapport, _constater, seul=self._seul)

    def _nommer(self, premiere: Contexte, en_defaut: dict[str, list[int]]) -> None:
        details = Details(en_defaut)
        seconde = Contexte(
            self._rapport,
            details,
            self._maintenant,
            premiere=False,
            ecartes=premiere.ecartes,
            retenus=premiere.retenus,
            prefixes=premiere.prefixes,
        )
        for nom, relations, lecture in self._lectures(seconde):
            if relations & en_defaut.keys():
                sans_s_arreter(self._conn, self._rapport, nom, lecture)
        for phrase in details.phrases(seconde.incomparable):
            self._rapport.ecart(phrase)
        for nom, combien in details.laisses.items():
            self._rapport.ecart(f"{nom} : et {combien} groupes de plus qui ne s'accordent pas, non détaillés")

    def _verifier_les_totaux(self, premiere: Contexte) -> None:
        """Les identités qui doivent être vraies à tout instant ; un flux illisible les fausserait."""
        rapport, totaux = self._rapport, self._rapport.totaux
        if not rapport.complet:
            return
        if totaux.cloture != totaux.restant_du - totaux.trop_percu:
            rapport.ecart(
                f"totaux : les mouvements font {totaux.cloture} centimes,"
                f" les soldes {totaux.restant_du - totaux.trop_percu}"
            )
        tout = rapport.compte.depuis_toujours
        if tout.preleve_par_la_banque != tout.explique:
            rapport.ecart(
                f"totaux : la banque a pris {tout.preleve_par_la_banque} centimes, {tout.explique} s'expliquent"
            )
        pris = tout.preleve_par_la_banque + tout.contrepasse + premiere.repris
        if premiere.preleve_par_message != pris:
            rapport.ecart(
                f"totaux : les messages de la banque disent {premiere.preleve_par_message} centimes pris,"
                f" le journal {pris}"
            )


def _constater(conn: Connection[Any], rapport: Rapport) -> None:
    """Ce que PostgreSQL constate seul, et ce qui attend une personne."""

    def constater(requete: str) -> None:
        for (phrase,) in conn.execute(requete):
            rapport.ecart(phrase)

    for nom, requete in (CONSTATS | RAPPORTS).items():
        sans_s_arreter(conn, rapport, nom, partial(constater, requete))
    sans_s_arreter(conn, rapport, "les gardes", partial(gardes.controler, conn, rapport))
    sans_s_arreter(conn, rapport, "les arrêtés", partial(arretes.controler, conn, rapport))
    sans_s_arreter(conn, rapport, "les anomalies", partial(compter_les_anomalies, conn, rapport))


class _Seulement:
    """Ne laisse passer que certaines relations."""

    def __init__(self, comptes: Any, relations: frozenset[str]) -> None:
        self._comptes = comptes
        self._relations = relations

    def dit(self, relation: Any, cle: Any, valeurs: Any) -> None:
        if relation.nom in self._relations:
            self._comptes.dit(relation, cle, valeurs)

    def vu(self, relation: Any, cle: Any, valeurs: Any) -> None:
        if relation.nom in self._relations:
            self._comptes.vu(relation, cle, valeurs)


def _noms(*relations: Any) -> frozenset[str]:
    return frozenset(relation.nom for relation in relations)
