"""Les totaux que demande une cour des comptes, en centimes : l'ensemble, et par caisse, par marchand et par jour."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

from domain.delai import jour_de_paris

_US_PAR_HEURE: Final = 3_600_000_000


@dataclass(slots=True)
class Totaux:
    """Ce qui a bougé, et ce qui en reste : positif, ou signé.

    Signés : `rectifie`, `ouverture`, `cloture` ; et `preleve_par_la_banque` et `non_rattache`, quand de l'argent pris
    avant la période est repris, rendu ou rattaché.

    `cloture = ouverture + emis + rectifie − annule − accepte − rattache − autres_encaissements + contrepasse +
    rembourse`, et vaut `restant_du − trop_percu`.
    """

    ouverture: int = 0
    """Les soldes avant la période."""
    emis: int = 0
    """Montants des avis émis."""
    rectifie: int = 0
    """Ce que les rectifications ont ajouté ou retiré."""
    annule: int = 0
    """Ce que les annulations ont retiré."""
    accepte: int = 0
    """Parts de paiements en ligne acceptées, contre-passées comprises."""
    rattache: int = 0
    """Pris par la banque sans créance, puis rattaché par deux personnes."""
    autres_encaissements: int = 0
    """Chèques, virements, retenues."""
    contrepasse: int = 0
    """Parts reprises par la banque ou annulées par la caisse."""
    rembourse: int = 0
    """Trop-perçus rendus."""
    cloture: int = 0
    """Les soldes à la fin de la période."""
    preleve_par_la_banque: int = 0
    """Ce que la banque a pris, moins ce qu'elle a repris."""
    non_rattache: int = 0
    """Pris par la banque, sur aucune créance."""
    rendu: int = 0
    """Pris par la banque sans créance, puis rendu à qui a payé."""
    trop_percu: int = 0
    en_cours: int = 0
    """Retenu par des paiements sans réponse."""
    restant_du: int = 0

    @property
    def sur_les_creances(self) -> int:
        """Ce que la banque a pris et que des créances portent, remboursements déduits."""
        return self.accepte + self.rattache - self.rembourse

    @property
    def explique(self) -> int:
        """L'autre membre de l'identité : Σ sur les créances, non rattaché, remboursé, rendu − Σ contre-passé."""
        return self.sur_les_creances + self.non_rattache + self.rembourse + self.rendu - self.contrepasse

    def suivis_de(self, jour: "Totaux") -> "Totaux":
        """Les totaux d'une période prolongée de ce jour : ce qui bouge s'ajoute, ce qui reste est du dernier jour."""
        bouge = {nom: getattr(self, nom) + getattr(jour, nom) for nom in (*MOUVEMENTS, *PRISES)}
        return Totaux(ouverture=self.ouverture, **bouge, **{nom: getattr(jour, nom) for nom in RESTES})

    def en_json(self) -> dict[str, int]:
        """Chaque total, sous son nom."""
        return {champ.name: getattr(self, champ.name) for champ in fields(self)} | {
            "sur_les_creances": self.sur_les_creances
        }


CHAMPS: Final = tuple(champ.name for champ in fields(Totaux))

INTITULES: Final = {
    "ouverture": "Ouverture",
    "emis": "Avis émis",
    "rectifie": "Rectifications",
    "annule": "Annulations",
    "accepte": "Acceptés en ligne",
    "rattache": "Rattachés",
    "autres_encaissements": "Autres encaissements",
    "contrepasse": "Contre-passés",
    "rembourse": "Remboursés",
    "cloture": "Clôture",
    "preleve_par_la_banque": "Pris par la banque",
    "non_rattache": "Non rattachés",
    "rendu": "Rendus sans créance",
    "trop_percu": "Trop-perçus",
    "en_cours": "En cours",
    "restant_du": "Restant dû",
}
"""Ce qu'une personne lit de chaque total."""

MOUVEMENTS: Final = {
    "emis": 1,
    "rectifie": 1,
    "annule": -1,
    "accepte": -1,
    "rattache": -1,
    "autres_encaissements": -1,
    "contrepasse": 1,
    "rembourse": 1,
}
"""Ce qui change un solde, et dans quel sens."""

RENDUS: Final = frozenset({"contrepasse", "rembourse"})
"""Ceux qui quittent le marchand d'un paiement sans que le paiement lui-même le dise."""

PRISES: Final = ("preleve_par_la_banque", "rendu")
"""Ce qui bouge aussi, sans changer de solde."""

RESTES: Final = ("cloture", "non_rattache", "trop_percu", "en_cours", "restant_du")
"""Ce qui reste à la fin d'une période."""


