"""Un rôle tué par SIGKILL entre deux étapes quelconques laisse le même journal et les mêmes vues."""

from typing import Any

import pytest

from service import composition
from tests.consumers.banc import Banc, avis, banc, notification
from tests.outils import se_tuer

ÉTAPES_D_UN_LOT = 6
"""décider, rebuter, inscrire, valider, validé, suite."""
LOT = 4


def tuer(b: Banc, rôle: str, étape: int) -> None:
    """Lance le rôle, qui se tue à cette étape."""
    se_tuer(
        "tests.consumers.role_tue",
        rôle,
        étape,
        f"{b.settings.topic_prefix}-{étape}",
        database_url=b.settings.database_url,
        kafka_bootstrap=b.settings.kafka_bootstrap,
        topic_prefix=b.settings.topic_prefix,
        batch_size=LOT,
        follower_batch_size=LOT,
    )


def préparer(b: Banc, *, seulement_la_base: bool = False) -> list[tuple[str, Any]]:
    """Dix créances, un paiement ouvert sur chacune ; rend ce que la banque en dira, doublons et désordre compris."""
    créances = [avis(numéro) for numéro in range(10)]
    if not seulement_la_base:
        b.émettre_avis(*créances)
    b.consommer("avis", len(créances))
    transactions = [b.ouvrir(créance["reference"], 20_00) for créance in créances]
    dits: list[tuple[str, Any]] = []
    for rang, transaction in enumerate(transactions):
        match rang % 5:
            case 0:
                dits += [(transaction, notification(transaction, 20_00))] * 2
            case 1:
                dits += [(transaction, notification(transaction, 20_00, code)) for code in ("05", "00", "05")]
            case 2:
                dits += [(transaction, notification(transaction, 19_99))] * 2
            case 3:
                dits += [(transaction, notification(transaction, 20_00) | {"Seal": "0" * 64})]
            case _:
                dits += [
                    (transaction, b"\xff\x00 ni JSON, ni UTF-8"),
                    (transaction, notification(transaction, 1, "60")),
                ]
    return dits


@pytest.fixture
def deux_bancs(base: Any, seconde_base: Any, kafka: str, préfixe: str) -> Any:
    """Deux bases qui lisent les mêmes topics : l'une tranquille, l'autre que l'on tue."""
    with (
        banc(base.url, kafka, préfixe, batch_size=LOT) as tranquille,
        banc(seconde_base.url, kafka, préfixe, batch_size=LOT) as tuée,
    ):
        yield tranquille, tuée


def test_un_consommateur_tué_à_chaque_étape_laisse_le_même_journal_et_les_mêmes_vues(
    deux_bancs: tuple[Banc, Banc],
) -> None:
    tranquille, tuée = deux_bancs
    dits = préparer(tranquille)
    préparer(tuée, seulement_la_base=True)
    tranquille.émettre(tranquille.settings.topic_notifications, dits)

    for étape in range(1, ÉTAPES_D_UN_LOT + 1):
        tuer(tuée, "kiosque", étape)
    assert tuée.sorts(tuée.settings.topic_notifications) < len(dits), "tout est déjà fait : la coupure n'éprouve rien"

    for b in (tranquille, tuée):
        b.consommer("kiosque", len(dits))
        b.projeter()
    assert tuée.journal() == tranquille.journal()
    for vue, clé in (("restant_du", "reference"), ("paiements", "transaction")):
        assert tuée.vue(vue, clé) == tranquille.vue(vue, clé)
    assert tuée.par_sort(tuée.settings.topic_notifications) == tranquille.par_sort(
        tranquille.settings.topic_notifications
    )


@pytest.mark.parametrize("vue", composition.VIEWS)
def test_un_suiveur_tué_à_chaque_étape_laisse_les_mêmes_vues(deux_bancs: tuple[Banc, Banc], vue: str) -> None:
    tranquille, tuée = deux_bancs
    dits = préparer(tranquille)
    préparer(tuée, seulement_la_base=True)
    tranquille.émettre(tranquille.settings.topic_notifications, dits)
    for b in (tranquille, tuée):
        b.consommer("kiosque", len(dits))
    if vue == "delai_affichage":  # Il lit derrière restant_du.
        composition.follower(tuée.settings, tuée.guichet.enregistreur, "restant_du").rattraper()

    for étape in range(1, 5):  # lire, appliquer, valider, suite
        tuer(tuée, vue, étape)
    for b in (tranquille, tuée):
        b.projeter()

    for nom, clé in (
        ("restant_du", "reference"),
        ("paiements", "transaction"),
        ("delai_affichage", "reference"),
        ("messagerie", "transaction"),
    ):
        sans_heure = [tuple(v for v in ligne if not hasattr(v, "tzinfo")) for ligne in tranquille.vue(nom, clé)]
        assert [tuple(v for v in ligne if not hasattr(v, "tzinfo")) for ligne in tuée.vue(nom, clé)] == sans_heure
    affichés = [ligne[:3] for ligne in tranquille.journal() if "Affiche" in ligne[2]]
    assert [ligne[:3] for ligne in tuée.journal() if "Affiche" in ligne[2]] == affichés
    assert affichés, "aucun paiement affiché : le test n'éprouve rien"
