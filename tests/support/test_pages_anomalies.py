"""Les anomalies, de la liste au solde réglé, à deux personnes, dans les pages."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.support.pages_anomalies import CONFIRMATIONS
from engine.follower import Follower
from projections.lectures.sources_d_anomalies import Communes, _attente
from projections.vues.anomalies import Anomalies
from tests.api.navigation import champ, lisible
from tests.mapper import MAPPER
from tests.support.banc import AUTRE, MOTIF, REF, Service, acces, paiement, recevoir
from tests.support.test_pages import entrer, page


@pytest.fixture
def reglages_api() -> Mapping[str, Any]:
    """La démonstration : on y choisit qui l'on est."""
    return {"demo": True}


@pytest.fixture
def orphelin(service: Service) -> str:
    """La banque a pris 20,00 EUR pour un paiement inconnu ; le nom de l'anomalie."""
    service.avis(REF)
    recevoir(service, "ORPHELIN", 20_00)
    suivre(service)
    return "argent-ORPHELIN-1"


def suivre(service: Service) -> None:
    Follower(service.url_base, Anomalies(), mapper=MAPPER).catch_up()
    service.catch_up()


def poster(service: Service, ident: str, quoi: str, **champs: str) -> Any:
    vue = page(service, f"/support/anomalies/{ident}")
    donnees = {"jeton": champ(vue, "jeton")} | champs
    return service.client.post(f"/support/anomalies/{ident}/{quoi}", params={"motif": MOTIF}, data=donnees)


def test_de_l_argent_orphelin_va_a_sa_creance_par_deux_personnes(service: Service, orphelin: str) -> None:
    entrer(service)
    liste = page(service, "/support/anomalies")
    assert f"/support/anomalies/{orphelin}?motif=" in liste.text
    assert page(service, "/support", q=orphelin).headers["Location"].startswith(f"/support/anomalies/{orphelin}")
    propose = poster(
        service, orphelin, "reglement", geste="rattacher", creances=f"{REF} 20,00", raison="vu au téléphone avec elle"
    )
    assert propose.status_code == 303, lisible(propose)
    vue = lisible(service.client.get(propose.headers["Location"]))
    assert "une seconde personne doit maintenant l'approuver" in vue
    assert "Approuver" not in vue.partition("Proposé par")[2]
    meme = poster(service, orphelin, "approbation", decision="approuver")
    assert (meme.status_code, "Rien n'a changé" in meme.text) == (409, True)
    entrer(service, "paul")
    assert "20,00 €" in lisible(page(service, f"/support/anomalies/{orphelin}"))
    approuve = poster(service, orphelin, "approbation", decision="approuver")
    assert approuve.status_code == 303, lisible(approuve)
    assert "Réglé." in lisible(service.client.get(approuve.headers["Location"]))
    suivre(service)
    histoire = lisible(page(service, f"/support/creances/{REF}"))
    assert "Il reste 67,09 € à payer" in histoire
    assert "20,00 € que la banque avait pris ont été mis sur cette créance" in histoire
    assert "0 anomalie" in lisible(page(service, "/support/anomalies"))
    assert ("paul", "page", "anomalie", f"anomalie-{orphelin}") in [ligne[:4] for ligne in acces(service)]


@pytest.mark.parametrize("suite", ["regle", "propose", "abandonne", "decline", "en_execution", "<b>x</b>"])
def test_aucune_adresse_ne_fait_dire_qu_un_reglement_est_fait(service: Service, orphelin: str, suite: str) -> None:
    entrer(service)
    lue = page(service, f"/support/anomalies/{orphelin}", fait=suite)
    assert (lue.status_code, "<b>x</b>" in lue.text) == (200, False)
    assert [phrase for phrase in CONFIRMATIONS.values() if phrase in lisible(lue)] == []


def test_ce_qui_vient_d_etre_fait_se_dit_un_moment(service: Service, orphelin: str) -> None:
    entrer(service)
    propose = poster(service, orphelin, "reglement", geste="rattacher", creances=REF, raison="vu avec elle")
    assert "une seconde personne doit maintenant" in lisible(service.client.get(propose.headers["Location"]))
    service.maintenant = datetime.now(UTC) + timedelta(minutes=5)
    assert "une seconde personne doit maintenant" not in lisible(service.client.get(propose.headers["Location"]))


