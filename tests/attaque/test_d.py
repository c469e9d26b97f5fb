"""Crafted record batches, straight on the wire."""
import json, struct, threading, time, gzip
import psycopg, pytest
from contextlib import closing
from kafka.record.default_records import DefaultRecordBatchBuilder, DefaultRecordBatch
from kafka.record.util import calc_crc32c
from kafka import KafkaProducer
from tests.consumers.banc import MAINTENANT, avis, banc, cheque, notification
from service import composition, kafka as kk
import kafka.record.default_records as dr

@pytest.fixture
def b(base, kafka, prefixe):
    with banc(base.url, kafka, prefixe) as o:
        yield o

def batch(values, codec=0, mangle=None, payload=None, count=None, attrs=0):
    """A v2 batch by hand."""
    body = b""
    for i, v in enumerate(values):
        rec = bytearray(b"\x00") + varint(0) + varint(i) + varint(-1) + varint(len(v)) + v + varint(0)
        body += varint(len(rec)) + rec
    if mangle: body = mangle(body)
    if payload is not None: body = payload
    n = count if count is not None else len(values)
    ts = int(time.time() * 1000)
    after = struct.pack(">hiqqqhii", codec | attrs, n - 1, ts, ts, -1, -1, -1, n) + body
    crc = calc_crc32c(after)
    head = struct.pack(">qiibI", 0, 4 + 1 + 4 + len(after), 0, 2, crc)
    return head + after

def varint(n):
    z = (n << 1) ^ (n >> 63)
    out = bytearray()
    while True:
        x = z & 0x7f; z >>= 7
        if z: out.append(x | 0x80)
        else: out.append(x); return bytes(out)

class Fait(dr.DefaultRecordBatchBuilder):
    raw = b""
    def build(self):
        return bytearray(type(self).raw)

def send_raw(b, topic, raw, monkeypatch, part=0):
    import kafka.record.memory_records as mr
    Fait.raw = raw
    monkeypatch.setattr(mr, "DefaultRecordBatchBuilder", Fait)
    p = KafkaProducer(**b.settings.kafka_connection(), acks="all", enable_idempotence=False, retries=0)
    try:
        m = p.send(topic, value=b"x", partition=part).get(timeout=20)
        print("SENT", m.offset)
    finally:
        p.close(timeout=5)
        monkeypatch.undo()

GOOD = json.dumps(avis(50)).encode()
CASES = {
  "sane": lambda: batch([GOOD]),
  "garbage_body": lambda: batch([GOOD], payload=b"\xff" * 50),
  "short_body": lambda: batch([GOOD], mangle=lambda x: x[:20]),
  "count_more": lambda: batch([GOOD], count=5),
  "count_zero": lambda: batch([GOOD], count=0),
  "count_neg": lambda: batch([GOOD], count=-3),
  "count_huge": lambda: batch([GOOD], count=2**31 - 1),
  "count_less": lambda: batch([GOOD, GOOD, GOOD], count=1),
  "gzip_garbage": lambda: batch([GOOD], codec=1, payload=b"not gzip at all"),
  "gzip_empty": lambda: batch([GOOD], codec=1, payload=b""),
  "zstd_garbage": lambda: batch([GOOD], codec=4, payload=b"not zstd at all"),
  "lz4_garbage": lambda: batch([GOOD], codec=3, payload=b"not lz4"),
  "snappy_garbage": lambda: batch([GOOD], codec=2, payload=b"nope"),
  "codec7": lambda: batch([GOOD], codec=7),
  "lz4_bon": lambda: batch([GOOD]),
  "control": lambda: batch([GOOD], attrs=0x20),
  "transac": lambda: batch([GOOD], attrs=0x10),
  "keylen_neg": lambda: batch([GOOD], mangle=lambda x: x[:4] + varint(-100) + x[5:]),
}

@pytest.mark.parametrize("nom", list(CASES))
def test_brut(b, nom, monkeypatch):
    try:
        send_raw(b, b.settings.topic_avis, CASES[nom](), monkeypatch)
    except Exception as e:
        print("REFUSED", nom, repr(e)[:200]); return
    with closing(kk.producer(b.settings)) as p:
        for n in range(3):
            for part in (0, 1):
                p.send(b.settings.topic_avis, value=json.dumps(avis(n + 10 * part)).encode(), partition=part).get(timeout=20)
    boucle = composition.consumer(b.settings, b.guichet, "avis")
    boucle.groupe += b.conn.info.dbname
    arret = threading.Event()
    f = threading.Thread(target=boucle.run, args=(arret,)); f.start()
    t = time.monotonic()
    while time.monotonic() - t < 20 and b.fates(boucle.topic) < 6: time.sleep(.2)
    arret.set(); f.join()
    print("RES", nom, round(time.monotonic() - t, 1), b.conn.execute("SELECT partition, decalage, sort, left(cause, 60) FROM journal.sorts WHERE topic=%s ORDER BY 1,2", (boucle.topic,)).fetchall(), b.conn.execute("SELECT interruptions, left(derniere_erreur,150) FROM vues.suiveurs WHERE nom='consommateur_avis'").fetchall())
