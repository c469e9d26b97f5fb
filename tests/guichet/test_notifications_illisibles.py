"""Ce que le topic des notifications ne peut pas dire : un message illisible a une cause, et n'arrête rien."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batch import Partition
from engine.messages import Message, UnreadableMessage
from guichet.prendre_notification import _champs_texte, lire_notification


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


@pytest.mark.parametrize(
    "valeur", [b'{"Data":"\xff"}', b'{"Data":"\xed\xa0\x80"}', b'{"Data":"\x00"}', b"\xef\xbb\xbf{}", b'{"a"']
)
def test_des_octets_qui_ne_sont_pas_du_json_en_utf8_le_disent(valeur: bytes) -> None:
    with pytest.raises(UnreadableMessage, match="JSON en UTF-8"):
        lire_notification(_Guichet(), message(valeur))  # type: ignore[arg-type]


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers() | st.none()), st.booleans())
def test_la_lecture_en_une_passe_dit_ce_que_dit_celle_qui_verifie_tout(
    champs: dict[str, Any],
    ascii_seul: bool,  # noqa: FBT001 (Hypothesis le tire)
) -> None:
    octets = json.dumps(champs, ensure_ascii=ascii_seul).encode()
    if all(isinstance(valeur, str) for nom, valeur in champs.items() if nom != "recue_le"):
        assert _champs_texte(octets) == champs
    else:
        with pytest.raises(UnreadableMessage, match="sont des textes"):
            _champs_texte(octets)


@pytest.mark.parametrize("valeur", [b'{"Data":"a","Seal":"s"}', b'{"Data":"a\\"b","Seal":"\\\\"}', b"{}"])
def test_des_champs_distincts_passent(valeur: bytes) -> None:
    with pytest.raises(_Lu):
        lire_notification(_Guichet(), message(valeur))  # type: ignore[arg-type]
