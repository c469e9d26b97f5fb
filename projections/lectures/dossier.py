"""L'histoire entière d'une créance, d'un paiement, d'un assuré : chaque fait, chaque message reçu, et leurs liens.

Un fait dit ce qui l'a causé ; un message, les faits qu'il a causés ; l'un et l'autre, l'appel HTTP d'où ils viennent.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg import Connection

from domain.creance import Créance
from domain.paiement import FaitDePaiement, Fin, Paiement, est_de_paiement
from engine.recorder import Recorder
from projections.effets import phrase_de_paiement
from projections.lectures.historique import HORS_DONNEES, Etape, Histoire, Illisible, historiques
from projections.lectures.instant import RienEncore, VersionInconnue
from projections.lectures.messages_recus import messages_recus
from projections.lectures.phrases import mis_en_verification
from projections.lectures.suite import TOUT, Demande, Dossier, Ligne

# Les faits d'un paiement.
_PAIEMENTS: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le FROM journal.evenements
WHERE flux = ANY (%(flux)s) AND (%(version)s::int8 IS NULL OR version <= %(version)s)
  AND (%(au)s::timestamptz IS NULL OR enregistre_le <= %(au)s)
ORDER BY flux, version
"""

# Les appels HTTP qui ont ouvert des paiements.
_APPELS: Final = """
SELECT cle, correlation FROM journal.cles_idempotence WHERE auteur = %s AND cle = ANY (%s) AND correlation IS NOT NULL
"""

# Les faits d'autres flux que ces messages ont causés.
_CAUSES: Final = "SELECT flux, version, cause FROM journal.evenements WHERE flux = ANY (%s) AND cause = ANY (%s)"

# Comment des paiements ont fini, chacun dans l'ordre.
_FINS: Final = """
SELECT flux, version, topic, etat, cause FROM journal.evenements
WHERE flux = ANY (%(flux)s) AND topic = ANY (%(topics)s) AND (%(au)s::timestamptz IS NULL OR enregistre_le <= %(au)s)
ORDER BY flux, version
"""
_TOPICS_DE_FIN: Final = [Paiement.PaiementConclu.TOPIC, Paiement.PaiementRéglé.TOPIC]

# Où commence et où finit un flux.
_BORNES: Final = "SELECT min(enregistre_le), max(version) FROM journal.evenements WHERE flux = %s"

# Ce qui est à un assuré, d'après les vues.
_DE_L_ASSURE: Final = """
SELECT ARRAY(SELECT reference FROM vues.restant_du WHERE assure = %(assure)s ORDER BY date_emission, reference),
       ARRAY(SELECT transaction FROM vues.paiements WHERE assure = %(assure)s ORDER BY ouvert_le)
"""

_REQUETE: Final = "requete:"


def dossier_de_creance(
    conn: Connection[Any], recorder: Recorder, reference: str, demande: Demande = TOUT
) -> Dossier | None:
    """L'histoire d'une créance ; None si personne n'en a jamais parlé. Lève RienEncore ou VersionInconnue."""
    flux = Créance.flux(reference)
    derniere = _derniere_version(conn, flux, demande)
    if derniere is None:  # Un chèque peut attendre son avis.
        attendue = _lier(conn, Dossier(flux, set(), [], [], 0, *demande), [reference], demande.au)
        return attendue if attendue.messages else None
    histoire = _histoires(conn, recorder, [reference], demande)[reference]
    lignes = [Ligne(fait, flux) for fait in _faits(histoire)]
    transactions = {str(transaction) for ligne in lignes if (transaction := _donnee(ligne, "transaction"))}
    assures = {str(assure) for ligne in lignes if (assure := _donnee(ligne, "assure"))}
    jusqu_a = lignes[-1].fait.enregistre_le if demande.version is not None else demande.au
    dossier = Dossier(flux, assures, lignes, [], derniere, *demande)
    _dire_les_verifications(conn, recorder, dossier, jusqu_a)
    return _lier(conn, dossier, [reference, *transactions], jusqu_a)


