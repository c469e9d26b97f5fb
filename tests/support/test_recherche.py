"""Un seul champ de recherche : tout ce qu'une personne peut dire au téléphone, et pourquoi chaque résultat répond."""

import json
import os
import re
import sys
import time
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import service.cli.search  # noqa: F401 (inscrit ses commandes)
from domain.references import ReferenceCreance
from engine.follower import Follower
from engine.messages import Message
from guichet.prendre_avis import prendre_avis
from projections.lectures.recherche import trouver
from projections.lectures.saisie import (
    NirCherche,
    ParAssure,
    ParAutorisation,
    ParCarte,
    ParCorrelation,
    ParMessage,
    ParMontant,
    ParOrigine,
    ParReference,
    ParTransaction,
    RechercheIllisible,
    lire_recherche,
)
from projections.vues.anomalies import Anomalies
from service.cli.application import app
from tests.mapper import MAPPER
from tests.outils import en_moins_de
from tests.support.banc import AUTRE, MOTIF, REF, TOPIC, Service, acces, agent, paiement, recevoir

JEUDI = date(2026, 11, 26)


@pytest.mark.parametrize(
    ("saisie", "attendu"),
    [
        ("381 17012 0001 0075 f", [ParReference(ReferenceCreance(REF))]),
        ("Référence N° 3811701200010075f", [ParReference(ReferenceCreance(REF))]),
        ("pclcb263310000001", [ParTransaction("PCLCB263310000001")]),
        (" PCLCB 26331 0 000001", [ParTransaction("PCLCB263310000001")]),
        ("20 € hier", [ParMontant(20_00, date(2026, 11, 25))]),
        ("20€ hier", [ParMontant(20_00, date(2026, 11, 25))]),
        ("hier 20", [ParMontant(20_00, date(2026, 11, 25))]),
        ("20,00 le 25/11", [ParMontant(20_00, date(2026, 11, 25))]),
        ("20,5 € le 25/11/2025", [ParMontant(20_50, date(2025, 11, 25))]),
        ("16€50 avant-hier", [ParMontant(16_50, date(2026, 11, 24))]),
        ("un paiement de 20 euros le 1er juin", [ParMontant(20_00, date(2026, 6, 1))]),
        ("20 € le 27/11", [ParMontant(20_00, date(2025, 11, 27))]),  # Le dernier 27 novembre passé.
        ("1 234,56 €", [ParMontant(1_234_56, None)]),
        ("20 € lundi", [ParMontant(20_00, date(2026, 11, 23))]),
        ("20 € jeudi", [ParMontant(20_00, date(2026, 11, 19))]),
        ("20 EUROS LE 1ER FÉVRIER", [ParMontant(20_00, date(2026, 2, 1))]),
        ("20.00 2026-11-25", [ParMontant(20_00, date(2026, 11, 25))]),
        ("4970##########01", [ParCarte("4970", "01")]),
        ("4970 **** 01", [ParCarte("4970", "01")]),
        ("carte 1234", [ParCarte("", "1234")]),
        ("5017 **** **** 0000", [ParCarte("5017", "0000")]),  # Telle qu'un ticket l'imprime.
        ("carte finissant par 00", [ParCarte("", "00")]),
        ("20 € hier soir", [ParMontant(20_00, date(2026, 11, 25))]),
        ("20,00 ce matin", [ParMontant(20_00, date(2026, 11, 26))]),
        ("4970…01", [ParCarte("4970", "01")]),
        ("c" * 32, [ParCorrelation("c" * 32)]),
        ("kafka:creances.avis/4@23", [ParOrigine("creances.avis", 4, 23)]),
        ("a-7c1e", [ParAssure("a-7c1e"), ParMessage("a-7c1e")]),
        (
            "761208",
            [ParTransaction("761208"), ParAssure("761208"), ParAutorisation("761208"), ParMessage("761208")],
        ),
    ],
)
def test_une_saisie_libre_se_comprend(saisie: str, attendu: list[Any]) -> None:
    assert lire_recherche(saisie, JEUDI) == attendu


@pytest.mark.parametrize(
    "saisie",
    [
        *("", "   ", "bonjour madame", "a" * 201, "x\x1b[31m", "20 € et autre chose", "€"),
        *("20 € mard\u0131", "20 € \u017famedi", "20 € le 1er \u017feptembre"),  # Ni i, ni s : d'autres lettres.
    ],
)
def test_ce_qui_ne_designe_rien_est_refuse(saisie: str) -> None:
    with pytest.raises(RechercheIllisible):
        lire_recherche(saisie, JEUDI)


@pytest.mark.parametrize("saisie", ["255081416802538", "2 55 08 14 168 025 38", "2550814168025"])
def test_un_numero_de_securite_sociale_ne_se_cherche_pas(saisie: str) -> None:
    with pytest.raises(NirCherche):
        lire_recherche(saisie, JEUDI)


