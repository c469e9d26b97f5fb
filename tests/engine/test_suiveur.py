"""Le suiveur : un seul meneur, rien deux fois, rien d'oublié, et un événement fautif n'arrête que son flux."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from engine.database import connect
from engine.follower import AheadOfLog, Follower, LeadershipLost
from engine.recorder import Recorder
from tests.engine.epreuve import DE_TROP_POUR_LA_TABLE, MAPPER, Pas, Trace, ailleurs, ecrire, pas
from tests.outils import attendre, se_tuer

LONGTEMPS_S = 600.0
"""Un réveil maximal si long que seul un NOTIFY peut réveiller à temps."""


@pytest.fixture
def vue(service: psycopg.Connection[Any]) -> Trace:
    """La vue d'épreuve et sa table."""
    trace = Trace()
    trace.creer(service)
    return trace


@contextmanager
def tournant(suiveur: Follower) -> Iterator[threading.Thread]:
    """Le suiveur, en fond ; réveillé à la fin pour qu'il voie l'arrêt."""
    arret = threading.Event()
    fil = threading.Thread(target=suiveur.run, args=(arret,))
    fil.start()
    try:
        yield fil
    finally:
        arret.set()
        with psycopg.connect(suiveur.url, autocommit=True) as conn:
            canal = "journal" if suiveur.derriere is None else f"suiveur_{suiveur.derriere}"

            def fini() -> bool:
                conn.execute(f"NOTIFY {canal}".encode())
                fil.join(0.05)
                return not fil.is_alive()

            attendre(fini, secondes=20, quoi="la fin du suiveur")


def position(conn: psycopg.Connection[Any], nom: str = "epreuve") -> int:
    (ou,) = conn.execute("SELECT position FROM vues.suiveurs WHERE nom = %s", (nom,)).fetchone() or (0,)
    return int(ou)


def etat(conn: psycopg.Connection[Any]) -> tuple[str, str | None]:
    requete = "SELECT etat, derniere_erreur FROM vues.suiveurs WHERE nom = 'epreuve'"
    return conn.execute(requete).fetchone() or ("", None)


def meneurs(conn: psycopg.Connection[Any]) -> list[int]:
    """La session qui mène le suiveur de cette base, si elle vit."""
    requete = (
        "SELECT a.pid FROM pg_stat_activity a JOIN vues.suiveurs s ON a.pid = s.bail_session WHERE s.nom = 'epreuve'"
    )
    return [pid for (pid,) in conn.execute(requete)]


def au_repos(conn: psycopg.Connection[Any]) -> bool:
    """Dit si le suiveur n'a plus rien à lire, et attend."""
    requete = (
        "SELECT 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'follower-epreuve%%'"
        " AND state = 'idle' AND query ~ 'max\\(position\\)|FROM vues.suiveurs'"
    )
    return bool(conn.execute(requete.encode()).fetchall())


# --- Avancer ---------------------------------------------------------------------------------------------------------


