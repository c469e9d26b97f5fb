"""Des courtiers Kafka comme processus : démarrer, arrêter, tuer, redémarrer, toujours sur le même port.

Tansu (embarqué) oublie tout en s'arrêtant. Apache Kafka garde son journal sur disque ; ses jars : `make kafka`.
Tous deux s'arrêtent avec qui les a démarrés, même tué.
"""

import base64
import random
import re
import shutil
import signal
import socket
import subprocess
import uuid
from abc import ABC, abstractmethod
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import ClassVar, Final, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from engine.kafka_clients import open_client
from service.embedded import EmbeddedError
from service.embedded.broker import broker_binary, speaks_kafka
from service.embedded.child import Child

JARS: Final = Path(__file__).parent / "kafka" / "jars"
JAVA_MIN: Final = 17
PORTS_BAS: Final = 20_000
ARRET_S: Final = 10.0
"""Temps laissé à un courtier pour s'arrêter proprement (secondes)."""

JVM: Final = (
    "-Xms128m",
    "-Xmx512m",  # Un rebut de 48 Mio passe plusieurs fois en mémoire.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # Démarre plus vite ; le régime de croisière n'importe pas ici.
    "-Xshare:auto",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
# Un seul nœud, courtier et contrôleur. Le reste est ce que Kafka fait par défaut : c'est lui que l'on éprouve.
APACHE: Final = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # Il n'y a qu'une copie possible, et une partition suffit aux groupes des tests.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    # Par défaut un groupe vide attend trois secondes d'autres membres : autant de moins à chaque test.
    "group.initial.rebalance.delay.ms": "0",
    # Les bancs prennent des sessions plus courtes que les 6 s que Kafka exige.
    "group.min.session.timeout.ms": "1000",
    # Tué, le courtier ne revient qu'une fois sa session échue chez le contrôleur : 9 s par défaut.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": "4194304",  # octets, au lieu de 128 Mio
}


class Courtier(ABC):
    """Un courtier d'un seul nœud sur 127.0.0.1, que l'on arrête et redémarre à volonté."""

    garde_son_journal: ClassVar[bool]
    """Retrouve en redémarrant ses topics et leurs messages."""
    lecture_max: ClassVar[timedelta]
    """Ce qu'un consommateur des tests peut laisser passer entre deux lectures sans perdre sa part."""

    def __init__(self, dossier: Path) -> None:
        """`dossier` prend ses données et sa sortie ; rien ne démarre encore."""
        self.dossier = dossier
        self.port = port_libre()
        self.serveur: Child | None = None

    @property
    def bootstrap(self) -> str:
        """L'adresse, hôte:port ; la même après un redémarrage."""
        return f"127.0.0.1:{self.port}"

    @abstractmethod
    def _lancer(self) -> Child:
        """Lance le processus."""

    @abstractmethod
    def _pret(self) -> bool:
        """Dit si le courtier sert."""

    def demarrer(self) -> None:
        """Démarre, et attend que le courtier serve ; lève EmbeddedError, avec sa sortie, s'il n'y parvient pas."""
        assert self.serveur is None, "le courtier tourne déjà"
        self.serveur = self._lancer()
        try:
            self.serveur.await_ready(self._pret)
        except EmbeddedError:
            self.tuer()
            raise

    def arreter(self) -> None:
        """Arrête proprement (SIGTERM)."""
        if self.serveur is not None:
            self.serveur.stop((signal.SIGTERM, ARRET_S))
            self.serveur = None

    def tuer(self) -> None:
        """Tue (SIGKILL) : le courtier n'a le temps de rien écrire ni de rien dire."""
        if self.serveur is not None:
            self.serveur.stop()
            self.serveur = None

    def redemarrer(self) -> None:
        """Arrête proprement, puis démarre sur le même port, avec son journal s'il le garde."""
        self.arreter()
        self.demarrer()

    def __enter__(self) -> Self:
        self.demarrer()
        return self

    def __exit__(self, *_: object) -> None:
        self.arreter()


