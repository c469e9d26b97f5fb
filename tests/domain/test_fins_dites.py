"""La fin d'un paiement, dans une phrase : le mot d'une personne, pas celui du journal."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.avis import Canal
from domain.monnaie import Centimes
from domain.notification import appliquer_reponse
from domain.paiement import Fin, Paiement
from domain.references import CodeCaisse, Pseudonyme, ReferenceTransaction
from domain.reponse import Issue, ReponseBancaire

T0 = datetime(2026, 6, 1, 10, tzinfo=UTC)
MARCHAND = "002001000000001"


@pytest.mark.parametrize(("fin", "dite"), [(Fin.ECHOUE, "échoué"), (Fin.EXPIRE, "expiré")])
def test_une_acceptation_tardive_dit_la_fin_qu_elle_suit(fin: Fin, dite: str) -> None:
    paiement = Paiement.ouvrir(
        ReferenceTransaction("T1"),
        assure=Pseudonyme("a-1"),
        caisse=CodeCaisse("381"),
        canal=Canal.WEB,
        marchand=MARCHAND,
        montant=Centimes(20_00),
        imputations=(),
        expire_le=T0 + timedelta(minutes=15),
        maintenant=T0,
    )
    paiement.conclure(fin, "la banque", maintenant=T0)
    reponse = ReponseBancaire(
        ReferenceTransaction("T1"), MARCHAND, Centimes(20_00), Issue.ACCEPTEE, "00", "A", None, None, T0, None
    )
    verdict, _ = appliquer_reponse(paiement, {}, reponse, recue_le=T0, maintenant=T0)
    assert verdict.cause == f"acceptée par la banque, après une fin « {dite} »"


def test_chaque_fin_se_dit() -> None:
    assert [fin.dite for fin in Fin] == ["accepté", "échoué", "expiré", "en vérification"]
