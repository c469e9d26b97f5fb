"""Un banc sans Kafka : des créances, des paiements, ce que la banque en dit, et le support qui règle."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import psycopg

from domain.avis import Avis, Canal, Mode
from domain.creance import Créance
from domain.geste import Geste, Proposition
from domain.imputation import Imputation
from domain.monnaie import Centimes
from domain.notification import appliquer_reponse
from domain.ouverture import decider_imputations, ouvrir_paiement
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from domain.reponse import Issue, ReponseBancaire
from domain.sort import Sort
from engine.recorder import collect
from guichet.guichet import Guichet
from guichet.reglement.approuver import approuver
from guichet.reglement.dossiers import gestes_d_un_message
from guichet.reglement.proposer import Reglement, proposer
from kiosque.interface import Etat, Inconnue
from kiosque.operation import UN_AUTRE_L_ENVOIE, Envois, Faite, Indeterminee, Operation, comparer_reste, trop_tot
from kiosque.sips.paypage import Sips
from projections.lectures.anomalies import anomalies_ouvertes
from projections.lectures.ligne_d_anomalie import LigneDAnomalie
from service import composition
from service.settings import Settings
from tests.audit.monde import lot_decide

T0 = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
MARCHAND = "002001000000001"
POLITIQUE = Politique()
DELAI_DE_RENVOI = timedelta(hours=6)
PRISES = frozenset({Sort.APPLIQUEE, Sort.NON_RAPPROCHEE, Sort.MONTANT_INCOHERENT})
"""Les sorts d'une acceptation qui est de l'argent neuf."""


def reference(numero: int) -> ReferenceCreance:
    """La référence de la créance de ce numéro."""
    return ReferenceCreance(f"38117012{numero:08d}F")


@dataclass
class Banque:
    """Une banque qui tient ses sommes : elle rend ce qu'on lui demande, ou répond ce qu'un test lui dicte."""

    dictees: list[Operation] = field(default_factory=list)
    """Ce qu'elle répond sans que rien ne parte vers elle."""
    gardes: Counter[str] = field(default_factory=Counter)
    """Ce qu'elle garde de chaque transaction, en centimes."""
    rendus: dict[tuple[str, int], int] = field(default_factory=dict)
    """Par transaction et reste avant : la même demande ne se fait pas deux fois."""
    perdre: bool = False
    """Vrai : elle fait la prochaine opération, et sa réponse se perd."""
    etat: Etat = field(default_factory=Inconnue)
    """Ce qu'elle répond à une question."""
    heure: datetime = T0
    """L'heure de qui lui parle."""

    def interroger(self, transaction: str, marchand: str) -> Etat:
        """Ce qu'un test lui dicte."""
        assert (bool(transaction), marchand) == (True, MARCHAND)
        return self.etat

    def rembourser(
        self, transaction: str, marchand: str, montant: int, *, reste_avant: int, envois: Envois
    ) -> Operation:
        """Rend, une fois."""
        assert marchand == MARCHAND
        if self.dictees:
            return self.dictees.pop(0)
        garde = self.gardes[transaction]
        bougee = comparer_reste(garde, montant, reste_avant, peut_etre_envoyee=envois.peut_etre)
        if (issue := bougee or trop_tot(envois, self.heure, DELAI_DE_RENVOI)) is not None:
            return issue
        if not envois.noter():
            return UN_AUTRE_L_ENVOIE
        self.gardes[transaction] -= montant
        self.rendus[transaction, reste_avant] = montant
        perdue, self.perdre = self.perdre, False
        return Indeterminee("réponse perdue") if perdue else Faite(reste_avant - montant)

    annuler = rembourser

    def rendre_a_la_main(self, transaction: str, montant: int) -> int:
        """Une personne rend chez la banque, sans nous ; rend ce qui l'a été."""
        rendu = min(montant, self.gardes[transaction])
        self.gardes[transaction] -= rendu
        return rendu


