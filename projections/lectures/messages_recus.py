"""Les messages reçus (réponses de la banque, messages de la caisse) qui parlent d'une créance ou d'un paiement."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from psycopg import Connection

from domain.sort import Sort
from projections.lectures.phrases import phrase_du_sort

# Ce que sont devenus les messages qui parlent de ces créances et de ces paiements ; mis en attente, ce qui a suivi.
_MESSAGES: Final = """
SELECT s.topic, s.partition, s.decalage, s.sort, s.cause, s.objet, s.champs, s.enregistre_le,
       r.sort, r.cause, r.enregistre_le
FROM journal.sorts s
LEFT JOIN journal.attentes_reglees r
    ON s.sort = 'en_souffrance' AND r.topic_id = s.topic_id AND r.partition = s.partition
   AND r.decalage = s.decalage AND (%(au)s::timestamptz IS NULL OR r.enregistre_le <= %(au)s)
WHERE s.objet = ANY (%(objets)s) AND (%(au)s::timestamptz IS NULL OR s.enregistre_le <= %(au)s)
ORDER BY s.enregistre_le, s.topic, s.partition, s.decalage
"""


@dataclass(slots=True)
class MessageRecu:
    """Un message reçu (réponse de la banque, message de la caisse), et ce qu'il est devenu."""

    origine: str
    """`kafka:<topic>/<partition>@<décalage>` : la cause que portent les faits qu'il a causés."""
    sort: Sort
    cause: str
    objet: str
    champs: dict[str, Any]
    enregistre_le: datetime
    puis: tuple[str, str, datetime] | None
    """S'il a d'abord attendu : le sort, la raison et l'instant de son application."""
    evenements: list[str] = field(default_factory=list)
    """Les faits qu'il a causés : `flux:version`."""

    @property
    def phrase(self) -> str:
        """Ce que la personne peut en entendre."""
        return phrase_du_sort(Sort(self.puis[0]) if self.puis else self.sort)

    def en_json(self) -> dict[str, Any]:
        """Prêt pour JSON ; de la carte, rien que le numéro masqué."""
        return {
            "origine": self.origine,
            "objet": self.objet,
            "sort": self.sort.value,
            "cause": self.cause,
            "phrase": self.phrase,
            "puis": self.puis and {"sort": self.puis[0], "cause": self.puis[1], "le": self.puis[2].isoformat()},
            "enregistre_le": self.enregistre_le.isoformat(),
            "correlation": self.champs.get("correlation"),
            **{nom: self.champs.get(nom) for nom in _CHAMPS},
            "evenements": self.evenements,
        }


_CHAMPS: Final = ("montant_centimes", "code", "autorisation", "carte_masquee", "transaction_le", "recue_le", "type")


def messages_recus(conn: Connection[Any], objets: Sequence[str], au: datetime | None) -> list[MessageRecu]:
    """Ceux qui parlent de ces références et de ces transactions, dans l'ordre où leur sort a été écrit."""
    return [_message(*ligne) for ligne in conn.execute(_MESSAGES, {"objets": list(objets), "au": au})]


def _message(  # noqa: PLR0917 (une ligne de la base)
    topic: str,
    partition: int,
    decalage: int,
    sort: str,
    cause: str,
    objet: str,
    champs: dict[str, Any],
    enregistre_le: datetime,
    puis_sort: str | None,
    puis_cause: str | None,
    puis_le: datetime | None,
) -> MessageRecu:
    puis = (puis_sort, puis_cause or "", puis_le) if puis_sort and puis_le else None
    origine = f"kafka:{topic}/{partition}@{decalage}"
    return MessageRecu(origine, Sort(sort), cause, objet, champs, enregistre_le, puis)
