"""Le topic d'état `creances.soldes` : le dernier solde de chaque créance, sous la clé de sa référence, compacté.

Un suiveur derrière la publication : il lit les soldes qu'elle garde (`vues.soldes_publies`, faits du seul journal), et
ne dit donc jamais d'une créance plus que ce que `creances.evenements` a déjà porté.

**Un message n'avance que.** Une créance n'est envoyée que si son dernier fait est dans le lot : un fait plus récent la
portera à son tour. Repris au début, chaque créance part donc une fois, à son état du jour ; tué entre l'envoi et la
position, le suivant ne renvoie que le même état, ou un plus récent.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

from psycopg import Connection
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic_core import to_json

from domain.agregats import AGREGATS
from domain.creance import Créance, FaitDeCreance
from domain.references import ReferenceCreance
from engine import tracing
from engine.mapper import EventMapper
from engine.messages import Trace
from engine.outages import Outage
from engine.recorder import RecordedEvent
from projections.effets import TOPICS_DE_RESTANT_DU
from publication.cloudevent import SEQUENCE_CHIFFRES, CloudEvent, schema_publie, trace_publiee, type_publie
from publication.contenu import CHAMPS_DU_SOLDE, en_utc
from publication.publication import Publication
from publication.sender import Sender
from publication.soldes import Solde, refaits, soldes_gardes
from publication.vers_un_topic import VersUnTopic

SoldeDeCreance: Final = create_model(
    "SoldeDeCreance",
    __config__=ConfigDict(extra="allow"),
    __doc__="Où en est une créance : le dernier solde, qui remplace tout solde d'une version plus basse.",
    reference=(ReferenceCreance, Field(description="La référence de l'avis ; aussi la clé du message.")),
    version=(int, Field(ge=1, description="La version du flux de la créance après laquelle c'est vrai.")),
    **cast("Any", {cle: (type_, Field(description=dite)) for cle, (type_, dite) in CHAMPS_DU_SOLDE.items()}),
)
"""Les données d'un message d'état : la source de son schéma."""


# La position de la publication.
_POSITION: Final = "SELECT position FROM vues.suiveurs WHERE nom = %b"


class PublicationReprise(Outage):
    """La publication vient de reprendre au début : ses soldes reviennent avec elle."""


class SoldeIntrouvable(Exception):
    """La publication a passé un fait dont elle n'a pas gardé le solde : son flux y est écarté."""


class EtatDesSoldes(VersUnTopic):
    """La « vue » qui tient le topic d'état."""

    nom = "soldes"
    derriere = Publication.nom
    topics: Final = TOPICS_DE_RESTANT_DU

    def __init__(
        self,
        sender: Sender,
        fragment: int,
        *,
        exiger_publiable: Callable[[Connection[Any]], None] = lambda _: None,
        etape: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`fragment`, `exiger_publiable` : de `VersUnTopic`. `etape` : comme celle de `Publication`."""
        super().__init__(sender, fragment, exiger_publiable=exiger_publiable)
        self._mapper = EventMapper(AGREGATS)
        self.etape = etape

    def preparer(self, faits: Sequence[RecordedEvent]) -> None:
        """Envoie l'état de chaque créance dont ce lot porte le dernier fait. Lève Outage ou SoldeIntrouvable."""
        source = self.source
        a_jour = self._a_jour(faits)
        traces = tracing.kept_of(self.conn, [lu for lu, _ in a_jour])
        messages = [composer_etat(lu, solde, source, traces.get(tracing.event_key(lu.event))) for lu, solde in a_jour]
        self.etape("publier")
        self.sender.emettre(messages, self.lieu.topic_id)
        self.etape("publie")

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:  # noqa: ARG002 (de la vue)
        """Garde où ce lot a été publié, dans la transaction qui avance la position."""
        self.publie_la(conn)

    def _a_jour(self, faits: Iterable[RecordedEvent]) -> list[tuple[RecordedEvent, Solde]]:
        derniers = {lu.event.originator_id: lu for lu in faits}
        soldes, changes = soldes_gardes(self.conn, list(derniers))
        if changes:  # Leur dernier fait d'ici est publié : leur solde après lui se refait sans ce qui était gardé.
            soldes |= refaits(
                self.conn, self._mapper, {flux: derniers[flux].event.originator_version + 1 for flux in changes}
            )
        a_jour = []
        for flux, lu in derniers.items():
            solde = soldes.get(flux)
            if solde is None or solde.version < lu.event.originator_version:
                (atteinte,) = self.conn.execute(_POSITION, (self.derriere,)).fetchone() or (0,)
                if atteinte < lu.position:
                    raise PublicationReprise
                raise SoldeIntrouvable(f"{flux} : v{lu.event.originator_version} n'est pas publiée")
            if solde.version == lu.event.originator_version:
                a_jour.append((lu, solde))
        return a_jour


def composer_etat(lu: RecordedEvent, solde: Solde, source: bytes, trace: Trace | None = None) -> CloudEvent:
    """Le message d'état d'une créance après ce fait ; `trace` : celle du fait, si elle est gardée."""
    fait = cast("FaitDeCreance", lu.event)
    reference = Créance.reference_de(fait.originator_id)
    identifiant = f"solde-{reference}:{solde.version}"
    donnees = {"reference": reference, "version": solde.version, **solde.publie()}
    classe = cast("type[BaseModel]", SoldeDeCreance)
    en_tetes = {
        "ce_specversion": "1.0",
        "ce_type": type_publie(classe),
        "ce_dataschema": schema_publie(classe),
        "content-type": "application/json",
        "ce_id": identifiant,
        "ce_subject": reference,
        "ce_partitionkey": reference,
        "ce_sequence": f"{lu.position:0{SEQUENCE_CHIFFRES}d}",
        "ce_time": en_utc(fait.timestamp).isoformat().replace("+00:00", "Z"),
    }
    return CloudEvent(
        reference.encode(),
        to_json(donnees),
        [
            *((nom, valeur.encode()) for nom, valeur in en_tetes.items()),
            ("ce_source", source),
            *trace_publiee(trace, lu.cause, identifiant),
        ],
    )
