"""D'où viennent les anomalies ouvertes : une requête et une lecture par source, côte à côte, pour se vérifier.

Chaque chose n'est dite qu'à un endroit : un sort qui a fait enregistrer de l'argent est dit par cet argent, un message
en souffrance par son attente, un rebut du consommateur par son sort. Chaque requête nomme les mêmes huit premières
colonnes (`Communes`), et c'est sur elles, chez PostgreSQL, que l'on choisit et que l'on coupe.
Plus de 300 lignes : chaque source avec sa requête, côte à côte.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.ecart import GenreEcart
from domain.geste import GESTES, Geste, Source, composer_id, lire_id
from domain.gestes_permis import gestes_d_argent, gestes_d_un_ecart, gestes_d_un_sort
from domain.monnaie import euros
from domain.paiement import Fin
from domain.sort import Sort
from engine.messages import EARLIEST
from engine.positions import stopped_partitions
from projections.lectures.ligne_d_anomalie import LigneDAnomalie
from projections.vues.anomalies import Reglement

GestesDUnMessage = Callable[[bytes], tuple[int, frozenset[Geste]]]
"""Ce qu'un message en souffrance porte d'argent (centimes), et ce qui peut en être fait : le guichet le sait."""


class Filtre(NamedTuple):
    """Ce que l'on veut des anomalies ; ce qui est absent n'écarte rien."""

    ident: str | None = None
    genre: str | None = None
    noms: list[str] | None = None
    """Des références, transactions et pseudonymes : ce qui est à leur sujet."""
    apres_le: datetime | None = None
    apres_id: str | None = None
    """Celles qui suivent celle-là, dans l'ordre de (depuis, id)."""
    limite: int | None = None


# Ce qu'un filtre retient d'une source.
_RETENIR: Final = """
FROM ({source}) AS s
WHERE (%(ident)s::text IS NULL OR s.id = %(ident)s)
  AND (%(genre)s::text IS NULL OR s.genre = %(genre)s)
  AND (%(noms)s::text[] IS NULL OR s.reference = ANY (%(noms)s) OR s.transaction = ANY (%(noms)s)
       OR s.assure = ANY (%(noms)s)
       OR s.reference IN (SELECT r.reference FROM vues.restant_du r WHERE r.assure = ANY (%(noms)s))
       OR s.transaction IN (SELECT p.transaction FROM vues.paiements p WHERE p.assure = ANY (%(noms)s)))
"""

_CHOISIR: Final = f"""
SELECT s.* {_RETENIR}
  AND (%(apres_le)s::timestamptz IS NULL
       OR (s.depuis, s.id COLLATE "C") > (%(apres_le)s, %(apres_id)s::text COLLATE "C"))
ORDER BY s.depuis, s.id COLLATE "C" LIMIT %(limite)s
"""

_RESUMER: Final = f"SELECT s.genre, count(*), min(s.depuis) {_RETENIR} GROUP BY s.genre"

_ARGENT: Final = """
SELECT a.anomalie AS id, a.raison AS genre, a.depuis, a.reste AS montant, NULL::text AS reference, a.transaction,
       p.caisse, p.assure, a.montant AS pris, a.autorisation, p.montant AS voulu, p.statut
FROM vues.argent a LEFT JOIN vues.paiements p USING (transaction)
WHERE a.reste > 0
"""

# Un remboursement que la banque exécute se voit jusqu'à sa réponse, même si la créance n'a plus rien de trop.
_TROP_PERCUS: Final = """
SELECT 'trop_percu-' || r.reference AS id, 'trop_percu' AS genre,
       coalesce(e.enregistre_le, timestamptz 'epoch') AS depuis,
       CASE WHEN r.solde < 0 THEN -r.solde ELSE (g.proposition->>'montant')::int8 END AS montant, r.reference,
       NULL::text AS transaction, r.caisse, r.assure, r.solde >= 0 AS en_route
FROM (SELECT reference FROM vues.trop_percus
      UNION SELECT substr(anomalie, length('trop_percu-') + 1) FROM vues.reglements
      WHERE etat = 'en_execution' AND anomalie LIKE 'trop_percu-%%') AS t
JOIN vues.restant_du r USING (reference)
LEFT JOIN vues.reglements g ON g.etat = 'en_execution' AND g.anomalie = 'trop_percu-' || r.reference
LEFT JOIN journal.evenements e ON e.position = r.position
WHERE r.solde < 0 OR g.anomalie IS NOT NULL
"""

