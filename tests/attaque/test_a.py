import json, time, threading
from contextlib import closing
import psycopg, pytest
from tests.consumers.banc import MAINTENANT, avis, banc, cheque, notification
from tests.consumers.test_attentes import abimer, lever, ouvertes, solde
from service import composition
from engine import waiting_room

@pytest.fixture
def b(base, kafka, prefixe):
    with banc(base.url, kafka, prefixe) as o:
        yield o

@pytest.mark.parametrize("n", [2000, 8000])
def test_meme_reference(b, n):
    b.emettre_avis(*(cheque(1, 5_00, f"m{i}") for i in range(n)))
    t = time.monotonic()
    b.consommer("avis", n)
    print("\nHELD", n, time.monotonic() - t)
    t = time.monotonic()
    lever(b, "avis")
    print("ROUND", time.monotonic() - t)
    # others
    b.emettre_avis(*(avis(i) for i in range(2, 20)), cheque(1, 5_00, "der"))
    t = time.monotonic()
    b.consommer("avis", n + 19)
    print("OTHERS", time.monotonic() - t)
    b.emettre_avis(avis(1, montant=9_000_000))
    t = time.monotonic()
    b.consommer("avis", n + 20)
    lever(b, "avis")
    print("LIFT", time.monotonic() - t, ouvertes(b))
