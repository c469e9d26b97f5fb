"""Where receipts by e-mail leave: an SMTP server, or in the demonstration a mailbox that its page shows."""

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from api.socle.courriel import BoiteDeDemonstration, Courriel, CourrielImpossible, Message
from service.settings import Settings

TIMEOUT_SECONDS: Final = 10.0


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
                if self._settings.smtp_tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self._settings.smtp_user is not None and self._settings.smtp_password is not None:
                    server.login(self._settings.smtp_user, self._settings.smtp_password.get_secret_value())
                server.send_message(courrier)
        except (OSError, smtplib.SMTPException) as failure:
            raise CourrielImpossible(type(failure).__name__) from None

    def _connect(self) -> smtplib.SMTP:
        host, port = str(self._settings.smtp_host), self._settings.smtp_port
        if self._settings.smtp_tls == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=context)
        return smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)


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
