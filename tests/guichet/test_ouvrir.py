"""Ouvrir un paiement : un seul marchand, une part aléatoire, et ce que la clé d'idempotence garde."""

from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from guichet.guichet import jeton_au_hasard
from service.settings import Merchant
from tests.consumers.banc import MARCHAND, avis, banc

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


def test_la_cle_d_idempotence_garde_la_reponse_sous_la_forme_du_contrat(base: Any, kafka: str, prefixe: str) -> None:
    with banc(base.url, kafka, prefixe) as b:
        b.prendre("avis", avis(1))
        transaction = b.ouvrir(avis(1)["reference"], 20_00)
        [(gardee,)] = b.conn.execute("SELECT reponse FROM journal.cles_idempotence").fetchall()
        assert set(gardee) == {"transaction", "montant_centimes", "imputations", "expire_le", "kiosque"}
        assert gardee["transaction"] == transaction
        assert gardee["imputations"] == [{"reference": avis(1)["reference"], "montant_centimes": 20_00}]
        assert set(gardee["kiosque"]) == {"url", "champs"}
