"""Ce que le topic des notifications ne peut pas dire : un message illisible a une cause, et n'arrête rien."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from engine.batch import Partition
from engine.messages import Message, UnreadableMessage
from guichet.prendre_notification import lire_notification


def message(valeur: bytes) -> Message:
    arrive = datetime(2026, 6, 1, tzinfo=UTC)
    return Message(Partition(uuid4(), "t", 0), 0, None, valeur, arrive)


class _Lu(Exception):
    """Le message est parvenu au kiosque."""


class _Guichet:
    class kiosque:  # noqa: N801
        @staticmethod
        def relire(valeur: Any) -> Any:
            raise _Lu(valeur)


@pytest.mark.parametrize(
    "valeur",
    [
        b'{"Data":"a","Data":"b","Seal":"s"}',
        b'{"Data":"a\\"","Data":"b"}',
        b'{"Data":1,"Data":"b"}',
        b'{"Data":{"a":1,"a":2}}',
        b'{"recue_le":"2026-06-01T00:00:00Z","recue_le":"2020-01-01T00:00:00Z","Data":"x"}',
    ],
)
def test_un_champ_donne_deux_fois_est_refuse(valeur: bytes) -> None:
    with pytest.raises(UnreadableMessage, match="deux fois"):
        lire_notification(_Guichet(), message(valeur))  # type: ignore[arg-type]


@pytest.mark.parametrize("valeur", [b'{"Data":' + b"9" * 5_000 + b"}", b'{"Data":' + b"[" * 100 + b"]" * 100 + b"}"])
def test_un_nombre_immense_ou_une_valeur_profonde_n_arretent_rien(valeur: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        lire_notification(_Guichet(), message(valeur))  # type: ignore[arg-type]


@pytest.mark.parametrize("valeur", [b'{"Data":"a","Seal":"s"}', b'{"Data":"a\\"b","Seal":"\\\\"}', b"{}"])
def test_des_champs_distincts_passent(valeur: bytes) -> None:
    with pytest.raises(_Lu):
        lire_notification(_Guichet(), message(valeur))  # type: ignore[arg-type]