class Comptable:
    """Additionne, une fois, ce que le journal dit."""

    def __init__(self, depuis: date | None = None) -> None:
        """`depuis` : ce qui précède ce jour de Paris va à l'ouverture (None : tout est dans la période)."""
        self.depuis = depuis
        self.ensemble = Totaux()
        self.depuis_toujours = Totaux()
        """Les mêmes sans ouverture : ce que les identités vérifient."""
        self.par_caisse: dict[str, Totaux] = {}
        self.par_marchand: dict[str, Totaux] = {}
        self.par_jour: dict[date, Totaux] = {}

    def mouvement(self, nom: str, montant: int, caisse: str, enregistre_us: int) -> None:
        """Un mouvement de solde (un des `MOUVEMENTS`), à sa date d'enregistrement."""
        jour = jour_de(enregistre_us)
        effet = montant * MOUVEMENTS[nom]
        avant = self.depuis is not None and jour < self.depuis
        lieux = [self.ensemble, _de(self.par_caisse, caisse)]
        for totaux in lieux if avant else [*lieux, _de(self.par_jour, jour)]:
            totaux.cloture += effet
            if avant:
                totaux.ouverture += effet
            else:
                setattr(totaux, nom, getattr(totaux, nom) + montant)
                if nom == "contrepasse":
                    totaux.preleve_par_la_banque -= montant
        tout = self.depuis_toujours
        setattr(tout, nom, getattr(tout, nom) + montant)
        if nom == "contrepasse":
            tout.preleve_par_la_banque -= montant

    def banque(self, nom: str, montant: int, caisse: str | None, marchand: str, enregistre_us: int) -> None:
        """De l'argent que la banque a pris dans la période, ou qui attend encore une créance, quel qu'en soit le jour.

        `nom` : `preleve_par_la_banque`, `rendu` ou `non_rattache`. `caisse` : None si le paiement nous est inconnu.
        """
        tout = self.depuis_toujours
        setattr(tout, nom, getattr(tout, nom) + montant)
        jour = jour_de(enregistre_us)
        dans_la_periode = self.depuis is None or jour >= self.depuis
        if not dans_la_periode and nom != "non_rattache":
            return
        lieux = [self.ensemble, _de(self.par_marchand, marchand), _de(self.par_caisse, caisse or "inconnue")]
        for totaux in [*lieux, _de(self.par_jour, jour)] if dans_la_periode else lieux:
            setattr(totaux, nom, getattr(totaux, nom) + montant)

    def chez(self, marchand: str, nom: str, montant: int) -> None:
        """Un mouvement de solde, chez ce marchand : les créances n'en savent pas le nom."""
        totaux = _de(self.par_marchand, marchand)
        setattr(totaux, nom, getattr(totaux, nom) + montant)
        if nom == "contrepasse":
            totaux.preleve_par_la_banque -= montant

    def soldes(self, caisse: str, solde: int, en_cours: int) -> None:
        """Ce que doit une créance à la fin."""
        for totaux in (self.ensemble, _de(self.par_caisse, caisse)):
            totaux.restant_du += max(solde, 0)
            totaux.trop_percu += max(-solde, 0)
            totaux.en_cours += en_cours

    def clore(self) -> None:
        """Reporte le solde d'un jour à l'autre."""
        solde = self.ensemble.ouverture
        for jour in sorted(self.par_jour):
            totaux = self.par_jour[jour]
            totaux.ouverture = solde
            solde = totaux.cloture = solde + totaux.cloture

    def lignes(self) -> Iterator[tuple[str, str, Totaux]]:
        """(axe, clé, totaux) : l'ensemble d'abord, puis chaque axe dans l'ordre."""
        yield "ensemble", "", self.ensemble
        for axe, table in (("caisse", self.par_caisse), ("marchand", self.par_marchand)):
            for cle in sorted(table):
                yield axe, cle, table[cle]
        for jour in sorted(self.par_jour):
            yield "jour", jour.isoformat(), self.par_jour[jour]

    def en_json(self) -> dict[str, Any]:
        """Chaque axe, sous son nom."""
        return {
            "par_caisse": {cle: self.par_caisse[cle].en_json() for cle in sorted(self.par_caisse)},
            "par_marchand": {cle: self.par_marchand[cle].en_json() for cle in sorted(self.par_marchand)},
            "par_jour": {jour.isoformat(): self.par_jour[jour].en_json() for jour in sorted(self.par_jour)},
        }


def _de(table: dict[Any, Totaux], cle: Any) -> Totaux:
    totaux = table.get(cle)
    if totaux is None:
        totaux = table[cle] = Totaux()
    return totaux


def jour_de(enregistre_us: int) -> date:
    """Le jour de Paris d'un instant (microsecondes) ; le premier ou le dernier du calendrier s'il n'en a pas."""
    return _jour_de_l_heure(enregistre_us // _US_PAR_HEURE)


@lru_cache(maxsize=10_000)
def _jour_de_l_heure(heure: int) -> date:
    try:
        return jour_de_paris(datetime.fromtimestamp(heure * 3600, UTC))
    except (OverflowError, OSError, ValueError):
        return date.max if heure > 0 else date.min
