"""Tout ce qui est ouvert, en une liste : chaque anomalie une fois, son âge, son argent, sa cause en une phrase.

Chaque chose n'est dite qu'à un endroit : un sort qui a fait enregistrer de l'argent est dit par cet argent, un message
en souffrance par son attente, un rebut du consommateur par son sort.

Plus de 300 lignes : une requête et une lecture par source, côte à côte, pour que la liste se vérifie.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.anomalie import LIBELLES, Anomalie, est_d_anomalie
from domain.creance import Créance
from domain.geste import GESTES, Geste, Source, composer_id, lire_id
from domain.monnaie import euros
from domain.paiement import Paiement
from domain.references import REFERENCE
from engine.messages import EARLIEST
from engine.positions import stopped_partitions
from engine.recorder import Recorder
from projections.parite_tenue import differences_gardees
from projections.vues.anomalies import Reglement

LIMITE: Final = 1_000
"""Anomalies de chaque source rendues, au plus ; les plus anciennes d'abord."""

_ARGENT: Final = """
SELECT a.anomalie, a.raison, a.montant, a.reste, a.transaction, a.marchand, a.autorisation, a.depuis, p.montant,
       p.statut, p.caisse, p.assure
FROM vues.argent a LEFT JOIN vues.paiements p USING (transaction)
WHERE a.reste > 0 ORDER BY a.depuis LIMIT %s
"""

_TROP_PERCUS: Final = """
SELECT r.reference, -r.solde, r.caisse, r.assure, e.enregistre_le
FROM vues.restant_du r LEFT JOIN journal.evenements e ON e.position = r.position
WHERE r.solde < 0 ORDER BY r.position LIMIT %s
"""

_SORTS: Final = """
SELECT s.topic_id, s.topic, s.partition, s.decalage, s.sort, s.cause, s.objet,
       coalesce((s.champs->>'montant_centimes')::int8, 0), s.enregistre_le
FROM journal.sorts s
WHERE s.sort IN ('contradictoire', 'non_rapprochee', 'rejetee', 'montant_incoherent')
  AND s.sort <> 'montant_incoherent'
  AND NOT (s.sort = 'non_rapprochee' AND s.champs->>'issue' IS NOT DISTINCT FROM 'acceptee')
  AND NOT EXISTS (SELECT FROM vues.reglements g WHERE g.etat = 'reglee' AND g.anomalie =
      'sort-' || replace(s.topic_id::text, '-', '') || '-' || s.partition || '-' || s.decalage)
ORDER BY s.enregistre_le LIMIT %s
"""

_ATTENTES: Final = """
SELECT a.rang, a.flux, a.raison, a.valeur, a.enregistre_le, r.sort, r.cause
FROM journal.attentes a
LEFT JOIN journal.attentes_reglees r
    ON r.topic_id = a.topic_id AND r.partition = a.partition AND r.decalage = a.decalage
WHERE r.sort IS NULL
   OR (r.sort IN ('contradictoire', 'non_rapprochee', 'rejetee')
       AND NOT EXISTS (SELECT FROM vues.reglements g WHERE g.etat = 'reglee' AND g.anomalie = 'levee-' || a.rang))
ORDER BY a.rang LIMIT %s
"""

_ECARTS: Final = """
SELECT e.rang, e.genre, e.montant, e.cause, e.transaction, e.enregistre_le, p.caisse, p.assure
FROM vues.ecarts_ouverts e LEFT JOIN vues.paiements p USING (transaction)
ORDER BY e.rang LIMIT %s
"""

# Par flux : ses événements suivants ne sont que sa suite.
_ECARTES: Final = """
SELECT suiveur, min(position), flux, count(*), min(ecarte_le),
       (array_agg(cause ORDER BY position))[1]
FROM vues.ecartes WHERE libere_le IS NULL GROUP BY suiveur, flux ORDER BY min(ecarte_le) LIMIT %s
"""

_REBUTS: Final = """
SELECT r.topic_id, r.partition, r.decalage, r.cause, r.transaction, r.montant, r.depuis, p.caisse, p.assure
FROM vues.rebuts r LEFT JOIN vues.paiements p USING (transaction)
WHERE NOT EXISTS (SELECT FROM vues.reglements g WHERE g.etat = 'reglee' AND g.anomalie =
    'rebut-' || replace(r.topic_id::text, '-', '') || '-' || r.partition || '-' || r.decalage)
ORDER BY r.depuis LIMIT %s
"""

