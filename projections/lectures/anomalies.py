"""Les anomalies que des personnes lisent : les ouvertes, les réglées, une seule, et l'histoire de l'une d'elles.

Rien n'y est coupé sans être dit : une page annonce combien il y en a en tout, et comment lire la suite.
"""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.anomalie import LIBELLES, Anomalie, est_d_anomalie
from domain.geste import Geste, lire_id
from domain.refus import Refus
from engine.messages import EARLIEST
from engine.recorder import Recorder
from projections.lectures.ligne_d_anomalie import LigneDAnomalie
from projections.lectures.sources_d_anomalies import (
    Filtre,
    GestesDUnMessage,
    compter_les_ouvertes,
    lire_les_ouvertes,
    signalee,
)
from projections.vues.anomalies import Reglement

PAR_PAGE: Final = 200
"""Anomalies d'une page, si l'on n'en dit pas le nombre."""

_COLONNES: Final = """
anomalie, etat, signale_le, transaction, signalement, montant, proposition, version, saisi_par, saisi_le, expire_le,
approuve_par, regle_le
"""

_REGLEMENTS: Final = f"SELECT {_COLONNES} FROM vues.reglements WHERE anomalie = ANY (%s)"  # noqa: S608

# Réglées, et que leur source n'a pas rouvertes : une anomalie n'a qu'un état.
_SONT_REGLEES: Final = """
FROM vues.reglements g
WHERE g.etat = 'reglee'
  AND (%(genre)s::text IS NULL OR split_part(g.anomalie, '-', 1) = %(genre)s)
  AND NOT EXISTS (SELECT FROM vues.argent a WHERE a.anomalie = g.anomalie AND a.reste > 0)
  AND NOT EXISTS (SELECT FROM vues.trop_percus t WHERE 'trop_percu-' || t.reference = g.anomalie)
  AND NOT EXISTS (SELECT FROM vues.ecartes e
                  WHERE e.libere_le IS NULL AND 'ecarte-' || e.suiveur || '-' || e.position = g.anomalie)
"""

_REGLEES: Final = f"""
SELECT {_COLONNES} {_SONT_REGLEES}
  AND (%(apres_le)s::timestamptz IS NULL
       OR (g.regle_le, g.anomalie COLLATE "C") < (%(apres_le)s, %(apres_id)s::text COLLATE "C"))
ORDER BY g.regle_le DESC, g.anomalie COLLATE "C" DESC LIMIT %(limite)s
"""

_COMPTER_LES_REGLEES: Final = f"""
SELECT split_part(g.anomalie, '-', 1), count(*) {_SONT_REGLEES} GROUP BY 1 ORDER BY 1
"""

# De qui et de quelle caisse sont ces créances.
_CREANCES: Final = "SELECT reference, caisse, assure FROM vues.restant_du WHERE reference = ANY (%s)"

_SUITE: Final = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{6})?)Z_([a-z_]{1,16}-[A-Za-z0-9_-]{1,100})")


class PageInconnue(Refus):
    """Ce que l'adresse dit de la page suivante ne se lit pas."""

    code = "page_inconnue"
    phrase_de_base = "Cette page de la liste n'existe pas : repartez de son début."


class Voulue(NamedTuple):
    """Une page d'une liste : d'un seul genre, ou de tous ; la première, ou celle qui suit une autre."""

    genre: str | None = None
    apres: str | None = None
    """La `suite` d'une page."""
    limite: int = PAR_PAGE


class Page(NamedTuple):
    """Une page d'une liste d'anomalies."""

    lignes: list[LigneDAnomalie]
    comptes: dict[str, int]
    """Combien il y en a en tout, par genre."""
    suite: str | None
    """Ce qui, donné à `apres`, mène à la page suivante ; None à la dernière."""
    genre: str | None = None

    @property
    def total(self) -> int:
        """Combien répondent en tout, sur toutes les pages."""
        return sum(self.comptes.values()) if self.genre is None else self.comptes.get(self.genre, 0)


def page_des_ouvertes(
    conn: Connection[Any], maintenant: datetime, voulue: Voulue, *, gestes_d_un_message: GestesDUnMessage
) -> Page:
    """Ce qui est ouvert, le plus ancien d'abord. Lève PageInconnue."""
    apres_le, apres_id = _lire_suite(voulue.apres)
    filtre = Filtre(genre=voulue.genre, apres_le=apres_le, apres_id=apres_id, limite=voulue.limite + 1)
    trouvees = sorted(lire_les_ouvertes(conn, gestes_d_un_message, filtre), key=_rang)
    lignes = _completees(conn, trouvees[: voulue.limite], maintenant)
    suite = _suite(lignes[-1]) if len(trouvees) > voulue.limite else None
    return Page(lignes, compter_les_ouvertes(conn), suite, voulue.genre)


