"""Signaler un paiement dont quelque chose ne va pas : il devient une anomalie, que l'on peut alors régler."""

from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.geste import IdAnomalie, Source, composer_id
from domain.monnaie import Somme
from domain.references import TRANSACTION, ReferenceTransaction
from domain.refus import PaiementInconnu
from engine.batch import Batch
from engine.recorder import collect
from guichet.guichet import Guichet
from guichet.reglement.acte import lire_agent, lire_texte
from guichet.reglement.dossiers import charger_anomalie
from guichet.reglement.proposer import cause_de, decider


def signaler(guichet: Guichet, transaction: str, motif: str, par: str, maintenant: datetime) -> IdAnomalie:
    """Signale ce paiement ; le même motif, encore ouvert, ne change rien. Lève PaiementInconnu, ou un autre Refus."""
    agent, dit = lire_agent(par), lire_texte(motif)
    return inscrire(guichet, transaction, dit, agent, maintenant)


def inscrire(guichet: Guichet, transaction: str, cause: str, agent: str, maintenant: datetime) -> IdAnomalie:
    """Inscrit le signalement ; l'argent en cause est tout ce que la banque a pris. Lève PaiementInconnu."""
    if not TRANSACTION.fullmatch(transaction):
        raise PaiementInconnu
    nom = ReferenceTransaction(transaction)

    def decision(conn: Connection[Any]) -> IdAnomalie:
        paiement = guichet.charger_paiement(conn, nom)
        if paiement is None:
            raise PaiementInconnu
        ident = composer_id(Source.PAIEMENT, nom)
        anomalie = charger_anomalie(guichet, conn, ident, maintenant)
        anomalie.signaler(cause, Somme(paiement.pris), nom, par=agent, maintenant=maintenant)
        guichet.recorder.record(conn, Batch(entries=collect([anomalie], cause_de(ident))))
        return ident

    return decider(guichet, decision)
