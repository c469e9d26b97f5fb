"""L'horloge des 24 h, avec une heure que le test déplace."""

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from projections import DelaiAffichage
from projections.lectures.delai import attentes, etat_du_delai
from service import composition
from tests.consumers.banc import MAINTENANT, Banc, avis, banc, notification

ACCEPTE_LE = MAINTENANT - timedelta(minutes=1)
"""L'heure que la banque donne dans les notifications du banc."""

JOUR = timedelta(hours=24)


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Any:
    with banc(base.url, kafka, prefixe) as ouvert:
        creances = [avis(1, montant=20_00), avis(2, montant=50_00)]
        ouvert.prendre("avis", *creances)
        transaction = ouvert.ouvrir(creances[1]["reference"], 20_00)
        ouvert.prendre("kiosque", notification(transaction, 20_00))
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
    assert [ligne for ligne in b.journal() if "Affiche" in ligne[2]] == [], "rien n'est affiché avant restant_du"
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    assert [ligne[2] for ligne in b.journal() if "Affiche" in ligne[2]] == ["creance.PaiementAffiche"]


def test_l_horloge_court_d_apres_le_journal_meme_si_aucun_suiveur_ne_tourne(b: Banc) -> None:
    assert etat(b, timedelta(hours=2))["plus_ancien_en_attente_secondes"] == timedelta(hours=2).total_seconds()
    [attente] = attentes(b.conn)
    assert (attente.accepte_le, attente.presume) == (ACCEPTE_LE, False)
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    assert attentes(b.conn) == [], "le journal dit déjà l'affichage, que la vue n'a pas encore lu"
    assert etat(b, timedelta(0))["affiches"] == 1


def test_un_depart_presume_se_dit(b: Banc) -> None:
    transaction = b.ouvrir(avis(1)["reference"], 20_00)
    muette = notification(transaction, 20_00, transactionDateTime="null")
    b.emettre(b.settings.topic_notifications, [(transaction, muette)])
    b.consommer("kiosque", 2)
    assert {a.transaction: a.presume for a in attentes(b.conn)}[transaction] is True


@pytest.mark.parametrize("heures", [25, 47, 49, 240])
def test_une_acceptation_dite_tard_part_de_l_heure_de_la_banque_si_tard_que_ce_soit(b: Banc, heures: int) -> None:
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    transaction = b.ouvrir(avis(1)["reference"], 20_00)
    dite = (MAINTENANT - timedelta(hours=heures)).isoformat()
    b.prendre("kiosque", notification(transaction, 20_00, transactionDateTime=dite))
    assert {a.transaction: a.presume for a in attentes(b.conn)} == {transaction: False}
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    vu = etat(b, timedelta(minutes=1))
    assert (vu["affiches"], vu["en_attente"], vu["depasses"]) == (2, 0, 1)


def affiches(b: Banc) -> list[Any]:
    return [ligne[2] for ligne in b.journal() if ligne[2] == "creance.PaiementAffiche"]


def test_un_paiement_ecarte_de_restant_du_n_est_affiche_qu_une_fois_reintegre(b: Banc) -> None:
    reference = avis(2)["reference"]
    b.conn.execute(
        "INSERT INTO vues.ecartes (suiveur, position, flux, cause) SELECT 'restant_du', position, flux, 'épreuve'"
        " FROM journal.evenements WHERE topic = 'creance.PaiementInitie'"
    )
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    assert affiches(b) == []
    assert etat(b, JOUR * 2)["depasses"] == 1, "son horloge court"
    b.conn.execute("UPDATE vues.ecartes SET libere_le = clock_timestamp() WHERE flux = %s", (f"creance-{reference}",))
    suivre(b, "restant_du")
    suivre(b, "delai_affichage")
    assert affiches(b) == ["creance.PaiementAffiche"]
    suivre(b, "delai_affichage")
    assert len(affiches(b)) == 1


@pytest.mark.parametrize("quand", ["avant l'acceptation", "après"])
def test_un_paiement_dont_la_ligne_a_disparu_n_est_pas_affiche(b: Banc, quand: str) -> None:
    supprimer = "DELETE FROM vues.restant_du WHERE reference = %s"
    reference = avis(2)["reference"]
    if quand == "après":
        suivre(b, "restant_du")
    else:
        (acceptation,) = b.conn.execute(
            "SELECT position FROM journal.evenements WHERE topic = 'creance.PaiementAccepte'"
        ).fetchone() or (0,)
        b.conn.execute(
            "INSERT INTO vues.suiveurs (nom, position) VALUES ('restant_du', %s)"
            " ON CONFLICT (nom) DO UPDATE SET position = excluded.position",
            (acceptation - 1,),
        )
        suivre(b, "restant_du")
    b.conn.execute(supprimer, (reference,))
    suivre(b, "delai_affichage")
    assert affiches(b) == []
    assert etat(b, timedelta(0))["en_attente"] == 1


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