def page_des_reglees(conn: Connection[Any], voulue: Voulue) -> Page:
    """Ce qui est réglé, le plus récent d'abord ; son genre est alors sa source. Lève PageInconnue."""
    apres_le, apres_id = _lire_suite(voulue.apres)
    criteres = {"genre": voulue.genre, "apres_le": apres_le, "apres_id": apres_id, "limite": voulue.limite + 1}
    trouvees = [_reglee(Reglement(*ligne)) for ligne in conn.execute(_REGLEES, criteres)]
    suite = _suite(trouvees[voulue.limite - 1]) if len(trouvees) > voulue.limite else None
    comptes: dict[str, int] = dict(conn.execute(_COMPTER_LES_REGLEES, {"genre": None}).fetchall())
    return Page(trouvees[: voulue.limite], comptes, suite, voulue.genre)


def anomalies_ouvertes(
    conn: Connection[Any],
    maintenant: datetime,
    *,
    gestes_d_un_message: GestesDUnMessage,
    noms: Collection[str] | None = None,
) -> list[LigneDAnomalie]:
    """Tout ce qui est ouvert, le plus ancien d'abord, sans limite.

    `noms` : seulement ce qui est au sujet de ces créances, paiements ou assurés.
    """
    filtre = Filtre(noms=None if noms is None else sorted(noms))
    lignes = sorted(lire_les_ouvertes(conn, gestes_d_un_message, filtre), key=_rang)
    return _completees(conn, lignes, maintenant)


def anomalies_reglees(conn: Connection[Any]) -> list[LigneDAnomalie]:
    """Toutes les réglées, la plus récente d'abord, sans limite."""
    criteres = {"genre": None, "apres_le": None, "apres_id": None, "limite": None}
    return [_reglee(Reglement(*ligne)) for ligne in conn.execute(_REGLEES, criteres)]


class Verite(NamedTuple):
    """Ce que le journal dit d'une anomalie au moment où on la lit : les vues peuvent avoir un instant de retard."""

    ouverte: bool
    montant: int | None = None
    """Ce qui en reste à régler, en centimes ; None : ce qu'en dit sa source."""


def anomalie(
    conn: Connection[Any],
    recorder: Recorder,
    ident: str,
    maintenant: datetime,
    *,
    gestes_d_un_message: GestesDUnMessage,
    verite: Verite | None = None,
) -> LigneDAnomalie | None:
    """Une anomalie par son nom, ouverte ou réglée ; None si aucune ne le porte.

    Ce que des personnes en ont fait vient du journal. `verite` : ce qu'il dit aussi de sa source ; None : on en croit
    les vues.
    """
    if lire_id(ident) is None:
        return None
    fait = _reglement_au_journal(conn, recorder, ident)
    ouvertes = list(lire_les_ouvertes(conn, gestes_d_un_message, Filtre(ident=ident)))
    if ouvertes and (verite is None or verite.ouverte):
        (ligne, *_) = ouvertes
        if verite is not None and verite.montant is not None:
            ligne = ligne._replace(montant=verite.montant)
        return _completer(ligne, fait, _creances(conn, [ligne]), maintenant)
    if fait is None:
        return None
    if fait.regle_le is not None:
        return _reglee(fait)
    return _completer(signalee(fait), fait, {}, maintenant) if fait.signale_le is not None else None


def existe(conn: Connection[Any], recorder: Recorder, ident: str, *, gestes_d_un_message: GestesDUnMessage) -> bool:
    """Dit si une anomalie porte ce nom, ouverte ou déjà réglée."""
    return anomalie(conn, recorder, ident, datetime.now(UTC), gestes_d_un_message=gestes_d_un_message) is not None


def _reglement_au_journal(conn: Connection[Any], recorder: Recorder, ident: str) -> Reglement | None:
    """Ce que la vue des règlements en dira quand elle aura tout lu ; None si personne n'en a rien fait."""
    faits = [lu.event for lu in recorder.history(conn, Anomalie.flux(ident)) if est_d_anomalie(lu.event)]
    if not faits:
        return None
    reglement = Reglement(ident)
    for fait in faits:
        reglement.appliquer(fait)
    return reglement


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


# --- En commun -------------------------------------------------------------------------------------------------------


def _rang(ligne: LigneDAnomalie) -> tuple[datetime, str]:
    return ligne.depuis, ligne.id


def _suite(ligne: LigneDAnomalie) -> str:
    return f"{ligne.depuis.astimezone(UTC).replace(tzinfo=None).isoformat()}Z_{ligne.id}"


def _lire_suite(apres: str | None) -> tuple[datetime | None, str | None]:
    if not apres:
        return None, None
    lu = _SUITE.fullmatch(apres)
    try:
        if lu is not None:
            return datetime.fromisoformat(lu[1]).replace(tzinfo=UTC), lu[2]
    except ValueError:
        pass
    raise PageInconnue


def _completees(conn: Connection[Any], lignes: list[LigneDAnomalie], maintenant: datetime) -> list[LigneDAnomalie]:
    faits = {ligne[0]: Reglement(*ligne) for ligne in conn.execute(_REGLEMENTS, ([ligne.id for ligne in lignes],))}
    creances = _creances(conn, lignes)
    return [_completer(ligne, faits.get(ligne.id), creances, maintenant) for ligne in lignes]


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