def test_il_avance_par_lots_et_saute_ce_qui_ne_concerne_pas_la_vue(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    faits = [pas("a", version) if version % 2 else ailleurs("a", version) for version in range(1, 15)]
    tete = ecrire(recorder, *faits)[-1]
    assert Follower(base.url, vue, lot_max=3, mapper=MAPPER).catch_up() == 7
    assert vue.lots == [3, 3, 1]
    assert vue.lire(service) == {"a": "1 3 5 7 9 11 13"}
    assert position(service) == tete
    assert Follower(base.url, vue, mapper=MAPPER).catch_up() == 0


def test_si_un_autre_a_avance_entre_temps_rien_n_est_ecrit(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    tete = ecrire(recorder, pas("a", 1))[-1]

    def devancer(etape: str) -> None:
        if etape == "appliquer":
            service.execute("UPDATE vues.suiveurs SET position = %s WHERE nom = 'epreuve'", (tete,))

    with pytest.raises(LeadershipLost):
        Follower(base.url, vue, etape=devancer, mapper=MAPPER).catch_up()
    assert vue.lots == [1]
    assert vue.lire(service) == {}
    assert position(service) == tete


# --- Mener -----------------------------------------------------------------------------------------------------------


class Insistant(Follower):
    """Compte ses essais de prendre la conduite."""

    essais = 0

    def _lead(self, conn: psycopg.Connection[Any]) -> bool:
        mene = super()._lead(conn)
        self.essais += 1
        return mene


def test_un_second_attend_que_le_bail_du_premier_soit_fini_et_le_premier_n_ecrit_plus(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    premier, second = Follower(base.url, vue, mapper=MAPPER), Insistant(base.url, vue, wake_max_s=0.02, mapper=MAPPER)
    with closing(connect(base.url, application="follower-epreuve")) as conn:
        assert premier._lead(conn)
        with tournant(second):
            ecrire(recorder, pas("a", 1))
            attendre(lambda: second.essais >= 4, quoi="le second insiste")
            assert vue.lots == []
            with pytest.raises(LeadershipLost):
                Follower(base.url, vue, mapper=MAPPER).catch_up()

            service.execute("UPDATE vues.suiveurs SET bail_expire_le = clock_timestamp() WHERE nom = 'epreuve'")
            attendre(lambda: vue.lire(service) == {"a": "1"}, quoi="le second a pris la suite")
            ecrire(recorder, pas("a", 2), pas("a", 3))
            attendre(lambda: vue.lire(service) == {"a": "1 2 3"}, quoi="le second poursuit")
            with pytest.raises(LeadershipLost):
                premier._move(conn, position(service), position(service) + 1)


def test_il_se_reconnecte_seul_apres_chaque_coupure(
    base: Any,
    recorder: Recorder,
    service: psycopg.Connection[Any],
    proprietaire: psycopg.Connection[Any],
    vue: Trace,
) -> None:
    with tournant(Follower(base.url, vue, wake_max_s=0.05, mapper=MAPPER)):
        for version in (1, 2, 3):
            (pid,) = attendre(lambda: meneurs(proprietaire), quoi="un meneur")
            proprietaire.execute("SELECT pg_terminate_backend(%s)", (pid,))
            ecrire(recorder, pas("a", version))
            suite = " ".join(str(v) for v in range(1, version + 1))
            attendre(lambda suite=suite: vue.lire(service) == {"a": suite}, quoi=suite)  # type: ignore[misc]
        arret, erreur = etat(service)
        assert arret == "actif"
        # Selon l'instant de la coupure, le dernier mot du serveur arrive ou se perd : c'est une panne de même.
        assert any(mot in (erreur or "") for mot in ("terminating connection", "server closed the connection"))
    assert etat(service)[0] == "inactif"


def test_il_dit_pourquoi_il_s_est_arrete_puis_reprend(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    repare = threading.Event()

    def etape(nom: str) -> None:
        if nom == "lire" and not repare.is_set():
            raise RuntimeError("le disque est parti")

    ecrire(recorder, pas("a", 1))
    with tournant(Follower(base.url, vue, etape=etape, wake_max_s=0.05, mapper=MAPPER)):
        attendre(lambda: etat(service) == ("arrete", "RuntimeError: le disque est parti"), quoi="la raison de l'arrêt")
        repare.set()
        attendre(lambda: vue.lire(service) == {"a": "1"})
        assert etat(service) == ("actif", "RuntimeError: le disque est parti")


# --- Se réveiller ----------------------------------------------------------------------------------------------------


def test_un_journal_plus_court_que_la_vue_est_dit_et_rien_n_est_saute(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    """Le journal seul a été restauré : la suite, écrite sous des positions déjà passées, se perdrait sans bruit."""
    suiveur = Follower(base.url, vue, mapper=MAPPER)
    ecrire(recorder, pas("a", 1))
    assert suiveur.catch_up() == 1
    service.execute("UPDATE vues.suiveurs SET position = position + 5 WHERE nom = 'epreuve'")
    with pytest.raises(AheadOfLog, match="le journal finit à"):
        suiveur.catch_up()


def test_il_se_reveille_sur_notify(
    base: Any,
    recorder: Recorder,
    service: psycopg.Connection[Any],
    proprietaire: psycopg.Connection[Any],
    vue: Trace,
) -> None:
    with tournant(Follower(base.url, vue, wake_max_s=LONGTEMPS_S, mapper=MAPPER)):
        attendre(lambda: au_repos(proprietaire))
        ecrire(recorder, pas("a", 1))
        attendre(lambda: vue.lire(service) == {"a": "1"})


def test_il_se_reveille_aussi_quand_le_notify_s_est_perdu(
    base: Any,
    recorder: Recorder,
    service: psycopg.Connection[Any],
    proprietaire: psycopg.Connection[Any],
    vue: Trace,
) -> None:
    stocke = recorder.mapper.to_stored_event(pas("a", 1).event)
    with tournant(Follower(base.url, vue, wake_max_s=0.2, mapper=MAPPER)):
        attendre(lambda: au_repos(proprietaire))
        service.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause) VALUES ('a', 1, %s, %s, 'sans NOTIFY')",
            (stocke.topic, stocke.state),
        )
        attendre(lambda: vue.lire(service) == {"a": "1"})


# --- Écarter, libérer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fautive", [13, DE_TROP_POUR_LA_TABLE], ids=["la vue refuse", "PostgreSQL refuse"])
def test_un_evenement_fautif_n_arrete_que_la_suite_de_son_flux(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace, fautive: int
) -> None:
    vue.fautives = {13}
    ecrire(recorder, pas("a", 1), pas("b", 1), pas("a", 2, fautive), pas("b", 2), pas("a", 3), pas("c", 1))
    tete = ecrire(recorder, pas("b", 3), pas("a", 4))[-1]
    assert Follower(base.url, vue, lot_max=6, mapper=MAPPER).catch_up() == 8
    assert vue.lire(service) == {"a": "1", "b": "1 2 3", "c": "1"}
    assert vue.ecartes(service) == [("a", 2), ("a", 3), ("a", 4)]
    causes = [cause for (cause,) in service.execute("SELECT cause FROM vues.ecartes ORDER BY position")]
    assert causes[0].startswith("ValueError: longueur fautive : 13" if fautive == 13 else "CheckViolation: ")
    assert causes[1:] == ["suit un événement écarté du même flux"] * 2
    assert position(service) == tete


def test_ce_qui_est_libere_est_applique_par_le_meneur_dans_l_ordre(
    base: Any,
    recorder: Recorder,
    service: psycopg.Connection[Any],
    proprietaire: psycopg.Connection[Any],
    vue: Trace,
) -> None:
    vue.fautives = {13}
    ecrire(recorder, pas("a", 1), pas("a", 2, 13), pas("a", 3), pas("b", 1, 13), pas("b", 2))
    with tournant(Follower(base.url, vue, wake_max_s=0.05, mapper=MAPPER)):
        attendre(lambda: len(vue.ecartes(service)) == 4, secondes=40)
        assert len(meneurs(proprietaire)) == 1
        vue.fautives.clear()
        # Libérer un seul événement libère son flux entier : dans le désordre, il n'aurait pas de sens.
        service.execute(
            "UPDATE vues.ecartes SET libere_le = now() WHERE position = (SELECT max(position) FROM"
            " vues.ecartes WHERE flux = 'a')"
        )
        attendre(lambda: vue.lire(service) == {"a": "1 2 3"})
        assert vue.ecartes(service) == [("b", 1), ("b", 2)]
        ecrire(recorder, pas("a", 4), pas("b", 3))
        attendre(lambda: vue.lire(service) == {"a": "1 2 3 4"})
        service.execute("UPDATE vues.ecartes SET libere_le = now()")
        attendre(lambda: vue.lire(service) == {"a": "1 2 3 4", "b": "1 2 3"})
    assert vue.ecartes(service) == []


def test_un_flux_libere_encore_fautif_retourne_a_l_attente_sans_rien_appliquer(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    vue.fautives = {13, 14}
    ecrire(recorder, pas("a", 1), pas("a", 2, 13), pas("a", 3, 14), pas("b", 1, 13))
    suiveur = Follower(base.url, vue, mapper=MAPPER)
    suiveur.catch_up()
    vue.fautives = {14}
    service.execute("UPDATE vues.ecartes SET libere_le = now()")
    suiveur.catch_up()
    assert vue.lire(service) == {"a": "1", "b": "1"}
    assert vue.ecartes(service) == [("a", 2), ("a", 3)]
    retenus = service.execute("SELECT DISTINCT libere_le, cause FROM vues.ecartes").fetchall()
    assert retenus == [(None, "ValueError: longueur fautive : 14")]


# --- Derrière un autre -----------------------------------------------------------------------------------------------


def test_celui_qui_lit_derriere_ne_depasse_jamais_la_position_validee_de_l_autre(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    seconde = Trace("epreuve_derriere")
    seconde.creer(service)
    derriere = Follower(base.url, seconde, derriere=vue.nom, mapper=MAPPER)
    ecrire(recorder, *(pas("a", version) for version in range(1, 8)))
    positions: list[tuple[str, int, int]] = []

    def etape(nom: str) -> None:
        derriere.catch_up()
        positions.append((nom, position(service, seconde.nom), position(service)))

    assert derriere.catch_up() == 0
    Follower(base.url, vue, lot_max=3, etape=etape, mapper=MAPPER).catch_up()
    assert [(nom, elle) for nom, elle, _ in positions if nom in {"valider", "suite"}] == [
        ("valider", 0), ("suite", 3), ("valider", 3), ("suite", 6), ("valider", 6), ("suite", 7)
    ]  # fmt: skip
    assert all(elle <= lautre for _, elle, lautre in positions)
    assert seconde.lire(service) == vue.lire(service) == {"a": "1 2 3 4 5 6 7"}


def test_celui_qui_lit_derriere_est_reveille_par_l_avance_de_l_autre(
    base: Any,
    recorder: Recorder,
    service: psycopg.Connection[Any],
    proprietaire: psycopg.Connection[Any],
    vue: Trace,
) -> None:
    seconde = Trace("epreuve_derriere")
    seconde.creer(service)
    with tournant(Follower(base.url, seconde, derriere=vue.nom, wake_max_s=LONGTEMPS_S, mapper=MAPPER)):
        attendre(lambda: au_repos(proprietaire))
        ecrire(recorder, pas("a", 1))
        Follower(base.url, vue, mapper=MAPPER).catch_up()
        attendre(lambda: seconde.lire(service) == {"a": "1"})


# --- Mourir ----------------------------------------------------------------------------------------------------------

LOT = 3
ETAPES_DU_LOT_FAUTIF = range(5, 10)
"""Le premier lot en a quatre : lire, appliquer, valider, suite ; le deuxième, fautif, est coupé en trois."""


@pytest.mark.lent
def test_tue_autour_d_un_lot_fautif_il_laisse_la_meme_vue_et_les_memes_ecartes(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], proprietaire: psycopg.Connection[Any]
) -> None:
    ecrire(recorder, pas("a", 1), pas("b", 1), pas("a", 2), pas("b", 2, DE_TROP_POUR_LA_TABLE), pas("a", 3))
    proprietaire.execute(
        "INSERT INTO journal.evenements (flux, version, topic, etat, cause) VALUES ('c', 1, %s, 'ni JSON', 'planté')",
        (Pas.TOPIC,),
    )
    ecrire(recorder, pas("a", 4), pas("b", 3), pas("c", 2), ailleurs("d", 1), pas("d", 2))
    faites: list[str] = []
    paisible = Trace("epreuve_paisible")
    paisible.creer(service)
    Follower(base.url, paisible, lot_max=LOT, etape=faites.append, mapper=MAPPER).catch_up()
    normal = ["lire", "appliquer", "valider", "suite"]
    # Coupé en deux jusqu'aux fautifs : b 2, que la table refuse, a 3, sain, et c 1, que l'on ne sait pas même lire.
    fautif = ["lire", "appliquer", "appliquer", "valider", "suite"]
    assert faites == [*normal, *fautif, *normal, *normal]
    attendue, ecartes = paisible.lire(service), paisible.ecartes(service)
    assert attendue == {"a": "1 2 3 4", "b": "1", "d": "2"}
    assert ecartes == [("b", 2), ("c", 1), ("b", 3), ("c", 2)]

    def mourir_puis_finir(etape: int) -> None:
        vue = Trace(f"epreuve_{etape}")
        with psycopg.connect(base.url, autocommit=True) as conn:
            vue.creer(conn)
            se_tuer("tests.engine.suiveur_tue", base.url, vue.nom, etape, LOT)
            attendre(lambda: rattrape(base.url, vue), quoi="la conduite rendue par le mort")
            assert (vue.lire(conn), vue.ecartes(conn)) == (attendue, ecartes), faites[etape - 1]
            assert position(conn, vue.nom) == position(conn, paisible.nom)

    with ThreadPoolExecutor(2) as deux:
        list(deux.map(mourir_puis_finir, ETAPES_DU_LOT_FAUTIF))


def rattrape(url: str, vue: Trace) -> bool:
    """Rattrape le journal ; Faux si un mort tient encore la conduite."""
    try:
        Follower(url, vue, lot_max=LOT, mapper=MAPPER).catch_up()
    except LeadershipLost:
        return False
    return True
