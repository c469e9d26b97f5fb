"""Les pages du support : au clavier, sans script, sans impasse, et rien n'y est montré sans motif."""

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from api.support.pages import version_de
from projections.effets import VERIFICATION
from projections.lectures.instant import InstantIllisible, VersionInconnue
from projections.lectures.suite import Dossier
from tests.api.navigation import NAVIGATEUR, champ, lisible
from tests.support.banc import MOTIF, REF, Service, acces, paiement, recevoir

T0 = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def reglages_api() -> Mapping[str, Any]:
    """La démonstration : on y choisit qui l'on est."""
    return {"demo": True}


def entrer(service: Service, agent: str = "claire") -> None:
    service.client.headers.update(NAVIGATEUR)
    service.client.cookies.clear()
    accueil = service.client.get("/")
    reponse = service.client.post("/demonstration/agent", data={"jeton": champ(accueil, "jeton"), "agent": agent})
    assert (reponse.status_code, reponse.headers["Location"]) == (
        303,
        "/support/acces" if agent == "aline" else "/support",
    )


def page(service: Service, chemin: str, **parametres: str) -> httpx.Response:
    return service.client.get(chemin, params={"motif": MOTIF} | parametres)


def test_l_accueil_mene_chacun_a_ses_pages(service: Service) -> None:
    for agent, ou in (("claire", "/support"), ("paul", "/support"), ("aline", "/support/acces")):
        entrer(service, agent)
        accueil = service.client.get("/")
        assert (accueil.status_code, f'href="{ou}"' in accueil.text) == (403, True)
        assert service.client.get(ou).status_code == 200


def test_un_seul_resultat_mene_droit_a_l_histoire_en_deux_pas(paye: tuple[Service, str]) -> None:
    service, transaction = paye
    entrer(service)
    trouve = page(service, "/support", q=transaction)
    assert trouve.headers["Location"].startswith(f"/support/paiements/{transaction}?motif=")
    lue = lisible(service.client.get(trouve.headers["Location"]))
    assert re.search(r"« La banque a accepté le paiement le \d\d/\d\d/\d{4} à \d\d h \d\d", lue)
    for mot in ("761208", "4970##########01", "doublon", "c" * 32):
        assert mot in lue, mot
    assert acces(service)[-1] == ("claire", "page", "historique", f"paiement-{transaction}", ["a-1"], MOTIF)


def test_plusieurs_resultats_disent_ce_qu_ils_sont_et_pourquoi(service: Service) -> None:
    service.avis(REF)
    premier = paiement(service, REF)
    recevoir(service, premier, 20_00)
    paiement(service, REF, cle="k-2")
    entrer(service)
    lue = lisible(page(service, "/support", q="20 € aujourd'hui"))
    assert "2 résultats" in lue
    assert f"Paiement {premier}, 20,00 €, commencé le" in lue
    assert "Répond parce que : un paiement de 20,00 €" in lue


def test_sans_motif_la_page_le_demande_et_ne_montre_rien(paye: tuple[Service, str]) -> None:
    service, _ = paye
    entrer(service)
    demande = service.client.get(f"/support/creances/{REF}", params={"version": "2"})
    assert (demande.status_code, "67,09" in demande.text, acces(service)) == (422, False, [])
    assert (champ(demande, "version"), 'name="motif"' in demande.text) == ("2", True)
    assert service.client.get("/support", params={"q": REF}).status_code == 422


def test_la_page_dit_comment_le_jour_est_compris_et_ce_qui_a_change(paye: tuple[Service, str]) -> None:
    service, _ = paye
    entrer(service)
    lue = lisible(page(service, f"/support/creances/{REF}", version="2"))
    assert "À sa version 2." in lue
    assert "Il reste 87,09 € à payer, dont 20,00 € en attente de la banque" in lue
    assert "jusqu'à maintenant" in lisible(page(service, f"/support/creances/{REF}", au="aujourd'hui"))
    changee = lisible(page(service, f"/support/creances/{REF}", entre="1", et="3"))
    assert "Restant dû 87,09 € 67,09 € −20,00 €" in changee


