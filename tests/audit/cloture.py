"""Deux journées arrêtées dans le monde de l'audit, et horodatées.

Ce monde est d'aujourd'hui, qui n'est pas fini : seul le propriétaire peut donc l'arrêter, et il n'en arrête que le
début. Le reste est tardif, et ce que l'audit voit sans les arrêtés s'y essaie encore.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from guichet.arreter import inscrire
from projections.arretes.contenu import SANS_PRECEDENT, Arrete, empreinte_de
from projections.arretes.journal import Tranche, premier_jour
from projections.arretes.recalcul import recalculer
from service.closing import _compute
from service.closing_stamps import stamp_closings
from tests.arretes.autorite import autorite
from tests.audit.monde import Monde

ARRETE_A: int = 2
"""La dernière position arrêtée."""


def arreter(m: Monde, url_proprietaire: str, dossier: Path) -> None:
    """Arrête une veille vide, puis le début d'aujourd'hui."""
    with psycopg.connect(url_proprietaire, autocommit=True) as conn:
        jour = premier_jour(conn)
        assert jour is not None
        conn.execute("ALTER TABLE journal.arretes DISABLE TRIGGER suite")
        precedent: tuple[Arrete | None, str] = (None, SANS_PRECEDENT)
        with conn.transaction():
            tableaux = recalculer(conn, [0, 0, ARRETE_A])
            jours = (Tranche(jour - timedelta(days=1), 0, 0), Tranche(jour, 0, ARRETE_A))
            for tranche, tableau in zip(jours, tableaux, strict=True):
                arrete = _compute(conn, m.guichet.recorder, precedent, tranche, tableau)
                octets = arrete.octets()
                ecrite: dict[str, Any] = {
                    "numero": arrete.numero,
                    "jour": arrete.jour,
                    "bornes": (arrete.depuis, arrete.jusqu_a),
                    "contenu": octets,
                    "empreinte": empreinte_de(octets),
                    "precedent": arrete.precedent,
                }
                assert inscrire(conn, **ecrite)
                precedent = (arrete, empreinte_de(octets))
        conn.execute("ALTER TABLE journal.arretes ENABLE ALWAYS TRIGGER suite")
    with autorite(dossier) as tsa:
        reglages = m.settings.model_copy(update={"tsa_url": tsa.url, "tsa_roots": tsa.racines})
        assert stamp_closings(reglages, m.guichet.base) == 2
