"""Les messages reçus : chacun a un sort et une place, sans trou ; ce qu'il a causé est ce que la banque a dit."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from domain.creance import Créance
from domain.delai import depart_du_delai
from domain.paiement import Paiement
from domain.reponse import Issue
from domain.sort import Sort
from projections.audit.contexte import D_UNE_ATTENTE, MESSAGE, Contexte, champ
from projections.audit.lecture import parcourir
from projections.audit.rapprochement import Valeurs, us
from projections.audit.relations import ATTENTES, CAISSE, CLES, COMPTES, MESSAGES_DE_CAISSE, RETENUS, SORTS

CAUSE_MAX: Final = 500
"""La longueur à laquelle une phrase est gardée avec un sort."""

ECART_D_HORLOGE_US: Final = 3_600_000_000
"""Ce qui est écrit d'un même geste porte la même heure, à une heure près : une horloge peut être remise."""

_SORTS: Final = """
SELECT topic_id, topic, partition, decalage, sort, cause, objet, empreinte, champs, enregistre_le
FROM journal.sorts ORDER BY topic_id, partition, decalage
"""

# Les lots, dans le même ordre ; là où commence une partition reprise ; ceux que Kafka a effacés.
_LOTS: Final = """
SELECT p.topic_id, p.partition, p.depuis, p.jusqu_a, p.enregistre_le, coalesce(r.depuis, 0),
       l.topic_id IS NOT NULL
FROM journal.positions p
LEFT JOIN journal.reprises r ON r.identifiant = p.topic_id AND r.partition = p.partition
LEFT JOIN journal.pertes l
       ON l.topic_id = p.topic_id AND l.partition = p.partition AND l.depuis = p.depuis AND l.jusqu_a = p.jusqu_a
ORDER BY p.topic_id, p.partition, p.depuis
"""

_COMPTES: Final = "SELECT topic_id, topic, partition, sort, messages FROM vues.sorts"

_ATTENTES: Final = """
SELECT a.topic_id, a.topic, a.partition, a.decalage, a.valeur, a.flux, a.raison, r.sort, a.rang,
       EXISTS (SELECT FROM journal.evenements e
               WHERE e.flux = 'anomalie-attente-' || a.rang AND e.topic = 'anomalie.AnomalieReglee')
FROM journal.attentes a LEFT JOIN journal.attentes_reglees r USING (topic_id, partition, decalage)
"""

_RETENUS: Final = "SELECT topic, partition, decalage FROM journal.attentes"

_CLES: Final = "SELECT auteur, cle, reponse FROM journal.cles_idempotence"

_APPLIQUES_UN_A_UN: Final = {Sort.APPLIQUEE.value, Sort.MONTANT_INCOHERENT.value}
"""Les sorts d'un message retenu dont on sait, sans ses champs, qu'un fait et un seul les suit."""


_REDITS: Final = frozenset(MESSAGES_DE_CAISSE.values()) - {MESSAGES_DE_CAISSE[Créance.AvisEmis.TOPIC]}
"""Les messages des caisses dont le sort garde les champs."""

_DE_LA_CAISSE: Final = ("message_id", "montant_centimes", "moyen", "date")


def origine(topic: str, partition: int, decalage: int) -> str:
    """La cause que portent les faits d'un message."""
    return f"{MESSAGE}{topic}/{partition}@{decalage}"


def causes_retenues(conn: Connection[Any]) -> set[str]:
    """Les causes de tous les messages qui ont attendu."""
    return {origine(*ligne) for ligne in parcourir(conn, _RETENUS)}


def lire_les_sorts(conn: Connection[Any], contexte: Contexte) -> None:
    """Chaque message avec sa place et son sort, et ce que ce sort dit avoir causé."""
    with closing(parcourir(conn, _LOTS)) as lus:
        _placer_les_sorts(conn, contexte, _Lots(contexte, lus))


