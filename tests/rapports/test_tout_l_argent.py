"""La loi de l'argent : ce que la banque a pris, d'après son propre rapport, est sur les créances ou non rattaché.

Deux marchands par caisse (celui d'hier, retiré, et celui d'aujourd'hui), des montants faux, d'autres autorisations,
des chèques venus avant leur avis, les façons qu'a la banque d'écrire : dans n'importe quel ordre, plusieurs fois, un
grand livre tenu à part, et lui seul, dit ce qui doit se trouver au journal.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from itertools import count
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from domain.avis import Canal
from domain.monnaie import Centimes
from domain.references import Pseudonyme, ReferenceCreance
from engine.batch import Partition
from engine.decision import decide
from engine.messages import Message, Outcome
from guichet.guichet import Guichet
from guichet.ouvrir_paiement import Demande, ouvrir_paiement
from guichet.prendre_avis import prendre_avis
from guichet.prendre_notification import prendre_notifications
from guichet.rapprocher import Reglages, rapprocher
from kiosque.sips.rapports.colonnes import NOMS_PAR_DEFAUT
from kiosque.sips.rapports.lecture import RapportsSips
from kiosque.sips.sceau import Algorithme, sceller
from service import bank, composition
from service.settings import Merchant, Settings
from tests.conftest import Serveurs, nouvelle_base
from tests.consumers.banc import avis
from tests.outils import exemples
from tests.rapports.banc import Ligne, rapport

MAINTENANT: Final = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
PREMIER, SECOND, TROISIEME = (f"00200100000000{n}" for n in (1, 2, 3))
"""381 a le premier ; 631 avait le second, retiré depuis, et a le troisième."""
ORPHELINE: Final = "INCONNUE1"
TOPICS: Final = {"avis": "t.avis", "kiosque": "t.kiosque.notifications"}
CREANCES: Final = {"381": avis(1, caisse="381"), "631": avis(2, caisse="631"), "tard": avis(3, caisse="381")}
"""La dernière vient après ses chèques, parfois."""
OUVERTS: Final = (("381", "hier"), ("631", "hier"), ("631", "aujourd_hui"), ("381", "aujourd_hui"))
"""Les paiements, chacun sur une caisse, sous les réglages d'un jour."""


class Accord(NamedTuple):
    """Un accord de la banque : l'argent qu'elle a pris, et ce qu'elle en dit."""

    paiement: int
    """Le rang du paiement dans `OUVERTS` ; au-delà, la transaction que personne n'a ouverte."""
    ecart: int
    """Centimes de plus ou de moins que le paiement."""
    autorisation: str
    autre_marchand: bool


class Dire(NamedTuple):
    """Une des fois où la banque le dit."""

    autorisation: str
    """`exacte`, `zero` (un zéro devant), ou `absente`."""
    suite: str
    """Ce qu'elle ajoute, et que personne ne lit."""


@dataclass
class Monde:
    """Une base, et le service d'hier puis d'aujourd'hui."""

    hier: Guichet
    aujourd_hui: Guichet
    reglages: Settings
    decalages: Any

    def prendre(self, nom: str, valeur: bytes) -> None:
        """Un message, décidé et enregistré ; puis ce qui l'attendait."""
        prendre: Callable[..., Outcome] = {"avis": prendre_avis, "kiosque": prendre_notifications}[nom]
        partition = Partition(UUID(int=len(nom)), TOPICS[nom], 0)
        message = Message(partition, next(self.decalages), None, valeur, MAINTENANT)

        def decision(conn: psycopg.Connection[Any]) -> None:
            traitement = prendre(self.aujourd_hui, conn, [message], MAINTENANT)
            assert traitement.rebuts == [], traitement.rebuts
            self.aujourd_hui.recorder.record(conn, traitement.lot)

        decide(self.aujourd_hui.base, self.aujourd_hui.recorder, decision)
        boucle = composition.consumer(self.reglages, self.aujourd_hui, nom)
        boucle.horloge = lambda: MAINTENANT
        boucle._awaited = None
        boucle.release()

    def ouvrir(self, rang: int) -> str:
        """Le paiement de ce rang ; 16,00 EUR."""
        caisse, jour = OUVERTS[rang]
        cle = f"cle-{rang}"
        demande = Demande(
            Pseudonyme("a-1"),
            (ReferenceCreance(CREANCES[caisse]["reference"]),),
            Centimes(16_00),
            Canal.WEB,
            cle,
            cle.encode().ljust(32),
        )
        guichet = self.hier if jour == "hier" else self.aujourd_hui
        return ouvrir_paiement(guichet, demande, MAINTENANT).transaction


