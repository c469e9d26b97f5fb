"""The bank, written from its protocol alone: it seals answers as Sips does, and repeats each until it is taken."""

import hashlib
import random
import time
from datetime import UTC, datetime, timedelta

import httpx

MERCHANT = "002001000000001"
SECRET = "002001000000001_KEY1"


def sealed(
    transaction: str,
    amount: int,
    code: str,
    *,
    authorisation: str | None,
    echo: str = "",
    key: str = SECRET,
    at: datetime | None = None,
) -> dict[str, str]:
    """A sealed answer, as the bank posts it."""
    pairs = {
        "captureMode": "AUTHOR_CAPTURE",
        "currencyCode": "978",
        "merchantId": MERCHANT,
        "keyVersion": "1",
        "transactionReference": transaction,
        "amount": str(amount),
        "responseCode": code,
        "transactionDateTime": (at or datetime.now(UTC)).isoformat(timespec="seconds"),
        "returnContext": echo,
    } | ({} if authorisation is None else {"authorisationId": authorisation})
    data = "|".join(f"{name}={value}" for name, value in pairs.items() if value)
    return {
        "Data": data,
        "Seal": hashlib.sha256((data + key).encode()).hexdigest(),
        "InterfaceVersion": "HP_2.40",
    }


def echoed(form: dict[str, str]) -> str:
    """What the payment's form asks the bank to give back."""
    pairs = dict(pair.partition("=")[::2] for pair in form.get("Data", "").split("|"))
    return pairs.get("returnContext", "")


class Bank:
    """Posts answers to whichever API answers; like the bank, it tries again until one takes it."""

    def __init__(self, urls: list[str], client: httpx.Client, rng: random.Random) -> None:
        """`urls`: the instances of the API."""
        self.urls, self.client, self.rng = urls, client, rng

    def tell(self, form: dict[str, str], *, until: float) -> int | None:
        """Posts the answer until it is taken (200) or refused for good (400); None if time ran out."""
        while time.monotonic() < until:
            try:
                status = self.client.post(f"{self.rng.choice(self.urls)}/kiosque/notification", data=form).status_code
            except httpx.HTTPError:
                status = 503
            if status in {200, 400}:
                return status
            time.sleep(self.rng.uniform(0.05, 0.3))
        return None


def late(rng: random.Random) -> datetime:
    """The bank's instant of an answer that took its time."""
    return datetime.now(UTC) - timedelta(hours=rng.choice([0, 1, 30, 60]))
