"""Un règlement sur le point d'être fait, et ce qu'il fait : des agrégats à enregistrer d'un bloc."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.creance import Créance
from domain.faits import Agregat
from domain.geste import AGENT, TEXTE_MAX, Proposition, texte_sur
from domain.imputation import Imputation
from domain.paiement import Paiement
from domain.references import ReferenceCreance, ReferenceTransaction
from domain.refus import AgentIrrecevable, GesteImpossible, TexteIrrecevable
from engine.batch import Settled
from guichet.guichet import Guichet
from guichet.reglement.dossiers import Dossier

TEXTE_MIN: Final = 3
"""Signes d'un motif ou d'une pièce, au moins."""


class Acte(NamedTuple):
    """Ce dont un geste a besoin ; `approuve_par` vaut `saisi_par` quand une seule personne suffit."""

    guichet: Guichet
    conn: Connection[Any]
    dossier: Dossier
    proposition: Proposition
    saisi_par: str
    approuve_par: str
    maintenant: datetime

    @property
    def personnes(self) -> dict[str, str]:
        """Les deux personnes, telles que les faits les nomment."""
        return {"saisi_par": self.saisi_par, "approuve_par": self.approuve_par}

    def paiement(self, transaction: ReferenceTransaction | None = None) -> Paiement:
        """Le paiement de cette transaction, ou celui du dossier ; lève GesteImpossible."""
        nom = transaction or self.dossier.transaction
        paiement = self.guichet.charger_paiement(self.conn, nom) if nom else None
        if paiement is None:
            raise GesteImpossible("Aucun paiement ne porte cette référence de transaction.")
        return paiement

    def creances(self, references: Iterable[ReferenceCreance]) -> dict[ReferenceCreance, Créance]:
        """Ces créances ; lève GesteImpossible si l'une n'existe pas."""
        voulues = list(dict.fromkeys(references))
        trouvees = self.guichet.charger_creances(self.conn, voulues)
        if manque := [reference for reference in voulues if reference not in trouvees]:
            raise GesteImpossible(f"Aucune créance ne porte la référence {manque[0]}.")
        return trouvees


@dataclass(slots=True)
class Effets:
    """Ce qu'un geste change."""

    agregats: list[Agregat] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)


def lire_agent(nom: str) -> str:
    """Le nom d'un agent, sans blancs autour ; lève AgentIrrecevable."""
    serre = nom.strip()
    if not AGENT.fullmatch(serre):
        raise AgentIrrecevable
    return serre


def lire_texte(texte: str, *, requis: bool = True) -> str:
    """Un motif ou une pièce, sans blancs autour ; lève TexteIrrecevable."""
    serre = texte.strip()
    if not serre and not requis:
        return ""
    if not TEXTE_MIN <= len(serre) <= TEXTE_MAX:
        raise TexteIrrecevable
    try:
        return texte_sur(serre)
    except ValueError as refus:
        raise TexteIrrecevable from refus


def exiger_destinataires(paiement: Paiement, creances: Iterable[Créance]) -> None:
    """Vérifie que cet argent peut aller à ces créances ; lève GesteImpossible.

    Une seule caisse : chacune a son compte. Un paiement connu n'a réglé que pour son assuré et sa caisse.
    """
    caisses = {creance.avis.caisse for creance in creances}
    if len(caisses) > 1 or (paiement.caisse is not None and caisses != {paiement.caisse}):
        raise GesteImpossible("Ces créances ne relèvent pas de la caisse qui a encaissé.")
    if paiement.assure is not None and {creance.avis.assure for creance in creances} != {paiement.assure}:
        raise GesteImpossible("Cet argent a été payé par un autre assuré.")


def partager(
    montant: int, paiement: Paiement, creances: dict[ReferenceCreance, Créance]
) -> tuple[tuple[Imputation, ...], int]:
    """Partage un montant entre les créances d'un paiement : chacune sa part d'abord, puis ce qu'elle doit encore.

    Rend aussi ce qu'aucune ne peut recevoir, en centimes.
    """
    recu = dict.fromkeys((imputation.reference for imputation in paiement.imputations), 0)
    reste = montant
    for bornes in ({i.reference: int(i.part) for i in paiement.imputations}, None):
        for reference in recu:
            libre = creances[reference].disponible - recu[reference]
            pris = max(0, min(reste, libre, libre if bornes is None else bornes[reference]))
            recu[reference] += pris
            reste -= pris
    return tuple(Imputation(reference=r, part=p) for r, p in recu.items() if p), reste  # type: ignore[arg-type]