_SIGNALES: Final = """
SELECT g.anomalie, g.montant, g.signalement, g.transaction, g.signale_le, p.caisse, p.assure
FROM vues.reglements g LEFT JOIN vues.paiements p USING (transaction)
WHERE g.signale_le IS NOT NULL AND g.etat <> 'reglee' ORDER BY g.signale_le LIMIT %s
"""

_COLONNES: Final = """
anomalie, etat, signale_le, transaction, signalement, montant, proposition, version, saisi_par, saisi_le, expire_le,
approuve_par, regle_le
"""

_REGLEMENTS: Final = f"SELECT {_COLONNES} FROM vues.reglements WHERE anomalie = ANY (%s)"  # noqa: S608

# Réglées, et que leur source n'a pas rouvertes : une anomalie n'a qu'un état.
_REGLEES: Final = f"""
SELECT {_COLONNES} FROM vues.reglements g
WHERE g.etat = 'reglee'
  AND NOT EXISTS (SELECT FROM vues.argent a WHERE a.anomalie = g.anomalie AND a.reste > 0)
  AND NOT EXISTS (SELECT FROM vues.restant_du r WHERE r.solde < 0 AND 'trop_percu-' || r.reference = g.anomalie)
  AND NOT EXISTS (SELECT FROM vues.ecartes e
                  WHERE e.libere_le IS NULL AND 'ecarte-' || e.suiveur || '-' || e.position = g.anomalie)
ORDER BY g.regle_le DESC LIMIT %s
"""  # noqa: S608

# De qui et de quelle caisse sont ces créances.
_CREANCES: Final = "SELECT reference, caisse, assure FROM vues.restant_du WHERE reference = ANY (%s)"


class LigneDAnomalie(NamedTuple):
    """Une anomalie telle qu'une personne la lit ; le montant est en centimes."""

    id: str
    genre: str
    etat: str
    """ouverte, proposee (attend une seconde personne), en_execution (attend la banque) ou reglee."""
    montant: int
    cause: str
    depuis: datetime
    reference: str | None = None
    transaction: str | None = None
    caisse: str | None = None
    assure: str | None = None
    gestes: tuple[Geste, ...] = ()
    """Ce qui peut en être fait."""
    reglement: Reglement | None = None
    """Ce que des personnes en ont déjà fait."""

    def en_json(self) -> dict[str, Any]:
        """La forme du contrat."""
        return {
            "id": self.id,
            "genre": self.genre,
            "etat": self.etat,
            "montant_centimes": self.montant,
            "cause": self.cause,
            "reference": self.reference,
            "transaction": self.transaction,
            "caisse": self.caisse,
            "depuis": self.depuis.isoformat(),
        }

    def en_detail(self) -> dict[str, Any]:
        """La forme du contrat, et ce qu'il faut pour la régler : ses gestes, et la proposition qui attend."""
        fait, proposition = self.reglement, None
        if fait is not None and fait.proposition is not None:
            proposition = {
                **fait.proposition,
                "version": fait.version if self.etat == "proposee" else None,
                "saisi_par": fait.saisi_par,
                "saisi_le": fait.saisi_le and fait.saisi_le.isoformat(),
                "expire_le": fait.expire_le and fait.expire_le.isoformat(),
                "approuve_par": fait.approuve_par,
                "regle_le": fait.regle_le and fait.regle_le.isoformat(),
            }
        gestes = [{"geste": geste.value, "libelle": LIBELLES[geste]} for geste in self.gestes]
        return {**self.en_json(), "assure": self.assure, "gestes": gestes, "proposition": proposition}


def anomalies_ouvertes(
    conn: Connection[Any], maintenant: datetime, *, gestes_d_un_message: Callable[[bytes], tuple[int, frozenset[Geste]]]
) -> list[LigneDAnomalie]:
    """Tout ce qui est ouvert, le plus ancien d'abord.

    `gestes_d_un_message` : ce qu'un message en souffrance porte d'argent et ce qui peut en être fait (le guichet le
    sait, qui lit les messages).
    """
    lignes = [ligne for lire in _SOURCES for ligne in lire(conn, LIMITE)]
    lignes += _attentes(conn, gestes_d_un_message)
    return _completees(conn, lignes, maintenant)


