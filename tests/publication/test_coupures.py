"""Le publieur tué n'importe où, Kafka absent, un topic recréé : rien ne manque, et chaque flux reste dans l'ordre."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kafka import KafkaAdminClient

from journal.enregistreur import Enregistreur
from journal.pannes import Panne
from publication.message import Message
from service import composition, kafka
from service.retard import lag
from service.settings import Settings
from tests.courtiers import Apache, Tansu
from tests.outils import attendre, se_tuer
from tests.publication import banc

ÉTAPES_D_UN_LOT = 6
"""lire, publier, publié, appliquer, valider, suite."""
LOT = 10


@pytest.fixture
def enregistreur(base: Any) -> Iterator[Enregistreur]:
    with banc.ouvrir(base.url) as ouvert:
        yield ouvert


def tuer(settings: Settings, étape: int) -> None:
    se_tuer(
        "tests.publication.role_tue",
        étape,
        database_url=settings.database_url,
        kafka_bootstrap=settings.kafka_bootstrap,
        topic_prefix=settings.topic_prefix,
        publication_batch_size=LOT,
    )


def test_le_publieur_tué_à_chaque_étape_ne_manque_rien_et_garde_l_ordre(
    base: Any, kafka: str, préfixe: str, enregistreur: Enregistreur
) -> None:
    settings = banc.réglages(base.url, kafka, préfixe)
    _créer(settings)
    banc.inscrire(enregistreur, *(banc.avec_paiements(numéro, 3) for numéro in range(12)))

    for étape in range(1, ÉTAPES_D_UN_LOT + 1):
        tuer(settings, étape)
    assert banc.état(base.url)["position"] < 84, "tout est déjà publié : la coupure n'éprouve rien"
    banc.publier(settings)

    publiées = banc.versions(banc.relire(settings))
    attendues = banc.journal(base.url)
    assert {flux: banc.retenues(reçues) for flux, reçues in publiées.items()} == attendues
    assert publiées != attendues, "rien n'est sorti deux fois : la coupure n'éprouve rien"


def test_kafka_absent_n_écarte_rien_se_dit_et_à_son_retour_tout_sort_de_nouveau(
    base: Any, tmp_path: Path, préfixe: str, enregistreur: Enregistreur
) -> None:
    """Tansu oublie tout en s'arrêtant : à son retour le topic manque, puis est un autre."""
    with Tansu(tmp_path) as courtier:
        settings = banc.réglages(base.url, courtier.bootstrap, préfixe)
        _créer(settings)
        banc.inscrire(enregistreur, *(banc.avec_paiements(numéro, 2) for numéro in range(10)))
        with banc.publieur(settings):
            attendre(lambda: banc.état(base.url)["position"] == 50, secondes=20)
            avant = {reçu.en_têtes["ce_source"] for reçu in banc.relire(settings)}
            courtier.tuer()
            banc.inscrire(enregistreur, *(banc.avec_paiements(numéro, 2) for numéro in range(10, 20)))
            attendre(lambda: "KafkaAbsent" in (banc.état(base.url)["derniere_erreur"] or ""), secondes=60, quoi="dit")
            assert banc.état(base.url)["position"] == 50
            courtier.démarrer()
            attendre(lambda: "TopicAbsent" in (banc.état(base.url)["derniere_erreur"] or ""), secondes=60, quoi="dit")
            _créer(settings)
            attendre(lambda: banc.état(base.url)["position"] == 100, secondes=60, quoi="tout publié")
        assert _écartés(base) == 0
        assert "topic recréé" in banc.état(base.url)["derniere_erreur"]
        reçus = banc.relire(settings)
    assert banc.versions(reçus) == banc.journal(base.url)
    assert {reçu.en_têtes["ce_source"] for reçu in reçus} == avant


def test_kafka_absent_au_démarrage_se_dit_et_tout_sort_quand_il_vient(
    base: Any, tmp_path: Path, préfixe: str, enregistreur: Enregistreur
) -> None:
    courtier = Tansu(tmp_path)
    settings = banc.réglages(base.url, courtier.bootstrap, préfixe)
    banc.inscrire(enregistreur, banc.avec_paiements(1, 2))
    with banc.publieur(settings):
        attendre(lambda: "KafkaAbsent" in (banc.état(base.url).get("derniere_erreur") or ""), secondes=30, quoi="dit")
        with courtier:
            _créer(settings)
            attendre(lambda: banc.état(base.url)["position"] == 5, secondes=60, quoi="tout publié")
            publiées = banc.versions(banc.relire(settings))
    assert publiées == banc.journal(base.url)


@pytest.mark.usefixtures("apache")
def test_un_envoi_retenté_ne_tombe_pas_dans_le_topic_recréé_entre_temps(kafka: str, préfixe: str, base: Any) -> None:
    """Sinon ces versions y précéderaient les premières, qu'un consommateur ignorerait ensuite."""
    settings = banc.réglages(base.url, kafka, préfixe)
    _créer(settings)
    émetteur = composition.emitter(settings)
    topic_id = émetteur.topic_id()
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics([settings.topic_evenements])
    admin.close()
    with ThreadPoolExecutor(1) as fil:
        envoi = fil.submit(émetteur.émettre, [Message(b"k", b"{}", [("ce_id", b"a:7")])], topic_id)
        attendre(lambda: émetteur._producteur is not None and not envoi.done(), quoi="l'envoi est retenté")
        _créer(settings)
        with pytest.raises(Panne):
            envoi.result(timeout=30)
    émetteur.abandonner()
    assert banc.relire(settings) == []


