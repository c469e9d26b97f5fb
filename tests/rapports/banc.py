"""Des paiements de chez nous écrits au journal, des rapports de la banque, et leur rapprochement."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from domain.avis import Avis, Canal, Mode
from domain.creance import Créance
from domain.imputation import Imputation
from domain.monnaie import Centimes
from domain.paiement import Acceptation, Fin, Paiement
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine.batch import Batch
from engine.recorder import collect
from guichet.guichet import Guichet
from guichet.rapprocher import Bilan, Reglages, rapprocher
from kiosque.sips.rapports.colonnes import NOMS_PAR_DEFAUT
from kiosque.sips.rapports.lecture import RapportsSips
from service import composition
from service.settings import Settings

MARCHAND = "002001000000001"
AUTRE_MARCHAND = "002001000000002"
JOUR = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
"""Un lundi, midi à Paris."""
REFERENCE = "3811701200000001F"


@dataclass(frozen=True)
class Ligne:
    """Une transaction d'un rapport, telle que la banque l'écrit."""

    transaction: str
    montant: int = 20_00
    code: str = "00"
    marchand: str = MARCHAND
    le: str = "2026-06-01T12:00:00+02:00"
    autorisation: str = ""


def rapport(lignes: Iterable[Ligne], *, genere: str = "20260602", fin: str = "END\n") -> bytes:
    """Un rapport de transactions."""
    textes = ["TITLE;TRANSACTIONS;" + genere + ";TAB20_V1"]
    textes.append("HEADER;merchantId;transactionReference;transactionDateTime;amount;responseCode;authorisationId")
    textes += [
        f"TRANSACTION;{li.marchand};{li.transaction};{li.le};{li.montant};{li.code};{li.autorisation}" for li in lignes
    ]
    return ("\n".join(textes) + "\n" + fin).encode()


def operations(lignes: Sequence[tuple[str, str, int, str]], *, genere: str = "20260602") -> bytes:
    """Un rapport d'opérations : transaction, opération, montant, état."""
    textes = [
        f"TITLE;OPERATIONS;{genere};TAB20_V1",
        "HEADER;merchantId;transactionReference;operationName;operationDateTime;operationAmount;newStatus",
    ]
    textes += [
        f"OPERATION;{MARCHAND};{transaction};{operation};2026-06-01T22:10:00+02:00;{montant};{etat}"
        for transaction, operation, montant, etat in lignes
    ]
    return ("\n".join(textes) + "\nEND\n").encode()


def impayes(lignes: Sequence[tuple[str, int]], *, genere: str = "20260602") -> bytes:
    """Un rapport d'impayés : transaction, montant."""
    textes = [
        f"TITLE;CHARGEBACKS;{genere};TAB20_V1",
        "HEADER;merchantId;transactionReference;chargebackDate;chargebackAmount;reasonCode",
    ]
    textes += [f"CHARGEBACK;{MARCHAND};{transaction};20260601;{montant};00" for transaction, montant in lignes]
    return ("\n".join(textes) + "\nEND\n").encode()


@dataclass(frozen=True)
class Banc:
    """Ce qu'un test tient en main."""

    guichet: Guichet
    conn: psycopg.Connection[Any]

    def payer(
        self,
        transaction: str,
        montant: int = 20_00,
        *,
        fin: Fin | None = Fin.ACCEPTE,
        marchand: str = MARCHAND,
        a: datetime = JOUR,
        reference: str = REFERENCE,
    ) -> None:
        """Écrit un paiement au journal, fini ainsi (None : encore en cours)."""
        self.payer_tous([(transaction, montant, fin, marchand, a)], reference)

    def payer_tous(
        self, paiements: Iterable[tuple[str, int, Fin | None, str, datetime]], reference: str = REFERENCE
    ) -> None:
        """Écrit ces paiements d'un bloc."""
        faits = []
        for transaction, montant, fin, marchand, a in paiements:
            paiement = Paiement.ouvrir(
                ReferenceTransaction(transaction),
                assure=Pseudonyme("a-1"),
                caisse=CodeCaisse("381"),
                canal=Canal.WEB,
                marchand=marchand,
                montant=Centimes(montant),
                imputations=(Imputation(reference=ReferenceCreance(reference), part=Centimes(montant)),),
                expire_le=a + timedelta(minutes=15),
                maintenant=a,
            )
            if fin is not None:
                accepte = fin is Fin.ACCEPTE
                paiement.conclure(
                    fin, "la banque", code="00" if accepte else "05", accepte_le=a if accepte else None, maintenant=a
                )
            faits += collect([paiement], "test")
        with self.guichet.base.transaction() as conn:
            self.guichet.recorder.record(conn, Batch(entries=faits))

    def encaisser_inconnu(self, transaction: str, montant: int) -> None:
        """Ce que le chemin ordinaire enregistre d'une acceptation que nous n'avons jamais ouverte."""
        paiement = Paiement.encaisser_inconnu(
            ReferenceTransaction(transaction),
            Acceptation(MARCHAND, Centimes(montant), None, JOUR, depart_presume=False),
            maintenant=JOUR,
        )
        with self.guichet.base.transaction() as conn:
            self.guichet.recorder.record(conn, Batch(entries=collect([paiement], "test")))

    def contrepasser(self, transaction: str, montant: int) -> None:
        """Contre-passe la part de ce paiement sur sa créance, ouverte pour l'occasion."""
        avis = Avis(
            ReferenceCreance(REFERENCE),
            Pseudonyme("a-1"),
            CodeCaisse("381"),
            "PF/FR",
            Centimes(87_09),
            Centimes(87_09),
            JOUR.date(),
            Mode.PAPIER,
        )
        creance = Créance.ouvrir(avis, Politique(), maintenant=JOUR)
        creance.accepter_paiement(ReferenceTransaction(transaction), Centimes(montant), JOUR, maintenant=JOUR)
        creance.contrepasser(
            ReferenceTransaction(transaction), "impayé", saisi_par="agent-1", approuve_par="agent-2", maintenant=JOUR
        )
        with self.guichet.base.transaction() as conn:
            self.guichet.recorder.record(conn, Batch(entries=collect([creance], "test")))

    def rapprocher(self, contenu: bytes, *, nom: str = "rapport.csv") -> Bilan:
        """Rapproche ce contenu."""
        return rapprocher(self.guichet, io.BytesIO(contenu), nom, REGLAGES)

    def ouverts(self) -> list[tuple[str, str]]:
        """Le genre et la transaction des écarts ouverts."""
        return self.conn.execute("SELECT genre, transaction FROM vues.ecarts_ouverts ORDER BY 1, 2").fetchall()


REGLAGES = Reglages(RapportsSips(NOMS_PAR_DEFAUT), (MARCHAND, AUTRE_MARCHAND))


@contextmanager
def banc(url: str) -> Iterator[Banc]:
    """Un banc sur cette base, sans Kafka ni kiosque."""
    guichet = composition.guichet(Settings(_env_file=None, database_url=url), application="banc")
    with psycopg.connect(url, autocommit=True) as conn:
        try:
            yield Banc(guichet, conn)
        finally:
            guichet.kiosque.close()
            guichet.base.fermer()
