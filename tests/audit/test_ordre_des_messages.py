"""Un topic recréé pendant qu'un message de l'ancien attendait : deux messages ont un nom, et l'audit le sait."""

from uuid import UUID

import pytest

from projections.audit import auditer
from tests.audit import monde
from tests.audit.monde import AVIS, Monde, _cheque
from tests.consumers.banc import MAINTENANT, avis

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
