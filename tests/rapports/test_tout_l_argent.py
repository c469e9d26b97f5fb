"""La loi de l'argent : ce que la banque a pris, d'après son propre rapport, est sur les créances ou non rattaché.

Deux marchands par caisse (celui d'hier, retiré, et celui d'aujourd'hui), des montants faux, d'autres autorisations,
des chèques venus avant leur avis, les façons qu'a la banque d'écrire : dans n'importe quel ordre, plusieurs fois, un
grand livre tenu à part, et lui seul, dit ce qui doit se trouver au journal. Sous chacune des deux banques.
`HISTOIRES=100 pytest --timeout 0 tests/rapports/test_tout_l_argent.py` en essaie davantage.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
import pytest
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
from service import composition
from service.settings import Merchant, Settings
from tests.conftest import Serveurs, nouvelle_base
from tests.consumers.banc import avis, cheque
from tests.outils import exemples
from tests.rapports.banc import Ligne
from tests.rapports.deux_banques import BANQUES, FACONS, Dit, UneBanque

MAINTENANT: Final = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
PREMIER, SECOND, TROISIEME = (f"00200100000000{n}" for n in (1, 2, 3))
"""381 a le premier ; 631 avait le second, retiré depuis, et a le troisième."""
ORPHELINE: Final = "INCONNUE1"
HISTOIRES_ESSAYEES: Final = int(os.environ.get("HISTOIRES", exemples(4, 12)))
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
    facon: str
    """Comment elle l'écrit."""


@dataclass
class Monde:
    """Une base, la banque, et le service d'hier puis d'aujourd'hui."""

    banque: UneBanque
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


def monde(url: str, pile: ExitStack, banque: UneBanque) -> Monde:
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
    guichet.kiosque.close()
    avant, apres = banque.kiosque(hier), banque.kiosque(aujourd_hui)
    pile.callback(avant.close)
    pile.callback(apres.close)
    return Monde(banque, replace(guichet, kiosque=avant), replace(guichet, kiosque=apres), aujourd_hui, count())


def marchand_de(accord: Accord) -> str:
    """Sous quel contrat la banque a pris l'argent."""
    if accord.paiement >= len(OUVERTS):
        return PREMIER
    sien = (PREMIER, SECOND, TROISIEME, PREMIER)[accord.paiement]
    return (TROISIEME if sien == PREMIER else PREMIER) if accord.autre_marchand else sien


def montant_de(accord: Accord) -> int:
    return 16_00 + accord.ecart


def messages_de(m: Monde, transaction: str, accord: Accord, dire: Dire, *, accepte: bool = True) -> list[bytes]:
    """Ce que la banque envoie quand elle le dit ainsi."""
    dites = {"exacte": accord.autorisation, "zero": f"0{accord.autorisation}", "absente": None}
    autorisation = dites[dire.autorisation] if accepte else None
    return m.banque.messages(
        Dit(transaction, marchand_de(accord), montant_de(accord), autorisation, accepte, dire.facon)
    )


ACCORDS = st.lists(
    st.builds(
        Accord,
        st.integers(0, len(OUVERTS)),
        st.sampled_from([0, 0, 1, -1, 184_00, -16_00]),
        st.sampled_from(["111111", "222222"]),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda accord: (accord.paiement, accord.ecart, accord.autorisation, marchand_de(accord)),
)
DIRES = st.builds(
    Dire,
    st.sampled_from(["exacte", "zero", "absente"]),
    st.sampled_from(FACONS),
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


@pytest.mark.parametrize("nom_de_la_banque", sorted(BANQUES))
@settings(max_examples=HISTOIRES_ESSAYEES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTOIRES, st.randoms())
def test_ce_que_la_banque_a_pris_est_sur_les_creances_ou_non_rattache_quel_que_soit_l_ordre(
    serveurs: Serveurs, nom_de_la_banque: str, histoire: Histoire, hasard: Any
) -> None:
    trouves = []
    for _ in range(2):
        with nouvelle_base(serveurs) as base, ExitStack() as pile:
            m = monde(base.url, pile, BANQUES[nom_de_la_banque]())
            for creance in ("381", "631"):
                m.prendre("avis", json.dumps(CREANCES[creance]).encode())
            transactions = [*(m.ouvrir(rang) for rang in range(len(OUVERTS))), ORPHELINE]
            messages = _messages(m, histoire, transactions)
            hasard.shuffle(messages)
            for nom, valeur in messages:
                m.prendre(nom, valeur)
            trouves.append(_juger(m, base.url, histoire, transactions))
    assert trouves[0] == trouves[1], "l'ordre n'y change rien"


def _messages(m: Monde, histoire: Histoire, transactions: Sequence[str]) -> list[tuple[str, bytes]]:
    """Tout ce qui arrive : chaque accord une fois au moins, chaque chèque deux fois, et l'avis qui vient tard."""
    memes = Counter((a.paiement, a.ecart, marchand_de(a)) for a in histoire.accords)
    messages = [("avis", json.dumps(CREANCES["tard"]).encode())]
    for rang, accord in enumerate(histoire.accords):
        un, autre = histoire.dires[rang % len(histoire.dires)], histoire.dires[(rang + 1) % len(histoire.dires)]
        if memes[accord.paiement, accord.ecart, marchand_de(accord)] > 1 and un.autorisation == "absente":
            un = un._replace(autorisation="exacte")  # Deux histoire.accords pareils ne se distinguent que par elle.
        for dire in (un, autre, un):
            messages += [("kiosque", dit) for dit in messages_de(m, transactions[accord.paiement], accord, dire)]
    for rang in histoire.refus:
        accord = Accord(rang, 0, "", autre_marchand=False)
        refus = messages_de(m, transactions[rang], accord, Dire("absente", "simple"), accepte=False)
        messages += [("kiosque", dit) for dit in refus]
    for rang, (creance, montant) in enumerate(histoire.cheques):
        messages += [("avis", json.dumps(cheque(CREANCES[creance]["reference"], montant, f"m{rang}")).encode())] * 2
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
        reglages = Reglages(m.banque.lecteur, (PREMIER, TROISIEME), (SECOND,))
        bilan = rapprocher(m.aujourd_hui, BytesIO(m.banque.rapport(lignes)), "rapport.csv", reglages)
        assert sum(somme.banque_pris for somme in bilan.sommes.values()) == pris_par_la_banque, "par son rapport"
        assert sum(somme.nous_pris for somme in bilan.sommes.values()) == pris_par_la_banque, "par le nôtre"

    with m.aujourd_hui.base.transaction() as conn:
        creances = m.aujourd_hui.charger_creances(conn, [ReferenceCreance(c["reference"]) for c in CREANCES.values()])
    for nom, avis_ in CREANCES.items():
        recus = sum(montant for creance, montant in histoire.cheques if creance == nom)
        pris = sur_les_creances[f"creance-{avis_['reference']}"]
        assert creances[ReferenceCreance(avis_["reference"])].solde == avis_["montant_initial_centimes"] - recus - pris
    return sur_les_creances, non_rattache, {reference: creance.solde for reference, creance in creances.items()}