def _completees(conn: Connection[Any], lignes: list[LigneDAnomalie], maintenant: datetime) -> list[LigneDAnomalie]:
    faits = {ligne[0]: Reglement(*ligne) for ligne in conn.execute(_REGLEMENTS, ([ligne.id for ligne in lignes],))}
    creances = _creances(conn, lignes)
    completes = [_completer(ligne, faits.get(ligne.id), creances, maintenant) for ligne in lignes]
    return sorted(completes, key=lambda ligne: (ligne.depuis, ligne.id))


def anomalies_reglees(conn: Connection[Any], limite: int = LIMITE) -> list[LigneDAnomalie]:
    """Les dernières réglées, la plus récente d'abord."""
    return [_reglee(Reglement(*ligne)) for ligne in conn.execute(_REGLEES, (limite,))]


def anomalie(
    conn: Connection[Any],
    ident: str,
    maintenant: datetime,
    *,
    gestes_d_un_message: Callable[[bytes], tuple[int, frozenset[Geste]]],
) -> LigneDAnomalie | None:
    """Une anomalie par son nom, ouverte ou réglée ; None si aucune ne le porte."""
    lu = lire_id(ident)
    if lu is None:
        return None
    # Sa source seule, mais toute : elle peut être au-delà de ce qu'une liste rend.
    if lu[0] in {Source.ATTENTE, Source.LEVEE}:
        source = _attentes(conn, gestes_d_un_message, None)
    else:
        source = _DE_LA_SOURCE[lu[0]](conn, None)
    if lignes := [ligne for ligne in source if ligne.id == ident]:
        return _completees(conn, lignes, maintenant)[0]
    trouvee = conn.execute(_REGLEMENTS, ([ident],)).fetchone()
    return _reglee(Reglement(*trouvee)) if trouvee and trouvee[-1] is not None else None


def histoire(conn: Connection[Any], recorder: Recorder, ident: str) -> list[dict[str, Any]]:
    """Tout ce que des personnes ont fait de cette anomalie : quoi, qui, quand, pourquoi."""
    return [
        {
            "version": lu.event.originator_version,
            "type": type(lu.event).__name__,
            "le": lu.event.timestamp.isoformat(),
            "enregistre_le": lu.enregistre_le.isoformat(),
            **lu.event.model_dump(
                mode="json", exclude={"originator_id", "originator_version", "originator_topic", "timestamp"}
            ),
        }
        for lu in recorder.history(conn, Anomalie.flux(ident))
        if est_d_anomalie(lu.event)
    ]


# --- Les sources -----------------------------------------------------------------------------------------------------


def _argent(conn: Connection[Any], limite: int | None = LIMITE) -> Iterator[LigneDAnomalie]:
    for (
        ident,
        raison,
        montant,
        reste,
        transaction,
        _m,
        autorisation,
        depuis,
        voulu,
        statut,
        caisse,
        assure,
    ) in conn.execute(_ARGENT, (limite,)):
        gestes = GESTES[Source.ARGENT] - (frozenset() if voulu is not None else {Geste.CONCLURE})
        pris = f"La banque a pris {euros(montant)}"
        if voulu is None:
            cause = f"{pris} pour un paiement inconnu : l'argent attend d'être rattaché."
        elif raison == "non_rapprochee":
            cause = f"{pris} sous la référence d'un paiement, mais sa réponse n'est pas celle de ce paiement."
        elif montant != voulu:
            cause = f"{pris} pour un paiement de {euros(voulu)}."
        else:
            autre = f" (autorisation {autorisation})" if autorisation else ""
            cause = f"{pris} une seconde fois pour le même paiement{autre}, déjà {statut}."
        if reste != montant:
            cause += f" Il en reste {euros(reste)} à régler."
        yield _ligne(
            ident, raison, reste, cause, depuis, transaction=transaction, caisse=caisse, assure=assure, gestes=gestes
        )


def _trop_percus(conn: Connection[Any], limite: int | None = LIMITE) -> Iterator[LigneDAnomalie]:
    for reference, trop, caisse, assure, depuis in conn.execute(_TROP_PERCUS, (limite,)):
        yield _ligne(
            composer_id(Source.TROP_PERCU, reference),
            "trop_percu",
            trop,
            f"La créance a reçu {euros(trop)} de trop : ils sont à rendre.",
            depuis,
            reference=reference,
            caisse=caisse,
            assure=assure,
        )


