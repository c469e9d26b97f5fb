"""Ce qui entre par Kafka : chaque message a un sort, rien ne s'arrête, rien n'est perdu."""

import json
import threading
from math import ceil
from typing import Any

import psycopg
import pytest

from domain.sort import Sort
from engine.batch import Partition
from engine.conflicts import PositionConflict
from engine.messages import Message
from guichet.prendre_notification import TRANCHE, prendre_notifications
from projections.audit import auditer
from service import composition
from tests.consumers.banc import MAINTENANT, Banc, avis, banc, notification


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Any:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


def solde(b: Banc, reference: str) -> tuple[int, int]:
    b.projeter()
    ligne = b.conn.execute("SELECT solde, en_cours FROM vues.restant_du WHERE reference = %s", (reference,)).fetchone()
    assert ligne is not None
    return ligne[0], ligne[1]


def test_une_notification_devient_un_solde_prouvable(b: Banc) -> None:
    creance = avis(1)
    b.emettre_avis(creance)
    b.consommer("avis", 1)
    transaction = b.ouvrir(creance["reference"], 20_00)
    assert solde(b, creance["reference"]) == (87_09, 20_00)

    topic = b.settings.topic_notifications
    b.emettre(topic, [(transaction, notification(transaction, 20_00))] * 3)
    b.consommer("kiosque", 3)

    assert solde(b, creance["reference"]) == (67_09, 0)
    assert b.par_sort(topic) == {"appliquee": 1, "doublon": 2}
    rapport = auditer(b.conn)
    assert rapport.ecarts == []
    assert rapport.accepte_total == 20_00


def test_chaque_message_de_caisse_mauvais_a_un_sort_et_une_cause_et_les_bons_passent(b: Banc) -> None:
    bon = avis(1)
    rectifie = {"type": "avis_rectifie", "reference": bon["reference"], "message_id": "m1", "motif": "erreur"}
    mauvais: list[tuple[str, bytes | dict[str, Any], str]] = [
        ("pas du JSON", b"{", "JSON"),
        ("UTF-8", b"\xff\xfe", "UTF-8"),
        ("une liste", b"[]", "objet JSON"),
        ("montant négatif", avis(2, montant=-1), "négatif"),
        ("montant nul", avis(2, montant=0), "positif"),
        ("montant énorme", avis(2, montant=10**30), "montant"),
        ("montant flottant", avis(2) | {"montant_initial_centimes": 12.5}, "entier"),
        ("montant texte", avis(2) | {"montant_initial_centimes": "1200"}, "entier"),
        ("montant booléen", avis(2) | {"montant_initial_centimes": True}, "entier"),
        ("référence courte", avis(2) | {"reference": "123F"}, "reference"),
        ("NIR pour pseudonyme", avis(2, assure="255081416802538"), "assure"),
        ("champ de trop", avis(2) | {"nom": "Dupont"}, "inconnu"),
        ("type inconnu", avis(2) | {"type": "autre"}, "type"),
        ("date illisible", avis(2) | {"date_emission": "12/05/2026"}, "date"),
        ("trop gros", b'"' + b"x" * 100_000 + b'"', "octets"),
        ("vide", b"", "JSON"),
        ("profond", b"[" * 30_000, "JSON"),
    ]
    topic = b.settings.topic_avis
    b.emettre(topic, [("k", valeur) for _, valeur, _ in mauvais])
    b.emettre_avis(
        bon,
        bon,
        bon | {"montant_initial_centimes": 99_00},
        {"type": "avis_annule", "reference": avis(7)["reference"], "message_id": "m9", "motif": ""},
        rectifie | {"montant_initial_centimes": 50_00},
        bon,
        rectifie | {"montant_initial_centimes": 51_00},
    )
    b.consommer("avis", len(mauvais) + 7)

    assert b.par_sort(topic) == {
        "rejetee": len(mauvais),
        "appliquee": 2,
        "doublon": 2,
        "contradictoire": 2,
        "en_souffrance": 1,
    }
    causes = [c for (c,) in b.conn.execute("SELECT cause FROM journal.sorts WHERE sort = 'rejetee' ORDER BY decalage")]
    for (nom, _, mot), cause in zip(mauvais, causes, strict=True):
        assert mot in cause, f"{nom} : {cause}"
    assert solde(b, bon["reference"]) == (50_00, 0)
    rebuts = b.rebuts(topic, len(mauvais))
    assert {rebut.value for rebut in rebuts} >= {b"{", b"\xff\xfe", b"[]"}
    assert {"cause", "origine-position", "origine-partition", "origine-topic-id"} <= {
        nom for nom, _ in rebuts[0].headers
    }