def dossier_de_paiement(
    conn: Connection[Any], recorder: Recorder, transaction: str, demande: Demande = TOUT
) -> Dossier | None:
    """L'histoire d'un paiement, et de ses parts sur chaque créance ; None si personne n'en a jamais parlé.

    Lève RienEncore ou VersionInconnue.
    """
    flux = Paiement.flux(transaction)
    derniere = _derniere_version(conn, flux, demande)
    siennes = _faits_de_paiement(conn, recorder, [transaction], demande)
    jusqu_a = siennes[-1].fait.enregistre_le if siennes and demande.version is not None else demande.au
    references = [str(part["reference"]) for ligne in siennes for part in _donnee(ligne, "imputations") or ()]
    creances = _histoires(conn, recorder, references, Demande(demande.instant), nommees=True)
    parts = [
        Ligne(fait, Créance.flux(reference))
        for reference, histoire in creances.items()
        for fait in _faits(histoire)
        if isinstance(fait, Etape) and fait.donnees.get("transaction") == transaction
        if jusqu_a is None or fait.enregistre_le <= jusqu_a
    ]
    lignes = sorted([*siennes, *parts], key=_place)
    assures = {str(assure) for ligne in lignes if (assure := _donnee(ligne, "assure"))}
    dossier = _lier(conn, Dossier(flux, assures, lignes, [], derniere or 0, *demande), [transaction], jusqu_a)
    _dire_les_verifications(conn, recorder, dossier, jusqu_a)
    return dossier if derniere is not None or dossier.messages else None


def dossier_de_l_assure(
    conn: Connection[Any], recorder: Recorder, assure: str, demande: Demande = TOUT
) -> Dossier | None:
    """L'histoire de toutes les créances et de tous les paiements d'un assuré ; None s'il est inconnu des vues.

    Lève RienEncore.
    """
    references, transactions = conn.execute(_DE_L_ASSURE, {"assure": assure}).fetchone() or ([], [])
    if not references and not transactions:
        return None
    histoires = _histoires(conn, recorder, references, demande, nommees=True)
    des_creances = [
        Ligne(fait, Créance.flux(reference)) for reference, histoire in histoires.items() for fait in _faits(histoire)
    ]
    lignes = sorted([*des_creances, *_faits_de_paiement(conn, recorder, transactions, demande)], key=_place)
    if not lignes:
        debuts = (_bornes(conn, flux)[0] for flux in map(Créance.flux, references))
        raise RienEncore(min(debut for debut in debuts if debut is not None))
    restants: dict[str, int] = {}
    for ligne in lignes:
        if isinstance(ligne.fait, Etape) and ligne.fait.restant_du is not None:
            restants[ligne.flux] = ligne.fait.restant_du
            ligne.total = sum(restants.values())
    dossier = Dossier(f"assure-{assure}", {assure}, lignes, [], 0, *demande)
    _dire_les_verifications(conn, recorder, dossier, demande.au)
    return _lier(conn, dossier, [*references, *transactions], demande.au)


def _histoires(
    conn: Connection[Any], recorder: Recorder, references: Iterable[str], demande: Demande, *, nommees: bool = False
) -> dict[str, Histoire]:
    voulues = list(references)
    return historiques(conn, recorder, voulues, au=demande.au, a_la_version=demande.version, nommees=nommees)


def _faits(histoire: Histoire) -> list[Etape | Illisible]:
    return sorted([*histoire.etapes, *histoire.illisibles], key=lambda fait: fait.version)


def _donnee(ligne: Ligne, nom: str) -> Any:
    return ligne.fait.donnees.get(nom) if isinstance(ligne.fait, Etape) else None


def _place(ligne: Ligne) -> int:
    return ligne.fait.position


def _bornes(conn: Connection[Any], flux: str) -> tuple[datetime | None, int | None]:
    return conn.execute(_BORNES, (flux,)).fetchone() or (None, None)


def _derniere_version(conn: Connection[Any], flux: str, demande: Demande) -> int | None:
    """La dernière version du flux, ou None s'il n'existe pas ; lève RienEncore ou VersionInconnue."""
    debut, derniere = _bornes(conn, flux)
    if debut is None or derniere is None:
        return None
    if demande.au is not None and demande.au < debut:
        raise RienEncore(debut)
    if demande.version is not None and not 1 <= demande.version <= derniere:
        raise VersionInconnue(derniere)
    return derniere