def _sorts(conn: Connection[Any], limite: int | None = LIMITE) -> Iterator[LigneDAnomalie]:
    for topic_id, topic, partition, offset, sort, cause, objet, montant, depuis in conn.execute(_SORTS, (limite,)):
        est_reference = objet is not None and REFERENCE.fullmatch(objet)
        yield _ligne(
            composer_id(Source.SORT, topic_id.hex, partition, offset),
            sort,
            montant,
            phrase_sure(f"{cause} ({topic}, partition {partition}, position {offset})"),
            depuis,
            reference=objet if est_reference else None,
            transaction=None if est_reference else objet,
            gestes=GESTES[Source.SORT] if sort == "rejetee" else frozenset({Geste.FAUSSE_ALERTE}),
        )


def _attentes(
    conn: Connection[Any],
    gestes_d_un_message: Callable[[bytes], tuple[int, frozenset[Geste]]],
    limite: int | None = LIMITE,
) -> Iterator[LigneDAnomalie]:
    for rang, flux, raison, valeur, depuis, sort, suite in conn.execute(_ATTENTES, (limite,)):
        reference, transaction = _sujet(flux)
        montant, gestes = gestes_d_un_message(bytes(valeur))
        source = Source.ATTENTE if sort is None else Source.LEVEE
        yield _ligne(
            composer_id(source, rang),
            "en_souffrance" if sort is None else sort,
            montant,
            phrase_sure(
                raison if sort is None else f"le message attendait ; levé, il n'a pas pu être appliqué : {suite}"
            ),
            depuis,
            reference=reference,
            transaction=transaction,
            gestes=gestes if sort is None else GESTES[Source.LEVEE],
        )


def _ecarts(conn: Connection[Any], limite: int | None = LIMITE) -> Iterator[LigneDAnomalie]:
    for rang, genre, montant, cause, transaction, depuis, caisse, assure in conn.execute(_ECARTS, (limite,)):
        contrepasser = {Geste.CONTREPASSER} if genre in {"impaye", "remboursement", "autre_etat"} else set()
        yield _ligne(
            composer_id(Source.ECART, rang),
            genre,
            montant,
            phrase_sure(cause),
            depuis,
            transaction=transaction,
            caisse=caisse,
            assure=assure,
            gestes=frozenset({Geste.FAUSSE_ALERTE, *contrepasser}),
        )


def _ecartes(conn: Connection[Any], limite: int | None = LIMITE) -> Iterator[LigneDAnomalie]:
    for suiveur, position, flux, combien, depuis, cause in conn.execute(_ECARTES, (limite,)):
        reference, transaction = _sujet(flux)
        suite = f" et {combien - 1} à sa suite" if combien > 1 else ""
        yield _ligne(
            composer_id(Source.ECARTE, suiveur, position),
            "evenement_ecarte",
            0,
            phrase_sure(f"la vue {suiveur} n'a pas pu appliquer l'événement {position}{suite} : {cause}"),
            depuis,
            reference=reference,
            transaction=transaction,
        )


def _arrets(conn: Connection[Any], _limite: int | None = LIMITE) -> Iterator[LigneDAnomalie]:
    for arret in stopped_partitions(conn):
        yield _ligne(
            composer_id(Source.PARTITION, arret.topic_id.hex, arret.partition, arret.position),
            "partition_arretee",
            0,
            f"La partition {arret.partition} de {arret.topic} est à l'arrêt : Kafka l'a raccourcie de"
            f" {arret.position} à {arret.fin}.",
            arret.le,
        )


def _rebuts(conn: Connection[Any], limite: int | None = LIMITE) -> Iterator[LigneDAnomalie]:
    for topic_id, partition, offset, cause, transaction, montant, depuis, caisse, assure in conn.execute(
        _REBUTS, (limite,)
    ):
        yield _ligne(
            composer_id(Source.REBUT, UUID(str(topic_id)).hex, partition, offset),
            "rebut",
            montant,
            phrase_sure(f"message refusé à la porte : {cause}"),
            depuis,
            transaction=transaction,
            caisse=caisse,
            assure=assure,
        )


def _vues(conn: Connection[Any], limite: int | None = LIMITE) -> Iterator[LigneDAnomalie]:
    for gardee in differences_gardees(conn, limite):
        constat = gardee.constat
        reference, transaction = _sujet(constat.flux)
        yield _ligne(
            composer_id(Source.VUE, constat.cle),
            "vue_differente",
            0,
            phrase_sure(f"{gardee.vue} : {constat.phrase} ; `creances rebuild {gardee.vue}` la refait du journal"),
            gardee.trouvee_le,
            reference=reference,
            transaction=transaction,
        )


