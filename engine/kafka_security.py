"""How a Kafka client proves itself by a token, and telling a refused certificate as what it is."""

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kafka.errors import KafkaConnectionError
from kafka.net.sasl.oauth import AbstractTokenProvider

PROBE_S: Final = 3.0
"""How long the question whether a certificate is refused may take (seconds)."""


class CertificateRefused(KafkaConnectionError):  # type: ignore[misc]
    """The broker's certificate is not believed, or ours is not: nothing will connect before that is mended."""


class FileToken(AbstractTokenProvider):  # type: ignore[misc]
    """An OAUTHBEARER token kept in a file by whoever renews it; read again at each connection."""

    def __init__(self, path: Path) -> None:
        """The file holds the token alone."""
        self._path = path

    def token(self) -> str:
        """The token of now. Raises OSError."""
        return self._path.read_text("utf-8").strip()


def refused_certificate(options: Mapping[str, Any]) -> CertificateRefused | None:
    """What is wrong with a certificate, ours or the broker's, if that is why no broker could be reached.

    kafka-python tells a broker that it cannot believe like one that is away; this asks the first one again, by hand.
    """
    if "SSL" not in str(options.get("security_protocol", "")):
        return None
    for address in options.get("bootstrap_servers", ()):
        host, _, port = str(address).rpartition(":")
        try:
            context = ssl.create_default_context(cafile=options.get("ssl_cafile"))
            if certificate := options.get("ssl_certfile"):
                context.load_cert_chain(certificate, options.get("ssl_keyfile"))
            with (
                socket.create_connection((host, int(port)), timeout=PROBE_S) as plain,
                context.wrap_socket(plain, server_hostname=host) as wrapped,
            ):
                wrapped.settimeout(PROBE_S)
        except ssl.SSLCertVerificationError as refused:
            return CertificateRefused(f"le certificat de {address} est refusé : {refused.verify_message}")
        except ssl.SSLError as refused:
            return CertificateRefused(f"{address} refuse la connexion chiffrée : {refused.reason or refused}")
        except OSError:
            continue
        return None
    return None
