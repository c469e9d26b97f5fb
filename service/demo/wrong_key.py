"""The seventh call: a wrong key refuses what the bank accepted; corrected, what was refused is replayed."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from html import unescape
from typing import Final

from pydantic import SecretStr

from domain.geste import Geste
from domain.monnaie import euros
from guichet.reglement.dossiers import gestes_d_un_message
from guichet.reglement.rejouer import rejouer_tous
from projections.lectures.anomalies import anomalies_ouvertes
from projections.lectures.ligne_d_anomalie import LigneDAnomalie
from service import composition, run
from service.dead_letters import Mailbox, note_dead_letters
from service.demo.person import CARD_ACCEPTED, Person
from service.demo.stage import DemoFailed, Stage
from service.publisher import Publisher
from service.role_names import RoleKind

PAID: Final = 17_00
"""What the refused acceptance took, in cents."""

SUPPORT: Final = "claire"
"""The agent of the demonstration who replays it."""

_FIELD: Final = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_RETURN: Final = re.compile(r'<form method="post" action="[^"]*/kiosque/retour">(.*?)</form>', re.DOTALL)
"""What the bank has the browser bring back: the same, under the same seal, as it tells the service."""


def replay_what_a_wrong_key_refused(stage: Stage, person: Person, reference: str) -> None:
    """Start a door with a wrong key, let it refuse an acceptance, then correct the key and replay."""
    before = stage.balance(reference)["restant"]
    stage.say(f"La clé de la banque est mal recopiée dans les réglages. Il paie {euros(PAID)}, et la banque accepte.")
    person.instruct({"perdue": True})
    payment = person.open([reference], PAID)
    form = _sealed_form(person.pay(payment, CARD_ACCEPTED))
    with _door_with_a_wrong_key(stage) as door:
        answer = stage.http.post(f"{door}/kiosque/notification", data=form)
    if answer.is_success:
        raise DemoFailed("une clé fausse a laissé passer un formulaire")
    stage.balances(reference)
    stage.add(f"La porte le refuse ({answer.status_code}, {answer.json().get('code')}) et le garde : rien n'est perdu.")

    refused = stage.until(lambda: _refused(stage), "le formulaire refusé n'est pas dans la liste du support")
    stage.say("Le support le voit dans sa liste (`creances anomalies`) :")
    for row in refused:
        stage.add(f"{row.id} : {row.cause}")
    stage.say("La clé est corrigée : le support rejoue ce qui avait été refusé (`creances anomalies replay-all`).")
    _replay(stage, refused)
    stage.until(lambda: person.status(payment) == "accepte", "le formulaire rejoué n'a pas conclu le paiement")
    stage.until(lambda: stage.balance(reference)["restant"] == before - PAID, "le restant dû n'a pas baissé")
    stage.balances(reference)
    stage.until(lambda: not _refused(stage), "l'anomalie n'est pas réglée")
    stage.add("Il a pris le chemin ordinaire, son sceau vérifié, et n'a compté qu'une fois ; l'anomalie est réglée.")


def _sealed_form(page: str) -> dict[str, str]:
    """What the bank seals for this payment, as its page hands it to the browser."""
    form = _RETURN.search(page)
    if form is None:
        raise DemoFailed("la banque n'a pas rendu de réponse scellée")
    return {name: unescape(value) for name, value in _FIELD.findall(form[1])}


@contextmanager
def _door_with_a_wrong_key(stage: Stage) -> Iterator[str]:
    """The address of an API like the other, but for its key; it stops at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    wrong = stage.settings.model_copy(
        update={"kiosque_secret_key": SecretStr("mal_recopiee"), "api_port": port, "public_url": url}
    )
    stop = threading.Event()
    api = threading.Thread(target=run.run_until, args=(wrong, [RoleKind.API.value], stop), daemon=True)
    api.start()
    try:
        stage.until(lambda: stage.answers(f"{url}/livez"), f"{url} ne répond pas")
        yield url
    finally:
        stop.set()
        api.join(stage.settings.shutdown_timeout.total_seconds() + 5)


def _refused(stage: Stage) -> list[LigneDAnomalie]:
    """What support's list shows to be replayed."""
    with closing(stage.connect()) as conn:
        note_dead_letters(stage.settings, conn)
        rows = anomalies_ouvertes(conn, datetime.now(UTC), gestes_d_un_message=gestes_d_un_message)
    return [row for row in rows if Geste.REJOUER in row.gestes]


def _replay(stage: Stage, refused: list[LigneDAnomalie]) -> None:
    with ExitStack() as stack:
        counter = composition.guichet(stage.settings, application="creances-demo")
        stack.callback(counter.base.fermer)
        stack.callback(counter.kiosque.close)
        publisher = Publisher(stage.settings)
        stack.callback(publisher.close)
        done = rejouer_tous(
            counter,
            [row.id for row in refused],
            "clé corrigée",
            SUPPORT,
            boite=Mailbox(stage.settings, publisher),
            maintenant=datetime.now(UTC),
        )
    if done.refuses:
        raise DemoFailed("; ".join(done.refuses.values()))
