"""Les serveurs et les bases des tests ; rien ne démarre pour un test qui ne le demande pas.

PostgreSQL et Kafka viennent de CREANCES_DATABASE_URL, CREANCES_OWNER_DATABASE_URL (un rôle qui peut créer des bases ;
absent : le premier) et CREANCES_KAFKA_BOOTSTRAP, sinon des serveurs embarqués, jetés à la fin de la session.
`--courtier=apache` met un Apache Kafka à la place du Kafka embarqué ; `-m kafka` choisit les tests qui ont un courtier,
`-m "not serveur"` ceux qui n'ont besoin d'aucun serveur (`make fast`), `-m lent` ceux que `make test` laisse à
`make thorough`.
"""

import gc
import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from httpx._config import create_ssl_context as creer
from hypothesis import HealthCheck, settings
from psycopg import sql

from domain.faits import Fait
from service.embedded import EmbeddedPostgres, embedded_postgres, throwaway_folder
from tests.courtiers import COURTIER, COURTIERS, Courtier, ce_qui_manque_pour_apache

# Les tests donnent leurs réglages : ceux de la machine n'y entrent pas.
VARIABLES = {nom: os.environ.pop(nom) for nom in list(os.environ) if nom.startswith("CREANCES_")}

# Le temps que prend un exemple n'est pas une loi : sur une machine occupée, il échouerait pour rien.
# Under CI the same examples each time: a change is judged by what it changes. Elsewhere others each time.
settings.register_profile(
    "vite",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=50,
    derandomize="CI" in os.environ,
)
settings.register_profile("lent", settings.get_profile("vite"), max_examples=300)
settings.load_profile("vite")

PRISE_DE_KAFKA = r"unclosed <socket\.socket .*family=2.*proto=6"
"""Ce que dit le ramasse-miettes d'une prise que kafka-python a laissée, quand un courtier s'en va ou tarde."""

