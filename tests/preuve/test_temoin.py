"""Le protocole des témoins : ce qui est demandé, ce qui est répondu, et ce que la parole d'un témoin vaut."""

from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from preuve.checkpoints import Checkpoint
from preuve.merkle import consistency_proof, leaf_hash, node_hash, root
from preuve.notes import KeyType, NoteRefused, Signer, read, write
from preuve.witness import Witness, handler
from preuve.witness_protocol import (
    PATH,
    PROOF_MAX,
    Answer,
    Cosigned,
    Inconsistent,
    KnowsSize,
    Request,
    Stranger,
    Unusable,
    read_answer,
)
from preuve.witnessing import TRIES, Contradicted, Point, Seen, Unseen, submit
from tests.serveurs import ecoute

ORIGINE: Final = "creances.example/essai"
JOURNAL: Final = f"{ORIGINE}/20260101T000000Z"
CLE: Final = Ed25519PrivateKey.from_private_bytes(b"j" * 32)
SIGNATAIRE: Final = Signer(JOURNAL, KeyType.NOTE, CLE)
TEMOIN: Final = Signer("temoin.example/un", KeyType.COSIGNATURE, Ed25519PrivateKey.from_private_bytes(b"t" * 32))


class Arbre:
    """Un arbre en mémoire, fait de feuilles que l'on donne."""

    def __init__(self, feuilles: Sequence[bytes]) -> None:
        self.feuilles = [leaf_hash(feuille) for feuille in feuilles]

    def _sous_arbre(self, hauteur: int, rang: int) -> bytes:
        if hauteur == 0:
            return self.feuilles[rang]
        return node_hash(self._sous_arbre(hauteur - 1, 2 * rang), self._sous_arbre(hauteur - 1, 2 * rang + 1))

    def preuve(self, ancien: int, taille: int) -> list[bytes]:
        return consistency_proof(ancien, taille, self._sous_arbre)

    def note(self, taille: int, signataire: Signer = SIGNATAIRE) -> str:
        texte = Checkpoint(signataire.name, taille, root(taille, self._sous_arbre)).text
        return write(texte, [signataire.line(texte)])

    def demande(self, ancien: int, taille: int, signataire: Signer = SIGNATAIRE) -> Request:
        preuve = self.preuve(ancien, taille) if ancien <= taille else []
        return Request(ancien, tuple(preuve), self.note(taille, signataire))


def feuilles(combien: int, autre: int | None = None) -> list[bytes]:
    """Des feuilles numérotées ; celle de rang `autre` est d'un autre journal."""
    return [b"autre" if rang == autre else b"%d" % rang for rang in range(combien)]


VRAI: Final = Arbre(feuilles(40))


# --- Le protocole ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=PROOF_MAX))
def test_une_demande_se_relit_telle_quelle(ancien: int, preuve: list[bytes]) -> None:
    demande = Request(ancien, tuple(preuve), VRAI.note(3))
    assert Request.parse(demande.body) == demande


@pytest.mark.parametrize(
    "corps",
    [
        b"",
        b"old 3",
        b"3\n\nnote",
        b"old 03\n\nnote",
        b"old -1\n\nnote",
        b"old 9223372036854775808\n\nnote",
        "old ३\n\nnote".encode(),
        b"old 3\nQQ==\n\nnote",
        b"old 3\nQQ\n\nnote",
        b"old 3\n" + b"A" * 43 + b"=\r\n\nnote",
        b"old 3\n" + (b"A" * 43 + b"=\n") * (PROOF_MAX + 1) + b"\nnote",
        b"\xff\n\n",
    ],
)
def test_une_demande_mal_ecrite_est_refusee(corps: bytes, tmp_path: Path) -> None:
    with pytest.raises(NoteRefused):
        Request.parse(corps)
    temoin = Witness(tmp_path / "etat", TEMOIN, {})
    assert temoin.add_checkpoint(corps).status == 400
    temoin.close()


def test_une_taille_de_milliers_de_chiffres_a_sa_reponse(tmp_path: Path) -> None:
    """Avant toute signature : n'importe qui peut la demander."""
    temoin = Witness(tmp_path / "etat", TEMOIN, {})
    note = f"o\n{'9' * 5_000}\n{'A' * 43}=\n\n\u2014 o AAAAAAA=\n"
    assert temoin.add_checkpoint(f"old 0\n\n{note}".encode()).status == 400
    temoin.close()


@pytest.mark.parametrize("longueur", ["\u00b2", "9" * 5_000, "-1", "+1", "1_0", "", "10241"])
def test_une_longueur_qui_n_en_est_pas_une_a_sa_reponse(longueur: str, tmp_path: Path) -> None:
    temoin = Witness(tmp_path / "etat", TEMOIN, {})
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler(temoin)) as serveur,
        ecoute(serveur),
        closing(HTTPConnection("127.0.0.1", serveur.server_port, timeout=20)) as ligne,
    ):
        ligne.putrequest("POST", PATH)
        ligne.putheader("Content-Length", longueur.encode("latin-1"))
        ligne.endheaders()
        assert ligne.getresponse().status == 413
    temoin.close()


