"""Les règles, une phrase chacune."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from domain.avis import Avis, Canal, Mode, Moyen
from domain.caisses import nom_de_caisse
from domain.creance import Créance
from domain.delai import départ_du_délai, jour_de_paris
from domain.imputation import Imputation
from domain.monnaie import euros
from domain.nir import est_un_nir
from domain.notification import appliquer_réponse, expirer
from domain.ouverture import décider_imputations, exiger_consultable, ouvrir_paiement
from domain.paiement import Fin, Paiement
from domain.politique import Politique
from domain.references import Pseudonyme, composer_transaction, lire_référence
from domain.refus import (
    AvisContradictoire,
    AvisDéjàAnnulé,
    CaissesDifférentes,
    MessageContradictoire,
    MontantHorsBornes,
    MontantSupérieurAuSolde,
    PaiementClos,
    PaiementEnCours,
    PaiementNonAccepté,
    Refus,
    RemboursementExcessif,
    RestantDûInsuffisant,
    RéférenceNonOuverte,
    SecondePersonneRequise,
    SélectionInvalide,
)
from domain.reponse import Issue, RéponseBancaire
from domain.sort import Sort

P = Politique()
T0 = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
AVIS = Avis("3811701200010075F", "a-1", "381", "PF/FR", 100_00, 100_00, date(2026, 5, 12), Mode.PAPIER)


class Scène:
    """étant_donné(…).quand(…).alors(…) sur une créance de 100 EUR."""

    def __init__(self, *commandes: Callable[[Créance], Any], avis: Avis = AVIS) -> None:
        self.créance = Créance.ouvrir(avis, P, maintenant=T0)
        for commande in commandes:
            commande(self.créance)
        self.créance.pending_events.clear()
        self.commande: Callable[[Créance], Any] = lambda _: None

    def quand(self, commande: Callable[[Créance], Any]) -> "Scène":
        self.commande = commande
        return self

    def alors(self, *attendus: tuple[str, dict[str, Any]]) -> Créance:
        self.commande(self.créance)
        vus = [(type(fait).__name__, fait) for fait in self.créance.pending_events]
        assert [nom for nom, _ in vus] == [nom for nom, _ in attendus]
        for (_, fait), (_, champs) in zip(vus, attendus, strict=True):
            assert {champ: getattr(fait, champ) for champ in champs} == champs
        return self.créance

    def refuse(self, refus: type[Refus]) -> None:
        avant = self.créance.version
        with pytest.raises(refus):
            self.commande(self.créance)
        assert self.créance.version == avant


étant_donné = Scène


def initier(t: str, part: int) -> Callable[[Créance], Any]:
    return lambda c: c.initier_paiement(t, part, Canal.WEB, T0 + P.ouverture, maintenant=T0)


def accepter(t: str, part: int) -> Callable[[Créance], Any]:
    return lambda c: c.accepter_paiement(t, part, T0, maintenant=T0)


def échouer(t: str) -> Callable[[Créance], Any]:
    return lambda c: c.constater_échec(t, "refusé", maintenant=T0)


def afficher(t: str) -> Callable[[Créance], Any]:
    return lambda c: c.afficher_paiement(t, maintenant=T0)


def encaisser(m: str, montant: int) -> Callable[[Créance], Any]:
    return lambda c: c.encaisser(m, montant, Moyen.CHÈQUE, date(2026, 6, 1), maintenant=T0)


def rectifier(m: str, montant: int) -> Callable[[Créance], Any]:
    return lambda c: c.rectifier(m, montant, "erreur", maintenant=T0)


def annuler(m: str) -> Callable[[Créance], Any]:
    return lambda c: c.annuler(m, "annulé", maintenant=T0)


def contrepasser(t: str, par: str = "x", accord: str = "y") -> Callable[[Créance], Any]:
    return lambda c: c.contrepasser(t, "impayé", saisi_par=par, approuvé_par=accord, maintenant=T0)


def rembourser(m: str, montant: int, par: str = "x", accord: str = "y") -> Callable[[Créance], Any]:
    return lambda c: c.rembourser(m, montant, saisi_par=par, approuvé_par=accord, maintenant=T0)


# --- La créance et la caisse -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("solde", "ouverte"), [(39_99, False), (40_00, True), (200_00, True), (200_01, False)])
def test_un_avis_ouvre_au_paiement_de_40_à_200_euros_bornes_comprises(solde: int, ouverte: bool) -> None:  # noqa: FBT001
    assert Créance.ouvrir(AVIS._replace(solde_pf_fr=solde), P, maintenant=T0).payable_en_ligne is ouverte


def test_le_même_avis_ne_change_rien_même_après_une_rectification() -> None:
    étant_donné(rectifier("m", 50_00)).quand(lambda c: c.confirmer_avis(AVIS)).alors()


def test_la_même_référence_avec_un_autre_contenu_est_refusée() -> None:
    étant_donné().quand(lambda c: c.confirmer_avis(AVIS._replace(montant_initial=1))).refuse(AvisContradictoire)


def test_le_même_message_deux_fois_ne_change_rien() -> None:
    étant_donné(encaisser("m", 10_00)).quand(encaisser("m", 10_00)).alors()
    étant_donné(rectifier("m", 10_00)).quand(rectifier("m", 10_00)).alors()
    étant_donné(annuler("m")).quand(annuler("m")).alors()


def test_le_même_message_avec_un_autre_contenu_est_refusé() -> None:
    étant_donné(encaisser("m", 10_00)).quand(encaisser("m", 11_00)).refuse(MessageContradictoire)
    étant_donné(encaisser("m", 10_00)).quand(rectifier("m", 10_00)).refuse(MessageContradictoire)


def test_un_avis_annulé_ne_doit_plus_rien_et_ne_se_rectifie_plus() -> None:
    assert étant_donné().quand(annuler("m")).alors(("AvisAnnulé", {"montant_précédent": 100_00})).restant_dû == 0
    étant_donné(annuler("m")).quand(rectifier("n", 1)).refuse(AvisDéjàAnnulé)
    étant_donné(annuler("m")).quand(annuler("n")).refuse(AvisDéjàAnnulé)


def test_l_argent_reçu_sur_une_créance_annulée_est_un_fait() -> None:
    étant_donné(annuler("m")).quand(encaisser("n", 5_00)).alors(
        ("EncaissementReçu", {"montant": 5_00}), ("TropPerçuConstaté", {"total": 5_00})
    )


def test_une_rectification_sous_ce_qui_est_payé_constate_un_trop_perçu_qui_baisse_au_remboursement() -> None:
    payée = (initier("T", 50_00), accepter("T", 50_00))
    étant_donné(*payée).quand(rectifier("m", 20_00)).alors(
        ("AvisRectifié", {"montant_précédent": 100_00}), ("TropPerçuConstaté", {"total": 30_00})
    )
    étant_donné(*payée, rectifier("m", 20_00)).quand(rembourser("r", 10_00)).alors(
        ("TropPerçuRemboursé", {"montant": 10_00}), ("TropPerçuConstaté", {"total": 20_00})
    )


# --- Le paiement d'une créance ---------------------------------------------------------------------------------------


def test_un_paiement_en_cours_réserve_sa_part() -> None:
    créance = étant_donné().quand(initier("T", 30_00)).alors(("PaiementInitié", {"part": 30_00}))
    assert (créance.restant_dû, créance.disponible) == (100_00, 70_00)


def test_une_notification_rejouée_n_encaisse_qu_une_fois() -> None:
    étant_donné(initier("T", 25_00), accepter("T", 25_00)).quand(accepter("T", 25_00)).alors()


def test_une_acceptation_après_un_échec_compte_sans_lever_de_réservation() -> None:
    étant_donné(initier("T", 25_00), échouer("T")).quand(accepter("T", 25_00)).alors(
        ("PaiementAccepté", {"part": 25_00, "part_libérée": 0})
    )


def test_une_acceptation_sur_une_créance_soldée_constate_un_trop_perçu() -> None:
    étant_donné(encaisser("m", 100_00)).quand(accepter("T", 25_00)).alors(
        ("PaiementAccepté", {}), ("TropPerçuConstaté", {"total": 25_00})
    )


def test_un_échec_lève_la_réservation_une_seule_fois() -> None:
    étant_donné(initier("T", 25_00)).quand(échouer("T")).alors(("PaiementÉchoué", {"part_libérée": 25_00}))
    étant_donné(initier("T", 25_00), échouer("T")).quand(échouer("T")).alors()


def test_un_paiement_est_affiché_une_seule_fois_et_seulement_accepté() -> None:
    étant_donné(accepter("T", 25_00)).quand(afficher("T")).alors(("PaiementAffiché", {"affiché_le": T0}))
    étant_donné(accepter("T", 25_00), afficher("T")).quand(afficher("T")).alors()
    étant_donné(initier("T", 25_00)).quand(afficher("T")).alors()


def test_un_paiement_contrepassé_reste_connu_comme_accepté() -> None:
    payée = (accepter("T", 25_00),)
    étant_donné(*payée).quand(contrepasser("T")).alors(("PaiementContrepassé", {"part": 25_00}))
    étant_donné(*payée, contrepasser("T")).quand(accepter("T", 25_00)).alors()
    étant_donné(*payée, contrepasser("T")).quand(contrepasser("T")).refuse(PaiementNonAccepté)


def test_rembourser_et_contrepasser_demandent_une_seconde_personne() -> None:
    étant_donné(accepter("T", 25_00)).quand(contrepasser("T", "x", "x")).refuse(SecondePersonneRequise)
    étant_donné(encaisser("m", 150_00)).quand(rembourser("r", 1_00, "x", "")).refuse(SecondePersonneRequise)


def test_on_ne_rembourse_pas_plus_que_le_trop_perçu() -> None:
    étant_donné(encaisser("m", 150_00)).quand(rembourser("r", 50_01)).refuse(RemboursementExcessif)


# --- Ouvrir un paiement ----------------------------------------------------------------------------------------------


def plusieurs(*créances: Créance) -> dict[str, Créance]:
    return {créance.avis.référence: créance for créance in créances}


def créance(numéro: int, montant: int = 100_00, jour: int = 1, **champs: Any) -> Créance:
    avis = AVIS._replace(
        référence=f"38117012{numéro:08d}F", montant_initial=montant, date_émission=date(2026, 5, jour), **champs
    )
    return Créance.ouvrir(avis, P, maintenant=T0)


def test_inconnue_exclue_annulée_ou_d_un_autre_c_est_le_même_refus() -> None:
    exclue, annulée = créance(1, solde_pf_fr=10_00), créance(2)
    annulée.annuler("m", "", maintenant=T0)
    phrases = set()
    for une, qui in ((None, "a-1"), (exclue, "a-1"), (annulée, "a-1"), (créance(3), "a-2")):
        with pytest.raises(RéférenceNonOuverte) as refus:
            exiger_consultable(une, qui)
        phrases.add(refus.value.phrase)
    assert phrases == {"Cette référence de courrier n'est pas ouverte au paiement en ligne."}


@pytest.mark.parametrize(
    ("montant", "refus"),
    [(15_99, MontantHorsBornes), (16_00, None), (50_00, None), (50_01, MontantHorsBornes)],
)
def test_un_paiement_va_de_16_à_50_euros_bornes_comprises(montant: int, refus: type[Refus] | None) -> None:
    créances = plusieurs(créance(1))
    if refus is None:
        assert sum(i.part for i in décider_imputations("a-1", list(créances), montant, créances, P)) == montant
    else:
        with pytest.raises(refus, match=r"entre 16,00.€ et 50,00.€ par paiement"):
            décider_imputations("a-1", list(créances), montant, créances, P)


def test_une_créance_sous_16_euros_ne_se_coche_pas() -> None:
    créances = plusieurs(créance(1), créance(2, 15_99))
    with pytest.raises(RestantDûInsuffisant, match="merci d'utiliser un autre moyen de paiement"):
        décider_imputations("a-1", list(créances), 20_00, créances, P)


def test_un_paiement_exclusif_refuse_une_créance_qui_en_a_déjà_un_même_s_il_en_reste() -> None:
    créances = plusieurs(créance(1), créance(2))
    première = créances["3811701200000001F"]
    première.initier_paiement("T1", 20_00, Canal.WEB, T0 + timedelta(minutes=15), maintenant=T0)
    assert décider_imputations("a-1", list(créances), 20_00, créances, P)
    with pytest.raises(PaiementEnCours) as refus:
        décider_imputations("a-1", list(créances), 20_00, créances, P, exclusif=True)
    assert refus.value.transactions == ("T1",)
    seule = plusieurs(créances["3811701200000002F"])
    assert décider_imputations("a-1", list(seule), 20_00, seule, P, exclusif=True)


@pytest.mark.parametrize(("reste", "fermée"), [(0, False), (1, True), (15_99, True), (16_00, False)])
def test_un_reste_sous_le_minimum_ferme_la_créance_au_paiement_en_ligne(reste: int, *, fermée: bool) -> None:
    assert P.ferme_au_paiement(reste) is fermée


def test_on_ne_paie_pas_plus_que_le_solde_coché() -> None:
    créances = plusieurs(créance(1, 20_00), créance(2, 20_00))
    with pytest.raises(MontantSupérieurAuSolde):
        décider_imputations("a-1", list(créances), 40_01, créances, P)


def test_ce_qu_un_paiement_en_cours_retient_est_refusé_en_disant_jusqu_à_quand() -> None:
    une = créance(1, 40_00)
    initier("T1", 30_00)(une)
    with pytest.raises(PaiementEnCours) as refus:
        décider_imputations("a-1", [une.avis.référence], 20_00, plusieurs(une), P)
    assert refus.value.transactions == ("T1",)
    assert refus.value.jusqu_à == T0 + timedelta(minutes=15)
    assert "12:15" in refus.value.phrase


def test_deux_caisses_se_paient_séparément() -> None:
    autre = Créance.ouvrir(AVIS._replace(référence="0111701200010075F", caisse="011"), P, maintenant=T0)
    créances = plusieurs(créance(1), autre)
    with pytest.raises(CaissesDifférentes):
        décider_imputations("a-1", list(créances), 20_00, créances, P)


def test_une_sélection_vide_ou_en_double_est_refusée() -> None:
    une = créance(1)
    for références in ([], [une.avis.référence] * 2):
        with pytest.raises(SélectionInvalide):
            décider_imputations("a-1", références, 20_00, plusieurs(une), P)


def test_la_plus_ancienne_est_payée_d_abord_puis_par_référence_et_une_part_peut_être_petite() -> None:
    récente, ancienne_b, ancienne_a = créance(1, 50_00, 9), créance(3, 20_00, 2), créance(2, 20_00, 2)
    créances = plusieurs(récente, ancienne_b, ancienne_a)
    assert décider_imputations("a-1", list(créances), 45_00, créances, P) == (
        Imputation(référence=ancienne_a.avis.référence, part=20_00),
        Imputation(référence=ancienne_b.avis.référence, part=20_00),
        Imputation(référence=récente.avis.référence, part=5_00),
    )


# --- Ce que la banque dit --------------------------------------------------------------------------------------------


def paiement_ouvert() -> tuple[Paiement, dict[str, Créance]]:
    créances = plusieurs(créance(1), créance(2))
    parts = décider_imputations("a-1", list(créances), 30_00, créances, P)
    return (
        ouvrir_paiement(
            "T1", assuré="a-1", canal=Canal.WEB, marchand="m", imputations=parts, créances=créances, politique=P,
            maintenant=T0,
        ),
        créances,
    )  # fmt: skip


def dire(  # noqa: PLR0917 (un exemple par position)
    paiement: Paiement | None,
    créances: dict[str, Créance],
    issue: Issue,
    montant: int = 30_00,
    autorisation: str | None = "A",
    marchand: str = "m",
) -> tuple[Sort, Paiement | None]:
    code = {Issue.ACCEPTÉE: "00", Issue.REFUSÉE: "05", Issue.EN_ATTENTE: "60"}[issue]
    réponse = RéponseBancaire("T1", marchand, montant, issue, code, autorisation, None, None, T0, None)
    verdict, né = appliquer_réponse(paiement, créances, réponse, reçue_le=T0, politique=P, maintenant=T0)
    assert verdict.cause
    return verdict.sort, né


OUI, NON, PEUT_ÊTRE = Issue.ACCEPTÉE, Issue.REFUSÉE, Issue.EN_ATTENTE


@pytest.mark.parametrize(
    ("dits", "sorts"),
    [
        ([(OUI,)], [Sort.APPLIQUÉE]),
        ([(OUI,), (OUI,)], [Sort.APPLIQUÉE, Sort.DOUBLON]),
        ([(NON,), (NON,)], [Sort.APPLIQUÉE, Sort.DOUBLON]),
        ([(NON,), (OUI,), (NON,)], [Sort.APPLIQUÉE, Sort.APPLIQUÉE, Sort.CONTRADICTOIRE]),
        ([(PEUT_ÊTRE,), (OUI,), (PEUT_ÊTRE,)], [Sort.EN_ATTENTE, Sort.APPLIQUÉE, Sort.EN_ATTENTE]),
        ([(OUI, 29_99), (OUI, 29_99), (OUI,)], [Sort.MONTANT_INCOHÉRENT, Sort.DOUBLON, Sort.APPLIQUÉE]),
        ([(OUI,), (OUI, 30_00, "B"), (OUI, 30_00, "B")], [Sort.APPLIQUÉE, Sort.MONTANT_INCOHÉRENT, Sort.DOUBLON]),
        ([(OUI, 30_00, "A", "autre")], [Sort.REJETÉE]),
    ],
)
def test_chaque_réponse_a_son_sort(dits: list[tuple[Any, ...]], sorts: list[Sort]) -> None:
    paiement, créances = paiement_ouvert()
    assert [dire(paiement, créances, *dit)[0] for dit in dits] == sorts


def test_l_argent_d_un_paiement_inconnu_est_un_fait_enregistré_une_fois() -> None:
    sort, né = dire(None, {}, OUI)
    assert sort is Sort.NON_RAPPROCHÉE
    assert né is not None
    assert [type(fait).__name__ for fait in né.pending_events] == ["EncaissementNonImputé"]
    assert dire(né, {}, OUI)[0] is Sort.DOUBLON
    assert dire(None, {}, NON) == (Sort.NON_RAPPROCHÉE, None)


def test_un_paiement_expiré_libère_sa_réservation_et_peut_encore_être_accepté() -> None:
    paiement, créances = paiement_ouvert()
    assert expirer(paiement, créances, maintenant=T0)
    assert not expirer(paiement, créances, maintenant=T0)
    assert sum(c.réservé for c in créances.values()) == 0
    assert dire(paiement, créances, NON)[0] is Sort.DOUBLON
    assert dire(paiement, créances, OUI)[0] is Sort.APPLIQUÉE
    assert paiement.fin is Fin.ACCEPTÉ
    assert sum(c.solde for c in créances.values()) == 170_00


def test_un_paiement_se_reprend_tant_qu_il_est_ouvert() -> None:
    paiement, créances = paiement_ouvert()
    paiement.exiger_ouvert(T0 + timedelta(minutes=14, seconds=59))
    with pytest.raises(PaiementClos):
        paiement.exiger_ouvert(T0 + timedelta(minutes=15))
    dire(paiement, créances, NON)
    with pytest.raises(PaiementClos):
        paiement.exiger_ouvert(T0)


# --- Le temps, les références, l'argent ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("écart", "présumé"),
    [(timedelta(0), False), (timedelta(hours=-48), False), (timedelta(hours=-48, seconds=-1), True),
     (timedelta(seconds=1), True), (None, True)],
)  # fmt: skip
def test_le_délai_part_de_la_banque_ou_de_la_réception_si_elle_n_est_pas_crédible(
    écart: timedelta | None,
    présumé: bool,  # noqa: FBT001
) -> None:
    donné = T0 + écart if écart is not None else None
    départ = départ_du_délai(donné, T0, P)
    assert départ == (T0 if présumé else donné, présumé)


def test_la_transaction_porte_le_jour_de_paris() -> None:
    assert composer_transaction(date(2017, 9, 11), 4) == "PCLCB172540000004"
    assert composer_transaction(date(2017, 9, 11), 4, fragment=3) == "PCLCB172543000004"
    assert jour_de_paris(datetime(2026, 6, 1, 22, 30, tzinfo=UTC)) == date(2026, 6, 2)
    assert jour_de_paris(datetime(2026, 1, 1, 22, 30, tzinfo=UTC)) == date(2026, 1, 1)


def test_une_référence_tolère_les_espaces_et_les_minuscules_et_rien_d_autre() -> None:
    assert lire_référence(" 3811701200010075f ") == "3811701200010075F"
    assert lire_référence("3811 7012 0001 0075 F") == "3811701200010075F"
    for mauvaise in ("", "381170120001007F", "38117012000100755", "٣811701200010075F", "3811701200010075ſ", "1" * 99):
        assert lire_référence(mauvaise) is None


@pytest.mark.parametrize("nir", ["255081416802538", "284052A32102552", "2 55 08 14 168 025 38"])
def test_un_nir_ne_peut_pas_servir_de_pseudonyme(nir: str) -> None:
    assert est_un_nir(nir)
    with pytest.raises(ValidationError):
        TypeAdapter(Pseudonyme).validate_python(nir)


def test_une_clé_de_nir_fausse_n_est_pas_un_nir() -> None:
    assert not est_un_nir("255081416802539")


@pytest.mark.parametrize("montant", [-1, 1.5, True, "100", 10**13])
def test_un_événement_ne_porte_jamais_un_montant_impossible(montant: Any) -> None:
    with pytest.raises(ValidationError):
        étant_donné().quand(encaisser("m", montant)).alors()


def test_un_événement_n_a_pas_d_horloge_et_refuse_un_instant_sans_fuseau() -> None:
    with pytest.raises(TypeError):
        Créance.ouvrir(AVIS, P, maintenant=None)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Créance.ouvrir(AVIS, P, maintenant=datetime(2026, 1, 1))  # noqa: DTZ001


def test_les_caisses_ont_leur_nom_et_un_code_inconnu_est_montré_tel_quel() -> None:
    assert nom_de_caisse("381") == "CPAM DE L'ISÈRE"
    assert nom_de_caisse("481") == "CCSS DE LA LOZÈRE"
    assert nom_de_caisse("999") == "Caisse 999"


def test_les_montants_s_écrivent_comme_sur_un_courrier() -> None:
    assert euros(8709) == "87,09\xa0€"
    assert euros(123_456_78) == "123\xa0456,78\xa0€"
