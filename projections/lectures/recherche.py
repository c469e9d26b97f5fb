"""Trouver ce que le support cherche : chaque critère par son index, et pourquoi chaque résultat répond.

Plus de 300 lignes : chaque critère avec sa requête, côte à côte.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final, assert_never
from zoneinfo import ZoneInfo

from psycopg import Connection

from domain.creance import Créance
from domain.delai import PARIS
from domain.monnaie import euros
from domain.paiement import Fin, Paiement
from domain.sort import Sort
from domain.statut import StatutDePaiement
from projections.lectures.phrases import phrase_du_sort
from projections.lectures.saisie import (
    Critere,
    ParAnomalie,
    ParAssure,
    ParAutorisation,
    ParCarte,
    ParCorrelation,
    ParMessage,
    ParMontant,
    ParOrigine,
    ParReference,
    ParTransaction,
)

RESULTATS_MAX: Final = 20
"""Résultats d'un critère, les plus récents d'abord."""

PREMIER_JOUR: Final = date(2000, 1, 1)
DERNIER_JOUR: Final = date(2999, 12, 31)
"""Ce que vaut un jour qui n'est pas dit."""

_EN_CLAIR: Final = {
    StatutDePaiement.EN_COURS.value: "en attente de la banque",
    **{fin.value: fin.dite for fin in Fin},
}

# Ce que les vues disent de ces créances et de ces paiements : de quoi les reconnaître d'un coup d'œil.
_CREANCES: Final = """
SELECT reference, assure, montant_initial, solde, date_emission FROM vues.restant_du WHERE reference = ANY (%s)
"""
_PAIEMENTS: Final = """
SELECT transaction, assure, montant, statut, ouvert_le FROM vues.paiements WHERE transaction = ANY (%s)
"""

# Les flux qui existent au journal, même si les vues ne les montrent pas.
_AU_JOURNAL: Final = "SELECT flux FROM journal.evenements WHERE flux = ANY (%s) AND version = 1"

# Ce dont des messages parlent, même si rien n'en a été enregistré.
_DONT_ON_PARLE: Final = "SELECT EXISTS (SELECT FROM journal.sorts WHERE objet = %s)"

_DE_L_ASSURE: Final = """
(SELECT 'creance', reference FROM vues.restant_du WHERE assure = %(assure)s
 ORDER BY date_emission DESC LIMIT %(limite)s)
UNION ALL
(SELECT 'paiement', transaction FROM vues.paiements WHERE assure = %(assure)s
 ORDER BY ouvert_le DESC LIMIT %(limite)s)
"""

# Un paiement de ce montant, commencé ou accepté ce jour-là.
_PAR_MONTANT: Final = """
SELECT transaction FROM vues.paiements
WHERE montant = %(montant)s AND ouvert_le BETWEEN %(debut)s::timestamptz - interval '2 days' AND %(fin)s
  AND (ouvert_le >= %(debut)s OR accepte_le BETWEEN %(debut)s AND %(fin)s)
ORDER BY ouvert_le DESC LIMIT %(limite)s
"""

# Un avis de ce montant, daté de ce jour.
_AVIS_DE: Final = """
SELECT reference FROM vues.restant_du
WHERE montant_initial = %(montant)s AND date_emission BETWEEN %(debut)s AND %(fin)s
ORDER BY date_emission DESC LIMIT %(limite)s
"""

_COLONNES: Final = "objet, sort, champs"
_RECENTS: Final = "ORDER BY enregistre_le DESC LIMIT %(limite)s"

# Les montants que la vue des paiements ne dit pas.
_MESSAGES_DE: Final = f"""
SELECT {_COLONNES} FROM journal.sorts
WHERE champs->'montant_centimes' = to_jsonb(%(montant)s::int8)
  AND (champs->>'message_id' IS NOT NULL OR sort NOT IN ('appliquee', 'doublon', 'en_attente'))
  AND enregistre_le BETWEEN %(debut)s AND %(fin)s
{_RECENTS}
"""  # noqa: S608 (constantes)

