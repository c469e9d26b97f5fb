"""Le publieur tué n'importe où, Kafka absent, un topic recréé : rien ne manque, et chaque flux reste dans l'ordre."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kafka import KafkaAdminClient

from engine.outages import Outage
from engine.recorder import Recorder
from publication.cloudevent import CloudEvent
from service import composition, kafka
from service.lag import lag
from service.settings import Settings
from tests.courtiers import Apache, Tansu
from tests.outils import attendre, se_tuer
from tests.publication import banc

ETAPES_D_UN_LOT = 6
"""lire, publier, publié, appliquer, valider, suite."""
LOT = 10


@pytest.fixture
def recorder(base: Any) -> Iterator[Recorder]:
    with banc.ouvrir(base.url) as ouvert:
        yield ouvert


def tuer(settings: Settings, etape: int) -> None:
    se_tuer(
        "tests.publication.role_tue",
        etape,
        database_url=settings.database_url,
        kafka_bootstrap=settings.kafka_bootstrap,
        topic_prefix=settings.topic_prefix,
        publication_batch_size=LOT,
    )


@pytest.mark.parametrize(
    "etapes",
    [
        pytest.param([4], id="publié, pas encore noté"),
        pytest.param(range(1, ETAPES_D_UN_LOT + 1), id="toutes", marks=pytest.mark.lent),
    ],
)
def test_le_publieur_tue_a_chaque_etape_ne_manque_rien_et_garde_l_ordre(
    base: Any, kafka: str, prefixe: str, recorder: Recorder, etapes: Sequence[int]
) -> None:
    settings = banc.reglages(base.url, kafka, prefixe)
    _creer(settings)
    banc.record(recorder, *(banc.avec_paiements(numero, 3) for numero in range(12)))

    for etape in etapes:
        tuer(settings, etape)
    assert banc.etat(base.url)["position"] < 84, "tout est déjà publié : la coupure n'éprouve rien"
    banc.publier(settings)

    publiees = banc.versions(banc.relire(settings))
    attendues = banc.journal(base.url)
    assert {flux: banc.retenues(recues) for flux, recues in publiees.items()} == attendues
    assert publiees != attendues, "rien n'est sorti deux fois : la coupure n'éprouve rien"


@pytest.mark.lent
def test_kafka_absent_n_ecarte_rien_se_dit_et_a_son_retour_tout_sort_de_nouveau(
    base: Any, tmp_path: Path, prefixe: str, recorder: Recorder
) -> None:
    """Tansu oublie tout en s'arrêtant : à son retour le topic manque, puis est un autre."""
    with Tansu(tmp_path) as courtier:
        settings = banc.reglages(base.url, courtier.bootstrap, prefixe)
        _creer(settings)
        banc.record(recorder, *(banc.avec_paiements(numero, 2) for numero in range(10)))
        with banc.publieur(settings):
            attendre(lambda: banc.etat(base.url)["position"] == 50, secondes=20)
            avant = {recu.en_tetes["ce_source"] for recu in banc.relire(settings)}
            courtier.tuer()
            banc.record(recorder, *(banc.avec_paiements(numero, 2) for numero in range(10, 20)))
            attendre(lambda: "KafkaAbsent" in (banc.etat(base.url)["derniere_erreur"] or ""), secondes=60, quoi="dit")
            assert banc.etat(base.url)["position"] == 50
            courtier.demarrer()
            attendre(lambda: "TopicAbsent" in (banc.etat(base.url)["derniere_erreur"] or ""), secondes=60, quoi="dit")
            _creer(settings)
            attendre(lambda: banc.etat(base.url)["position"] == 100, secondes=60, quoi="tout publié")
        assert _ecartes(base) == 0
        assert "topic recréé" in banc.etat(base.url)["derniere_erreur"]
        recus = banc.relire(settings)
    assert banc.versions(recus) == banc.journal(base.url)
    assert {recu.en_tetes["ce_source"] for recu in recus} == avant


@pytest.mark.lent
def test_kafka_absent_au_demarrage_se_dit_et_tout_sort_quand_il_vient(
    base: Any, tmp_path: Path, prefixe: str, recorder: Recorder
) -> None:
    courtier = Tansu(tmp_path)
    settings = banc.reglages(base.url, courtier.bootstrap, prefixe)
    banc.record(recorder, banc.avec_paiements(1, 2))
    with banc.publieur(settings):
        attendre(lambda: "KafkaAbsent" in (banc.etat(base.url).get("derniere_erreur") or ""), secondes=30, quoi="dit")
        with courtier:
            _creer(settings)
            attendre(lambda: banc.etat(base.url)["position"] == 5, secondes=60, quoi="tout publié")
            publiees = banc.versions(banc.relire(settings))
    assert publiees == banc.journal(base.url)


@pytest.mark.usefixtures("apache")
def test_un_envoi_retente_ne_tombe_pas_dans_le_topic_recree_entre_temps(kafka: str, prefixe: str, base: Any) -> None:
    """Sinon ces versions y précéderaient les premières, qu'un consommateur ignorerait ensuite."""
    settings = banc.reglages(base.url, kafka, prefixe)
    _creer(settings)
    sender = composition.emitter(settings)
    topic_id = sender.topic_id()
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics([settings.topic_evenements])
    admin.close()
    with ThreadPoolExecutor(1) as fil:
        envoi = fil.submit(sender.emettre, [CloudEvent(b"k", b"{}", [("ce_id", b"a:7")])], topic_id)
        attendre(lambda: sender._producteur is not None and not envoi.done(), quoi="l'envoi est retenté")
        _creer(settings)
        with pytest.raises(Outage):
            envoi.result(timeout=120)
    sender.abandonner()
    assert banc.relire(settings) == []


