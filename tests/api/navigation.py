"""Un navigateur sans script, pour les tests des pages : il lit, remplit et poste, comme une personne."""

import re
from html import unescape
from typing import Any

import httpx

from tests.api.conftest import Service

RÉF = "3811701200010075F"
AUTRE = "3811702400012980F"
EUR = "\N{NO-BREAK SPACE}€"
NAVIGATEUR = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def champ(page: httpx.Response, nom: str) -> str:
    """La valeur d'un champ de la page."""
    trouvé = re.search(rf'name="{nom}" value="([^"]*)"', page.text)
    assert trouvé is not None, f"{nom} absent de la page"
    return unescape(trouvé[1])


def lisible(page: httpx.Response) -> str:
    """Ce qu'une personne lit : sans balises, espaces réduits."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).replace("\N{NO-BREAK SPACE}", " ").split())


def fautes(page: httpx.Response) -> list[tuple[str, str]]:
    """Le résumé des fautes : l'élément où mène chacune, et sa phrase."""
    résumé = page.text.partition('id="erreurs"')[2].partition("</div>")[0]
    return [(cible, unescape(phrase)) for cible, phrase in re.findall(r'<a href="#([^"]+)">([^<]*)</a>', résumé)]


def devenir(service: Service, assuré: str = "a-1", canal: str | None = None) -> None:
    """Ouvre une session de cet assuré."""
    service.client.headers.update(NAVIGATEUR)
    if canal is not None:
        assert service.client.get("/", params={"canal": canal}).headers["Location"] == "/"
    accueil = service.client.get("/")
    réponse = service.client.post("/demonstration/assure", data={"jeton": champ(accueil, "jeton"), "assure": assuré})
    assert (réponse.status_code, réponse.headers["Location"]) == (303, "/")


def chercher(service: Service, référence: str = RÉF) -> httpx.Response:
    """L'étape 1 : ce que la recherche rend."""
    return service.client.get("/payer", params={"reference": référence})


def vérifier(service: Service, page: httpx.Response, montant: str = "20,00", **plus: Any) -> httpx.Response:
    """L'étape 2 : « Payer », sans avoir lu le partage."""
    données = {nom: champ(page, nom) for nom in ("jeton", "cle")}
    saisie = {"reference": RÉF, "references": [RÉF], "montant": montant, "action": "payer"}
    return service.client.post("/payer", data=données | saisie | plus)


def payer(service: Service, page: httpx.Response, montant: str = "20,00", **plus: Any) -> httpx.Response:
    """L'étape 2 en entier : « Payer », puis « Confirmer et payer » si le partage est à relire."""
    relue = vérifier(service, page, montant, **plus)
    if relue.status_code != httpx.codes.OK:
        return relue
    return vérifier(service, page, montant, **({"partage": champ(relue, "partage")} | plus))


def transaction_de(départ: httpx.Response) -> str:
    """La transaction où mène un paiement ouvert."""
    assert départ.status_code == httpx.codes.SEE_OTHER, lisible(départ)
    return départ.headers["Location"].split("/")[2]
