"""Les rapports d'un jour tels que la banque simulée les écrit, avec les écarts que l'on veut y planter."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from domain.delai import PARIS
from kiosque.rapports import Genre
from kiosque.simulateur.banque import Banque
from kiosque.simulateur.etat import Registre
from kiosque.sips.codes import ACCEPTE

FRAIS_POUR_MILLE: Final = 8
_REFUSE: Final = "05"


class Faute(StrEnum):
    """Un écart que l'on plante : ce que la banque dira, et que nous n'avons pas enregistré ainsi."""

    MANQUE_ICI = "manque_ici"
    """Une transaction de plus, que personne n'a ouverte chez nous."""
    MANQUE_LA_BAS = "manque_la_bas"
    AUTRE_MONTANT = "autre_montant"
    """Un euro de plus."""
    AUTRE_ETAT = "autre_etat"
    """Refusée à la banque si elle était acceptée, et l'inverse."""
    IMPAYE = "impaye"
    REMBOURSEMENT = "remboursement"


@dataclass(frozen=True, slots=True)
class TransactionDuJour:
    """Une transaction de la banque ; le montant est en centimes."""

    transaction: str
    marchand: str
    montant: int
    code: str
    autorisation: str | None
    le: datetime
    impayee: bool = False
    """Vrai : le rapport des impayés la porte."""


def transactions_du_jour(registre: Registre, marchand: str, jour: date) -> Iterator[TransactionDuJour]:
    """Celles que le simulateur a conclues ce jour de Paris, dans l'ordre."""
    for session in reversed(registre.recentes(len(registre))):
        fin = session.conclusion
        if fin is not None and fin.le.astimezone(PARIS).date() == jour:
            demande = session.demande
            yield TransactionDuJour(demande.transaction, marchand, demande.montant, fin.code, fin.autorisation, fin.le)


def rapports_du_jour(
    jour: date,
    transactions: Iterable[TransactionDuJour],
    fautes: Mapping[Faute, str] | None = None,
    *,
    separateur: str = ";",
) -> dict[Genre, tuple[str, str]]:
    """Le nom et le texte des quatre rapports de ce jour, datés du lendemain.

    `fautes` : pour chacune, la transaction qui la porte (pour `manque_ici`, le nom de celle à inventer).
    """
    plantees = dict(fautes or {})
    de_la_banque = list(_avec_fautes(list(transactions), plantees, jour))
    genere = jour + timedelta(days=1)
    rapports = {}
    for genre, (titre, mot, colonnes, lignes) in _contenus(de_la_banque, plantees, jour).items():
        texte = io.StringIO()
        sortie = csv.writer(texte, delimiter=separateur, lineterminator="\n")
        sortie.writerow(("TITLE", titre, f"{genere:%Y%m%d}", "TAB20_V1"))
        sortie.writerow(("HEADER", *colonnes))
        sortie.writerows((mot, *ligne) for ligne in lignes)
        sortie.writerow(("END",))
        rapports[genre] = (f"{titre}_{genere:%Y%m%d}.csv", texte.getvalue())
    return rapports


async def servir_rapport(banque: Banque, requete: Request) -> Response:
    """`GET /simulateur/rapports/{genre}?jour=AAAA-MM-JJ&manque_ici=NOM…` : un rapport, et les fautes à y planter."""
    try:
        genre = Genre(requete.path_params["genre"])
        jour = date.fromisoformat(requete.query_params["jour"])
        fautes = {Faute(nom): porte for nom, porte in requete.query_params.items() if nom != "jour"}
    except (KeyError, ValueError):
        return JSONResponse({"detail": "genre, jour ou faute illisible"}, status_code=HTTPStatus.BAD_REQUEST)
    transactions = transactions_du_jour(banque.registre, banque.reglages.contrat.id, jour)
    consignees = [replace(t, impayee=banque.consignes.de(t.transaction).impayee) for t in transactions]
    nom, texte = rapports_du_jour(jour, consignees, fautes)[genre]
    return PlainTextResponse(texte, headers={"Content-Disposition": f'attachment; filename="{nom}"'})


def _avec_fautes(
    transactions: Sequence[TransactionDuJour], plantees: Mapping[Faute, str], jour: date
) -> Iterator[TransactionDuJour]:
    for transaction in transactions:
        nom = transaction.transaction
        if nom == plantees.get(Faute.MANQUE_LA_BAS):
            continue
        if nom == plantees.get(Faute.AUTRE_MONTANT):
            yield replace(transaction, montant=transaction.montant + 100)
        elif nom == plantees.get(Faute.AUTRE_ETAT):
            yield replace(transaction, code=_REFUSE if transaction.code == ACCEPTE else ACCEPTE)
        else:
            yield transaction
    if (invente := plantees.get(Faute.MANQUE_ICI)) is not None and transactions:
        midi = datetime(jour.year, jour.month, jour.day, 12, tzinfo=PARIS)
        yield TransactionDuJour(invente, transactions[0].marchand, 20_00, ACCEPTE, "424242", midi)


_Contenu = tuple[str, str, Sequence[str], list[Sequence[object]]]


def _contenus(
    transactions: Sequence[TransactionDuJour], plantees: Mapping[Faute, str], jour: date
) -> dict[Genre, _Contenu]:
    """De chaque rapport : son titre, le mot de ses lignes, ses colonnes, ses lignes."""
    acceptees = [t for t in transactions if t.code == ACCEPTE]
    rendues = [t for t in acceptees if t.transaction == plantees.get(Faute.REMBOURSEMENT)]
    impayees = [t for t in acceptees if t.impayee or t.transaction == plantees.get(Faute.IMPAYE)]
    soir = datetime(jour.year, jour.month, jour.day, 22, 10, tzinfo=PARIS).isoformat()
    commun = ("merchantId", "transactionReference")
    remises = [(t.marchand, t.transaction, "DEBIT_CAPTURE", soir, t.montant, 978, "CAPTURED") for t in acceptees]
    demandes = [(t.marchand, t.transaction, "CREDIT", soir, t.montant, 978, "TO_CREDIT") for t in rendues]
    rendus = [(t.marchand, t.transaction, "CREDIT_CAPTURE", soir, t.montant, 978, "CREDITED") for t in rendues]
    return {
        Genre.TRANSACTIONS: (
            "TRANSACTIONS",
            "TRANSACTION",
            (*commun, "transactionDateTime", "amount", "currencyCode", "responseCode", "authorisationId"),
            [
                (t.marchand, t.transaction, t.le.astimezone(PARIS).isoformat(timespec="seconds"), t.montant, 978,
                 t.code, t.autorisation or "")
                for t in transactions
            ],
        ),
        Genre.OPERATIONS: (
            "OPERATIONS",
            "OPERATION",
            (*commun, "operationName", "operationDateTime", "operationAmount", "currencyCode", "newStatus"),
            [*remises, *demandes, *rendus],
        ),
        Genre.RAPPROCHEMENTS: (
            "RECONCILIATIONS",
            "RECONCILIATION",
            (*commun, "operationName", "operationAmount", "remittanceDate", "feeAmount"),
            [
                (t.marchand, t.transaction, "DEBIT_CAPTURE", t.montant, f"{jour:%Y%m%d}",
                 t.montant * FRAIS_POUR_MILLE // 1000)
                for t in acceptees
            ],
        ),
        Genre.IMPAYES: (
            "CHARGEBACKS",
            "CHARGEBACK",
            (*commun, "chargebackDate", "chargebackAmount", "reasonCode"),
            [(t.marchand, t.transaction, f"{jour:%Y%m%d}", t.montant, "00") for t in impayees],
        ),
    }  # fmt: skip
