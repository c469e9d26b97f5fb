"""La parité : chaque ligne de chaque vue, refaite du journal, flux par flux, et comparée à ce que la vue en dit.

Une tranche prend quelques flux, les rejoue par le code même de la vue dans des tables temporaires, et compare ; tout
est lu d'un même instantané, la vue et le journal arrêté à sa position : son retard n'est pas une différence. Un flux
que la vue a écarté n'en est pas une non plus : il est dit ailleurs. Ce qui était d'accord et n'a pas bougé n'est pas
rejoué (projections/parite_accords.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection, IsolationLevel

from engine import shadow
from engine.follower import View
from engine.outages import describe, is_outage
from engine.recorder import RecordedEvent, Recorder
from engine.shadow import TEMPORARY, Difference, Rows, streams_of
from projections.parite_accords import APRES_TOUT, INCONNU, Bloc, Marques, accord_de, borne_de, graine, marquer
from projections.parite_constats import Constat, Tranche, cle_dite, colonnes, differe
from projections.vues import VueSuivie

FLUX_PAR_TRANCHE: Final = 4_000
"""Flux rejoués ensemble : deux dixièmes de seconde d'un instantané qui ne retient personne. À 500, un tiers de plus."""

DITES_MAX: Final = 100
"""Différences d'une tranche nommées, au plus ; toutes sont comptées."""

REPRISES_MAX: Final = 20
"""Différences d'une tranche dont on cherche l'événement, au plus."""

FAITS_REPRIS_MAX: Final = 60
"""Événements d'un flux au-delà desquels on ne cherche plus lequel manque."""

# Les faits de ces flux qui concernent la vue, jusqu'à sa position.
_FAITS: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le FROM journal.evenements
WHERE flux > %b AND flux <= %b AND topic = ANY (%b::text[]) AND position <= %b ORDER BY position
"""
_FAITS_DE: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le FROM journal.evenements
WHERE flux = ANY (%b::text[]) AND topic = ANY (%b::text[]) AND position <= %b ORDER BY position
"""

# Où en est la vue, et si ses listes sont tenues jusque-là (engine/view.py).
_POSITION: Final = "SELECT position, tenue = position FROM vues.suiveurs WHERE nom = %s"
_ECARTES: Final = "SELECT DISTINCT flux FROM vues.ecartes WHERE suiveur = %s"
_SANS_BORNE: Final = "SELECT set_config('statement_timeout', '0', true)"


