"""Deux versions tournent ensemble : ce que l'ancienne ne sait pas lire attend la nouvelle, et rien n'est sauté."""

from typing import Any, ClassVar

import psycopg
import pytest

from domain.agregats import AGREGATS
from engine.batch import Batch, Entry
from engine.database import Database
from engine.follower import Follower
from engine.mapper import EventMapper
from engine.recorder import Recorder
from tests.engine.epreuve import MAPPER, T0, Epreuve, Pas, Redirection, Trace, ecrire, pas


class Saut(Pas):
    """Un pas d'un genre que la version d'avant ne connaît pas."""

    TOPIC: ClassVar[str] = "epreuve.Saut"


class PasEnDeux(Pas):
    """Le même pas, dont la version d'après a changé un champ."""

    class_version: ClassVar[int] = 2

    @staticmethod
    def upcast_v1_v2(etat: dict[str, Any]) -> None:
        """Rien n'a changé de nom."""


class EpreuveDApres(Epreuve):
    """L'agrégat de la version d'après."""

    Pas = Pas
    Redirection = Redirection
    Saut = Saut


DAPRES = EventMapper((*AGREGATS, EpreuveDApres))
DAPRES._classes[Pas.TOPIC] = PasEnDeux  # La même classe, montée : un topic n'en a qu'une dans un processus.
NOUVEAUX = [Saut.TOPIC, f"{Pas.TOPIC}@2"]


class TraceDApres(Trace):
    """La vue de la version d'après, que le nouveau genre concerne."""

    topics = frozenset({Pas.TOPIC, Saut.TOPIC})


def nouveau(genre: str, flux: str, version: int) -> Entry:
    classe = Saut if genre == Saut.TOPIC else PasEnDeux
    return Entry(classe(originator_id=flux, originator_version=version, timestamp=T0, longueur=10), "épreuve")


@pytest.fixture
def dapres(base: Any) -> Any:
    """L'enregistreur de la version d'après."""
    with Database(base.url, application="test-journal") as ouverte:
        yield Recorder(ouverte, DAPRES)


def vue(conn: psycopg.Connection[Any], classe: type[Trace] = Trace) -> Trace:
    trace = classe()
    if conn.execute("SELECT to_regclass('vues.epreuve')").fetchone() == (None,):
        trace.creer(conn)
    return trace


@pytest.mark.parametrize("genre", NOUVEAUX)
def test_la_version_d_avant_met_de_cote_ce_qu_elle_ne_connait_pas_et_la_suivante_l_applique_sans_personne(
    base: Any, service: psycopg.Connection[Any], recorder: Recorder, dapres: Recorder, genre: str
) -> None:
    ecrire(recorder, pas("a", 1), pas("b", 1))
    ecrire(dapres, nouveau(genre, "a", 2))
    ecrire(recorder, pas("a", 3), pas("b", 2))
    ancienne = vue(service)
    Follower(base.url, ancienne, mapper=MAPPER).catch_up()
    assert ancienne.lire(service) == {"a": "1", "b": "1 2"}, "tout le reste avance"
    assert ancienne.ecartes(service) == [("a", 2), ("a", 3)]

    Follower(base.url, ancienne, mapper=MAPPER).catch_up()  # Redémarrée, la version d'avant attend toujours.
    assert ancienne.ecartes(service) == [("a", 2), ("a", 3)]

    suivante = vue(service, TraceDApres)
    Follower(base.url, suivante, mapper=DAPRES).catch_up()
    assert suivante.lire(service) == {"a": "1 2 3", "b": "1 2"}
    assert suivante.ecartes(service) == []


def test_revenir_en_arriere_n_oublie_rien_et_remonter_reprend(
    base: Any, service: psycopg.Connection[Any], recorder: Recorder, dapres: Recorder
) -> None:
    suivante = vue(service, TraceDApres)
    ecrire(dapres, nouveau(Saut.TOPIC, "a", 1))
    Follower(base.url, suivante, mapper=DAPRES).catch_up()
    ecrire(dapres, nouveau(Saut.TOPIC, "a", 2), nouveau(Saut.TOPIC, "c", 1))
    Follower(base.url, vue(service), mapper=MAPPER).catch_up()
    ecrire(recorder, pas("a", 3), pas("b", 1))
    Follower(base.url, vue(service), mapper=MAPPER).catch_up()
    assert suivante.lire(service) == {"a": "1", "b": "1"}
    Follower(base.url, suivante, mapper=DAPRES).catch_up()
    assert suivante.lire(service) == {"a": "1 2 3", "b": "1", "c": "1"}


def test_un_genre_nouveau_qui_ne_concerne_pas_la_vue_ne_la_retient_qu_un_temps(
    base: Any, service: psycopg.Connection[Any], recorder: Recorder, dapres: Recorder
) -> None:
    ecrire(dapres, nouveau(Saut.TOPIC, "a", 1))
    ecrire(recorder, pas("a", 2))
    Follower(base.url, vue(service), mapper=MAPPER).catch_up()
    sans_le_saut = vue(service)  # La vue d'après n'en fait rien, mais le connaît.
    Follower(base.url, sans_le_saut, mapper=DAPRES).catch_up()
    assert sans_le_saut.lire(service) == {"a": "2"}
    assert sans_le_saut.ecartes(service) == []


