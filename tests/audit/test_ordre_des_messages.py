"""Un topic recréé pendant qu'un message de l'ancien attendait : deux messages ont un nom, et l'audit le sait."""

from typing import Any
from uuid import UUID

import psycopg
import pytest

from projections.audit import auditer
from tests.audit import monde
from tests.audit.monde import AVIS, NOTIFICATIONS, Monde, _cheque
from tests.consumers.banc import MAINTENANT, avis, notification

NOUVEAU = UUID(int=0xC)


def test_un_message_de_l_ancien_topic_applique_apres_ceux_du_nouveau_n_est_pas_en_desordre(
    vide: Monde, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(monde.TOPICS, NOUVEAU, monde.TOPICS[AVIS])
    vide.recevoir(AVIS, avis(71), _cheque(70, 5_00))
    vide.recevoir(NOUVEAU, avis(72), avis(71), avis(70))  # Son @1 est un doublon : ce n'est pas lui qui a attendu.
    vide.appliquer_ce_qui_attend()
    vide.projeter()
    assert auditer(vide.conn, maintenant=MAINTENANT).ecarts == []


def test_l_argent_d_un_message_qui_porte_le_nom_d_un_autre_n_est_compte_qu_une_fois(
    vide: Monde, base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L'ancien attendait devant un flux illisible ; le nouveau, au même décalage, est appliqué ou non rapproché."""
    monkeypatch.setitem(monde.TOPICS, NOUVEAU, monde.TOPICS[NOTIFICATIONS])
    vide.recevoir(AVIS, avis(1), avis(2), avis(3))
    attendus = [vide.ouvrir(20_00, numero) for numero in (1, 2)]
    libre = vide.ouvrir(25_00, 3)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
        illisibles = ["creance-" + avis(numero)["reference"] for numero in (1, 2)]
        gardes = proprietaire.execute(
            "SELECT etat, position FROM journal.evenements WHERE flux = ANY (%s) AND version = 1", (illisibles,)
        ).fetchall()
        for _, position in gardes:
            proprietaire.execute("UPDATE journal.evenements SET etat = 'x' WHERE position = %s", (position,))
        vide.recevoir(NOTIFICATIONS, *(notification(transaction, 20_00) for transaction in attendus))
        for garde in gardes:
            proprietaire.execute("UPDATE journal.evenements SET etat = %s WHERE position = %s", garde)
        proprietaire.execute("ALTER TABLE journal.evenements ENABLE ALWAYS TRIGGER ajout_seul")
    assert vide.conn.execute("SELECT count(*) FROM journal.attentes").fetchone() == (2,)
    vide.recevoir(NOUVEAU, notification(libre, 25_00), notification("INCONNUE", 9_00))
    vide.appliquer_ce_qui_attend(NOTIFICATIONS)
    vide.projeter()
    assert auditer(vide.conn, maintenant=MAINTENANT).ecarts == []
