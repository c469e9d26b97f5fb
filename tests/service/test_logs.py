import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from service.cli.application import quiet
from service.controls import CONTROLS
from service.logs import REPEATERS, Repeats, bind_role, configure_logs


@pytest.fixture
def sortie() -> Iterator[io.StringIO]:
    """Les journaux d'un test, en JSON ; la configuration d'avant revient après."""
    racine = logging.getLogger()
    poignees, niveau = racine.handlers, racine.level
    flux = io.StringIO()
    configure_logs("INFO", "json", flux)
    yield flux
    racine.handlers, racine.level = poignees, niveau
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def test_un_evenement_est_une_ligne_json_avec_son_role(sortie: io.StringIO) -> None:
    bind_role("consume", shard=0)
    structlog.get_logger("essai").info("batch.applied", messages=500)
    ligne = json.loads(sortie.getvalue())
    assert (ligne["event"], ligne["messages"], ligne["role"], ligne["level"]) == (
        "batch.applied",
        500,
        "consume",
        "info",
    )
    assert ligne["timestamp"].endswith("Z")


def test_ni_sceau_ni_donnee_personnelle_ni_secret_n_est_ecrit(sortie: io.StringIO) -> None:
    interdits = {
        "Data": "amount=2000",
        "Seal": "56bddfce",
        "kiosque_secret_key": "002001000000001_KEY1",
        "nir": "255081416802538",
        "notification": {"maskedPan": "4500#############01", "autres": ["x@exemple.fr"]},
        "cause": "reçu pour 284052A32102552, Data=amount=2000|x Seal=56bddfce",
        "où": "postgresql://creances:m0t@db/creances",
    }
    structlog.get_logger("essai").warning("notification.refused", transaction="PCLCB172540000004", **interdits)
    logging.getLogger("tiers").error("échec vers %s", "postgresql://creances:m0t@db/creances", extra={"pan": "4500"})
    try:
        int("nir 255081416802538")
    except ValueError:
        structlog.get_logger("essai").exception("boom")
    texte = sortie.getvalue()
    for secret in ("2000", "56bddfce", "KEY1", "255081416802538", "284052A", "4500", "exemple.fr", "m0t"):
        assert secret not in texte
    assert "PCLCB172540000004" in texte
    assert "@db/creances" in texte


@pytest.mark.parametrize(
    "nir",
    ["2550814168025", "255081416802538", "7550814168025", "a2550814168025", "2 55 08 14 168 025 38", 2550814168025],
)
def test_un_nir_sans_sa_cle_ou_d_attente_n_est_pas_ecrit(sortie: io.StringIO, nir: str | int) -> None:
    structlog.get_logger("essai").info("vu", cause=f"assuré {nir} inconnu", assure=nir, lus=[nir])
    lue = json.loads(sortie.getvalue())
    assert (lue["assure"].removeprefix("a"), [dit.removeprefix("a") for dit in lue["lus"]]) == ("***", ["***"])
    assert str(nir) not in sortie.getvalue()


def test_un_numero_de_correlation_reste_entier(sortie: io.StringIO) -> None:
    structlog.get_logger("essai").info("vu", correlation="8540f76cf2550814168025ca3b0d1e9f", offset=1764259765123456)
    lue = json.loads(sortie.getvalue())
    assert (lue["correlation"], lue["offset"]) == ("8540f76cf2550814168025ca3b0d1e9f", 1764259765123456)


def test_une_reference_de_creance_n_est_pas_prise_pour_un_nir(sortie: io.StringIO) -> None:
    structlog.get_logger("essai").info("avis.taken", reference="2011701200010075F", merchant="002001000000001")
    assert json.loads(sortie.getvalue())["reference"] == "2011701200010075F"
    assert json.loads(sortie.getvalue())["merchant"] == "002001000000001"


@pytest.mark.parametrize("forme", ["json", "console"])
def test_aucune_valeur_ne_commande_le_terminal_qui_la_lit(
    sortie: io.StringIO, forme: Literal["json", "console"]
) -> None:
    configure_logs("INFO", forme, sortie)
    hostile = "a\x1b]8;;http://x\x1b\\b\x9b31mc\u202ed"
    structlog.get_logger("essai").warning(hostile, cause=hostile, lus={hostile: [hostile]})
    logging.getLogger("tiers").error("échec de %s", hostile, extra={"objet": hostile})
    try:
        open(hostile)  # noqa: PTH123, SIM115 (le nom absent entre dans l'erreur)
    except OSError:
        structlog.get_logger("essai").exception("boom")
    assert "31mc" in sortie.getvalue()
    assert not CONTROLS.search(sortie.getvalue())


def test_une_bibliotheque_ne_repete_la_meme_chose_qu_une_fois_par_minute() -> None:
    heure = 0.0
    filtre = Repeats(lambda: heure)

    def dire(nom: str, message: str) -> bool:
        return filtre.filter(logging.LogRecord(nom, logging.ERROR, "", 0, message, (), None))

    assert [dire("kafka.net", "connexion %s refusée") for _ in range(3)] == [True, False, False]
    assert dire("kafka.net", "autre chose")
    assert dire("psycopg.pool", "connexion %s refusée")
    assert [dire("engine.consumer", "consommateur_interrompu") for _ in range(2)] == [True, True]
    heure = 61.0
    assert dire("kafka.net", "connexion %s refusée")


def test_un_flot_de_requetes_illisibles_se_dit_en_une_ligne_puis_avec_son_nombre(sortie: io.StringIO) -> None:
    heure = 0.0
    (filtre,) = [filtre for filtre in logging.getLogger().handlers[0].filters if isinstance(filtre, Repeats)]
    filtre.clock = lambda: heure
    for _ in range(50):  # Ce que le serveur dit de chaque requête que n'importe qui abîme.
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    heure = 61.0
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    lignes = [json.loads(ligne) for ligne in sortie.getvalue().splitlines()]
    assert [ligne.get("fois") for ligne in lignes] == [None, 50]


@pytest.mark.usefixtures("sortie")
def test_une_commande_qui_a_fait_taire_kafka_n_est_pas_dementie_par_la_lecture_des_reglages() -> None:
    """`partenaires`, `lost` et `replay` se taisent avant de lire les réglages, qui posent les journaux."""
    bavardes = [logging.getLogger(nom) for nom in REPEATERS]
    niveaux = [une.level for une in bavardes]
    try:
        quiet()
        configure_logs("INFO", "json", io.StringIO())
        assert {une.getEffectiveLevel() for une in bavardes} == {logging.CRITICAL}
    finally:
        for une, niveau in zip(bavardes, niveaux, strict=True):
            une.setLevel(niveau)
