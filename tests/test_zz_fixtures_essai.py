import psycopg
from kafka import KafkaAdminClient
from tests.outils import attendre
def test_a(base, kafka, préfixe):
    with psycopg.connect(base.url) as c:
        print(c.execute("select current_user, current_database()").fetchone(), c.execute("select count(*) from pg_tables where schemaname in ('journal','vues')").fetchone())
    with KafkaAdminClient(bootstrap_servers=kafka) as a: print(a.list_topics(), préfixe)
def test_b(base):
    with psycopg.connect(base.url_propriétaire) as c: c.execute("select 1")
    c = psycopg.connect(base.url); base.reste = c if False else None
    c.close()
def test_c():
    import pytest
    with pytest.raises(AssertionError, match="dernière valeur"): attendre(lambda: 0, secondes=0.1)
