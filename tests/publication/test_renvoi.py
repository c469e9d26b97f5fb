"""Un consommateur demande un renvoi : il retrouve tout, dans l'ordre, et le publieur n'en est pas dérangé."""

import json
import subprocess
from typing import Any

import psycopg
import pytest

from domain.avis import Canal
from domain.imputation import Imputation
from domain.monnaie import Centimes
from domain.paiement import Fin, Paiement
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine.recorder import Recorder
from publication.renvoi import Renvoi, flux_de, renvoyer
from service import composition
from service.settings import Settings
from tests.mapper import MAPPER
from tests.outils import commande
from tests.publication import banc


def renvoi(settings: Settings, depuis: int = 1, flux: list[str] | None = None) -> Renvoi:
    sender = composition.emitter(settings)
    try:
        with psycopg.connect(str(settings.database_url), autocommit=True) as conn:
            return renvoyer(conn, sender, 0, depuis=depuis, flux=flux)
    finally:
        sender.abandonner()


def creances(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return commande(
        *arguments,
        database_url=settings.database_url,
        kafka_bootstrap=settings.kafka_bootstrap,
        topic_prefix=settings.topic_prefix,
        log_format="json",
    )


def payee(numero: int) -> tuple[Any, Paiement]:
    """Une créance payée et affichée, et son paiement."""
    transaction = f"PCLCB26172{numero:07d}"
    creance = banc.creance(numero)
    reference = creance.id.removeprefix("creance-")
    paiement = Paiement.ouvrir(
        ReferenceTransaction(transaction),
        assure=Pseudonyme(banc.PSEUDONYME),
        caisse=CodeCaisse("381"),
        canal=Canal.WEB,
        marchand="002001000000001",
        montant=Centimes(20_00),
        imputations=(Imputation(reference=ReferenceCreance(reference), part=Centimes(20_00)),),
        expire_le=banc.T0,
        maintenant=banc.T0,
    )
    creance.initier_paiement(ReferenceTransaction(transaction), Centimes(20_00), Canal.WEB, banc.T0, maintenant=banc.T0)
    paiement.conclure(Fin.ACCEPTE, "accepté par la banque", accepte_le=banc.T0, maintenant=banc.T0)
    creance.accepter_paiement(ReferenceTransaction(transaction), Centimes(20_00), banc.T0, maintenant=banc.T0)
    return creance, paiement


def test_un_renvoi_repart_d_une_position_et_ne_bouge_pas_celle_du_publieur(
    base: Any, recorder: Recorder, settings: Settings
) -> None:
    banc.record(recorder, *(banc.avec_paiements(numero, 2) for numero in range(10)))
    banc.publier(settings)
    assert renvoi(settings, 26) == Renvoi(25, 26, 50, {})
    assert banc.etat(base.url)["position"] == 50
    recus = banc.relire(settings)
    assert len(recus) == 75
    assert {flux: banc.retenues(recues) for flux, recues in banc.versions(recus).items()} == banc.journal(base.url)


def test_un_renvoi_ne_depasse_jamais_le_publieur(recorder: Recorder, settings: Settings) -> None:
    banc.record(recorder, banc.avec_paiements(1, 2))
    banc.publier(settings)
    banc.record(recorder, banc.avec_paiements(2, 2))
    assert renvoi(settings).renvoyes == 5


def test_un_renvoi_saute_ce_qui_est_ecarte(base: Any, recorder: Recorder, settings: Settings) -> None:
    banc.record(recorder, banc.avec_paiements(1, 1), banc.avec_paiements(2, 1))
    with psycopg.connect(base.url_proprietaire) as conn:
        conn.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause)"
            " VALUES (%s, 4, 'creance.PaiementEchoue', 'pas du JSON', 'planté')",
            (banc.creance(1).id,),
        )
    banc.publier(settings)
    assert renvoi(settings) == Renvoi(6, 1, 7, {})


def test_une_reference_renvoie_sa_creance_et_ses_paiements(base: Any, recorder: Recorder, settings: Settings) -> None:
    for numero in (1, 2):
        banc.record(recorder, *payee(numero))
    banc.publier(settings)
    reference = "3811701200000001F"
    with psycopg.connect(base.url) as conn:
        flux = flux_de(conn, MAPPER, reference)
    assert flux == [f"creance-{reference}", "paiement-PCLCB261720000001"]

    avant = len(banc.relire(settings))
    fini = creances(settings, "publish", "--reference", reference, "--json")
    assert fini.returncode == 0, fini.stderr
    dit = json.loads(fini.stdout)
    renvoyes = banc.relire(settings)
    assert dit == {
        "renvoyes": len(renvoyes) - avant,
        "depuis": 1,
        "jusqu_a": banc.etat(base.url)["position"],
        "arretes": {},
    }
    assert dit["renvoyes"] == sum(len(v) for f, v in banc.journal(base.url).items() if f in flux)
    assert banc.PSEUDONYME.encode() not in b"".join(recu.valeur + recu.cle for recu in renvoyes)


def test_le_renvoi_demande_a_la_ligne_de_commande(recorder: Recorder, settings: Settings) -> None:
    banc.record(recorder, *(banc.avec_paiements(numero, 2) for numero in range(4)))
    banc.publier(settings)
    fini = creances(settings, "publish", "--from", "11")
    assert fini.returncode == 0, fini.stderr
    assert "10 événements renvoyés (positions 11 à 20)" in fini.stdout
    assert creances(settings, "publish", "--from", "0").returncode == 2
    assert creances(settings, "publish", "--reference", "12").returncode == 2


def test_une_epoque_s_ouvre_a_la_ligne_de_commande_avec_une_raison(settings: Settings) -> None:
    assert creances(settings, "epoch", "--open", " ").returncode == 2
    premiere = json.loads(creances(settings, "epoch", "--json").stdout)
    fini = creances(settings, "epoch", "--open", "sauvegarde du 3 restaurée", "--json")
    assert fini.returncode == 0, fini.stderr
    epoques = json.loads(fini.stdout)
    assert [epoque["raison"] for epoque in epoques] == ["ouverture du journal", "sauvegarde du 3 restaurée"]
    assert epoques[:1] == premiere


@pytest.mark.parametrize("ordre", ["UPDATE {} SET raison = 'autre'", "DELETE FROM {}", "TRUNCATE {}"])
def test_une_epoque_ouverte_le_reste(base: Any, ordre: str) -> None:
    for url in (base.url, base.url_proprietaire):
        with psycopg.connect(url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(ordre.format("journal.epoques").encode())
