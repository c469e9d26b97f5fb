"""Les lois de l'argent : ni l'ordre ni le nombre des notifications ne change un solde, et aucun centime ne manque."""

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from domain.avis import Avis, Canal, Mode, Moyen
from domain.creance import Créance
from domain.monnaie import Centimes, Somme
from domain.notification import appliquer_reponse, expirer
from domain.ouverture import decider_imputations, ouvrir_paiement
from domain.paiement import Fin, Paiement
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from domain.refus import PaiementNonAccepte, Refus, RemboursementExcessif
from domain.reponse import Issue, ReponseBancaire
from domain.statut import StatutDePaiement
from tests.outils import exemples

POLITIQUE = Politique()
T0 = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)


def avis(numero: int, montant: int) -> Avis:
    return Avis(
        ReferenceCreance(f"38117012{numero:08d}F"),
        Pseudonyme("a-1"),
        CodeCaisse("381"),
        "PF/FR",
        Centimes(montant),
        Centimes(100_00),
        date(2026, 5, 12),
        Mode.PAPIER,
    )


def reponse(transaction: str, issue: Issue, montant: int, autorisation: str | None) -> ReponseBancaire:
    code = {Issue.ACCEPTEE: "00", Issue.REFUSEE: "05", Issue.EN_ATTENTE: "60"}[issue]
    return ReponseBancaire(
        ReferenceTransaction(transaction), "m", Centimes(montant), issue, code, autorisation, None, None, T0, None
    )


def monde() -> tuple[dict[ReferenceCreance, Créance], dict[str, Paiement]]:
    """Deux créances, trois paiements ouverts sur elles."""
    creances = {a.reference: Créance.ouvrir(a, POLITIQUE, maintenant=T0) for a in (avis(1, 60_00), avis(2, 50_00))}
    paiements: dict[str, Paiement] = {}
    for rang, montant in enumerate((50_00, 30_00, 20_00)):
        parts = decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(montant), creances, POLITIQUE)
        paiements[f"T{rang}"] = ouvrir_paiement(
            ReferenceTransaction(f"T{rang}"),
            assure=Pseudonyme("a-1"),
            canal=Canal.WEB,
            marchand="m",
            imputations=parts,
            creances=creances,
            politique=POLITIQUE,
            maintenant=T0,
        )
    return creances, paiements


dites = st.tuples(
    st.sampled_from(["T0", "T1", "T2", "INCONNUE"]),
    st.sampled_from([*Issue, "expirer"]),
    st.sampled_from([None, 1]),  # Un centime de trop, parfois.
    st.sampled_from(["A", "B", "00A", None]),
)


def jouer(messages: list[Any]) -> tuple[Any, ...]:
    creances, paiements = monde()
    for transaction, issue, ecart, autorisation in messages:
        paiement = paiements.get(transaction)
        if issue == "expirer":
            if paiement is not None:
                expirer(paiement, creances, maintenant=T0)
            continue
        montant = (paiement.montant if paiement is not None and paiement.connu else 40_00) + (ecart or 0)
        _, ne = appliquer_reponse(
            paiement,
            creances,
            reponse(transaction, issue, montant, autorisation),
            recue_le=T0,
            maintenant=T0,
        )
        if ne is not None:
            paiements[transaction] = ne
    soldes = {reference: (c.solde, sorted(c.acceptees)) for reference, c in creances.items()}
    acceptes = {t: p.fin is Fin.ACCEPTE for t, p in paiements.items()}
    statuts = {t: p.statut for t, p in paiements.items()}
    pris = {
        t: sorted([*(e.montant for e in p.non_imputes), *([p.montant] if acceptes[t] else [])])
        for t, p in paiements.items()
    }
    return soldes, acceptes, pris, {t for t, statut in statuts.items() if statut is StatutDePaiement.EN_VERIFICATION}


@settings(max_examples=exemples(75, 2000), deadline=None)
@given(st.lists(dites, max_size=10).flatmap(lambda m: st.tuples(st.just(m), st.permutations([*m, *m[:4]]))))
def test_l_ordre_et_la_repetition_des_notifications_ne_changent_ni_les_soldes_ni_l_argent_pris(
    deux: tuple[list[Any], list[Any]],
) -> None:
    une_fois, autrement = deux
    assert jouer(une_fois) == jouer(autrement)


@settings(max_examples=exemples(50, 2000), deadline=None)
@given(st.lists(dites, max_size=12))
def test_chaque_centime_que_la_banque_a_pris_est_au_journal_une_seule_fois(messages: list[Any]) -> None:
    soldes, _, pris, _ = jouer(messages)
    _, paiements = monde()
    dites: dict[tuple[str, int], set[str]] = {}
    for transaction, issue, ecart, autorisation in messages:
        if issue is Issue.ACCEPTEE:
            connu = paiements.get(transaction)
            montant = (connu.montant if connu else 40_00) + (ecart or 0)
            presentes = dites.setdefault((transaction, montant), set())
            presentes |= {autorisation.lstrip("0")} if autorisation else set()
    attendu: dict[str, list[int]] = {}
    for (transaction, montant), presentes in dites.items():
        attendu.setdefault(transaction, []).extend([montant] * max(len(presentes), 1))
    assert {t: sorted(m) for t, m in attendu.items()} == {t: m for t, m in pris.items() if m}
    assert all(solde <= 60_00 for solde, _ in soldes.values())


