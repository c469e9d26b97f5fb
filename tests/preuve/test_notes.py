"""Les notes signées : l'exemple de la spécification, et rien qui ne soit pas exactement ce qui fut signé."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from preuve.checkpoints import Checkpoint
from preuve.merkle import EMPTY_ROOT
from preuve.notes import Cosignature, KeyType, NoteRefused, Signer, Verifier, decode, lines_of, read, write

CLE_DE_LA_SPECIFICATION = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE_DE_LA_SPECIFICATION = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
JOURNAL = Signer("journal.example/creances", KeyType.NOTE, Ed25519PrivateKey.from_private_bytes(b"j" * 32))
TEMOIN = Signer("temoin.example/un", KeyType.COSIGNATURE, Ed25519PrivateKey.from_private_bytes(b"t" * 32))
POINT = Checkpoint("journal.example/creances", 12, EMPTY_ROOT)
NOTE = write(POINT.text, [JOURNAL.line(POINT.text), TEMOIN.line(POINT.text, 1_790_000_000)])


def test_la_note_de_la_specification_se_lit() -> None:
    note = read(NOTE_DE_LA_SPECIFICATION, [Verifier.parse(CLE_DE_LA_SPECIFICATION)])
    assert note.text == "This is an example message.\n"
    assert note.signers == {"example.com/foo"}


def test_un_point_signe_et_cosigne_dit_qui_l_a_vu_et_quand() -> None:
    note = read(NOTE, [JOURNAL.verifier, TEMOIN.verifier])
    assert Checkpoint.parse(note.text) == POINT
    assert note.signers == {JOURNAL.name}
    assert note.cosignatures == (Cosignature(TEMOIN.name, 1_790_000_000),)
    assert Verifier.parse(str(TEMOIN.verifier)) == TEMOIN.verifier


def test_les_lignes_de_qui_est_connu_sous_la_cle_qu_il_a_aujourd_hui() -> None:
    ancienne = Signer(TEMOIN.name, KeyType.COSIGNATURE, Ed25519PrivateKey.from_private_bytes(b"a" * 32))
    journal, temoin, avant = JOURNAL.line(POINT.text), TEMOIN.line(POINT.text, 3), ancienne.line(POINT.text, 2)
    note = write(POINT.text, [journal, avant, temoin])
    assert lines_of(note, [TEMOIN.verifier]) == [temoin]
    assert lines_of(note, [ancienne.verifier, JOURNAL.verifier]) == [journal, avant]
    assert lines_of(note, []) == []


def test_une_signature_inconnue_ne_compte_pas_et_une_fausse_de_quelqu_un_de_connu_perd_la_note() -> None:
    inconnu = Signer("ailleurs.example", KeyType.NOTE, Ed25519PrivateKey.generate())
    avec = NOTE + inconnu.line(POINT.text)
    assert read(avec, [JOURNAL.verifier]).signers == {JOURNAL.name}
    with pytest.raises(NoteRefused, match="nobody trusted"):
        read(avec, [])
    with pytest.raises(NoteRefused, match="is false"):
        read(NOTE.replace("12", "13", 1), [JOURNAL.verifier])


@given(st.integers(0, len(NOTE.encode()) * 8 - 1))
def test_aucun_bit_d_une_note_ne_change_sans_qu_elle_soit_refusee(bit: int) -> None:
    octets = bytearray(NOTE.encode())
    octets[bit // 8] ^= 1 << bit % 8
    try:
        abimee = octets.decode()
        note = read(abimee, [JOURNAL.verifier, TEMOIN.verifier])
    except (UnicodeDecodeError, NoteRefused):
        return
    # A name or key id that changes makes a signature unknown: the other still stands, over the same text.
    assert note.text == POINT.text
    assert len(note.signers) + len(note.cosignatures) == 1


@pytest.mark.parametrize("tordu", ["QQ=", "QQ", "QR==", "Q Q==", "QQ==\n", "QQ-_", ""])
def test_une_base64_n_a_qu_une_ecriture(tordu: str) -> None:
    if not tordu:
        assert decode(tordu) == b""
        return
    with pytest.raises(NoteRefused):
        decode(tordu)


@pytest.mark.parametrize(
    "texte",
    [
        "origine\n012\n" + "A" * 43 + "=\n",
        "origine\n-1\n" + "A" * 43 + "=\n",
        f"origine\n{1 << 63}\n" + "A" * 43 + "=\n",
        f"origine\n{'9' * 5_000}\n" + "A" * 43 + "=\n",
        "origine\n१२\n" + "A" * 43 + "=\n",
        "\n12\n" + "A" * 43 + "=\n",
        "origine\n12\nQQ==\n",
        "origine\n12\n" + "A" * 43 + "=\nextension\n",
        "origine\n12\n" + "A" * 43 + "=",
    ],
)
def test_un_point_mal_ecrit_est_refuse(texte: str) -> None:
    with pytest.raises(NoteRefused):
        Checkpoint.parse(texte)