# La première liste est celle de l'index partiel `sorts_anomalies` ; de l'argent pris est dit par cet argent.
_SORTS: Final = """
SELECT 'sort-' || replace(s.topic_id::text, '-', '') || '-' || s.partition || '-' || s.decalage AS id, s.sort AS genre,
       s.enregistre_le AS depuis, coalesce((s.champs->>'montant_centimes')::int8, 0) AS montant,
       CASE WHEN s.objet ~ '^[0-9]{16}[A-Z]$' THEN s.objet END AS reference,
       CASE WHEN s.objet !~ '^[0-9]{16}[A-Z]$' THEN s.objet END AS transaction, NULL::text AS caisse,
       NULL::text AS assure, s.cause, s.topic, s.partition, s.decalage
FROM journal.sorts s
WHERE s.sort IN ('contradictoire', 'non_rapprochee', 'rejetee', 'montant_incoherent')
  AND s.sort <> 'montant_incoherent'
  AND NOT (s.sort = 'non_rapprochee' AND s.champs->>'issue' IS NOT DISTINCT FROM 'acceptee')
  AND NOT EXISTS (SELECT FROM vues.reglements g WHERE g.etat = 'reglee' AND g.anomalie =
      'sort-' || replace(s.topic_id::text, '-', '') || '-' || s.partition || '-' || s.decalage)
"""

_ATTENTES: Final = """
SELECT CASE WHEN r.sort IS NULL THEN 'attente-' ELSE 'levee-' END || a.rang AS id,
       coalesce(r.sort, 'en_souffrance') AS genre, a.enregistre_le AS depuis, 0::int8 AS montant,
       CASE WHEN a.flux LIKE 'creance-%%' THEN substr(a.flux, 9) END AS reference,
       CASE WHEN a.flux LIKE 'paiement-%%' THEN substr(a.flux, 10) END AS transaction,
       NULL::text AS caisse, NULL::text AS assure, a.raison, a.valeur, r.sort AS suite, r.cause
FROM journal.attentes a
LEFT JOIN journal.attentes_reglees r
    ON r.topic_id = a.topic_id AND r.partition = a.partition AND r.decalage = a.decalage
WHERE r.sort IS NULL
   OR (r.sort IN ('contradictoire', 'non_rapprochee', 'rejetee')
       AND NOT EXISTS (SELECT FROM vues.reglements g WHERE g.etat = 'reglee' AND g.anomalie = 'levee-' || a.rang))
"""

_ECARTS: Final = """
SELECT 'ecart-' || e.rang AS id, e.genre, e.enregistre_le AS depuis, e.montant, NULL::text AS reference, e.transaction,
       p.caisse, p.assure, e.cause
FROM vues.ecarts_ouverts e LEFT JOIN vues.paiements p USING (transaction)
"""

# Par flux : ses événements suivants ne sont que sa suite.
_ECARTES: Final = """
SELECT 'ecarte-' || suiveur || '-' || min(position) AS id, 'evenement_ecarte' AS genre, min(ecarte_le) AS depuis,
       0::int8 AS montant, CASE WHEN flux LIKE 'creance-%%' THEN substr(flux, 9) END AS reference,
       CASE WHEN flux LIKE 'paiement-%%' THEN substr(flux, 10) END AS transaction, NULL::text AS caisse,
       NULL::text AS assure, suiveur, min(position) AS position, count(*) AS combien,
       (array_agg(cause ORDER BY position))[1] AS cause
FROM vues.ecartes WHERE libere_le IS NULL GROUP BY suiveur, flux
"""

_REBUTS: Final = """
SELECT 'rebut-' || replace(r.topic_id::text, '-', '') || '-' || r.partition || '-' || r.decalage AS id,
       'rebut' AS genre, r.depuis, r.montant, NULL::text AS reference, r.transaction, p.caisse, p.assure, r.cause
FROM vues.rebuts r LEFT JOIN vues.paiements p USING (transaction)
WHERE NOT EXISTS (SELECT FROM vues.reglements g WHERE g.etat = 'reglee' AND g.anomalie =
    'rebut-' || replace(r.topic_id::text, '-', '') || '-' || r.partition || '-' || r.decalage)
"""

_SIGNALES: Final = """
SELECT g.anomalie AS id, 'signalement' AS genre, g.signale_le AS depuis, g.montant, NULL::text AS reference,
       g.transaction, p.caisse, p.assure, g.signalement AS cause
FROM vues.reglements g LEFT JOIN vues.paiements p USING (transaction)
WHERE g.signale_le IS NOT NULL AND g.etat <> 'reglee'
"""


# Une ligne d'une vue qui ne dit pas ce que dit le journal, trouvée par la comparaison continue.
_VUES: Final = """
SELECT 'vue-' || d.cle AS id, 'vue_differente' AS genre, d.trouvee_le AS depuis, 0::int8 AS montant,
       CASE WHEN d.flux LIKE 'creance-%%' THEN substr(d.flux, 9) END AS reference,
       CASE WHEN d.flux LIKE 'paiement-%%' THEN substr(d.flux, 10) END AS transaction, NULL::text AS caisse,
       NULL::text AS assure, d.vue, d.phrase
FROM vues.differences d
"""


