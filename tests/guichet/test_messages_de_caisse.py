"""Ce qu'un message de caisse ne peut pas dire."""

import json
from datetime import date
from typing import Any

import pytest

from domain.politique import Politique
from engine.messages import UnreadableMessage
from guichet.prendre_avis import (
    MessageAvisAnnule,
    MessageAvisRectifie,
    exiger_des_jours_plausibles,
    lire_message_de_caisse,
)

AVIS: dict[str, Any] = {
    "type": "avis_emis",
    "reference": "3811701200010075F",
    "assure": "a-1",
    "caisse": "381",
    "nature": "PF/FR",
    "montant_initial_centimes": 87_09,
    "solde_pf_fr_centimes": 87_09,
    "date_emission": "2026-05-12",
    "mode": "papier",
}
AUJOURD_HUI = date(2026, 6, 1)


def juger(octets: bytes) -> None:
    exiger_des_jours_plausibles(lire_message_de_caisse(octets), Politique(), AUJOURD_HUI)


def test_un_avis_ordinaire_se_lit() -> None:
    juger(json.dumps(AVIS).encode())


def test_une_cle_json_repetee_est_refusee_et_nommee() -> None:
    octets = json.dumps(AVIS).encode().replace(b'"caisse": "381"', b'"caisse": "011", "caisse": "381"')
    with pytest.raises(UnreadableMessage, match="caisse : champ présent deux fois"):
        juger(octets)


@pytest.mark.parametrize("jour", ["0026-05-12", "2062-05-12", "2004-12-31", "2026-08-31"])
def test_une_date_hors_de_raison_est_refusee_et_nommee(jour: str) -> None:
    with pytest.raises(UnreadableMessage, match="date_emission : date hors de raison"):
        juger(json.dumps(AVIS | {"date_emission": jour}).encode())
    cheque = {
        "type": "encaissement_recu", "reference": AVIS["reference"], "message_id": "m-1", "montant_centimes": 1,
        "moyen": "cheque", "date": jour,
    }  # fmt: skip
    with pytest.raises(UnreadableMessage, match="date : date hors de raison"):
        juger(json.dumps(cheque).encode())


@pytest.mark.parametrize("genre", ["avis_annule", "avis_rectifie"])
def test_un_caractere_nul_dans_une_raison_ne_coute_pas_le_message(genre: str) -> None:
    dit: dict[str, Any] = {"type": genre, "reference": AVIS["reference"], "message_id": "m-1", "motif": "dou\x00ble"}
    if genre == "avis_rectifie":
        dit["montant_initial_centimes"] = 1
    lu = lire_message_de_caisse(json.dumps(dit).encode())
    assert isinstance(lu, MessageAvisAnnule | MessageAvisRectifie)
    assert lu.motif == "dou\N{REPLACEMENT CHARACTER}ble"


@pytest.mark.parametrize("nir", ["2550814168025", "255081416802538"])
def test_un_nir_pour_pseudonyme_est_refuse_et_nomme(nir: str) -> None:
    with pytest.raises(UnreadableMessage, match=r"assure : un numéro de sécurité sociale"):
        juger(json.dumps(AVIS | {"assure": nir}).encode())