def test_chaque_notification_finit_dans_exactement_un_sort(b: Banc) -> None:
    creances = [avis(numero) for numero in range(4)]
    b.emettre_avis(*creances)
    b.consommer("avis", 4)
    t = [b.ouvrir(creance["reference"], 20_00) for creance in creances]
    inconnue = "PCLCB260010009999"
    messages: list[tuple[str, Any]] = [
        (t[0], notification(t[0], 20_00, "05")),
        (t[0], notification(t[0], 20_00, "17")),
        (t[0], notification(t[0], 20_00)),
        (t[0], notification(t[0], 20_00, "05")),
        (t[1], notification(t[1], 20_00, "60")),
        (t[1], notification(t[1], 20_01)),
        (t[1], notification(t[1], 20_01)),
        (t[2], notification(t[2], 20_00, "ZZ")),
        (t[3], notification(t[3], 20_00) | {"Data": "amount=1"}),
        (t[3], notification(t[3], 20_00, merchantId="999999999999999")),
        (t[3], notification(t[3], -5)),
        (t[3], notification(t[3], 10**20)),
        (t[3], {"Data": 1, "Seal": None}),
        (t[3], b"x" * 900_000),
        (inconnue, notification(inconnue, 33_00)),
        (inconnue, notification(inconnue, 33_00)),
        (inconnue, notification(inconnue, 33_00, "05")),
    ]
    topic = b.settings.topic_notifications
    b.emettre(topic, messages)
    b.consommer("kiosque", len(messages))

    assert b.par_sort(topic) == {
        "appliquee": 3,
        "doublon": 3,
        "contradictoire": 1,
        "en_attente": 1,
        "montant_incoherent": 1,
        "non_rapprochee": 2,
        "rejetee": 6,
    }
    assert sum(b.par_sort(topic).values()) == len(messages)
    assert solde(b, creances[0]["reference"]) == (67_09, 0)
    assert solde(b, creances[1]["reference"]) == (87_09, 0), "un autre montant : la réservation est levée"
    assert solde(b, creances[2]["reference"]) == (87_09, 0), "un code inconnu est un échec, jamais une acceptation"
    (non_imputes,) = b.conn.execute(
        "SELECT count(*) FROM journal.evenements WHERE topic = 'paiement.EncaissementNonImpute'"
    ).fetchone() or (0,)
    assert non_imputes == 2
    assert auditer(b.conn).ecarts == []


def test_rien_de_la_carte_ni_de_l_adresse_ne_reste_dans_postgresql(b: Banc) -> None:
    b.emettre_avis(avis(1))
    b.consommer("avis", 1)
    t = b.ouvrir(avis(1)["reference"], 20_00)
    sensibles = {"customerIpAddress": "194.78.195.168", "panExpiryDate": "203002", "tokenPan": "g011040a730424d1ba6"}
    b.emettre(
        b.settings.topic_notifications,
        [(t, notification(t, 20_00, maskedPan="5017##########00", **sensibles))],
    )
    b.consommer("kiosque", 1)
    tout = json.dumps(
        [
            *b.conn.execute("SELECT champs::text, cause FROM journal.sorts").fetchall(),
            *b.conn.execute("SELECT convert_from(etat, 'UTF8') FROM journal.evenements").fetchall(),
        ]
    )
    assert "5017##########00" in tout
    for valeur in sensibles.values():
        assert valeur not in tout


def test_le_lot_tardif_d_un_consommateur_perime_est_refuse(b: Banc) -> None:
    b.emettre_avis(avis(1))
    b.consommer("avis", 1)
    t = b.ouvrir(avis(1)["reference"], 20_00)
    b.emettre(b.settings.topic_notifications, [(t, notification(t, 20_00))])
    b.consommer("kiosque", 1)
    partition, offset = _ou(b)
    perime = composition.consumer(b.settings, b.guichet, "kiosque")
    perime.placement.attendues = {partition.partition: 0}
    message = Message(partition, offset, t.encode(), json.dumps(notification(t, 20_00)).encode(), MAINTENANT)
    avant = b.journal()

    with pytest.raises(PositionConflict):
        perime.enregistrer([message])
    assert b.journal() == avant


