"""Le fil : les événements publiés, pour qui n'a pas Kafka, par pages depuis un curseur ; les seuls de ses caisses.

Il lit le journal, et n'attend ni Kafka ni le publieur. Un curseur est une position : elle avance aussi sur ce qui n'est
pas pour ce partenaire, si bien qu'une page peut être vide sans être la dernière. Le même événement a le même contenu
ici et sur `creances.evenements`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection
from pydantic_core import from_json

from domain.creance import Créance
from domain.paiement import Paiement
from engine.mapper import EventMapper
from engine.recorder import RecordedEvent
from publication.caisses import caisses_des_flux, est_pour
from publication.cloudevent import CloudEvent, composer, source_publiee
from publication.curseur import CreanceEtrangere, Curseur, EvenementIllisible, exiger_connu
from publication.epoques import epoques
from publication.publication import Publication
from publication.renvoi import flux_de
from publication.soldes import Solde, soldes_apres

FENETRE: Final = 20_000
"""Positions du journal qu'une page parcourt, au plus : ce qu'elle coûte ne dépend pas de la part du partenaire."""

COMPTES_MAX: Final = 10_000
"""Événements en attente que l'on compte, au plus."""

_TETE: Final = "SELECT coalesce(max(position), 0) FROM journal.evenements"

# Le premier événement à partir d'une position, et son heure : elles croissent ensemble.
_A_PARTIR_DE: Final = """
SELECT position, enregistre_le FROM journal.evenements WHERE position >= %b ORDER BY position LIMIT 1
"""

# Les événements publiés d'une fenêtre, pour ces caisses ; ceux dont aucune vue ne dit encore la caisse, en plus.
_SUIVANTS: Final = """
SELECT e.position, e.flux, e.version, e.topic, e.etat, e.cause, e.enregistre_le, coalesce(r.caisse, p.caisse)
FROM journal.evenements e
LEFT JOIN vues.restant_du r ON r.reference = CASE WHEN starts_with(e.flux, %(creance)s)
                                                  THEN substr(e.flux, length(%(creance)s) + 1) END
LEFT JOIN vues.paiements p ON p.transaction = CASE WHEN starts_with(e.flux, %(paiement)s)
                                                   THEN substr(e.flux, length(%(paiement)s) + 1) END
WHERE e.position > %(apres)s AND e.position <= %(jusqu_a)s AND e.topic = ANY (%(topics)s::text[])
  AND (coalesce(r.caisse, p.caisse) IS NULL OR coalesce(r.caisse, p.caisse) = ANY (%(caisses)s::text[]))
ORDER BY e.position LIMIT %(limite)s
"""

# Ceux de quelques flux.
_D_UNE_CREANCE: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le, NULL FROM journal.evenements
WHERE flux = ANY (%(flux)s::text[]) AND topic = ANY (%(topics)s::text[])
  AND position > %(apres)s AND position <= %(jusqu_a)s ORDER BY position LIMIT %(limite)s
"""


class Demande(NamedTuple):
    """Ce qu'un partenaire demande."""

    caisses: Collection[str]
    """Celles dont il veut les événements, toutes à lui."""
    limite: int
    apres: Curseur | None = None
    depuis: datetime | None = None
    reference: str | None = None
    """Cette créance et ses paiements seulement."""


class Page(NamedTuple):
    """Ce que le fil rend."""

    epoque: str
    evenements: list[dict[str, Any]]
    """Des CloudEvents, sous leur forme JSON."""
    suite: Curseur
    precedente: str | None
    """L'époque du curseur rendu, si le journal en a ouvert une autre depuis : cette page repart du début."""
    a_jour: bool
    """Rien ne suit pour l'instant."""

    @property
    def est_vide(self) -> bool:
        """Rien à apprendre, pas même une marque."""
        return not self.evenements and self.precedente is None


class _Lot(NamedTuple):
    faits: list[RecordedEvent]
    jusqu_a: int


def tete(conn: Connection[Any]) -> int:
    """La dernière position du journal."""
    (position,) = conn.execute(_TETE).fetchone() or (0,)
    return int(position)


def lire_page(conn: Connection[Any], mapper: EventMapper, fragment: int, demande: Demande) -> Page:
    """La page que demande un partenaire, dans une transaction qui ne voit qu'un état du journal.

    Lève CurseurInconnu, CurseurHorsBornes, CreanceEtrangere ou EvenementIllisible.
    """
    connues = [epoque.nom for epoque in epoques(conn)]
    fin, epoque, precedente = tete(conn), connues[-1], None
    position = 0
    if demande.apres is not None:
        exiger_connu(demande.apres, connues, fin)
        if demande.apres.epoque == epoque:
            position = demande.apres.position
        else:
            precedente = demande.apres.epoque
    elif demande.depuis is not None:
        position = avant_l_instant(conn, demande.depuis, fin)
    lot = _de_la_creance(conn, mapper, demande, position, fin) if demande.reference else None
    lot = lot or _suivants(conn, mapper, demande, position, fin)
    soldes, lot = _soldes(conn, mapper, lot)
    source = source_publiee(fragment, epoque).encode()
    messages = [composer(lu, source, soldes.get(lu.position)) for lu in lot.faits]
    return Page(epoque, [en_json(un) for un in messages], Curseur(epoque, lot.jusqu_a), precedente, lot.jusqu_a >= fin)


