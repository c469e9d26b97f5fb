"""Les règles, une phrase chacune."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as essais
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from domain.avis import Avis, Canal, Mode, Moyen
from domain.caisses import nom_de_caisse
from domain.creance import Créance
from domain.delai import depart_du_delai, jour_de_paris
from domain.imputation import Imputation
from domain.monnaie import Centimes, Somme, euros
from domain.nir import contient_un_nir, masquer_les_nir
from domain.notification import appliquer_reponse, expirer
from domain.ouverture import ACocher, decider_imputations, exiger_consultable, ouvrir_paiement
from domain.paiement import Fin, Paiement
from domain.politique import Politique
from domain.references import (
    CodeCaisse,
    Pseudonyme,
    PseudonymeRecu,
    ReferenceCreance,
    ReferenceTransaction,
    composer_transaction,
    lire_reference,
)
from domain.refus import (
    AvisContradictoire,
    AvisDejaAnnule,
    CaissesDifferentes,
    CreanceSoldee,
    MessageContradictoire,
    MontantHorsBornes,
    MontantSuperieurAuSolde,
    PaiementClos,
    PaiementEnCours,
    PaiementNonAccepte,
    ReferenceNonOuverte,
    Refus,
    RemboursementExcessif,
    RestantDuInsuffisant,
    SecondePersonneRequise,
    SelectionInvalide,
)
from domain.reponse import Issue, ReponseBancaire
from domain.sort import Sort
from tests.outils import exemples

P = Politique()
T0 = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
AVIS = Avis(
    ReferenceCreance("3811701200010075F"),
    Pseudonyme("a-1"),
    CodeCaisse("381"),
    "PF/FR",
    Centimes(100_00),
    Centimes(100_00),
    date(2026, 5, 12),
    Mode.PAPIER,
)


class Scene:
    """étant_donné(…).quand(…).alors(…) sur une créance de 100 EUR."""

    def __init__(self, *commandes: Callable[[Créance], Any], avis: Avis = AVIS) -> None:
        self.creance = Créance.ouvrir(avis, P, maintenant=T0)
        for commande in commandes:
            commande(self.creance)
        self.creance.pending_events.clear()
        self.commande: Callable[[Créance], Any] = lambda _: None

    def quand(self, commande: Callable[[Créance], Any]) -> "Scene":
        self.commande = commande
        return self

    def alors(self, *attendus: tuple[str, dict[str, Any]]) -> Créance:
        self.commande(self.creance)
        vus = [(type(fait).__name__, fait) for fait in self.creance.pending_events]
        assert [nom for nom, _ in vus] == [nom for nom, _ in attendus]
        for (_, fait), (_, champs) in zip(vus, attendus, strict=True):
            assert {champ: getattr(fait, champ) for champ in champs} == champs
        return self.creance

    def refuse(self, refus: type[Refus]) -> None:
        avant = self.creance.version
        with pytest.raises(refus):
            self.commande(self.creance)
        assert self.creance.version == avant


etant_donne = Scene


def initier(t: str, part: int) -> Callable[[Créance], Any]:
    return lambda c: c.initier_paiement(
        ReferenceTransaction(t), Centimes(part), Canal.WEB, T0 + P.ouverture, maintenant=T0
    )


def accepter(t: str, part: int) -> Callable[[Créance], Any]:
    return lambda c: c.accepter_paiement(ReferenceTransaction(t), Centimes(part), T0, maintenant=T0)


def echouer(t: str) -> Callable[[Créance], Any]:
    return lambda c: c.constater_echec(ReferenceTransaction(t), "refusé", maintenant=T0)


def afficher(t: str) -> Callable[[Créance], Any]:
    return lambda c: c.afficher_paiement(ReferenceTransaction(t), maintenant=T0)


def encaisser(m: str, montant: int) -> Callable[[Créance], Any]:
    return lambda c: c.encaisser(m, Centimes(montant), Moyen.CHEQUE, date(2026, 6, 1), maintenant=T0)


def rectifier(m: str, montant: int) -> Callable[[Créance], Any]:
    return lambda c: c.rectifier(m, Centimes(montant), "erreur", maintenant=T0)


def annuler(m: str) -> Callable[[Créance], Any]:
    return lambda c: c.annuler(m, "annulé", maintenant=T0)


def contrepasser(t: str, par: str = "x", accord: str = "y") -> Callable[[Créance], Any]:
    return lambda c: c.contrepasser(
        ReferenceTransaction(t), "impayé", saisi_par=par, approuve_par=accord, maintenant=T0
    )


def rembourser(m: str, montant: int, par: str = "x", accord: str = "y") -> Callable[[Créance], Any]:
    return lambda c: c.rembourser(m, Somme(montant), saisi_par=par, approuve_par=accord, maintenant=T0)


# --- La créance et la caisse -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("solde", "ouverte"), [(39_99, False), (40_00, True), (200_00, True), (200_01, False)])
def test_un_avis_ouvre_au_paiement_de_40_a_200_euros_bornes_comprises(solde: int, ouverte: bool) -> None:  # noqa: FBT001
    assert Créance.ouvrir(AVIS._replace(solde_pf_fr=Centimes(solde)), P, maintenant=T0).payable_en_ligne is ouverte


def test_le_meme_avis_ne_change_rien_meme_apres_une_rectification() -> None:
    etant_donne(rectifier("m", 50_00)).quand(lambda c: c.confirmer_avis(AVIS)).alors()


def test_la_meme_reference_avec_un_autre_contenu_est_refusee() -> None:
    etant_donne().quand(lambda c: c.confirmer_avis(AVIS._replace(montant_initial=Centimes(1)))).refuse(
        AvisContradictoire
    )


def test_le_meme_message_deux_fois_ne_change_rien() -> None:
    etant_donne(encaisser("m", 10_00)).quand(encaisser("m", 10_00)).alors()
    etant_donne(rectifier("m", 10_00)).quand(rectifier("m", 10_00)).alors()
    etant_donne(annuler("m")).quand(annuler("m")).alors()


def test_le_meme_message_avec_un_autre_contenu_est_refuse() -> None:
    etant_donne(encaisser("m", 10_00)).quand(encaisser("m", 11_00)).refuse(MessageContradictoire)
    etant_donne(encaisser("m", 10_00)).quand(rectifier("m", 10_00)).refuse(MessageContradictoire)


def test_un_avis_annule_ne_doit_plus_rien_et_ne_se_rectifie_plus() -> None:
    assert etant_donne().quand(annuler("m")).alors(("AvisAnnulé", {"montant_precedent": 100_00})).restant_du == 0
    etant_donne(annuler("m")).quand(rectifier("n", 1)).refuse(AvisDejaAnnule)
    etant_donne(annuler("m")).quand(annuler("n")).refuse(AvisDejaAnnule)


def test_l_argent_recu_sur_une_creance_annulee_est_un_fait() -> None:
    etant_donne(annuler("m")).quand(encaisser("n", 5_00)).alors(
        ("EncaissementReçu", {"montant": 5_00}), ("TropPerçuConstaté", {"total": 5_00})
    )


def test_une_rectification_sous_ce_qui_est_paye_constate_un_trop_percu_qui_baisse_au_remboursement() -> None:
    payee = (initier("T", 50_00), accepter("T", 50_00))
    etant_donne(*payee).quand(rectifier("m", 20_00)).alors(
        ("AvisRectifié", {"montant_precedent": 100_00}), ("TropPerçuConstaté", {"total": 30_00})
    )
    etant_donne(*payee, rectifier("m", 20_00)).quand(rembourser("r", 10_00)).alors(
        ("TropPerçuRemboursé", {"montant": 10_00}), ("TropPerçuConstaté", {"total": 20_00})
    )


# --- Le paiement d'une créance ---------------------------------------------------------------------------------------


def test_un_paiement_en_cours_reserve_sa_part() -> None:
    creance = etant_donne().quand(initier("T", 30_00)).alors(("PaiementInitié", {"part": 30_00}))
    assert (creance.restant_du, creance.disponible) == (100_00, 70_00)


def test_une_notification_rejouee_n_encaisse_qu_une_fois() -> None:
    etant_donne(initier("T", 25_00), accepter("T", 25_00)).quand(accepter("T", 25_00)).alors()


def test_une_acceptation_apres_un_echec_compte_sans_lever_de_reservation() -> None:
    etant_donne(initier("T", 25_00), echouer("T")).quand(accepter("T", 25_00)).alors(
        ("PaiementAccepté", {"part": 25_00, "part_liberee": 0})
    )


def test_une_acceptation_sur_une_creance_soldee_constate_un_trop_percu() -> None:
    etant_donne(encaisser("m", 100_00)).quand(accepter("T", 25_00)).alors(
        ("PaiementAccepté", {}), ("TropPerçuConstaté", {"total": 25_00})
    )


def test_un_echec_leve_la_reservation_une_seule_fois() -> None:
    etant_donne(initier("T", 25_00)).quand(echouer("T")).alors(("PaiementÉchoué", {"part_liberee": 25_00}))
    etant_donne(initier("T", 25_00), echouer("T")).quand(echouer("T")).alors()


def test_un_paiement_est_affiche_une_seule_fois_et_seulement_accepte() -> None:
    etant_donne(accepter("T", 25_00)).quand(afficher("T")).alors(("PaiementAffiché", {"affiche_le": T0}))
    etant_donne(accepter("T", 25_00), afficher("T")).quand(afficher("T")).alors()
    etant_donne(initier("T", 25_00)).quand(afficher("T")).alors()


def test_un_paiement_contrepasse_reste_connu_comme_accepte() -> None:
    payee = (accepter("T", 25_00),)
    etant_donne(*payee).quand(contrepasser("T")).alors(("PaiementContrepassé", {"part": 25_00}))
    etant_donne(*payee, contrepasser("T")).quand(accepter("T", 25_00)).alors()
    etant_donne(*payee, contrepasser("T")).quand(contrepasser("T")).refuse(PaiementNonAccepte)


def test_rembourser_et_contrepasser_demandent_une_seconde_personne() -> None:
    etant_donne(accepter("T", 25_00)).quand(contrepasser("T", "x", "x")).refuse(SecondePersonneRequise)
    etant_donne(encaisser("m", 150_00)).quand(rembourser("r", 1_00, "x", "")).refuse(SecondePersonneRequise)


def test_on_ne_rembourse_pas_plus_que_le_trop_percu() -> None:
    etant_donne(encaisser("m", 150_00)).quand(rembourser("r", 50_01)).refuse(RemboursementExcessif)


# --- Ouvrir un paiement ----------------------------------------------------------------------------------------------


def plusieurs(*creances: Créance) -> dict[ReferenceCreance, Créance]:
    return {creance.avis.reference: creance for creance in creances}


def creance(numero: int, montant: int = 100_00, jour: int = 1, **champs: Any) -> Créance:
    avis = AVIS._replace(
        reference=ReferenceCreance(f"38117012{numero:08d}F"),
        montant_initial=Centimes(montant),
        date_emission=date(2026, 5, jour),
        **champs,
    )
    return Créance.ouvrir(avis, P, maintenant=T0)


def test_inconnue_exclue_annulee_ou_d_un_autre_c_est_le_meme_refus() -> None:
    exclue, annulee = creance(1, solde_pf_fr=10_00), creance(2)
    annulee.annuler("m", "", maintenant=T0)
    phrases = set()
    for une, qui in ((None, "a-1"), (exclue, "a-1"), (annulee, "a-1"), (creance(3), "a-2")):
        with pytest.raises(ReferenceNonOuverte) as refus:
            exiger_consultable(une, Pseudonyme(qui))
        phrases.add(refus.value.phrase)
    assert phrases == {"Cette référence de courrier n'est pas ouverte au paiement en ligne."}


@pytest.mark.parametrize(
    ("montant", "refus"),
    [(15_99, MontantHorsBornes), (16_00, None), (50_00, None), (50_01, MontantHorsBornes)],
)
def test_un_paiement_va_de_16_a_50_euros_bornes_comprises(montant: int, refus: type[Refus] | None) -> None:
    creances = plusieurs(creance(1))
    if refus is None:
        assert (
            sum(i.part for i in decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(montant), creances, P))
            == montant
        )
    else:
        with pytest.raises(refus, match=r"entre 16,00.€ et 50,00.€ par paiement"):
            decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(montant), creances, P)


def test_de_petites_creances_se_paient_ensemble_des_que_leur_total_atteint_16_euros() -> None:
    creances = plusieurs(creance(1, 7_00), creance(2, 12_50))
    parts = decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(19_50), creances, P)
    assert sorted(part.part for part in parts) == [7_00, 12_50]
    trop_peu = plusieurs(creance(1, 7_00), creance(2, 3_80))
    with pytest.raises(RestantDuInsuffisant, match="merci d'utiliser un autre moyen de paiement"):
        decider_imputations(Pseudonyme("a-1"), list(trop_peu), Centimes(16_00), trop_peu, P)


def test_une_creance_a_zero_est_soldee_et_jamais_sous_le_minimum() -> None:
    creances = plusieurs(creance(1), creance(2, 20_00))
    creances[ReferenceCreance("3811701200000002F")].encaisser(
        "m", Centimes(20_00), Moyen.CHEQUE, T0.date(), maintenant=T0
    )
    with pytest.raises(CreanceSoldee):
        decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(20_00), creances, P)


def ligne(numero: int, restant_du: int, en_cours: int = 0, **champs: Any) -> Any:
    """Une ligne de vue, telle que la règle de ce qui se coche la lit."""
    valeurs = {"reference": f"R{numero}", "caisse": "381", "payable_en_ligne": True, "annulee": False}
    return SimpleNamespace(**(valeurs | {"restant_du": restant_du, "en_cours": en_cours} | champs))


@pytest.mark.parametrize(
    ("cherchee", "autres", "code"),
    [
        (ligne(1, 7_00), [ligne(2, 3_80)], "restant_du_insuffisant"),
        (ligne(1, 7_00), [ligne(2, 12_50)], None),
        (ligne(1, 7_00), [ligne(2, 50_00, caisse="011")], "restant_du_insuffisant"),
        (ligne(1, 7_00), [ligne(2, 50_00, annulee=True)], "restant_du_insuffisant"),
        (ligne(1, 0), [ligne(2, 50_00)], "creance_soldee"),
        (ligne(1, 20_00, 20_00), [], "paiement_en_cours"),
        (ligne(1, 7_00), [ligne(2, 50_00, 50_00)], "paiement_en_cours"),
        (ligne(1, 20_00, payable_en_ligne=False), [], "reference_non_ouverte"),
        (ligne(1, 16_00), [], None),
    ],
)
def test_ce_qui_se_coche_tient_a_ce_qui_se_paie_avec(cherchee: Any, autres: list[Any], code: str | None) -> None:
    refus = ACocher([cherchee, *autres], P).refus(cherchee)
    assert (refus.code if refus else None) == code


def test_un_paiement_exclusif_refuse_une_creance_qui_en_a_deja_un_meme_s_il_en_reste() -> None:
    creances = plusieurs(creance(1), creance(2))
    premiere = creances[ReferenceCreance("3811701200000001F")]
    premiere.initier_paiement(
        ReferenceTransaction("T1"), Centimes(20_00), Canal.WEB, T0 + timedelta(minutes=15), maintenant=T0
    )
    assert decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(20_00), creances, P)
    with pytest.raises(PaiementEnCours) as refus:
        decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(20_00), creances, P, exclusif=True)
    assert refus.value.transactions == ("T1",)
    seule = plusieurs(creances[ReferenceCreance("3811701200000002F")])
    assert decider_imputations(Pseudonyme("a-1"), list(seule), Centimes(20_00), seule, P, exclusif=True)


@pytest.mark.parametrize(("reste", "fermee"), [(0, False), (1, True), (15_99, True), (16_00, False)])
def test_un_reste_sous_le_minimum_ferme_la_creance_au_paiement_en_ligne(reste: int, *, fermee: bool) -> None:
    assert P.ferme_au_paiement(reste) is fermee


def test_on_ne_paie_pas_plus_que_le_solde_coche() -> None:
    creances = plusieurs(creance(1, 20_00), creance(2, 20_00))
    with pytest.raises(MontantSuperieurAuSolde):
        decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(40_01), creances, P)


def test_ce_qu_un_paiement_en_cours_retient_est_refuse_en_disant_jusqu_a_quand() -> None:
    une = creance(1, 40_00)
    initier("T1", 30_00)(une)
    with pytest.raises(PaiementEnCours) as refus:
        decider_imputations(Pseudonyme("a-1"), [une.avis.reference], Centimes(20_00), plusieurs(une), P)
    assert refus.value.transactions == ("T1",)
    assert refus.value.jusqu_a == T0 + timedelta(minutes=15)
    assert "12\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}15" in refus.value.phrase


def test_deux_caisses_se_paient_separement() -> None:
    autre = Créance.ouvrir(
        AVIS._replace(reference=ReferenceCreance("0111701200010075F"), caisse=CodeCaisse("011")), P, maintenant=T0
    )
    creances = plusieurs(creance(1), autre)
    with pytest.raises(CaissesDifferentes):
        decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(20_00), creances, P)


def test_une_selection_vide_ou_en_double_est_refusee() -> None:
    une = creance(1)
    for references in ([], [une.avis.reference] * 2):
        with pytest.raises(SelectionInvalide):
            decider_imputations(Pseudonyme("a-1"), references, Centimes(20_00), plusieurs(une), P)


def test_la_plus_ancienne_est_payee_d_abord_puis_par_reference_et_une_part_peut_etre_petite() -> None:
    recente, ancienne_b, ancienne_a = creance(1, 50_00, 9), creance(3, 20_00, 2), creance(2, 20_00, 2)
    creances = plusieurs(recente, ancienne_b, ancienne_a)
    assert decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(45_00), creances, P) == (
        Imputation(reference=ancienne_a.avis.reference, part=Centimes(20_00)),
        Imputation(reference=ancienne_b.avis.reference, part=Centimes(20_00)),
        Imputation(reference=recente.avis.reference, part=Centimes(5_00)),
    )


# --- Ce que la banque dit --------------------------------------------------------------------------------------------


def paiement_ouvert(jeton: str | None = None) -> tuple[Paiement, dict[ReferenceCreance, Créance]]:
    creances = plusieurs(creance(1), creance(2))
    parts = decider_imputations(Pseudonyme("a-1"), list(creances), Centimes(30_00), creances, P)
    return (
        ouvrir_paiement(
            ReferenceTransaction("T1"), assure=Pseudonyme("a-1"), canal=Canal.WEB, marchand="m", jeton_retour=jeton,
            imputations=parts, creances=creances, politique=P,
            maintenant=T0,
        ),
        creances,
    )  # fmt: skip


def dire(  # noqa: PLR0917 (un exemple par position)
    paiement: Paiement | None,
    creances: dict[ReferenceCreance, Créance],
    issue: Issue,
    montant: int = 30_00,
    autorisation: str | None = "A",
    marchand: str = "m",
    *,
    jeton: str | None = None,
) -> tuple[Sort, Paiement | None]:
    code = {Issue.ACCEPTEE: "00", Issue.REFUSEE: "05", Issue.EN_ATTENTE: "60"}[issue]
    reponse = ReponseBancaire(
        ReferenceTransaction("T1"), marchand, Centimes(montant), issue, code, autorisation, None, None, T0, None, jeton
    )
    verdict, ne = appliquer_reponse(paiement, creances, reponse, recue_le=T0, maintenant=T0)
    assert verdict.cause
    return verdict.sort, ne


OUI, NON, PEUT_ETRE = Issue.ACCEPTEE, Issue.REFUSEE, Issue.EN_ATTENTE


@pytest.mark.parametrize(
    ("dits", "sorts"),
    [
        ([(OUI,)], [Sort.APPLIQUEE]),
        ([(OUI,), (OUI,)], [Sort.APPLIQUEE, Sort.DOUBLON]),
        ([(NON,), (NON,)], [Sort.APPLIQUEE, Sort.DOUBLON]),
        ([(NON,), (OUI,), (NON,)], [Sort.APPLIQUEE, Sort.APPLIQUEE, Sort.CONTRADICTOIRE]),
        ([(PEUT_ETRE,), (OUI,), (PEUT_ETRE,)], [Sort.EN_ATTENTE, Sort.APPLIQUEE, Sort.EN_ATTENTE]),
        ([(OUI, 29_99), (OUI, 29_99), (OUI,)], [Sort.MONTANT_INCOHERENT, Sort.DOUBLON, Sort.APPLIQUEE]),
        ([(OUI,), (OUI, 30_00, "B"), (OUI, 30_00, "B")], [Sort.APPLIQUEE, Sort.MONTANT_INCOHERENT, Sort.DOUBLON]),
        ([(OUI, 30_00, "A", "autre"), (OUI, 30_00, "A", "autre")], [Sort.NON_RAPPROCHEE, Sort.DOUBLON]),
        ([(NON, 30_00, None, "autre"), (OUI,)], [Sort.NON_RAPPROCHEE, Sort.APPLIQUEE]),
        ([(OUI, 30_00, None), (OUI,), (OUI, 30_00, "B")], [Sort.APPLIQUEE, Sort.DOUBLON, Sort.MONTANT_INCOHERENT]),
        ([(OUI,), (OUI, 30_00, None), (OUI, 30_00, "000A")], [Sort.APPLIQUEE, Sort.DOUBLON, Sort.DOUBLON]),
        ([(OUI, 9_99, None), (OUI, 9_99, "A"), (OUI, 9_99)], [Sort.MONTANT_INCOHERENT, Sort.DOUBLON, Sort.DOUBLON]),
        ([(OUI, 29_99), (NON,)], [Sort.MONTANT_INCOHERENT, Sort.DOUBLON]),
        ([(NON,), (OUI, 29_99)], [Sort.APPLIQUEE, Sort.MONTANT_INCOHERENT]),
    ],
)
def test_chaque_reponse_a_son_sort(dits: list[tuple[Any, ...]], sorts: list[Sort]) -> None:
    paiement, creances = paiement_ouvert()
    assert [dire(paiement, creances, *dit)[0] for dit in dits] == sorts


def test_un_autre_montant_finit_le_paiement_en_verification_et_leve_sa_reservation() -> None:
    paiement, creances = paiement_ouvert()
    dire(paiement, creances, OUI, 2000_00)
    assert str(paiement.statut) == "en_verification"
    assert sum(c.reserve for c in creances.values()) == 0
    assert sum(c.solde for c in creances.values()) == 200_00
    with pytest.raises(PaiementClos, match="ne payez pas de nouveau"):
        paiement.exiger_ouvert(T0)
    assert not expirer(paiement, creances, maintenant=T0)
    dire(paiement, creances, OUI)
    assert str(paiement.statut) == "accepte"
    assert sum(c.solde for c in creances.values()) == 170_00


@pytest.mark.parametrize(
    ("envoye", "rendu", "sort"),
    [
        ("abc", "abc", Sort.APPLIQUEE),
        ("abc", None, Sort.APPLIQUEE),
        (None, "abc", Sort.APPLIQUEE),
        ("abc", "abd", Sort.NON_RAPPROCHEE),
    ],
)
def test_le_jeton_rendu_dit_que_la_reponse_est_celle_de_ce_paiement(
    envoye: str | None, rendu: str | None, sort: Sort
) -> None:
    paiement, creances = paiement_ouvert(envoye)
    assert dire(paiement, creances, OUI, jeton=rendu)[0] is sort
    assert (paiement.fin is Fin.ACCEPTE) == (sort is Sort.APPLIQUEE)
    if sort is Sort.NON_RAPPROCHEE:  # L'argent d'un autre est gardé, et celui-ci peut encore être accepté.
        assert [e.raison for e in paiement.non_imputes] == [Sort.NON_RAPPROCHEE]
        assert dire(paiement, creances, OUI, jeton=envoye)[0] is Sort.APPLIQUEE


@pytest.mark.parametrize(
    ("jeton", "avant", "demandee", "sort"),
    [
        (None, timedelta(minutes=6), True, Sort.NON_RAPPROCHEE),
        (None, timedelta(minutes=5), True, Sort.APPLIQUEE),
        (None, timedelta(days=10), False, Sort.APPLIQUEE),
        ("abc", timedelta(days=10), True, Sort.APPLIQUEE),
    ],
    ids=["d'avant l'ouverture", "dans l'écart des horloges", "venue d'elle-même", "sous notre jeton"],
)
@pytest.mark.parametrize("issue", [Issue.ACCEPTEE, Issue.REFUSEE], ids=["acceptée", "refusée"])
def test_une_reponse_demandee_et_sans_jeton_n_est_pas_crue_d_avant_l_ouverture(
    jeton: str | None, avant: timedelta, *, demandee: bool, sort: Sort, issue: Issue
) -> None:
    paiement, creances = paiement_ouvert("abc")
    dite = ReponseBancaire(
        ReferenceTransaction("T1"),
        "m",
        Centimes(30_00),
        issue,
        "00",
        "A",
        None,
        None,
        T0 - avant,
        None,
        jeton,
        demandee,
    )
    verdict, _ = appliquer_reponse(paiement, creances, dite, recue_le=T0, maintenant=T0)
    assert verdict.sort is sort
    if sort is Sort.NON_RAPPROCHEE:
        assert paiement.fin is None
        assert paiement.non_rattache == (30_00 if issue is Issue.ACCEPTEE else 0)
        assert sum(c.solde for c in creances.values()) == 200_00


def test_l_argent_connu_d_un_autre_n_est_pas_repris_pour_le_notre_quand_on_demande() -> None:
    paiement, creances = paiement_ouvert("abc")
    assert dire(paiement, creances, OUI, jeton="abd")[0] is Sort.NON_RAPPROCHEE
    montant, transaction = Centimes(30_00), ReferenceTransaction("T1")
    dite = ReponseBancaire(transaction, "m", montant, OUI, "00", "00A", None, None, T0, None, demandee=True)
    verdict, _ = appliquer_reponse(paiement, creances, dite, recue_le=T0, maintenant=T0)
    assert (verdict.sort, paiement.fin) == (Sort.DOUBLON, None)


def test_l_argent_d_un_paiement_inconnu_est_un_fait_enregistre_une_fois() -> None:
    sort, ne = dire(None, {}, OUI)
    assert sort is Sort.NON_RAPPROCHEE
    assert ne is not None
    assert [type(fait).__name__ for fait in ne.pending_events] == ["EncaissementNonImputé"]
    assert dire(ne, {}, OUI)[0] is Sort.DOUBLON
    assert dire(None, {}, NON) == (Sort.NON_RAPPROCHEE, None)


def test_un_paiement_expire_libere_sa_reservation_et_peut_encore_etre_accepte() -> None:
    paiement, creances = paiement_ouvert()
    assert expirer(paiement, creances, maintenant=T0)
    assert not expirer(paiement, creances, maintenant=T0)
    assert sum(c.reserve for c in creances.values()) == 0
    assert dire(paiement, creances, NON)[0] is Sort.DOUBLON
    assert dire(paiement, creances, OUI)[0] is Sort.APPLIQUEE
    assert paiement.fin is Fin.ACCEPTE
    assert sum(c.solde for c in creances.values()) == 170_00


def test_un_paiement_se_reprend_tant_qu_il_est_ouvert() -> None:
    paiement, creances = paiement_ouvert()
    paiement.exiger_ouvert(T0 + timedelta(minutes=14, seconds=59))
    with pytest.raises(PaiementClos):
        paiement.exiger_ouvert(T0 + timedelta(minutes=15))
    dire(paiement, creances, NON)
    with pytest.raises(PaiementClos):
        paiement.exiger_ouvert(T0)


# --- Le temps, les références, l'argent ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ecart", "presume"),
    [(timedelta(0), False), (timedelta(hours=-48), False), (timedelta(days=-10), False),
     (timedelta(seconds=1), True), (None, True)],
)  # fmt: skip
def test_le_delai_part_de_la_banque_ou_de_la_reception_si_elle_n_est_pas_credible(
    ecart: timedelta | None,
    presume: bool,  # noqa: FBT001
) -> None:
    donne = T0 + ecart if ecart is not None else None
    depart = depart_du_delai(donne, T0)
    assert depart == (T0 if presume else donne, presume)


def test_la_transaction_porte_le_jour_de_paris() -> None:
    assert composer_transaction(date(2017, 9, 11), 4) == "PCLCB172540000004"
    assert composer_transaction(date(2017, 9, 11), 4, fragment=3) == "PCLCB172543000004"
    assert jour_de_paris(datetime(2026, 6, 1, 22, 30, tzinfo=UTC)) == date(2026, 6, 2)
    assert jour_de_paris(datetime(2026, 1, 1, 22, 30, tzinfo=UTC)) == date(2026, 1, 1)


def test_une_reference_tolere_les_espaces_et_les_minuscules_et_rien_d_autre() -> None:
    assert lire_reference(" 3811701200010075f ") == "3811701200010075F"
    assert lire_reference("3811 7012 0001 0075 F") == "3811701200010075F"
    for mauvaise in ("", "381170120001007F", "38117012000100755", "٣811701200010075F", "3811701200010075ſ", "1" * 99):
        assert lire_reference(mauvaise) is None


@pytest.mark.parametrize("nir", ["255081416802538", "284052A32102552", "2 55 08 14 168 025 38"])
def test_un_nir_n_est_pas_un_pseudonyme(nir: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Pseudonyme).validate_python(nir)


@pytest.mark.parametrize(
    "nir",
    [
        "2550814168025",
        "284052A321025",
        "255081416802539",
        "p2550814168025",
        "a-2.55.08.14.168.025-x",
        "2550814168025-1",
    ],
)
def test_un_pseudonyme_ne_contient_jamais_un_nir_avec_ou_sans_sa_cle(nir: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Pseudonyme).validate_python(nir)


@pytest.mark.parametrize(
    "texte",
    [
        "rappelé le 12 2 55 08 14 168 025 38",
        "3-2-55-08-14-168-025",
        "2/55/08/14/168/025",
        "2, 55, 08, 14, 168, 025, 38",
        "2\N{EN DASH}55\N{EN DASH}08\N{EN DASH}14\N{EN DASH}168\N{EN DASH}025",
        "2\N{ZERO WIDTH SPACE}55\N{SOFT HYPHEN}08 14 168 025",
        # Collé d'un PDF, ce qui ne se voit pas est n'importe où ; écrit dans une adresse, le blanc est `%20` ou `+`.
        "25508141\N{ZERO WIDTH SPACE}68025",
        "2550\N{INVISIBLE SEPARATOR}814168\N{COMBINING GRAPHEME JOINER}02538",
        "25508\N{LEFT-TO-RIGHT EMBEDDING}2B168025",
        "2550\N{NON-BREAKING HYPHEN}8141\N{NON-BREAKING HYPHEN}6802\N{NON-BREAKING HYPHEN}5",
        "2%2055%2008%2014%20168%20025",
        "2+55+08+2A+168+025",
        "2:55:08:14:168:025",
        "(2) 55 08 14 (168) 025",
        "2&nbsp;55&nbsp;08&nbsp;14&nbsp;168&nbsp;025",
        "".join(chr(0x660 + int(chiffre)) for chiffre in "2550814168025"),
    ],
)
def test_un_nir_se_reconnait_derriere_un_nombre_et_quoi_qui_le_ponctue(texte: str) -> None:
    assert contient_un_nir(texte)


@pytest.mark.parametrize("premier", "123478")
@pytest.mark.parametrize("suite", ["550814168025", "55081416802538", "5-5081.4168 02538", "55082A168025"])
def test_un_numero_d_attente_se_traite_comme_celui_qu_il_attend(premier: str, suite: str) -> None:
    numero = f"{premier}{suite}"
    assert contient_un_nir(numero)
    assert masquer_les_nir(f"vu {numero}, puis rien", "***") == "vu ***, puis rien"
    with pytest.raises(ValidationError):
        TypeAdapter(PseudonymeRecu).validate_python(f"a{numero.replace(' ', '')}")


def test_un_numero_d_attente_deja_inscrit_se_relit() -> None:
    assert TypeAdapter(Pseudonyme).validate_python("7550814168025") == "7550814168025"
    with pytest.raises(ValidationError):
        TypeAdapter(Pseudonyme).validate_python("2550814168025")


@essais(max_examples=exemples(200, 5_000), deadline=None)
@given(st.uuids(version=4), st.booleans())
def test_un_pseudonyme_tire_au_hasard_n_est_pas_pris_pour_un_nir(tire: UUID, compact: bool) -> None:  # noqa: FBT001
    texte = tire.hex if compact else str(tire)
    if len(set(texte) & set("abcdef")) >= 3:
        assert not contient_un_nir(texte)
        assert masquer_les_nir(f"assuré {texte}.", "***") == f"assuré {texte}."


def test_un_uuid_de_trois_lettres_n_est_pas_un_nir() -> None:
    texte = "1eb81432-4979-4084-b891-1b0496b3952d"
    assert TypeAdapter(PseudonymeRecu).validate_python(texte) == texte
    assert masquer_les_nir(texte, "***") == texte


@pytest.mark.parametrize(
    "rempli",
    ["0" * 16 + "a" * 3 + "2550814168025", "a" * 19 + "2550814168025", "f" * 19 + "255082A168025"],
)
def test_un_nir_rempli_jusqu_a_la_taille_d_une_empreinte_en_reste_un(rempli: str) -> None:
    assert contient_un_nir(rempli)


@essais(max_examples=exemples(300, 5_000), deadline=None)
@given(
    st.lists(st.sampled_from([*"0123456789", "2A", "2b", " ", "-", ".", ",", "a", "2550814168025", "\0"]), max_size=40)
)
def test_ce_qui_est_reconnu_est_masque_et_rien_d_autre(morceaux: list[str]) -> None:
    texte = "".join(morceaux)
    masque = masquer_les_nir(texte, "***")
    assert (masque != texte) == contient_un_nir(texte)
    assert not contient_un_nir(masque)


@pytest.mark.parametrize(
    "texte",
    [
        "20/11/2026 à 10 h 12",
        "1 234 567,89 €",
        "20.11.26, 14 h 05, poste 168 025",
        "2026-11-28T01:10:25.168025+00:00",
        "28/11/2026 01:10:25",
        "2001:db8:55:8:14:168:25:1",
        "(20 + 55) 814",
    ],
)
def test_une_date_ou_un_montant_n_est_pas_un_nir(texte: str) -> None:
    assert not contient_un_nir(texte)


@pytest.mark.parametrize("opaque", ["a-1", "demo-0001", "0000000000001", "99255081416802538", "7c1e55d0-9f2b-4c1e"])
def test_un_pseudonyme_opaque_est_admis(opaque: str) -> None:
    assert TypeAdapter(Pseudonyme).validate_python(opaque) == opaque


def test_aucun_fait_n_est_refuse_d_etre_grand() -> None:
    une, maximum = creance(1), Centimes(999_999_999_999)
    for rang in range(3):
        assert une.encaisser(f"m{rang}", maximum, Moyen.VIREMENT, T0.date(), maintenant=T0)
    assert une.trop_percu_constate == 3 * maximum - 100_00


@pytest.mark.parametrize("montant", [-1, 1.5, True, "100", 10**13])
def test_un_evenement_ne_porte_jamais_un_montant_impossible(montant: Any) -> None:
    with pytest.raises(ValidationError):
        etant_donne().quand(encaisser("m", montant)).alors()


def test_un_evenement_n_a_pas_d_horloge_et_refuse_un_instant_sans_fuseau() -> None:
    with pytest.raises(TypeError):
        Créance.ouvrir(AVIS, P, maintenant=None)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Créance.ouvrir(AVIS, P, maintenant=datetime(2026, 1, 1))  # noqa: DTZ001


def test_les_caisses_ont_leur_nom_et_un_code_inconnu_est_montre_tel_quel() -> None:
    assert nom_de_caisse("381") == "CPAM DE L'ISÈRE"
    assert nom_de_caisse("481") == "CCSS DE LA LOZÈRE"
    assert nom_de_caisse("999") == "Caisse 999"


def test_les_montants_s_ecrivent_comme_sur_un_courrier() -> None:
    assert euros(8709) == "87,09\xa0€"
    assert euros(123_456_78) == "123\xa0456,78\xa0€"