@pytest.mark.usefixtures("apache")
def test_apache_kafka_tue_puis_revenu_recoit_la_suite_sans_rien_de_repete_ni_de_perdu(
    base: Any, tmp_path: Path, prefixe: str, recorder: Recorder
) -> None:
    """Son journal est sur disque : à son retour le topic est le même, le publieur reprend là où il en était."""
    with Apache(tmp_path) as courtier:
        settings = banc.reglages(base.url, courtier.bootstrap, prefixe)
        _creer(settings)
        banc.record(recorder, *(banc.avec_paiements(numero, 2) for numero in range(10)))
        with banc.publieur(settings):
            attendre(lambda: banc.etat(base.url)["position"] == 50, secondes=20)
            courtier.tuer()
            banc.record(recorder, *(banc.avec_paiements(numero, 3) for numero in range(10, 20)))
            attendre(lambda: "KafkaAbsent" in (banc.etat(base.url)["derniere_erreur"] or ""), secondes=60, quoi="dit")
            courtier.demarrer()
            attendre(lambda: banc.etat(base.url)["position"] == 120, secondes=60, quoi="tout publié")
        assert _ecartes(base) == 0
        publiees = banc.versions(banc.relire(settings))
    assert {flux: banc.retenues(recues) for flux, recues in publiees.items()} == banc.journal(base.url)


def test_un_topic_recree_sans_que_kafka_s_arrete_est_vu_et_tout_sort_de_nouveau(
    base: Any, kafka: str, prefixe: str, recorder: Recorder
) -> None:
    settings = banc.reglages(base.url, kafka, prefixe)
    _creer(settings)
    banc.record(recorder, *(banc.avec_paiements(numero, 2) for numero in range(10)))
    with banc.publieur(settings):
        attendre(lambda: banc.etat(base.url)["position"] == 50, secondes=20)
        admin = KafkaAdminClient(bootstrap_servers=kafka)
        admin.delete_topics([settings.topic_evenements])
        admin.close()
        _creer(settings)
        attendre(lambda: "topic recréé" in (banc.etat(base.url)["derniere_erreur"] or ""), secondes=30)
        attendre(lambda: banc.etat(base.url)["position"] == 50, secondes=30)
        ligne = next(ligne for ligne in lag(settings, recorder.base) if ligne["nom"] == "publication")
        assert "tout est publié de nouveau" in ligne["derniere_erreur"]
        assert (ligne["topic"], ligne["topic_recree"]) == (settings.topic_evenements, 1)
    assert banc.versions(banc.relire(settings)) == banc.journal(base.url)


def test_un_topic_recree_pendant_l_arret_est_vu_au_demarrage(
    base: Any, kafka: str, prefixe: str, recorder: Recorder
) -> None:
    settings = banc.reglages(base.url, kafka, prefixe)
    _creer(settings)
    banc.record(recorder, banc.avec_paiements(1, 2))
    banc.publier(settings)
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics([settings.topic_evenements])
    admin.close()
    _creer(settings)
    assert banc.publier(settings) == 5
    assert banc.versions(banc.relire(settings)) == banc.journal(base.url)


@pytest.mark.lent
def test_sans_topic_le_publieur_attend_et_le_dit(base: Any, kafka: str, prefixe: str, recorder: Recorder) -> None:
    settings = banc.reglages(base.url, kafka, prefixe)
    banc.record(recorder, banc.avec_paiements(1, 1))
    with banc.publieur(settings):
        attendre(lambda: "TopicAbsent" in (banc.etat(base.url).get("derniere_erreur") or ""), secondes=30)
        _creer(settings)
        attendre(lambda: banc.etat(base.url)["position"] == 3, secondes=30)
    assert banc.versions(banc.relire(settings)) == banc.journal(base.url)


def test_une_nouvelle_epoque_republie_tout_sous_un_autre_nom(
    base: Any, kafka: str, prefixe: str, recorder: Recorder
) -> None:
    from publication.epoques import epoque_courante, ouvrir_epoque

    settings = banc.reglages(base.url, kafka, prefixe)
    _creer(settings)
    banc.record(recorder, banc.avec_paiements(1, 1))
    banc.publier(settings)
    with psycopg.connect(base.url) as conn:
        premiere = epoque_courante(conn)
        seconde = ouvrir_epoque(conn, "sauvegarde restaurée")
        troisieme = ouvrir_epoque(conn, "encore une, dans la même seconde")
    assert premiere < seconde < troisieme
    assert banc.publier(settings) == 3
    recus = banc.relire(settings)
    assert [recu.en_tetes["ce_source"].decode().rpartition("/")[2] for recu in recus] == [premiere] * 3 + [
        troisieme
    ] * 3
    assert [recu.version for recu in recus] == [1, 2, 3] * 2


def _creer(settings: Settings) -> None:
    kafka.create_topics(settings)


def _ecartes(base: Any) -> int:
    with psycopg.connect(base.url) as conn:
        (compte,) = conn.execute("SELECT count(*) FROM vues.ecartes").fetchone() or (0,)
        return int(compte)
