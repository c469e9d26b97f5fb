"""Une sauvegarde plus ancienne est restaurée : rien de ce qui a été donné au dehors depuis ne l'est de nouveau."""

import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from kafka import TopicPartition
from psycopg import sql

from domain.references import ReferenceTransaction
from guichet.recul import JournalEnRetard, JournalNonVerifie, recul
from publication.epoques import ouvrir_epoque
from service import composition, rewind, run
from service.embedded.postgres import postgres_binaries
from tests.conftest import Serveurs
from tests.consumers.banc import Banc, avis, banc, notification
from tests.courtiers import port_libre
from tests.outils import attendre
from tests.pannes.commande import creances
from tests.pannes.conftest import jeton

B, D = avis(1, assure="a-1"), avis(2, assure="a-1")


class Sauvegarde:
    """Ce que `pg_dump` a gardé d'une base, et sa restauration à la même adresse."""

    def __init__(self, serveurs: Serveurs, base: Any, fichier: Path) -> None:
        self.serveurs, self.base, self.fichier = serveurs, base, fichier
        self._lancer("pg_dump", "--format=custom", f"--file={fichier}", f"--dbname={base.url_proprietaire}")

    def restaurer(self) -> None:
        self.serveurs.supprimer_base(self.base.nom)
        self.serveurs.executer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.base.nom)))
        # D'un bloc : des rôles en marche ne voient, et n'écrivent, que dans une base entière.
        self._lancer("pg_restore", "--single-transaction", f"--dbname={self.base.url_proprietaire}", str(self.fichier))

    def _lancer(self, outil: str, *arguments: str) -> None:
        fini = subprocess.run(
            [postgres_binaries() / outil, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert fini.returncode == 0, fini.stderr


@contextmanager
def service(b: Banc) -> Iterator[httpx.Client]:
    """Les rôles, tels que `creances up` les compose, et un client de l'API."""
    port = port_libre()
    settings = b.settings.model_copy(update={"api_port": port, "public_url": f"http://127.0.0.1:{port}"})
    arret = threading.Event()
    roles = ["api", "consume:avis", "consume:kiosque", "publish"]
    fil = threading.Thread(target=run.run_until, args=(settings, roles, arret))
    fil.start()
    try:
        with httpx.Client(base_url=settings.public_url, trust_env=False, timeout=60) as client:
            client.headers["Authorization"] = f"Bearer {jeton(settings)}"
            attendre(lambda: _repond(client), secondes=20, quoi="l'API")
            yield client
    finally:
        arret.set()
        fil.join(60)
        assert not fil.is_alive()


def _repond(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").is_success
    except httpx.HTTPError:
        return False


def ouvrir(client: httpx.Client, une: dict[str, Any]) -> httpx.Response:
    corps = {"references": [une["reference"]], "montant_centimes": 20_00, "canal": "web"}
    return client.post("/api/v1/paiements", json=corps, headers={"Idempotency-Key": secrets.token_hex(8)})


def sauf(statut: int, reponse: httpx.Response) -> httpx.Response | None:
    return None if reponse.status_code == statut else reponse


def ouvert(client: httpx.Client, une: dict[str, Any]) -> str:
    """La transaction ouverte, une fois que le journal est vérifié."""
    reponse = attendre(lambda: sauf(503, ouvrir(client, une)), secondes=20, quoi="l'ouverture")
    assert reponse is not None
    assert reponse.status_code == 201, reponse.text
    return str(reponse.json()["transaction"])


@contextmanager
def lu(b: Banc) -> Iterator[psycopg.Connection[Any]]:
    """Une connexion neuve : la base a pu être remplacée."""
    with psycopg.connect(str(b.settings.database_url), autocommit=True) as conn:
        yield conn


def sorts(b: Banc) -> dict[str, int]:
    requete = "SELECT sort, count(*) FROM journal.sorts WHERE topic = %s GROUP BY sort"
    with lu(b) as conn:
        return dict(conn.execute(requete, (b.settings.topic_notifications,)).fetchall())


def publie(b: Banc) -> bool:
    """Vrai si la publication a rattrapé le journal."""
    with lu(b) as conn:
        requete = "SELECT position >= (SELECT max(position) FROM journal.evenements) FROM vues.suiveurs WHERE nom = %s"
        return conn.execute(requete, ("publication",)).fetchone() == (True,)


def accord(transaction: str, jeton_retour: str) -> tuple[str, dict[str, str]]:
    return transaction, notification(transaction, 20_00, returnContext=jeton_retour)


def jeton_de(b: Banc, transaction: str) -> str:
    guichet = composition.guichet(b.settings, application="test")
    with guichet.base as base, base.transaction() as conn:
        trouve = guichet.charger_paiement(conn, ReferenceTransaction(transaction))
    assert trouve
    assert trouve.jeton_retour
    return trouve.jeton_retour


def lus(b: Banc) -> int:
    """Jusqu'où le groupe des avis a lu, d'après Kafka."""
    topic = b.settings.topic_avis
    with closing(rewind.group_reader(b.settings, topic)) as lecteur:
        return sum(lecteur.committed(TopicPartition(topic, p)) or 0 for p in range(b.settings.partitions_avis))


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str, tmp_path: Path) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe, mode="demonstration", data_dir=tmp_path) as ouvert_:
        yield ouvert_


@pytest.mark.lent
def test_apres_une_restauration_aucun_paiement_ne_s_ouvre_sans_epoque_et_nul_n_est_paye_par_un_autre(
    b: Banc, base: Any, serveurs: Serveurs, tmp_path: Path
) -> None:
    with service(b) as client:
        b.emettre_avis(B, D)
        attendre(lambda: b.fates(b.settings.topic_avis) == 2, secondes=30, quoi="les avis")
        ouvert(client, D)
        attendre(lambda: publie(b), secondes=20, quoi="la publication")
    sauvegarde = Sauvegarde(serveurs, base, tmp_path / "sauvegarde")
    with service(b) as client:
        t = ouvert(client, B)
        b.emettre(b.settings.topic_notifications, [accord(t, jeton_de(b, t))])
        attendre(lambda: sorts(b) == {"appliquee": 1}, secondes=30, quoi="l'accord")
        attendre(lambda: publie(b), secondes=20, quoi="la publication")
    sauvegarde.restaurer()

    with service(b) as client:

        def code() -> str:
            return str(ouvrir(client, D).json()["code"])

        attendre(lambda: code() != "journal_non_verifie", secondes=20, quoi="la vérification")
        refus = ouvrir(client, D)
        assert (refus.status_code, refus.json()["code"]) == (503, "journal_en_retard")
        assert "sauvegarde" in refus.json()["detail"]
        attendre(lambda: sorts(b) == {"non_rapprochee": 1}, secondes=30, quoi="l'accord de B, relu")
        dit = creances(b.settings, "epoch")
        assert (dit.returncode, "creances epoch --open" in dit.stderr) == (1, True)
        with lu(b) as conn:
            etat = "SELECT etat, derniere_erreur FROM vues.suiveurs WHERE nom = 'publication'"
            assert "creances epoch --open" in (conn.execute(etat).fetchone() or ("", ""))[1], "rien n'est publié"
        assert ouvrir(client, D).status_code == 503

        assert creances(b.settings, "epoch", "--open", "sauvegarde restaurée").returncode == 0
        seconde = ouvert(client, D)
        assert seconde[:10] == t[:10], "le même jour, la même base"
        assert (int(seconde[-6:]) - int(t[-6:])) % 999_999 >= 250_000, "les numéros ont sauté"
        attendre(lambda: publie(b), secondes=20, quoi="la publication reprend")
        b.emettre(b.settings.topic_notifications, [accord(t, "0" * 16)])
        attendre(lambda: sum(sorts(b).values()) == 2, secondes=30, quoi="encore l'accord de B")
        assert "appliquee" not in sorts(b), "B a payé T ; la dette de D n'en est pas payée"
    with lu(b) as conn:
        assert rewind.check(b.settings, conn) is None


def test_ce_qui_a_ete_lu_suffit_a_le_reconnaitre(b: Banc, base: Any, serveurs: Serveurs, tmp_path: Path) -> None:
    with service(b):
        b.emettre_avis(B)
        attendre(lambda: b.fates(b.settings.topic_avis) == 1, secondes=30, quoi="l'avis")
    sauvegarde = Sauvegarde(serveurs, base, tmp_path / "sauvegarde")
    with service(b):
        b.emettre_avis(*[B] * 5)  # Des doublons : rien n'en est publié.
        attendre(lambda: b.fates(b.settings.topic_avis) == 6, secondes=30, quoi="les avis")
        attendre(lambda: lus(b) == 6, quoi="la position montrée à Kafka")
    with lu(b) as conn:
        assert rewind.check(b.settings, conn) is None
    sauvegarde.restaurer()
    with lu(b) as conn:
        assert "avait été lu" in (rewind.check(b.settings, conn) or "")
        ouvrir_epoque(conn, "sauvegarde restaurée")
        assert recul(conn) is None


def test_une_sauvegarde_restauree_sous_les_roles_en_marche_est_reconnue_aussitot(
    b: Banc, base: Any, serveurs: Serveurs, tmp_path: Path
) -> None:
    """Nul ne redémarre : portes fermées dès la première demande, et rien de ce qui avait été lu n'est sauté."""
    with service(b) as client:
        b.emettre_avis(B, D)
        attendre(lambda: b.fates(b.settings.topic_avis) == 2, secondes=30, quoi="les avis")
        ouvert(client, D)
        attendre(lambda: publie(b), secondes=20, quoi="la publication")
        sauvegarde = Sauvegarde(serveurs, base, tmp_path / "sauvegarde")
        t = ouvert(client, B)
        b.emettre(b.settings.topic_notifications, [accord(t, jeton_de(b, t))])
        attendre(lambda: sorts(b) == {"appliquee": 1}, secondes=30, quoi="l'accord")
        attendre(lambda: publie(b), secondes=20, quoi="la publication")

        sauvegarde.restaurer()
        codes = set()

        def referme() -> bool:
            reponse = ouvrir(client, D)
            assert reponse.status_code == 503, "rien ne s'ouvre, pas même avant que le recul soit constaté"
            codes.add(reponse.json()["code"])
            return "journal_en_retard" in codes

        attendre(referme, secondes=30, quoi="le recul")
        attendre(lambda: sorts(b) == {"non_rapprochee": 1}, secondes=30, quoi="l'accord de B, relu d'office")
        with lu(b) as conn:
            etat = "SELECT derniere_erreur FROM vues.suiveurs WHERE nom = 'publication'"
            attendre(
                lambda: "creances epoch --open" in str((conn.execute(etat).fetchone() or ("",))[0]),
                secondes=20,
                quoi="la publication arrêtée",
            )
        assert creances(b.settings, "epoch", "--open", "sauvegarde restaurée").returncode == 0
        assert ouvert(client, D) != t
        attendre(lambda: publie(b), secondes=20, quoi="la publication reprend")


def test_un_serveur_relance_est_verifie_et_rouvre_seul(b: Banc) -> None:
    with service(b) as client:
        b.emettre_avis(B, D)
        attendre(lambda: b.fates(b.settings.topic_avis) == 2, secondes=30, quoi="les avis")
        ouvert(client, B)
        with lu(b) as conn:
            porte = rewind.Gate(b.settings, str(b.settings.database_url))
            with pytest.raises(JournalNonVerifie):
                porte.require_open(conn)
            porte._look(conn)
            porte.require_open(conn)
            porte._checked = porte._checked._replace(server_started="hier") if porte._checked else None
            with pytest.raises(JournalNonVerifie):
                porte.require_open(conn)
            porte._look(conn)
            porte.require_published(conn)


def test_un_journal_qui_raccourcit_est_un_recul_sans_demander_a_kafka(b: Banc, base: Any) -> None:
    b.emettre_avis(B, D)
    b.consommer("avis", 2)
    with lu(b) as conn:
        porte = rewind.Gate(b.settings, str(b.settings.database_url))
        porte._look(conn)
        porte.require_open(conn)
        with psycopg.connect(base.url_proprietaire) as proprietaire:
            proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER USER")
            proprietaire.execute("DELETE FROM journal.evenements WHERE flux = %s", (f"creance-{D['reference']}",))
        porte._look(conn)
        with pytest.raises(JournalEnRetard):
            porte.require_open(conn)


@pytest.mark.lent
def test_tant_que_kafka_n_a_pas_repondu_rien_ne_s_ouvre(b: Banc) -> None:
    b.emettre_avis(B)
    b.consommer("avis", 1)
    absent = Banc(b.settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{port_libre()}"}), b.guichet, b.conn)
    debut = time.monotonic()
    with service(absent) as client:
        refus = ouvrir(client, B)
    assert (refus.status_code, refus.json()["code"]) == (503, "journal_non_verifie")
    assert time.monotonic() - debut < 90


def test_deux_restaurations_de_la_meme_sauvegarde_ne_redonnent_pas_les_memes_numeros_ni_les_memes_rangs(
    base: Any, serveurs: Serveurs, tmp_path: Path
) -> None:
    sauvegarde = Sauvegarde(serveurs, base, tmp_path / "sauvegarde")
    donnes: list[set[int]] = []
    for _ in range(3):
        with closing(psycopg.connect(base.url, autocommit=True)) as conn:
            if donnes:
                ouvrir_epoque(conn, "sauvegarde restaurée")
            donnes.append(
                {
                    n
                    for (n,) in conn.execute(
                        "SELECT nextval('journal.numeros_de_transaction') FROM generate_series(1, 8)"
                    )
                }
            )
            seconde = datetime.now(UTC).replace(microsecond=0)
        attendre(lambda seconde=seconde: datetime.now(UTC).replace(microsecond=0) > seconde, quoi="la seconde d'après")  # type: ignore[misc]
        sauvegarde.restaurer()
    assert len(set.union(*donnes)) == 24


def test_une_epoque_compte_des_secondes_entieres(base: Any) -> None:
    """Arrondies, la fin d'une seconde et le début de la suivante étaient la même : deux époques tiraient autant."""
    with closing(psycopg.connect(base.url, autocommit=True)) as conn:
        tardive, tot = _tirer(conn, base, 600_000, 999_999), _tirer(conn, base, 0, 400_000)
        # Une machine occupée peut laisser passer la seconde suivante : elle seule serait confondue.
        for _ in range(20):
            if tot[1] - tardive[1] == timedelta(seconds=1):
                break
            tardive, tot = _tirer(conn, base, 600_000, 999_999), _tirer(conn, base, 0, 400_000)
    assert abs(tot[0] - tardive[0]) >= 8


def _tirer(conn: psycopg.Connection[Any], base: Any, debut: int, fin: int) -> tuple[int, datetime]:
    """Le premier numéro d'une époque ouverte entre ces microsecondes d'une seconde, et cette seconde."""
    while True:
        attendre(lambda: debut <= datetime.now(UTC).microsecond < fin, quoi="ce moment de la seconde")
        avant = datetime.now(UTC)
        ouvrir_epoque(conn, "sauvegarde restaurée")
        apres = datetime.now(UTC)
        [(numero,)] = conn.execute("SELECT nextval('journal.numeros_de_transaction')").fetchall()
        with closing(psycopg.connect(base.url_proprietaire, autocommit=True)) as proprietaire:
            proprietaire.execute("SELECT setval('journal.numeros_de_transaction', 1, false)")
        if apres < avant.replace(microsecond=fin):
            return numero, avant.replace(microsecond=0)


def test_ouvrir_une_epoque_finit_les_sessions(base: Any) -> None:
    with closing(psycopg.connect(base.url, autocommit=True)) as conn:
        conn.execute(
            "INSERT INTO acces.sessions (empreinte, role, assure, canal, ouverte_le, vue_le)"
            " VALUES (sha256('x'), 'assure', 'a-1', 'web', now(), now())"
        )
        ouvrir_epoque(conn, "sauvegarde restaurée")
        fini = "SELECT fin, finie_le IS NOT NULL FROM acces.sessions"
        assert conn.execute(fini).fetchone() == ("administrateur", True)
