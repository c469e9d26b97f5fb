"""`creances.soldes` : le dernier solde de chaque créance, qui n'avance que, et ne dit que ce que le journal dit."""

import json
import threading
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as essais
from hypothesis import strategies as st
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from domain.avis import Canal
from domain.creance import Créance
from domain.monnaie import Centimes
from domain.references import ReferenceCreance, ReferenceTransaction
from engine.recorder import Recorder
from publication.epoques import epoque_courante, ouvrir_epoque
from service import composition, kafka
from service.lag import lag
from service.settings import Settings
from service.topic_configs import topic_configs
from tests.outils import attendre, se_tuer
from tests.publication import banc
from tests.publication.banc import Recu
from tests.publication.test_renvoi import payee

ETAPES_D_UN_LOT = 6
LOT = 10


def dernier(recus: Sequence[Recu]) -> dict[str, dict[str, Any]]:
    """Ce que tient un partenaire : par référence, la version la plus haute de la dernière époque."""
    tenus: dict[str, tuple[str, dict[str, Any]]] = {}
    for recu in recus:
        dit, epoque = json.loads(recu.valeur), recu.en_tetes["ce_source"].decode()
        assert recu.cle.decode() == dit["reference"] == recu.en_tetes["ce_subject"].decode()
        assert recu.en_tetes["ce_id"].decode() == f"solde-{dit['reference']}:{dit['version']}"
        ancien = tenus.get(dit["reference"])
        if ancien is None or (epoque, dit["version"]) > (ancien[0], ancien[1]["version"]):
            tenus[dit["reference"]] = (epoque, dit)
    return {reference: dit for reference, (_, dit) in tenus.items()}


def du_journal(recorder: Recorder) -> dict[str, dict[str, Any]]:
    """Ce que disent les agrégats, relus du journal."""
    with recorder.base.transaction() as conn:
        flux = [
            un for (un,) in conn.execute("SELECT DISTINCT flux FROM journal.evenements WHERE flux LIKE 'creance-%'")
        ]
        creances: dict[str, Créance] = recorder.load(conn, flux)
    return {
        Créance.reference_de(creance.id): {
            "reference": Créance.reference_de(creance.id),
            "version": creance.version,
            "caisse": creance.avis.caisse,
            "restant_du_centimes": creance.restant_du,
            "en_cours_centimes": creance.reserve,
            "trop_percu_centimes": creance.trop_percu,
        }
        for creance in creances.values()
    }


def n_avance_que(recus: Sequence[Recu]) -> bool:
    """Dit si, sous chaque clé, aucun message n'est plus ancien que celui qu'il remplace."""
    vues: dict[bytes, tuple[bytes, int]] = {}
    for recu in recus:
        rang = (recu.en_tetes["ce_source"], recu.version)
        if rang < vues.get(recu.cle, rang):
            return False
        vues[recu.cle] = rang
    return True


def soldes(settings: Settings) -> list[Recu]:
    return banc.relire(settings, settings.topic_soldes)


def test_un_partenaire_qui_lit_le_topic_d_etat_connait_chaque_creance_en_un_message(
    recorder: Recorder, settings: Settings
) -> None:
    banc.record(recorder, *(agregat for numero in range(1, 9) for agregat in payee(numero)))
    banc.publier(settings)
    banc.publier_les_soldes(settings)
    recus = soldes(settings)
    assert len(recus) == 8
    assert dernier(recus) == du_journal(recorder)
    assert {dit["restant_du_centimes"] for dit in dernier(recus).values()} == {67_09}
    assert all(recu.valeur for recu in recus), "un message sans valeur effacerait la créance"


def test_il_ne_dit_jamais_plus_que_les_evenements_publies(recorder: Recorder, settings: Settings) -> None:
    banc.record(recorder, *payee(1))
    banc.publier(settings)
    banc.record(recorder, *payee(2))
    banc.publier_les_soldes(settings)
    assert list(dernier(soldes(settings))) == ["3811701200000001F"]
    banc.publier(settings)
    banc.publier_les_soldes(settings)
    assert dernier(soldes(settings)) == du_journal(recorder)


@essais(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=6), st.integers(1, 7))
def test_ou_que_les_lots_soient_coupes_la_copie_est_le_journal_et_n_avance_que(
    base: Any, kafka: str, prefixe: str, vagues: list[tuple[int, int]], lot: int
) -> None:
    settings = banc.reglages(base.url, kafka, prefixe, publication_batch_size=lot)
    creer(settings)
    with banc.ouvrir(base.url) as recorder:
        for premiere, combien in vagues:
            for numero in range(premiere, premiere + combien):
                agir(recorder, numero)
            banc.publier(settings)
            banc.publier_les_soldes(settings)
        recus = soldes(settings)
        assert dernier(recus) == du_journal(recorder)
        assert n_avance_que(recus)