def _placer_les_sorts(conn: Connection[Any], contexte: Contexte, lots: "_Lots") -> None:
    comptes: Counter[tuple[Any, ...]] = Counter()
    for topic_id, topic, partition, decalage, sort, cause, objet, empreinte, champs, enregistre_us in parcourir(
        conn, _SORTS
    ):
        if contexte.premiere:
            contexte.rapport.messages += 1
        lots.placer(topic_id, partition, decalage, enregistre_us)
        comptes[str(topic_id), topic, partition, sort] += 1
        dite = origine(topic, partition, decalage)
        if sort == Sort.EN_SOUFFRANCE.value:
            valeurs = (topic, bytes(empreinte).hex(), objet, cause)
            contexte.comptes.dit(ATTENTES, (str(topic_id), partition, decalage), valeurs)
        elif (attendu := _attendu(sort, cause, objet, champs)) is not None:
            flux, valeurs, pris = attendu
            if dite in contexte.retenus:
                # D'un autre topic de ce nom que celui dont le message a attendu : ce qu'il a causé le dit pour lui.
                if sort != Sort.NON_RAPPROCHEE.value:
                    contexte.comptes.vu(RETENUS, (dite, flux), ())
            else:
                if contexte.premiere:
                    contexte.preleve_par_message += pris
                contexte.comptes.vu(SORTS, (dite, flux), valeurs)
                if valeurs[0] in _REDITS:
                    contexte.comptes.vu(CAISSE, (dite, flux), tuple(champ(champs.get(nom)) for nom in _DE_LA_CAISSE))
    lots.finir()
    for cle, messages in comptes.items():
        contexte.comptes.dit(COMPTES, cle, (messages,))


def lire_les_comptes(conn: Connection[Any], contexte: Contexte) -> None:
    """Le compte de chaque sort, tenu à part."""
    for topic_id, topic, partition, sort, messages in parcourir(conn, _COMPTES):
        contexte.comptes.vu(COMPTES, (str(topic_id), topic, partition, sort), (messages,))


def lire_les_attentes(conn: Connection[Any], contexte: Contexte) -> None:
    """Les messages gardés avec leur contenu, et ce qu'ils sont devenus."""
    for topic_id, topic, partition, decalage, valeur, flux, raison, sort, rang, reglee in parcourir(conn, _ATTENTES):
        objet = flux.removeprefix(Créance.flux("")).removeprefix(Paiement.flux(""))
        phrase = raison[:CAUSE_MAX].replace("\x00", "\N{REPLACEMENT CHARACTER}")
        valeurs = (topic, sha256(valeur).hexdigest(), objet, phrase)
        contexte.comptes.vu(ATTENTES, (str(topic_id), partition, decalage), valeurs)
        if reglee and sort == Sort.APPLIQUEE.value:
            contexte.comptes.vu(RETENUS, (f"{D_UNE_ATTENTE}{rang}", ""), ())
        elif sort in _APPLIQUES_UN_A_UN:
            contexte.comptes.vu(RETENUS, (origine(topic, partition, decalage), flux), ())


def lire_les_cles(conn: Connection[Any], contexte: Contexte) -> None:
    """La réponse gardée de chaque requête : celle d'un paiement ouvert, aux mêmes parts."""
    for auteur, cle, reponse in parcourir(conn, _CLES):
        try:
            transaction = str(reponse["transaction"])
            parts = tuple((part["reference"], part["montant_centimes"]) for part in reponse["imputations"])
            montant = reponse["montant_centimes"]
            expire_le = us(datetime.fromisoformat(reponse["expire_le"]))
            formulaire = repr(reponse["kiosque"]["champs"])
        except (LookupError, TypeError, ValueError):
            contexte.ecart(f"clé d'idempotence : la réponse gardée sous {cle!r} ne se lit pas")
            continue
        contexte.comptes.vu(CLES, transaction, (auteur, cle, champ(montant), parts, expire_le))
        if transaction not in formulaire or str(montant) not in formulaire:
            contexte.ecart(f"clé d'idempotence : le formulaire gardé pour {transaction} n'est pas celui de ce paiement")


