"""Les lois de l'argent : ni l'ordre ni le nombre des notifications ne change un solde, et aucun centime ne manque."""

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from domain.avis import Avis, Canal, Mode, Moyen
from domain.creance import Créance
from domain.notification import appliquer_réponse, expirer
from domain.ouverture import décider_imputations, ouvrir_paiement
from domain.paiement import Fin, Paiement
from domain.politique import Politique
from domain.refus import PaiementNonAccepté, Refus, RemboursementExcessif
from domain.reponse import Issue, RéponseBancaire

POLITIQUE = Politique()
T0 = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)


def avis(numéro: int, montant: int) -> Avis:
    return Avis(f"38117012{numéro:08d}F", "a-1", "381", "PF/FR", montant, 100_00, date(2026, 5, 12), Mode.PAPIER)


def réponse(transaction: str, issue: Issue, montant: int, autorisation: str | None) -> RéponseBancaire:
    code = {Issue.ACCEPTÉE: "00", Issue.REFUSÉE: "05", Issue.EN_ATTENTE: "60"}[issue]
    return RéponseBancaire(transaction, "m", montant, issue, code, autorisation, None, None, T0, None)


def monde() -> tuple[dict[str, Créance], dict[str, Paiement]]:
    """Deux créances, trois paiements ouverts sur elles."""
    créances = {a.référence: Créance.ouvrir(a, POLITIQUE, maintenant=T0) for a in (avis(1, 60_00), avis(2, 50_00))}
    paiements: dict[str, Paiement] = {}
    for rang, montant in enumerate((50_00, 30_00, 20_00)):
        parts = décider_imputations("a-1", list(créances), montant, créances, POLITIQUE)
        paiements[f"T{rang}"] = ouvrir_paiement(
            f"T{rang}",
            assuré="a-1",
            canal=Canal.WEB,
            marchand="m",
            imputations=parts,
            créances=créances,
            politique=POLITIQUE,
            maintenant=T0,
        )
    return créances, paiements


dites = st.tuples(
    st.sampled_from(["T0", "T1", "T2", "INCONNUE"]),
    st.sampled_from([*Issue, "expirer"]),
    st.sampled_from([None, 1]),  # Un centime de trop, parfois.
    st.sampled_from(["A", "B", None]),
)


def jouer(messages: list[Any]) -> tuple[Any, ...]:
    créances, paiements = monde()
    for transaction, issue, écart, autorisation in messages:
        paiement = paiements.get(transaction)
        if issue == "expirer":
            if paiement is not None:
                expirer(paiement, créances, maintenant=T0)
            continue
        montant = (paiement.montant if paiement is not None and paiement.connu else 40_00) + (écart or 0)
        _, né = appliquer_réponse(
            paiement,
            créances,
            réponse(transaction, issue, montant, autorisation),
            reçue_le=T0,
            politique=POLITIQUE,
            maintenant=T0,
        )
        if né is not None:
            paiements[transaction] = né
    soldes = {référence: (c.solde, sorted(c.acceptées)) for référence, c in créances.items()}
    acceptés = {t: p.fin is Fin.ACCEPTÉ for t, p in paiements.items()}
    pris = {
        t: sorted(
            [*((m, str(a)) for m, a in p.non_imputés), *([(p.montant, str(p.autorisation))] if acceptés[t] else [])]
        )
        for t, p in paiements.items()
    }
    return soldes, acceptés, pris


@settings(max_examples=300, deadline=None)
@given(st.lists(dites, max_size=10).flatmap(lambda m: st.tuples(st.just(m), st.permutations([*m, *m[:4]]))))
def test_l_ordre_et_la_répétition_des_notifications_ne_changent_ni_les_soldes_ni_l_argent_pris(
    deux: tuple[list[Any], list[Any]],
) -> None:
    une_fois, autrement = deux
    assert jouer(une_fois) == jouer(autrement)


@settings(max_examples=200, deadline=None)
@given(st.lists(dites, max_size=12))
def test_chaque_centime_que_la_banque_a_pris_est_au_journal_une_seule_fois(messages: list[Any]) -> None:
    soldes, _, pris = jouer(messages)
    _, paiements = monde()
    attendu: dict[str, set[tuple[int, str]]] = {}
    for transaction, issue, écart, autorisation in messages:
        if issue is Issue.ACCEPTÉE:
            connu = paiements.get(transaction)
            montant = (connu.montant if connu else 40_00) + (écart or 0)
            attendu.setdefault(transaction, set()).add((montant, str(autorisation)))
    assert {t: sorted(m) for t, m in attendu.items()} == {t: m for t, m in pris.items() if m}
    assert all(solde <= 60_00 for solde, _ in soldes.values())


