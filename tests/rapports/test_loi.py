"""La loi : des paiements et un rapport au hasard ; chacun rencontre l'autre, et les sommes sont celles d'un autre."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.paiement import Fin
from tests.conftest import Serveurs, nouvelle_base
from tests.outils import exemples
from tests.rapports.banc import AUTRE_MARCHAND, JOUR, MARCHAND, Ligne, banc, rapport

MARCHANDS = st.sampled_from([MARCHAND, AUTRE_MARCHAND])
MONTANTS = st.sampled_from([16_00, 20_00, 50_00])
NOUS = st.tuples(MONTANTS, st.sampled_from([None, *Fin]), MARCHANDS, st.integers(-1, 1))
BANQUE = st.tuples(MONTANTS, st.sampled_from(["00", "05", "60"]))


@settings(max_examples=exemples(12, 100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.integers(0, 11), NOUS), st.dictionaries(st.integers(0, 11), BANQUE), st.randoms())
def test_chaque_transaction_de_la_banque_rencontre_la_notre_et_l_inverse(
    serveurs: Serveurs, chez_nous: dict[int, Any], banque: dict[int, Any], hasard: Any
) -> None:
    lignes = [
        Ligne(f"T{numero}", montant, code, chez_nous[numero][2] if numero in chez_nous else MARCHAND)
        for numero, (montant, code) in banque.items()
    ]
    redites = [*lignes, *lignes[:2]]
    hasard.shuffle(redites)
    with nouvelle_base(serveurs) as base, banc(base.url) as b:
        b.payer_tous(
            (f"T{numero}", montant, fin, marchand, JOUR + timedelta(days=jour))
            for numero, (montant, fin, marchand, jour) in chez_nous.items()
        )
        bilan = b.rapprocher(rapport(redites))
        trouves = {(ecart.transaction, ecart.genre.value) for ecart in bilan.ecarts}
        assert trouves == _attendus(chez_nous, banque)
        assert set(b.ouverts()) == {(genre, transaction) for transaction, genre in trouves}
        accordees = {f"T{n}" for n in banque} - {transaction for transaction, _ in trouves}
        assert (bilan.transactions, bilan.accordees) == (len(banque), len(accordees))
        livre = _livre(chez_nous, banque)
        sommes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for (marchand, _), somme in bilan.sommes.items():
            sommes[marchand][0] += somme.banque_pris
            sommes[marchand][1] += somme.nous_pris
        assert {m: s for m, s in sommes.items() if any(s)} == livre
        _rien_ne_bouge_a_la_relecture(b.conn, b.rapprocher(rapport(redites)).ouverts)


def _pris_ici(nous: Any) -> int:
    return nous[0] if nous and nous[1] is Fin.ACCEPTE else 0


def _couverts(banque: dict[int, Any], chez_nous: dict[int, Any]) -> set[str]:
    nommes = {chez_nous[n][2] if n in chez_nous else MARCHAND for n in banque}
    return nommes or {MARCHAND, AUTRE_MARCHAND}


def _attendus(chez_nous: dict[int, Any], banque: dict[int, Any]) -> set[tuple[str, str]]:
    attendus = set()
    for numero, (montant, code) in banque.items():
        nous = chez_nous.get(numero)
        ici, la_bas = _pris_ici(nous), montant if code == "00" else 0
        if nous is None:
            attendus.add((f"T{numero}", "manque_ici"))
        elif la_bas and nous[3] > 0:
            attendus.add((f"T{numero}", "autre_etat"))  # Prise la veille de l'ouverture : c'est un autre paiement.
        elif la_bas and ici and la_bas != ici:
            attendus.add((f"T{numero}", "autre_montant"))
        elif bool(la_bas) != bool(ici) or (code == "05" and nous[1] is None):
            attendus.add((f"T{numero}", "autre_etat"))
    for numero, nous in chez_nous.items():
        if numero not in banque and _pris_ici(nous) and nous[3] == 0 and nous[2] in _couverts(banque, chez_nous):
            attendus.add((f"T{numero}", "manque_la_bas"))
    return attendus


def _livre(chez_nous: dict[int, Any], banque: dict[int, Any]) -> dict[str, list[int]]:
    """Par marchand : ce que la banque dit pris, et ce que nous en disons, d'une transaction à la fois."""
    livre: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for numero, (montant, code) in banque.items():
        marchand = chez_nous[numero][2] if numero in chez_nous else MARCHAND
        livre[marchand][0] += montant if code == "00" else 0
        livre[marchand][1] += _pris_ici(chez_nous.get(numero))
    for numero, nous in chez_nous.items():
        if numero not in banque and nous[3] == 0 and nous[2] in _couverts(banque, chez_nous):
            livre[nous[2]][1] += _pris_ici(nous)
    return {marchand: sommes for marchand, sommes in livre.items() if any(sommes)}


def _rien_ne_bouge_a_la_relecture(conn: psycopg.Connection[Any], ouverts: int) -> None:
    assert ouverts == 0
    assert conn.execute("SELECT count(*) FROM journal.ecarts_de_rapport WHERE clot IS NOT NULL").fetchone() == (0,)
