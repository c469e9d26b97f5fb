"""Les totaux sont bornés à part des montants : aucun fait ne se refuse, ni à naître ni à s'écrire, d'être grand."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from domain.anomalie import Anomalie
from domain.avis import Avis, Canal, Mode, Moyen
from domain.creance import Créance
from domain.geste import Geste, Proposition, Source, composer_id
from domain.imputation import Imputation
from domain.monnaie import CENTIMES_MAX, Centimes, Somme
from domain.paiement import Acceptation, Fin, Paiement
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from domain.sort import Sort
from tests.mapper import MAPPER

T0 = datetime(2026, 6, 1, 10, tzinfo=UTC)
REFERENCE = ReferenceCreance("3811701200010075F")
MAXIMUM = Centimes(CENTIMES_MAX)
PART = (Imputation(reference=REFERENCE, part=MAXIMUM),)
PERSONNES: dict[str, Any] = {"saisi_par": "x", "approuve_par": "y"}


def relus(faits: Iterable[Any]) -> None:
    """Chacun s'écrit, et se relit tel quel."""
    for fait in faits:
        etat = MAPPER.write(fait)
        assert MAPPER.lire(fait.originator_id, fait.originator_version, fait.TOPIC, etat) == fait


def test_ce_que_plusieurs_encaissements_font_en_tout_s_impute_et_se_rembourse() -> None:
    paiement = Paiement.ouvrir(
        ReferenceTransaction("T1"),
        assure=Pseudonyme("a-1"),
        caisse=CodeCaisse("381"),
        canal=Canal.WEB,
        marchand="002001000000001",
        montant=MAXIMUM,
        imputations=PART,
        expire_le=T0,
        maintenant=T0,
    )
    for autorisation in ("111111", "222222"):
        pris = Acceptation("002001000000001", MAXIMUM, autorisation, T0, depart_presume=False)
        assert paiement.encaisser_sans_imputer(pris, Sort.MONTANT_INCOHERENT, maintenant=T0)
    paiement.conclure(Fin.EN_VERIFICATION, "la banque a pris un autre montant", maintenant=T0)
    anomalies = [composer_id(Source.ARGENT, paiement.transaction, numero) for numero in paiement.argent]
    paiement.demander_remboursement(anomalies[0], Somme(paiement.pris), maintenant=T0)
    assert paiement.conclure_remboursement(anomalies[0], None, maintenant=T0)
    for anomalie in anomalies:
        paiement.imputer_argent(anomalie, PART, maintenant=T0, **PERSONNES)
    paiement.finir_verification(maintenant=T0)
    relus(paiement.collect_events())


def test_un_trop_percu_se_rembourse_en_entier() -> None:
    avis = Avis(
        REFERENCE,
        Pseudonyme("a-1"),
        CodeCaisse("381"),
        "PF/FR",
        MAXIMUM,
        Centimes(100_00),
        T0.date(),
        Mode.PAPIER,
    )
    creance = Créance.ouvrir(avis, Politique(), maintenant=T0)
    for rang in range(4):
        assert creance.encaisser(f"m{rang}", MAXIMUM, Moyen.VIREMENT, T0.date(), maintenant=T0)
    assert creance.rembourser("r", Somme(creance.trop_percu), maintenant=T0, **PERSONNES)
    assert creance.trop_percu == 0
    relus(creance.collect_events())


def test_une_anomalie_porte_le_total_de_ce_que_la_banque_a_pris() -> None:
    nom = ReferenceTransaction("T1")
    anomalie = Anomalie.intacte(composer_id(Source.PAIEMENT, nom), maintenant=T0)
    total = Somme(3 * CENTIMES_MAX)
    anomalie.signaler("à voir", total, nom, par="x", maintenant=T0)
    voulue = Proposition(geste=Geste.CONTREPASSER, montant=total, transaction=nom, motif="impayé")
    assert anomalie.proposer(voulue, par="x", expire_le=T0, maintenant=T0)
    relus(anomalie.collect_events())
