"""Le fil : les événements publiés, pour qui n'a pas Kafka, par pages depuis un curseur ; les seuls de ses caisses.

Il lit le journal, et n'attend ni Kafka ni le publieur. Un curseur est une position : elle avance aussi sur ce qui n'est
pas pour ce partenaire, si bien qu'une page peut être vide sans être la dernière. Le même événement a le même contenu
ici et sur `creances.evenements`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection
from pydantic_core import from_json

from domain.creance import Créance
from engine import tracing
from engine.mapper import EventMapper
from engine.recorder import RecordedEvent
from publication.caisses import caisses_des_flux, est_pour
from publication.cloudevent import CloudEvent, composer, source_publiee
from publication.curseur import RETENUS_MAX, CreanceEtrangere, Curseur, EvenementIllisible, exiger_connu
from publication.epoques import epoques
from publication.renvoi import flux_de
from publication.retenus import AVEC_CAISSE, PUBLIES, Retenu, parametres, reprendre, retenus, se_refait
from publication.soldes import soldes_apres

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
_SUIVANTS: Final = f"""
SELECT e.position, e.flux, e.version, e.topic, e.etat, e.cause, e.enregistre_le, coalesce(r.caisse, p.caisse)
FROM journal.evenements e {AVEC_CAISSE}
WHERE e.position > %(apres)s AND e.position <= %(jusqu_a)s AND {PUBLIES}
  AND (coalesce(r.caisse, p.caisse) IS NULL OR coalesce(r.caisse, p.caisse) = ANY (%(caisses)s::text[]))
ORDER BY e.position LIMIT %(limite)s
"""  # noqa: S608

# Ceux de quelques flux.
_D_UNE_CREANCE: Final = f"""
SELECT e.position, e.flux, e.version, e.topic, e.etat, e.cause, e.enregistre_le FROM journal.evenements e
WHERE e.flux = ANY (%(flux)s::text[]) AND {PUBLIES}
  AND e.position > %(apres)s AND e.position <= %(jusqu_a)s ORDER BY e.position LIMIT %(limite)s
"""  # noqa: S608


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
    retenus: list[Retenu]
    """Les flux dont la suite attend une réparation ; tout le reste est rendu."""

    @property
    def est_vide(self) -> bool:
        """Rien à apprendre, pas même une marque."""
        return not self.evenements and self.precedente is None


class _Lot(NamedTuple):
    faits: list[RecordedEvent]
    jusqu_a: int
    arrets: dict[str, int] = {}  # noqa: RUF012 (jamais changé)
    """Par flux retenu, la position de son premier événement retenu."""


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
    if demande.reference is not None:
        lot = _de_la_creance(conn, mapper, demande, position, fin)
    else:
        lot = _la_suite(conn, mapper, demande, position, fin)
    soldes = soldes_apres(conn, mapper, lot.faits)
    source = source_publiee(fragment, epoque).encode()
    traces = tracing.kept_of(conn, lot.faits)
    messages = [composer(lu, source, soldes.get(lu.position), traces) for lu in lot.faits]
    dits = retenus(conn, mapper, lot.arrets.values(), demande.caisses) if lot.arrets else []
    suite = Curseur(epoque, lot.jusqu_a, tuple(sorted(lot.arrets.values())))
    return Page(epoque, [en_json(un) for un in messages], suite, precedente, lot.jusqu_a >= fin, dits)


def en_attente(
    conn: Connection[Any], mapper: EventMapper, caisses: Collection[str], position: int
) -> tuple[int, datetime | None]:
    """Combien d'événements suivent cette position pour ces caisses (`COMPTES_MAX` au plus), et l'heure du premier."""
    fin, premier, combien = tete(conn), None, 0
    demande = Demande(caisses, COMPTES_MAX)
    while position < fin and combien < COMPTES_MAX:
        lignes, position = _lignes(conn, mapper, demande, position, fin)
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
    noms = parametres(mapper) | {"flux": flux_de(conn, mapper, reference)}
    bornes = {"apres": position, "jusqu_a": fin, "limite": demande.limite}
    lignes = conn.execute(_D_UNE_CREANCE, noms | bornes).fetchall()
    jusqu_a = lignes[-1][0] if len(lignes) == demande.limite else fin
    lus = [_lire(mapper, ligne) for ligne in lignes]
    faits = [lu for lu in lus if lu is not None]
    fautives = [ligne[0] for ligne, lu in zip(lignes, lus, strict=True) if lu is None]
    fautives += [
        min(lu.position for lu in ceux) for ceux in _par_flux(faits).values() if not se_refait(conn, mapper, ceux)
    ]
    if fautives:
        return _avant([lu for lu in faits if lu.position < min(fautives)], min(fautives))
    return _Lot(faits, jusqu_a)


def _la_suite(conn: Connection[Any], mapper: EventMapper, demande: Demande, position: int, fin: int) -> _Lot:
    """Ce qui était retenu et se lit de nouveau, d'abord ; sinon ce qui suit."""
    portes = demande.apres.retenus if demande.apres is not None and position else ()  # 0 : tout repart du début.
    avant = retenus(conn, mapper, portes, demande.caisses) if portes else []
    rendus, arrets = reprendre(conn, mapper, avant, position, demande.limite)
    if rendus:
        return _Lot(rendus, position, arrets)
    lignes, jusqu_a = _lignes(conn, mapper, demande, position, fin)
    inconnues = caisses_des_flux(conn, mapper, {ligne[1] for ligne in lignes if ligne[7] is None})
    faits: list[RecordedEvent] = []
    for ligne in lignes:
        numero, flux, caisse = ligne[0], ligne[1], ligne[7]
        if flux in arrets:
            continue
        lu = None
        if caisse is not None or flux in inconnues:
            if not est_pour(caisse or inconnues[flux], demande.caisses):
                continue
            lu = _lire(mapper, ligne)
        if lu is not None:
            faits.append(lu)
        elif len(arrets) == RETENUS_MAX:
            return _sans_les_irrefaisables(conn, mapper, _avant(faits, numero, arrets))
        else:
            arrets[flux] = numero
    return _sans_les_irrefaisables(conn, mapper, _Lot(faits, jusqu_a, arrets))