def marchand(numero: str) -> Merchant:
    return Merchant(merchant_id=numero, secret_key=SecretStr(f"{numero}_KEY1"), key_version=1)


def monde(url: str, pile: ExitStack) -> Monde:
    commun: dict[str, Any] = {
        "_env_file": None,
        "database_url": url,
        "topic_prefix": "t",
        "kafka_bootstrap": "127.0.0.1:1",
    }
    hier = Settings(**commun, kiosque_merchants={"631": marchand(SECOND)})
    aujourd_hui = Settings(
        **commun, kiosque_merchants={"631": marchand(TROISIEME)}, kiosque_retired_merchants=[marchand(SECOND)]
    )
    guichet = composition.guichet(aujourd_hui, application="test")
    pile.callback(guichet.base.fermer)
    return Monde(replace(guichet, kiosque=bank.kiosk(hier)), guichet, aujourd_hui, count())


def marchand_de(accord: Accord) -> str:
    """Sous quel contrat la banque a pris l'argent."""
    if accord.paiement >= len(OUVERTS):
        return PREMIER
    sien = (PREMIER, SECOND, TROISIEME, PREMIER)[accord.paiement]
    return (TROISIEME if sien == PREMIER else PREMIER) if accord.autre_marchand else sien


def montant_de(accord: Accord) -> int:
    return 16_00 + accord.ecart


def formulaire(transaction: str, accord: Accord, dire: Dire, code: str = "00") -> bytes:
    """Ce que la banque poste, scellé sur les octets qu'elle envoie."""
    numero = marchand_de(accord)
    dites = {"exacte": accord.autorisation, "zero": f"0{accord.autorisation}", "absente": "null"}
    data = (
        f"amount={montant_de(accord)}|currencyCode=978|merchantId={numero}|transactionReference={transaction}"
        f"|responseCode={code}|authorisationId={dites[dire.autorisation] if code == '00' else 'null'}"
        f"|transactionDateTime=2026-06-01T11:59:00+02:00|keyVersion=1{dire.suite}"
    )
    sceau = sceller(data.encode(), f"{numero}_KEY1".encode(), Algorithme.SHA_256)
    return json.dumps({"Data": data, "Seal": sceau, "InterfaceVersion": "HP_2.40"}).encode()


def cheque(creance: str, montant: int, nom: str) -> bytes:
    return json.dumps(
        {
            "type": "encaissement_recu", "reference": CREANCES[creance]["reference"], "message_id": nom,
            "montant_centimes": montant, "moyen": "cheque", "date": "2026-05-20",
        }
    ).encode()  # fmt: skip


