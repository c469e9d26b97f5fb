"""Une ligne redite avec une case en plus ou en moins : les quatre rapports n'en comptent jamais l'argent deux fois."""

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any

import pytest

from projections.audit import auditer
from tests.rapports.banc import MARCHAND, Banc, banc

FIXES: Mapping[str, Mapping[str, str]] = {
    "TRANSACTIONS": {"transactionReference": "T1", "transactionDateTime": "2026-06-01T12:00:00+02:00", "amount": "2000",
                     "responseCode": "00"},
    "OPERATIONS": {"transactionReference": "T1", "operationDateTime": "2026-06-01T22:10:00+02:00",
                   "operationAmount": "2000", "operationName": "CREDIT_CAPTURE"},
    "RECONCILIATIONS": {"transactionReference": "T1", "remittanceDate": "20260601", "operationAmount": "2000"},
    "CHARGEBACKS": {"transactionReference": "T1", "chargebackDate": "20260601", "chargebackAmount": "2000"},
}  # fmt: skip
FACULTATIVES: Mapping[str, Mapping[str, str]] = {
    "TRANSACTIONS": {"merchantId": MARCHAND, "authorisationId": "0761208", "transactionStatus": "CAPTURED"},
    "OPERATIONS": {"merchantId": MARCHAND, "authorisationId": "761208", "operationSequence": "1", "responseCode": "00",
                   "newStatus": "CREDITED"},
    "RECONCILIATIONS": {"merchantId": MARCHAND, "authorisationId": "761208", "operationName": "DEBIT_CAPTURE",
                        "feeAmount": "8"},
    "CHARGEBACKS": {"merchantId": MARCHAND, "authorisationId": "761208", "reasonCode": "00"},
}  # fmt: skip


@pytest.fixture
def b(base: Any) -> Iterator[Banc]:
    with banc(base.url) as ouvert:
        yield ouvert


HEURES = {"OPERATIONS": "operationDateTime", "TRANSACTIONS": "transactionDateTime"}
"""La colonne dont l'heure peut manquer."""


def fichier(genre: str, absente: str | None, genere: str) -> bytes:
    """Un rapport d'une ligne, dont une case facultative est vide."""
    cases = dict(FIXES[genre]) | {nom: "" if nom == absente else val for nom, val in FACULTATIVES[genre].items()}
    if absente is not None and absente == HEURES.get(genre):
        cases[absente] = "20260601"
    marchand = MARCHAND if "merchantId" not in cases else ""
    lignes = [f"TITLE;{genre};{genere};{marchand}", "HEADER;" + ";".join(cases), "LIGNE;" + ";".join(cases.values())]
    return "\n".join([*lignes, "END", ""]).encode()


@pytest.mark.parametrize(
    ("genre", "absente"), [(g, case) for g, cases in FACULTATIVES.items() for case in cases] + list(HEURES.items())
)
@pytest.mark.parametrize("ordre", list(permutations([True, False])))
def test_une_case_facultative_absente_une_fois_n_est_pas_une_autre_ligne(
    b: Banc, genre: str, absente: str, ordre: tuple[bool, bool]
) -> None:
    b.payer("T1")
    bilans = [
        b.rapprocher(fichier(genre, absente if sans else None, f"2026060{jour}"))
        for jour, sans in enumerate(ordre, start=2)
    ]
    for bilan in bilans:
        pris, rendu = (sum(getattr(s, nom) for s in bilan.sommes.values()) for nom in ("banque_pris", "banque_rendu"))
        assert pris + rendu == 20_00
        assert sum(somme.frais for somme in bilan.sommes.values()) in {0, 8}
    montants = b.conn.execute(
        "SELECT DISTINCT montant_banque FROM journal.ecarts_de_rapport WHERE transaction = 'T1'"
    ).fetchall()
    assert montants in ([], [(20_00,)]), "l'écart, s'il y en a un, est d'une fois l'argent"
    rapport = auditer(b.conn)
    assert [ecart for ecart in rapport.ecarts if "remboursements" in ecart] == []
