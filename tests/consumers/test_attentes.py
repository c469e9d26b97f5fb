"""Ce qui ne peut pas être appliqué encore attend avec son contenu, et l'est une fois, dans l'ordre."""

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka import KafkaProducer
from kafka.errors import InvalidTimestampError

from engine import waiting_room
from engine.batch import Partition
from engine.messages import Message, kafka_time
from guichet.prendre_avis import prendre_avis
from service import composition, kafka
from tests.consumers.banc import MAINTENANT, Banc, avis, banc, cheque, notification

ILLISIBLE = b"\x00ceci n'est pas du JSON"


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


def solde(b: Banc, numero: int) -> int | None:
    reference = avis(numero)["reference"]
    ligne = b.conn.execute("SELECT solde FROM vues.restant_du WHERE reference = %s", (reference,)).fetchone()
    return ligne[0] if ligne else None


def ouvertes(b: Banc) -> int:
    (nombre,) = b.conn.execute(
        "SELECT count(*) FROM journal.attentes a LEFT JOIN journal.attentes_reglees r"
        " USING (topic_id, partition, decalage) WHERE r.sort IS NULL"
    ).fetchone() or (0,)
    return int(nombre)


def lever(b: Banc, nom: str) -> None:
    """Ce que fait le rôle à chaque signe de vie."""
    boucle = composition.consumer(b.settings, b.guichet, nom)
    boucle.horloge = lambda: MAINTENANT
    boucle._awaited = None
    boucle.release()


def test_un_cheque_venu_avant_son_avis_attend_puis_compte(b: Banc) -> None:
    b.emettre_avis(cheque(1, 12_34))
    b.consommer("avis", 1)
    assert b.par_sort(b.settings.topic_avis) == {"en_souffrance": 1}
    assert ouvertes(b) == 1
    b.emettre_avis(avis(1, montant=50_00))
    b.consommer("avis", 2)
    if ouvertes(b):  # Le rôle s'est arrêté sitôt les sorts rendus.
        lever(b, "avis")
    assert ouvertes(b) == 0
    b.projeter()
    assert solde(b, 1) == 37_66
    assert b.journal()[-1][4].startswith("kafka:"), "la cause reste le message d'origine"
    lever(b, "avis")
    b.projeter()
    assert solde(b, 1) == 37_66, "une fois"


def abimer(proprietaire: psycopg.Connection[Any], flux: str, etat: bytes) -> bytes:
    """Change l'état du premier événement d'un flux, comme seul un propriétaire le peut ; rend l'ancien."""
    (ancien,) = proprietaire.execute(
        "SELECT etat FROM journal.evenements WHERE flux = %s AND version = 1", (flux,)
    ).fetchone() or (b"",)
    proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
    proprietaire.execute("UPDATE journal.evenements SET etat = %s WHERE flux = %s AND version = 1", (etat, flux))
    proprietaire.execute("ALTER TABLE journal.evenements ENABLE TRIGGER ajout_seul")
    return bytes(ancien)


def test_une_acceptation_devant_une_creance_illisible_attend_sa_reparation_et_les_autres_passent(
    b: Banc, base: Any
) -> None:
    b.emettre_avis(avis(1), avis(2))
    b.consommer("avis", 2)
    gatee, saine = (b.ouvrir(avis(n)["reference"], 20_00) for n in (1, 2))
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        flux = f"creance-{avis(1)['reference']}"
        bon = abimer(proprietaire, flux, ILLISIBLE)
        messages = [(t, notification(t, 20_00)) for t in (gatee, saine)]
        b.emettre(b.settings.topic_notifications, messages)
        b.emettre_avis(cheque(1, 5_00), cheque(2, 5_00))
        b.consommer("kiosque", 2)
        b.consommer("avis", 4)
        assert b.par_sort(b.settings.topic_notifications) == {"en_souffrance": 1, "appliquee": 1}
        assert b.par_sort(b.settings.topic_avis) == {"appliquee": 3, "en_souffrance": 1}
        lever(b, "kiosque")
        assert ouvertes(b) == 2, "rien ne se lève tant que le flux est illisible"
        abimer(proprietaire, flux, bon)
    lever(b, "kiosque")
    lever(b, "avis")
    assert ouvertes(b) == 0
    b.projeter()
    assert (solde(b, 1), solde(b, 2)) == (87_09 - 25_00, 87_09 - 25_00)
    evenements = [ligne[2] for ligne in b.journal() if ligne[0] == flux]
    assert evenements.count("creance.PaiementAccepte") == 1


# --- Ceux que rien ne lèvera ne retiennent personne ------------------------------------------------------------------


@pytest.fixture
def peu_a_la_fois(monkeypatch: pytest.MonkeyPatch) -> int:
    """Ce que le rôle reprend de flux à la fois, réduit."""
    monkeypatch.setattr(waiting_room, "STREAMS_MAX", 3)
    return 3


def sans_avis(b: Banc, combien: int) -> None:
    """Des chèques dont l'avis ne viendra jamais."""
    b.emettre_avis(*(cheque(numero, 5_00) for numero in range(101, 101 + combien)))
    b.consommer("avis", combien)
    assert ouvertes(b) == combien