def en_attente(
    conn: Connection[Any], mapper: EventMapper, caisses: Collection[str], position: int
) -> tuple[int, datetime | None]:
    """Combien d'événements suivent cette position pour ces caisses (`COMPTES_MAX` au plus), et l'heure du premier."""
    fin, premier, combien = tete(conn), None, 0
    demande = Demande(caisses, COMPTES_MAX)
    while position < fin and combien < COMPTES_MAX:
        lignes, position = _lignes(conn, demande, position, fin)
        inconnues = caisses_des_flux(conn, mapper, {ligne[1] for ligne in lignes if ligne[7] is None})
        heures = [ligne[6] for ligne in lignes if est_pour(ligne[7] or inconnues.get(ligne[1]), caisses)]
        premier = premier or next(iter(heures), None)
        combien += len(heures)
    return min(combien, COMPTES_MAX), premier


def avant_l_instant(conn: Connection[Any], instant: datetime, fin: int) -> int:
    """La position juste avant le premier événement enregistré à cet instant ou après, par dichotomie."""
    bas, haut = 0, fin
    while bas < haut:
        milieu = (bas + haut) // 2
        suivant = conn.execute(_A_PARTIR_DE, (milieu + 1,)).fetchone()
        if suivant is None or suivant[1] >= instant:
            haut = milieu
        else:
            bas = suivant[0]
    return bas


def en_json(message: CloudEvent) -> dict[str, Any]:
    """Le même CloudEvent, en mode structuré : les attributs sans leur préfixe, et les données."""
    noms = {"content-type": "datacontenttype"}
    attributs = {noms.get(nom, nom.removeprefix("ce_")): valeur.decode() for nom, valeur in message.en_tetes}
    return attributs | {"data": from_json(message.valeur)}


def _de_la_creance(conn: Connection[Any], mapper: EventMapper, demande: Demande, position: int, fin: int) -> _Lot:
    reference = demande.reference or ""
    flux = Créance.flux(reference)
    if not est_pour(caisses_des_flux(conn, mapper, [flux]).get(flux), demande.caisses):
        raise CreanceEtrangere
    noms = {"flux": flux_de(conn, mapper, reference), "topics": sorted(Publication.topics)}
    bornes = {"apres": position, "jusqu_a": fin, "limite": demande.limite}
    lignes = conn.execute(_D_UNE_CREANCE, noms | bornes).fetchall()
    return _lire(mapper, lignes, lignes[-1][0] if len(lignes) == demande.limite else fin)


def _suivants(conn: Connection[Any], mapper: EventMapper, demande: Demande, position: int, fin: int) -> _Lot:
    lignes, jusqu_a = _lignes(conn, demande, position, fin)
    inconnues = caisses_des_flux(conn, mapper, {ligne[1] for ligne in lignes if ligne[7] is None})
    siennes: list[Any] = []
    for ligne in lignes:
        if ligne[7] is None and ligne[1] not in inconnues:
            # Personne ne sait à qui il est : le fil s'arrête devant, plutôt que de le passer ou de le montrer.
            return _avant(_lire(mapper, siennes, jusqu_a).faits, ligne[0])
        if est_pour(ligne[7] or inconnues[ligne[1]], demande.caisses):
            siennes.append(ligne)
    return _lire(mapper, siennes, jusqu_a)


def _lignes(conn: Connection[Any], demande: Demande, position: int, fin: int) -> tuple[list[Any], int]:
    """Les lignes d'une fenêtre, et jusqu'où elles vont."""
    jusqu_a = min(position + FENETRE, fin)
    lignes = conn.execute(
        _SUIVANTS,
        {
            "creance": Créance.flux(""),
            "paiement": Paiement.flux(""),
            "apres": position,
            "jusqu_a": jusqu_a,
            "topics": sorted(Publication.topics),
            "caisses": sorted(demande.caisses),
            "limite": demande.limite,
        },
    ).fetchall()
    return lignes, lignes[-1][0] if len(lignes) == demande.limite else jusqu_a


def _lire(mapper: EventMapper, lignes: Sequence[Any], jusqu_a: int) -> _Lot:
    faits: list[RecordedEvent] = []
    for position, flux, version, topic, etat, cause, enregistre_le, _ in lignes:
        try:
            fait = mapper.lire(flux, version, topic, etat)
        except MapperDeserialisationError:
            return _avant(faits, position)
        faits.append(RecordedEvent(position, fait, cause, enregistre_le))
    return _Lot(faits, jusqu_a)


def _soldes(conn: Connection[Any], mapper: EventMapper, lot: _Lot) -> tuple[dict[int, Solde], _Lot]:
    """Le solde après chaque fait ; un flux que le journal ne permet pas de refaire arrête le fil devant lui."""
    try:
        return soldes_apres(conn, mapper, lot.faits), lot
    except (MapperDeserialisationError, ValueError):
        fautifs = set(_irrefaisables(conn, mapper, lot.faits))
        premier = min(lu.position for lu in lot.faits if lu.event.originator_id in fautifs)
        lot = _avant([lu for lu in lot.faits if lu.position < premier], premier)
        return soldes_apres(conn, mapper, lot.faits), lot


def _irrefaisables(conn: Connection[Any], mapper: EventMapper, faits: Iterable[RecordedEvent]) -> Iterator[str]:
    for lu in faits:
        try:
            soldes_apres(conn, mapper, [lu])
        except (MapperDeserialisationError, ValueError):
            yield lu.event.originator_id


def _avant(faits: list[RecordedEvent], fautive: int) -> _Lot:
    """Ce qui précède un événement fautif. Lève EvenementIllisible s'il est le prochain."""
    if not faits:
        raise EvenementIllisible
    return _Lot(faits, fautive - 1)