# Les fixtures par lesquelles un test obtient un courtier.
FIXTURES_KAFKA = {"kafka", "courtier_a_soi", "courtier_durable"}
# Celles par lesquelles il obtient un serveur, quel qu'il soit ; et ce qu'importe un module qui démarre les siens.
FIXTURES_SERVEUR = {"serveurs", *FIXTURES_KAFKA}
DEMARRENT_UN_SERVEUR = {"embedded_broker", "embedded_postgres", "embedded_stack", "COURTIERS"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Le choix du courtier."""
    parser.addoption(
        "--courtier",
        choices=sorted(COURTIERS),
        default="tansu",
        help="Le courtier Kafka des tests, quand CREANCES_KAFKA_BOOTSTRAP n'en donne pas (défaut : tansu, embarqué).",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Retient le courtier choisi, et dit d'emblée ce qui lui manque."""
    COURTIER[:] = [COURTIERS[config.getoption("--courtier")]]
    if config.getoption("--courtier") == "apache" and (manque := ce_qui_manque_pour_apache()):
        raise pytest.UsageError(f"--courtier=apache : {manque}")


@pytest.hookimpl(tryfirst=True)  # Avant que `-m` ne choisisse.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marque `kafka` les tests qui ont un courtier, `serveur` ceux qui ont un serveur."""
    for test in items:
        fixtures = getattr(test, "fixturenames", ())
        if not FIXTURES_KAFKA.isdisjoint(fixtures):
            test.add_marker(pytest.mark.kafka)
        module = vars(getattr(test, "module", None) or object)
        if not FIXTURES_SERVEUR.isdisjoint(fixtures) or not DEMARRENT_UN_SERVEUR.isdisjoint(module):
            test.add_marker(pytest.mark.serveur)
            # Le ramasse-miettes passe quand il veut : pendant le test lui-même, ou pendant un autre du même module,
            # dont les rôles tournent dans ce processus.
            test.add_marker(pytest.mark.filterwarnings(f"ignore:{PRISE_DE_KAFKA}:ResourceWarning"))


def pytest_collection_finish() -> None:
    """Ce que la collecte a laissé dure jusqu'à la fin : le ramasse-miettes n'a plus à le parcourir."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def autorites_lues_une_fois() -> Iterator[None]:
    """Chaque client httpx lit les autorités de certification (20 ms) ; ici elles se lisent une fois, pour tous."""
    commun = cache(creer)

    def contexte(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:  # noqa: FBT001, FBT002
        return commun(trust_env=trust_env) if verify is True and cert is None else creer(verify, cert, trust_env)

    with pytest.MonkeyPatch.context() as remplace:
        remplace.setattr("httpx._transports.default.create_ssl_context", contexte)
        yield


@pytest.fixture(scope="session", autouse=True)
def reponses_attendues() -> Iterator[None]:
    """Un client httpx à qui l'on ne dit rien se lasse en cinq secondes : une machine occupée en met davantage."""
    with pytest.MonkeyPatch.context() as remplace:
        for delai in ("connect", "read", "write", "pool"):
            remplace.setattr(DEFAULT_TIMEOUT_CONFIG, delai, 60.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def faits_valides() -> Iterator[None]:
    """En service, un fait déclenché n'est pas validé ; ici, il doit être ce que la validation en ferait."""
    sans = vars(Fait)["sans_valider"].__func__

    def valider(classe: type[Fait], champs: dict[str, Any]) -> Fait:
        valide = classe(**champs)
        fait: Fait = sans(classe, champs)
        for nom, valeur in vars(valide).items():
            tel_quel = vars(fait)[nom]
            if tel_quel != valeur or type(tel_quel) is not type(valeur):
                raise AssertionError(f"{classe.TOPIC}.{nom} : {tel_quel!r} déclenché, {valeur!r} une fois validé")
        return fait

    with pytest.MonkeyPatch.context() as remplace:
        remplace.setattr(Fait, "sans_valider", classmethod(valider))
        yield


@dataclass(frozen=True)
class Database:
    """Une base PostgreSQL propre au test."""

    url: str
    """Pour le rôle du service."""
    url_proprietaire: str
    """Pour le propriétaire du schéma."""
    nom: str


class Serveurs:
    """PostgreSQL et Kafka, chacun démarré à la première demande."""

    def __init__(self, pile: ExitStack, dossier: Path, courtier: str) -> None:
        self._pile = pile
        self._dossier = dossier
        self._courtier = courtier

    @cached_property
    def _embarque(self) -> EmbeddedPostgres:
        return self._pile.enter_context(embedded_postgres(self._dossier, throwaway=True))

    @cached_property
    def database_url(self) -> str:
        """L'URL du rôle du service."""
        return VARIABLES.get("CREANCES_DATABASE_URL") or self._embarque.database_url

    @cached_property
    def owner_database_url(self) -> str:
        """L'URL d'un rôle qui peut créer des bases."""
        if donnee := VARIABLES.get("CREANCES_OWNER_DATABASE_URL") or VARIABLES.get("CREANCES_DATABASE_URL"):
            return donnee
        return self._embarque.owner_database_url

    @cached_property
    def kafka_bootstrap(self) -> str:
        """Les courtiers, hôte:port."""
        if donne := VARIABLES.get("CREANCES_KAFKA_BOOTSTRAP"):
            return donne
        return self._pile.enter_context(COURTIERS[self._courtier](self._dossier)).bootstrap

    @cached_property
    def modele(self) -> str:
        """Le nom d'une base migrée une fois par session, que chaque test copie."""
        from service.schema import migrate

        nom = f"creances_modele_{secrets.token_hex(4)}"
        self.executer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(nom)))
        self._pile.callback(self.supprimer_base, nom)  # Après le démarrage : défait avant l'arrêt.
        migrate(vers_base(self.owner_database_url, nom), utilisateur(self.database_url))
        return nom

    @cached_property
    def _proprietaire(self) -> psycopg.Connection[Any]:
        return self._pile.enter_context(psycopg.connect(self.owner_database_url, autocommit=True))

    def executer(self, instruction: sql.Composed) -> None:
        """Exécute une instruction hors transaction, comme propriétaire."""
        try:
            self._proprietaire.execute(instruction)
        except psycopg.OperationalError:
            if not self._proprietaire.closed:
                raise
            del self._proprietaire  # Un test l'a raccrochée avec d'autres.
            self._proprietaire.execute(instruction)

    def copier(self, modele: str, nom: str) -> None:
        """Crée une base comme ce modèle ; par fichiers : la moitié de ce que coûte la copie journalisée."""
        copie = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self.executer(copie.format(sql.Identifier(nom), sql.Identifier(modele)))

    def supprimer_base(self, nom: str) -> None:
        """Supprime une base, même si une connexion y reste ouverte."""
        self.executer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(nom)))