class Tansu(Courtier):
    """Le courtier embarqué, en mémoire."""

    garde_son_journal = False
    lecture_max = timedelta(seconds=2)  # Il en fait attendre une part à qui entre dans un groupe.

    def _lancer(self) -> Child:
        adresse = f"tcp://{self.bootstrap}"
        options = [
            "--listener-url",
            adresse,
            "--advertised-listener-url",
            adresse,
            "--storage-engine",
            "memory://tansu/",
        ]
        commande = [broker_binary(), "broker", *options]
        return Child.start("Tansu", commande, self.dossier / "tansu.log", death_signal=signal.SIGKILL)

    def _pret(self) -> bool:
        return speaks_kafka(self.bootstrap)


class Apache(Courtier):
    """Apache Kafka en KRaft, son journal sur disque ; `options` : des réglages de courtier en plus ou à la place."""

    garde_son_journal = True
    lecture_max = timedelta(seconds=6)

    def __init__(self, dossier: Path, **options: str) -> None:
        super().__init__(dossier)
        self._reglages = dossier / "kafka.properties"
        self._donnees = dossier / "kafka"
        controleur = f"127.0.0.1:{port_libre()}"
        self._proprietes = APACHE | {
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controleur}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": f"1@{controleur}",
            "log.dirs": str(self._donnees),
        }
        self._proprietes |= {nom.replace("_", "."): valeur for nom, valeur in options.items()}

    def _lancer(self) -> Child:
        if not self._donnees.exists():
            self._formater()
        commande = [*_java(), "kafka.Kafka", str(self._reglages)]
        return Child.start("Apache Kafka", commande, self.dossier / "kafka.log", death_signal=signal.SIGKILL)

    def _formater(self) -> None:
        """Prépare le dossier des données, pour une grappe à l'identifiant tiré au sort."""
        self._donnees.mkdir(mode=0o700)
        self._reglages.write_text("".join(f"{nom}={valeur}\n" for nom, valeur in self._proprietes.items()))
        grappe = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        commande = [*_java(), "kafka.tools.StorageTool", "format", f"--cluster-id={grappe}", "-c", str(self._reglages)]
        fini = subprocess.run(commande, check=False, capture_output=True, text=True, timeout=60)
        if fini.returncode != 0:
            raise EmbeddedError(f"Le dossier de Kafka n'a pu être formaté :\n{fini.stdout}{fini.stderr}")

    def _pret(self) -> bool:
        """Répondre ne suffit pas : avant d'être inscrit auprès du contrôleur, le courtier refuse de créer un topic."""
        if not speaks_kafka(self.bootstrap):
            return False
        try:
            with open_client(KafkaAdminClient, bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2000) as admin:
                return any(not courtier["is_fenced"] for courtier in admin.describe_cluster()["brokers"])
        except KafkaError:
            return False


COURTIERS: Final[dict[str, type[Courtier]]] = {"tansu": Tansu, "apache": Apache}
COURTIER: list[type[Courtier]] = [Tansu]
"""Celui de cette session."""


def ce_qui_manque_pour_apache() -> str | None:
    """Ce qu'il faut installer ou récupérer pour démarrer Apache Kafka ; None si rien ne manque."""
    java = shutil.which("java")
    if java is None:
        return f"il manque Java {JAVA_MIN} ou plus récent (Debian : default-jre-headless)"
    dit = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', dit)
    if version is None or int(version[1]) < JAVA_MIN:
        return f"il faut Java {JAVA_MIN} ou plus récent ; {java} dit : {dit.strip()}"
    if not (JARS / ".fetched").exists():  # Écrit une fois qu'ils y sont tous.
        return "il manque les jars d'Apache Kafka : make kafka"
    return None


@cache
def _java() -> tuple[str, ...]:
    if manque := ce_qui_manque_pour_apache():
        raise EmbeddedError(manque)
    java = shutil.which("java")
    assert java is not None
    return (java, *JVM, "-cp", f"{JARS}/*")


def port_libre() -> int:
    """Un port libre de 127.0.0.1, hors de ceux que le noyau prête aux connexions sortantes.

    Sinon une connexion pourrait le prendre pendant que le courtier est arrêté ; un client qui insiste finit même par
    tomber sur lui-même.
    """
    premier_prete = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(PORTS_BAS, max(premier_prete, PORTS_BAS + 1000))  # noqa: S311 (aucun secret)
        with socket.socket() as essai:
            try:
                essai.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