def agir(recorder: Recorder, numero: int) -> None:
    """Ouvre la créance, ou y ajoute un paiement qui échoue."""
    reference = ReferenceCreance(f"38117012{numero:08d}F")
    with recorder.base.transaction() as conn:
        creance = recorder.load(conn, [Créance.flux(reference)]).get(Créance.flux(reference))
    if creance is None:
        banc.record(recorder, banc.creance(numero))
        return
    transaction = ReferenceTransaction(f"T{numero}X{creance.version}")
    creance.initier_paiement(transaction, Centimes(1_00), Canal.WEB, banc.T0, maintenant=banc.T0)
    if creance.version % 3:
        creance.constater_echec(transaction, "refusé", maintenant=banc.T0)
    banc.record(recorder, creance)


@pytest.mark.lent
def test_tue_a_chaque_etape_il_ne_manque_rien_et_n_avance_que(
    base: Any, kafka: str, prefixe: str, recorder: Recorder
) -> None:
    settings = banc.reglages(base.url, kafka, prefixe, publication_batch_size=LOT)
    creer(settings)
    banc.record(recorder, *(banc.avec_paiements(numero, 3) for numero in range(12)))
    banc.publier(settings)
    for etape in range(1, ETAPES_D_UN_LOT + 1):
        se_tuer(
            "tests.publication.role_tue",
            etape,
            "soldes",
            database_url=settings.database_url,
            kafka_bootstrap=settings.kafka_bootstrap,
            topic_prefix=settings.topic_prefix,
            publication_batch_size=LOT,
        )
    assert banc.etat(base.url, "soldes")["position"] < 84, "tout est déjà publié : la coupure n'éprouve rien"
    banc.publier_les_soldes(settings)
    recus = soldes(settings)
    assert dernier(recus) == du_journal(recorder)
    assert n_avance_que(recus)
    assert len(recus) > 12, "rien n'est sorti deux fois : la coupure n'éprouve rien"


def test_une_nouvelle_epoque_s_annonce_dans_chaque_partition_avant_ce_qu_elle_porte(
    base: Any, recorder: Recorder, settings: Settings
) -> None:
    banc.record(recorder, *payee(1), *payee(2))
    banc.publier(settings)
    banc.publier_les_soldes(settings)
    with psycopg.connect(base.url, autocommit=True) as conn:
        avant = epoque_courante(conn)
        apres = ouvrir_epoque(conn, "sauvegarde restaurée")
    banc.publier_les_soldes(settings)
    assert not marques(settings, settings.topic_soldes), "la nouvelle époque devance la publication"
    banc.publier(settings)
    banc.publier_les_soldes(settings)
    for topic in (settings.topic_evenements, settings.topic_soldes):
        trouvees = marques(settings, topic)
        assert {marque.partition for marque in trouvees} == {0, 1, 2}
        for marque in trouvees:
            assert json.loads(marque.valeur) == {"epoque": apres, "epoque_precedente": avant}
        for partition in range(3):
            sources = [
                recu.en_tetes["ce_source"].decode().rpartition("/")[2]
                for recu in banc.relire_tout(settings, topic)
                if recu.partition == partition
            ]
            assert sources == sorted(sources)
    assert dernier(soldes(settings)) == du_journal(recorder)
    assert n_avance_que(soldes(settings))


def marques(settings: Settings, topic: str) -> list[Recu]:
    return [recu for recu in banc.relire_tout(settings, topic) if recu.cle == b"marque"]


def test_le_topic_des_evenements_recree_ne_fait_ni_reculer_ni_ecarter_aucun_solde(
    base: Any, kafka: str, recorder: Recorder, settings: Settings
) -> None:
    banc.record(recorder, *payee(1), *payee(2))
    banc.publier(settings)
    banc.publier_les_soldes(settings)
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics([settings.topic_evenements])
    admin.close()
    creer(settings)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:  # La publication vient de reprendre.
        conn.execute("UPDATE vues.suiveurs SET position = 0 WHERE nom = 'publication'")
        conn.execute("DELETE FROM vues.soldes_publies")
    assert banc.publier_les_soldes(settings) == 0
    banc.record(recorder, *payee(3))
    banc.publier(settings)
    banc.publier_les_soldes(settings)
    assert dernier(soldes(settings)) == du_journal(recorder)
    assert len(soldes(settings)) == 3


