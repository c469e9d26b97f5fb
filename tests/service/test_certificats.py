"""`creances check` ouvre les certificats des réglages : inversés, d'une autre clé ou expirés, ils sont nommés."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from service.production import find_gaps
from service.production_doubts import find_doubts
from service.settings import Settings
from tests.service.test_production import COMPLETE


def ecrire(dossier: Path, nom: str, *, jours: int = 365, mot_de_passe: bytes | None = None) -> None:
    """Un certificat (`nom.pem`, `nom.der`) et sa clé (`nom.key`)."""
    cle, sujet = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    fin = datetime.now(UTC) + timedelta(days=jours)
    certificat = (
        x509.CertificateBuilder()
        .subject_name(sujet)
        .issuer_name(sujet)
        .public_key(cle.public_key())
        .serial_number(1)
        .not_valid_before(fin - timedelta(days=999))
        .not_valid_after(fin)
        .sign(cle, hashes.SHA256())
    )
    (dossier / f"{nom}.pem").write_bytes(certificat.public_bytes(Encoding.PEM))
    (dossier / f"{nom}.der").write_bytes(certificat.public_bytes(Encoding.DER))
    chiffre = BestAvailableEncryption(mot_de_passe) if mot_de_passe else NoEncryption()
    (dossier / f"{nom}.key").write_bytes(cle.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, chiffre))


@pytest.fixture(scope="module")
def dossier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ici = tmp_path_factory.mktemp("certificats")
    for nom, jours in {"a": 365, "b": 365, "fini": -1, "bientot": 10}.items():
        ecrire(ici, nom, jours=jours)
    ecrire(ici, "ferme", mot_de_passe=b"abcd")
    (ici / "vide.pem").touch()
    return ici


def de_production(dossier: Path, **fichiers: str) -> Settings:
    donnes: dict[str, Any] = COMPLETE | {nom: dossier / fichier for nom, fichier in fichiers.items()}
    return Settings(_env_file=None, **donnes)


def manques(settings: Settings) -> dict[str, str]:
    return {gap.setting.removeprefix("CREANCES_").lower(): gap.cause for gap in find_gaps(settings, environment={})}


def test_un_certificat_et_sa_cle_ne_manquent_de_rien(dossier: Path) -> None:
    bons = {"kafka_ssl_certfile": "a.pem", "kafka_ssl_keyfile": "a.key", "kafka_ssl_cafile": "b.pem"}
    settings = de_production(dossier, **bons)
    assert manques(settings) == {}
    assert list(find_doubts(settings, {})) == []


@pytest.mark.parametrize(
    ("certificat", "cle", "attendus"),
    [
        ("a.key", "a.pem", {"kafka_ssl_certfile": "intervertis", "kafka_ssl_keyfile": "aucune clé privée"}),
        ("a.pem", "b.key", {"kafka_ssl_keyfile": "n'est pas celle de KAFKA_SSL_CERTFILE"}),
        ("a.der", "a.key", {"kafka_ssl_certfile": "aucun certificat (PEM)"}),
        ("vide.pem", "a.key", {"kafka_ssl_certfile": "aucun certificat"}),
        ("fini.pem", "fini.key", {"kafka_ssl_certfile": "a expiré le"}),
        ("ferme.pem", "ferme.key", {"kafka_ssl_keyfile": "est chiffrée"}),
    ],
)
def test_un_certificat_qui_n_ouvre_rien_est_nomme(
    dossier: Path, certificat: str, cle: str, attendus: dict[str, str]
) -> None:
    trouves = manques(de_production(dossier, kafka_ssl_certfile=certificat, kafka_ssl_keyfile=cle))
    assert trouves.keys() == attendus.keys()
    assert all(phrase in trouves[nom] for nom, phrase in attendus.items()), trouves


@pytest.mark.parametrize("autorite", ["a.der", "a.key", "vide.pem", "fini.pem"])
def test_une_autorite_qui_n_en_est_pas_une_est_nommee(dossier: Path, autorite: str) -> None:
    assert set(manques(de_production(dossier, kafka_ssl_cafile=autorite))) == {"kafka_ssl_cafile"}
    base = f"{COMPLETE['database_url']}&sslrootcert={dossier / autorite}"
    settings = Settings(_env_file=None, **(COMPLETE | {"database_url": base}))
    assert set(manques(settings)) == {"database_url"}
    tsa: dict[str, Any] = COMPLETE | {"tsa_url": "https://h.fr", "tsa_roots": dossier / autorite}
    assert set(manques(Settings(_env_file=None, **tsa))) == {"tsa_roots"}


def test_un_certificat_qui_finit_bientot_est_un_doute(dossier: Path) -> None:
    settings = de_production(dossier, kafka_ssl_certfile="bientot.pem", kafka_ssl_keyfile="bientot.key")
    assert manques(settings) == {}
    assert [nom for nom, _ in find_doubts(settings, {})] == ["CREANCES_KAFKA_SSL_CERTFILE"]