@pytest.mark.parametrize("au", ["2026", "2999-01-01", "2020-01-01", "<script>alert(1)</script>", "\x1b[31m"])
def test_un_instant_refuse_laisse_la_page_et_dit_pourquoi(paye: tuple[Service, str], au: str) -> None:
    service, _ = paye
    entrer(service)
    refusee = page(service, f"/support/creances/{REF}", au=au)
    assert refusee.status_code in {409, 422}
    assert 'id="erreurs"' in refusee.text
    assert "<script>alert" not in refusee.text


def test_aucun_champ_n_est_execute(paye: tuple[Service, str]) -> None:
    service, _ = paye
    entrer(service)
    balise = '"><img src=x onerror=alert(1)>'
    for chemin, parametres in (
        ("/support", {"q": balise}),
        ("/support", {"q": REF, "motif": balise}),
        (f"/support/creances/{REF}", {"motif": balise, "entre": balise}),
        (f"/support/creances/{balise}", {}),
        ("/support/assures/x", {"au": balise}),
    ):
        assert "<img src=x" not in page(service, chemin, **parametres).text, chemin


def test_une_note_s_ecrit_sous_le_nom_de_l_agent_et_reste_du_texte(paye: tuple[Service, str]) -> None:
    service, _ = paye
    entrer(service)
    vue = page(service, f"/support/creances/{REF}")
    champs = {"jeton": champ(vue, "jeton"), "objet": f"creance-{REF}", "texte": "<b>rappelée</b>"}
    notee = service.client.post("/support/notes", params={"motif": MOTIF}, data=champs)
    assert notee.status_code == 303
    assert "&lt;b&gt;rappelée&lt;/b&gt;" in service.client.get(notee.headers["Location"]).text
    refusee = service.client.post(
        "/support/notes", params={"motif": MOTIF}, data=champs | {"texte": "NIR 255081416802538"}
    )
    assert (refusee.status_code, "NIR 255081416802538" in refusee.text) == (422, True)
    assert service.client.post("/support/notes", data=champs | {"jeton": "x"}).status_code == 403


@pytest.mark.parametrize("forme", ["csv", "json"])
def test_l_histoire_s_emporte(paye: tuple[Service, str], forme: str) -> None:
    service, _ = paye
    entrer(service)
    emportee = page(service, f"/support/creances/{REF}/export.{forme}")
    assert emportee.status_code == 200
    assert f'filename="creance-{REF}.{forme}"' in emportee.headers["Content-Disposition"]
    assert "761208" in emportee.text


def test_chaque_role_n_a_que_ses_pages_et_personne_n_est_dans_une_impasse(paye: tuple[Service, str]) -> None:
    service, _ = paye
    entrer(service, "aline")
    for interdite in ("/support", f"/support/creances/{REF}"):
        refusee = page(service, interdite)
        assert (refusee.status_code, 'href="/support/acces"' in refusee.text) == (403, True)
    entrer(service)
    assert service.client.get("/support/acces").status_code == 403
    assert service.client.get("/payer").status_code == 403
    inconnue = page(service, "/support/creances/3811701200010099F")
    assert (inconnue.status_code, 'name="q"' in inconnue.text) == (404, True)


def test_l_auditrice_voit_les_lectures(paye: tuple[Service, str]) -> None:
    service, _ = paye
    entrer(service)
    page(service, f"/support/creances/{REF}")
    entrer(service, "aline")
    lue = lisible(service.client.get("/support/acces", params={"assure": "a-1"}))
    assert f"claire (support) page historique : creance-{REF} a-1 {MOTIF}" in lue


@pytest.mark.parametrize("forme", ["exe", "CSV", "json.exe", "csv ", "xlsx", "html"])
def test_une_extension_inconnue_n_existe_pas(paye: tuple[Service, str], forme: str) -> None:
    service, _ = paye
    entrer(service)
    for chemin in (f"/support/creances/{REF}", "/support/assures/a-1"):
        assert page(service, f"{chemin}/export.{forme}").status_code == 404
    assert page(service, f"/support/creances/{REF}/export.csv").status_code == 200


