"""The story that the demonstration tells while it happens, each step through the real path."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from domain.delai import jour_de_paris
from domain.monnaie import euros
from engine.database import Database
from projections.audit import auditer
from service import kafka, samples
from service.demo.bank import lose_an_acceptance, reconcile_the_day
from service.demo.person import CARD_ACCEPTED, CARD_REFUSED, Person
from service.demo.stage import DemoFailed, Stage
from service.demo.wrong_key import replay_what_a_wrong_key_refused
from service.lag import lag

FIRST_PAYMENT: Final = 20_00
SECOND_PAYMENT: Final = 30_00
"""What the scenario pays, in centimes: the first is accepted, the second refused."""


def await_ready(stage: Stage) -> None:
    """Wait until the API and the kiosk answer."""
    for url in (f"{stage.settings.public_url}/livez", f"{stage.settings.kiosque_url}/livez"):
        stage.until(lambda url=url: stage.answers(url), f"{url} ne répond pas")  # type: ignore[misc]


def play(stage: Stage, *, avis: int, seed: int) -> str:
    """Play it, print each step with the balances, the lag and the audit; return a debt to look at."""
    today = jour_de_paris(datetime.now(UTC))
    debts = samples.scenario(today, f"{time.time_ns() // 1_000_000 % 100_000_000:08d}")
    first, second = (debt["reference"] for debt in debts)
    person = Person(stage, debts[0]["assure"])

    stage.say(f"Les caisses émettent {avis} avis de somme à payer (topic {stage.settings.topic_avis}).")
    _emit(stage, [*samples.avis(avis - len(debts), seed, today), *samples.cases(), *debts])
    stage.until(lambda: stage.balance(first) and stage.balance(second), "les avis ne sont pas dans la vue")
    stage.balances(first, second)

    accepted = _pay_twice_told(stage, person, debts)
    _be_refused(stage, person, second)
    stage.say("Le paiement accepté est affiché sur le compte : le délai de 24 h s'arrête.")
    stage.until(
        lambda: any(step.type == "PaiementAffiché" for step in stage.history(first)), "l'affichage n'est pas constaté"
    )
    stage.print_history(first)
    stage.until(lambda: person.acknowledged(accepted), "l'accusé de réception n'est pas arrivé")
    stage.say("L'accusé de réception est dans la messagerie de l'assuré.")

    lose_an_acceptance(stage, person, second)
    replay_what_a_wrong_key_refused(stage, person, second)
    reconcile_the_day(stage, accepted)
    _prove(stage)
    Person(stage, "cas-en-cours").leave_open(next(samples.references_of("cas-en-cours")), FIRST_PAYMENT)
    return str(second)


def _pay_twice_told(stage: Stage, person: Person, debts: list[dict[str, Any]]) -> Mapping[str, Any]:
    first, second = (debt["reference"] for debt in debts)
    stage.say(
        f"L'assuré {debts[0]['assure']} coche ses deux créances et paie {euros(FIRST_PAYMENT)} : la part est réservée."
    )
    payment = person.open([first, second], FIRST_PAYMENT)
    stage.until(lambda: stage.balance(first)["en_cours"] == FIRST_PAYMENT, "la réservation n'est pas visible")
    stage.balances(first, second)

    stage.say("Au kiosque, la banque accepte ; elle notifie deux fois, comme cela arrive.")
    person.instruct({"doublons": 1})
    before = stage.fates().get("doublon", 0)
    person.pay(payment, CARD_ACCEPTED)
    due = debts[0]["montant_initial_centimes"] - FIRST_PAYMENT
    stage.until(lambda: stage.balance(first)["restant"] == due, "le restant dû n'a pas baissé")
    stage.until(lambda: stage.fates().get("doublon", 0) > before, "la seconde notification n'a pas de sort")
    stage.balances(first, second)
    stage.add("La seconde notification est un doublon : elle n'a rien encaissé de plus.")
    return payment


def _be_refused(stage: Stage, person: Person, reference: str) -> None:
    stage.say(f"Il veut payer encore {euros(SECOND_PAYMENT)} ; cette fois la banque refuse la carte.")
    refused = person.open([reference], SECOND_PAYMENT)
    person.pay(refused, CARD_REFUSED)
    stage.until(lambda: person.status(refused) == "echoue", "le refus n'est pas visible")
    stage.until(lambda: stage.balance(reference)["en_cours"] == 0, "la réservation n'est pas levée")
    stage.balances(reference)


def _emit(stage: Stage, messages: list[dict[str, Any]]) -> None:
    sender = kafka.producer(stage.settings)
    for message in messages:
        sender.send(stage.settings.topic_avis, key=message["reference"].encode(), value=json.dumps(message).encode())
    sender.flush()
    sender.close()


def _prove(stage: Stage) -> None:
    fates = ", ".join(f"{name} {count}" for name, count in sorted(stage.fates().items()))
    stage.say(f"Chaque notification a un sort : {fates}.")
    with Database(str(stage.settings.database_url), application="creances-demo", connexions_max=1) as base:
        stage.until(
            # A payment that an earlier demo left open may wait for its expiry: that is no lag.
            lambda: all(row["evenements"] == 0 for row in lag(stage.settings, base) if row["genre"] != "tournee"),
            "un rôle est en retard",
        )
        rows = lag(stage.settings, base)
    told = ", ".join(f"{row['nom']} {row['evenements']}" for row in rows)
    stage.say(f"Retard, en événements : {told}.")
    with stage.connect() as conn:
        report = auditer(conn)
    stage.say(
        f"Audit : {report.creances} créances et {report.paiements} paiements recalculés depuis"
        f" {report.evenements} événements, {report.ecarts_comptes} écart."
    )
    if report.ecarts_comptes or report.illisibles:
        raise DemoFailed("; ".join([*report.ecarts[:5], *list(report.illisibles.values())[:5]]))
