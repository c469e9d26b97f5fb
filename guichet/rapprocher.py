"""Rapprocher un rapport de la banque : chaque transaction y rencontre la nôtre, et chaque écart est une anomalie.

Une seule transaction lit le fichier, l'inscrit et juge : un fichier coupé ne laisse rien. La banque est interrogée
ensuite, hors d'elle, et sa réponse entre comme n'importe quelle notification.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from io import BufferedIOBase
from typing import Any, Final, assert_never

from psycopg import Connection

from domain.delai import PARIS, jour_de_paris
from domain.references import TRANSACTION
from guichet.guichet import Guichet
from guichet.rapprochement import registre
from guichet.rapprochement.ecarts import Ecart
from guichet.rapprochement.jugement import Jugement
from guichet.rapprochement.sommes import Sommes
from guichet.relancer_paiement import Transmettre
from kiosque.interface import Inconnue, Kiosque, Trouvee
from kiosque.operation import Indeterminee
from kiosque.rapports import Entete, Genre, LecteurDeRapports, RapportRefuse

INJOIGNABLES_MAX: Final = 3
"""Questions sans réponse de suite après quoi la banque est laissée : le rapport suivant les reposera."""

AVANCE_MAX: Final = timedelta(days=2)
"""Un rapport daté de plus tard que cela ne couvre pas ce qu'il dit : il ferait taire tous ceux qui manquent."""

PREMIERE_LIGNE: Final = 3
"""Après le titre et l'en-tête."""

MIDI: Final = 12
"""Heure de Paris à laquelle le rapport de la veille doit être là (la banque l'annonce entre 0 h 30 et 4 h)."""


class Interrogation(StrEnum):
    """Ce qu'une question à la banque a donné."""

    TRANSMISE = "transmise"
    """Sa réponse est sur le topic des notifications."""
    INCONNUE = "inconnue"
    SANS_REPONSE = "sans_reponse"


Demander = Callable[[str, str], Interrogation]
"""Interroge la banque sur une transaction d'un marchand, et transmet sa réponse : voir `demander_par`."""


@dataclass(frozen=True, slots=True)
class Reglages:
    """Ce que le rapprochement a besoin de savoir."""

    lecteur: LecteurDeRapports
    marchands: Sequence[str]
    """Tous les nôtres : ceux d'un rapport qui n'en nomme aucun."""
    retires: Sequence[str] = ()
    """Ceux qui l'ont été, dont un rapport peut encore parler."""
    horloge: Callable[[], datetime] = lambda: datetime.now(UTC)

    def est_a_nous(self, marchand: str | None) -> bool:
        """Dit si une ligne de ce marchand (None : elle n'en nomme pas) peut être la nôtre."""
        return marchand is None or marchand in self.marchands or marchand in self.retires


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
    restent: int
    """Écarts ouverts en tout, ceux des autres rapports compris."""
    fermes: list[Ecart]
    """Les premiers de ceux qu'il explique, chacun avec son explication."""
    corrigees: int
    """Lignes de rapports précédents qu'il corrige."""
    depassees: int
    """Ses lignes qu'un rapport plus tardif, déjà lu, a corrigées."""
    sommes: Sommes
    a_demander: list[Ecart] = field(default_factory=list)
    """Ceux à demander à la banque, d'anciens compris."""
    au_dela: int = 0
    """Ceux qui sont trop pour une fois : un rapport suivant les demandera."""
    transmises: int = 0
    inconnues: int = 0
    sans_reponse: int = 0
    illisibles: dict[str, str] = field(default_factory=dict)
    """Les transactions que rien n'a jugées, notre côté ne pouvant être lu, et pourquoi."""


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
    nom = nom.encode("utf-8", "replace").decode()  # Celui d'un fichier peut n'être pas du texte.
    empreinte = hashlib.file_digest(fichier, "sha256").digest()
    fichier.seek(0)
    rapport = reglages.lecteur.ouvrir(fichier)
    entete = rapport.entete
    if entete.genere_le > reglages.horloge() + AVANCE_MAX:
        raise RapportRefuse(f"le rapport est daté de l'avenir ({jour_de_paris(entete.genere_le):%d/%m/%Y})", ligne=1)
    with guichet.base.transaction() as conn:
        registre.commencer(conn)
        resume = registre.deposer(conn, rapport, lambda lues: avancer(rapport.octets_lus, lues))
        if resume.marchands and not any(map(reglages.est_a_nous, resume.marchands)):
            raise RapportRefuse("aucun des marchands qu'il nomme n'est le nôtre", ligne=PREMIERE_LIGNE)
        registre.prendre_le_verrou(conn)  # Pas avant : une lecture figée n'arrête personne.
        connu = registre.rapport_connu(conn, empreinte)
        nouvelles = 0
        if connu is None:
            prevu = _couverture(conn, entete, resume, reglages)
            inscrit, nouvelles = registre.inscrire_rapport(conn, prevu, empreinte, nom, resume.lignes)
        else:
            inscrit = connu
        jugement = Jugement(guichet, conn, inscrit, reglages.lecteur)
        jugement.juger_fichier()
        if inscrit.genre is Genre.TRANSACTIONS:
            jugement.chercher_ce_qui_manque_la_bas()
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
        ecarts=list(jugement.ecarts.values()),
        ouverts=ouverts,
        leves=leves,
        restent=jugement.restent,
        fermes=jugement.fermes,
        corrigees=jugement.corrigees,
        depassees=jugement.depassees,
        sommes=jugement.sommes,
        a_demander=jugement.a_demander,
        au_dela=jugement.questions - len(jugement.a_demander),
        illisibles=jugement.illisibles,
    )


