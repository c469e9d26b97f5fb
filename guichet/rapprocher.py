"""Rapprocher un rapport de la banque : chaque transaction y rencontre la nôtre, et chaque écart est une anomalie.

Une seule transaction lit le fichier, l'inscrit et juge : un fichier coupé ne laisse rien. La banque est interrogée
ensuite, hors d'elle, et sa réponse entre comme n'importe quelle notification.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BufferedIOBase
from typing import Any, Final

from psycopg import Connection

from domain.delai import PARIS
from domain.references import TRANSACTION
from guichet.guichet import Guichet
from guichet.rapprochement import registre
from guichet.rapprochement.ecarts import Ecart, GenreEcart
from guichet.rapprochement.jugement import Jugement, Sommes
from guichet.relancer_paiement import Transmettre
from kiosque.interface import DemandeInvalide, KiosqueInjoignable
from kiosque.sips.rapports.colonnes import Genre, NomsDesColonnes
from kiosque.sips.rapports.lecture import Entete, Rapport

DEMANDES_MAX: Final = 1_000
"""Questions posées à la banque après un rapport, au plus ; le suivant reprend les autres."""

INJOIGNABLES_MAX: Final = 3
"""Questions sans réponse de suite après quoi la banque est laissée : le rapport suivant les reposera."""

MIDI: Final = 12
"""Heure de Paris à laquelle le rapport de la veille doit être là (la banque l'annonce entre 0 h 30 et 4 h)."""

Interroger = Callable[[str, str], Mapping[str, str] | None]
"""L'état d'une transaction d'un marchand à la banque, en formulaire scellé ; None : inconnue. `Kiosque.interroger`."""


@dataclass(frozen=True, slots=True)
class Reglages:
    """Ce que le rapprochement a besoin de savoir."""

    noms: NomsDesColonnes
    marchands: Sequence[str]
    """Tous les nôtres : ceux d'un rapport qui n'en nomme aucun."""


@dataclass(slots=True)
class Bilan:
    """Ce qu'un rapport a donné."""

    fichier: str
    empreinte: str
    genre: Genre
    genere_le: datetime
    deja_lu: bool
    lignes: int
    nouvelles: int
    transactions: int
    accordees: int
    ecarts: list[Ecart]
    """Ceux de ce rapport, anciens compris."""
    ouverts: int
    """Écarts qui s'ouvrent avec lui."""
    leves: int
    """Écarts qu'il explique."""
    sommes: Sommes
    a_demander: list[Ecart] = field(default_factory=list)
    transmises: int = 0
    inconnues: int = 0
    sans_reponse: int = 0


def rapprocher(
    guichet: Guichet,
    fichier: BufferedIOBase,
    nom: str,
    reglages: Reglages,
    avancer: Callable[[int, int], None] = lambda _octets, _lignes: None,
) -> Bilan:
    """Lit, inscrit et juge un rapport, d'un bloc. `avancer` reçoit les octets et les lignes lus.

    Lève RapportRefuse : rien n'est alors inscrit.
    """
    empreinte = hashlib.file_digest(fichier, "sha256").digest()
    fichier.seek(0)
    rapport = Rapport(fichier, reglages.noms)
    entete = rapport.entete
    with guichet.base.transaction() as conn:
        registre.commencer(conn)
        resume = registre.deposer(conn, rapport, lambda lues: avancer(rapport.octets_lus, lues))
        connu = registre.rapport_connu(conn, empreinte)
        nouvelles = 0
        if connu is None:
            prevu = _couverture(conn, entete, resume, reglages)
            inscrit, nouvelles = registre.inscrire_rapport(conn, prevu, empreinte, nom, resume.lignes)
        else:
            inscrit = connu
        jugement = Jugement(guichet, conn, inscrit)
        jugement.juger_fichier()
        if inscrit.genre is Genre.TRANSACTIONS:
            jugement.chercher_ce_qui_manque_la_bas()
        propres = list(jugement.ecarts.values())
        ouverts, leves = jugement.tenir_les_ecarts()
    return Bilan(
        fichier=nom,
        empreinte=empreinte.hex(),
        genre=inscrit.genre,
        genere_le=inscrit.genere_le,
        deja_lu=connu is not None,
        lignes=resume.lignes,
        nouvelles=nouvelles,
        transactions=jugement.transactions,
        accordees=jugement.accordees,
        ecarts=propres,
        ouverts=ouverts,
        leves=leves,
        sommes=jugement.sommes,
        a_demander=[ecart for ecart in jugement.ecarts.values() if ecart.a_demander],
    )


def demander_a_la_banque(bilan: Bilan, reglages: Reglages, interroger: Interroger, transmettre: Transmettre) -> None:
    """Demande à la banque ce qu'elle seule connaît : ses réponses prennent le chemin ordinaire. Compte dans `bilan`.

    Lève ce que `transmettre` lève.
    """
    de_suite = 0
    for ecart in bilan.a_demander[:DEMANDES_MAX]:
        if not TRANSACTION.fullmatch(ecart.transaction) or de_suite >= INJOIGNABLES_MAX:
            bilan.sans_reponse += 1
            continue
        try:
            formulaire = _interroger(ecart, reglages, interroger)
        except KiosqueInjoignable:
            bilan.sans_reponse += 1
            de_suite += 1
            continue
        de_suite = 0
        if formulaire is None:
            bilan.inconnues += 1
        else:
            transmettre(ecart.transaction, formulaire)
            bilan.transmises += 1
    bilan.sans_reponse += max(0, len(bilan.a_demander) - DEMANDES_MAX)


def rapports_attendus(conn: Connection[Any], marchands: Sequence[str], maintenant: datetime) -> list[str]:
    """Les marchands dont le rapport de transactions de la veille aurait dû arriver avant midi, heure de Paris.

    Avant midi, c'est celui de l'avant-veille qui est dû.
    """
    ici = maintenant.astimezone(PARIS)
    jusqua = ici.replace(hour=0, minute=0, second=0, microsecond=0)
    if ici.hour < MIDI:
        jusqua = (jusqua - timedelta(hours=12)).replace(hour=0)
    attendus = []
    for marchand in dict.fromkeys(marchands):
        dernier = registre.dernier_rapport(conn, Genre.TRANSACTIONS, marchand)
        if dernier is None or dernier.couvre_jusqua < jusqua:
            attendus.append(marchand)
    return attendus


def _interroger(ecart: Ecart, reglages: Reglages, interroger: Interroger) -> Mapping[str, str] | None:
    """Interroge le marchand de la ligne ; si elle n'en nomme pas, chacun des nôtres."""
    for marchand in [ecart.marchand] if ecart.marchand else reglages.marchands:
        try:
            if (formulaire := interroger(ecart.transaction, marchand)) is not None:
                return formulaire
        except DemandeInvalide:
            continue  # Un marchand qui n'est plus le nôtre : l'écart reste, pour le support.
    return None


def _couverture(
    conn: Connection[Any], entete: Entete, resume: registre.Resume, reglages: Reglages
) -> registre.RapportInscrit:
    """Ce que le rapport couvre : depuis le précédent, ou depuis sa première ligne, jusqu'au jour où il est fait.

    La première ligne l'emporte si elle est plus tard : un rapport perdu ne doit pas faire accuser celui d'après.
    """
    marchands = resume.marchands or ((entete.marchand,) if entete.marchand else tuple(reglages.marchands))
    jusqua = _minuit(entete.genere_le)
    premier = resume.premier or jusqua - timedelta(hours=12)
    precedent = registre.rapport_precedent(conn, entete.genre, entete.genere_le, marchands)
    depuis = min(jusqua, max(_minuit(premier), precedent.couvre_jusqua if precedent else _minuit(premier)))
    bout = registre.bout_du_journal(conn)
    return registre.RapportInscrit(0, entete.genre, entete.genere_le, tuple(marchands), depuis, jusqua, bout)


def _minuit(instant: datetime) -> datetime:
    """Le début de son jour de Paris."""
    return instant.astimezone(PARIS).replace(hour=0, minute=0, second=0, microsecond=0)


__all__ = ["Bilan", "GenreEcart", "Reglages", "demander_a_la_banque", "rapports_attendus", "rapprocher"]
