"""Un rôle tué par SIGKILL entre deux étapes quelconques laisse le même journal et les mêmes vues."""

from collections.abc import Sequence
from typing import Any

import pytest

from service import composition
from tests.consumers.banc import Banc, avis, banc, notification
from tests.outils import se_tuer

ETAPES_D_UN_LOT = 6
"""décider, rebuter, inscrire, valider, validé, suite."""
LOT = 4


def tuer(b: Banc, role: str, etape: int) -> None:
    """Lance le rôle, qui se tue à cette étape."""
    se_tuer(
        "tests.consumers.role_tue",
        role,
        etape,
        f"{b.settings.topic_prefix}-{etape}",
        database_url=b.settings.database_url,
        kafka_bootstrap=b.settings.kafka_bootstrap,
        topic_prefix=b.settings.topic_prefix,
        batch_size=LOT,
        follower_batch_size=LOT,
    )


def preparer(b: Banc, *, seulement_la_base: bool = False) -> list[tuple[str, Any]]:
    """Dix créances, un paiement ouvert sur chacune ; rend ce que la banque en dira, doublons et désordre compris."""
    creances = [avis(numero) for numero in range(10)]
    if not seulement_la_base:
        b.emettre_avis(*creances)
    b.consommer("avis", len(creances))
    transactions = [b.ouvrir(creance["reference"], 20_00) for creance in creances]
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
def deux_bancs(base: Any, seconde_base: Any, kafka: str, prefixe: str) -> Any:
    """Deux bases qui lisent les mêmes topics : l'une tranquille, l'autre que l'on tue."""
    with (
        banc(base.url, kafka, prefixe, batch_size=LOT) as tranquille,
        banc(seconde_base.url, kafka, prefixe, batch_size=LOT) as tuee,
    ):
        yield tranquille, tuee


@pytest.mark.parametrize(
    "etapes",
    [
        pytest.param([5], id="validé, que Kafka ne sait pas"),
        pytest.param(range(1, ETAPES_D_UN_LOT + 1), id="toutes", marks=pytest.mark.lent),
    ],
)
def test_un_consommateur_tue_a_chaque_etape_laisse_le_meme_journal_et_les_memes_vues(
    deux_bancs: tuple[Banc, Banc], etapes: Sequence[int]
) -> None:
    tranquille, tuee = deux_bancs
    dits = preparer(tranquille)
    preparer(tuee, seulement_la_base=True)
    tranquille.emettre(tranquille.settings.topic_notifications, dits)

    for etape in etapes:
        tuer(tuee, "kiosque", etape)
    assert tuee.fates(tuee.settings.topic_notifications) < len(dits), "tout est déjà fait : la coupure n'éprouve rien"

    for b in (tranquille, tuee):
        b.consommer("kiosque", len(dits))
        b.projeter()
    assert tuee.journal() == tranquille.journal()
    for vue, cle in (("restant_du", "reference"), ("paiements", "transaction")):
        assert tuee.vue(vue, cle) == tranquille.vue(vue, cle)
    assert tuee.par_sort(tuee.settings.topic_notifications) == tranquille.par_sort(
        tranquille.settings.topic_notifications
    )


@pytest.mark.parametrize(
    ("vue", "etapes"),
    [
        pytest.param("restant_du", [3], id="restant_du, avant de valider"),
        *(pytest.param(vue, range(1, 5), id=vue, marks=pytest.mark.lent) for vue in composition.VIEWS),
    ],
)
def test_un_suiveur_tue_a_chaque_etape_laisse_les_memes_vues(
    deux_bancs: tuple[Banc, Banc], vue: str, etapes: Sequence[int]
) -> None:
    """Ses étapes : lire, appliquer, valider, suite."""
    tranquille, tuee = deux_bancs
    dits = preparer(tranquille)
    preparer(tuee, seulement_la_base=True)
    tranquille.emettre(tranquille.settings.topic_notifications, dits)
    for b in (tranquille, tuee):
        b.consommer("kiosque", len(dits))
    if vue == "delai_affichage":  # Il lit derrière restant_du.
        composition.follower(tuee.settings, tuee.guichet.recorder, "restant_du").catch_up()

    for etape in etapes:
        tuer(tuee, vue, etape)
    for b in (tranquille, tuee):
        b.projeter()

    for nom, cle in (
        ("restant_du", "reference"),
        ("paiements", "transaction"),
        ("delai_affichage", "reference"),
        ("messagerie", "transaction"),
    ):
        sans_heure = [tuple(v for v in ligne if not hasattr(v, "tzinfo")) for ligne in tranquille.vue(nom, cle)]
        assert [tuple(v for v in ligne if not hasattr(v, "tzinfo")) for ligne in tuee.vue(nom, cle)] == sans_heure
    affiches = [ligne[:3] for ligne in tranquille.journal() if "Affiche" in ligne[2]]
    assert [ligne[:3] for ligne in tuee.journal() if "Affiche" in ligne[2]] == affiches
    assert affiches, "aucun paiement affiché : le test n'éprouve rien"
