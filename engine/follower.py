"""La base des suiveurs : lire le journal dans l'ordre, l'appliquer par lots, avancer sa position d'un même bloc.

Un suiveur sert une vue, ou la publication. Un seul processus le mène à la fois, par un verrou tenu sur la connexion
même qui écrit : connexion perdue, verrou rendu. Il se réveille sur NOTIFY, au plus tard après une seconde. Un événement
qu'il ne sait pas appliquer est écarté avec les suivants du même flux seulement ; le reste avance. Une panne n'écarte
rien : le suiveur attend et reprend. Ce qu'un opérateur libère, c'est le meneur qui l'applique.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import structlog
from psycopg import Connection

from engine.backoff import Backoff
from engine.database import connect
from engine.mapper import EventMapper
from engine.outages import describe, is_outage
from engine.recorder import CANAL, RecordedEvent
from engine.role_state import RoleState

LOT_MAX: Final = 2_000
"""Événements lus et appliqués dans une même transaction, au plus."""

WAKE_MAX_S: Final = 1.0
"""Attente la plus longue d'un NOTIFY, qui peut se perdre (secondes)."""

BACKOFF_MAX_S: Final = 5.0
"""L'attente la plus longue entre deux essais (secondes) : un suiveur arrêté est un affichage qui attend."""

CAUSE_MAX: Final = 2_000
"""Longueur d'une cause gardée, en signes."""

# Inscrit le suiveur s'il ne l'est pas.
_INSCRIRE: Final = "INSERT INTO vues.suiveurs (nom) VALUES (%b) ON CONFLICT DO NOTHING"

# Prend la conduite du suiveur, si personne ne l'a.
_MENER: Final = "SELECT pg_try_advisory_lock(%b::int8)"

# La position du suiveur.
_POSITION: Final = "SELECT position FROM vues.suiveurs WHERE nom = %b"

# Jusqu'où lire : la tête du journal. Lue avant les événements, jamais après, pour ne pas en sauter.
_TETE: Final = "SELECT coalesce(max(position), 0) FROM journal.evenements"

# Les événements suivants qui concernent la vue.
_SUIVANTS: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le FROM journal.evenements
WHERE position > %b AND position <= %b AND topic = ANY (%b::text[]) ORDER BY position LIMIT %b
"""

# Avance par comparaison : si quelqu'un d'autre a avancé, rien n'est écrit.
_AVANCER: Final = "UPDATE vues.suiveurs SET position = %b WHERE nom = %b AND position = %b"

# Les flux dont la suite est écartée.
_FLUX_ECARTES: Final = "SELECT DISTINCT flux FROM vues.ecartes WHERE suiveur = %b AND flux = ANY (%b::text[])"

# Écarte un événement.
_ECARTER: Final = """
INSERT INTO vues.ecartes (suiveur, position, flux, cause) VALUES (%b, %b, %b, %b)
ON CONFLICT (suiveur, position) DO UPDATE SET cause = excluded.cause, libere_le = NULL
"""

# Les événements écartés des flux libérés, dans l'ordre.
_LIBERES: Final = """
SELECT e.position, e.flux, e.version, e.topic, e.etat, e.cause, e.enregistre_le
FROM vues.ecartes x JOIN journal.evenements e USING (position)
WHERE x.suiveur = %b
  AND x.flux IN (SELECT flux FROM vues.ecartes WHERE suiveur = %b AND libere_le IS NOT NULL)
ORDER BY e.position
"""

# Oublie les événements écartés d'un flux, une fois appliqués.
_REINTEGRER: Final = "DELETE FROM vues.ecartes WHERE suiveur = %b AND flux = %b"

# Rend un flux à l'attente : sa reprise a échoué encore.
_RETENIR: Final = "UPDATE vues.ecartes SET libere_le = NULL, cause = %b WHERE suiveur = %b AND flux = %b"


class LeadershipLost(Exception):
    """Un autre meneur a avancé ce suiveur : s'arrêter et reprendre depuis sa position."""