@pytest.mark.parametrize(
    ("borne", "version"), [("999", 999), ("1000", 1000), ("2026", 2026), ("2100", 2100), ("", 2100)]
)
def test_une_version_de_mille_et_plus_se_compare(borne: str, version: int) -> None:
    longue = cast("Dossier", SimpleNamespace(derniere_version=2100))
    assert version_de(longue, borne, T0) == version


@pytest.mark.parametrize(
    ("borne", "refus"), [("31", VersionInconnue), ("2026", InstantIllisible), ("9" * 9000, VersionInconnue)]
)
def test_un_nombre_au_dela_de_l_histoire_n_est_ni_une_version_ni_un_jour(borne: str, refus: type[Exception]) -> None:
    with pytest.raises(refus):
        version_de(cast("Dossier", SimpleNamespace(derniere_version=30)), borne, T0)


def a_dire(service: Service, chemin: str, **parametres: str) -> list[str]:
    """Ce que la page donne à lire à la personne, dans l'ordre."""
    lue = html.unescape(page(service, chemin, **parametres).text)
    return re.findall(r"<li>«\s(.*?)\s»</li>", lue.partition('<ul class="a-dire">')[2].partition("</ul>")[0])


def test_un_paiement_en_verification_n_est_dit_echoue_nulle_part(service: Service) -> None:
    service.avis(REF)
    transaction = paiement(service, REF)
    recevoir(service, transaction, 21_00)
    entrer(service)
    chemins = (f"/support/creances/{REF}", f"/support/paiements/{transaction}", "/support/assures/a-1")
    for chemin in chemins:
        dites = a_dire(service, chemin)
        assert dites[0] == VERIFICATION, (chemin, dites)
        assert "n'a pas abouti" not in lisible(page(service, chemin)), chemin
    recevoir(service, transaction, 20_00, authorisationId="555555")
    for chemin in chemins:
        assert VERIFICATION not in a_dire(service, chemin), chemin
    assert a_dire(service, f"/support/creances/{REF}", version="3")[0] == VERIFICATION


def test_une_reponse_repetee_se_dit_apres_ce_qui_est_arrive(service: Service) -> None:
    """La banque la répète à chaque retour de la personne : qui appelle demande d'abord si son paiement est reçu."""
    service.avis(REF)
    transaction = paiement(service, REF)
    for _ in range(2):
        recevoir(service, transaction, 20_00)
    entrer(service)
    dites = a_dire(service, f"/support/paiements/{transaction}")
    assert (len(dites) > 1, "répété" in dites[-1], "répété" in dites[0]) == (True, True, False), dites


def test_un_refus_de_la_banque_se_dit_encore_un_echec(service: Service) -> None:
    service.avis(REF)
    transaction = paiement(service, REF)
    recevoir(service, transaction, 20_00, "05")
    entrer(service)
    assert a_dire(service, f"/support/creances/{REF}")[0].startswith("Le paiement n'a pas abouti")


@pytest.mark.parametrize(
    ("demande", "fautif", "phrase"),
    [
        ({"au": "2026"}, "au", "Cette date ne se lit pas"),
        ({"version": "99"}, "version", "la dernière est la 4"),
        ({"version": "abc"}, "version", "une version est un nombre"),
        ({"entre": "demain", "et": "2"}, "entre", "Cette date ne se lit pas"),
        ({"entre": "99", "et": "2"}, "entre", "la dernière est la 4"),
    ],
)
def test_un_refus_de_l_histoire_mene_au_champ_dont_il_vient(
    paye: tuple[Service, str], demande: dict[str, str], fautif: str, phrase: str
) -> None:
    service, _ = paye
    entrer(service)
    refusee = page(service, f"/support/creances/{REF}", **demande)
    assert refusee.status_code == 422
    assert f'<a href="#{fautif}">' in refusee.text
    assert fautif in re.findall(r'id="([^"]*)"[^>]* aria-invalid="true"', refusee.text)
    assert phrase in lisible(refusee)
