"""A sample consumer of the HTTP feed, for who has no Kafka: where each créance of your caisses stands, in SQLite.

    CREANCES_TOKEN=… python examples/fil_http.py --url https://creances.example --base soldes.sqlite

It uses the standard library only: copy it. What it shows:

- **The cursor and the balances are committed together**: killed anywhere, it asks for the same page again.
- **A version that is not above the last one of its créance is ignored.** Ignored too: unknown types and fields.
- **A mark `NouvelleEpoque`**: what you hold is replaced by what follows, from this page on.
- **An empty page is not the end**: `suite` still moves, over what is not yours. The mark `FinDeRenvoi` says the end.
- 429 and 503 say when to come back (`Retry-After`).
"""

import argparse
import gzip
import json
import os
import sqlite3
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY CHECK (one = 1), after TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS balances (
    reference TEXT PRIMARY KEY, version INTEGER NOT NULL, caisse TEXT NOT NULL,
    restant_du INTEGER NOT NULL, en_cours INTEGER NOT NULL, trop_percu INTEGER NOT NULL
);
"""
AMOUNTS = ("restant_du_centimes", "en_cours_centimes", "trop_percu_centimes")
WAIT_S = 8
"""The longest wait for an event that the service grants."""


class Feed:
    """Pages of the feed, one after the other."""

    def __init__(self, url: str, token: str, caisses: list[str]) -> None:
        """`caisses`: those only; none: all of yours."""
        self.url = f"{url.rstrip('/')}/api/v1/evenements"
        self.headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
        self.caisses = [("caisse", caisse) for caisse in caisses]

    def page(self, after: str | None, wait_s: int) -> Any:
        """The page after this cursor; waits and asks again as long as the service is busy or away."""
        asked = [*self.caisses, ("attente", str(wait_s)), *([("apres", after)] if after else [])]
        request = urllib.request.Request(f"{self.url}?{urllib.parse.urlencode(asked)}", headers=self.headers)  # noqa: S310
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  the URL is the operator's
                    body = answer.read()
                    return json.loads(gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body)
            except urllib.error.HTTPError as refused:
                if refused.code not in {429, 503}:
                    raise SystemExit(f"{refused.code} {refused.read().decode()}") from None
                time.sleep(int(refused.headers["Retry-After"] or 5))
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(5)


class Balances:
    """What the caisse keeps."""

    def __init__(self, path: str) -> None:
        """Opens the database, or creates it."""
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(SCHEMA)

    def after(self) -> str | None:
        """The cursor to go on from; None at first."""
        found = self.db.execute("SELECT after FROM cursor").fetchone()
        return found[0] if found else None

    def take(self, page: Any) -> None:
        """Apply a page and move the cursor, in one transaction."""
        self.db.execute("BEGIN")
        if any(mark["type"] == "NouvelleEpoque" for mark in page["marques"]):
            self.db.execute("DELETE FROM balances")
        for event in page["evenements"]:
            self._apply(event)
        self.db.execute(
            "INSERT INTO cursor VALUES (1, ?) ON CONFLICT DO UPDATE SET after = excluded.after", (page["suite"],)
        )
        self.db.execute("COMMIT")

    def _apply(self, event: Any) -> None:
        stream, _, version = event["id"].rpartition(":")
        data = event["data"]
        if stream.startswith("creance-") and "restant_du_centimes" in data:
            self.db.execute(
                "INSERT INTO balances VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version,"
                " caisse = excluded.caisse, restant_du = excluded.restant_du, en_cours = excluded.en_cours,"
                " trop_percu = excluded.trop_percu WHERE excluded.version > balances.version",
                (event["subject"], int(version), data["caisse"], *(data[amount] for amount in AMOUNTS)),
            )


def main() -> None:
    """Read the command line, and follow until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="where the service is")
    parser.add_argument("--base", default="soldes.sqlite", help="the SQLite file")
    parser.add_argument("--caisse", action="append", default=[], help="this caisse only; may be repeated")
    parser.add_argument("--until-end", action="store_true", help="stop when nothing follows for the moment")
    given = parser.parse_args()
    feed = Feed(given.url, os.environ["CREANCES_TOKEN"], given.caisse)
    balances = Balances(given.base)
    while True:
        page = feed.page(balances.after(), 0 if given.until_end else WAIT_S)
        balances.take(page)
        if given.until_end and any(mark["type"] == "FinDeRenvoi" for mark in page["marques"]):
            balances.db.close()
            return


if __name__ == "__main__":
    main()
