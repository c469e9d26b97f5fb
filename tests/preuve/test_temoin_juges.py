"""Le `litewitness` de torchwood, que nous n'avons pas écrit, et notre témoin : le même essai pour les deux.

Une croissance honnête est cosignée ; une fourche, une coupe, une récriture, un inconnu sont refusés ; et un témoin tué
n'oublie rien de ce qu'il a signé.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve.notes import KeyType, Signer, read
from preuve.witness_client import Caller
from preuve.witness_protocol import Cosigned, Inconsistent, KnowsSize, Request, Stranger, Unusable
from preuve.witnessing import Contradicted, Point, Seen, Unseen, Verdict, submit
from tests.preuve.temoins import TemoinEnMarche, litewitness, notre_temoin
from tests.preuve.test_temoin import JOURNAL, ORIGINE, SIGNATAIRE, VRAI, Arbre, feuilles

pytestmark = [pytest.mark.lent, pytest.mark.timeout(900)]  # Le premier construit le juge.


@pytest.fixture(params=["notre", "litewitness"])
def temoin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TemoinEnMarche]:
    if request.param == "litewitness":
        with litewitness(tmp_path, [SIGNATAIRE.verifier]) as en_marche:
            yield en_marche
    else:
        with notre_temoin(tmp_path, ORIGINE, SIGNATAIRE.verifier.public) as en_marche:
            yield en_marche


def demander(temoin: TemoinEnMarche, demande: Request) -> Any:
    return Caller(temoin.url)(demande)


def soumettre(temoin: TemoinEnMarche, arbre: Arbre, taille: int, ancien: int) -> Verdict:
    point = Point(JOURNAL.rpartition("/")[2], taille, arbre.note(taille))
    return submit(Caller(temoin.url), temoin.verifieur, point, ancien, lambda depuis: arbre.preuve(depuis, taille))


def test_une_croissance_honnete_est_cosignee(temoin: TemoinEnMarche) -> None:
    ancien = 0
    for taille in (1, 2, 7, 8, 8, 21, 40):
        vu = soumettre(temoin, VRAI, taille, ancien)
        assert isinstance(vu, Seen), vu
        lue = read(VRAI.note(taille) + vu.line, [SIGNATAIRE.verifier, temoin.verifieur])
        assert [c.witness for c in lue.cosignatures] == [temoin.verifieur.name]
        ancien = taille


def test_une_fourche_une_coupe_et_une_recriture_sont_refusees(temoin: TemoinEnMarche) -> None:
    assert isinstance(soumettre(temoin, VRAI, 30, 0), Seen)
    recrit, autre_fin = Arbre(feuilles(40, autre=3)), Arbre(feuilles(40, autre=29))
    for faux in (recrit, autre_fin):
        assert isinstance(demander(temoin, faux.demande(30, 30)), Inconsistent), "la même taille, une autre racine"
        assert isinstance(demander(temoin, faux.demande(30, 40)), Inconsistent), "grandi depuis une autre histoire"
        assert soumettre(temoin, faux, 40, 0) == Contradicted(None)
    assert demander(temoin, VRAI.demande(20, 25)) == KnowsSize(30)
    assert soumettre(temoin, VRAI, 25, 20) == Contradicted(30)
    assert isinstance(demander(temoin, VRAI.demande(30, 25)), Unusable)
    tordue = VRAI.demande(30, 40)
    assert isinstance(demander(temoin, Request(30, tordue.proof[:-1], tordue.note)), Inconsistent)
    assert isinstance(soumettre(temoin, VRAI, 40, 30), Seen), "et l'honnête reste cosigné"


def test_un_inconnu_et_une_autre_cle_ne_sont_pas_cosignes(temoin: TemoinEnMarche) -> None:
    inconnu = Signer("ailleurs.example/journal", KeyType.NOTE, SIGNATAIRE.private)
    vole = Signer(JOURNAL, KeyType.NOTE, Ed25519PrivateKey.from_private_bytes(b"v" * 32))
    for signataire in (inconnu, vole):
        assert isinstance(demander(temoin, VRAI.demande(0, 5, signataire)), Stranger)
    assert isinstance(soumettre(temoin, VRAI, 5, 0), Seen), "rien n'en fut gardé"


def test_un_temoin_tue_n_oublie_rien_de_ce_qu_il_a_signe(temoin: TemoinEnMarche) -> None:
    for taille in range(1, 13):
        assert isinstance(demander(temoin, VRAI.demande(taille - 1, taille)), Cosigned)
        if taille % 4 == 0:
            temoin.tuer()
            assert isinstance(soumettre(temoin, VRAI, taille, taille), Unseen)
            temoin.demarrer()
            assert demander(temoin, Arbre(feuilles(40, autre=0)).demande(0, 40)) == KnowsSize(taille)
            assert soumettre(temoin, Arbre(feuilles(40, autre=taille - 1)), taille, taille) == Contradicted(None)


def test_ce_qui_n_est_pas_une_demande_est_refuse(temoin: TemoinEnMarche) -> None:
    with httpx.Client(base_url=temoin.url, trust_env=False, timeout=20) as client:
        for corps in (b"", b"old 0", b"old x\n\n" + VRAI.note(3).encode(), b"x" * 20_000):
            assert client.post("/add-checkpoint", content=corps).status_code >= 400
        assert client.post("/ailleurs", content=VRAI.demande(0, 3).body).status_code in {404, 405}
    assert isinstance(soumettre(temoin, VRAI, 3, 0), Seen)
