"""Le dossier d'une anomalie : ce que la vérité en dit au moment de décider, jamais ce que la liste en montre.

Deux sources n'ont pas d'autre vérité que la table de `vues` qui les note : un formulaire refusé (`vues.rebuts`) et une
ligne d'une vue (`vues.differences`) ; aucun argent n'en dépend. Le SQL de chaque source est ici, pour la décision
seule ; la liste qu'une personne lit vient de `projections`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.anomalie import Anomalie
from domain.ecart import GenreEcart
from domain.geste import GESTES, Geste, IdAnomalie, Source, lire_id
from domain.gestes_permis import gestes_d_argent, gestes_d_un_ecart, gestes_d_un_sort
from domain.references import ReferenceCreance, ReferenceTransaction
from domain.refus import AnomalieInconnue
from domain.sort import Sort
from engine import set_aside
from engine.batch import Partition
from engine.messages import UnreadableMessage
from engine.positions import stopped_partitions
from guichet.guichet import Guichet
from guichet.prendre_avis import MessageEncaissementRecu, lire_message_de_caisse

_SORT: Final = """
SELECT topic, sort, champs->>'issue', objet FROM journal.sorts WHERE topic_id = %s AND partition = %s AND decalage = %s
"""

_ATTENTE: Final = """
SELECT a.topic_id, a.topic, a.partition, a.decalage, a.valeur, a.flux, r.sort
FROM journal.attentes a
LEFT JOIN journal.attentes_reglees r
    ON r.topic_id = a.topic_id AND r.partition = a.partition AND r.decalage = a.decalage
WHERE a.rang = %s
"""

_ECART: Final = """
SELECT e.transaction, e.montant, e.genre,
       EXISTS (SELECT FROM journal.ecarts_de_rapport c WHERE c.clot = e.rang)
FROM journal.ecarts_de_rapport e WHERE e.rang = %s AND e.clot IS NULL
"""

_DIFFERENCE: Final = "SELECT FROM vues.differences WHERE cle = %s"
_REBUT: Final = "SELECT topic, transaction FROM vues.rebuts WHERE topic_id = %s AND partition = %s AND decalage = %s"

_SANS_ARGENT: Final = frozenset({Sort.CONTRADICTOIRE.value, Sort.NON_RAPPROCHEE.value, Sort.REJETEE.value})
_DECIMAL_MAX: Final = 18
"""Chiffres d'un nombre de nos tables : au-delà, ce n'en est pas un."""


class Origine(NamedTuple):
    """Où un message est gardé chez Kafka."""

    partition: Partition
    offset: int


class Dossier(NamedTuple):
    """Ce qu'il faut savoir d'une anomalie pour la régler ; `montant` : l'argent encore ouvert, en centimes."""

    ident: IdAnomalie
    source: Source
    ouverte: bool
    montant: int
    gestes: frozenset[Geste]
    transaction: ReferenceTransaction | None = None
    reference: ReferenceCreance | None = None
    origine: Origine | None = None
    valeur: bytes | None = None
    suiveur: str | None = None
    flux: str | None = None
    rang: int | None = None


class _Cle(NamedTuple):
    guichet: Guichet
    conn: Connection[Any]
    ident: IdAnomalie
    reste: str
    anomalie: Anomalie


def charger_anomalie(guichet: Guichet, conn: Connection[Any], ident: str, maintenant: datetime) -> Anomalie:
    """Ce que des personnes ont déjà fait de cette anomalie ; lève AnomalieInconnue si ce n'est pas un nom."""
    if lire_id(ident) is None:
        raise AnomalieInconnue
    nom = Anomalie.flux(ident)
    trouvee: Anomalie | None = guichet.recorder.load(conn, [nom]).get(nom)
    return trouvee or Anomalie.intacte(ident, maintenant=maintenant)


