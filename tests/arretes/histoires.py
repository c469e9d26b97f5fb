"""Des histoires au hasard, sur des jours au hasard, écrites par les chemins du service à l'heure qu'on leur dit."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg

from domain.agregats import AGREGATS
from domain.creance import Créance
from domain.geste import Source, Voie, composer_id
from domain.imputation import Imputation
from domain.monnaie import Centimes
from domain.paiement import Paiement
from domain.references import ReferenceCreance
from domain.refus import Refus
from engine.batch import Batch
from engine.clocks import AHEAD_MAX
from engine.mapper import EventMapper
from engine.recorder import Recorder, collect
from tests.audit.monde import AVIS, Monde, monde
from tests.consumers.banc import MAINTENANT, avis

DEUX = {"saisi_par": "agent-1", "approuve_par": "agent-2"}
CAISSES = ("381", "011")


@dataclass
class Histoire:
    """Un monde dont l'heure d'enregistrement se choisit ; elle n'avance que."""

    m: Monde
    hasard: random.Random
    le: datetime
    emis: dict[int, str] = field(default_factory=dict)
    """Par numéro d'avis, sa caisse."""
    ouverts: list[tuple[str, int]] = field(default_factory=list)
    rang: int = 0

    def avancer(self, duree: timedelta) -> None:
        """Le temps passe."""
        self.le += duree

    def geste(self) -> None:
        """Quelque chose arrive."""
        gestes = (
            self.emettre, self.emettre, self.rectifier, self.annuler, self.encaisser, self.payer, self.payer,
            self.refuser, self.ouvrir, self.repondre_tard, self.payer_autre_chose, self.payer_sans_paiement,
            self.rattacher, self.rendre, self.contrepasser, self.rembourser,
        )  # fmt: skip
        with suppress(Refus):  # Le domaine refuse : il n'est rien arrivé.
            self.hasard.choice(gestes)()

    def emettre(self) -> None:
        numero = len(self.emis) + 1
        self.emis[numero] = self.hasard.choice(CAISSES)
        montant = self.hasard.randrange(16_00, 90_00)
        self.m.recevoir(AVIS, avis(numero, montant=montant, caisse=self.emis[numero]))

    def _un(self) -> int:
        if not self.emis:
            self.emettre()
        return self.hasard.choice(list(self.emis))

    def _message(self, genre: str, **champs: Any) -> None:
        self.rang += 1
        reference = avis(self._un())["reference"]
        self.m.recevoir(AVIS, {"type": genre, "reference": reference, "message_id": f"m-{self.rang}", **champs})

    def rectifier(self) -> None:
        self._message("avis_rectifie", montant_initial_centimes=self.hasard.randrange(1, 99_00), motif="revu")

    def annuler(self) -> None:
        self._message("avis_annule", motif="erreur")

    def encaisser(self) -> None:
        montant = self.hasard.randrange(1, 60_00)
        self._message("encaissement_recu", montant_centimes=montant, moyen="cheque", date="2026-05-30")

    def ouvrir(self) -> tuple[str, int]:
        numeros = list(self.emis) or [self._un()]
        premier = self.hasard.choice(numeros)
        memes = [n for n in numeros if self.emis[n] == self.emis[premier]]
        choisis = {premier, *self.hasard.sample(memes, min(len(memes), self.hasard.randrange(3)))}
        montant = self.hasard.randrange(16_00, 50_00)
        self.ouverts.append((self.m.ouvrir(montant, *sorted(choisis)), montant))
        return self.ouverts[-1]

    def payer(self) -> None:
        self.m.repondre(*self.ouvrir())

    def refuser(self) -> None:
        self.m.repondre(*self.ouvrir(), "05")

    def repondre_tard(self) -> None:
        if self.ouverts:
            self.m.repondre(*self.hasard.choice(self.ouverts), "00")

    def payer_autre_chose(self) -> None:
        transaction, montant = self.ouvrir()
        self.m.repondre(transaction, montant + self.hasard.randrange(1, 9_00))

    def payer_sans_paiement(self) -> None:
        self.rang += 1
        self.m.repondre(f"INCONNUE{self.rang}", self.hasard.randrange(1, 50_00))

    def _charger(self, conn: Any, prefixe: str) -> list[Any]:
        flux = [
            nom
            for (nom,) in conn.execute(
                "SELECT DISTINCT flux FROM journal.evenements WHERE starts_with(flux, %s) ORDER BY flux", (prefixe,)
            )
        ]
        return list(self.m.guichet.recorder.load(conn, flux).values())

    def _regler(self, *agregats: Any, conn: Any) -> None:
        self.rang += 1
        self.m.guichet.recorder.record(conn, Batch(entries=collect(agregats, f"reglement:essai-{self.rang}")))

    def _de_l_argent(self, conn: Any) -> tuple[Paiement, str, int] | None:
        restes = [
            (paiement, composer_id(Source.ARGENT, paiement.transaction, version), argent.reste)
            for paiement in self._charger(conn, Paiement.flux(""))
            for version, argent in paiement.argent.items()
            if argent.reste
        ]
        return self.hasard.choice(restes) if restes else None

    def rattacher(self) -> None:
        with self.m.guichet.base.transaction() as conn:
            trouve = self._de_l_argent(conn)
            creances = [c for c in self._charger(conn, Créance.flux("")) if c.disponible]
            if trouve is None or not creances:
                return
            paiement, anomalie, reste = trouve
            creance = self.hasard.choice(creances)
            part = Centimes(self.hasard.randint(1, min(reste, creance.disponible)))
            vers = (Imputation(reference=ReferenceCreance(creance.avis.reference), part=part),)
            communs: dict[str, Any] = DEUX | {"maintenant": MAINTENANT}
            paiement.imputer_argent(cast("Any", anomalie), vers, **communs)
            creance.rattacher(paiement.transaction, cast("Any", anomalie), part, **communs)
            self._regler(paiement, creance, conn=conn)

    def rendre(self) -> None:
        with self.m.guichet.base.transaction() as conn:
            if (trouve := self._de_l_argent(conn)) is None:
                return
            paiement, anomalie, reste = trouve
            montant = Centimes(self.hasard.randint(1, reste))
            voie = self.hasard.choice((None, Voie.VIREMENT))
            paiement.rendre_argent(cast("Any", anomalie), montant, voie, **DEUX, maintenant=MAINTENANT)
            self._regler(paiement, conn=conn)

    def contrepasser(self) -> None:
        with self.m.guichet.base.transaction() as conn:
            portees = [
                (creance, transaction)
                for creance in self._charger(conn, Créance.flux(""))
                for transaction in [*creance.acceptees, *(r.transaction for r in creance.rattachees.values())]
                if creance.porte(transaction)
            ]
            if portees:
                creance, transaction = self.hasard.choice(portees)
                creance.contrepasser_tout(transaction, "impayé", **DEUX, maintenant=MAINTENANT)
                self._regler(creance, conn=conn)

    def rembourser(self) -> None:
        with self.m.guichet.base.transaction() as conn:
            surpayees = [c for c in self._charger(conn, Créance.flux("")) if c.trop_percu]
            if not surpayees:
                return
            creance = self.hasard.choice(surpayees)
            self.rang += 1
            montant = Centimes(self.hasard.randint(1, creance.trop_percu))
            acceptees = list(creance.acceptees)
            transaction = self.hasard.choice(acceptees) if acceptees and self.hasard.random() < 0.5 else None
            creance.rembourser(
                f"r-{self.rang}", montant, **DEUX, maintenant=MAINTENANT, voie=Voie.VIREMENT, transaction=transaction
            )
            self._regler(creance, conn=conn)


@contextmanager
def histoire(url: str, graine: int, le: datetime = datetime(2026, 2, 26, 20, 0, tzinfo=UTC)) -> Iterator[Histoire]:
    """Une histoire qui commence à cet instant, sur cette base vide."""
    with monde(url) as m:
        h = Histoire(m, random.Random(graine), le)  # noqa: S311
        recorder = Recorder(m.guichet.base, EventMapper(AGREGATS), clock=lambda: h.le - AHEAD_MAX)
        m.guichet = replace(m.guichet, recorder=recorder)
        yield h


def connexion(url: str) -> "psycopg.Connection[Any]":
    """Une connexion à soi."""
    return psycopg.connect(url, autocommit=True)