@pytest.mark.parametrize(
    "champs",
    [
        {"geste": "rattacher", "creances": "n'importe quoi", "raison": "vu avec elle"},
        {"geste": "rattacher", "creances": f"{REF} 9999,00", "raison": "vu avec elle"},
        {"geste": "rattacher", "creances": AUTRE, "raison": "vu avec elle"},
        {"geste": "rattacher", "creances": REF, "raison": "<script>alert(1)</script>"},
        {"geste": "rattacher", "creances": REF, "raison": ""},
        {"geste": "voler", "raison": "vu avec elle"},
        {"geste": "rendre", "voie": "valise", "raison": "vu avec elle"},
        {"geste": "rendre", "voie": "virement", "montant": "1 2,3,4", "raison": "vu avec elle"},
        {},
    ],
    ids=str,
)
def test_un_reglement_impossible_est_refuse_et_rien_ne_change(
    service: Service, orphelin: str, champs: dict[str, str]
) -> None:
    entrer(service)
    refuse = poster(service, orphelin, "reglement", **champs)
    assert (refuse.status_code in {404, 409, 422}, 'id="erreurs"' in refuse.text) == (True, True)
    assert "<script>alert" not in refuse.text
    assert "Rien encore." in lisible(page(service, f"/support/anomalies/{orphelin}"))


def test_sans_motif_rien_n_est_montre_et_une_inconnue_ramene_a_la_recherche(service: Service, orphelin: str) -> None:
    entrer(service)
    for chemin in ("/support/anomalies", f"/support/anomalies/{orphelin}"):
        demande = service.client.get(chemin)
        assert (demande.status_code, "ORPHELIN</a>" in demande.text) == (422, False)
    inconnue = page(service, "/support/anomalies/argent-RIEN-1")
    assert (inconnue.status_code, 'name="q"' in inconnue.text) == (404, True)


def test_une_note_sur_une_anomalie_se_lit_avec_elle(service: Service, orphelin: str) -> None:
    entrer(service)
    vue = page(service, f"/support/anomalies/{orphelin}")
    champs = {"jeton": champ(vue, "jeton"), "objet": f"anomalie-{orphelin}", "texte": "rappeler demain"}
    notee = service.client.post("/support/notes", params={"motif": MOTIF}, data=champs)
    assert "rappeler demain" in service.client.get(notee.headers["Location"]).text


def test_une_part_de_l_argent_se_conclut_aussi_par_la_page(service: Service) -> None:
    """Ce qui dépasse la dette ne se conclut pas : la page aussi laisse en dire une part."""
    service.avis(REF)
    transaction = paiement(service, REF)
    recevoir(service, transaction, 100_00)
    suivre(service)
    entrer(service)
    trouve = re.search(rf"argent-{transaction}-\d+", page(service, "/support/anomalies").text)
    assert trouve is not None
    ident = trouve[0]
    assert 'id="montant-conclure"' in page(service, f"/support/anomalies/{ident}").text
    propose = poster(service, ident, "reglement", geste="conclure", montant="87,09", raison="vu avec elle")
    assert propose.status_code == 303, lisible(propose)
    entrer(service, "paul")
    assert poster(service, ident, "approbation", decision="approuver").status_code == 303
    suivre(service)
    assert "Il en reste 12,91" in lisible(page(service, f"/support/anomalies/{ident}"))


def test_un_remboursement_que_la_banque_tait_s_abandonne_par_la_page(service: Service, orphelin: str) -> None:
    """La banque du banc ne répond pas : le règlement attend, et la page dit qui peut l'abandonner."""
    entrer(service)
    poster(service, orphelin, "reglement", geste="rendre", voie="carte", raison="vu avec elle")
    entrer(service, "paul")
    approuve = poster(service, orphelin, "approbation", decision="approuver")
    assert "la banque n'a pas encore répondu" in lisible(service.client.get(approuve.headers["Location"]))
    entrer(service)
    attend = page(service, f"/support/anomalies/{orphelin}")
    assert "une autre personne que vous peut l'abandonner" in lisible(attend)
    assert ("Ce qui peut en être fait" in lisible(attend), 'value="decliner"' in attend.text) == (False, False)
    entrer(service, "paul")
    assert 'value="decliner"' in page(service, f"/support/anomalies/{orphelin}").text
    abandonne = poster(service, orphelin, "approbation", decision="decliner", raison="la banque n'a rien rendu")
    assert "Abandonné : rien n'a bougé" in lisible(service.client.get(abandonne.headers["Location"]))
    suivre(service)
    assert "Ce qui peut en être fait" in lisible(page(service, f"/support/anomalies/{orphelin}"))