def charger_dossier(guichet: Guichet, conn: Connection[Any], ident: str, anomalie: Anomalie) -> Dossier:
    """Le dossier de cette anomalie ; lève AnomalieInconnue."""
    lu = lire_id(ident)
    if lu is None:
        raise AnomalieInconnue
    source, reste = lu
    try:
        dossier = _LECTEURS[source](_Cle(guichet, conn, IdAnomalie(ident), reste, anomalie))
    except ValueError as illisible:
        raise AnomalieInconnue from illisible
    if dossier is None:
        raise AnomalieInconnue
    return dossier


def _argent(cle: _Cle) -> Dossier | None:
    transaction, _, numero = cle.reste.rpartition("-")
    paiement = cle.guichet.charger_paiement(cle.conn, ReferenceTransaction(transaction))
    if paiement is None or _nombre(numero) not in paiement.argent:
        return None
    reste = paiement.reste_de(cle.ident)
    gestes = gestes_d_argent(connu=paiement.connu)
    return Dossier(cle.ident, Source.ARGENT, reste > 0, reste, gestes, paiement.transaction)


def _trop_percu(cle: _Cle) -> Dossier | None:
    reference = ReferenceCreance(cle.reste)
    creance = cle.guichet.charger_creances(cle.conn, [reference]).get(reference)
    if creance is None:
        return None
    trop, proposee = creance.trop_percu, cle.anomalie.proposee
    if not trop and proposee is not None and cle.anomalie.approuvee_par is not None:
        trop = proposee.proposition.montant  # La banque peut encore le rendre : une personne doit pouvoir y renoncer.
    return Dossier(cle.ident, Source.TROP_PERCU, trop > 0, trop, GESTES[Source.TROP_PERCU], reference=reference)


def _sort(cle: _Cle) -> Dossier | None:
    topic_id, partition, offset = _place(cle.reste)
    ligne = cle.conn.execute(_SORT, (topic_id, partition, offset)).fetchone()
    if ligne is None:
        return None
    topic, sort, issue, objet = ligne
    # L'argent a son anomalie à lui, et ce qui attend aussi.
    if sort not in _SANS_ARGENT or (sort == Sort.NON_RAPPROCHEE.value and issue == "acceptee"):
        return None
    gestes = gestes_d_un_sort(Sort(sort))
    origine = Origine(Partition(topic_id, topic, partition), offset)
    transaction = objet if issue is not None else None
    return Dossier(
        cle.ident, Source.SORT, cle.anomalie.reglee_le is None, 0, gestes, transaction=transaction, origine=origine
    )


def _attente(cle: _Cle) -> Dossier | None:
    lue = cle.conn.execute(_ATTENTE, (_nombre(cle.reste),)).fetchone()
    if lue is None:
        return None
    topic_id, topic, partition, offset, valeur, flux, sort = lue
    montant, gestes = gestes_d_un_message(bytes(valeur))
    origine = Origine(Partition(topic_id, topic, partition), offset)
    return Dossier(
        cle.ident, Source.ATTENTE, sort is None, montant, gestes, origine=origine, valeur=bytes(valeur), flux=flux
    )


def gestes_d_un_message(valeur: bytes) -> tuple[int, frozenset[Geste]]:
    """L'argent qu'un message en souffrance porte, et ce qui peut en être fait.

    Une réponse de la banque ne s'écarte pas : elle sera appliquée d'elle-même quand son flux se lira.
    """
    try:
        lu = lire_message_de_caisse(valeur)
    except UnreadableMessage:
        return 0, frozenset()
    if isinstance(lu, MessageEncaissementRecu):
        return lu.montant_centimes, GESTES[Source.ATTENTE]
    return 0, GESTES[Source.ATTENTE] - {Geste.APPLIQUER}


def _levee(cle: _Cle) -> Dossier | None:
    lue = cle.conn.execute(_ATTENTE, (_nombre(cle.reste),)).fetchone()
    if lue is None or lue[-1] not in _SANS_ARGENT:
        return None
    return Dossier(cle.ident, Source.LEVEE, cle.anomalie.reglee_le is None, 0, GESTES[Source.LEVEE], flux=lue[5])


