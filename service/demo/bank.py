"""What the bank keeps for itself, and how it is found: an acceptance that was lost, and the day's reports."""

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from domain.delai import jour_de_paris
from domain.ecart import GenreEcart
from domain.monnaie import euros
from guichet.rapprocher import Bilan
from guichet.relancer_paiement import Relance, relancer_paiement
from kiosque.rapports import LIBELLES, Genre
from kiosque.simulateur.rapports import Faute
from service import composition
from service.demo.person import CARD_ACCEPTED, Person
from service.demo.stage import DemoFailed, Stage
from service.publisher import Publisher
from service.reports.run import Reconciler
from service.reports.telling import counted, tell

LOST_PAYMENT: Final = 16_00
"""What the lost acceptance took, in cents."""

FOLDER: Final = "rapports"
"""Where the reports are put, under the demonstration's folder."""


def lose_an_acceptance(stage: Stage, person: Person, reference: str) -> None:
    """Pay, lose what the bank says of it, and find it by asking Office."""
    before = stage.balance(reference)["restant"]
    stage.say(f"Il paie {euros(LOST_PAYMENT)} ; la banque accepte, mais sa notification se perd en route.")
    person.instruct({"perdue": True})
    payment = person.open([reference], LOST_PAYMENT)
    person.pay(payment, CARD_ACCEPTED)
    if (status := person.status(payment)) != "en_cours":
        raise DemoFailed(f"le paiement est {status} sans que la banque l'ait dit")
    stage.until(lambda: stage.balance(reference)["en_cours"] == LOST_PAYMENT, "la réservation n'est pas visible")
    stage.balances(reference)
    stage.add("L'argent est pris à la banque, et rien ici ne le dit : le paiement reste en cours, sa part réservée.")

    stage.say("Sans réponse, le rôle « relance » demande à la banque (Office) ; ici, sans attendre ses vingt minutes.")
    outcome = _ask_office(stage, str(payment["transaction"]))
    if outcome is not Relance.REPONSE_TRANSMISE:
        raise DemoFailed(f"Office ne dit rien de ce paiement ({outcome.value})")
    stage.add(f"Office répond sur {payment['transaction']} : sa réponse est transmise.")
    stage.until(lambda: person.status(payment) == "accepte", "l'acceptation n'est pas retrouvée")
    stage.until(lambda: stage.balance(reference)["restant"] == before - LOST_PAYMENT, "le restant dû n'a pas baissé")
    stage.balances(reference)
    stage.add("Sa réponse a pris le chemin de toute notification, sous son sceau : rien n'est perdu.")


def reconcile_the_day(stage: Stage, wrong: Mapping[str, Any]) -> None:
    """Reconcile the bank's four reports of the day; in them, this payment has another amount."""
    day = jour_de_paris(datetime.now(UTC))
    stage.say(f"Les quatre rapports de la banque du {day:%d/%m/%Y}, un écart planté : un euro de trop.")
    folder = stage.settings.data_dir / FOLDER
    folder.mkdir(exist_ok=True)
    found: list[tuple[Genre, str, GenreEcart]] = []
    with ExitStack() as stack:
        reconciler = Reconciler(stage.settings, stage.console, ask=True)
        stack.callback(reconciler.close)
        for kind in Genre:
            summary = reconciler.take(_report(stage, folder, kind, {Faute.AUTRE_MONTANT.value: wrong["transaction"]}))
            _tell(stage, summary)
            found += [difference.cle for difference in summary.ecarts]
    if (Genre.TRANSACTIONS, wrong["transaction"], GenreEcart.AUTRE_MONTANT) not in found:
        raise DemoFailed("l'écart planté n'est pas trouvé")
    stage.add(
        "Chaque rapport qui le montre en fait une anomalie, que le support voit avec ses deux côtés ; ils sont dans"
        f" {folder} (`creances rapprocher`)."
    )


def _tell(stage: Stage, summary: Bilan) -> None:
    """Tell the transactions in full; of the others, what they agree on."""
    if summary.genre is Genre.TRANSACTIONS:
        tell(summary, stage.console, as_json=False)
        return
    rows, differences = counted(summary.lignes, "ligne"), counted(len(summary.ecarts), "écart")
    stage.add(f"Rapport des {LIBELLES[summary.genre]} : {rows}, {differences}.")


def _ask_office(stage: Stage, transaction: str) -> Relance:
    """Ask as the role does, at the end of its patience."""
    with ExitStack() as stack:
        counter = composition.guichet(stage.settings, application="creances-demo")
        stack.callback(counter.base.fermer)
        stack.callback(counter.kiosque.close)
        publisher = Publisher(stage.settings)
        stack.callback(publisher.close)
        return relancer_paiement(counter, transaction, publisher.forward, datetime.now(UTC))


def _report(stage: Stage, folder: Path, kind: Genre, faults: Mapping[str, str]) -> Path:
    """Fetch a report of today from the simulator, as the bank would put it on its server tonight."""
    day = jour_de_paris(datetime.now(UTC))
    address = f"{stage.settings.kiosque_url}/simulateur/rapports/{kind.value}"
    answer = stage.http.get(address, params={"jour": day.isoformat(), **faults}).raise_for_status()
    path = folder / f"{kind.value}-{day:%Y%m%d}.csv"
    path.write_bytes(answer.content)
    return path