def _signales(conn: Connection[Any], limite: int | None = LIMITE) -> Iterator[LigneDAnomalie]:
    for ident, montant, cause, transaction, depuis, caisse, assure in conn.execute(_SIGNALES, (limite,)):
        yield _ligne(
            ident,
            "signalement",
            montant,
            phrase_sure(cause),
            depuis,
            transaction=transaction,
            caisse=caisse,
            assure=assure,
        )


_DE_LA_SOURCE: Final[Mapping[Source, Callable[[Connection[Any], int | None], Iterator[LigneDAnomalie]]]] = {
    Source.ARGENT: _argent,
    Source.TROP_PERCU: _trop_percus,
    Source.SORT: _sorts,
    Source.ECART: _ecarts,
    Source.ECARTE: _ecartes,
    Source.PARTITION: _arrets,
    Source.VUE: _vues,
    Source.REBUT: _rebuts,
    Source.PAIEMENT: _signales,
}
_SOURCES: Final = tuple(_DE_LA_SOURCE.values())


# --- En commun -------------------------------------------------------------------------------------------------------


def _ligne(
    ident: str,
    genre: str,
    montant: int,
    cause: str,
    depuis: datetime,
    *,
    gestes: frozenset[Geste] | None = None,
    **champs: Any,
) -> LigneDAnomalie:
    lu = lire_id(ident)
    permis = gestes if gestes is not None else GESTES[lu[0]] if lu else frozenset()
    ordre = tuple(geste for geste in Geste if geste in permis)
    return LigneDAnomalie(ident, genre, "ouverte", montant, cause, depuis, gestes=ordre, **champs)


def _completer(
    ligne: LigneDAnomalie,
    fait: Reglement | None,
    creances: Mapping[str, tuple[str, str]],
    maintenant: datetime,
) -> LigneDAnomalie:
    caisse, assure = creances.get(ligne.reference or "", (ligne.caisse, ligne.assure))
    ligne = ligne._replace(caisse=ligne.caisse or caisse, assure=ligne.assure or assure)
    if fait is None:
        return ligne
    if fait.etat == "proposee" and fait.expire_le is not None and maintenant < fait.expire_le:
        return ligne._replace(etat="proposee", reglement=fait)
    return ligne._replace(etat="en_execution", reglement=fait) if fait.etat == "en_execution" else ligne


def _reglee(fait: Reglement) -> LigneDAnomalie:
    proposition = fait.proposition or {}
    geste, motif = proposition.get("geste"), proposition.get("motif", "")
    libelle = LIBELLES[Geste(geste)] if geste else "Réglée"
    imputations = proposition.get("imputations") or []
    lu = lire_id(fait.anomalie)
    return LigneDAnomalie(
        fait.anomalie,
        lu[0].value if lu else "",
        "reglee",
        proposition.get("montant", fait.montant),
        f"{libelle} : {motif}",
        fait.regle_le or fait.signale_le or EARLIEST,
        reference=imputations[0]["reference"] if imputations else None,
        transaction=proposition.get("transaction") or fait.transaction,
        reglement=fait,
    )


def _creances(conn: Connection[Any], lignes: list[LigneDAnomalie]) -> dict[str, tuple[str, str]]:
    references = [ligne.reference for ligne in lignes if ligne.reference]
    return {
        reference: (caisse, assure)
        for reference, caisse, assure in (conn.execute(_CREANCES, (references,)) if references else ())
    }


def _sujet(flux: str) -> tuple[str | None, str | None]:
    """La créance ou le paiement dont c'est le flux ; rien d'un flux qui nommerait une personne."""
    try:
        return Créance.reference_de(flux), None
    except ValueError:
        pass
    try:
        return None, Paiement.transaction_de(flux)
    except ValueError:
        return None, None


def phrase_sure(texte: str) -> str:
    """Le texte, comme une phrase : une majuscule, un point, sans signe de commande ni pseudonyme de flux."""
    propre = _MESSAGERIE.sub("une messagerie", _COMMANDES.sub("\N{REPLACEMENT CHARACTER}", texte)).strip()
    return propre[:1].upper() + propre[1:] + ("" if propre.endswith((".", "!", "?", "…")) else ".")


_COMMANDES: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_MESSAGERIE: Final = re.compile(r"messagerie-[A-Za-z0-9._-]+")
