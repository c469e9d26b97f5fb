"""Ouvrir un paiement : un seul marchand, une part aléatoire, et ce que la clé d'idempotence garde."""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from domain.references import Pseudonyme
from guichet.guichet import jeton_au_hasard
from guichet.ouvrir_paiement import FormulaireIndisponible
from guichet.reprendre_paiement import reprendre_paiement
from service.settings import Merchant
from tests.consumers.banc import MAINTENANT, MARCHAND, avis, banc

AUTRE_MARCHAND = "002001000000002"


def test_le_marchand_est_celui_de_la_caisse_de_l_avis_et_non_de_la_reference(
    base: Any, kafka: str, prefixe: str
) -> None:
    autre = Merchant(merchant_id=AUTRE_MARCHAND, secret_key=SecretStr("002001000000002_KEY1"), key_version=1)
    with banc(base.url, kafka, prefixe, kiosque_merchants={"631": autre}) as ouvert:
        b = replace(ouvert, guichet=replace(ouvert.guichet, tirer_jeton=jeton_au_hasard))
        b.prendre("avis", avis(1, caisse="631"), avis(2))
        transactions = [b.ouvrir(avis(numero)["reference"], 20_00) for numero in (1, 2)]
        with b.guichet.base.transaction() as conn:
            ouverts = [b.guichet.charger_paiement(conn, transaction) for transaction in transactions]
        assert [ouvert and (ouvert.caisse, ouvert.marchand) for ouvert in ouverts] == [
            ("631", AUTRE_MARCHAND),
            ("381", MARCHAND),
        ]
        assert len({ouvert.jeton_retour for ouvert in ouverts if ouvert}) == 2


def test_sans_les_cles_du_marchand_de_ce_paiement_le_formulaire_est_refuse_pas_scelle_pour_un_autre(
    base: Any, kafka: str, prefixe: str
) -> None:
    autre = Merchant(merchant_id=AUTRE_MARCHAND, secret_key=SecretStr("002001000000002_KEY1"), key_version=1)
    with banc(base.url, kafka, prefixe, kiosque_merchants={"631": autre}) as hier:
        hier.prendre("avis", avis(1, caisse="631"))
        transaction = hier.ouvrir(avis(1)["reference"], 20_00)
    for retires, remis in (([], False), ([autre], True)):
        with banc(base.url, kafka, prefixe, kiosque_retired_merchants=retires) as b, ExitStack() as pile:
            if not remis:
                pile.enter_context(pytest.raises(FormulaireIndisponible))
            reprendre_paiement(b.guichet, Pseudonyme("a-1"), transaction, MAINTENANT)


def test_la_cle_d_idempotence_garde_la_reponse_sous_la_forme_du_contrat(base: Any, kafka: str, prefixe: str) -> None:
    with banc(base.url, kafka, prefixe) as b:
        b.prendre("avis", avis(1))
        transaction = b.ouvrir(avis(1)["reference"], 20_00)
        [(gardee,)] = b.conn.execute("SELECT reponse FROM journal.cles_idempotence").fetchall()
        assert set(gardee) == {"transaction", "montant_centimes", "imputations", "expire_le", "kiosque"}
        assert gardee["transaction"] == transaction
        assert gardee["imputations"] == [{"reference": avis(1)["reference"], "montant_centimes": 20_00}]
        assert set(gardee["kiosque"]) == {"url", "champs"}