def test_deux_genres_inconnus_attendent_une_version_qui_connaisse_les_deux(
    base: Any, service: psycopg.Connection[Any], dapres: Recorder
) -> None:
    class Bond(Pas):
        TOPIC: ClassVar[str] = "epreuve.Bond"

    encore = EventMapper((*AGREGATS, type("EpreuveEncoreApres", (), {"Saut": Saut, "Bond": Bond})))
    ecrire(dapres, nouveau(Saut.TOPIC, "a", 1))
    with dapres.base.transaction() as conn:
        fait = Bond(originator_id="a", originator_version=2, timestamp=T0, longueur=1)
        Recorder(dapres.base, encore).record(conn, Batch(entries=[Entry(fait, "épreuve")]))
    trace = vue(service, TraceDApres)
    Follower(base.url, trace, mapper=MAPPER).catch_up()
    Follower(base.url, trace, mapper=DAPRES).catch_up()
    assert trace.ecartes(service) == [("a", 1), ("a", 2)], "à moitié connu, le flux attend encore"
    trace.topics = frozenset({*TraceDApres.topics, Bond.TOPIC})
    Follower(base.url, trace, mapper=encore).catch_up()
    assert trace.ecartes(service) == []
    assert trace.lire(service) == {"a": "1 2"}


def test_mille_evenements_d_un_genre_nouveau_ne_coupent_aucun_lot(
    base: Any, service: psycopg.Connection[Any], dapres: Recorder
) -> None:
    ecrire(dapres, *(nouveau(Saut.TOPIC, f"n{i}", 1) for i in range(500)), *(pas(f"c{i}", 1) for i in range(500)))
    ancienne = vue(service)
    Follower(base.url, ancienne, mapper=MAPPER).catch_up()
    assert ancienne.lots == [500]
    assert len(ancienne.ecartes(service)) == 500


@pytest.mark.parametrize(
    ("mapper", "topic", "etat", "dit"),
    [
        (MAPPER, Saut.TOPIC, b"{}", Saut.TOPIC),
        (MAPPER, Pas.TOPIC, b'{"class_version":2,"longueur":1}', f"{Pas.TOPIC}@2"),
        (MAPPER, Pas.TOPIC, b'{"longueur":1}', None),
        (MAPPER, Pas.TOPIC, b'{"class_version":', None),
        (DAPRES, Pas.TOPIC, b'{"class_version":2,"longueur":1}', None),
    ],
)
def test_ce_qui_vient_d_une_version_plus_recente_se_reconnait(
    mapper: EventMapper, topic: str, etat: bytes, dit: str | None
) -> None:
    assert mapper.unknown(topic, etat) == dit
    if dit is not None:
        assert not mapper.knows(dit)
        assert DAPRES.knows(dit)


def test_une_version_plus_recente_ne_se_lit_pas_comme_la_notre() -> None:
    with pytest.raises(Exception, match="version 2"):
        MAPPER.lire("a", 1, Pas.TOPIC, b'{"class_version":2,"longueur":1,"timestamp":"2026-06-01T10:00:00Z"}')


@pytest.mark.parametrize(
    "topic", [f"{Pas.TOPIC}@x", f"{Pas.TOPIC}@", f"{Pas.TOPIC}@1", f"{Pas.TOPIC}@{'9' * 5_000}", "@"]
)
def test_un_genre_abime_dont_le_nom_imite_une_version_n_arrete_que_son_flux(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], proprietaire: psycopg.Connection[Any], topic: str
) -> None:
    """Mis de côté, il serait relu à chaque prise du meneur : y lever arrêterait la vue pour toujours."""
    ecrire(recorder, pas("gate", 1), pas("sain", 1))
    proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
    proprietaire.execute("UPDATE journal.evenements SET topic = %s WHERE flux = 'gate'", (topic,))
    trace = vue(service)
    for version in (2, 3):
        Follower(base.url, trace, mapper=MAPPER).catch_up()
        ecrire(recorder, pas("sain", version))
    Follower(base.url, trace, mapper=MAPPER).catch_up()
    ecartes = "SELECT DISTINCT flux FROM vues.ecartes WHERE suiveur = %s"
    assert service.execute(ecartes, (trace.nom,)).fetchall() == [("gate",)]
    assert trace.lots == [1, 1, 1]


@pytest.mark.parametrize("version", [b"1e400", b"-1e400", b"NaN", b"[1]", b'"x"', b"9" * 5_000])
def test_une_version_qui_n_en_est_pas_une_est_laissee_a_la_lecture_qui_dira_pourquoi(version: bytes) -> None:
    assert MAPPER.unknown(Pas.TOPIC, b'{"class_version":%b,"longueur":1}' % version) is None