@pytest.mark.usefixtures("apache")
def test_apache_kafka_tué_puis_revenu_reçoit_la_suite_sans_rien_de_répété_ni_de_perdu(
    base: Any, tmp_path: Path, préfixe: str, enregistreur: Enregistreur
) -> None:
    """Son journal est sur disque : à son retour le topic est le même, le publieur reprend là où il en était."""
    with Apache(tmp_path) as courtier:
        settings = banc.réglages(base.url, courtier.bootstrap, préfixe)
        _créer(settings)
        banc.inscrire(enregistreur, *(banc.avec_paiements(numéro, 2) for numéro in range(10)))
        with banc.publieur(settings):
            attendre(lambda: banc.état(base.url)["position"] == 50, secondes=20)
            courtier.tuer()
            banc.inscrire(enregistreur, *(banc.avec_paiements(numéro, 3) for numéro in range(10, 20)))
            attendre(lambda: "KafkaAbsent" in (banc.état(base.url)["derniere_erreur"] or ""), secondes=60, quoi="dit")
            courtier.démarrer()
            attendre(lambda: banc.état(base.url)["position"] == 120, secondes=60, quoi="tout publié")
        assert _écartés(base) == 0
        publiées = banc.versions(banc.relire(settings))
    assert {flux: banc.retenues(reçues) for flux, reçues in publiées.items()} == banc.journal(base.url)


def test_un_topic_recréé_sans_que_kafka_s_arrête_est_vu_et_tout_sort_de_nouveau(
    base: Any, kafka: str, préfixe: str, enregistreur: Enregistreur
) -> None:
    settings = banc.réglages(base.url, kafka, préfixe)
    _créer(settings)
    banc.inscrire(enregistreur, *(banc.avec_paiements(numéro, 2) for numéro in range(10)))
    with banc.publieur(settings):
        attendre(lambda: banc.état(base.url)["position"] == 50, secondes=20)
        admin = KafkaAdminClient(bootstrap_servers=kafka)
        admin.delete_topics([settings.topic_evenements])
        admin.close()
        _créer(settings)
        attendre(lambda: "topic recréé" in (banc.état(base.url)["derniere_erreur"] or ""), secondes=30)
        attendre(lambda: banc.état(base.url)["position"] == 50, secondes=30)
        ligne = next(ligne for ligne in lag(settings, enregistreur.base) if ligne["nom"] == "publication")
        assert "tout est publié de nouveau" in ligne["derniere_erreur"]
        assert (ligne["topic"], ligne["topic_recree"]) == (settings.topic_evenements, 1)
    assert banc.versions(banc.relire(settings)) == banc.journal(base.url)


def test_un_topic_recréé_pendant_l_arrêt_est_vu_au_démarrage(
    base: Any, kafka: str, préfixe: str, enregistreur: Enregistreur
) -> None:
    settings = banc.réglages(base.url, kafka, préfixe)
    _créer(settings)
    banc.inscrire(enregistreur, banc.avec_paiements(1, 2))
    banc.publier(settings)
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics([settings.topic_evenements])
    admin.close()
    _créer(settings)
    assert banc.publier(settings) == 5
    assert banc.versions(banc.relire(settings)) == banc.journal(base.url)


def test_sans_topic_le_publieur_attend_et_le_dit(
    base: Any, kafka: str, préfixe: str, enregistreur: Enregistreur
) -> None:
    settings = banc.réglages(base.url, kafka, préfixe)
    banc.inscrire(enregistreur, banc.avec_paiements(1, 1))
    with banc.publieur(settings):
        attendre(lambda: "TopicAbsent" in (banc.état(base.url).get("derniere_erreur") or ""), secondes=30)
        _créer(settings)
        attendre(lambda: banc.état(base.url)["position"] == 3, secondes=30)
    assert banc.versions(banc.relire(settings)) == banc.journal(base.url)


def test_une_nouvelle_époque_republie_tout_sous_un_autre_nom(
    base: Any, kafka: str, préfixe: str, enregistreur: Enregistreur
) -> None:
    from publication.epoques import ouvrir_époque, époque_courante

    settings = banc.réglages(base.url, kafka, préfixe)
    _créer(settings)
    banc.inscrire(enregistreur, banc.avec_paiements(1, 1))
    banc.publier(settings)
    with psycopg.connect(base.url) as conn:
        première = époque_courante(conn)
        seconde = ouvrir_époque(conn, "sauvegarde restaurée")
        troisième = ouvrir_époque(conn, "encore une, dans la même seconde")
    assert première < seconde < troisième
    assert banc.publier(settings) == 3
    reçus = banc.relire(settings)
    assert [reçu.en_têtes["ce_source"].decode().rpartition("/")[2] for reçu in reçus] == [première] * 3 + [
        troisième
    ] * 3
    assert [reçu.version for reçu in reçus] == [1, 2, 3] * 2


def _créer(settings: Settings) -> None:
    kafka.create_topics(settings)


def _écartés(base: Any) -> int:
    with psycopg.connect(base.url) as conn:
        (compte,) = conn.execute("SELECT count(*) FROM vues.ecartes").fetchone() or (0,)
        return int(compte)