def _faits_de_paiement(
    conn: Connection[Any], recorder: Recorder, transactions: Sequence[str], demande: Demande
) -> list[Ligne]:
    criteres = {"flux": [Paiement.flux(nom) for nom in transactions], "version": demande.version, "au": demande.au}
    lignes = []
    for position, flux, version, topic, etat, cause, enregistre_le in conn.execute(_PAIEMENTS, criteres, binary=True):
        try:
            fait = recorder.mapper.lire(flux, version, topic, etat)
            phrase = phrase_de_paiement(_exiger_de_paiement(fait))
        except Exception as illisible:  # noqa: BLE001 (un fait fautif ne tait pas les autres)
            raison = str(illisible) or repr(illisible)
            lignes.append(Ligne(Illisible(position, version, topic, enregistre_le, cause, raison), flux))
            continue
        donnees = fait.model_dump(mode="json", by_alias=True, exclude=HORS_DONNEES | {"jeton_retour"})
        etape = Etape(
            position=position,
            version=version,
            type=type(fait).__name__,
            survenu_le=fait.timestamp,
            enregistre_le=enregistre_le,
            cause=cause,
            donnees=donnees,
            phrase=phrase,
        )
        lignes.append(Ligne(etape, flux))
    return lignes


def _exiger_de_paiement(fait: object) -> FaitDePaiement:
    if not est_de_paiement(fait):
        raise TypeError(f"{type(fait).__name__} n'est pas un fait d'un paiement")
    return fait


def _dire_les_verifications(conn: Connection[Any], recorder: Recorder, dossier: Dossier, au: datetime | None) -> None:
    """Ne laisse pas lire « n'a pas abouti » d'un paiement que la banque a pris : la personne paierait encore."""
    leves = [(ligne, str(_donnee(ligne, "transaction"))) for ligne in dossier.lignes if _est_un_echec(ligne)]
    if not leves:
        return
    flux = [Paiement.flux(nom) for nom in {transaction for _, transaction in leves}]
    criteres = {"flux": flux, "topics": _TOPICS_DE_FIN, "au": au}
    commencees = set()
    for sien, version, topic, etat, cause in conn.execute(_FINS, criteres, binary=True):
        try:
            fin = recorder.mapper.lire(sien, version, topic, etat)
        except Exception:  # noqa: BLE001, S112 (illisible, il se dit sur la page du paiement)
            continue
        nom = Paiement.transaction_de(sien)
        if isinstance(fin, Paiement.PaiementConclu) and fin.issue is Fin.EN_VERIFICATION:
            commencees.add((str(nom), cause))
            dossier.en_verification.add(nom)
        else:
            dossier.en_verification.discard(nom)
    for ligne, transaction in leves:
        if isinstance(ligne.fait, Etape) and (transaction, ligne.fait.cause) in commencees:
            ligne.fait = ligne.fait._replace(phrase=mis_en_verification(int(_donnee(ligne, "part_liberee"))))


def _est_un_echec(ligne: Ligne) -> bool:
    return isinstance(ligne.fait, Etape) and ligne.fait.type == Créance.PaiementÉchoué.__name__


def _lier(conn: Connection[Any], dossier: Dossier, objets: Sequence[str], au: datetime | None) -> Dossier:
    """Ajoute les messages reçus, et lie chaque fait à ce qui l'a causé, dans les deux sens."""
    dossier.messages = messages_recus(conn, objets, au)
    par_origine = {recu.origine: recu for recu in dossier.messages}
    appels = _appels(conn, dossier)
    for ligne in dossier.lignes:
        ligne.message = par_origine.get(ligne.fait.cause)
        if ligne.message is not None:
            ligne.message.evenements.append(ligne.nom)
            ligne.correlation = ligne.message.champs.get("correlation")
        elif ligne.fait.cause.startswith(_REQUETE):
            ligne.correlation = appels.get(ligne.fait.cause.removeprefix(_REQUETE))
    autres = {recu.objet for recu in dossier.messages}
    causes = conn.execute(_CAUSES, ([Paiement.flux(nom) for nom in autres], list(par_origine))) if autres else ()
    for flux, version, cause in causes:
        if (nom := f"{flux}:{version}") not in par_origine[cause].evenements:
            par_origine[cause].evenements.append(nom)
    return dossier


def _appels(conn: Connection[Any], dossier: Dossier) -> Mapping[str, str]:
    cles = {
        ligne.fait.cause.removeprefix(_REQUETE) for ligne in dossier.lignes if ligne.fait.cause.startswith(_REQUETE)
    }
    trouves: dict[str, str] = {}
    for assure in dossier.assures if cles else ():
        trouves |= dict(conn.execute(_APPELS, (assure, list(cles))))
    return trouves