def _lignes(
    conn: Connection[Any], mapper: EventMapper, demande: Demande, position: int, fin: int
) -> tuple[list[Any], int]:
    """Les lignes d'une fenêtre, et jusqu'où elles vont."""
    jusqu_a = min(position + FENETRE, fin)
    bornes = {"apres": position, "jusqu_a": jusqu_a, "caisses": sorted(demande.caisses), "limite": demande.limite}
    lignes = conn.execute(_SUIVANTS, parametres(mapper) | bornes).fetchall()
    return lignes, lignes[-1][0] if len(lignes) == demande.limite else jusqu_a


def _lire(mapper: EventMapper, ligne: Sequence[Any]) -> RecordedEvent | None:
    """L'événement d'une ligne ; None s'il ne se lit pas."""
    position, flux, version, topic, etat, cause, enregistre_le, *_ = ligne
    try:
        return RecordedEvent(position, mapper.lire(flux, version, topic, etat), cause, enregistre_le)
    except MapperDeserialisationError:
        return None


def _par_flux(faits: Iterable[RecordedEvent]) -> dict[str, list[RecordedEvent]]:
    ceux: dict[str, list[RecordedEvent]] = {}
    for lu in faits:
        ceux.setdefault(lu.event.originator_id, []).append(lu)
    return ceux


def _sans_les_irrefaisables(conn: Connection[Any], mapper: EventMapper, lot: _Lot) -> _Lot:
    """Le même lot ; un flux dont le journal ne permet pas de refaire le solde est retenu aussi."""
    if se_refait(conn, mapper, lot.faits):
        return lot
    fautifs = {
        flux: ceux[0].position for flux, ceux in _par_flux(lot.faits).items() if not se_refait(conn, mapper, ceux)
    }
    gardes = [lu for lu in lot.faits if lu.event.originator_id not in fautifs]
    arrets = lot.arrets | fautifs
    if len(arrets) <= RETENUS_MAX:
        return _Lot(gardes, lot.jusqu_a, arrets)
    premier = min(fautifs.values())
    restent = {flux: position for flux, position in lot.arrets.items() if position < premier}
    return _avant([lu for lu in gardes if lu.position < premier], premier, restent)


def _avant(faits: list[RecordedEvent], fautive: int, arrets: Mapping[str, int] = MappingProxyType({})) -> _Lot:
    """Ce qui précède un événement fautif. Lève EvenementIllisible s'il est le prochain."""
    if not faits:
        raise EvenementIllisible
    return _Lot(faits, fautive - 1, dict(arrets))
