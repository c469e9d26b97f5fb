"""Ce qu'un appelant met de personnel dans sa clé d'idempotence n'entre pas dans le journal, et elle sert encore."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from api.assure.cle_gardee import cle_gardee
from engine.batch import Batch, IdempotencyKey
from tests.api.conftest import Service
from tests.api.navigation import REF

NIR = "269054958815780"
COURRIEL = "jeanne.martin@exemple.fr"


def tout_ce_qui_est_garde(service: Service) -> str:
    """Chaque ligne de chaque table, en texte."""
    with psycopg.connect(service.url_base) as conn:
        tables = conn.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('journal', 'vues', 'acces', 'surete')"
            " AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')"
        ).fetchall()
        lignes = [
            str(ligne)
            for table in tables
            for ligne in conn.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(*table)))
        ]
    return "\n".join(lignes)


@pytest.mark.parametrize(
    "cle", [NIR, NIR[:13], "2-69-05-49-588-157-80", f"paiement/{NIR}/1", COURRIEL, COURRIEL.replace("@", "%40")]
)
def test_ce_qu_une_cle_dit_d_une_personne_n_est_garde_nulle_part(service: Service, cle: str) -> None:
    service.avis(REF)
    premiere = service.payer(REF, cle=cle)
    assert (premiere.status_code, service.payer(REF, cle=cle).content) == (201, premiere.content)
    assert service.payer(REF, cle=cle, montant=30_00).json()["code"] == "cle_reutilisee"
    service.catch_up()
    garde = tout_ce_qui_est_garde(service)
    assert "requete:empreinte:" in garde
    assert cle not in garde


@pytest.mark.parametrize("cle", ["k-1", "0b0c3b3e-6b0d-4a51-9c39-0c1d7a2c9a11", "demo-1764294353123456789"])
def test_une_autre_cle_est_gardee_telle_quelle(service: Service, cle: str) -> None:
    service.avis(REF)
    assert service.payer(REF, cle=cle).status_code == 201
    assert f"requete:{cle}" in tout_ce_qui_est_garde(service)


@contextmanager
def sous(service: Service, secret: str, precedent: str | None = None) -> Iterator[None]:
    """Le service, redémarré sous ces secrets de session."""
    moyens = service.application.state.moyens
    dependances = replace(moyens.dependances, secret_de_session=secret, secret_de_session_precedent=precedent)
    service.application.state.moyens = replace(moyens, dependances=dependances)
    yield
    service.application.state.moyens = moyens


def test_changer_de_secret_ne_fait_pas_payer_deux_fois(service: Service) -> None:
    service.avis(REF)
    reponses = []
    for secrets in (("ancien" * 6,), ("ancien" * 6, "nouveau" * 6), ("nouveau" * 6, "ancien" * 6)):
        with sous(service, *secrets):
            reponses.append(service.payer(REF, cle=NIR).content)
    assert len(set(reponses)) == 1


def test_une_cle_gardee_en_clair_autrefois_sert_encore(service: Service) -> None:
    service.avis(REF)
    ouvert = service.payer(REF, cle="k-1")
    base, recorder = service.guichet.base, service.guichet.recorder
    with base.transaction() as conn:
        gardee = recorder.cle(conn, "a-1", "k-1")
        assert gardee is not None
        ancienne = IdempotencyKey("a-1", NIR, gardee.empreinte, gardee.reponse)
        recorder.record(conn, Batch(entries=[], cle=ancienne))
    assert service.payer(REF, cle=NIR).content == ouvert.content


def test_l_empreinte_demande_notre_secret(service: Service) -> None:
    une, autre = (replace(service.dependances_api, secret_de_session=secret * 32) for secret in "ab")
    assert cle_gardee(NIR, une).cle != cle_gardee(NIR, autre).cle
