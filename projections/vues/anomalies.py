"""La vue `anomalies` : l'argent sans créance, et ce que des personnes décident des anomalies.

Ce qui a déjà sa table (sorts, attentes, écarts de rapport, événements écartés, arrêts, trop-perçus, rebuts) est lu où
il est, par `projections.lectures.anomalies` : le suiveur ne tient que ce que des événements seuls disent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal, assert_never

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.anomalie import Anomalie, FaitDAnomalie, est_d_anomalie
from domain.geste import Source, composer_id
from domain.paiement import Paiement
from engine.recorder import RecordedEvent
from projections.effets import TOPICS_DES_ANOMALIES

# Ajoute l'argent que la banque vient de prendre.
_PRENDRE: Final = """
INSERT INTO vues.argent (anomalie, transaction, raison, marchand, autorisation, montant, reste, accepte_le, depuis,
                         cause)
SELECT a.anomalie, a.transaction, a.raison, a.marchand, a.autorisation, a.montant, a.montant, a.accepte_le, a.depuis,
       a.cause
FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::int8[], %b::timestamptz[],
            %b::timestamptz[], %b::text[])
     AS a (anomalie, transaction, raison, marchand, autorisation, montant, accepte_le, depuis, cause)
"""

# En retire ce qui est réglé.
_USER: Final = """
UPDATE vues.argent AS a SET reste = a.reste - u.montant
FROM (SELECT anomalie, sum(montant)::int8 AS montant FROM unnest(%b::text[], %b::int8[]) AS t (anomalie, montant)
      GROUP BY anomalie) AS u
WHERE a.anomalie = u.anomalie
"""

# Retient l'autorisation que la banque a fini par donner.
_PRECISER: Final = """
UPDATE vues.argent AS a SET autorisation = p.autorisation
FROM unnest(%b::text[], %b::text[], %b::text[], %b::int8[], %b::text[])
     AS p (transaction, raison, marchand, montant, autorisation)
WHERE a.transaction = p.transaction AND a.raison = p.raison AND a.marchand = p.marchand AND a.montant = p.montant
  AND a.autorisation IS NULL
"""

_LIRE_REGLEMENTS: Final = """
SELECT anomalie, etat, signale_le, transaction, signalement, montant, proposition, version, saisi_par, saisi_le,
       expire_le, approuve_par, regle_le
FROM vues.reglements WHERE anomalie = ANY (%b::text[])
"""

_ECRIRE_REGLEMENTS: Final = """
INSERT INTO vues.reglements (anomalie, etat, signale_le, transaction, signalement, montant, proposition, version,
                             saisi_par, saisi_le, expire_le, approuve_par, regle_le)
SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::text[], %b::text[], %b::int8[], %b::jsonb[],
                     %b::int8[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::text[], %b::timestamptz[])
ON CONFLICT (anomalie) DO UPDATE
SET etat = excluded.etat, signale_le = excluded.signale_le, transaction = excluded.transaction,
    signalement = excluded.signalement, montant = excluded.montant, proposition = excluded.proposition,
    version = excluded.version, saisi_par = excluded.saisi_par, saisi_le = excluded.saisi_le,
    expire_le = excluded.expire_le, approuve_par = excluded.approuve_par, regle_le = excluded.regle_le