@given(st.text(max_size=60))
def test_aucune_saisie_ne_fait_autre_chose_que_se_comprendre_ou_se_refuser(saisie: str) -> None:
    with suppress(RechercheIllisible, NirCherche):
        assert lire_recherche(saisie, JEUDI)


def chercher(service: Service, saisie: str) -> list[tuple[str, str]]:
    reponse = service.client.get("/api/v1/support/recherche", headers=agent(), params={"q": saisie, "motif": MOTIF})
    assert reponse.status_code == 200, reponse.text
    resultats = reponse.json()["resultats"]
    assert all(resultat["pourquoi"] and resultat["titre"] for resultat in resultats)
    return [(resultat["genre"], resultat["nom"]) for resultat in resultats]


@pytest.mark.parametrize(
    "saisie", ["20 € aujourd'hui", "20,00", "761208", "0761208", "4970…01", "carte 01", "c" * 32, "TRANSACTION"]
)
def test_un_paiement_se_retrouve_par_tout_ce_que_l_on_en_sait(paye: tuple[Service, str], saisie: str) -> None:
    service, transaction = paye
    assert ("paiement", transaction) in chercher(service, transaction if saisie == "TRANSACTION" else saisie)
    assert acces(service)[-1][4] == ["a-1"]


def test_un_assure_se_retrouve_avec_ce_qui_est_a_lui(paye: tuple[Service, str]) -> None:
    service, transaction = paye
    assert chercher(service, "a-1") == [("assure", "a-1"), ("creance", REF), ("paiement", transaction)]
    assert chercher(service, REF.lower()) == [("creance", REF)]
    assert chercher(service, "87,09 le 12/05/2026") == [("creance", REF)]
    assert chercher(service, "21 € hier") == []


def test_l_argent_que_nos_vues_ne_montrent_pas_se_retrouve_aussi(service: Service) -> None:
    service.avis(REF)
    transaction = paiement(service, REF)
    recevoir(service, transaction, 25_00)
    recevoir(service, "ORPHELINE1", 31_00)
    assert ("paiement", transaction) in chercher(service, "25 € aujourd'hui")
    assert chercher(service, "31 €") == [("paiement", "ORPHELINE1")]
    assert chercher(service, "ORPHELINE1") == [("paiement", "ORPHELINE1")]


def test_un_cheque_se_retrouve_par_son_montant_avant_meme_son_avis(service: Service) -> None:
    cheque = {
        "type": "encaissement_recu", "reference": AUTRE, "message_id": "cheque-77", "montant_centimes": 12_34,
        "moyen": "cheque", "date": "2026-06-01",
    }  # fmt: skip
    maintenant = datetime.now(UTC)
    guichet = service.guichet
    recu = Message(TOPIC, 99, AUTRE.encode(), json.dumps(cheque).encode(), maintenant)
    with guichet.base.transaction() as conn:
        guichet.recorder.record(conn, prendre_avis(guichet, conn, [recu], maintenant).lot)
    assert chercher(service, "12,34 € aujourd'hui") == [("creance", AUTRE)]
    assert chercher(service, "cheque-77") == [("creance", AUTRE)]
    assert chercher(service, AUTRE) == [("creance", AUTRE)]
    dit = service.client.get(
        f"/api/v1/support/creances/{AUTRE}/historique", headers=agent(), params={"motif": MOTIF}
    ).json()
    assert [recue["sort"] for recue in dit["notifications"]] == ["en_souffrance"]


def test_la_saisie_elle_meme_n_est_jamais_ecrite(service: Service) -> None:
    chercher(service, "dupont-martin")
    for illisible in ("Mme Dupont, 12 rue des Lilas", "255081416802538"):
        parametres = {"q": illisible, "motif": MOTIF}
        assert service.client.get("/api/v1/support/recherche", headers=agent(), params=parametres).status_code == 422
    assert [ligne[3] for ligne in acces(service)] == ["l'assuré dupont-martin ; le message dupont-martin"]


