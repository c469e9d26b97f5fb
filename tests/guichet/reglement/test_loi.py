"""La loi de l'argent : quoi que la banque dise et quoi que le support règle, un livre tenu à part dit la même somme."""

from collections import Counter
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.avis import Moyen
from domain.geste import PRECISIONS, Geste, Voie
from domain.monnaie import Centimes
from domain.refus import Refus
from domain.reponse import Issue
from domain.sort import Sort
from guichet.reglement.banque import executer
from guichet.reglement.proposer import Suite
from guichet.reglement.signaler import signaler
from kiosque.operation import Indeterminee, NonOfferte, Operation
from projections.audit import auditer
from projections.lectures.anomalies import anomalies_reglees
from tests.conftest import Serveurs, nouvelle_base
from tests.guichet.reglement.banc import PRISES, T0, Banc, banc, reference
from tests.outils import exemples

CREANCES = {1: 20_00, 2: 30_00, 3: 50_00}
PAIEMENTS = {"T1": (20_00, (1, 2)), "T2": (16_00, (3,))}

DIRE = st.tuples(
    st.just("dire"),
    st.sampled_from(["T1", "T2", "ORPHELIN"]),
    st.sampled_from([None, 16_00, 20_00, 25_00]),
    st.sampled_from([Issue.ACCEPTEE, Issue.ACCEPTEE, Issue.ACCEPTEE, Issue.REFUSEE]),
    st.sampled_from(["A", "B", None]),
)
CHEQUE = st.tuples(st.just("cheque"), st.sampled_from([*CREANCES]), st.sampled_from([10_00, 30_00]))
A_LA_MAIN = st.tuples(st.just("a_la_main"), st.sampled_from(["T1", "T2", "ORPHELIN"]), st.sampled_from([1_00, 20_00]))
SIGNALER = st.tuples(st.just("signaler"), st.sampled_from(["T1", "T2", "ORPHELIN"]))
REGLER = st.tuples(
    st.just("regler"),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from([0, 0, 1_00, 16_00, 25_00]),
    st.sampled_from([*CREANCES]),
    st.sampled_from([*Voie]),
    st.sampled_from(
        [
            "fait",
            "fait",
            "fait",
            "fait",
            "fait",
            "sans_reponse",
            "perdue",
            "refuse",
            "meme",
            "decline",
            "perime",
            "voie_de_trop",
        ]
    ),
)


DICTEES: dict[str, list[Operation]] = {"sans_reponse": [Indeterminee("rien")], "refuse": [NonOfferte("non")]}


class Livre:
    """Ce que la banque a pris et rendu, compté par ce qu'elle dit et fait, sans rien relire de notre journal."""

    def __init__(self) -> None:
        self.pris = 0
        self.cheques = 0
        self.par_carte = 0
        self.a_la_main = 0
        self.regles: Counter[Geste] = Counter()

    def dire(self, sort: Sort, montant: int) -> None:
        """Une acceptation neuve : appliquée, ou sans créance."""
        if sort in PRISES:
            self.pris += montant


@settings(max_examples=exemples(4, 30), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.one_of(DIRE, DIRE, CHEQUE), min_size=2, max_size=6),
    st.lists(st.one_of(REGLER, REGLER, REGLER, DIRE, CHEQUE, SIGNALER, A_LA_MAIN), min_size=6, max_size=12),
)
def test_tout_l_argent_pris_est_quelque_part_et_une_seule_fois(
    serveurs: Serveurs, avant: list[Any], apres: list[Any]
) -> None:
    with nouvelle_base(serveurs) as base, banc(base.url) as b:
        for numero, montant in CREANCES.items():
            b.ouvrir_creance(numero, montant)
        for transaction, (montant, numeros) in PAIEMENTS.items():
            b.payer(transaction, montant, *numeros)
        livre = Livre()
        for rang, acte in enumerate([*avant, *apres]):
            _jouer(b, livre, rang, acte)
        _verifier(b, livre)


def _jouer(b: Banc, livre: Livre, rang: int, acte: Any) -> None:
    match acte:
        case ("dire", transaction, montant, issue, autorisation):
            dit = montant or PAIEMENTS.get(transaction, (20_00,))[0]
            sort = b.repondre(transaction, dit, issue, autorisation)
            if issue is Issue.ACCEPTEE:
                livre.dire(sort, dit)
        case ("cheque", numero, montant):
            creance = b.creance(numero)
            creance.encaisser(f"c-{rang}", Centimes(montant), Moyen.CHEQUE, date(2026, 6, 1), maintenant=T0)
            b.inscrire(creance)
            livre.cheques += montant
        case ("a_la_main", transaction, montant):
            livre.a_la_main += b.banque.rendre_a_la_main(transaction, montant)
        case ("signaler", transaction):
            if b.paiement(transaction) is not None:
                signaler(b.guichet, transaction, "le payeur appelle", "agent-1", T0)
        case ("regler", *voulu):
            _regler(b, livre, voulu)
        case _:
            raise AssertionError(acte)


