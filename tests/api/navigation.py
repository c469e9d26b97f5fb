"""Un navigateur sans script, pour les tests des pages : il lit, remplit et poste, comme une personne."""

import re
from html import unescape
from typing import Any

import httpx

from tests.api.conftest import Service

REF = "3811701200010075F"
AUTRE = "3811702400012980F"
EUR = "\N{NO-BREAK SPACE}€"
NAVIGATEUR = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def champ(page: httpx.Response, nom: str) -> str:
    """La valeur d'un champ de la page."""
    trouve = re.search(rf'name="{nom}" value="([^"]*)"', page.text)
    assert trouve is not None, f"{nom} absent de la page"
    return unescape(trouve[1])


def lisible(page: httpx.Response) -> str:
    """Ce qu'une personne lit : sans balises, espaces réduits."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).replace("\N{NO-BREAK SPACE}", " ").split())


def ordinaire(texte: str) -> str:
    """Le même texte, aux espaces ordinaires devant la ponctuation : celui que les gabarits et les phrases écrivent."""
    return re.sub("\N{NO-BREAK SPACE}(?=[:;?!»])", " ", texte).replace("«\N{NO-BREAK SPACE}", "« ")


def fautes(page: httpx.Response) -> list[tuple[str, str]]:
    """Le résumé des fautes : l'élément où mène chacune, et sa phrase."""
    resume = page.text.partition('id="erreurs"')[2].partition("</div>")[0]
    return [
        (cible, ordinaire(unescape(phrase))) for cible, phrase in re.findall(r'<a href="#([^"]+)">([^<]*)</a>', resume)
    ]


def devenir(service: Service, assure: str = "a-1", canal: str | None = None) -> None:
    """Ouvre une session de cet assuré."""
    service.client.headers.update(NAVIGATEUR)
    if canal is not None:
        assert service.client.get("/", params={"canal": canal}).headers["Location"] == "/"
    accueil = service.client.get("/")
    reponse = service.client.post("/demonstration/assure", data={"jeton": champ(accueil, "jeton"), "assure": assure})
    assert (reponse.status_code, reponse.headers["Location"]) == (303, "/")


def chercher(service: Service, reference: str = REF) -> httpx.Response:
    """L'étape 1 : ce que la recherche rend."""
    return service.client.get("/payer", params={"reference": reference})


def verifier(service: Service, page: httpx.Response, montant: str = "20,00", **plus: Any) -> httpx.Response:
    """L'étape 2 : « Payer », sans avoir lu le partage."""
    donnees = {nom: champ(page, nom) for nom in ("jeton", "cle")}
    saisie = {"reference": REF, "references": [REF], "montant": montant, "action": "payer"}
    return service.client.post("/payer", data=donnees | saisie | plus)


def payer(service: Service, page: httpx.Response, montant: str = "20,00", **plus: Any) -> httpx.Response:
    """L'étape 2 en entier : « Payer », puis « Confirmer et payer » si le partage est à relire."""
    relue = verifier(service, page, montant, **plus)
    if relue.status_code != httpx.codes.OK:
        return relue
    return verifier(service, page, montant, **({"partage": champ(relue, "partage")} | plus))


def transaction_de(depart: httpx.Response) -> str:
    """La transaction où mène un paiement ouvert."""
    assert depart.status_code == httpx.codes.SEE_OTHER, lisible(depart)
    return depart.headers["Location"].split("/")[2]
