"""Le dernier mot de la banque : des rapports qui se redisent et se corrigent, lus dans n'importe quel ordre.

Un grand livre tenu à part, qui ne connaît que le dernier rapport qui parle de chaque chose, dit ce qui reste ouvert.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.paiement import Fin
from projections.audit import auditer
from tests.conftest import Serveurs, nouvelle_base
from tests.outils import exemples
from tests.rapports.banc import Banc, Ligne, banc, impayes, operations, rapport

NOUS: Final[Mapping[str, Fin | None]] = {"ACCEPTE": Fin.ACCEPTE, "ECHOUE": Fin.ECHOUE, "ENCOURS": None}
"""Nos paiements de 20,00 EUR ; INCONNUE n'en est pas un."""
TRANSACTIONS: Final = (*NOUS, "INCONNUE")


class Dit(NamedTuple):
    """Ce qu'un rapport dit d'une transaction."""

    montant: int
    code: str
    autorisation: str


class Jour(NamedTuple):
    """Un rapport : son genre, et ce qu'il dit."""

    genre: str
    dits: Mapping[str, Dit]


DITS = st.builds(
    Dit,
    st.sampled_from([20_00, 20_00, 21_00, 5_00]),
    st.sampled_from(["00", "00", "05"]),
    st.sampled_from(["761208", "0761208", ""]),
)
JOURS = st.builds(
    Jour, st.sampled_from(["jt", "jt", "jo", "jri"]), st.dictionaries(st.sampled_from(TRANSACTIONS), DITS, max_size=4)
)


def ecrire(rang: int, jour: Jour) -> bytes:
    """Ce rapport, daté de son rang."""
    genere = f"2026-06-02T{rang:02d}:00:00+02:00"
    match jour.genre:
        case "jt":
            return rapport(
                [Ligne(t, d.montant, d.code, autorisation=d.autorisation) for t, d in jour.dits.items()], genere=genere
            )
        case "jo":
            return operations(
                [(t, "CREDIT_CAPTURE", d.montant, "CREDITED") for t, d in jour.dits.items()], genere=genere
            )
        case _:
            return impayes([(t, d.montant) for t, d in jour.dits.items()], genere=genere)


def attendus(jours: list[Jour]) -> set[tuple[str, str, str, int]]:
    """Les écarts que laisse le dernier mot : genre de rapport, genre, transaction, montant de la banque."""
    derniers = {(jour.genre, t): dit for jour in jours for t, dit in jour.dits.items()}
    ecarts = set()
    for (genre, t), dit in derniers.items():
        if genre == "jo" and dit.montant:
            ecarts.add(("operations", "remboursement", t, dit.montant))
        elif genre == "jri" and dit.montant:
            ecarts.add(("impayes", "impaye", t, dit.montant))
        elif genre == "jt":
            pris = dit.montant if dit.code == "00" else 0
            if t == "INCONNUE":
                ecarts.add(("transactions", "manque_ici", t, pris))
            elif t == "ACCEPTE" and pris and pris != 20_00:
                ecarts.add(("transactions", "autre_montant", t, pris))
            elif t == "ENCOURS" or (t == "ACCEPTE" and not pris) or (t == "ECHOUE" and pris):
                ecarts.add(("transactions", "autre_etat", t, pris))
    return ecarts


@settings(max_examples=exemples(15, 150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(JOURS, min_size=1, max_size=6), st.lists(st.integers(0, 5), max_size=3), st.randoms())
def test_ce_qui_reste_ouvert_est_ce_que_laisse_le_dernier_mot_de_la_banque(
    serveurs: Serveurs, jours: list[Jour], relus: list[int], hasard: Any
) -> None:
    with nouvelle_base(serveurs) as base, banc(base.url) as b:
        for transaction, fin in NOUS.items():
            b.payer(transaction, fin=fin)
        lectures = [*range(len(jours)), *(rang for rang in relus if rang < len(jours))]
        hasard.shuffle(lectures)
        for rang in lectures:
            b.rapprocher(ecrire(rang, jours[rang]))
        assert _ouverts(b) == attendus(jours)
        assert [ecart for ecart in auditer(b.conn).ecarts if "rapport" in ecart or "remboursements" in ecart] == []


def _ouverts(b: Banc) -> set[tuple[str, str, str, int]]:
    requete = "SELECT genre_de_rapport, genre, transaction, montant_banque FROM vues.ecarts_ouverts"
    return set(b.conn.execute(f"{requete} WHERE genre <> 'manque_la_bas'").fetchall())
