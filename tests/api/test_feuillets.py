"""Plus de cinquante créances : le tableau se lit par pages, et rien de ce qui est coché ne s'y perd."""

import re
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from api.assure.feuillets import PAR_PAGE, feuillet
from api.assure.rangees import LigneACocher
from domain.avis import Avis, Mode
from domain.creance import Créance
from domain.monnaie import Centimes
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance
from tests.api.conftest import Service
from tests.api.navigation import champ, chercher, devenir, fautes, lisible, payer

NOMBRE = 121


@pytest.fixture
def reglages_api() -> dict[str, Any]:
    return {"demo": True}


@pytest.fixture
def service(service: Service) -> Service:
    devenir(service)
    return service


def avis(service: Service, nombre: int) -> list[str]:
    """Autant de créances de 20 €, la plus ancienne d'abord."""
    references = [f"38117{rang:011d}F" for rang in range(nombre)]
    service._inscrire(
        [
            Créance.ouvrir(
                Avis(
                    ReferenceCreance(reference),
                    Pseudonyme("a-1"),
                    CodeCaisse("381"),
                    "PF/FR",
                    Centimes(20_00),
                    Centimes(60_00),
                    date(2026, 1, 1) + timedelta(days=rang),
                    Mode.DEMATERIALISE,
                ),
                service.guichet.politique,
                maintenant=service.heure(),
            )
            for rang, reference in enumerate(references)
        ]
    )
    service.catch_up()
    return references


def offertes(page: httpx.Response) -> dict[str, bool]:
    """Les cases de la page, dans leur ordre : cochée, ou non."""
    cases = re.findall(r'<input type="checkbox"[^>]*?value="(\w+)"[^>]*>', page.text, re.DOTALL)
    cochees = set(re.findall(r'<input type="checkbox"[^>]*?value="(\w+)"[^>]*?\bchecked>', page.text, re.DOTALL))
    return {reference: reference in cochees for reference in cases}


def envoyer(service: Service, page: httpx.Response, action: str, *cochees: str, montant: str = "") -> httpx.Response:
    """Ce que le navigateur envoie quand on presse ce bouton, avec ces cases cochées en plus."""
    donnees = {nom: champ(page, nom) for nom in ("jeton", "cle", "page")}
    references = [*(reference for reference, cochee in offertes(page).items() if cochee), *cochees]
    saisie = {"reference": champ(page, "reference"), "references": references, "montant": montant, "action": action}
    return service.client.post("/payer", data=donnees | saisie)


def test_ce_qui_est_coche_sur_une_page_reste_sous_les_yeux_sur_les_autres_et_se_paie(service: Service) -> None:
    references = avis(service, NOMBRE)
    page = chercher(service, references[0])
    assert list(offertes(page)) == references[: 1 + PAR_PAGE]
    assert "120 références trouvées" in lisible(page)
    assert "Page 1 sur 3 , références (1 à 50)" in lisible(page)
    assert "Page précédente" not in page.text
    page = envoyer(service, page, "page:2", references[3], montant="40")
    assert page.status_code == 200
    assert list(offertes(page)) == [references[0], references[3], *references[51:101]]
    assert "Cochées sur une autre page" in page.text
    page = envoyer(service, page, "page:3", references[60], montant="40")
    assert list(offertes(page)) == [references[0], references[3], references[60], *references[101:]]
    assert [reference for reference, cochee in offertes(page).items() if cochee] == [
        references[0],
        references[3],
        references[60],
    ]
    assert "3 références sélectionnées" in lisible(page)
    assert champ(page, "montant") == "40"
    assert "Page suivante" not in page.text
    page = envoyer(service, page, "page:2", montant="40")
    assert offertes(page)[references[60]]
    assert "Cochées sur une autre page" in page.text
    assert (
        payer(service, page, "45", reference=references[0], references=[references[0], references[3], references[60]])
        .headers["Location"]
        .endswith("/kiosque")
    )


def test_on_ne_tourne_pas_la_page_avec_plus_de_references_qu_un_paiement_n_en_regle(service: Service) -> None:
    references = avis(service, NOMBRE)
    page = chercher(service, references[0])
    page = envoyer(service, page, "page:2", *references[1 : 1 + PAR_PAGE])
    assert page.status_code == 422
    phrase = "Vous avez coché 51 références ; un paiement en règle 50 au plus : décochez-en 1."
    assert fautes(page) == [("selection", phrase)]
    assert sum(offertes(page).values()) == 51


@pytest.mark.parametrize(("nombre", "pages"), [(0, 1), (50, 1), (51, 2), (100, 2), (500, 10)])
def test_une_page_de_plus_ne_commence_qu_a_la_ligne_de_trop(nombre: int, pages: int) -> None:
    rangees: Any = [LigneACocher(None, None, n == 0, n, invite=True) for n in range(nombre)]  # type: ignore[arg-type]
    toutes = [feuillet(rangees, numero) for numero in range(1, pages + 1)]
    assert [ligne for page in toutes for ligne in page.lignes] == rangees
    assert {page.nombre for page in toutes} == {pages}
    assert feuillet(rangees, 9_999).numero == pages
    assert [len(page.cochees_ailleurs) for page in toutes] == [0, *[1] * (pages - 1)]