"""


EtatDeReglement = Literal["ouverte", "proposee", "en_execution", "reglee"]
"""`proposee` attend une seconde personne, `en_execution` attend la banque."""


@dataclass(slots=True)
class Reglement:
    """Une ligne de `vues.reglements`."""

    anomalie: str
    etat: EtatDeReglement = "ouverte"
    signale_le: datetime | None = None
    transaction: str | None = None
    signalement: str | None = None
    montant: int = 0
    proposition: dict[str, Any] | None = None
    version: int = 0
    saisi_par: str | None = None
    saisi_le: datetime | None = None
    expire_le: datetime | None = None
    approuve_par: str | None = None
    regle_le: datetime | None = None

    def appliquer(self, fait: FaitDAnomalie) -> None:
        """Ce que ce fait change à la ligne."""
        self.version = fait.originator_version
        match fait:
            case Anomalie.AnomalieSignalée():
                self.etat, self.signale_le, self.regle_le = "ouverte", fait.timestamp, None
                self.transaction, self.signalement, self.montant = fait.transaction, fait.cause, fait.montant
            case Anomalie.RèglementProposé():
                self.etat, self.proposition = "proposee", fait.proposition.model_dump(mode="json")
                self.saisi_par, self.saisi_le, self.expire_le = fait.par, fait.timestamp, fait.expire_le
                self.approuve_par = None
            case Anomalie.RèglementApprouvé():
                self.etat, self.approuve_par = "en_execution", fait.par
            case Anomalie.RèglementDécliné() | Anomalie.RèglementAbandonné():
                self._liberer("reglee" if self.regle_le else "ouverte")
            case Anomalie.AnomalieRéglée():
                self._liberer("reglee")
                self.regle_le, self.proposition = fait.timestamp, fait.proposition.model_dump(mode="json")
                self.saisi_par, self.approuve_par = fait.saisi_par, fait.approuve_par
            case _:
                assert_never(fait)

    def _liberer(self, etat: EtatDeReglement) -> None:
        self.etat, self.expire_le, self.approuve_par, self.proposition = etat, None, None, None


class Anomalies:
    """La vue, telle qu'un suiveur la mène."""

    nom: Final = "anomalies"
    topics: Final = TOPICS_DES_ANOMALIES

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Une instruction par table et par sorte de fait : l'argent pris, précisé, réglé ; puis les règlements."""
        self._prendre(conn, [lu for lu in faits if isinstance(lu.event, Paiement.EncaissementNonImputé)])
        precises = [
            lu.event
            for lu in faits
            if isinstance(lu.event, Paiement.AcceptationPrécisée) and lu.event.raison is not None
        ]
        if precises:
            conn.execute(
                _PRECISER,
                (
                    [Paiement.transaction_de(p.originator_id) for p in precises],
                    [p.raison.value for p in precises if p.raison],
                    [p.marchand for p in precises],
                    [p.montant for p in precises],
                    [p.autorisation for p in precises],
                ),
            )
        regles = [
            lu.event for lu in faits if isinstance(lu.event, Paiement.EncaissementImputé | Paiement.EncaissementRendu)
        ]
        if regles:
            conn.execute(_USER, ([r.anomalie for r in regles], [r.montant for r in regles]))
        self._regler(conn, [lu.event for lu in faits if est_d_anomalie(lu.event)])

    def _prendre(self, conn: Connection[Any], pris: Sequence[RecordedEvent]) -> None:
        evenements = [lu.event for lu in pris if isinstance(lu.event, Paiement.EncaissementNonImputé)]
        if evenements:
            transactions = [Paiement.transaction_de(e.originator_id) for e in evenements]
            conn.execute(
                _PRENDRE,
                (
                    [
                        composer_id(Source.ARGENT, transaction, e.originator_version)
                        for transaction, e in zip(transactions, evenements, strict=True)
                    ],
                    transactions,
                    [e.raison.value for e in evenements],
                    [e.marchand for e in evenements],
                    [e.autorisation for e in evenements],
                    [e.montant for e in evenements],
                    [e.accepte_le for e in evenements],
                    [lu.enregistre_le for lu in pris],
                    [lu.cause for lu in pris],
                ),
            )

    def _regler(self, conn: Connection[Any], faits: Iterable[FaitDAnomalie]) -> None:
        par_anomalie: dict[str, list[FaitDAnomalie]] = {}
        for fait in faits:
            par_anomalie.setdefault(Anomalie.id_de(fait.originator_id), []).append(fait)
        if not par_anomalie:
            return
        lignes = {ligne[0]: Reglement(*ligne) for ligne in conn.execute(_LIRE_REGLEMENTS, (list(par_anomalie),))}
        for ident, siens in par_anomalie.items():
            ligne = lignes.setdefault(ident, Reglement(ident))
            for fait in siens:
                ligne.appliquer(fait)
        valeurs = [[getattr(ligne, champ.name) for ligne in lignes.values()] for champ in fields(Reglement)]
        valeurs[_PROPOSITION] = [None if p is None else Jsonb(p) for p in valeurs[_PROPOSITION]]
        conn.execute(_ECRIRE_REGLEMENTS, valeurs)


_PROPOSITION: Final = [champ.name for champ in fields(Reglement)].index("proposition")