def demander_par(kiosque: Kiosque, transmettre: Transmettre) -> Demander:
    """La question telle que ce kiosque la pose ; sa réponse prend le chemin de toute notification."""

    def demander(transaction: str, marchand: str) -> Interrogation:
        etat = kiosque.interroger(transaction, marchand)
        match etat:
            case Indeterminee():
                return Interrogation.SANS_REPONSE
            case Inconnue():
                return Interrogation.INCONNUE
            case Trouvee(valeur=valeur):
                transmettre(transaction, valeur)
                return Interrogation.TRANSMISE
            case _:
                assert_never(etat)

    return demander


def demander_a_la_banque(bilan: Bilan, reglages: Reglages, demander: Demander) -> None:
    """Interrogation à la banque ce qu'elle seule connaît, et le compte dans `bilan`. Lève ce que `demander` lève."""
    de_suite = 0
    bilan.sans_reponse += bilan.au_dela
    for ecart in bilan.a_demander:
        demandable = TRANSACTION.fullmatch(ecart.transaction) and reglages.est_a_nous(ecart.marchand)
        if de_suite >= INJOIGNABLES_MAX or not demandable:
            bilan.sans_reponse += 1
            continue
        demande = _demander(ecart, reglages, demander)
        de_suite = de_suite + 1 if demande is Interrogation.SANS_REPONSE else 0
        match demande:
            case Interrogation.TRANSMISE:
                bilan.transmises += 1
            case Interrogation.INCONNUE:
                bilan.inconnues += 1
            case Interrogation.SANS_REPONSE:
                bilan.sans_reponse += 1
            case jamais:
                assert_never(jamais)


def rapports_attendus(conn: Connection[Any], marchands: Sequence[str], maintenant: datetime) -> list[str]:
    """Les marchands dont le rapport de transactions de la veille aurait dû arriver avant midi, heure de Paris.

    Avant midi, c'est celui de l'avant-veille qui est dû : voir `jour_attendu`.
    """
    dernier_jour = jour_attendu(maintenant) + timedelta(days=1)
    jusqua = datetime(dernier_jour.year, dernier_jour.month, dernier_jour.day, tzinfo=PARIS)
    attendus = []
    for marchand in dict.fromkeys(marchands):
        dernier = registre.dernier_rapport(conn, Genre.TRANSACTIONS, marchand)
        if dernier is None or dernier.couvre_jusqua < jusqua:
            attendus.append(marchand)
    return attendus


def jour_attendu(maintenant: datetime) -> date:
    """Le jour de Paris dont le rapport doit être là : la veille, ou l'avant-veille avant midi."""
    ici = maintenant.astimezone(PARIS)
    return ici.date() - timedelta(days=1 if ici.hour >= MIDI else 2)


def _demander(ecart: Ecart, reglages: Reglages, demander: Demander) -> Interrogation:
    """Interrogation sous le marchand de la ligne ; si elle n'en nomme pas, sous chacun des nôtres, retirés compris."""
    demande = Interrogation.INCONNUE
    for marchand in [ecart.marchand] if ecart.marchand else [*reglages.marchands, *reglages.retires]:
        demande = demander(ecart.transaction, marchand)
        if demande is not Interrogation.INCONNUE:
            return demande
    return demande


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