class Comparateur:
    """Compare une vue au journal, sur une connexion à lui."""

    def __init__(self, conn: Connection[Any], vue: VueSuivie, recorder: Recorder, *, edition: str = "") -> None:
        """`conn` est en autocommit ; ses tables temporaires y restent. `edition` : celle du code qui rejoue."""
        self.conn = conn
        self._grain = graine(edition)
        self.vue = vue
        self.nom = vue.nom
        self.mapper = recorder.mapper
        self._menee: View = vue.rejouer(recorder)
        self._topics = sorted(self._menee.topics)
        self._dirige = shadow.redirected([lignes.table for lignes in vue.lignes], TEMPORARY)
        for lignes in vue.lignes:
            shadow.create_temporary(conn, lignes.table)

    def comparer(self, lignes: Rows, depuis: str, flux_max: int = FLUX_PAR_TRANCHE, bloc: Bloc = INCONNU) -> Tranche:
        """Les flux qui suivent `depuis`, dans `lignes` et les tables qui vont avec elle.

        `bloc` : ce qu'on sait déjà de ces flux ; par défaut rien, et tout est rejoué.
        Lève psycopg.Error si la base ne répond pas.
        """
        ensemble = self.vue.avec(lignes)
        comptes = () if self.vue.comptes is None else self.vue.comptes[:1]
        with _instantane(self.conn, (*ensemble, *comptes)):
            borne = borne_de(self.conn, lignes, depuis, flux_max, bloc)
            finie = borne == lignes.prefix + APRES_TOUT
            position, tenues = self._position()
            # Une liste que personne ne tient en ce moment ne se compare pas : rien n'est d'accord en entier.
            marques = self._marquer(ensemble, (depuis, borne), position, bloc) if tenues else None
            a_rejouer = None if marques is None or not marques.tenues else marques.flux
            rangs = self._faits((depuis, borne), a_rejouer, position)
            ecartes = {flux for (flux,) in self.conn.execute(_ECARTES, (self.nom,))}
            fautifs = self._rejouer(rangs, ecartes)
            for table in ensemble:
                fautifs |= self._rejouer_l_autre_flux(table, (depuis, borne), ecartes, position)
            constats = [self._irrejouable(lignes, flux, cause) for flux, cause in fautifs.items()]
            comparees, total = 0 if a_rejouer is None or marques is None else marques.lignes, len(fautifs)
            tus = differents = ecartes | fautifs.keys()
            for table in ensemble:
                if table.list_ and not tenues:
                    continue
                trouvees, differentes, vues = shadow.differences(
                    self.conn, table, TEMPORARY, limit=DITES_MAX, within=(depuis, borne), without=tus,
                    keys=None if a_rejouer is None else [flux.removeprefix(table.prefix) for flux in a_rejouer],
                )  # fmt: skip
                constats += self._constats(table, trouvees, position)
                comparees += vues
                total += differentes
                differents = differents.union(*(streams_of(table, une) for une in trouvees))
            if finie and tenues:
                faux, comptees = self._comptes()
                constats, total, comparees = constats + faux, total + len(faux), comparees + comptees
            accord = None if marques is None or total > DITES_MAX else accord_de(marques, differents)
            return Tranche(depuis, borne, finie, comparees, total, constats[:DITES_MAX], accord)

    def verifier(self, position: int, trouvees: Sequence[Difference]) -> list[str]:
        """Celles de ces lignes d'une ombre (`left`) que leurs flux, rejoués seuls jusque-là, ne disent pas."""
        fautes: list[str] = []
        for lignes in self.vue.par_flux:
            siennes = [une for une in trouvees if une.table == lignes.table]
            if not siennes:
                continue
            with _instantane(self.conn, (lignes,)):
                flux = sorted(set().union(*(streams_of(lignes, une) for une in siennes)))
                rangs = self.conn.execute(_FAITS_DE, (flux, self._topics, position), binary=True).fetchall()
                irrejouables = self._rejouer(rangs, set())
                dites = self._lignes_rejouees(lignes)
            comparees = lignes.compared(list(shadow.columns(self.conn, lignes.table)))
            fautes += [
                f"{lignes.table} {une.key} : l'ombre ne dit pas ce que dit son flux"
                for une in siennes
                if streams_of(lignes, une).isdisjoint(irrejouables) and differe(une.left, dites.get(une.key), comparees)
            ]
        return fautes

    def _comptes(self) -> tuple[list[Constat], int]:
        """Où les comptes de la vue ne sont pas ceux de ses lignes, et combien ont été comparés ; à la fin d'un tour."""
        if self.vue.comptes is None:
            return [], 0
        lignes, ecarts = self.vue.comptes
        faux = [
            Constat(cle_dite(lignes, str(cle)), "", "autre", None, f"la vue en garde {garde}, ses lignes {compte}")
            for cle, garde, compte in self.conn.execute(ecarts.encode())
        ]
        (combien,) = self.conn.execute(f"SELECT count(*) FROM {shadow.LIVE}.{lignes.table}".encode()).fetchone() or (0,)  # noqa: S608
        return faux, combien

    # --- Rejouer -----------------------------------------------------------------------------------------------------

    def _marquer(
        self, ensemble: tuple[Rows, ...], bornes: tuple[str, str], position: int, bloc: Bloc
    ) -> Marques | None:
        """None si une ligne de la vue peut venir d'autre chose que de son flux : rien n'y est tenu pour acquis."""
        if not self.vue.d_un_flux:
            return None
        return marquer(self.conn, ensemble, bornes, self._topics, position, bloc, self._grain)

    def _faits(self, bornes: tuple[str, str], flux: list[str] | None, position: int) -> list[Any]:
        """Ceux de ces bornes ; de ces flux seuls, s'ils sont dits."""
        if flux is None:
            return self.conn.execute(_FAITS, (*bornes, self._topics, position), binary=True).fetchall()
        if not flux:
            return []
        return self.conn.execute(_FAITS_DE, (flux, self._topics, position), binary=True).fetchall()

    def _position(self) -> tuple[int, bool]:
        position, tenues = self.conn.execute(_POSITION, (self.nom,)).fetchone() or (0, True)
        return int(position), bool(tenues)

    def _rejouer(self, rangs: Iterable[Any], sauf: set[str]) -> dict[str, str]:
        """Applique ces faits aux tables temporaires ; rend les flux qui ne se rejouent pas, et pourquoi."""
        fautifs: dict[str, str] = {}
        faits: list[RecordedEvent] = []
        lire = self.mapper.read  # La lecture des suiveurs : ce que la vue a lu, la comparaison le relit de même.
        for position, flux, version, topic, etat, cause, enregistre_le in rangs:
            if flux in sauf or flux in fautifs:
                continue
            try:
                fait = lire(flux, version, topic, etat)
            except MapperDeserialisationError as erreur:
                fautifs[flux] = describe(erreur)
            else:
                faits.append(RecordedEvent(position, fait, cause, enregistre_le))
        if fautifs:
            faits = [lu for lu in faits if lu.event.originator_id not in fautifs]
        self._appliquer(faits, fautifs)
        return fautifs

    def _appliquer(self, faits: list[RecordedEvent], fautifs: dict[str, str]) -> None:
        """Un lot fautif est coupé en deux, par flux, jusqu'à ce que le flux fautif soit seul."""
        if not faits:
            return
        try:
            with self.conn.transaction(), self._dans_l_ombre():
                self._menee.appliquer(self.conn, faits)
        except Exception as erreur:
            if is_outage(erreur):
                raise
            flux = list(dict.fromkeys(lu.event.originator_id for lu in faits))
            if len(flux) == 1:
                fautifs[flux[0]] = describe(erreur)
                return
            premiers = set(flux[: len(flux) // 2])
            self._appliquer([lu for lu in faits if lu.event.originator_id in premiers], fautifs)
            self._appliquer([lu for lu in faits if lu.event.originator_id not in premiers], fautifs)

    def _rejouer_l_autre_flux(
        self, lignes: Rows, bornes: tuple[str, str], ecartes: set[str], position: int
    ) -> dict[str, str]:
        """Ceux dont ces lignes viennent aussi : on les apprend des lignes mêmes, d'un côté et de l'autre."""
        if lignes.also is None:
            return {}
        colonne, prefixe = lignes.also
        depuis, jusqu_a = (borne.removeprefix(lignes.prefix) for borne in bornes)
        noms = set()
        for ou in (TEMPORARY, shadow.LIVE):
            requete = (
                f"SELECT DISTINCT {colonne} FROM {ou}.{lignes.table}"  # noqa: S608 (noms de la liste des vues)
                f" WHERE {lignes.column} > %s AND {lignes.column} <= %s"
            )
            noms |= {nom for (nom,) in self.conn.execute(requete.encode(), (depuis, jusqu_a)) if nom is not None}
        flux = sorted(prefixe + nom for nom in noms)
        rangs = self.conn.execute(_FAITS_DE, (flux, self._topics, position), binary=True).fetchall() if flux else []
        return self._rejouer(rangs, ecartes)

    @contextmanager
    def _dans_l_ombre(self) -> Iterator[None]:
        avant = self.conn.cursor_factory
        self.conn.cursor_factory = self._dirige
        try:
            yield
        finally:
            self.conn.cursor_factory = avant

    def _lignes_rejouees(self, lignes: Rows) -> dict[str, dict[str, Any]]:
        cle = " || ',' || ".join(f"t.{colonne}::text" for colonne in lignes.key)
        requete = f"SELECT {cle}, to_jsonb(t) FROM {TEMPORARY}.{lignes.table} AS t"  # noqa: S608
        return dict(self.conn.execute(requete.encode()).fetchall())

    # --- Dire --------------------------------------------------------------------------------------------------------

    def _irrejouable(self, lignes: Rows, flux: str, cause: str) -> Constat:
        phrase = f"la vue montre un flux que le journal ne permet plus de rejouer : {cause[:200]}"
        return Constat(cle_dite(lignes, flux.removeprefix(lignes.prefix)), flux, "irrejouable", None, phrase)

    def _constats(self, lignes: Rows, trouvees: Sequence[Difference], position: int) -> list[Constat]:
        types = shadow.columns(self.conn, lignes.table)
        dits = []
        for rang, une in enumerate(trouvees[:DITES_MAX]):
            flux = sorted(streams_of(lignes, une))
            rangs = self.conn.execute(_FAITS_DE, (flux, self._topics, position), binary=True).fetchall()
            ou = rangs[-1] if rangs else None
            if une.right is None:
                genre, phrase = "manque", "la vue n'a pas cette ligne"
            elif une.left is None:
                genre, phrase = "en_trop", "rien au journal ne dit cette ligne"
            else:
                genre, phrase = "autre", colonnes(une, lignes.compared(list(types)), types)
            if une.right is not None and rang < REPRISES_MAX and 1 < len(rangs) <= FAITS_REPRIS_MAX:
                suivant = self._arretee_avant(lignes, une, rangs)
                if suivant is not None:
                    ou = suivant
                    phrase += f" ; elle en est restée avant {ou[1]} v{ou[2]}"
            if ou is not None:
                phrase += f" (événement {ou[0]})"
            dits.append(Constat(cle_dite(lignes, une.key), une.stream, genre, ou[0] if ou else None, phrase))
        return dits

    def _arretee_avant(self, lignes: Rows, une: Difference, rangs: Sequence[Any]) -> Any | None:
        """L'événement dont l'effet manque, si la ligne est celle d'un début du flux."""
        comparees = lignes.compared(list(shadow.columns(self.conn, lignes.table)))
        for combien in range(len(rangs) - 1, 0, -1):
            with self.conn.transaction(force_rollback=True):
                for table in self.vue.lignes:
                    self.conn.execute(f"DELETE FROM {TEMPORARY}.{table.table}".encode())  # noqa: S608
                if self._rejouer(rangs[:combien], set()):
                    continue
                debut = self._lignes_rejouees(lignes).get(une.key)
            if debut is not None and not differe(debut, une.right, comparees):
                return rangs[combien]
        return None


@contextmanager
def _instantane(conn: Connection[Any], tables: Sequence[Rows]) -> Iterator[None]:
    """Une transaction qui ne voit que ce qui était validé quand elle a commencé.

    Les tables sont tenues avant l'instantané : d'autres ne prennent pas leur place entre les deux.
    """
    avant = conn.isolation_level
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with conn.transaction():
            nommees = ", ".join(f"{shadow.LIVE}.{lignes.table}" for lignes in tables)
            conn.execute(f"LOCK TABLE {nommees} IN ACCESS SHARE MODE".encode())
            conn.execute(_SANS_BORNE)
            yield
    finally:
        conn.isolation_level = avant


__all__ = ["Comparateur", "Constat", "Tranche"]
