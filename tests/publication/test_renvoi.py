"""Un consommateur demande un renvoi : il retrouve tout, dans l'ordre, et le publieur n'en est pas dérangé."""

import json
import subprocess
from typing import Any

import psycopg
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

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


# --- La fin d'un renvoi, et un renvoi à un seul partenaire -----------------------------------------------------------


def test_une_marque_dit_la_fin_d_un_renvoi_dans_chaque_partition_derriere_ce_qu_il_porte(
    recorder: Recorder, settings: Settings
) -> None:
    banc.record(recorder, *(banc.avec_paiements(numero, 1) for numero in range(6)))
    banc.publier(settings)
    fini = renvoi(settings, 4)
    for partition in range(3):
        siens = [recu for recu in banc.relire_tout(settings) if recu.partition == partition]
        assert [recu.cle == b"marque" for recu in siens] == [False] * (len(siens) - 1) + [True]
        dit = json.loads(siens[-1].valeur)
        assert (dit["depuis_position"], dit["jusqu_a_position"], dit["evenements"]) == (4, fini.jusqu_a, fini.renvoyes)


def test_un_renvoi_a_un_partenaire_ne_touche_ni_les_autres_ni_ce_qui_n_est_pas_a_lui(
    recorder: Recorder, settings: Settings
) -> None:
    for numero in (1, 2):
        banc.record(recorder, *payee(numero))
    banc.publier(settings)
    avant = len(banc.relire_tout(settings))
    sien = settings.topic_renvois("cpam-381")
    fini = creances(settings, "publish", "--from", "1", "--partenaire", "cpam-381", "--caisse", "381", "--json")
    assert fini.returncode == 0, fini.stderr
    assert json.loads(fini.stdout)["renvoyes"] == len(banc.relire(settings, sien)) == 10
    fini = creances(settings, "publish", "--from", "1", "--partenaire", "cpam-631", "--caisse", "631", "--json")
    assert (fini.returncode, json.loads(fini.stdout)["renvoyes"]) == (1, 0), "une caisse mal tapée ne se dit pas servie"
    assert "n'est de 631" in fini.stderr
    assert len(banc.relire_tout(settings)) == avant
    dit = creances(settings, "publish", "--since", "2026-01-01", "--partenaire", "cpam-381", "--json")
    assert json.loads(dit.stdout)["renvoyes"] == 10


REFUSES: list[tuple[list[str], int]] = [
    (["--partenaire", "cpam-381"], 2),
    (["--from", "1", "--partenaire", "a b"], 2),
    (["--from", "1", "--partenaire", "cpam-381", "--caisse", "zzz"], 2),
    (["--from", "1", "--caisse", "381", "--caisse", "38"], 2),
    (["--from", "1", "--since", "2026-01-01"], 2),
    (["--since", "avant-hier"], 2),
    (["--since", "2099-01-01"], 2),
    (["--from", "2"], 1),
    (["--reference", "3811701200000001F"], 1),
]


@pytest.mark.lent
def test_un_renvoi_impossible_est_refuse_avec_sa_raison(settings: Settings) -> None:
    for arguments, code in REFUSES:
        fini = creances(settings, "publish", *arguments)
        assert fini.returncode == code, (arguments, fini.stderr)
        assert fini.stderr.strip(), arguments


def test_ce_qu_a_lu_chaque_groupe_et_son_retard_se_voient(recorder: Recorder, settings: Settings) -> None:
    banc.record(recorder, *payee(1))
    banc.publier(settings)
    lecteur = KafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=settings.topic_prefix, enable_auto_commit=False
    )
    partitions = [TopicPartition(settings.topic_evenements, numero) for numero in range(3)]
    lecteur.assign(partitions)
    lecteur.commit({tp: OffsetAndMetadata(0, "", -1) for tp in partitions})
    fins = lecteur.end_offsets(partitions)
    lecteur.close()
    fini = creances(settings, "partenaires", "--json")
    assert fini.returncode == 0, fini.stderr
    dit = json.loads(fini.stdout)
    [sien] = [un for un in dit["groupes"] if un["groupe"] == settings.topic_prefix]
    assert (sien["topic"], sien["retard_messages"]) == (settings.topic_evenements, sum(fins.values()))
    assert dit["fil"] == []
    # Au-delà de la fin (un topic raccourci, une fin lue trop bas) : ce n'est pas de l'avance sur une autre partition.
    lecteur = KafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=settings.topic_prefix, enable_auto_commit=False
    )
    lecteur.assign(partitions)
    lecteur.commit({tp: OffsetAndMetadata(fins[tp] + 90 if tp.partition == 0 else 0, "", -1) for tp in partitions})
    lecteur.close()
    dit = json.loads(creances(settings, "partenaires", "--json").stdout)
    [sien] = [un for un in dit["groupes"] if un["groupe"] == settings.topic_prefix]
    assert sien["retard_messages"] == sum(fins.values()) - fins[partitions[0]]
    assert settings.topic_prefix in creances(settings, "partenaires").stdout