def test_un_defaut_du_code_ne_retient_que_le_message_fautif(b: Banc) -> None:
    b.emettre_avis(*(avis(n) for n in range(5)))
    b.consommer("avis", 5)
    t = [b.ouvrir(avis(n)["reference"], 20_00) for n in range(5)]
    b.emettre(b.settings.topic_notifications, [(x, notification(x, 20_00)) for x in t])
    boucle = composition.consumer(b.settings, b.guichet, "kiosque")

    def prendre(conn: Any, messages: Any, maintenant: Any) -> Any:
        if any(t[2].encode() == message.cle for message in messages):
            raise ZeroDivisionError("défaut planté")
        return prendre_notifications(b.guichet, conn, messages, maintenant)

    boucle.prendre = prendre
    partition = Partition(_topic_id(b), b.settings.topic_notifications, 0)
    boucle.placement.attendues = {0: 0}
    messages = [
        Message(partition, n, x.encode(), json.dumps(notification(x, 20_00)).encode(), MAINTENANT)
        for n, x in enumerate(t)
    ]
    boucle.enregistrer(messages)
    assert b.par_sort(b.settings.topic_notifications) == {"appliquee": 4, "rejetee": 1}
    boucle.rebuts.fermer()


@pytest.mark.parametrize("taille", [1, 50, 500])
def test_le_nombre_d_instructions_sql_d_un_lot_ne_grandit_que_de_deux_par_tranche(
    b: Banc, taille: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    b.emettre_avis(*(avis(n) for n in range(taille)))
    b.consommer("avis", taille)
    t = [b.ouvrir(avis(n)["reference"], 20_00) for n in range(taille)]
    boucle = composition.consumer(b.settings, b.guichet, "kiosque")
    boucle.placement.attendues = {0: 0}
    partition = Partition(_topic_id(b), b.settings.topic_notifications, 0)
    messages = [
        Message(partition, n, x.encode(), json.dumps(notification(x, 20_00)).encode(), MAINTENANT)
        for n, x in enumerate(t)
    ]
    instructions: list[str] = []
    executer, ici = psycopg.Cursor.execute, threading.get_ident()

    def compter(curseur: Any, requete: Any, *reste: Any, **options: Any) -> Any:
        if requete and threading.get_ident() == ici:  # Le pool éprouve la connexion par une requête vide.
            instructions.append(str(requete))
        return executer(curseur, requete, *reste, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", compter)
    boucle.enregistrer(messages)
    monkeypatch.undo()

    # L'ordre, les événements, le réveil, les positions, les sorts, ce qui attend ; et deux chargements par tranche.
    assert len(instructions) == 6 + 2 * ceil(taille / TRANCHE), instructions
    assert b.par_sort(b.settings.topic_notifications) == {Sort.APPLIQUEE.value: taille}


def _topic_id(b: Banc) -> Any:
    from service import kafka

    lecteur = kafka.reader(b.settings)
    try:
        fin = kafka.topic_end(lecteur, b.settings.topic_notifications)
        assert fin is not None
        return fin.topic_id
    finally:
        lecteur.close()


def _ou(b: Banc) -> tuple[Partition, int]:
    ligne = b.conn.execute(
        "SELECT topic_id, topic, partition, decalage FROM journal.sorts WHERE topic = %s",
        (b.settings.topic_notifications,),
    ).fetchone()
    assert ligne is not None
    return Partition(*ligne[:3]), ligne[3]


def test_un_message_de_dix_megaoctets_est_rejete_et_garde_entier_aux_rebuts(b: Banc) -> None:
    boucle = composition.consumer(b.settings, b.guichet, "kiosque")
    boucle.placement.attendues = {0: 0}
    enorme = b"x" * 10_000_000
    topic = b.settings.topic_notifications
    boucle.enregistrer([Message(Partition(_topic_id(b), topic, 0), 0, b"k", enorme, MAINTENANT)])
    boucle.rebuts.fermer()

    assert b.par_sort(topic) == {"rejetee": 1}
    (cause,) = b.conn.execute("SELECT cause FROM journal.sorts").fetchone() or ("",)
    assert cause == "message de 10000000 octets, 65536 au plus"
    (rebut,) = b.rebuts(topic, 1)
    assert rebut.value == enorme