@dataclass(frozen=True)
class Banc:
    """Ce qu'un test tient en main."""

    guichet: Guichet
    conn: psycopg.Connection[Any]
    settings: Settings
    banque: Banque

    def ouvrir_creance(self, numero: int, montant: int = 87_09, *, assure: str = "a-1", caisse: str = "381") -> str:
        """Une créance, payable en ligne ; rend sa référence."""
        avis = Avis(
            reference(numero),
            Pseudonyme(assure),
            CodeCaisse(caisse),
            "PF/FR",
            Centimes(montant),
            Centimes(100_00),
            date(2026, 5, 12),
            Mode.PAPIER,
        )
        self.inscrire(Créance.ouvrir(avis, POLITIQUE, maintenant=T0))
        return avis.reference

    def payer(self, transaction: str, montant: int, *numeros: int) -> None:
        """Ouvre un paiement sur ces créances."""
        with self.guichet.base.transaction() as conn:
            creances = self.guichet.charger_creances(conn, [reference(numero) for numero in numeros])
            assure = next(iter(creances.values())).avis.assure
            parts = decider_imputations(assure, list(creances), Centimes(montant), creances, POLITIQUE)
            paiement = ouvrir_paiement(
                ReferenceTransaction(transaction),
                assure=assure,
                canal=Canal.WEB,
                marchand=MARCHAND,
                imputations=parts,
                creances=creances,
                politique=POLITIQUE,
                maintenant=T0,
            )
            self.guichet.recorder.record(conn, lot_decide(conn, collect([paiement, *creances.values()], "")))

    def repondre(
        self, transaction: str, montant: int, issue: Issue = Issue.ACCEPTEE, autorisation: str | None = "A"
    ) -> Sort:
        """La banque répond ; rend le sort de sa réponse."""
        code = {Issue.ACCEPTEE: "00", Issue.REFUSEE: "05", Issue.EN_ATTENTE: "60"}[issue]
        reponse = ReponseBancaire(
            ReferenceTransaction(transaction),
            MARCHAND,
            Centimes(montant),
            issue,
            code,
            autorisation,
            None,
            None,
            T0,
            None,
        )
        with self.guichet.base.transaction() as conn:
            paiement = self.guichet.charger_paiement(conn, reponse.transaction)
            references = [i.reference for i in paiement.imputations] if paiement else []
            creances = self.guichet.charger_creances(conn, references)
            verdict, ne = appliquer_reponse(paiement, creances, reponse, recue_le=T0, maintenant=T0)
            agregats = [*([ne] if ne else []), *creances.values()]
            entrees = collect(agregats, "")
            self.guichet.recorder.record(conn, lot_decide(conn, entrees, reponse, verdict.sort.value))
        if issue is Issue.ACCEPTEE and verdict.sort in PRISES:
            self.banque.gardes[transaction] += montant
        return verdict.sort

    def inscrire(self, *agregats: Any) -> None:
        """Inscrit ces agrégats."""
        with self.guichet.base.transaction() as conn:
            self.guichet.recorder.record(conn, lot_decide(conn, collect(agregats, "test")))

    def creance(self, numero: int) -> Créance:
        """La créance, rejouée."""
        with self.guichet.base.transaction() as conn:
            return self.guichet.charger_creances(conn, [reference(numero)])[reference(numero)]

    def paiement(self, transaction: str) -> Any:
        """Le paiement, rejoué."""
        with self.guichet.base.transaction() as conn:
            return self.guichet.charger_paiement(conn, ReferenceTransaction(transaction))

    def projeter(self) -> None:
        """Rattrape toutes les vues."""
        for _ in range(2):
            for nom in composition.VIEWS:
                composition.follower(self.settings, self.guichet.recorder, nom).catch_up()

    def ouvertes(self, maintenant: datetime = T0) -> list[LigneDAnomalie]:
        """La liste qu'une personne lit."""
        for nom in ("restant_du", "paiements", "anomalies"):
            composition.follower(self.settings, self.guichet.recorder, nom).catch_up()
        return anomalies_ouvertes(self.conn, maintenant, gestes_d_un_message=gestes_d_un_message)

    def proposer(self, ident: str, geste: Geste, par: str = "agent-1", *, a: datetime = T0, **champs: Any) -> Reglement:
        """Propose ce geste ; `creances` : des couples (numéro, part)."""
        parts = champs.pop("creances", ())
        imputations = tuple(Imputation(reference=reference(n), part=Centimes(part)) for n, part in parts)
        textes = {"motif": "vu avec la banque"} | champs
        voulue = Proposition.model_construct(geste=geste, imputations=imputations, **textes)
        return proposer(self.guichet, ident, voulue, par, a)

    def approuver(self, ident: str, par: str = "agent-2", *, a: datetime = T0, version: int | None = None) -> Reglement:
        """Une seconde personne approuve."""
        return approuver(self.guichet, ident, par, a, version=version)

    def faits(self) -> int:
        """Combien le journal porte d'événements."""
        (compte,) = self.conn.execute("SELECT count(*) FROM journal.evenements").fetchone() or (0,)
        return int(compte)


@contextmanager
def banc(url: str) -> Iterator[Banc]:
    """Un banc sur cette base."""
    settings = Settings(_env_file=None, database_url=url)
    vrai = composition.guichet(settings, application="banc")
    banque = Banque()
    guichet = replace(vrai, kiosque=cast("Any", banque), approbation_delai=timedelta(days=2))
    with psycopg.connect(url, autocommit=True) as conn:
        try:
            yield Banc(guichet, conn, settings, banque)
        finally:
            cast("Sips", vrai.kiosque).close()
            vrai.base.fermer()
