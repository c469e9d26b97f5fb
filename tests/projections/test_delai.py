"""L'horloge des 24 h, avec une heure que le test déplace."""

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from projections import DelaiAffichage
from projections.vues.delai_affichage import etat_du_delai
from service import composition
from tests.consumers.banc import MAINTENANT, Banc, avis, banc, notification

ACCEPTE_LE = MAINTENANT - timedelta(minutes=1)
"""L'heure que la banque donne dans les notifications du banc."""

JOUR = timedelta(hours=24)


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Any:
    with banc(base.url, kafka, prefixe) as ouvert:
        creances = [avis(1, montant=20_00), avis(2, montant=50_00)]
        ouvert.emettre_avis(*creances)
        ouvert.consommer("avis", 2)
        transaction = ouvert.ouvrir(creances[1]["reference"], 20_00)
        ouvert.emettre(ouvert.settings.topic_notifications, [(transaction, notification(transaction, 20_00))])
        ouvert.consommer("kiosque", 1)
        yield ouvert


def suivre(b: Banc, nom: str, *, heure: Any = MAINTENANT, constater: bool = True) -> None:
    suiveur = composition.follower(b.settings, b.guichet.recorder, nom)
    if isinstance(suiveur.vue, DelaiAffichage):
        suiveur.vue.horloge = lambda: heure
        suiveur.vue.constater = constater
    suiveur.catch_up()


def etat(b: Banc, apres: timedelta) -> dict[str, Any]:
    async def lire() -> dict[str, Any]:
        conn = await psycopg.AsyncConnection.connect(str(b.settings.database_url), autocommit=True)
        async with conn:
            return await etat_du_delai(conn, ACCEPTE_LE + apres, JOUR)

    return asyncio.run(lire())


def test_l_affichage_attend_que_restant_du_ait_valide(b: Banc) -> None:
    suivre(b, "delai_affichage")
    assert etat(b, timedelta(0))["en_attente"] == 0, "rien n'est lu avant restant_du"
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    assert [ligne[2] for ligne in b.journal() if "Affiche" in ligne[2]] == ["creance.PaiementAffiche"]


def test_un_paiement_affiche_arrete_l_horloge_qui_part_de_l_heure_de_la_banque(b: Banc) -> None:
    suivre(b, "restant_du")
    suivre(b, "delai_affichage", heure=ACCEPTE_LE + timedelta(hours=3))
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    vu = etat(b, timedelta(hours=30))
    assert (vu["affiches"], vu["en_attente"], vu["depasses"]) == (1, 0, 0)
    assert vu["secondes_p50"] == timedelta(hours=3).total_seconds()


@pytest.mark.parametrize(("apres", "depasses"), [(JOUR, 0), (JOUR + timedelta(seconds=1), 1)])
def test_un_paiement_en_attente_depuis_plus_de_24_heures_est_un_depassement(
    b: Banc, apres: timedelta, depasses: int
) -> None:
    suivre(b, "restant_du")
    suivre(b, "delai_affichage", constater=False)
    vu = etat(b, apres)
    assert (vu["affiches"], vu["en_attente"], vu["depasses"]) == (0, 1, depasses)
    assert vu["plus_ancien_en_attente_secondes"] == apres.total_seconds()


def test_afficher_de_nouveau_n_ecrit_rien(b: Banc) -> None:
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    avant = b.journal()
    b.conn.execute("TRUNCATE vues.delai_affichage")
    b.conn.execute("UPDATE vues.suiveurs SET position = 0 WHERE nom = 'delai_affichage'")
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    assert b.journal() == avant
