"""La vue `messagerie` a un accusé par paiement accepté, lu ou supprimé comme le dit le journal."""

from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.accuse import echeance_de, est_echu
from domain.messagerie import Messagerie
from domain.paiement import Paiement
from projections.audit.journal import Journal
from projections.audit.rapport import Rapport
from projections.vues.messagerie import EtatMessage, MessagerieDesAssures, etats


def comparer_messagerie(conn: Connection[Any], journal: Journal, rapport: Rapport, maintenant: datetime) -> None:
    """Compare chaque message qui n'est pas échu."""
    position = rapport.positions.get(MessagerieDesAssures.nom, 0)
    vue = etats(conn, maintenant)
    gestes = {messagerie.assure: messagerie for messagerie in journal.messageries(position)}
    for paiement in journal.paiements(position):
        if paiement.accepte_le is None or est_echu(echeance_de(paiement.accepte_le), maintenant):
            continue
        transaction, assure = paiement.transaction, paiement.assure
        vu = vue.pop(transaction, None)
        if journal.illisible(Messagerie.flux(assure or "")):
            continue
        geste = gestes.get(assure) if assure else None
        lu = geste is not None and transaction in geste.lus
        supprime = geste is not None and transaction in geste.supprimes
        if vu != (attendu := EtatMessage(assure, paiement.accepte_le, lu, supprime)):
            rapport.ecart(f"messagerie : {transaction} vaut {vu}, le journal dit {attendu}")
    for reste in vue:
        if not journal.illisible(Paiement.flux(reste)):
            rapport.ecart(f"messagerie : {reste} sans événement")