class View(Protocol):
    """Ce qu'un suiveur tient à jour."""

    @property
    def nom(self) -> str:
        """Le nom du suiveur, ASCII."""

    @property
    def topics(self) -> frozenset[str]:
        """Les sujets d'événements qui la concernent."""

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Applique ces faits, dans l'ordre, en un nombre d'instructions qui ne dépend pas de leur nombre."""


@runtime_checkable
class ExternalView(View, Protocol):
    """Une vue qui agit aussi hors de la base : lentement, hors de toute transaction, et au besoin deux fois.

    Elle lève `engine.outages.Outage` si un serveur lui manque ; toute autre exception accuse un événement du lot.
    """

    def reconcile(self, conn: Connection[Any]) -> None:
        """Appelée par le meneur avant chaque lot : elle peut y déplacer sa propre position, dans une transaction."""

    def preparer(self, faits: Sequence[RecordedEvent]) -> None:
        """Agit hors de la base pour ces faits ; `appliquer` suit, dans la transaction où la position avance."""


class _Ligne(NamedTuple):
    position: int
    flux: str
    version: int
    topic: str
    etat: bytes
    cause: str
    enregistre_le: Any


class Follower:
    """Mène une vue le long du journal."""

    def __init__(
        self,
        url: str,
        vue: View,
        *,
        derriere: str | None = None,
        lot_max: int = LOT_MAX,
        wake_max_s: float = WAKE_MAX_S,
        mapper: EventMapper | None = None,
        etape: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`derriere` : ne jamais dépasser la position validée de cet autre suiveur.

        `etape` est appelée entre deux étapes d'un lot, avec leur nom : pour tracer, ou pour éprouver une coupure.
        """
        self.url = url
        self.vue = vue
        self.derriere = derriere
        self.lot_max = lot_max
        self.wake_max_s = wake_max_s
        self.mapper = mapper or EventMapper()
        self.etape = etape
        self._log = structlog.get_logger().bind(suiveur=vue.nom)
        self._etat = RoleState(url, vue.nom)
        self._reprise = Backoff(self._log, "suiveur_interrompu", maximum_s=BACKOFF_MAX_S)
        self._topics = sorted(vue.topics)

    # --- La boucle ---------------------------------------------------------------------------------------------------

    def run(self, arret: threading.Event) -> None:
        """Suit le journal jusqu'à l'arrêt demandé ; se reconnecte seul, et dit pourquoi il s'est interrompu."""
        while not arret.is_set():
            try:
                with closing(connect(self.url, application=f"creances-{self.vue.nom}")) as conn:
                    if not self._mener(conn):
                        arret.wait(self.wake_max_s)
                        continue
                    self._suivre(conn, arret)
            except Exception as erreur:  # noqa: BLE001 (toute panne est gardée, puis reprise)
                attente_s = self._reprise.fail(erreur)
                self._etat.interrupt(erreur)
                arret.wait(attente_s)

    def catch_up(self) -> int:
        """Applique tout ce qui est en attente, sans boucle ni réveil ; rend le nombre d'événements lus.

        Lève LeadershipLost si un autre processus mène cette vue.
        """
        with closing(connect(self.url, application=f"creances-{self.vue.nom}")) as conn:
            if not self._mener(conn):
                raise LeadershipLost(self.vue.nom)
            total = 0
            while lus := self.avancer(conn):
                total += lus
            return total

    def _mener(self, conn: Connection[Any]) -> bool:
        conn.execute(_INSCRIRE, (self.vue.nom,))
        (mene,) = conn.execute(_MENER, (_cle_de_verrou(self.vue.nom),)).fetchone() or (False,)
        if mene:
            self._etat.dire(conn, "actif")
        return bool(mene)

    def _suivre(self, conn: Connection[Any], arret: threading.Event) -> None:
        conn.execute(f"LISTEN {CANAL if self.derriere is None else _canal(self.derriere)}")
        while not arret.is_set():
            lus = self.avancer(conn)
            self._reprise.progress()
            if lus < self.lot_max:
                if self._etat.is_due:
                    self._etat.dire(conn, "actif")
                for _ in conn.notifies(timeout=self.wake_max_s, stop_after=1):
                    pass
        self._etat.dire(conn, "inactif")

    # --- Un lot ------------------------------------------------------------------------------------------------------

    def avancer(self, conn: Connection[Any]) -> int:
        """Lit et applique un lot ; rend le nombre d'événements lus (0 : rien en attente)."""
        if isinstance(self.vue, ExternalView):
            self.vue.reconcile(conn)
        self._reprendre_liberes(conn)
        depuis = self._position(conn)
        tete = self._tete(conn)
        if tete <= depuis:
            return 0
        self.etape("lire")
        suivants = conn.execute(_SUIVANTS, (depuis, tete, self._topics, self.lot_max), binary=True)
        lignes = [_Ligne(*ligne) for ligne in suivants]
        self._faire_avancer(conn, lignes, depuis, lignes[-1].position if len(lignes) == self.lot_max else tete)
        self.etape("suite")
        return len(lignes)

    def _faire_avancer(self, conn: Connection[Any], lignes: Sequence[_Ligne], depuis: int, jusqu_a: int) -> None:
        """Applique ces événements et avance d'un bloc ; un lot fautif est coupé en deux jusqu'à isoler le fautif."""
        try:
            self._appliquer(conn, lignes, depuis, jusqu_a)
        except LeadershipLost:
            raise
        except Exception as erreur:
            if is_outage(erreur):
                raise
            # La trace accompagne le fautif une fois isolé ; d'ici là, une ligne par coupe.
            trace = erreur if len(lignes) <= 1 else None
            dits = {"depuis": depuis, "jusqu_a": jusqu_a, "evenements": len(lignes)}
            self._log.error("lot_fautif", **dits, cause=describe(erreur)[:CAUSE_MAX], exc_info=trace)
            if len(lignes) > 1:
                milieu = len(lignes) // 2
                cesure = lignes[milieu - 1].position
                self._faire_avancer(conn, lignes[:milieu], depuis, cesure)
                self._faire_avancer(conn, lignes[milieu:], cesure, jusqu_a)
            elif lignes:
                with conn.transaction():
                    self._ecarter(conn, lignes[0], describe(erreur)[:CAUSE_MAX])
                    self._avancer_a(conn, depuis, jusqu_a)
            else:
                raise

    def _position(self, conn: Connection[Any]) -> int:
        (position,) = conn.execute(_POSITION, (self.vue.nom,)).fetchone() or (0,)
        return int(position)

    def _tete(self, conn: Connection[Any]) -> int:
        if self.derriere is not None:
            (position,) = conn.execute(_POSITION, (self.derriere,)).fetchone() or (0,)
            return int(position)
        (tete,) = conn.execute(_TETE).fetchone() or (0,)
        return int(tete)

    def _avancer_a(self, conn: Connection[Any], depuis: int, jusqu_a: int) -> None:
        if conn.execute(_AVANCER, (jusqu_a, self.vue.nom, depuis)).rowcount != 1:
            raise LeadershipLost(self.vue.nom)
        conn.execute(f"NOTIFY {_canal(self.vue.nom)}")

    def _appliquer(self, conn: Connection[Any], lignes: Sequence[_Ligne], depuis: int, jusqu_a: int) -> None:
        ecartes = self._flux_ecartes(conn, lignes)
        faits = [self._lire(ligne) for ligne in lignes if ligne.flux not in ecartes]
        self._preparer(faits)
        with conn.transaction():
            self.etape("appliquer")
            if faits:
                self.vue.appliquer(conn, faits)
            for ligne in lignes:
                if ligne.flux in ecartes:
                    self._ecarter(conn, ligne, "suit un événement écarté du même flux")
            self._avancer_a(conn, depuis, jusqu_a)
            self.etape("valider")

    def _preparer(self, faits: Sequence[RecordedEvent]) -> None:
        if faits and isinstance(self.vue, ExternalView):
            self.vue.preparer(faits)

    def _flux_ecartes(self, conn: Connection[Any], lignes: Sequence[_Ligne]) -> set[str]:
        flux = list({ligne.flux for ligne in lignes})
        return {nom for (nom,) in conn.execute(_FLUX_ECARTES, (self.vue.nom, flux))}

    def _lire(self, ligne: _Ligne) -> RecordedEvent:
        fait = self.mapper.lire(ligne.flux, ligne.version, ligne.topic, ligne.etat)
        return RecordedEvent(ligne.position, fait, ligne.cause, ligne.enregistre_le)

    # --- Les événements fautifs --------------------------------------------------------------------------------------

    def _ecarter(self, conn: Connection[Any], ligne: _Ligne, cause: str) -> None:
        self._log.error("evenement_ecarte", position=ligne.position, flux=ligne.flux, cause=cause)
        conn.execute(_ECARTER, (self.vue.nom, ligne.position, ligne.flux, cause))

    def _reprendre_liberes(self, conn: Connection[Any]) -> None:
        """Applique les flux qu'un opérateur a libérés ; un flux encore fautif retourne à l'attente."""
        lignes = [_Ligne(*ligne) for ligne in conn.execute(_LIBERES, (self.vue.nom, self.vue.nom))]
        for flux in dict.fromkeys(ligne.flux for ligne in lignes):
            try:
                faits = [self._lire(ligne) for ligne in lignes if ligne.flux == flux]
                self._preparer(faits)
                with conn.transaction():
                    self.vue.appliquer(conn, faits)
                    conn.execute(_REINTEGRER, (self.vue.nom, flux))
                self._log.info("flux_reintegre", flux=flux)
            except Exception as erreur:
                if is_outage(erreur):
                    raise
                # Le flux reste écarté, avec sa nouvelle cause.
                conn.execute(_RETENIR, (describe(erreur)[:CAUSE_MAX], self.vue.nom, flux))


def _canal(nom: str) -> str:
    """Le canal NOTIFY qui dit qu'un suiveur a avancé : il réveille celui qui lit derrière lui."""
    return f"suiveur_{nom}"


def _cle_de_verrou(nom: str) -> int:
    """La clé du verrou de conduite d'un suiveur, tirée de son nom."""
    return int.from_bytes(hashlib.sha256(f"suiveur:{nom}".encode()).digest()[:8], "big", signed=True)