class Communes(NamedTuple):
    """Les premières colonnes de chaque source ; le montant est en centimes."""

    id: str
    genre: str
    depuis: datetime
    montant: int
    reference: str | None
    transaction: str | None
    caisse: str | None
    assure: str | None


def lire_les_ouvertes(
    conn: Connection[Any], gestes_d_un_message: GestesDUnMessage, filtre: Filtre
) -> Iterator[LigneDAnomalie]:
    """Celles que ce filtre retient, source après source ; chacune rend au plus `limite` lignes, dans son ordre."""
    for requete, dire in _SOURCES:
        for ligne in conn.execute(_CHOISIR.replace("{source}", requete), filtre._asdict()):
            yield dire(Communes(*ligne[:_COMMUNES]), ligne[_COMMUNES:])
    for ligne in conn.execute(_CHOISIR.replace("{source}", _ATTENTES), filtre._asdict()):
        yield _attente(Communes(*ligne[:_COMMUNES]), ligne[_COMMUNES:], gestes_d_un_message)
    yield from _arrets_retenus(conn, filtre)


class Resume(NamedTuple):
    """Combien d'anomalies ouvertes d'un genre, et depuis quand la plus ancienne."""

    nombre: int
    depuis: datetime


def resumer_les_ouvertes(conn: Connection[Any], filtre: Filtre | None = None) -> dict[str, Resume]:
    """Ce que ce filtre (None : toutes) en retient, par genre, dans l'ordre des genres."""
    resumes: dict[str, Resume] = {}
    voulu = (filtre or Filtre())._replace(apres_le=None, apres_id=None)

    def ajouter(genre: str, nombre: int, depuis: datetime) -> None:
        deja = resumes.get(genre, Resume(0, depuis))
        resumes[genre] = Resume(deja.nombre + nombre, min(deja.depuis, depuis))

    for requete in (*(source for source, _ in _SOURCES), _ATTENTES):
        for genre, nombre, depuis in conn.execute(_RESUMER.replace("{source}", requete), voulu._asdict()):
            ajouter(genre, nombre, depuis)
    for ligne in _arrets_retenus(conn, voulu):
        ajouter(ligne.genre, 1, ligne.depuis)
    return dict(sorted(resumes.items()))


def compter_les_ouvertes(conn: Connection[Any], filtre: Filtre | None = None) -> dict[str, int]:
    """Combien ce filtre (None : toutes) en retient, par genre, dans l'ordre des genres."""
    return {genre: resume.nombre for genre, resume in resumer_les_ouvertes(conn, filtre).items()}


_DITES: Final = {fin.value: fin.dite for fin in Fin}

# --- Chaque source ---------------------------------------------------------------------------------------------------


def _argent(c: Communes, reste: tuple[Any, ...]) -> LigneDAnomalie:
    montant, autorisation, voulu, statut = reste
    pris = f"La banque a pris {euros(montant)}"
    if voulu is None:
        cause = f"{pris} pour un paiement inconnu : l'argent attend d'être rattaché."
    elif c.genre == "non_rapprochee":
        cause = f"{pris} sous la référence d'un paiement, mais sa réponse n'est pas celle de ce paiement."
    elif montant != voulu:
        cause = f"{pris} pour un paiement de {euros(voulu)}."
    else:
        autre = f" (autorisation {autorisation})" if autorisation else ""
        cause = f"{pris} une seconde fois pour le même paiement{autre}, déjà {_DITES.get(statut, statut)}."
    if c.montant != montant:
        cause += f" Il en reste {euros(c.montant)} à régler."
    return _ligne(c, cause, gestes_d_argent(connu=voulu is not None))


def _trop_percu(c: Communes, reste: tuple[Any, ...]) -> LigneDAnomalie:
    (en_route,) = reste
    if en_route:
        rien = "la créance n'a plus rien de trop, mais la banque peut encore les rendre, ou les a rendus"
        return _ligne(c, f"{euros(c.montant)} sont demandés à la banque : {rien}.")
    return _ligne(c, f"La créance a reçu {euros(c.montant)} de trop : ils sont à rendre.")


def _sort(c: Communes, reste: tuple[Any, ...]) -> LigneDAnomalie:
    cause, topic, partition, offset = reste
    gestes = gestes_d_un_sort(Sort(c.genre))
    return _ligne(c, phrase(f"{cause} ({topic}, partition {partition}, position {offset})"), gestes)


_DE_LUI_MEME: Final = "Dès que ce qu'il attend arrive, il s'applique de lui-même."


