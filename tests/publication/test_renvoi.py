"""Un consommateur demande un renvoi : il retrouve tout, dans l'ordre, et le publieur n'en est pas dérangé."""

import json
import subprocess
from typing import Any

import psycopg
import pytest

from domain.avis import Canal
from domain.imputation import Imputation
from domain.paiement import Fin, Paiement
from journal.enregistreur import Enregistreur
from journal.mapper import MapperDesFaits
from publication.renvoi import Renvoi, flux_de, renvoyer
from service import composition
from service.settings import Settings
from tests.outils import CREANCES, RACINE, environnement
from tests.publication import banc


def renvoi(settings: Settings, depuis: int = 1, flux: list[str] | None = None) -> Renvoi:
    émetteur = composition.emitter(settings)
    try:
        with psycopg.connect(str(settings.database_url), autocommit=True) as conn:
            return renvoyer(conn, émetteur, 0, depuis=depuis, flux=flux)
    finally:
        émetteur.abandonner()


def creances(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CREANCES, *arguments],
        env=environnement(
            database_url=settings.database_url,
            kafka_bootstrap=settings.kafka_bootstrap,
            topic_prefix=settings.topic_prefix,
            log_format="json",
        ),
        cwd=RACINE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def payée(numéro: int) -> tuple[Any, Paiement]:
    """Une créance payée et affichée, et son paiement."""
    transaction = f"PCLCB26172{numéro:07d}"
    créance = banc.créance(numéro)
    référence = créance.id.removeprefix("creance-")
    paiement = Paiement.ouvrir(
        transaction,
        assuré=banc.PSEUDONYME,
        caisse="381",
        canal=Canal.WEB,
        marchand="002001000000001",
        montant=20_00,
        imputations=(Imputation(référence=référence, part=20_00),),
        expire_le=banc.T0,
        maintenant=banc.T0,
    )
    créance.initier_paiement(transaction, 20_00, Canal.WEB, banc.T0, maintenant=banc.T0)
    paiement.conclure(Fin.ACCEPTÉ, "accepté par la banque", accepté_le=banc.T0, maintenant=banc.T0)
    créance.accepter_paiement(transaction, 20_00, banc.T0, maintenant=banc.T0)
    return créance, paiement


def test_un_renvoi_repart_d_une_position_et_ne_bouge_pas_celle_du_publieur(
    base: Any, enregistreur: Enregistreur, settings: Settings
) -> None:
    banc.inscrire(enregistreur, *(banc.avec_paiements(numéro, 2) for numéro in range(10)))
    banc.publier(settings)
    assert renvoi(settings, 26) == Renvoi(25, 26, 50, {})
    assert banc.état(base.url)["position"] == 50
    reçus = banc.relire(settings)
    assert len(reçus) == 75
    assert {flux: banc.retenues(reçues) for flux, reçues in banc.versions(reçus).items()} == banc.journal(base.url)


def test_un_renvoi_ne_dépasse_jamais_le_publieur(enregistreur: Enregistreur, settings: Settings) -> None:
    banc.inscrire(enregistreur, banc.avec_paiements(1, 2))
    banc.publier(settings)
    banc.inscrire(enregistreur, banc.avec_paiements(2, 2))
    assert renvoi(settings).renvoyés == 5


def test_un_renvoi_saute_ce_qui_est_écarté(base: Any, enregistreur: Enregistreur, settings: Settings) -> None:
    banc.inscrire(enregistreur, banc.avec_paiements(1, 1), banc.avec_paiements(2, 1))
    with psycopg.connect(base.url_propriétaire) as conn:
        conn.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)"
            " VALUES (%s, 4, 'creance.PaiementEchoue', 'pas du JSON', 'planté', now())",
            (banc.créance(1).id,),
        )
    banc.publier(settings)
    assert renvoi(settings) == Renvoi(6, 1, 7, {})


def test_une_référence_renvoie_sa_créance_et_ses_paiements(
    base: Any, enregistreur: Enregistreur, settings: Settings
) -> None:
    for numéro in (1, 2):
        banc.inscrire(enregistreur, *payée(numéro))
    banc.publier(settings)
    référence = "3811701200000001F"
    with psycopg.connect(base.url) as conn:
        flux = flux_de(conn, MapperDesFaits(), référence)
    assert flux == [f"creance-{référence}", "paiement-PCLCB261720000001"]

    avant = len(banc.relire(settings))
    fini = creances(settings, "publish", "--reference", référence, "--json")
    assert fini.returncode == 0, fini.stderr
    dit = json.loads(fini.stdout)
    renvoyés = banc.relire(settings)
    assert dit == {
        "renvoyes": len(renvoyés) - avant,
        "depuis": 1,
        "jusqu_a": banc.état(base.url)["position"],
        "arretes": {},
    }
    assert dit["renvoyes"] == sum(len(v) for f, v in banc.journal(base.url).items() if f in flux)
    assert banc.PSEUDONYME.encode() not in b"".join(reçu.valeur + reçu.clé for reçu in renvoyés)


def test_le_renvoi_demandé_à_la_ligne_de_commande(enregistreur: Enregistreur, settings: Settings) -> None:
    banc.inscrire(enregistreur, *(banc.avec_paiements(numéro, 2) for numéro in range(4)))
    banc.publier(settings)
    fini = creances(settings, "publish", "--from", "11")
    assert fini.returncode == 0, fini.stderr
    assert "10 événements renvoyés (positions 11 à 20)" in fini.stdout
    assert creances(settings, "publish", "--from", "0").returncode == 2
    assert creances(settings, "publish", "--reference", "12").returncode == 2


def test_une_époque_s_ouvre_à_la_ligne_de_commande_avec_une_raison(settings: Settings) -> None:
    assert creances(settings, "epoch", "--open", " ").returncode == 2
    première = json.loads(creances(settings, "epoch", "--json").stdout)
    fini = creances(settings, "epoch", "--open", "sauvegarde du 3 restaurée", "--json")
    assert fini.returncode == 0, fini.stderr
    époques = json.loads(fini.stdout)
    assert [époque["raison"] for époque in époques] == ["ouverture du journal", "sauvegarde du 3 restaurée"]
    assert époques[:1] == première


@pytest.mark.parametrize("ordre", ["UPDATE {} SET raison = 'autre'", "DELETE FROM {}", "TRUNCATE {}"])
def test_une_époque_ouverte_le_reste(base: Any, ordre: str) -> None:
    for url in (base.url, base.url_propriétaire):
        with psycopg.connect(url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(ordre.format("journal.epoques").encode())