def vers_base(url: str, nom: str) -> str:
    """Rend la même URL pour une autre base."""
    return urlsplit(url)._replace(path=f"/{nom}").geturl()


def utilisateur(url: str) -> str:
    """Rend le nom du rôle d'une URL."""
    nom = psycopg.conninfo.conninfo_to_dict(url).get("user")
    if not nom:
        raise pytest.UsageError("CREANCES_DATABASE_URL doit nommer son utilisateur.")
    return str(nom)


@pytest.fixture(scope="session")
def serveurs(pytestconfig: pytest.Config) -> Iterator[Serveurs]:
    """PostgreSQL et Kafka réels."""
    with throwaway_folder(in_memory=True) as dossier, ExitStack() as pile:
        yield Serveurs(pile, dossier, pytestconfig.getoption("--courtier"))


@pytest.fixture
def base(serveurs: Serveurs) -> Iterator[Database]:
    """Une base neuve et migrée, supprimée après le test."""
    with nouvelle_base(serveurs) as neuve:
        yield neuve


@pytest.fixture
def seconde_base(serveurs: Serveurs) -> Iterator[Database]:
    """Une autre base neuve et migrée, pour comparer."""
    with nouvelle_base(serveurs) as neuve:
        yield neuve


@contextmanager
def nouvelle_base(serveurs: Serveurs) -> Iterator[Database]:
    """Copie la base modèle ; la supprime à la fin."""
    nom = f"creances_test_{secrets.token_hex(6)}"
    serveurs.copier(serveurs.modele, nom)
    yield Database(vers_base(serveurs.database_url, nom), vers_base(serveurs.owner_database_url, nom), nom)
    serveurs.supprimer_base(nom)


@pytest.fixture(autouse=True)
def prises_de_kafka_ramassees(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ramasse, sitôt le test fini, les prises que kafka-python laisse au ramasse-miettes quand un courtier s'en va.

    Sinon l'avertissement tomberait plus tard, dans un test qui n'y est pour rien.
    """
    yield
    if request.node.get_closest_marker("kafka") is not None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", PRISE_DE_KAFKA, ResourceWarning)
            gc.collect()


@pytest.fixture
def prefixe() -> str:
    """Un préfixe de topics que personne d'autre n'utilise."""
    return f"t-{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def kafka(serveurs: Serveurs) -> str:
    """Les courtiers Kafka, hôte:port."""
    return serveurs.kafka_bootstrap


@pytest.fixture
def apache(pytestconfig: pytest.Config) -> None:
    """Ne laisse passer le test que sur Apache Kafka : il éprouve ce que le courtier embarqué ne fait pas."""
    if pytestconfig.getoption("--courtier") != "apache":
        pytest.skip("demande Apache Kafka : make test-kafka")


@pytest.fixture
def tansu(pytestconfig: pytest.Config) -> None:
    """Ne laisse passer le test que sur le courtier embarqué : il prend tel quel un lot qu'Apache Kafka refuse."""
    if pytestconfig.getoption("--courtier") != "tansu":
        pytest.skip("un lot abîmé ne se met sur Apache Kafka qu'en abîmant son disque")


@pytest.fixture
def courtier_a_soi(pytestconfig: pytest.Config) -> Iterator[Courtier]:
    """Un courtier démarré pour ce test seul, qui peut l'arrêter, le tuer, le redémarrer (voir `--courtier`)."""
    with (
        throwaway_folder(in_memory=True) as dossier,
        COURTIERS[pytestconfig.getoption("--courtier")](dossier) as courtier,
    ):
        yield courtier


@pytest.fixture
def courtier_durable(request: pytest.FixtureRequest) -> Courtier:
    """Un courtier à soi qui garde son journal d'un démarrage à l'autre : Apache Kafka."""
    if not COURTIERS[request.config.getoption("--courtier")].garde_son_journal:
        pytest.skip("demande un courtier qui garde son journal : make test-kafka")
    courtier: Courtier = request.getfixturevalue("courtier_a_soi")
    return courtier
