"""Fuzz of prendre_avis/prendre_notifications, alone."""
import json, random
from uuid import uuid4
import pytest
from tests.consumers.banc import MAINTENANT, avis, banc, cheque, notification
from engine.batch import Partition
from engine.messages import Message
from guichet.prendre_avis import prendre_avis
from guichet.prendre_notification import prendre_notifications
from service import composition

@pytest.fixture
def b(base, kafka, prefixe):
    with banc(base.url, kafka, prefixe) as o:
        yield o

def odd_json(base):
    yield b""; yield b"null"; yield b"[]"; yield b'"x"'; yield b"1e400"; yield b"NaN"; yield b"\xff\xfe"; yield b"\xef\xbb\xbf" + json.dumps(base).encode()
    yield b"[" * 60000; yield b'{"a":' * 12000; yield b'{"type":' * 10 + b"1" + b"}" * 10
    yield json.dumps(base).encode("utf-16"); yield json.dumps(base).encode() + b"\x00"; yield json.dumps(base).encode() * 2
    vals = [b"null", b"true", b"1e400", b"-1", b"0", b"1.0", b"1e2", b"1E400", b"NaN", b"Infinity", b"9" * 5000, b"9" * 19, b"999999999999", b"1000000000000", b"-0", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"x\\u0000y"',
            b'"\xed\xa0\x80"', b'"' + b"x" * 60000 + b'"', b"[]", b"{}", b'"2026-02-30"', b'"0001-01-01"', b'"9999-12-31"', b'"\xd9\xa2\xd9\xa0\xd9\xa2\xd9\xa6-05-12"', b'"2026-05-12\\n"', b'""', b'" "', b'"\\u202e"', "\"\u0661\"".encode(), b'"papier\\u0000"', b'"0000-00-00"',b'"-001-01-01"']
    for k in list(base) + ["__class__", "class_version", "extra", "\\ud800", "recue_le"]:
        for v in vals:
            items = [(json.dumps(n).encode(), json.dumps(x).encode()) for n, x in base.items() if n != k] + [(b'"' + k.encode() + b'"', v)]
            yield b"{" + b",".join(n + b":" + x for n, x in items) + b"}"
        rest = {n: x for n, x in base.items() if n != k}
        yield json.dumps(rest).encode()
        full = json.dumps(base).encode()
        if k in base:
            yield full[:-1] + b"," + json.dumps({k: base[k]}).encode()[1:]

def run(b, prendre, topic, valeurs, held=False):
    part = Partition(uuid4(), topic, 0)
    boucle = composition.consumer(b.settings, b.guichet, "avis" if prendre is prendre_avis else "kiosque")
    boucle.placement.attendues = {0: 0}
    bad = []
    from collections import Counter
    c = Counter()
    for n, v in enumerate(valeurs):
        m = Message(part, n, None, v, MAINTENANT)
        try:
            with b.guichet.base.transaction() as conn:
                o = prendre(b.guichet, conn, [m], MAINTENANT)
                assert len(o.lot.fates) == 1
                c[o.lot.fates[0].sort] += 1
                for r in o.rebuts: r.cause.encode()
                b.guichet.recorder.record(conn, o.lot)
        except Exception as e:
            bad.append((v[:200], v[-80:], repr(e)[:300]))
    print(c)
    for x in bad: print("BAD", x)
    assert not bad

def test_avis(b):
    run(b, prendre_avis, b.settings.topic_avis, odd_json(avis(1)))
    run(b, prendre_avis, b.settings.topic_avis, odd_json(cheque(1, 100)))
    run(b, prendre_avis, b.settings.topic_avis, odd_json(cheque(77, 100)))
    r = avis(1)["reference"]
    run(b, prendre_avis, b.settings.topic_avis, odd_json({"type": "avis_rectifie", "reference": r, "message_id": "r", "montant_initial_centimes": 5, "motif": "x"}))
    run(b, prendre_avis, b.settings.topic_avis, odd_json({"type": "avis_annule", "reference": r, "message_id": "z", "motif": "x"}))

def test_kiosque(b):
    b.prendre("avis", avis(1), avis(2))
    t = b.ouvrir(avis(1)["reference"], 20_00)
    run(b, prendre_notifications, b.settings.topic_notifications, odd_json(notification(t, 20_00)))
    def odd_fields():
        t = b.ouvrir(avis(2)["reference"], 20_00)
        for champ in ("amount","currencyCode","merchantId","transactionReference","responseCode","authorisationId","transactionDateTime","keyVersion","maskedPan","cardNumber","acquirerResponseCode","complementaryCode","customerId","orderId","returnContext","paymentMeanBrand","x"):
            for v in ("", "null", "NaN", "-1", "9"*18, "9"*30, "1e3", "١٢", "\x00", "a\x00b", "é", "\ud800".encode("utf-8","surrogatepass").decode("utf-8","replace"), "x"*20000, "2026-06-01T11:59:00+99:00", "9999-12-31T23:59:59-14:00","0001-01-01T00:00:00+14:00", "2026-06-01", "|", "=", "2026-06-01T24:00:00Z","\u202e","1"*5000, " 1000", "1_000"):
                yield json.dumps(notification(t, 20_00, "00", **{champ: v})).encode()
    run(b, prendre_notifications, b.settings.topic_notifications, odd_fields())
