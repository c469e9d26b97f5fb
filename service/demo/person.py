"""What a person does: open a payment, type a card at the kiosk, look whether it went through."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from html import unescape
from typing import Any, Final

import httpx

from api.socle.identite import RoleUtilisateur, emettre_jeton
from domain.monnaie import euros
from service.demo.stage import DemoFailed, Stage
from service.settings import development_jwt_secret

CARD: Final = {"mois": "12", "annee": "30", "cryptogramme": "123"}
CARD_ACCEPTED: Final = "5017 0000 0000 0000"
CARD_REFUSED: Final = "5017 0000 0000 0005"
"""Test cards: the last two digits are the bank's answer (00 accepted, 05 refused)."""


class Person:
    """An insured person, through the API and the kiosk's page."""

    def __init__(self, stage: Stage, insured: str) -> None:
        """`insured`: the pseudonym."""
        self._stage = stage
        self._settings = stage.settings
        self._http = stage.http
        self._insured = insured

    def open(self, references: list[str], amount: int) -> Mapping[str, Any]:
        """Open a payment (cents) and tell how it is shared. Raises DemoFailed if it is refused."""
        answer = self._ask(references, amount)
        if answer.is_error:
            raise DemoFailed(f"ouvrir le paiement : {answer.status_code} {answer.text}")
        opened: Mapping[str, Any] = answer.json()
        shares = ", ".join(f"{part['reference']} {euros(part['montant_centimes'])}" for part in opened["imputations"])
        self._stage.add(f"Transaction {opened['transaction']}, imputée : {shares}.")
        return opened

    def leave_open(self, reference: str, amount: int) -> None:
        """Open a payment that nobody finishes, for the page's person of that case; a refusal says that one is open."""
        answer = self._ask([reference], amount)
        if answer.is_server_error:
            raise DemoFailed(f"ouvrir le paiement : {answer.status_code} {answer.text}")

    def instruct(self, instruction: Mapping[str, Any]) -> None:
        """Tell the simulated bank how to behave for the next payment."""
        self._http.post(f"{self._settings.kiosque_url}/simulateur/reglages", json=dict(instruction)).raise_for_status()

    def pay(self, payment: Mapping[str, Any], card: str) -> str:
        """Do as the browser does: post the sealed form, type the card, validate; return the page that follows."""
        page = self._http.post(payment["kiosque"]["url"], data=payment["kiosque"]["champs"])
        page.raise_for_status()
        token = re.search(r'name="jeton"\s+value="([^"]+)"', page.text)
        if token is None:
            raise DemoFailed("le kiosque n'a pas montré sa page de carte")
        form = CARD | {"numero": card, "jeton": unescape(token[1])}
        return self._http.post(f"{self._settings.kiosque_url}/paypage/valider", data=form).raise_for_status().text

    def status(self, payment: Mapping[str, Any]) -> str:
        """Where the payment stands, as its page says."""
        url = f"{self._settings.public_url}/api/v1/paiements/{payment['transaction']}"
        return str(self._http.get(url, headers=self._bearer()).json().get("statut"))

    def acknowledged(self, payment: Mapping[str, Any]) -> bool:
        """Tell whether the acknowledgement is in the messagerie."""
        query = "SELECT true FROM vues.messagerie WHERE transaction = %s AND accepte_le IS NOT NULL"
        with self._stage.connect() as conn:
            return conn.execute(query, (payment["transaction"],)).fetchone() is not None

    def _ask(self, references: list[str], amount: int) -> httpx.Response:
        def ask() -> httpx.Response | None:
            answer = self._http.post(
                f"{self._settings.public_url}/api/v1/paiements",
                json={"references": references, "montant_centimes": amount, "canal": "web"},
                headers=self._bearer() | {"Idempotency-Key": f"demo-{time.time_ns()}"},
            )
            # The service has just started: it checks its log before it lets anybody pay.
            unchecked = answer.is_server_error and answer.json().get("code") == "journal_non_verifie"
            return None if unchecked else answer

        answer = self._stage.until(ask, "le service ne laisse ouvrir aucun paiement")
        assert answer is not None  # noqa: S101  `until` returns what holds
        return answer

    def _bearer(self) -> dict[str, str]:
        token = emettre_jeton(
            development_jwt_secret(self._settings),
            RoleUtilisateur.ASSURE,
            self._insured,
            audience=self._settings.oidc_audience,
            maintenant=datetime.now(UTC),
        )
        return {"Authorization": f"Bearer {token}"}