def _ecart(cle: _Cle) -> Dossier | None:
    rang = _nombre(cle.reste)
    ligne = cle.conn.execute(_ECART, (rang,)).fetchone()
    if ligne is None:
        return None
    transaction, montant, genre, clos = ligne
    gestes = gestes_d_un_ecart(GenreEcart(genre))
    return Dossier(cle.ident, Source.ECART, not clos, montant, gestes, ReferenceTransaction(transaction), rang=rang)


def _ecarte(cle: _Cle) -> Dossier | None:
    suiveur, _, position = cle.reste.rpartition("-")
    trouve = set_aside.one(cle.conn, suiveur, _nombre(position))
    if trouve is None and cle.anomalie.reglee_le is None:
        return None
    flux = trouve.stream if trouve else None
    ouverte = trouve is not None and not trouve.released
    return Dossier(cle.ident, Source.ECARTE, ouverte, 0, GESTES[Source.ECARTE], suiveur=suiveur, flux=flux)


def _rebut(cle: _Cle) -> Dossier | None:
    topic_id, partition, offset = _place(cle.reste)
    ligne = cle.conn.execute(_REBUT, (topic_id, partition, offset)).fetchone()
    if ligne is None:
        return None
    origine = Origine(Partition(topic_id, ligne[0], partition), offset)
    return Dossier(
        cle.ident, Source.REBUT, cle.anomalie.reglee_le is None, 0, GESTES[Source.REBUT], ligne[1], origine=origine
    )


def _partition(cle: _Cle) -> Dossier | None:
    topic_id, numero, position = _place(cle.reste)
    for arret in stopped_partitions(cle.conn):
        if (arret.topic_id, arret.partition, arret.position) == (topic_id, numero, position):
            origine = Origine(Partition(arret.topic_id, arret.topic, arret.partition), arret.position)
            return Dossier(cle.ident, Source.PARTITION, True, 0, GESTES[Source.PARTITION], origine=origine)  # noqa: FBT003
    if cle.anomalie.reglee_le is None:
        return None
    return Dossier(cle.ident, Source.PARTITION, False, 0, GESTES[Source.PARTITION])  # noqa: FBT003


def _vue(cle: _Cle) -> Dossier | None:
    """Rien n'en est réglé ici : la vue se refait, et la comparaison suivante la ferme."""
    if cle.conn.execute(_DIFFERENCE, (cle.reste,)).fetchone() is None:
        return None
    return Dossier(cle.ident, Source.VUE, True, 0, GESTES[Source.VUE])  # noqa: FBT003


def _paiement(cle: _Cle) -> Dossier | None:
    signalee = cle.anomalie.signalee
    if signalee is None:
        return None
    ouverte = cle.anomalie.reglee_le is None
    return Dossier(cle.ident, Source.PAIEMENT, ouverte, signalee.montant, GESTES[Source.PAIEMENT], signalee.transaction)


def _place(reste: str) -> tuple[UUID, int, int]:
    topic_id, partition, offset = reste.split("-")
    if UUID(topic_id).hex != topic_id:
        raise ValueError(topic_id)
    return UUID(topic_id), _nombre(partition), _nombre(offset)


def _nombre(texte: str) -> int:
    """Le nombre, s'il est écrit comme nous l'écrivons : une anomalie n'a qu'un nom, donc qu'une histoire."""
    if not texte.isascii() or not texte.isdigit() or len(texte) > _DECIMAL_MAX or str(int(texte)) != texte:
        raise ValueError(texte)
    return int(texte)


_LECTEURS: Final[Mapping[Source, Callable[[_Cle], Dossier | None]]] = {
    Source.ARGENT: _argent,
    Source.TROP_PERCU: _trop_percu,
    Source.SORT: _sort,
    Source.ATTENTE: _attente,
    Source.LEVEE: _levee,
    Source.ECART: _ecart,
    Source.ECARTE: _ecarte,
    Source.REBUT: _rebut,
    Source.PARTITION: _partition,
    Source.VUE: _vue,
    Source.PAIEMENT: _paiement,
}
"""Comment chaque source se lit ; un test vérifie que toutes y sont."""