_PAR_AUTORISATION: Final = f"""
SELECT {_COLONNES} FROM journal.sorts
WHERE ltrim(champs->>'autorisation', '0') = ltrim(%(numero)s::text, '0') AND champs->>'autorisation' IS NOT NULL
{_RECENTS}
"""  # noqa: S608 (constantes)

_RAPPORTS_DE: Final = """
SELECT DISTINCT transaction FROM (
    SELECT transaction FROM journal.lignes_de_rapport
    WHERE ltrim(autorisation, '0') = ltrim(%(numero)s::text, '0') AND autorisation IS NOT NULL
    ORDER BY survenu_le DESC LIMIT %(limite)s) AS lignes
"""

# Ce qui se dit d'une carte, comme l'index le range : ses deux derniers chiffres, ses quatre premiers, puis l'heure. Une
# condition de plus, quand elle ne dit rien de plus, ferait croire à PostgreSQL que peu de lignes répondent.
_CARTE_FINIT: Final = "right(champs->>'carte_masquee', 2) = right(%(fin)s::text, 2)"
_CARTE_FINIT_EN_ENTIER: Final = "right(champs->>'carte_masquee', length(%(fin)s::text)) = %(fin)s"
_CARTE_COMMENCE: Final = """(left(champs->>'carte_masquee', 4) COLLATE "C") = left(%(debut)s::text, 4)"""
_CARTE_COMMENCE_EN_ENTIER: Final = "left(champs->>'carte_masquee', length(%(debut)s::text)) = %(debut)s"
_RANGES_DE_FIN: Final = 2
_RANGES_DE_DEBUT: Final = 4


def _par_carte(debut: str, fin: str) -> str:
    """La lecture de ceux qui ont payé avec cette carte : en ordre dans l'index, si nombreux qu'ils soient."""
    conditions = ["champs->>'carte_masquee' IS NOT NULL", _CARTE_FINIT]
    if len(fin) > _RANGES_DE_FIN:
        conditions.append(_CARTE_FINIT_EN_ENTIER)
    if len(debut) >= _RANGES_DE_DEBUT:
        conditions.append(_CARTE_COMMENCE)
    if debut and len(debut) != _RANGES_DE_DEBUT:  # Un début plus court : parmi celles qui finissent ainsi, en ordre.
        conditions.append(_CARTE_COMMENCE_EN_ENTIER)
    return f"SELECT {_COLONNES} FROM journal.sorts WHERE {' AND '.join(conditions)} {_RECENTS}"  # noqa: S608 (constantes)


_PAR_MESSAGE: Final = f"""
SELECT {_COLONNES} FROM journal.sorts WHERE champs->>'message_id' = %(message_id)s {_RECENTS}
"""  # noqa: S608 (constantes)

_PAR_ORIGINE: Final = f"""
SELECT {_COLONNES} FROM journal.sorts
WHERE topic_id IN (SELECT topic_id FROM journal.topics WHERE topic = %(topic)s
                   UNION SELECT topic_id FROM vues.sorts WHERE topic = %(topic)s)
  AND partition = %(partition)s AND decalage = %(decalage)s {_RECENTS}
"""  # noqa: S608 (constantes)

_PAR_CORRELATION: Final = f"""
SELECT {_COLONNES} FROM journal.sorts WHERE champs->>'correlation' = %(numero)s {_RECENTS}
"""  # noqa: S608 (constantes)

_APPEL: Final = "SELECT reponse->>'transaction' FROM journal.cles_idempotence WHERE correlation = %s"


@dataclass(slots=True)
class Trouve:
    """Ce qui répond à la recherche, ce que c'est, et pourquoi."""

    genre: str
    """creance, paiement, assure ou anomalie."""
    nom: str
    titre: str = ""
    pourquoi: list[str] = field(default_factory=list)
    assure: str | None = None
    montant: int | None = None
    statut: str | None = None

    def en_json(self) -> dict[str, Any]:
        """Prêt pour JSON ; le montant est en centimes."""
        suite = "" if self.genre == "anomalie" else "/historique"
        return {
            "genre": self.genre,
            "nom": self.nom,
            "titre": self.titre,
            "pourquoi": self.pourquoi,
            "assure": self.assure,
            "montant_centimes": self.montant,
            "statut": self.statut,
            "adresse": f"/api/v1/support/{self.genre}s/{self.nom}{suite}",
        }