class Grand_livre(RuleBasedStateMachine):  # noqa: N801 (deux mots)
    """Une créance et ses paiements, contre un grand livre tenu à la main, en entiers."""

    ouverts = Bundle("ouverts")

    @initialize(montant=st.integers(16_00, 90_00))
    def ouvrir_creance(self, montant: int) -> None:
        self.creance = Créance.ouvrir(avis(1, montant), POLITIQUE, maintenant=T0)
        self.creances = {self.creance.avis.reference: self.creance}
        self.montant, self.entrees, self.sorties = montant, 0, 0
        self.reserve: dict[str, int] = {}
        self.accepte: dict[str, int] = {}
        self.contrepasse: set[str] = set()
        self.annule = False
        self.rang = 0

    @rule(target=ouverts, montant=st.integers(1, 60_00))
    def payer(self, montant: int) -> Any:
        self.rang += 1
        nom = f"T{self.rang}"
        solde = self.montant - self.entrees + self.sorties
        permis = (
            not self.annule
            and solde >= 16_00
            and 16_00 <= montant <= 50_00
            and montant <= solde - sum(self.reserve.values())
        )
        try:
            parts = decider_imputations(
                Pseudonyme("a-1"), list(self.creances), Centimes(montant), self.creances, POLITIQUE
            )
        except Refus:
            assert not permis
            return None
        assert permis
        self.reserve[nom] = montant
        return ouvrir_paiement(
            ReferenceTransaction(nom),
            assure=Pseudonyme("a-1"),
            canal=Canal.WEB,
            marchand="m",
            imputations=parts,
            creances=self.creances,
            politique=POLITIQUE,
            maintenant=T0,
        )

    @rule(paiement=ouverts, issue=st.sampled_from(Issue), fois=st.integers(1, 3))
    def notifier(self, paiement: Paiement | None, issue: Issue, fois: int) -> None:
        if paiement is None:
            return
        for _ in range(fois):
            appliquer_reponse(
                paiement,
                self.creances,
                reponse(paiement.transaction, issue, paiement.montant, "A"),
                recue_le=T0,
                maintenant=T0,
            )
        if issue is Issue.ACCEPTEE and paiement.transaction not in self.accepte:
            self.accepte[paiement.transaction] = paiement.montant
            self.entrees += paiement.montant
        if issue is not Issue.EN_ATTENTE:
            self.reserve.pop(paiement.transaction, None)

    @rule(paiement=ouverts)
    def expirer(self, paiement: Paiement | None) -> None:
        if paiement is not None:
            expirer(paiement, self.creances, maintenant=T0)
            self.reserve.pop(paiement.transaction, None)

    @rule(paiement=consumes(ouverts))
    def contrepasser(self, paiement: Paiement | None) -> None:
        if paiement is None:
            return
        nom = paiement.transaction
        try:
            self.creance.contrepasser(nom, "impayé", saisi_par="x", approuve_par="y", maintenant=T0)
        except PaiementNonAccepte:
            assert nom not in self.accepte or nom in self.contrepasse
            return
        self.contrepasse.add(nom)
        self.sorties += self.accepte[nom]

    @rule(montant=st.integers(1, 100_00), repete=st.booleans())
    def encaisser(self, montant: int, repete: bool) -> None:  # noqa: FBT001 (donné par Hypothesis)
        self.rang += 1
        for _ in range(1 + repete):
            self.creance.encaisser(f"m{self.rang}", Centimes(montant), Moyen.CHEQUE, T0.date(), maintenant=T0)
        self.entrees += montant

    @rule(montant=st.integers(0, 90_00))
    def rectifier(self, montant: int) -> None:
        self.rang += 1
        try:
            self.creance.rectifier(f"m{self.rang}", Centimes(montant), "erreur", maintenant=T0)
        except Refus:
            assert self.annule
            return
        self.montant = montant

    @rule()
    def annuler(self) -> None:
        self.rang += 1
        if self.rang % 4:
            return
        try:
            self.creance.annuler(f"m{self.rang}", "annulé", maintenant=T0)
        except Refus:
            assert self.annule
        self.montant, self.annule = 0, True

    @rule(montant=st.integers(1, 50_00))
    def rembourser(self, montant: int) -> None:
        self.rang += 1
        trop_percu = max(self.entrees - self.sorties - self.montant, 0)
        try:
            self.creance.rembourser(f"m{self.rang}", Somme(montant), saisi_par="x", approuve_par="y", maintenant=T0)
        except RemboursementExcessif:
            assert montant > trop_percu
            return
        self.sorties += montant

    @invariant()
    def le_solde_est_celui_du_grand_livre(self) -> None:
        solde = self.montant - self.entrees + self.sorties
        assert self.creance.solde == solde
        assert self.creance.restant_du == max(solde, 0)
        assert self.creance.trop_percu == self.creance.trop_percu_constate == max(-solde, 0)
        assert self.creance.reserve == sum(self.reserve.values())

    def teardown(self) -> None:
        if hasattr(self, "creance"):
            rejouee: Any = None
            for fait in self.creance.pending_events:
                rejouee = fait.mutate(rejouee)
            self.creance.pending_events.clear()
            assert rejouee == self.creance


Grand_livre.TestCase.settings = settings(max_examples=exemples(30, 500), stateful_step_count=30, deadline=None)
TestGrandLivre = Grand_livre.TestCase