def test_une_creance_ecartee_de_la_publication_l_est_ici_et_revient_avec_elle(
    base: Any, recorder: Recorder, settings: Settings
) -> None:
    banc.record(recorder, *payee(1), *payee(2))
    banc.publier(settings)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        garde = conn.execute("SELECT * FROM vues.soldes_publies WHERE flux LIKE '%1F'").fetchone()
        conn.execute("DELETE FROM vues.soldes_publies WHERE flux LIKE '%1F'")
        banc.publier_les_soldes(settings)
        assert list(dernier(soldes(settings))) == ["3811701200000002F"]
        ecartes = conn.execute("SELECT DISTINCT flux FROM vues.ecartes WHERE suiveur = 'soldes'").fetchall()
        assert ecartes == [("creance-3811701200000001F",)]
        conn.execute("INSERT INTO vues.soldes_publies VALUES (%s, %s, %s, %s, %s, %s)", garde)
        conn.execute("UPDATE vues.ecartes SET libere_le = now() WHERE suiveur = 'soldes'")
    banc.publier_les_soldes(settings)
    assert dernier(soldes(settings)) == du_journal(recorder)


@pytest.mark.parametrize("change", ["solde = solde + 1", "en_cours = 0, solde = 0", "caisse = '999'"])
def test_un_solde_garde_change_a_la_main_ne_sort_jamais_du_service(
    base: Any, recorder: Recorder, settings: Settings, change: str
) -> None:
    def abimer() -> None:
        with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
            conn.execute(f"UPDATE vues.soldes_publies SET {change}".encode())  # noqa: S608 (du test)

    banc.record(recorder, banc.creance(1), *payee(2))
    banc.publier(settings)
    abimer()
    banc.publier_les_soldes(settings)
    assert dernier(soldes(settings)) == du_journal(recorder)
    abimer()
    with recorder.base.transaction() as conn:
        (creance,) = recorder.load(conn, ["creance-3811701200000001F"]).values()
    assert isinstance(creance, Créance)
    creance.initier_paiement(
        ReferenceTransaction("PCLCB261720000009"), Centimes(20_00), Canal.WEB, banc.T0, maintenant=banc.T0
    )
    banc.record(recorder, creance)
    banc.publier(settings)
    banc.publier_les_soldes(settings)
    assert dernier(soldes(settings)) == du_journal(recorder)
    [dit] = [json.loads(r.valeur) for r in banc.relire(settings) if r.en_tetes["ce_id"].endswith(b"1F:2")]
    tenu = du_journal(recorder)["3811701200000001F"]
    assert {champ: dit[champ] for champ in tenu if champ.endswith("_centimes")} == {
        champ: montant for champ, montant in tenu.items() if champ.endswith("_centimes")
    }


def test_le_role_mene_les_deux_et_son_retard_se_dit(base: Any, recorder: Recorder, settings: Settings) -> None:
    from service.roles import publisher

    banc.record(recorder, *payee(1))
    arret = threading.Event()
    fil = threading.Thread(target=publisher(settings, lambda _: None).run, args=(arret,))
    fil.start()
    try:
        attendre(lambda: banc.etat(base.url, "soldes")["position"] == 5, secondes=20, quoi="les soldes publiés")
        ligne = next(ligne for ligne in lag(settings, recorder.base) if ligne["nom"] == "soldes")
        assert (ligne["evenements"], ligne["etat"], ligne["topic"]) == (0, "actif", settings.topic_soldes)
    finally:
        arret.set()
        fil.join()


@pytest.mark.usefixtures("apache")
def test_sur_apache_kafka_chaque_topic_a_la_retention_que_le_contrat_promet(settings: Settings) -> None:
    for topic in kafka.topics(settings):
        promis = topic_configs(settings, topic)
        ressource = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(promis))
        with KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap) as admin:
            trouves = admin.describe_configs([ressource], config_filter="all")["topic"][topic]
        assert {nom: trouves[nom]["value"] for nom in promis} == promis


@pytest.mark.lent
@pytest.mark.usefixtures("apache")
def test_apache_kafka_compacte_le_topic_d_etat_et_rien_n_y_manque(recorder: Recorder, settings: Settings) -> None:
    """Les réglages du service, aux durées près : un segment d'une seconde, et aucun délai."""
    pressee = {"segment.ms": "1000", "max.compaction.lag.ms": "1000", "file.delete.delay.ms": "0"}
    with KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topic_soldes, pressee)])
    for _ in range(30):
        for numero in range(1, 5):
            agir(recorder, numero)
        banc.publier(settings)
        banc.publier_les_soldes(settings)

    def compacte() -> bool:
        agir(recorder, 5)  # Un message de plus ferme le segment courant.
        banc.publier(settings)
        banc.publier_les_soldes(settings)
        return len(soldes(settings)) < 100

    attendre(compacte, secondes=90, quoi="des soldes remplacés ont disparu")
    assert dernier(soldes(settings)) == du_journal(recorder)


def creer(settings: Settings) -> None:
    kafka.create_topics(settings)


def test_le_suiveur_des_soldes_est_derriere_la_publication(settings: Settings) -> None:
    suiveur, sender = composition.balances(settings)
    assert suiveur.derriere == "publication"
    sender.abandonner()