@dataclass(slots=True)
class Resultats:
    """Ce qui a été compris, et ce qui y répond."""

    compris: list[str]
    trouves: list[Trouve]
    tronques: bool = False
    """Vrai : il y en a d'autres ; un jour, ou un nom, les départagerait."""

    def en_json(self) -> dict[str, Any]:
        """Prêt pour JSON."""
        dits = [trouve.en_json() for trouve in self.trouves]
        return {"compris": self.compris, "resultats": dits, "tronques": self.tronques}

    @property
    def assures(self) -> set[str]:
        """Les personnes dont quelque chose est montré."""
        return {trouve.assure for trouve in self.trouves if trouve.assure}


class _Recueil:
    """Ce qui répond, sans redite : plusieurs raisons pour un même objet s'ajoutent."""

    def __init__(self, conn: Connection[Any]) -> None:
        self.conn = conn
        self.trouves: dict[tuple[str, str], Trouve] = {}
        self.tronques = False

    def ajouter(self, genre: str, nom: str, pourquoi: str) -> None:
        trouve = self.trouves.setdefault((genre, nom), Trouve(genre, nom))
        if pourquoi not in trouve.pourquoi:
            trouve.pourquoi.append(pourquoi)

    def demander(self, requete: Any, **valeurs: Any) -> list[tuple[Any, ...]]:
        lignes = self.conn.execute(requete, valeurs | {"limite": RESULTATS_MAX + 1}).fetchall()
        self.tronques |= len(lignes) > RESULTATS_MAX
        return lignes[:RESULTATS_MAX]

    def messages(self, lignes: Iterable[tuple[Any, ...]], pourquoi: str) -> None:
        """Ce dont ces messages parlent : un paiement, ou une créance si c'est la caisse qui parle."""
        for objet, sort, champs in lignes:
            if objet is None:
                continue
            genre = "creance" if "type" in champs else "paiement"
            self.ajouter(genre, objet, f"{pourquoi}. {phrase_du_sort(Sort(sort))}")


def trouver(conn: Connection[Any], criteres: list[Critere]) -> Resultats:
    """Ce qui répond à l'un de ces critères, le plus sûr d'abord."""
    recueil = _Recueil(conn)
    for critere in criteres:
        _chercher(recueil, critere)
    trouves = list(recueil.trouves.values())
    _reconnaitre(conn, trouves)
    return Resultats([str(critere) for critere in criteres], trouves, recueil.tronques)


def _chercher(recueil: _Recueil, critere: Critere) -> None:  # noqa: C901, PLR0912 (un cas par critère)
    match critere:
        case ParReference():
            _par_nom(recueil, "creance", critere.reference, Créance.flux(critere.reference), "c'est sa référence")
        case ParTransaction():
            flux = Paiement.flux(critere.transaction)
            _par_nom(recueil, "paiement", critere.transaction, flux, "c'est sa transaction")
        case ParAssure():
            siens = recueil.demander(_DE_L_ASSURE, assure=critere.assure)
            if siens:
                recueil.ajouter("assure", critere.assure, "c'est son pseudonyme")
            for genre, nom in siens:
                recueil.ajouter(genre, nom, f"à l'assuré {critere.assure}")
        case ParMontant():
            _par_montant(recueil, critere)
        case ParAutorisation():
            lignes = recueil.demander(_PAR_AUTORISATION, numero=critere.numero)
            recueil.messages(lignes, f"la banque l'a autorisé sous le numéro {critere.numero}")
            for (transaction,) in recueil.demander(_RAPPORTS_DE, numero=critere.numero):
                recueil.ajouter("paiement", transaction, "un rapport de la banque porte cette autorisation")
        case ParCarte():
            lignes = recueil.demander(_par_carte(critere.debut, critere.fin), debut=critere.debut, fin=critere.fin)
            recueil.messages(lignes, f"payé avec la carte {critere.debut}…{critere.fin}")
        case ParMessage():
            recueil.messages(recueil.demander(_PAR_MESSAGE, message_id=critere.message_id), "la caisse l'a dit ainsi")
        case ParOrigine():
            recueil.messages(recueil.demander(_PAR_ORIGINE, **critere._asdict()), "ce message en parle")
        case ParCorrelation():
            recueil.messages(recueil.demander(_PAR_CORRELATION, numero=critere.numero), "cet appel l'a apporté")
            for (transaction,) in recueil.conn.execute(_APPEL, (critere.numero,)):
                recueil.ajouter("paiement", str(transaction), "cet appel l'a ouvert")
        case ParAnomalie():
            recueil.ajouter("anomalie", critere.ident, "c'est son nom")
        case _:
            assert_never(critere)