def _attente(c: Communes, reste: tuple[Any, ...], gestes_d_un_message: GestesDUnMessage) -> LigneDAnomalie:
    raison, valeur, sort, suite = reste
    montant, gestes = gestes_d_un_message(bytes(valeur))
    if sort is None:
        return _ligne(c._replace(montant=montant), f"{phrase(raison)} {_DE_LUI_MEME}", gestes)
    dite = phrase(f"le message attendait ; levé, il n'a pas pu être appliqué : {suite}")
    return _ligne(c._replace(montant=montant), dite, GESTES[Source.LEVEE])


def _ecart(c: Communes, reste: tuple[Any, ...]) -> LigneDAnomalie:
    (cause,) = reste
    return _ligne(c, phrase(cause), gestes_d_un_ecart(GenreEcart(c.genre)))


def _ecarte(c: Communes, reste: tuple[Any, ...]) -> LigneDAnomalie:
    suiveur, position, combien, cause = reste
    suite = f" et {combien - 1} à sa suite" if combien > 1 else ""
    return _ligne(c, phrase(f"la vue {suiveur} n'a pas pu appliquer l'événement {position}{suite} : {cause}"))


def _rebut(c: Communes, reste: tuple[Any, ...]) -> LigneDAnomalie:
    (cause,) = reste
    return _ligne(c, phrase(f"message refusé à la porte : {cause}"))


def _vue(c: Communes, reste: tuple[Any, ...]) -> LigneDAnomalie:
    vue, dit = reste
    return _ligne(c, phrase(f"{vue} : {dit} ; `creances rebuild {vue}` la refait du journal"))


def _signale(c: Communes, reste: tuple[Any, ...]) -> LigneDAnomalie:
    (cause,) = reste
    return _ligne(c, phrase(cause))


def signalee(fait: Reglement) -> LigneDAnomalie:
    """Un paiement signalé, que sa vue ne montre pas encore."""
    le = fait.signale_le or EARLIEST
    communes = Communes(fait.anomalie, "signalement", le, fait.montant, None, fait.transaction, None, None)
    return _signale(communes, (fait.signalement or "",))


_SOURCES: Final[tuple[tuple[str, Callable[[Communes, tuple[Any, ...]], LigneDAnomalie]], ...]] = (
    (_ARGENT, _argent),
    (_TROP_PERCUS, _trop_percu),
    (_SORTS, _sort),
    (_ECARTS, _ecart),
    (_ECARTES, _ecarte),
    (_REBUTS, _rebut),
    (_VUES, _vue),
    (_SIGNALES, _signale),
)

_COMMUNES: Final = len(Communes._fields)


def _arrets_retenus(conn: Connection[Any], filtre: Filtre) -> Iterator[LigneDAnomalie]:
    """Les partitions à l'arrêt, peu nombreuses : le moteur les dit, et le filtre se fait ici."""
    for arret in stopped_partitions(conn):
        ident = composer_id(Source.PARTITION, arret.topic_id.hex, arret.partition, arret.position)
        raccourcie = f"Kafka l'a raccourcie de {arret.position} à {arret.fin}"
        illisible = f"ce qu'elle porte à la position {arret.position} ne peut pas être lu"
        pourquoi = raccourcie if arret.fin < arret.position else illisible
        cause = f"La partition {arret.partition} de {arret.topic} est à l'arrêt : {pourquoi}."
        suit = filtre.apres_le is None or (arret.le, ident) > (filtre.apres_le, filtre.apres_id or "")
        if (
            suit
            and filtre.ident in {None, ident}
            and filtre.genre in {None, "partition_arretee"}
            and filtre.noms is None
        ):
            yield _ligne(Communes(ident, "partition_arretee", arret.le, 0, None, None, None, None), cause)


# --- En commun -------------------------------------------------------------------------------------------------------


def _ligne(c: Communes, cause: str, gestes: frozenset[Geste] | None = None) -> LigneDAnomalie:
    lu = lire_id(c.id)
    permis = gestes if gestes is not None else GESTES[lu[0]] if lu else frozenset()
    ordre = tuple(geste for geste in Geste if geste in permis)
    return LigneDAnomalie(
        c.id, c.genre, "ouverte", c.montant, cause, c.depuis, c.reference, c.transaction, c.caisse, c.assure, ordre
    )


def phrase(texte: str | None) -> str:
    """Le texte, comme une phrase : une majuscule, un point, sans signe de commande ni pseudonyme de flux."""
    propre = _MESSAGERIE.sub("une messagerie", _COMMANDES.sub("\N{REPLACEMENT CHARACTER}", texte or SANS_CAUSE)).strip()
    return propre[:1].upper() + propre[1:] + ("" if propre.endswith((".", "!", "?", "…")) else ".")


SANS_CAUSE: Final = "rien n'en dit la cause"

_COMMANDES: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_MESSAGERIE: Final = re.compile(r"messagerie-[A-Za-z0-9._-]+")
