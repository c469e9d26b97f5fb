"""Les clés tournent sous la charge, et rien n'est refusé ; Kafka et ses certificats."""

import re
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry
from pydantic import SecretStr, ValidationError

from api.application import creer_api
from engine.kafka_security import FileToken
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Marchand
from service import bank
from service.production import find_gaps
from service.settings import Settings
from tests.api.conftest import KIOSQUE, MARCHAND, Service, notification, reglages_api, service  # noqa: F401
from tests.api.navigation import NAVIGATEUR, champ, devenir
from tests.outils import RACINE
from tests.serveurs import servi

ANCIEN = "l'ancien secret, de trente-deux octets"
NOUVEAU = "le nouveau secret, de trente-deux octets"
SECONDE_CLE = Marchand(id=MARCHAND.id, cles={2: SecretStr("la nouvelle clé")}, version_courante=2)


class TestSessions:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        return {"demo": True, "secret_de_session": ANCIEN}

    def test_le_secret_des_sessions_tourne_sans_que_personne_ne_soit_deconnecte(self, service: Service) -> None:  # noqa: F811
        """Trois pas, comme la page l'écrit : le neuf est lu, puis il sert, puis l'ancien s'en va."""
        devenir(service)
        cookies = {nom: valeur for nom, valeur in service.client.cookies.items() if valeur}
        jeton = champ(service.client.get("/payer", headers=NAVIGATEUR), "jeton")
        pas = [(ANCIEN, None), (ANCIEN, NOUVEAU), (NOUVEAU, ANCIEN)]
        url = ""
        with ExitStack() as pile:
            for secret, precedent in pas:
                dependances = replace(
                    service.dependances_api,
                    secret_de_session=secret,
                    secret_de_session_precedent=precedent,
                    metriques=CollectorRegistry(),
                )
                url = pile.enter_context(servi(creer_api(dependances)))
                _sous_la_charge(url, cookies)
            # Ce que la nouvelle instance pose, celle du pas d'avant le lit : les deux servent en même temps.
            with httpx.Client(base_url=url, trust_env=False, cookies=cookies) as client:
                fin = client.post("/deconnexion", data={"jeton": jeton})
                assert fin.status_code == 303, "un formulaire d'avant est encore valable"


def _sous_la_charge(url: str, cookies: dict[str, str]) -> None:
    statuts: Counter[int] = Counter()

    def lire() -> None:
        with httpx.Client(base_url=url, trust_env=False, cookies=cookies, timeout=60) as client:
            for _ in range(10):
                statuts[client.get("/payer", headers=NAVIGATEUR).status_code] += 1

    fils = [threading.Thread(target=lire) for _ in range(4)]
    for fil in fils:
        fil.start()
    for fil in fils:
        fil.join()
    assert statuts == {200: 40}


def test_la_cle_d_un_commercant_tourne_pendant_que_la_banque_notifie(service: Service) -> None:  # noqa: F811
    """La banque scelle sous l'ancienne, puis sous la neuve ; le service relit ses réglages entre-temps."""
    neuve = {2: SecretStr("la nouvelle clé"), 1: MARCHAND.cles[1]}
    pas = [
        ({1: MARCHAND.cles[1]}, 1, [MARCHAND]),
        (neuve, 2, [MARCHAND, SECONDE_CLE]),
        ({2: neuve[2]}, 2, [SECONDE_CLE]),
    ]
    for etape, (cles, courante, scelleurs) in enumerate(pas):
        marchand = Marchand(id=MARCHAND.id, cles=cles, version_courante=courante)
        sips = Sips(ReglagesSips(url=KIOSQUE, office="http://kiosque.test", marchands={"": marchand}))
        guichet = replace(service.guichet, kiosque=sips)
        dependances = replace(service.dependances_api, guichet=guichet, metriques=CollectorRegistry())
        with servi(creer_api(dependances)) as url, httpx.Client(base_url=url, trust_env=False) as client:
            for n in range(20):
                for scelleur in scelleurs:
                    champs = notification(f"T{etape}{n}", 10_00 + scelleur.version_courante, marchand=scelleur)
                    assert client.post("/kiosque/notification", data=champs).status_code == 200
        sips.close()