def test_des_cheques_que_rien_ne_levera_ne_retiennent_pas_une_creance_reparee(
    b: Banc, base: Any, peu_a_la_fois: int
) -> None:
    sans_avis(b, 2 * peu_a_la_fois)
    b.emettre_avis(avis(1))
    b.consommer("avis", 2 * peu_a_la_fois + 1)
    flux = f"creance-{avis(1)['reference']}"
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        bon = abimer(proprietaire, flux, ILLISIBLE)
        b.emettre_avis(cheque(1, 5_00))
        b.consommer("avis", 2 * peu_a_la_fois + 2)
        abimer(proprietaire, flux, bon)
    boucle = composition.consumer(b.settings, b.guichet, "avis")
    boucle.horloge = lambda: MAINTENANT
    for _ in range(4):
        boucle._awaited = None
        boucle.release()
    assert ouvertes(b) == 2 * peu_a_la_fois
    b.projeter()
    assert solde(b, 1) == 87_09 - 5_00


def test_des_avis_venus_ensemble_levent_tous_leurs_cheques(b: Banc, peu_a_la_fois: int) -> None:
    sans_avis(b, peu_a_la_fois)
    numeros = range(1, 3 * peu_a_la_fois)
    b.emettre_avis(*(cheque(numero, 5_00) for numero in numeros))
    b.consommer("avis", peu_a_la_fois + len(numeros))
    boucle = composition.consumer(b.settings, b.guichet, "avis")
    boucle.horloge = lambda: MAINTENANT
    b.emettre_avis(*(avis(numero) for numero in numeros))
    b.consommer("avis", peu_a_la_fois + 2 * len(numeros))
    boucle._awaited = {f"creance-{avis(numero)['reference']}" for numero in numeros}
    boucle.release()
    assert ouvertes(b) == peu_a_la_fois
    b.projeter()
    assert {solde(b, numero) for numero in numeros} == {87_09 - 5_00}


