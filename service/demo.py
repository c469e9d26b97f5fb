"""`creances demo`: everything embedded in one process, a scenario played through the real path, then served."""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
import psycopg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.socle.identite import RoleUtilisateur, emettre_jeton
from domain.delai import jour_de_paris
from domain.monnaie import euros
from engine.fates import fates_of
from projections.audit import auditer
from projections.lectures.historique import historique
from projections.vues.restant_du import lire_creance
from service import kafka, run, samples
from service.embedded import EmbeddedError, EmbeddedStack, embedded_stack
from service.logs import configure_logs
from service.schema import migrate
from service.settings import Settings, development_jwt_secret
from service.stopping import stop_on_signals
from service.terminal import styled

WAIT_SECONDS: Final = 40.0
"""How long a step of the scenario may take before the demonstration says that it failed."""

POLL_SECONDS: Final = 0.05

FIRST_PAYMENT: Final = 20_00
SECOND_PAYMENT: Final = 30_00
"""What the scenario pays, in centimes: the first is accepted, the second refused."""

CARD: Final = {"mois": "12", "annee": "30", "cryptogramme": "123"}
CARD_ACCEPTED: Final = "5017 0000 0000 0000"
CARD_REFUSED: Final = "5017 0000 0000 0005"
"""Test cards: the last two digits are the bank's answer (00 accepted, 05 refused)."""

_T = TypeVar("_T")


class DemoFailed(Exception):
    """A step of the scenario did not come true in time."""


def run_demo(console: Console, *, port: int, data_dir: Path, avis: int, seed: int, once: bool) -> int:
    """Run the demonstration; return the exit code."""
    configure_logs(os.environ.get("CREANCES_LOG_LEVEL", "WARNING"), "auto")
    console.print(Text("Créances", "bold"), ": démarrage de PostgreSQL et d'un courtier Kafka embarqués…")
    try:
        with stop_on_signals() as stop, embedded_stack(data_dir) as stack:
            return _serve(console, stack, stop, port=port, data_dir=data_dir, avis=avis, seed=seed, once=once)
    except EmbeddedError as cause:
        console.print(styled(str(cause), "red"))
        return 1


def _serve(
    console: Console,
    stack: EmbeddedStack,
    stop: threading.Event,
    *,
    port: int,
    data_dir: Path,
    avis: int,
    seed: int,
    once: bool,
) -> int:
    settings = _settings(stack, _port(port), _port(port + 1 if port else 0), data_dir)
    migrate(stack.owner_database_url, "creances")
    kafka.create_topics(settings)
    outcome: list[int] = []
    names = [*run.ALL, "kiosque"]
    service = threading.Thread(
        target=lambda: outcome.append(run.run_until(settings, names, stop, demo=True)), name="service", daemon=True
    )
    service.start()
    code = 0
    try:
        scenario = Scenario(console, settings, stop)
        scenario.await_ready()
        _write_stack(data_dir, settings)
        scenario.play(avis=avis, seed=seed)
        if not once:
            _invite(console, settings, scenario.example)
            while not stop.wait(1.0):
                stack.ensure_running()
    except (DemoFailed, EmbeddedError, httpx.HTTPError, psycopg.Error) as failure:
        if not stop.is_set():
            console.print(styled("La démonstration a échoué :", "red"), str(failure))
            code = 1
    finally:
        stop.set()
        service.join(settings.shutdown_timeout.total_seconds() + 5)
        (data_dir / "stack.json").unlink(missing_ok=True)
    return code or (outcome[0] if outcome else 1)