@pytest.mark.parametrize(
    ("statut", "corps", "attendu"),
    [
        (200, b"ligne\n", Cosigned("ligne\n")),
        (409, b"12\n", KnowsSize(12)),
        (409, b"12", KnowsSize(12)),
        (422, b"", Inconsistent()),
        (403, b"", Stranger(403)),
        (404, b"", Stranger(404)),
    ],
)
def test_une_reponse_se_lit(statut: int, corps: bytes, attendu: Answer) -> None:
    assert read_answer(statut, corps) == attendu


@given(st.integers(100, 599), st.binary(max_size=60))
def test_aucune_reponse_ne_fait_tomber_qui_la_lit(statut: int, corps: bytes) -> None:
    lue = read_answer(statut, corps)
    assert isinstance(lue, Unusable) or statut in {200, 403, 404, 409, 422}


@pytest.mark.parametrize("corps", [b"", b"-1\n", b"012\n", b"1e3\n", b"12\n13\n", b"9" * 30, "३\n".encode()])
def test_un_conflit_qui_ne_dit_pas_de_taille_ne_dit_rien(corps: bytes) -> None:
    assert isinstance(read_answer(409, corps), Unusable)


# --- Ce que vaut sa parole -------------------------------------------------------------------------------------------

TAILLE: Final = 30
POINT: Final = Point("20260101T000000Z", TAILLE, VRAI.note(TAILLE))


def soumettre(*reponses: Answer, ancien: int = 0) -> tuple[Any, list[Request]]:
    """Le verdict devant un témoin qui répond cela, la dernière réponse toujours ; et ce qui lui fut demandé."""
    demandes: list[Request] = []

    def envoyer(demande: Request) -> Answer:
        demandes.append(demande)
        return reponses[min(len(demandes), len(reponses)) - 1]

    verdict = submit(envoyer, TEMOIN.verifier, POINT, ancien, lambda depuis: VRAI.preuve(depuis, TAILLE))
    return verdict, demandes


LIGNE: Final = TEMOIN.line(POINT.checkpoint.text, 1_790_000_000)


def test_un_oui_est_verifie_et_seule_sa_ligne_est_gardee() -> None:
    autre = Signer("temoin.example/autre", KeyType.COSIGNATURE, CLE).line(POINT.checkpoint.text, 1)
    verdict, _ = soumettre(Cosigned(autre + LIGNE))
    assert verdict == Seen(LIGNE)
    lue = read(POINT.note + verdict.line, [SIGNATAIRE.verifier, TEMOIN.verifier])
    assert [c.witness for c in lue.cosignatures] == [TEMOIN.name]


@pytest.mark.parametrize(
    "menti",
    [
        "",
        "\n",
        "rien\n",
        TEMOIN.line(Checkpoint(JOURNAL, TAILLE, b"\x01" * 32).text, 1),
        TEMOIN.line(POINT.checkpoint.text, 1).replace("temoin", "témoin"),
        Signer(TEMOIN.name, KeyType.COSIGNATURE, CLE).line(POINT.checkpoint.text, 1),
        Signer(TEMOIN.name, KeyType.NOTE, TEMOIN.private).line(POINT.checkpoint.text),
        SIGNATAIRE.line(POINT.checkpoint.text),
        LIGNE[:-2] + "\n",
    ],
)
def test_un_oui_sans_sa_signature_n_en_est_pas_un(menti: str) -> None:
    verdict, _ = soumettre(Cosigned(menti))
    assert isinstance(verdict, Unseen)


@given(st.integers(0, len(LIGNE.encode()) * 8 - 1))
def test_aucun_bit_d_une_cosignature_ne_change_sans_qu_elle_soit_refusee(bit: int) -> None:
    octets = bytearray(LIGNE.encode())
    octets[bit // 8] ^= 1 << bit % 8
    verdict, _ = soumettre(read_answer(200, bytes(octets)))
    assert isinstance(verdict, Unseen)


def test_la_taille_qu_il_connait_est_celle_d_ou_l_on_part() -> None:
    verdict, demandes = soumettre(KnowsSize(12), Cosigned(LIGNE))
    assert verdict == Seen(LIGNE)
    assert [demande.old for demande in demandes] == [0, 12]
    assert list(demandes[1].proof) == VRAI.preuve(12, TAILLE)


@pytest.mark.parametrize(
    ("reponses", "attendu"),
    [
        ([KnowsSize(TAILLE + 1)], Contradicted(TAILLE + 1)),
        ([Inconsistent()], Contradicted(None)),
        ([KnowsSize(12), Inconsistent()], Contradicted(None)),
        ([KnowsSize(TAILLE), KnowsSize(TAILLE)], Contradicted(TAILLE)),
    ],
)
def test_un_autre_passe_est_une_alarme(reponses: list[Answer], attendu: Contradicted) -> None:
    assert soumettre(*reponses)[0] == attendu


@pytest.mark.parametrize(
    "reponses",
    [
        [Stranger(404)],
        [Stranger(403)],
        [Unusable("n'a pas répondu")],
        [KnowsSize(0)],
        [KnowsSize(12), KnowsSize(13), KnowsSize(12), KnowsSize(13)],
    ],
)
def test_un_temoin_absent_ou_incoherent_est_redemande_et_n_est_jamais_une_alarme(reponses: list[Answer]) -> None:
    verdict, demandes = soumettre(*reponses)
    assert isinstance(verdict, Unseen)
    assert verdict.why
    assert len(demandes) <= TRIES
