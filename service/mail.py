"""Where receipts by e-mail leave: an SMTP server, or in the demonstration a mailbox that its page shows."""

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final, assert_never

from api.socle.courriel import BoiteDeDemonstration, Courriel, CourrielImpossible, Message
from service.settings import Settings

TIMEOUT_SECONDS: Final = 10.0
EXCHANGE_SECONDS: Final = 30.0
"""For a whole message, from the connection to the last answer."""


class _Cut:
    """Ends an exchange that lasts too long: smtplib bounds each read only, and a server may drip its answers."""

    def __init__(self) -> None:
        self.server: smtplib.SMTP | None = None

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """Cut the connection if the block is not over after `EXCHANGE_SECONDS`."""
        timer = threading.Timer(EXCHANGE_SECONDS, self._shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _shut(self) -> None:
        if self.server is not None and (open_socket := self.server.sock) is not None:
            with suppress(OSError):  # Over already.
                open_socket.shutdown(socket.SHUT_RDWR)


class _CutSMTP(smtplib.SMTP):
    """A connection known to its cut before its first read, which is the greeting."""

    def __init__(self, cut: _Cut, host: str, port: int) -> None:
        cut.server = self
        super().__init__(host, port, timeout=TIMEOUT_SECONDS)


class _CutSMTPOverTLS(smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""

    def __init__(self, cut: _Cut, host: str, port: int, context: ssl.SSLContext) -> None:
        cut.server = self
        super().__init__(host, port, timeout=TIMEOUT_SECONDS, context=context)


class SmtpCourriel:
    """Sends through one SMTP server, over TLS unless the settings say otherwise."""

    def __init__(self, settings: Settings) -> None:
        """`settings.smtp_host` and `settings.smtp_sender` must be there."""
        self._settings = settings

    def envoyer(self, adresse: str, message: Message) -> None:
        """Hand the message over; neither the address nor the server's words about it reach the logs."""
        courrier = _write(str(self._settings.smtp_sender), adresse, message)
        try:
            with self._connect() as server:
                if self._settings.smtp_user is not None and self._settings.smtp_password is not None:
                    server.login(self._settings.smtp_user, self._settings.smtp_password.get_secret_value())
                server.send_message(courrier)
        except (OSError, smtplib.SMTPException) as failure:
            raise CourrielImpossible(type(failure).__name__) from None

    @contextmanager
    def _connect(self) -> Iterator[smtplib.SMTP]:
        host, port = str(self._settings.smtp_host), self._settings.smtp_port
        cut = _Cut()
        with cut.in_time():
            match self._settings.smtp_tls:
                case "tls":
                    server: smtplib.SMTP = _CutSMTPOverTLS(cut, host, port, ssl.create_default_context())
                case "starttls" | "none":
                    server = _CutSMTP(cut, host, port)
                case _:
                    assert_never(self._settings.smtp_tls)
            with server:
                if self._settings.smtp_tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                yield server


def outgoing_mail(settings: Settings, *, demo: bool) -> Courriel | None:
    """The way out that the settings name; None: receipts are not offered by e-mail."""
    if settings.smtp_host is not None:
        return SmtpCourriel(settings)
    return BoiteDeDemonstration() if demo else None


def _write(sender: str, address: str, message: Message) -> EmailMessage:
    courrier = EmailMessage(policy=SMTP)
    courrier["From"], courrier["To"], courrier["Subject"] = sender, address, message.objet
    courrier.set_content(message.texte)
    courrier.add_attachment(message.piece, maintype="application", subtype="pdf", filename=message.nom_de_piece)
    return courrier
