"""`creances healthy`, et l'horloge des 24 h dans les mesures."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from projections.vues.delai_affichage import DelaiAffichage
from service import composition, roles
from service.clock import ClockCollector
from service.lag import lag
from service.publisher import Publisher
from tests.consumers.banc import Banc, banc
from tests.outils import attendre, commande


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


def healthy(b: Banc, *arguments: str) -> tuple[int, dict[str, tuple[str, bool]]]:
    fini = commande("healthy", *arguments, "--json", database_url=b.settings.database_url)
    dit = json.loads(fini.stdout) if fini.stdout else []
    return fini.returncode, {ligne["nom"]: (ligne["etat"], ligne["sain"]) for ligne in dit}


def test_un_role_est_sain_quand_il_est_mene_et_donne_signe_de_vie(b: Banc) -> None:
    jamais = ("jamais_demarre", False)
    assert healthy(b, "restant_du", "relance") == (1, {"restant_du": jamais, "relance": jamais})
    suiveur = composition.follower(b.settings, b.guichet.recorder, "restant_du")
    relance = roles.relance(b.settings, b.guichet, Publisher(b.settings))
    arret = threading.Event()
    fils = [threading.Thread(target=run, args=(arret,)) for run in (suiveur.run, relance.run)]
    for fil in fils:
        fil.start()
    try:
        mene = "SELECT count(*) FROM vues.suiveurs WHERE etat = 'actif' AND battement_le IS NOT NULL"
        attendre(lambda: b.conn.execute(mene).fetchone() == (2,), quoi="deux signes de vie")
        sain = ("actif", True)
        assert healthy(b, "restant_du", "relance") == (0, {"restant_du": sain, "relance": sain})
        code, dit = healthy(b, "restant_du", "paiements")
        assert (code, dit["paiements"]) == (1, jamais)
    finally:
        arret.set()
        for fil in fils:
            fil.join()
    assert healthy(b, "restant_du")[1] == {"restant_du": ("inactif", False)}, "arrêté proprement : plus mené"
    # Tué net, le rôle reste dit « actif » : l'âge du signe de vie tranche.
    b.conn.execute("UPDATE vues.suiveurs SET etat = 'actif', battement_le = clock_timestamp() - interval '40 s'")
    assert healthy(b, "restant_du") == (1, {"restant_du": ("actif", False)})
    assert healthy(b, "restant_du", "--max-age", "100") == (0, {"restant_du": ("actif", True)})


def test_un_role_inconnu_est_un_mauvais_usage_et_une_base_absente_un_defaut(b: Banc) -> None:
    assert healthy(b, "restant_dû") == (2, {})
    ailleurs = Banc(b.settings.model_copy(update={"database_url": "postgresql://x@127.0.0.1:1/x"}), b.guichet, b.conn)
    assert healthy(ailleurs, "restant_du") == (1, {})


def test_tout_role_que_le_retard_nomme_se_demande_par_ce_nom(b: Banc) -> None:
    """La fiche de RoleInactif rend à `healthy` le nom que l'alerte et `lag` donnent ; un témoin n'est pas un rôle."""
    noms = [ligne["nom"] for ligne in lag(b.settings, b.guichet.base) if ligne["genre"] != "temoin"]
    assert set(noms) == set(healthy(b, *noms)[1])


def test_l_horloge_dit_ce_qui_attend_son_affichage_et_depuis_quand(b: Banc) -> None:
    mesures = CollectorRegistry()
    mesures.register(horloge := ClockCollector(str(b.settings.database_url), timedelta(hours=24)))

    def lues() -> tuple[float | None, ...]:
        horloge._read_at = float("-inf")
        noms = ("en_attente", "attente_secondes", "delai_secondes")
        return tuple(mesures.get_sample_value(f"creances_affichage_{nom}") for nom in noms)

    assert lues() == (0, 0, 86_400)
    il_y_a_30_h = datetime.now(UTC) - timedelta(hours=30)
    b.conn.execute(
        "INSERT INTO vues.delai_affichage (transaction, reference, accepte_le, affiche_le) VALUES"
        " ('T-1', 'R-1', %(avant)s, NULL), ('T-1', 'R-2', now(), NULL), ('T-2', 'R-1', %(avant)s, now())",
        {"avant": il_y_a_30_h},
    )
    DelaiAffichage(b.guichet.recorder).refaire(b.conn)  # Ce que la vue tient à côté de ses lignes.
    en_attente, attente, _ = lues()
    assert en_attente == 1, "un paiement, quel que soit le nombre de ses parts"
    assert attente == pytest.approx(30 * 3600, abs=60)
    absente = ClockCollector("postgresql://x@127.0.0.1:1/x", timedelta(hours=24))
    assert [famille.name for famille in absente.collect()] == ["creances_affichage_delai_secondes"]