def _par_nom(recueil: _Recueil, genre: str, nom: str, flux: str, pourquoi: str) -> None:
    if recueil.conn.execute(_AU_JOURNAL, ([flux],)).fetchone():
        recueil.ajouter(genre, nom, pourquoi)
        return
    (parle,) = recueil.conn.execute(_DONT_ON_PARLE, (nom,)).fetchone() or (False,)
    if parle:
        recueil.ajouter(genre, nom, f"{pourquoi}, dont des messages parlent")


def _par_montant(recueil: _Recueil, critere: ParMontant) -> None:
    premier, dernier = (critere.jour, critere.jour) if critere.jour else (PREMIER_JOUR, DERNIER_JOUR)
    debut, fin = _bornes(premier)[0], _bornes(dernier)[1]
    valeurs = {"montant": critere.montant, "debut": debut, "fin": fin}
    for (transaction,) in recueil.demander(_PAR_MONTANT, **valeurs):
        recueil.ajouter("paiement", transaction, f"un paiement de {critere}")
    recueil.messages(recueil.demander(_MESSAGES_DE, **valeurs), f"{critere}, d'après un message")
    for (reference,) in recueil.demander(_AVIS_DE, montant=critere.montant, debut=premier, fin=dernier):
        recueil.ajouter("creance", reference, f"un avis de {critere}")


def _bornes(jour: date, fuseau: ZoneInfo = PARIS) -> tuple[datetime, datetime]:
    lendemain = jour + timedelta(days=1)
    debut = datetime(jour.year, jour.month, jour.day, tzinfo=fuseau)
    fin = datetime(lendemain.year, lendemain.month, lendemain.day, tzinfo=fuseau)
    return debut, fin - timedelta(microseconds=1)


def _reconnaitre(conn: Connection[Any], trouves: list[Trouve]) -> None:
    """Complète chaque résultat de ce que les vues en disent."""
    noms = {genre: [trouve.nom for trouve in trouves if trouve.genre == genre] for genre in ("creance", "paiement")}
    connues = {ligne[0]: ligne for ligne in conn.execute(_CREANCES, (noms["creance"],))}
    payes = {ligne[0]: ligne for ligne in conn.execute(_PAIEMENTS, (noms["paiement"],))}
    for trouve in trouves:
        if trouve.genre == "assure":
            trouve.assure, trouve.titre = trouve.nom, f"Assuré {trouve.nom}"
        elif trouve.genre == "anomalie":
            trouve.titre = f"Anomalie {trouve.nom}"
        elif trouve.genre == "creance" and trouve.nom in connues:
            _, trouve.assure, trouve.montant, solde, emis = connues[trouve.nom]
            reste = f"reste {euros(solde)}" if solde > 0 else f"trop-perçu {euros(-solde)}" if solde else "soldée"
            trouve.statut = "due" if solde > 0 else "trop_percu" if solde else "soldee"
            trouve.titre = f"Créance {trouve.nom}, avis de {euros(trouve.montant)} du {emis:%d/%m/%Y}, {reste}"
        elif trouve.nom in payes:
            _, trouve.assure, trouve.montant, trouve.statut, ouvert = payes[trouve.nom]
            statut = _EN_CLAIR.get(trouve.statut, trouve.statut)
            le = f"{ouvert.astimezone(PARIS):%d/%m/%Y à %H h %M}"
            trouve.titre = f"Paiement {trouve.nom}, {euros(trouve.montant)}, commencé le {le}, {statut}"
        else:
            quoi = "Créance" if trouve.genre == "creance" else "Paiement"
            trouve.titre = f"{quoi} {trouve.nom}, que nous n'avons pas (ou pas encore)"
