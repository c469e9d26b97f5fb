"""La demande de paiement : ce que le navigateur poste au kiosque."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import ValidationError

from domain.avis import Canal
from kiosque.interface import DemandeDePaiement, DemandeInvalide
from kiosque.operation import Indeterminee
from kiosque.sips.donnees import lire_paires
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Algorithme, Marchand, sceller

SECRET = "002001000000001_KEY1"
DEMANDE = DemandeDePaiement(
    transaction="PCLCB172540000004",
    marchand="002001000000001",
    caisse="381",
    montant=20_00,
    client="a-7c1e55d0",
    canal=Canal.WEB,
    url_retour="http://127.0.0.1:8000/kiosque/retour",
    url_notification="http://127.0.0.1:8000/kiosque/notification",
)


def test_le_formulaire_porte_les_champs_de_sips_sous_un_bon_sceau(kiosque: Sips) -> None:
    formulaire = kiosque.formulaire(DEMANDE)
    valeurs = lire_paires(formulaire.champs["Data"])
    assert formulaire.url == "http://kiosque.test/paypage"
    assert {nom: valeurs[nom] for nom in ("amount", "currencyCode", "merchantId", "keyVersion")} == {
        "amount": "2000",
        "currencyCode": "978",
        "merchantId": "002001000000001",
        "keyVersion": "1",
    }
    assert valeurs["transactionReference"] == valeurs["orderId"] == "PCLCB172540000004"
    assert valeurs["normalReturnUrl"] == DEMANDE.url_retour
    assert valeurs["automaticResponseUrl"] == DEMANDE.url_notification
    assert formulaire.champs["InterfaceVersion"] == "HP_2.40"
    assert formulaire.champs["Seal"] == sceller(formulaire.champs["Data"].encode(), SECRET.encode(), Algorithme.SHA_256)


def test_la_meme_demande_donne_le_meme_formulaire(kiosque: Sips) -> None:
    assert kiosque.formulaire(DEMANDE) == kiosque.formulaire(replace(DEMANDE))


def test_le_pseudonyme_de_l_assure_ne_sort_pas(kiosque: Sips) -> None:
    data = kiosque.formulaire(DEMANDE).champs["Data"]
    assert DEMANDE.client not in data
    assert len(lire_paires(data)["customerId"]) == 19


@pytest.mark.parametrize(
    "faute",
    [
        {"transaction": "PCL-1"},
        {"transaction": "x" * 36},
        {"transaction": "PCL1\n"},
        {"caisse": "38"},
        {"montant": 0},
        {"montant": -1},
        {"montant": 10**12},
        {"client": ""},
        {"jeton_retour": ""},
        {"jeton_retour": "a|amount=1"},
        {"canal": "minitel"},
        {"url_retour": "http://a.test/retour?x=1"},
        {"url_retour": "/retour"},
        {"url_retour": "http://a.test/|amount=1"},
        {"url_retour": "http://a.test;script-src/"},
        {"url_notification": "ftp://a.test/"},
        {"url_notification": "http://"},
    ],
)
def test_une_demande_incoherente_ne_nait_pas(faute: dict[str, object]) -> None:
    with pytest.raises(DemandeInvalide):
        replace(DEMANDE, **faute)  # type: ignore[arg-type]


def test_chaque_caisse_a_son_marchand_et_une_caisse_sans_marchand_est_refusee() -> None:
    marchands = {
        caisse: Marchand.model_validate({"id": identifiant, "cles": {1: "x"}, "version_courante": 1})
        for caisse, identifiant in {"381": "201000005940002", "011": "201000005940003"}.items()
    }
    reglages = ReglagesSips(url="http://k.test/p", office="http://k.test", marchands=marchands)
    with Sips(reglages) as kiosque:
        assert kiosque.marchand_de("381") == "201000005940002"
        assert kiosque.marchand_de("011") == "201000005940003"
        with pytest.raises(DemandeInvalide):
            kiosque.marchand_de("971")
        with pytest.raises(DemandeInvalide):
            kiosque.formulaire(replace(DEMANDE, marchand="999999999999999"))
        assert isinstance(kiosque.interroger("T1", "999999999999999"), Indeterminee)


def test_le_marchand_est_celui_du_paiement_meme_retire_depuis(autre_kiosque: Callable[..., Sips]) -> None:
    retire = {"id": "201000005940009", "cles": {7: "ancienne"}, "version_courante": 7}
    with autre_kiosque(retires=[retire]) as kiosque:
        champs = kiosque.formulaire(replace(DEMANDE, marchand="201000005940009")).champs
    assert lire_paires(champs["Data"])["merchantId"] == "201000005940009"
    assert champs["Seal"] == sceller(champs["Data"].encode(), b"ancienne", Algorithme.SHA_256)


def test_le_jeton_de_retour_part_dans_le_champ_que_la_banque_renvoie(kiosque: Sips) -> None:
    valeurs = lire_paires(kiosque.formulaire(replace(DEMANDE, jeton_retour="h4-zard_9")).champs["Data"])
    assert valeurs["returnContext"] == valeurs["orderId"] == "h4-zard_9", "Office ne rend que le second"


@pytest.mark.parametrize(
    "faute", [{"url": "kiosque"}, {"marchands": {}}, {"marchands": {"3": None}}, {"algorithme": "MD5"}, {"delai_s": 0}]
)
def test_des_reglages_impossibles_sont_refuses_au_demarrage(faute: dict[str, object]) -> None:
    marchand = Marchand.model_validate({"id": "002001000000001", "cles": {1: "x"}, "version_courante": 1})
    bons = {"url": "http://k.test/p", "office": "http://k.test", "marchands": {"": marchand}}
    with pytest.raises(ValidationError):
        ReglagesSips.model_validate(bons | faute)