class Grand_livre(RuleBasedStateMachine):  # noqa: N801 (deux mots)
    """Une créance et ses paiements, contre un grand livre tenu à la main, en entiers."""

    ouverts = Bundle("ouverts")

    @initialize(montant=st.integers(16_00, 90_00))
    def ouvrir_créance(self, montant: int) -> None:
        self.créance = Créance.ouvrir(avis(1, montant), POLITIQUE, maintenant=T0)
        self.créances = {self.créance.avis.référence: self.créance}
        self.montant, self.entrées, self.sorties = montant, 0, 0
        self.réservé: dict[str, int] = {}
        self.accepté: dict[str, int] = {}
        self.contrepassé: set[str] = set()
        self.annulé = False
        self.rang = 0

    @rule(target=ouverts, montant=st.integers(1, 60_00))
    def payer(self, montant: int) -> Any:
        self.rang += 1
        nom = f"T{self.rang}"
        solde = self.montant - self.entrées + self.sorties
        permis = (
            not self.annulé
            and solde >= 16_00
            and 16_00 <= montant <= 50_00
            and montant <= solde - sum(self.réservé.values())
        )
        try:
            parts = décider_imputations("a-1", list(self.créances), montant, self.créances, POLITIQUE)
        except Refus:
            assert not permis
            return None
        assert permis
        self.réservé[nom] = montant
        return ouvrir_paiement(
            nom,
            assuré="a-1",
            canal=Canal.WEB,
            marchand="m",
            imputations=parts,
            créances=self.créances,
            politique=POLITIQUE,
            maintenant=T0,
        )

    @rule(paiement=ouverts, issue=st.sampled_from(Issue), fois=st.integers(1, 3))
    def notifier(self, paiement: Paiement | None, issue: Issue, fois: int) -> None:
        if paiement is None:
            return
        for _ in range(fois):
            appliquer_réponse(
                paiement,
                self.créances,
                réponse(paiement.transaction, issue, paiement.montant, "A"),
                reçue_le=T0,
                politique=POLITIQUE,
                maintenant=T0,
            )
        if issue is Issue.ACCEPTÉE and paiement.transaction not in self.accepté:
            self.accepté[paiement.transaction] = paiement.montant
            self.entrées += paiement.montant
        if issue is not Issue.EN_ATTENTE:
            self.réservé.pop(paiement.transaction, None)

    @rule(paiement=ouverts)
    def expirer(self, paiement: Paiement | None) -> None:
        if paiement is not None:
            expirer(paiement, self.créances, maintenant=T0)
            self.réservé.pop(paiement.transaction, None)

    @rule(paiement=consumes(ouverts))
    def contrepasser(self, paiement: Paiement | None) -> None:
        if paiement is None:
            return
        nom = paiement.transaction
        try:
            self.créance.contrepasser(nom, "impayé", saisi_par="x", approuvé_par="y", maintenant=T0)
        except PaiementNonAccepté:
            assert nom not in self.accepté or nom in self.contrepassé
            return
        self.contrepassé.add(nom)
        self.sorties += self.accepté[nom]

    @rule(montant=st.integers(1, 100_00), répété=st.booleans())
    def encaisser(self, montant: int, répété: bool) -> None:  # noqa: FBT001 (donné par Hypothesis)
        self.rang += 1
        for _ in range(1 + répété):
            self.créance.encaisser(f"m{self.rang}", montant, Moyen.CHÈQUE, T0.date(), maintenant=T0)
        self.entrées += montant

    @rule(montant=st.integers(0, 90_00))
    def rectifier(self, montant: int) -> None:
        self.rang += 1
        try:
            self.créance.rectifier(f"m{self.rang}", montant, "erreur", maintenant=T0)
        except Refus:
            assert self.annulé
            return
        self.montant = montant

    @rule()
    def annuler(self) -> None:
        self.rang += 1
        if self.rang % 4:
            return
        try:
            self.créance.annuler(f"m{self.rang}", "annulé", maintenant=T0)
        except Refus:
            assert self.annulé
        self.montant, self.annulé = 0, True

    @rule(montant=st.integers(1, 50_00))
    def rembourser(self, montant: int) -> None:
        self.rang += 1
        trop_perçu = max(self.entrées - self.sorties - self.montant, 0)
        try:
            self.créance.rembourser(f"m{self.rang}", montant, saisi_par="x", approuvé_par="y", maintenant=T0)
        except RemboursementExcessif:
            assert montant > trop_perçu
            return
        self.sorties += montant

    @invariant()
    def le_solde_est_celui_du_grand_livre(self) -> None:
        solde = self.montant - self.entrées + self.sorties
        assert self.créance.solde == solde
        assert self.créance.restant_dû == max(solde, 0)
        assert self.créance.trop_perçu == self.créance.trop_perçu_constaté == max(-solde, 0)
        assert self.créance.réservé == sum(self.réservé.values())

    def teardown(self) -> None:
        if hasattr(self, "créance"):
            rejouée: Any = None
            for fait in self.créance.pending_events:
                rejouée = fait.mutate(rejouée)
            self.créance.pending_events.clear()
            assert rejouée == self.créance


Grand_livre.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestGrandLivre = Grand_livre.TestCase