class Scenario:
    """The short story of two payments, told while it happens."""

    def __init__(self, console: Console, settings: Settings, stop: threading.Event) -> None:
        self.console = console
        self.settings = settings
        self.stop = stop
        self.http = httpx.Client(timeout=10, trust_env=False)
        self.example = ""
        self._step = 0

    def await_ready(self) -> None:
        """Wait until the API and the kiosk answer."""
        for url in (f"{self.settings.public_url}/livez", f"{self.settings.kiosque_url}/livez"):
            self._until(lambda url=url: self._answers(url), f"{url} ne répond pas")  # type: ignore[misc]

    def play(self, *, avis: int, seed: int) -> None:
        """Play it, and print each step with the balances, the lag and the audit."""
        today = jour_de_paris(datetime.now(UTC))
        number = f"{time.time_ns() // 1_000_000 % 100_000_000:08d}"
        debts = samples.scenario(today, number)
        first, second = (debt["reference"] for debt in debts)
        insured = debts[0]["assure"]
        self.example = second

        self._say(f"Les caisses émettent {avis} avis de somme à payer (topic {self.settings.topic_avis}).")
        self._emit([*samples.avis(avis - len(debts), seed, today), *samples.cases(), *debts])
        self._until(lambda: self._balance(first) and self._balance(second), "les avis ne sont pas dans la vue")
        self._balances(first, second)

        self._say(f"L'assuré {insured} coche ses deux créances et paie {euros(FIRST_PAYMENT)} : la part est réservée.")
        payment = self._open([first, second], FIRST_PAYMENT, insured)
        self._until(lambda: self._balance(first)["en_cours"] == FIRST_PAYMENT, "la réservation n'est pas visible")
        self._balances(first, second)

        self._say("Au kiosque, la banque accepte ; elle notifie deux fois, comme cela arrive.")
        self.http.post(f"{self.settings.kiosque_url}/simulateur/reglages", json={"doublons": 1}).raise_for_status()
        self._pay(payment, CARD_ACCEPTED)
        self._until(
            lambda: self._balance(first)["restant"] == debts[0]["montant_initial_centimes"] - FIRST_PAYMENT,
            "le restant dû n'a pas baissé",
        )
        self._until(lambda: self._fates().get("doublon", 0) >= 1, "la seconde notification n'a pas de sort")
        self._balances(first, second)
        self.console.print("   La seconde notification est un doublon : elle n'a rien encaissé de plus.")

        self._say(f"Il veut payer encore {euros(SECOND_PAYMENT)} ; cette fois la banque refuse la carte.")
        refused = self._open([second], SECOND_PAYMENT, insured)
        self._pay(refused, CARD_REFUSED)
        self._until(lambda: self._status(refused, insured) == "echoue", "le refus n'est pas visible")
        self._until(lambda: self._balance(second)["en_cours"] == 0, "la réservation n'est pas levée")
        self._balances(first, second)

        self._say("Le paiement accepté est affiché sur le compte : le délai de 24 h s'arrête.")
        self._until(
            lambda: any(step.type == "PaiementAffiché" for step in self._history(first)),
            "l'affichage n'est pas constaté",
        )
        self._print_history(first)
        self._until(lambda: self._acknowledged(payment), "l'accusé de réception n'est pas arrivé")
        self._say("L'accusé de réception est dans la messagerie de l'assuré.")
        self._prove()
        self._leave_open("cas-en-cours", next(samples.references_of("cas-en-cours")))

    # --- What a person would do --------------------------------------------------------------------------------------

    def _emit(self, messages: list[dict[str, Any]]) -> None:
        sender = kafka.producer(self.settings)
        for message in messages:
            sender.send(self.settings.topic_avis, key=message["reference"].encode(), value=json.dumps(message).encode())
        sender.flush()
        sender.close()

    def _open(self, references: list[str], amount: int, insured: str) -> Mapping[str, Any]:
        answer = self.http.post(
            f"{self.settings.public_url}/api/v1/paiements",
            json={"references": references, "montant_centimes": amount, "canal": "web"},
            headers=self._bearer(insured) | {"Idempotency-Key": f"demo-{time.time_ns()}"},
        )
        if answer.is_error:
            raise DemoFailed(f"ouvrir le paiement : {answer.status_code} {answer.text}")
        opened: Mapping[str, Any] = answer.json()
        self.console.print(f"   Transaction {opened['transaction']}, imputée : {self._shares(opened)}.")
        return opened

    def _leave_open(self, insured: str, reference: str) -> None:
        """Open a payment that nobody finishes, for the page's person of that case; a refusal says that one is open."""
        answer = self.http.post(
            f"{self.settings.public_url}/api/v1/paiements",
            json={"references": [reference], "montant_centimes": FIRST_PAYMENT, "canal": "web"},
            headers=self._bearer(insured) | {"Idempotency-Key": f"demo-{time.time_ns()}"},
        )
        if answer.is_server_error:
            raise DemoFailed(f"ouvrir le paiement : {answer.status_code} {answer.text}")

    def _pay(self, payment: Mapping[str, Any], card: str) -> None:
        """Do as the browser does: post the sealed form, type the card, validate."""
        page = self.http.post(payment["kiosque"]["url"], data=payment["kiosque"]["champs"])
        page.raise_for_status()
        token = re.search(r'name="jeton"\s+value="([^"]+)"', page.text)
        if token is None:
            raise DemoFailed("le kiosque n'a pas montré sa page de carte")
        form = CARD | {"numero": card, "jeton": unescape(token[1])}
        self.http.post(f"{self.settings.kiosque_url}/paypage/valider", data=form).raise_for_status()

    def _status(self, payment: Mapping[str, Any], insured: str) -> str:
        url = f"{self.settings.public_url}/api/v1/paiements/{payment['transaction']}"
        answer = self.http.get(url, headers=self._bearer(insured))
        return str(answer.json().get("statut"))

    def _acknowledged(self, payment: Mapping[str, Any]) -> bool:
        query = "SELECT true FROM vues.messagerie WHERE transaction = %s AND accepte_le IS NOT NULL"
        with self._connect() as conn:
            return conn.execute(query, (payment["transaction"],)).fetchone() is not None

    def _bearer(self, insured: str) -> dict[str, str]:
        token = emettre_jeton(
            development_jwt_secret(self.settings),
            RoleUtilisateur.ASSURE,
            insured,
            audience=self.settings.oidc_audience,
            maintenant=datetime.now(UTC),
        )
        return {"Authorization": f"Bearer {token}"}

    # --- What one looks at -------------------------------------------------------------------------------------------

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(str(self.settings.database_url), autocommit=True)

    def _balance(self, reference: str) -> dict[str, int]:
        with self._connect() as conn:
            row = lire_creance(conn, reference)
        return {"initial": row.montant_initial, "restant": row.restant_du, "en_cours": row.en_cours} if row else {}

    def _fates(self) -> dict[str, int]:
        with self._connect() as conn:
            return fates_of(conn, self.settings.topic_notifications)

    def _history(self, reference: str) -> list[Any]:
        from domain.agregats import AGREGATS
        from engine.database import Database
        from engine.mapper import EventMapper
        from engine.recorder import Recorder

        with self._connect() as conn:
            recorder = Recorder(Database(str(self.settings.database_url)), EventMapper(AGREGATS))
            return historique(conn, recorder, reference).etapes

    def _prove(self) -> None:
        from engine.database import Database
        from service.lag import lag

        fates = ", ".join(f"{name} {count}" for name, count in sorted(self._fates().items()))
        self._say(f"Chaque notification a un sort : {fates}.")
        with Database(str(self.settings.database_url), application="creances-demo", connexions_max=1) as base:
            self._until(
                # A payment that an earlier demo left open may wait for its expiry: that is no lag.
                lambda: all(row["evenements"] == 0 for row in lag(self.settings, base) if row["genre"] != "tournee"),
                "un rôle est en retard",
            )
            rows = lag(self.settings, base)
        told = ", ".join(f"{row['nom']} {row['evenements']}" for row in rows)
        self._say(f"Retard, en événements : {told}.")
        with self._connect() as conn:
            report = auditer(conn)
        self._say(
            f"Audit : {report.creances} créances et {report.paiements} paiements recalculés depuis"
            f" {report.evenements} événements, {report.ecarts_comptes} écart."
        )
        if report.ecarts_comptes or report.illisibles:
            raise DemoFailed("; ".join([*report.ecarts[:5], *list(report.illisibles.values())[:5]]))

    # --- Printing ----------------------------------------------------------------------------------------------------

    def _say(self, sentence: str) -> None:
        self._step += 1
        self.console.print(Text.assemble("\n", (f"{self._step}.", "bold"), " ", sentence))

    def _balances(self, *references: str) -> None:
        table = Table("Créance", "Initial", "Restant dû", "En cours")
        for reference in references:
            row = self._balance(reference)
            table.add_row(reference, *(euros(row[name]) for name in ("initial", "restant", "en_cours")))
        self.console.print(table)

    def _print_history(self, reference: str) -> None:
        table = Table("v", "Événement", "Restant dû", "En cours", title=f"Histoire de {reference}")
        table.add_column("Cause", overflow="fold")
        for step in self._history(reference):
            table.add_row(str(step.version), step.type, euros(step.restant_du), euros(step.en_cours), step.cause)
        self.console.print(table)

    def _shares(self, opened: Mapping[str, Any]) -> str:
        return ", ".join(f"{share['reference']} {euros(share['montant_centimes'])}" for share in opened["imputations"])

    # --- Waiting -----------------------------------------------------------------------------------------------------

    def _answers(self, url: str) -> bool:
        try:
            return self.http.get(url).is_success
        except httpx.HTTPError:
            return False

    def _until(self, condition: Callable[[], _T], failure: str) -> _T:
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.stop.is_set():
            if value := condition():
                return value
            if time.monotonic() > deadline:
                raise DemoFailed(f"{failure} après {WAIT_SECONDS:g} s")
            self.stop.wait(POLL_SECONDS)
        raise DemoFailed("arrêt demandé")


