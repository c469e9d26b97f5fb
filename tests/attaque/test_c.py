"""Unreadable stored events for everything."""
import json, subprocess, os, sys
import psycopg, pytest
from tests.consumers.banc import MAINTENANT, avis, banc, cheque, notification
from tests.consumers.test_attentes import abimer, lever, ouvertes, solde
from service import composition
from engine import set_aside

@pytest.fixture
def b(base, kafka, prefixe):
    with banc(base.url, kafka, prefixe) as o:
        yield o

def abimer_topic(prop, flux, **cols):
    prop.execute("ALTER TABLE journal.evenements DISABLE TRIGGER USER")
    for c, v in cols.items():
        prop.execute(f"UPDATE journal.evenements SET {c} = %s WHERE flux = %s AND version = 1", (v, flux))
    prop.execute("ALTER TABLE journal.evenements ENABLE TRIGGER USER")

CASES = {
 "topic_at": dict(topic="creance.AvisEmis@x"),
 "topic_at_num": dict(topic="creance.AvisEmis@99999999999999999999999"),
 "topic_unknown": dict(topic="licorne.Rose"),
 "topic_empty": dict(topic=""),
 "topic_other": dict(topic="paiement.PaiementOuvert"),
 "cv_inf": dict(etat=b'{"class_version":1e400,"a":1}'),
 "cv_neg": dict(etat=b'{"class_version":-5,"a":1}'),
 "cv_str": dict(etat=b'{"class_version":"2","a":1}'),
 "cv_float": dict(etat=b'{"class_version":2.5,"a":1}'),
 "cv_big": dict(etat=b'{"class_version":' + b"9"*4000 + b',"a":1}'),
 "cv_arr": dict(etat=b'{"class_version":[1],"a":1}'),
 "cv_list": dict(etat=b'{"class_version"'),
 "deep": dict(etat=b'{"a":' * 50000),
 "surr": dict(etat=b'{"assure":"\\ud800"}'),
 "empty": dict(etat=b""),
 "flux": dict(flux="creance-"),
 "flux2": dict(flux="creance-\u202e\n\x1b[31mX"),
 "flux3": dict(flux="paiement-"),
 "flux4": dict(flux="messagerie-é"),
 "flux5": dict(flux=""),
 "flux6": dict(flux="x" * 3000),
 "ver0": dict(version=0),
 "verneg": dict(version=-3),
 "ver7": dict(version=7),
 "cause": dict(cause="kafka:creances.avis/x@y[/boum]\x1b[2J"),
 "cause2": dict(cause=""),
 "inf": dict(enregistre_le="infinity"),
 "minf": dict(enregistre_le="-infinity"),
 "an9999": dict(enregistre_le="9999-12-31 23:59:59+00"),
 "an20000": dict(enregistre_le="20000-12-31 23:59:59+00"),
 "bc": dict(enregistre_le="0044-03-15 BC"),
}

CMDS = [["audit"], ["audit", "--json"], ["history", "REF", "--motif", "motif"], ["search", "REF", "--motif", "motif"], ["search", "20 €", "--motif", "motif"], ["balance", "REF"], ["balances", "--at", "2026-06-30"], ["lag"], ["clock"], ["notifications"], ["anomalies", "list"], ["arrete"], ["lost"], ["security-log"], ["accesses"], ["check"], ["dlq", "list"], ["partenaires"], ["healthy", "relance"], ["history", "REF2", "--motif", "motif"], ["balance", "REF2"]]

@pytest.mark.parametrize("nom", list(CASES))
def test_cas(b, base, nom, tmp_path):
    b.emettre_avis(avis(1), avis(2))
    b.consommer("avis", 2)
    b.ouvrir(avis(1)["reference"], 20_00)
    b.ouvrir(avis(2)["reference"], 20_00)
    flux = f"creance-{avis(1)['reference']}"
    with psycopg.connect(base.url_proprietaire, autocommit=True) as p:
        try:
            abimer_topic(p, flux, **CASES[nom])
        except psycopg.Error as e:
            print("IMPOSSIBLE", nom, str(e).splitlines()[0]); return
    # followers
    for vue in composition.VIEWS:
        s = composition.follower(b.settings, b.guichet.recorder, vue)
        try:
            s.catch_up(); s.catch_up()
        except Exception as e:
            print("FOLLOWER", nom, vue, type(e).__name__, str(e)[:200])
    print("ASIDE", nom, b.conn.execute("SELECT suiveur, position, left(cause,90) FROM vues.ecartes WHERE suiveur IN ('restant_du','paiements')").fetchall()[:3])
    from tests.outils import commande
    from tests.pannes.commande import environnement
    regl = b.settings.model_dump(include={"database_url","kafka_bootstrap","topic_prefix"}, mode="json")
    import time
    for cmd in CMDS:
        args = [{"REF": avis(1)["reference"], "REF2": avis(2)["reference"]}.get(a, a) for a in cmd]
        t = time.monotonic()
        r = commande(*args, **regl)
        d = time.monotonic() - t
        if "Traceback" in r.stderr or r.returncode not in (0, 1, 2, 3):
            print("CMD", nom, cmd, r.returncode, r.stderr.strip()[-900:].replace("\n", " ~ "))
        elif d > 5 or r.returncode == 2 or "imprévu" in r.stdout + r.stderr:
            print("OK", nom, cmd, r.returncode, round(d, 1), (r.stdout + r.stderr).replace("\n", " ")[-300:])
    r = commande("audit", **regl)
    print("AUDIT", nom, r.returncode, (r.stdout + r.stderr).replace("\n", " ")[200:1100])
    r = commande("history", avis(1)["reference"], "--motif", "motif", **regl)
    print("HIST", nom, r.returncode, (r.stdout + r.stderr).replace("\n", " ")[:500])
