"""L'horloge des 24 h qui regarde devant elle : où elle en est, par caisse, et quand tombe le prochain dépassement."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from psycopg import Connection
from pydantic_core import from_json

from domain.paiement import Paiement
from projections.lectures.delai import Attente, attentes
from projections.lectures.releves import PAS, PointDHorloge, horloge_depuis
from projections.vues.durees import finis

FENETRE: Final = timedelta(minutes=10)
"""Sur quoi se mesure le rythme."""

INCONNUE: Final = "inconnue"
"""La caisse d'un paiement dont l'ouverture ne se lit pas."""

# L'ouverture de ces paiements, qui dit leur caisse.
_OUVERTURES: Final = "SELECT flux, etat FROM journal.evenements WHERE flux = ANY (%s) AND version = 1"


class Prevision(NamedTuple):
    """Ce que le rythme d'aujourd'hui annonce."""

    marge_s: float
    """Ce qui reste au plus ancien avant le délai ; négatif : il l'a passé."""
    marge_perdue: float
    """Secondes de marge perdues par seconde : 0, elle tient ; 1, rien ne s'affiche plus ; négatif, elle se refait."""
    dans_s: float | None
    """Dans combien de temps le prochain dépassement, à ce rythme ; None : aucun en vue."""
    au_plus_tot: datetime | None
    """Quand le plus ancien passera le délai si rien ne s'affiche d'ici là ; None : rien n'attend."""


class EtatDeLHorloge(NamedTuple):
    """Où en est l'horloge."""

    instant: datetime
    delai_s: float
    affiches: int
    en_attente: int
    plus_ancien_s: float | None
    depasses: int
    """En attente, hors délai."""
    depasses_affiches: int
    """Affichés trop tard."""
    presumes: int
    par_caisse: dict[str, tuple[int, float]]
    """Combien attendent, et l'âge du plus ancien (secondes)."""
    prevision: Prevision

    def en_json(self) -> dict[str, Any]:
        """La même chose, en JSON."""
        prevue = self.prevision
        return {
            "instant": self.instant.isoformat(),
            "delai_secondes": self.delai_s,
            "affiches": self.affiches,
            "en_attente": self.en_attente,
            "plus_ancien_en_attente_secondes": self.plus_ancien_s,
            "depasses_en_attente": self.depasses,
            "depasses_affiches": self.depasses_affiches,
            "presumes": self.presumes,
            "par_caisse": [
                {"caisse": caisse, "en_attente": combien, "plus_ancien_secondes": age}
                for caisse, (combien, age) in sorted(self.par_caisse.items())
            ],
            "prevision": {
                "marge_secondes": prevue.marge_s,
                "marge_perdue_par_seconde": prevue.marge_perdue,
                "prochain_depassement_dans_secondes": prevue.dans_s,
                "prochain_depassement_le": (
                    None if prevue.dans_s is None else (self.instant + timedelta(seconds=prevue.dans_s)).isoformat()
                ),
                "au_plus_tot": prevue.au_plus_tot and prevue.au_plus_tot.isoformat(),
            },
        }


def prevoir(delai_s: float, maintenant: datetime, plus_ancien_s: float, passe: Sequence[PointDHorloge]) -> Prevision:
    """Ce que ce passé annonce ; `plus_ancien_s` vaut 0 si rien n'attend.

    Le rythme est la pente de la marge entre le premier relevé de la fenêtre et maintenant : une file qui s'écoule perd
    moins d'une seconde par seconde, une file arrêtée en perd une. Aucune n'en perd plus : une acceptation arrivée
    vieille n'a pas vieilli si vite.
    """
    marge_s = delai_s - plus_ancien_s
    recents = [point for point in passe if maintenant - FENETRE <= point.le < maintenant]
    perdue = 1.0 if plus_ancien_s > 0 else 0.0  # Sans passé : comme si rien ne s'affichait.
    if recents:
        ecoulees_s = (maintenant - recents[0].le).total_seconds()
        perdue = min((plus_ancien_s - recents[0].plus_ancien_s) / max(ecoulees_s, 1.0), 1.0)
    if marge_s <= 0:
        dans_s: float | None = 0.0
    else:
        dans_s = marge_s / perdue if perdue > 0 and plus_ancien_s > 0 else None
    plus_tot = maintenant + timedelta(seconds=marge_s) if plus_ancien_s > 0 else None
    return Prevision(marge_s, perdue, dans_s, plus_tot)


def etat_de_l_horloge(conn: Connection[Any], maintenant: datetime, delai: timedelta) -> EtatDeLHorloge:
    """Tout, maintenant ; ce qui attend l'est d'après le journal."""
    affiches, trop_tard = finis(conn, delai)
    en_attente = attentes(conn)
    ages = [max((maintenant - une.accepte_le).total_seconds(), 0.0) for une in en_attente]
    passe = horloge_depuis(conn, maintenant - FENETRE - PAS)
    delai_s = delai.total_seconds()
    return EtatDeLHorloge(
        instant=maintenant,
        delai_s=delai_s,
        affiches=affiches,
        en_attente=len(en_attente),
        plus_ancien_s=ages[0] if ages else None,
        depasses=sum(age > delai_s for age in ages),
        depasses_affiches=trop_tard,
        presumes=sum(une.presume for une in en_attente),
        par_caisse=_par_caisse(conn, zip(en_attente, ages, strict=True)),
        prevision=prevoir(delai_s, maintenant, ages[0] if ages else 0.0, passe),
    )


def _par_caisse(conn: Connection[Any], ages: Iterable[tuple[Attente, float]]) -> dict[str, tuple[int, float]]:
    dus = {Paiement.flux(une.transaction): age for une, age in ages}
    if not dus:
        return {}
    caisses = {flux: _caisse(etat) for flux, etat in conn.execute(_OUVERTURES, (list(dus),))}
    par_caisse: dict[str, tuple[int, float]] = {}
    for flux, age in dus.items():
        caisse = caisses.get(flux, INCONNUE)
        combien, pire = par_caisse.get(caisse, (0, 0.0))
        par_caisse[caisse] = (combien + 1, max(pire, age))
    return par_caisse


def _caisse(etat: bytes) -> str:
    try:
        return str(from_json(etat)["caisse"])
    except (ValueError, KeyError, TypeError):
        return INCONNUE
