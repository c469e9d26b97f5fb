"""Un déploiement où chaque rôle a sa connexion : tout le chemin d'un paiement, chacun avec ses seuls droits."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from domain.references import ReferenceTransaction
from service.relance import RelanceRole
from service.roles import publisher
from tests.consumers.banc import MAINTENANT, Banc, avis, banc, notification
from tests.outils import attendre

METIERS: Final = ("api", "consommateur", "suiveur", "publication", "relance", "lecture")


@pytest.fixture
def connexions(base: Any, serveurs: Any) -> Iterator[dict[str, str]]:
    """Une connexion par métier : un rôle qui n'est membre que du sien."""
    noms = {metier: f"essai_{base.nom[-12:]}_{metier}" for metier in METIERS}
    for metier, nom in noms.items():
        serveurs.executer(
            sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(sql.Identifier(nom), sql.Identifier(f"creances_{metier}"))
        )
    parties = urlsplit(base.url)
    apres = parties.netloc.rpartition("@")[2]
    yield {metier: parties._replace(netloc=f"{nom}@{apres}").geturl() for metier, nom in noms.items()}
    for nom in noms.values():
        serveurs.executer(sql.SQL("DROP ROLE {}").format(sql.Identifier(nom)))


def test_chaque_role_fait_son_metier_avec_ses_seuls_droits(
    connexions: dict[str, str], kafka: str, prefixe: str
) -> None:
    def dans(metier: str) -> Any:
        return banc(connexions[metier], kafka, prefixe, kiosque_merchant_id="002001000000001")

    with dans("consommateur") as b:
        b.emettre_avis(avis(1))
        b.consommer("avis", 1)
    with dans("suiveur") as b:
        b.projeter()
    with dans("api") as b:
        transaction: ReferenceTransaction = b.ouvrir(avis(1)["reference"], 20_00)
    with dans("consommateur") as b:
        b.emettre(b.settings.topic_notifications, [(transaction, notification(transaction, 20_00))])
        b.consommer("kiosque", 1)
    with dans("suiveur") as b:
        b.projeter()
    with dans("publication") as b:
        _publier(b)
    with psycopg.connect(connexions["lecture"]) as conn:
        solde = conn.execute("SELECT solde FROM vues.restant_du").fetchone()
        publiee = conn.execute("SELECT position FROM vues.suiveurs WHERE nom = 'publication'").fetchone()
        tete = conn.execute("SELECT max(position) FROM journal.evenements").fetchone()
    assert solde == (67_09,)
    assert publiee == tete


def test_la_relance_expire_et_purge_avec_ses_seuls_droits(
    base: Any, connexions: dict[str, str], kafka: str, prefixe: str
) -> None:

    with banc(base.url, kafka, prefixe) as b:
        b.emettre_avis(avis(1))
        b.consommer("avis", 1)
        b.ouvrir(avis(1)["reference"], 20_00)
        b.projeter()
    with banc(connexions["relance"], kafka, prefixe) as b:
        plus_tard = MAINTENANT + timedelta(days=2)
        RelanceRole(b.settings, b.guichet, lambda *_: None, clock=lambda: plus_tard).round(threading.Event())
        etats = b.conn.execute("SELECT nom FROM vues.suiveurs").fetchall()
    assert etats


def _publier(b: Banc) -> None:
    arret = threading.Event()
    fil = threading.Thread(target=publisher(b.settings, lambda _: None).run, args=(arret,))
    fil.start()
    requete = (
        "SELECT position >= (SELECT max(position) FROM journal.evenements) FROM vues.suiveurs WHERE nom = 'publication'"
    )
    try:
        attendre(lambda: b.conn.execute(requete).fetchone() == (True,), secondes=30, quoi="la publication")
    finally:
        arret.set()
        fil.join()