def test_mille_cheques_pour_un_avis_absent_ne_sont_pas_relus_tous_a_chaque_lot(
    b: Banc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sinon la ligne entière s'arrête pour une référence : 8 s pour huit mille, vingt minutes pour cent mille."""
    monkeypatch.setattr(waiting_room, "MESSAGES_MAX", 10, raising=False)
    boucle = composition.consumer(b.settings, b.guichet, "avis")
    boucle.horloge = lambda: MAINTENANT
    partition, rangs = Partition(uuid4(), boucle.topic, 0), iter(range(1_000))
    relus: list[int] = []
    boucle.placement.attendues = {0: 0}

    def prendre(conn: Any, messages: Any, maintenant: Any) -> Any:
        relus.append(len(messages))
        return prendre_avis(b.guichet, conn, messages, maintenant)

    boucle.prendre = prendre

    def lire(*messages: dict[str, Any]) -> None:
        boucle.enregistrer(
            [Message(partition, next(rangs), None, json.dumps(message).encode(), MAINTENANT) for message in messages]
        )
        while boucle._awaited:
            boucle.release()

    boucle._awaited = set()
    for lot in range(20):
        lire(*(cheque(1, 1_00, f"m{lot}-{numero}") for numero in range(10)))
    assert sum(relus) <= 2 * 200
    assert ouvertes(b) == 200
    lire(avis(1, montant=500_00))
    assert ouvertes(b) == 0
    b.projeter()
    assert solde(b, 1) == 300_00


def test_un_message_fautif_qui_attendait_est_rejete_seul_et_les_autres_s_appliquent(b: Banc) -> None:
    """Un défaut du code devant un seul ne retient pas la créance pour toujours, dit par le seul journal technique."""
    b.emettre_avis(*(cheque(1, 1_00, f"m{numero}") for numero in range(5)))
    b.consommer("avis", 5)
    boucle = composition.consumer(b.settings, b.guichet, "avis")
    boucle.horloge = lambda: MAINTENANT
    b.prendre("avis", avis(1))

    def prendre(conn: Any, messages: Any, maintenant: Any) -> Any:
        if any(b'"m2"' in message.valeur for message in messages):
            raise ZeroDivisionError("défaut planté")
        return prendre_avis(b.guichet, conn, messages, maintenant)

    boucle.prendre = prendre
    boucle._awaited = None
    boucle.release()
    assert ouvertes(b) == 0
    reglees = b.conn.execute("SELECT sort, cause FROM journal.attentes_reglees WHERE sort <> 'appliquee'").fetchall()
    ((sort, cause),) = reglees
    assert sort == "rejetee"
    assert "défaut planté" in cause
    (rebut,) = b.rebuts(b.settings.topic_avis, 1)
    assert b'"m2"' in rebut.value
    boucle.rebuts.fermer()
    b.projeter()
    assert solde(b, 1) == 87_09 - 4_00


@pytest.mark.parametrize(
    ("de", "etat"),
    [
        ("paiement", ILLISIBLE),
        ("paiement", b"{}"),
        ("paiement", b'{"timestamp":5}'),
        ("paiement", b"[" * 200_000),
        ("creance", b""),
        ("creance", b"null"),
        ("creance", b"[]"),
        ("creance", b"\xff\xfe"),
        ("creance", b'{"montant_initial":' + b"9" * 6_000 + b"}"),
        ("creance", b'{"a":' * 100_000),
    ],
    ids=range(10),
)
def test_quoi_que_soit_devenu_l_evenement_l_acceptation_attend_et_compte_une_fois(
    b: Banc, base: Any, de: str, etat: bytes
) -> None:
    """De la créance ou du paiement : vide, d'une autre forme, sans fin, trop profond."""
    b.emettre_avis(avis(1), avis(2))
    b.consommer("avis", 2)
    gate, sain = (b.ouvrir(avis(n)["reference"], 20_00) for n in (1, 2))
    flux = f"paiement-{gate}" if de == "paiement" else f"creance-{avis(1)['reference']}"
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        bon = abimer(proprietaire, flux, etat)
        b.emettre(b.settings.topic_notifications, [(t, notification(t, 20_00)) for t in (gate, sain, gate)])
        b.consommer("kiosque", 3)
        assert b.par_sort(b.settings.topic_notifications) == {"en_souffrance": 2, "appliquee": 1}
        abimer(proprietaire, flux, bon)
    lever(b, "kiosque")
    assert ouvertes(b) == 0
    b.projeter()
    assert (solde(b, 1), solde(b, 2)) == (87_09 - 20_00, 87_09 - 20_00)


@pytest.mark.parametrize("horodatage", [1_795_000_000_000_000_000, 1_795_000_000_000_000, 0, 1])
def test_un_horodatage_impossible_n_arrete_personne(b: Banc, horodatage: int) -> None:
    attendus = 12
    with closing(kafka.producer(b.settings)) as producteur:
        valeur = json.dumps(avis(1)).encode()
        # Apache Kafka refuse de lui-même une heure à venir : rien n'entre alors.
        with suppress(InvalidTimestampError):
            producteur.send(b.settings.topic_avis, key=b"1", value=valeur, timestamp_ms=horodatage).get(timeout=60)
            attendus += 1
    b.emettre_avis(*(avis(numero) for numero in range(2, 14)))
    b.consommer("avis", attendus)
    assert b.par_sort(b.settings.topic_avis) == {"appliquee": attendus}


class NomDEnTete(str):
    """Un nom d'en-tête tel qu'un producteur d'une autre langue l'écrit : des octets."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return b"\xe9tat\xff"


def test_un_en_tete_qui_n_est_pas_en_utf8_n_arrete_personne(b: Banc) -> None:
    with closing(kafka.producer(b.settings)) as producteur:
        valeur = json.dumps(avis(1)).encode()
        en_tetes = [(NomDEnTete("x"), b"1")]
        producteur.send(b.settings.topic_avis, key=b"1", value=valeur, headers=en_tetes).get(timeout=60)
    b.emettre_avis(*(avis(numero) for numero in range(2, 14)))
    b.consommer("avis", 13)
    assert b.par_sort(b.settings.topic_avis) == {"appliquee": 13}


@pytest.mark.parametrize("compression", ["gzip", "lz4", "snappy", "zstd"])
def test_un_lot_comprime_se_lit_quel_que_soit_le_producteur(b: Banc, compression: str) -> None:
    """La compression est au choix de qui écrit : sans le codec, la lecture s'arrêterait pour toutes les partitions."""
    reglages = b.settings.kafka_connection() | {"compression_type": compression}
    with closing(KafkaProducer(**reglages)) as producteur:
        for numero in range(1, 4):
            valeur = json.dumps(avis(numero)).encode()
            producteur.send(b.settings.topic_avis, key=b"1", value=valeur).get(timeout=60)
    b.consommer("avis", 3)
    assert b.par_sort(b.settings.topic_avis) == {"appliquee": 3}


@given(st.one_of(st.none(), st.integers()))
@settings(suppress_health_check=[HealthCheck.differing_executors])
def test_l_heure_de_kafka_ne_leve_jamais(horodatage: int | None) -> None:
    assert abs((kafka_time(horodatage, MAINTENANT) - MAINTENANT).days) < 365 * 7


def test_deux_consommateurs_qui_levent_la_meme_attente_ne_l_appliquent_qu_une_fois(b: Banc) -> None:
    b.emettre_avis(cheque(1, 12_34))
    b.consommer("avis", 1)
    boucle, autre = (composition.consumer(b.settings, b.guichet, "avis") for _ in range(2))
    autre.horloge = boucle.horloge = lambda: MAINTENANT
    b.emettre_avis(avis(1))
    boucle.etape = lambda nom: autre.release() if nom == "lever" else None
    autre._awaited = boucle._awaited = None
    b.consommer("avis", 2)
    autre._awaited = boucle._awaited = None
    boucle.release()
    b.projeter()
    assert solde(b, 1) == 87_09 - 12_34
    assert ouvertes(b) == 0
