"""La preuve remise au payeur et au support : la sienne et elle seule, refusée avec une raison, montrée pas à pas."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import psycopg
import pytest

from preuve import verificateur
from preuve.balance import AGENTS
from preuve.trust import Trusted
from tests.api.conftest import Service, porteur
from tests.api.navigation import NAVIGATEUR, champ, devenir, lisible
from tests.preuve.test_sceau import PUBLIQUE, SCEAU, sceller
from tests.support.banc import AUTRE, MOTIF, REF, acces, agent, paye, service

__all__ = ["paye", "service"]

ADRESSE = f"/api/v1/creances/{REF}/preuve"


@pytest.fixture
def reglages_api() -> Mapping[str, Any]:
    return {"sel_de_preuve": SCEAU.secret, "preuve_reconnue": Trusted(SCEAU.origin, (PUBLIQUE,)), "demo": True}


@pytest.fixture
def sceau(base: Any) -> Iterator[Callable[[], str]]:
    """Scelle tout ; rend la clé de l'époque."""
    with psycopg.connect(base.url, autocommit=True) as conn:

        def faire() -> str:
            sceller(conn)
            (epoque,) = conn.execute("SELECT max(nom) FROM journal.epoques").fetchone() or ("",)
            return str(SCEAU.signer(epoque).verifier)

        yield faire


def test_le_payeur_recoit_la_preuve_de_sa_creance_et_elle_convainc(
    paye: tuple[Service, str], sceau: Callable[[], str]
) -> None:
    cle = sceau()
    rendue = paye[0].client.get(ADRESSE, headers=porteur("a-1"))
    assert (rendue.status_code, rendue.headers["Content-Type"]) == (200, "application/json")
    assert verificateur.verifier(rendue.content, [cle]).startswith(f"Oui : {REF} doit 67,09 €. Complet jusqu'à")
    assert acces(paye[0]) == []  # La sienne : aucune lecture d'un agent n'est à écrire.


@pytest.mark.parametrize(
    ("reference", "en_tetes", "refus"),
    [
        (REF, porteur("a-2"), (404, "reference_non_ouverte")),  # Celle d'une autre personne,
        (AUTRE, porteur("a-1"), (404, "reference_non_ouverte")),  # une inconnue,
        ("x", porteur("a-1"), (404, "reference_non_ouverte")),  # une qui n'en est pas une : la même réponse.
        (REF, {}, (401, "authentification_requise")),
        (REF, agent(), (403, "acces_refuse")),
    ],
)
def test_une_preuve_refusee_dit_pourquoi(
    paye: tuple[Service, str],
    sceau: Callable[[], str],
    reference: str,
    en_tetes: dict[str, str],
    refus: tuple[int, str],
) -> None:
    sceau()
    rendue = paye[0].client.get(f"/api/v1/creances/{reference}/preuve", headers=en_tetes)
    assert (rendue.status_code, rendue.json()["code"]) == refus
    assert "a-1" not in rendue.text


def test_pas_encore_scelle_se_dit_avec_un_delai(paye: tuple[Service, str], sceau: Callable[[], str]) -> None:
    attente = paye[0].client.get(ADRESSE, headers=porteur("a-1"))
    assert (attente.status_code, attente.json()["code"]) == (503, "pas_encore_scelle")
    assert int(attente.headers["Retry-After"]) > 0
    sceau()
    assert paye[0].client.get(ADRESSE, headers=porteur("a-1")).status_code == 200


def test_ce_qui_suit_le_sceau_n_est_pas_dit(paye: tuple[Service, str], sceau: Callable[[], str]) -> None:
    cle = sceau()
    paye[0].annuler(REF)
    rendue = paye[0].client.get(ADRESSE, headers=porteur("a-1"))
    assert " doit 67,09 €. Complet jusqu'à la version 4, " in verificateur.verifier(rendue.content, [cle])
    devenir(paye[0])
    page = paye[0].client.get(f"/creances/{REF}/preuve")
    assert "ne sont pas encore scellés" in page.text