def test_la_commande_cherche_de_meme(paye: tuple[Service, str], base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREANCES_DATABASE_URL", base.url)
    monkeypatch.setenv("CREANCES_MODE", "demonstration")
    lancer = CliRunner().invoke
    dit = json.loads(lancer(app, ["search", "20 € aujourd'hui", "--motif", MOTIF, "--json"]).stdout)
    assert [resultat["nom"] for resultat in dit["resultats"]] == [paye[1]]
    assert paye[1] in lancer(app, ["search", "761208", "--motif", MOTIF]).output.replace("\n", "")
    assert lancer(app, ["search", "761208"]).exit_code == 2
    assert lancer(app, ["search", "rien-de-tel", "--motif", MOTIF]).exit_code == 1
    assert lancer(app, ["search", "\x1b[31mrouge", "--motif", MOTIF]).exit_code == 2


PEUPLER = """
INSERT INTO vues.restant_du (reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee,
                             montant_initial, solde, en_cours, version, position)
SELECT '38126' || lpad(n::text, 11, '0') || 'F', 'a-' || n / 3, '381', 'PF/FR', date '2026-01-01' + n % 300, true,
       false, 1600 + n % 3400, 1600, 0, 1, n FROM generate_series(1, %(n)s) n;
INSERT INTO vues.paiements (transaction, assure, caisse, canal, montant, statut, ouvert_le, expire_le, version)
SELECT 'PCLCB' || lpad(n::text, 12, '0'), 'a-' || n / 3, '381', 'web', (1600 + n % 3400), 'accepte',
       timestamptz '2026-01-01' + n * interval '300 days' / %(n)s, now(), 2 FROM generate_series(1, %(n)s) n;
INSERT INTO journal.sorts (topic_id, topic, partition, decalage, sort, cause, objet, empreinte, champs, enregistre_le)
SELECT '00000000-0000-0000-0000-000000000001', 'n', 0, n, 'appliquee', 'x', 'PCLCB' || lpad(n::text, 12, '0'), '',
       jsonb_build_object('autorisation', lpad(n::text, 6, '0'), 'montant_centimes', 1600 + n % 3400,
                          'carte_masquee', CASE WHEN n % 2 = 0 THEN '501755########0500'
                              ELSE (4970 + n % 30) || '##########' || lpad((n % 100)::text, 2, '0') END,
                          'correlation', md5(n::text)),
       timestamptz '2026-01-01' + n * interval '300 days' / %(n)s FROM generate_series(1, %(n)s) n;
ANALYZE vues.restant_du, vues.paiements, journal.sorts;
"""
CREANCES = int(os.environ.get("RECHERCHE_CREANCES", "30000"))
"""Autant de paiements et de sorts ; un million pour les mesures."""

CHERCHEES = (
    "PCLCB000000000777", "a-7", "20 € le 21/05/2026", "20 €", "012345", "4977…77", "carte 77",
    "5017…00", "501755…0500", "50…00", "carte 00", "c4ca4238a0b923820dcc509a6f75849b",
)  # fmt: skip


ENTIERE = re.compile("Seq Scan on (sorts|paiements|restant_du|evenements)")


class Explique:
    """Une connexion qui note le plan de chaque lecture avant de la faire."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self.conn = conn
        self.plans: list[str] = []

    def execute(self, requete: Any, valeurs: Any) -> Any:
        self.plans += [ligne for (ligne,) in self.conn.execute("EXPLAIN " + requete, valeurs)]
        return self.conn.execute(requete, valeurs)


@pytest.mark.timeout(1800)
def test_aucune_recherche_ne_lit_toute_une_table_et_chacune_repond_en_moins_de_200_ms(base: Any) -> None:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        for instruction in PEUPLER.replace("%(n)s", str(CREANCES)).split(";"):
            conn.execute(instruction.encode())
        durees: dict[str, float] = {}
        for saisie in CHERCHEES:
            explique: Any = Explique(conn)
            trouver(explique, lire_recherche(saisie, JEUDI))
            assert [plan for plan in explique.plans if ENTIERE.search(plan)] == [], saisie

            def une_recherche(saisie: str = saisie) -> float:
                debut = time.perf_counter()
                assert trouver(conn, lire_recherche(saisie, JEUDI)).trouves, saisie
                durees[saisie] = time.perf_counter() - debut
                return durees[saisie]

            en_moins_de(0.2, une_recherche, essais=20)
    sys.stderr.write(f"{ {saisie: round(1000 * duree) for saisie, duree in durees.items()} } ms\n")


def test_une_anomalie_se_trouve_par_son_nom_et_celle_qui_n_existe_pas_n_est_pas_proposee(service: Service) -> None:
    recevoir(service, "INCONNUE1", 20_00)
    Follower(service.url_base, Anomalies(), mapper=MAPPER).catch_up()
    for saisie, attendus in (
        ("argent-INCONNUE1-1", ["argent-INCONNUE1-1"]),
        ("argent-INCONNUE1-2", []),
        ("sort-1-2-3", []),
    ):
        lu = service.client.get("/api/v1/support/recherche", params={"q": saisie, "motif": MOTIF}, headers=agent())
        assert (lu.status_code, [un["nom"] for un in lu.json()["resultats"]]) == (200, attendus), saisie
        for nom in attendus:
            adresse = f"/api/v1/support/anomalies/{nom}"
            assert service.client.get(adresse, params={"motif": MOTIF}, headers=agent()).status_code == 200
