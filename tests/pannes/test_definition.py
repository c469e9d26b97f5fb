"""Ce qui est une panne, et ce qui est une faute, par classe de SQLSTATE ; et comment on recule."""

from typing import Any

import psycopg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import PoolTimeout, TooManyRequests
from structlog.testing import capture_logs

from engine.backoff import BACKOFF_MAX_S, BACKOFF_MIN_S, JITTER, Backoff, recul
from engine.outages import Outage, describe, is_outage, is_retryable


def erreur(sqlstate: str) -> psycopg.Error:
    """L'erreur que psycopg lève pour ce SQLSTATE."""
    return psycopg.errors.lookup(sqlstate)("refusé")


PANNES = {
    "connexion refusée": "08001",
    "connexion perdue": "08006",
    "lecture seule après bascule": "25006",
    "transaction trop longtemps au repos": "25P03",
    "plan périmé après une migration": "0A000",
    "instruction préparée oubliée": "26000",
    "mot de passe refusé": "28P01",
    "base absente": "3D000",
    "sérialisation": "40001",
    "interblocage": "40P01",
    "droit manquant": "42501",
    "table absente": "42P01",
    "colonne absente": "42703",
    "disque plein": "53100",
    "mémoire épuisée": "53200",
    "trop de connexions": "53300",
    "verrou non obtenu à temps": "55P03",
    "délai d'instruction": "57014",
    "arrêt demandé": "57P01",
    "arrêt brutal": "57P02",
    "démarrage": "57P03",
    "erreur d'entrée-sortie": "58030",
    "page abîmée": "XX001",
}
FAUTES = {
    "plusieurs lignes": "21000",
    "valeur trop longue": "22001",
    "nombre hors bornes": "22003",
    "date hors bornes": "22008",
    "texte mal encodé": "22021",
    "JSON illisible": "22P02",
    "caractère intraduisible": "22P05",
    "nul interdit": "23502",
    "doublon imprévu": "23505",
    "contrainte violée": "23514",
    "trop gros pour l'index": "54000",
    "refus d'une fonction": "P0001",
}


@pytest.mark.parametrize("sqlstate", PANNES.values(), ids=PANNES.keys())
def test_ce_qui_ne_tient_pas_aux_donnees_est_une_panne(sqlstate: str) -> None:
    assert is_outage(erreur(sqlstate))


@pytest.mark.parametrize("sqlstate", FAUTES.values(), ids=FAUTES.keys())
def test_ce_qui_tient_aux_donnees_est_une_faute(sqlstate: str) -> None:
    assert not is_outage(erreur(sqlstate))


@pytest.mark.parametrize(
    ("levee", "panne"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg.InterfaceError("the connection is closed"), True),
        (PoolTimeout("couldn't get a connection after 10.00 sec"), True),
        (Outage("Kafka ne répond pas"), True),
        (ConnectionResetError(), True),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), False),
        (psycopg.ProgrammingError("cannot adapt type"), False),
        (ZeroDivisionError(), False),
        (ValueError("message illisible"), False),
    ],
    ids=repr,
)
def test_sans_sqlstate_la_connexion_est_une_panne_et_le_reste_une_faute(
    levee: BaseException,
    panne: bool,  # noqa: FBT001
) -> None:
    assert is_outage(levee) is panne


def test_une_requete_ne_retente_que_ce_qui_a_des_chances() -> None:
    assert [s for s in PANNES.values() if is_retryable(erreur(s))] == [
        "08001", "08006", "40001", "40P01", "57P01", "57P02", "57P03"
    ]  # fmt: skip
    assert is_retryable(psycopg.OperationalError("server closed the connection unexpectedly"))
    assert not is_retryable(PoolTimeout("épuisé")), "le pool a déjà fait attendre"
    assert not is_retryable(TooManyRequests("épuisé"))
    assert not is_retryable(psycopg.DataError("NUL"))


def test_une_erreur_se_raconte_en_une_ligne_avec_sa_cause() -> None:
    panne = Outage("Kafka ne répond pas")
    panne.__cause__ = OSError("connexion\n\trefusée")
    assert describe(panne) == "Outage: Kafka ne répond pas ← OSError: connexion refusée"
    assert describe(KeyboardInterrupt()) == "KeyboardInterrupt"


# --- Reculer ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_l_attente_est_bornee(echecs: int, hasard: float) -> None:
    assert BACKOFF_MIN_S * (1 - JITTER) <= recul(echecs, hasard) <= BACKOFF_MAX_S


def test_l_attente_double_puis_plafonne_et_le_hasard_l_ecourte() -> None:
    assert [recul(echecs, 0.0) for echecs in range(1, 9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert [recul(echecs, 1.0) for echecs in (1, 2, 8)] == [0.1, 0.2, 5.0]


def test_une_panne_qui_dure_se_dit_en_une_ligne_par_essai_et_une_seule_trace_par_cause() -> None:
    lignes: list[Any]
    with capture_logs() as lignes:
        reprise = Backoff(structlog.get_logger(), "role_interrompu", hasard=lambda: 0.0)
        attentes = [reprise.fail(Outage(f"le port {port} refuse")) for port in (4001, 4002, 4003)]
        attentes.append(reprise.fail(Outage("disque plein")))
        reprise.progress()
        reprise.progress()
        attentes.append(reprise.fail(Outage("disque plein")))
    assert attentes == [0.2, 0.4, 0.8, 1.6, 0.2]
    assert [(ligne.get("essai"), bool(ligne.get("exc_info"))) for ligne in lignes] == [
        (1, True), (2, False), (3, False), (4, True), (None, False), (1, True)
    ]  # fmt: skip
    assert lignes[4] == {
        "event": "reprise_apres_panne", "log_level": "info", "evenement": "role_interrompu", "essais": 4
    }  # fmt: skip
