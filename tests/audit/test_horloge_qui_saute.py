"""L'horloge de PostgreSQL saute d'un jour et plus, puis elle est remise : l'audit n'en garde aucune trace."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from projections.audit import auditer
from publication.epoques import ouvrir_epoque
from service.embedded import embedded_postgres, throwaway_folder
from service.schema import migrate
from tests.audit.monde import AVIS, Monde, monde, peupler, regler
from tests.consumers.banc import MAINTENANT, avis
from tests.faults.clock import LIBRARIES, own_clock
from tests.outils import attendre

pytestmark = [
    pytest.mark.lent,
    pytest.mark.skipif(not LIBRARIES, reason="il manque libfaketime (Debian : apt-get install faketime)"),
]

PROCHE = timedelta(minutes=5)


class Reglable:
    """L'horloge d'un PostgreSQL à part."""

    def __init__(self, fichier: Path) -> None:
        self.fichier = fichier
        self.conn: psycopg.Connection[Any]

    def regler(self, heures: int) -> None:
        """Avance ou retarde de tant d'heures ; rend la main quand le serveur le voit."""
        self.fichier.write_text(f"{heures:+d}h" if heures else "+0")
        attendre(lambda: abs(self.ecart() - timedelta(hours=heures)) < PROCHE)

    def ecart(self) -> timedelta:
        """De combien elle avance sur la nôtre."""
        [(la_leur,)] = self.conn.execute("SELECT clock_timestamp()").fetchall()
        return la_leur - datetime.now(UTC)  # type: ignore[no-any-return]


@pytest.fixture
def saute() -> Iterator[tuple[Reglable, Monde]]:
    """Un monde vide sur un PostgreSQL dont on règle l'horloge."""
    with throwaway_folder() as dossier:
        dossier.chmod(0o755)
        horloge = Reglable(dossier / "heure")
        with own_clock(horloge.fichier), embedded_postgres(dossier / "pg", throwaway=True) as servi:
            migrate(servi.owner_database_url, "creances")
            with (
                psycopg.connect(servi.owner_database_url, autocommit=True) as horloge.conn,
                monde(servi.database_url) as m,
            ):
                yield horloge, m


@pytest.mark.parametrize(("d_abord", "ensuite"), [(30, -30), (-30, 30)])
def test_une_horloge_fausse_de_plus_d_un_jour_puis_remise_ne_laisse_aucun_ecart(
    saute: tuple[Reglable, Monde], d_abord: int, ensuite: int
) -> None:
    horloge, m = saute
    m.recevoir(AVIS, avis(60, assure="a-8"), numero=2)  # Une horloge ne recule que sur ce qui est écrit.
    horloge.regler(d_abord)
    peupler(m)
    ouvrir_epoque(horloge.conn, "une époque pendant le saut")
    horloge.regler(ensuite)
    regler(m)
    ouvrir_epoque(horloge.conn, "une autre, l'horloge fausse dans l'autre sens")
    m.recevoir(AVIS, *(avis(n, assure="a-8") for n in range(50, 53)), numero=2)
    horloge.regler(0)
    ouvrir_epoque(horloge.conn, "l'horloge remise")
    m.recevoir(AVIS, *(avis(n, assure="a-8") for n in range(53, 56)), numero=2)
    m.ouvrir(50_00, 53, assure="a-8")
    m.projeter()
    rapport = auditer(horloge.conn, maintenant=MAINTENANT)
    assert (rapport.ecarts, rapport.illisibles, rapport.non_controles) == ([], {}, [])
    # Et rien n'est daté d'un jour où nous n'étions pas.
    for (table,) in horloge.conn.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'enregistre_le'"
        " WHERE c.relnamespace = 'journal'::regnamespace AND c.relkind = 'r' ORDER BY 1"
    ).fetchall():
        bornes = horloge.conn.execute(
            f"SELECT min(enregistre_le), max(enregistre_le) FROM journal.{table}".encode()  # noqa: S608
        ).fetchone()
        assert bornes is not None
        for heure in filter(None, bornes):
            assert abs(heure - datetime.now(UTC)) < 4 * PROCHE, table