def _settings(stack: EmbeddedStack, port: int, kiosk_port: int, data_dir: Path) -> Settings:
    return Settings(
        mode="demonstration",
        database_url=stack.database_url,
        owner_database_url=stack.owner_database_url,
        kafka_bootstrap=stack.kafka_bootstrap,
        public_url=f"http://127.0.0.1:{port}",
        api_port=port,
        kiosque_url=f"http://127.0.0.1:{kiosk_port}",
        simulator_port=kiosk_port,
        data_dir=data_dir,
        janitor_interval=timedelta(seconds=10),
    )


def _write_stack(data_dir: Path, settings: Settings) -> None:
    merchant = settings.merchant("")
    described = {
        "api_url": settings.public_url,
        "kiosque_url": settings.kiosque_url,
        "database_url": settings.database_url,
        "owner_database_url": settings.owner_database_url,
        "kafka_bootstrap": settings.kafka_bootstrap,
        "merchant_id": merchant.merchant_id,
        "secret_key": merchant.secret_key.get_secret_value(),
        "key_version": merchant.key_version,
    }
    fresh = data_dir / "stack.json.new"
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(described, indent=2), "utf-8")
    fresh.replace(data_dir / "stack.json")


def _port(wanted: int) -> int:
    """The wanted port; 0 takes one that the system gives. Raises EmbeddedError if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as cause:
            sentence = f"Le port {wanted} ne peut être pris ({cause.strerror}) : --port en dit un autre."
            raise EmbeddedError(sentence) from cause
        return int(probe.getsockname()[1])


def _invite(console: Console, settings: Settings, reference: str) -> None:
    kiosk = urlsplit(settings.kiosque_url)
    console.print(
        f"\n[bold green]La démonstration est servie sur {settings.public_url}[/bold green]\n"
        f"  - la page : choisissez un assuré, cherchez une de ses références, payez ;\n"
        f"    au kiosque ({kiosk.netloc}), une carte finissant par 00 est acceptée, par 05 refusée ;\n"
        f"  - l'API : {settings.public_url}/docs\n"
        f"  - dans un autre terminal : .venv/bin/creances history {reference} --motif essai\n"
        f"    et aussi balance, lag, audit, notifications (données : {settings.data_dir})\n"
        "Ctrl-C pour arrêter ; les données sont gardées."
    )