def test_la_cle_precedente_n_est_plus_lue_apres_son_jour() -> None:
    hier, demain = (datetime.now(UTC).date() + timedelta(days=n) for n in (-2, 2))
    communs: dict[str, Any] = {
        "_env_file": None,
        "kiosque_previous_secret_key": SecretStr("ancienne"),
        "kiosque_previous_key_version": 7,
    }
    for jusqu_a, versions in ((None, {1, 7}), (demain, {1, 7}), (hier, {1})):
        sips = bank.kiosk(Settings(**communs, kiosque_previous_key_until=jusqu_a))
        with closing(sips):
            assert isinstance(sips, Sips)
            assert set(sips._reglages.marchands[""].cles) == versions


def test_une_cle_expiree_empeche_la_production() -> None:
    hier = datetime.now(UTC).date() - timedelta(days=1)
    trouvees = {gap.setting for gap in find_gaps(Settings(_env_file=None, kiosque_key_expires_on=hier))}
    assert "CREANCES_KIOSQUE_KEY_EXPIRES_ON" in trouvees


# --- Kafka -----------------------------------------------------------------------------------------------------------


def test_le_jeton_de_kafka_est_relu_a_chaque_connexion(tmp_path: Path) -> None:
    fichier = tmp_path / "jeton"
    fichier.write_text("un\n")
    settings = Settings(
        _env_file=None,
        kafka_bootstrap="k:9093",
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="OAUTHBEARER",
        kafka_sasl_token_path=fichier,
    )
    porteur = settings.kafka_connection()["sasl_oauth_token_provider"]
    assert isinstance(porteur, FileToken)
    assert porteur.token() == "un"
    fichier.write_text("deux")
    assert porteur.token() == "deux"
    assert not [g for g in find_gaps(settings) if "KAFKA" in g.setting], "aucun mot de passe n'est demandé"


@pytest.mark.parametrize(
    "reglages",
    [{"kafka_sasl_mechanism": "OAUTHBEARER"}, {"kafka_sasl_token_path": Path("x")}, {"kafka_ssl_certfile": __file__}],
)
def test_des_reglages_qui_vont_ensemble_se_donnent_ensemble(reglages: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="vont ensemble"):
        Settings(_env_file=None, **reglages)


@pytest.fixture
def faux_courtier(tmp_path: Path) -> Iterator[str]:
    """Un serveur chiffré dont le certificat n'est signé de personne que nous connaissions."""
    cle = ec.generate_private_key(ec.SECP256R1())
    nom = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    maintenant = datetime.now(UTC)
    certificat = (
        x509.CertificateBuilder()
        .subject_name(nom)
        .issuer_name(nom)
        .public_key(cle.public_key())
        .serial_number(1)
        .not_valid_before(maintenant - timedelta(days=1))
        .not_valid_after(maintenant + timedelta(days=1))
        .sign(cle, hashes.SHA256())
    )
    pem = tmp_path / "serveur.pem"
    pem.write_bytes(
        certificat.public_bytes(serialization.Encoding.PEM)
        + cle.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    contexte = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexte.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as ecoute:
        arret = threading.Event()

        def servir() -> None:
            ecoute.settimeout(0.1)
            while not arret.is_set():
                try:
                    prise, _ = ecoute.accept()
                except TimeoutError:
                    continue
                prise.settimeout(60)
                try:
                    contexte.wrap_socket(prise, server_side=True).close()
                except OSError:
                    prise.close()

        fil = threading.Thread(target=servir)
        fil.start()
        yield f"127.0.0.1:{ecoute.getsockname()[1]}"
        arret.set()
        fil.join()


def test_un_certificat_refuse_est_dit_comme_tel(faux_courtier: str) -> None:
    """Dans un autre processus : kafka-python laisse au ramasse-miettes la prise dont le certificat a été refusé."""
    fini = subprocess.run(
        [sys.executable, "-c", OUVRIR, faux_courtier], cwd=RACINE, capture_output=True, text=True, check=False
    )
    assert re.search(r"CertificateRefused: .*certificat de 127\.0\.0\.1:\d+ est refusé", fini.stderr), fini.stderr


OUVRIR = """
import sys
from kafka import KafkaAdminClient
from engine.kafka_clients import open_client
open_client(KafkaAdminClient, bootstrap_servers=[sys.argv[1]], security_protocol="SSL", bootstrap_timeout_ms=1_000)
"""