def test_ailleurs_que_chez_elle_une_creance_est_nommee(service: Service) -> None:
    service.avis(REF)
    transaction = paiement(service, REF)
    recevoir(service, transaction, 20_00)
    entrer(service)
    for chemin in (f"/support/paiements/{transaction}", "/support/assures/a-1"):
        dit = lisible(page(service, chemin))
        assert "cette créance" not in dit, chemin
        assert f"sur la créance {REF}." in dit, chemin
    assert "sur cette créance." in lisible(page(service, f"/support/creances/{REF}"))


def test_une_seconde_autorisation_se_dit_en_francais(service: Service) -> None:
    service.avis(REF)
    transaction = paiement(service, REF)
    recevoir(service, transaction, 20_00)
    recevoir(service, transaction, 20_00, authorisationId="555555")
    suivre(service)
    entrer(service)
    assert "(autorisation 555555), déjà accepté." in lisible(page(service, "/support/anomalies"))


@pytest.mark.parametrize(
    ("champs", "fautif"),
    [
        ({"geste": "rattacher", "creances": "n'importe", "raison": "vu avec elle"}, "creances-rattacher"),
        ({"geste": "rattacher", "creances": "", "raison": "vu avec elle"}, "creances-rattacher"),
        ({"geste": "rattacher", "creances": "3819999999999998F", "raison": "vu avec elle"}, "creances-rattacher"),
        ({"geste": "rattacher", "creances": f"{REF} 30", "raison": "vu avec elle"}, "creances-rattacher"),
        ({"geste": "rattacher", "creances": f"{REF} 0", "raison": "vu avec elle"}, "creances-rattacher"),
        ({"geste": "rattacher", "creances": REF, "raison": "<b>"}, "raison-rattacher"),
        ({"geste": "rattacher", "creances": REF, "raison": "vu avec elle", "preuve": "<b>"}, "preuve-rattacher"),
        ({"geste": "rendre", "voie": "virement", "raison": "vu avec elle"}, "preuve-rendre"),
        ({"geste": "rendre", "voie": "carte", "montant": "abc", "raison": "vu avec elle"}, "montant-rendre"),
        ({"geste": "rendre", "voie": "carte", "montant": "0", "raison": "vu avec elle"}, "montant-rendre"),
        ({"geste": "rendre", "voie": "carte", "transaction": "<b>", "raison": "vu avec elle"}, "transaction-rendre"),
    ],
)
def test_un_reglement_refuse_montre_le_champ_fautif(
    service: Service, orphelin: str, champs: dict[str, str], fautif: str
) -> None:
    entrer(service)
    refuse = poster(service, orphelin, "reglement", **champs)
    assert refuse.status_code in {409, 422}
    assert f'<a href="#{fautif}">' in refuse.text
    assert re.findall(r'id="([^"]*)"[^>]* aria-invalid="true"', refuse.text) == [fautif]
    assert "votre paiement" not in lisible(refuse)
    assert "attend une seconde personne" not in lisible(page(service, f"/support/anomalies/{orphelin}"))


def test_regler_ce_qui_l_est_deja_mene_a_ce_qui_en_est_dit(service: Service, orphelin: str) -> None:
    entrer(service)
    poster(service, orphelin, "reglement", geste="rattacher", creances=REF, raison="vu avec elle")
    entrer(service, "paul")
    poster(service, orphelin, "approbation", decision="approuver")
    suivre(service)
    encore = poster(service, orphelin, "reglement", geste="rattacher", creances=REF, raison="vu avec elle")
    assert (encore.status_code, '<a href="#titre-quoi">' in encore.text) == (409, True)
    assert 'id="titre-quoi"' in encore.text
    assert "Réglée le" in lisible(encore)


def test_une_note_refusee_sur_une_anomalie_reste_sous_les_yeux(service: Service, orphelin: str) -> None:
    entrer(service)
    vue = page(service, f"/support/anomalies/{orphelin}")
    champs = {"jeton": champ(vue, "jeton"), "objet": f"anomalie-{orphelin}", "texte": "NIR 255081416802538"}
    refusee = service.client.post("/support/notes", params={"motif": MOTIF}, data=champs)
    assert (refusee.status_code, '<a href="#texte">' in refusee.text) == (422, True)
    assert "NIR 255081416802538</textarea>" in refusee.text
    assert "Ce qui peut en être fait" in refusee.text


def test_un_cheque_sans_avis_dit_qu_il_s_appliquera_de_lui_meme() -> None:
    ligne = _attente(
        Communes("attente-1", "en_souffrance", datetime.now(UTC), 0, REF, None, None, None),
        ("aucun avis n'a été reçu", b"", None, None),
        lambda _: (30_00, frozenset()),
    )
    assert ligne.cause.endswith("Dès que ce qu'il attend arrive, il s'applique de lui-même.")