def test_un_agent_n_est_pas_nomme_au_payeur(base: Any, paye: tuple[Service, str], sceau: Callable[[], str]) -> None:
    etat = {"montant": 1_00, "motif": "trop", "saisi_par": "claire", "approuve_par": "paul"}
    with psycopg.connect(base.url, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause)"
            " SELECT flux, max(version) + 1, 'creance.TropPercuRembourse', %s, 'essai'"
            " FROM journal.evenements WHERE flux = %s GROUP BY flux",
            (json.dumps(etat).encode(), f"creance-{REF}"),
        )
    sceau()
    refus = paye[0].client.get(ADRESSE, headers=porteur("a-1"))
    assert (refus.status_code, refus.json()["code"]) == (409, "preuve_reservee")
    assert "claire" not in refus.text
    rendue = paye[0].client.get(f"/api/v1/support{ADRESSE[7:]}", headers=agent(), params={"motif": MOTIF})
    assert rendue.status_code == 200


def test_les_champs_qui_nomment_un_agent_sont_ceux_du_domaine() -> None:
    from domain.agregats import FAITS
    from domain.diffusion import Diffusion

    nommes = {
        nom
        for fait in FAITS
        if fait.TOPIC.startswith("creance.")
        for nom, champ in fait.model_fields.items()
        if Diffusion.INTERNE in champ.metadata and nom not in {"assure", "motif", "message_id"}
    }
    assert nommes == set(AGENTS)


def test_la_page_montre_chaque_pas_et_la_preuve_telle_qu_elle_est(
    paye: tuple[Service, str], sceau: Callable[[], str]
) -> None:
    cle = sceau()
    devenir(paye[0])
    client = paye[0].client
    page = client.get(f"/creances/{REF}/preuve")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    for dit in ("Il reste 67,09", "PaiementAccepte : 87,09 € - 20,00 € = 67,09 €", "Complet jusqu'à la version 4"):
        assert dit in lisible(page), dit
    assert f'data-cles="{cle}"' in page.text
    [entiere] = re.findall(r'id="preuve"[^>]*>(.*?)</pre>', page.text, re.DOTALL)
    fichier = client.get(f"/creances/{REF}/preuve.json")
    assert fichier.headers["Content-Disposition"] == f'attachment; filename="preuve-{REF}.json"'
    assert verificateur.verifier(fichier.content, [cle]).startswith("Oui")
    assert unescape(entiere) == fichier.text
    assert client.get("/preuve/verificateur.py").content == Path(verificateur.__file__).read_bytes()
    assert client.get(f"/creances/{AUTRE}/preuve").status_code == 404
    for adresse in ("/creances", "/autres-moyens", f"/payer?reference={REF}"):
        assert f'href="/creances/{REF}/preuve"' in client.get(adresse).text, adresse


def test_le_support_la_lit_sous_son_nom_et_sans_motif_rien_n_est_lu(
    paye: tuple[Service, str], sceau: Callable[[], str]
) -> None:
    cle = sceau()
    client = paye[0].client
    client.headers.update(NAVIGATEUR)
    accueil = client.get("/")
    client.post("/demonstration/agent", data={"jeton": champ(accueil, "jeton"), "agent": "claire"})
    page = client.get(f"/support/creances/{REF}/preuve")
    assert (page.status_code, "Pourquoi lisez-vous ceci" in page.text, acces(paye[0])) == (422, True, [])
    motif = {"motif": MOTIF}
    page = client.get(f"/support/creances/{REF}/preuve", params=motif)
    assert (page.status_code, f'data-cles="{cle}"' in page.text) == (200, True)
    assert acces(paye[0])[-1][1:4] == ("page", "preuve", f"creance-{REF}")
    fichier = client.get(f"/support/creances/{REF}/preuve.json", params=motif)
    assert verificateur.verifier(fichier.content, [cle]).startswith("Oui")
    for inconnue in (AUTRE, "x"):
        assert client.get(f"/support/creances/{inconnue}/preuve", params=motif).status_code == 404
    histoire = client.get(f"/support/creances/{REF}", params=motif)
    assert f'href="/support/creances/{REF}/preuve?motif=' in histoire.text