def _regler(b: Banc, livre: Livre, voulu: Any) -> None:  # noqa: C901 (un cas par sorte de proposition)
    """Un règlement parmi ceux qui sont possibles, avec un montant et une fin au hasard."""
    laquelle, lequel, montant, numero, voie, fin = voulu
    lignes = b.ouvertes()
    if not lignes:
        return
    ligne = lignes[laquelle % len(lignes)]
    ident, geste = ligne.id, ligne.gestes[lequel % len(ligne.gestes)]
    # D'ordinaire ce qui est possible ; un centime de plus que l'ouvert, parfois.
    montant = min(montant, ligne.montant + 1)
    champs: dict[str, Any] = {"montant": montant if "montant" in PRECISIONS[geste] else 0, "preuve": "VIR-1"}
    if geste in {Geste.RENDRE, Geste.REMBOURSER} or fin == "voie_de_trop":
        champs["voie"] = voie
    if geste is Geste.RATTACHER:
        champs["creances"] = [(numero, montant)]
    if geste is Geste.REMBOURSER and voie is Voie.CARTE:
        champs["transaction"] = "T2" if ligne.reference == reference(3) else "T1"
    try:
        b.proposer(ident, geste, **champs)
        b.banque.dictees += DICTEES.get(fin, [])
        b.banque.perdre = fin == "perdue"
        match fin:
            case "meme":
                fait = b.approuver(ident, "AGENT-1")
            case "perime":
                fait = b.approuver(ident, a=T0 + timedelta(days=3))
            case "decline":
                return
            case _:
                fait = b.approuver(ident)
        b.banque.dictees.clear()
        if fait.suite is Suite.EN_EXECUTION:
            fait = executer(b.guichet, ident, T0)
        assert fin in {"fait", "sans_reponse", "perdue", "refuse", "voie_de_trop"}
        if fait.suite is Suite.REGLE:
            livre.par_carte += fait.proposition.montant if fait.proposition.voie is Voie.CARTE else 0
            livre.regles[geste] += fait.proposition.montant
            _rejouer_ne_change_rien(b, ident)
    except Refus:
        b.banque.dictees.clear()
    finally:
        b.banque.perdre = False


def _rejouer_ne_change_rien(b: Banc, ident: str) -> None:
    avant = b.faits()
    for _ in range(2):
        try:
            b.approuver(ident, "agent-3")
        except Refus:
            continue
        raise AssertionError("un règlement fait s'est refait")
    assert b.faits() == avant


def _verifier(b: Banc, livre: Livre) -> None:
    b.projeter()
    creances = [b.creance(numero) for numero in CREANCES]
    paiements = [paiement for nom in (*PAIEMENTS, "ORPHELIN") if (paiement := b.paiement(nom)) is not None]
    r = livre.regles
    rendu, repris = r[Geste.RENDRE] + r[Geste.REMBOURSER], r[Geste.CONTREPASSER] + r[Geste.CONSTATER_REPRISE]
    # Ce que les créances gardent, d'après leurs soldes seuls : ni chèques, ni contre-passations, ni remboursements.
    sur_creances = sum(CREANCES.values()) - sum(creance.solde for creance in creances) - livre.cheques
    non_rattache = sum(paiement.non_rattache for paiement in paiements)
    assert livre.pris - repris == sur_creances + non_rattache + rendu
    assert livre.pris == sum(paiement.pris for paiement in paiements)
    carte = sum(b.banque.rendus.values())
    assert carte == livre.par_carte == sum(paiement.recredite for paiement in paiements)
    assert carte <= rendu
    assert sum(b.banque.gardes.values()) == livre.pris - carte - livre.a_la_main
    lignes = b.ouvertes()
    noms = [ligne.id for ligne in lignes]
    assert len(noms) == len(set(noms))
    assert all(ligne.etat in {"ouverte", "proposee", "en_execution"} for ligne in lignes)
    assert sum(ligne.montant for ligne in lignes if ligne.id.startswith("argent-")) == non_rattache
    trop = {f"trop_percu-{creance.avis.reference}": creance.trop_percu for creance in creances if creance.trop_percu}
    assert {ligne.id: ligne.montant for ligne in lignes if ligne.id in trop} == trop
    # Ce que la banque peut encore rendre se voit, même s'il n'y a plus rien de trop.
    finis = {ligne.id for ligne in lignes if ligne.id.startswith("trop_percu-") and ligne.id not in trop}
    assert all(ligne.etat == "en_execution" for ligne in lignes if ligne.id in finis)
    assert {ligne.id for ligne in anomalies_reglees(b.conn)}.isdisjoint(noms)
    rapport = auditer(b.conn)
    assert (rapport.ecarts, rapport.illisibles) == ([], {})