ACCORDS = st.lists(
    st.builds(
        Accord,
        st.integers(0, len(OUVERTS)),
        st.sampled_from([0, 0, 1, -1, 184_00]),
        st.sampled_from(["111111", "222222"]),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda accord: (accord.paiement, accord.ecart, accord.autorisation, marchand_de(accord)),
)
DIRES = st.builds(
    Dire,
    st.sampled_from(["exacte", "zero", "absente"]),
    st.sampled_from(["", "|", "|x=1|x=1", "|preAuthorisationProfile=Règles par défaut", "|seul"]),
)
CHEQUES = st.lists(st.tuples(st.sampled_from(sorted(CREANCES)), st.integers(1, 20_00)), max_size=3)
REFUS = st.lists(st.integers(0, len(OUVERTS) - 1), max_size=2)


class Histoire(NamedTuple):
    """Ce que la banque et les caisses disent."""

    accords: list[Accord]
    dires: list[Dire]
    cheques: list[tuple[str, int]]
    refus: list[int]


HISTOIRES = st.builds(Histoire, ACCORDS, st.lists(DIRES, min_size=8, max_size=8), CHEQUES, REFUS)


@settings(max_examples=exemples(6, 40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTOIRES, st.randoms())
def test_ce_que_la_banque_a_pris_est_sur_les_creances_ou_non_rattache_quel_que_soit_l_ordre(
    serveurs: Serveurs, histoire: Histoire, hasard: Any
) -> None:
    trouves = []
    for _ in range(2):
        with nouvelle_base(serveurs) as base, ExitStack() as pile:
            m = monde(base.url, pile)
            for creance in ("381", "631"):
                m.prendre("avis", json.dumps(CREANCES[creance]).encode())
            transactions = [*(m.ouvrir(rang) for rang in range(len(OUVERTS))), ORPHELINE]
            messages = _messages(histoire, transactions)
            hasard.shuffle(messages)
            for nom, valeur in messages:
                m.prendre(nom, valeur)
            trouves.append(_juger(m, base.url, histoire, transactions))
    assert trouves[0] == trouves[1], "l'ordre n'y change rien"


def _messages(histoire: Histoire, transactions: Sequence[str]) -> list[tuple[str, bytes]]:
    """Tout ce qui arrive : chaque accord une fois au moins, chaque chèque deux fois, et l'avis qui vient tard."""
    memes = Counter((a.paiement, a.ecart, marchand_de(a)) for a in histoire.accords)
    messages = [("avis", json.dumps(CREANCES["tard"]).encode())]
    for rang, accord in enumerate(histoire.accords):
        un, autre = histoire.dires[rang % len(histoire.dires)], histoire.dires[(rang + 1) % len(histoire.dires)]
        if memes[accord.paiement, accord.ecart, marchand_de(accord)] > 1 and un.autorisation == "absente":
            un = un._replace(autorisation="exacte")  # Deux histoire.accords pareils ne se distinguent que par elle.
        dire = partial(formulaire, transactions[accord.paiement], accord)
        messages += [("kiosque", dire(un)), ("kiosque", dire(autre)), ("kiosque", dire(un))]
    for rang in histoire.refus:
        accord = Accord(rang, 0, "", autre_marchand=False)
        messages.append(("kiosque", formulaire(transactions[rang], accord, Dire("absente", ""), code="05")))
    for rang, (creance, montant) in enumerate(histoire.cheques):
        messages += [("avis", cheque(creance, montant, f"m{rang}"))] * 2
    return messages


def _juger(m: Monde, url: str, histoire: Histoire, transactions: Sequence[str]) -> tuple[Any, ...]:
    """Confronte le journal au grand livre de la banque et à celui des caisses ; rend les soldes et les sommes."""
    lignes = [
        Ligne(transactions[a.paiement], montant_de(a), "00", marchand_de(a), autorisation=a.autorisation)
        for a in histoire.accords
    ]
    with psycopg.connect(url, autocommit=True) as conn:
        faits = [
            (flux, topic, json.loads(bytes(etat)))
            for flux, topic, etat in conn.execute("SELECT flux, topic, etat FROM journal.evenements ORDER BY position")
        ]
        attente = conn.execute(
            "SELECT count(*) FROM journal.attentes a WHERE NOT EXISTS (SELECT FROM journal.attentes_reglees r WHERE"
            " (r.topic_id, r.partition, r.decalage) = (a.topic_id, a.partition, a.decalage))"
        ).fetchone()
    assert attente == (0,), "tout ce qui attendait a été appliqué"
    sur_les_creances = {flux: 0 for flux, topic, _ in faits if topic == "creance.AvisEmis"}
    for flux, topic, etat in faits:
        if topic == "creance.PaiementAccepte":
            sur_les_creances[flux] += etat["part"]
    non_rattache = sum(etat["montant"] for _, topic, etat in faits if topic == "paiement.EncaissementNonImpute")

    pris_par_la_banque = sum(ligne.montant for ligne in lignes)
    assert sum(sur_les_creances.values()) + non_rattache == pris_par_la_banque
    if lignes:
        reglages = Reglages(RapportsSips(NOMS_PAR_DEFAUT), (PREMIER, SECOND, TROISIEME))
        bilan = rapprocher(m.aujourd_hui, BytesIO(rapport(lignes)), "rapport.csv", reglages)
        assert sum(somme.banque_pris for somme in bilan.sommes.values()) == pris_par_la_banque, "par son rapport"
        assert sum(somme.nous_pris for somme in bilan.sommes.values()) == pris_par_la_banque, "par le nôtre"

    with m.aujourd_hui.base.transaction() as conn:
        creances = m.aujourd_hui.charger_creances(conn, [ReferenceCreance(c["reference"]) for c in CREANCES.values()])
    for nom, avis_ in CREANCES.items():
        recus = sum(montant for creance, montant in histoire.cheques if creance == nom)
        pris = sur_les_creances[f"creance-{avis_['reference']}"]
        assert creances[ReferenceCreance(avis_["reference"])].solde == avis_["montant_initial_centimes"] - recus - pris
    return sur_les_creances, non_rattache, {reference: creance.solde for reference, creance in creances.items()}