def _attendu(sort: str, cause: str, objet: str | None, champs: Any) -> tuple[str, Valeurs, int] | None:
    """Le fait que ce sort dit avoir causé, avec son flux et ce que la banque y prend ; None s'il n'en a causé aucun."""
    champs = champs if isinstance(champs, dict) else {}
    if "type" in champs:
        if sort != Sort.APPLIQUEE.value:
            return None
        return Créance.flux(objet or ""), (champ(champs["type"]), None, None, None, None, None, None, None, cause), 0
    flux = Paiement.flux(objet or "")
    acceptee = champs.get("issue") == Issue.ACCEPTEE.value
    code, carte, marchand = champ(champs.get("code")), champ(champs.get("carte_masquee")), champ(champs.get("marchand"))
    match sort, acceptee:
        case Sort.APPLIQUEE.value, False:
            return flux, ("echoue", code, None, carte, None, marchand, None, None, cause), 0
        case (Sort.APPLIQUEE.value | Sort.MONTANT_INCOHERENT.value, _) | (Sort.NON_RAPPROCHEE.value, True):
            montant = champ(champs.get("montant_centimes"))
            pris = montant if isinstance(montant, int) else 0
            depart = _depart(champs)
            autorisation = champ(champs.get("autorisation"))
            if sort == Sort.APPLIQUEE.value:
                return flux, ("accepte", code, autorisation, carte, montant, marchand, *depart, None), pris
            return flux, (sort, None, autorisation, None, montant, marchand, *depart, None), pris
        case _:
            return None


def _depart(champs: dict[str, Any]) -> tuple[int | None, bool | None]:
    """Le départ de l'horloge, recalculé de ce que la banque a dit."""
    try:
        transaction_le, recue_le = champs["transaction_le"], datetime.fromisoformat(champs["recue_le"])
        depart = depart_du_delai(None if transaction_le is None else datetime.fromisoformat(transaction_le), recue_le)
        return us(depart.instant.astimezone(UTC)), depart.presume
    except (LookupError, TypeError, ValueError):
        return None, None


class _Lots:
    """Les lots d'une partition se suivent sans trou, et chaque message de chacun a un sort."""

    def __init__(self, contexte: Contexte, lots: Iterator[tuple[Any, ...]]) -> None:
        """`lots` vient dans l'ordre des sorts."""
        self._contexte = contexte
        self._lots = lots
        self._lieu: tuple[UUID, int] | None = None
        self._suite = 0
        self._lot: tuple[Any, ...] | None = None
        self._attendu = 0
        self._ouvrir()

    def placer(self, topic_id: UUID, partition: int, decalage: int, enregistre_us: int) -> None:
        """Le sort suivant, dans l'ordre."""
        ici = (topic_id, partition, decalage)
        while (lot := self._lot) is not None and (lot[0], lot[1], lot[3] - 1) < ici:
            self._fermer()
        if lot is None or (lot[0], lot[1], lot[2]) > ici:
            self._contexte.ecart(f"sort : {topic_id}/{partition}@{decalage} n'est dans aucun lot lu")
            return
        if decalage != self._attendu:
            self._manque(self._attendu, decalage)
        self._attendu = decalage + 1
        if abs(enregistre_us - lot[4]) > ECART_D_HORLOGE_US:
            self._contexte.ecart(f"sort : {topic_id}/{partition}@{decalage} n'a pas l'heure de son lot")

    def finir(self) -> None:
        """Il n'y a plus de sort."""
        while self._lot is not None:
            self._fermer()

    def _fermer(self) -> None:
        lot = self._lot
        if lot is not None and self._attendu < lot[3] and not (lot[6] and self._attendu == lot[2]):
            self._manque(self._attendu, lot[3])
        self._ouvrir()

    def _ouvrir(self) -> None:
        self._lot = next(self._lots, None)
        if self._lot is None:
            return
        topic_id, partition, depuis, jusqu_a, _, debut, _ = self._lot
        if (topic_id, partition) != self._lieu:
            self._lieu, self._suite = (topic_id, partition), debut
        if depuis != self._suite:
            self._contexte.ecart(f"position : {topic_id}/{partition} passe de {self._suite} à {depuis}")
        self._suite, self._attendu = jusqu_a, depuis

    def _manque(self, depuis: int, jusqu_a: int) -> None:
        if self._lot is not None and self._lot[6]:
            return
        topic_id, partition, *_ = self._lot or ("?", "?")
        self._contexte.ecart(f"sort : {topic_id}/{partition}, de {depuis} à {jusqu_a - 1}, lus sans sort")
