"""Ce que dit le rapprochement : des phrases qui s'accordent, d'un seul tenant, sans piège pour un terminal."""

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from domain.ecart import GenreEcart
from guichet.rapprochement.ecarts import INCONNU_ICI, CoteBanque, CoteNous, Ecart, classer, cote_nous
from guichet.rapprochement.sommes import Somme
from guichet.rapprocher import Bilan
from kiosque.rapports import Genre, RapportRefuse
from service.reports.telling import due_sentences, tell, tell_refused
from tests.rapports.banc import banc, operations

JOUR = date(2026, 6, 1)
ECART = Ecart(
    Genre.OPERATIONS, GenreEcart.AUTRE_MONTANT, "T1", None, JOUR, 1_00, 21_00, 20_00, "CAPTURED", "accepte",
    "21,00 € à la banque, 20,00 € ici",
)  # fmt: skip


def bilan(lignes: int = 0, *, fichier: str = "impayes.csv", genre: Genre = Genre.IMPAYES) -> Bilan:
    sommes = {("002001000000001", JOUR): Somme(20_00)} if lignes else {}
    return Bilan(
        fichier=fichier,
        empreinte="00",
        genre=genre,
        genere_le=datetime(2026, 6, 1, 22, tzinfo=UTC),
        deja_lu=False,
        lignes=lignes,
        nouvelles=lignes,
        transactions=lignes,
        accordees=lignes,
        ecarts=[],
        ouverts=lignes,
        leves=lignes,
        restent=lignes,
        fermes=[],
        a_demander=[ECART] * lignes,
        corrigees=lignes,
        depassees=lignes,
        sommes=sommes,
        transmises=lignes,
        inconnues=lignes,
    )


def dit(resume: Bilan, largeur: int = 80, *, asked: bool = True) -> list[str]:
    sortie = io.StringIO()
    tell(resume, Console(file=sortie, width=largeur), as_json=False, asked=asked)
    return sortie.getvalue().splitlines()


def test_un_rapport_sans_ligne_ne_montre_pas_de_tableau_vide() -> None:
    tete, fin = dit(bilan())
    assert tete.endswith("daté du 02/06/2026, aucune ligne.")
    assert fin == (
        "Écarts : 0 dans ce rapport ; 0 ouvert, 0 levé ; 0 à régler en tout. Rien n'est à demander à la banque."
    )


def test_ce_qui_est_leve_est_nomme_et_une_banque_non_interrogee_ne_l_est_pas() -> None:
    ferme = ECART._replace(cause="les deux côtés s'accordent, au rapport des opérations du 02/06/2026")
    *_, leve, fin = dit(replace(bilan(1), fermes=[ferme]), asked=False)
    assert leve == "Levé : autre_montant de T1, 1,00\N{NO-BREAK SPACE}€ ; " + ferme.cause + "."
    assert fin.endswith("1 à régler en tout. Banque non interrogée (1 question à lui poser).")


@pytest.mark.parametrize(
    ("lignes", "tete", "fin"),
    [
        (
            1,
            "1 ligne dont 1 nouvelle ; 1 transaction sur 1 s'accorde.",
            (
                "1 ouvert, 1 levé ; 1 à régler en tout. "
                "Banque interrogée : 1 réponse transmise, 1 inconnue, 0 sans réponse."
            ),
        ),
        (
            2,
            "2 lignes dont 2 nouvelles ; 2 transactions sur 2 s'accordent.",
            (
                "2 ouverts, 2 levés ; 2 à régler en tout. "
                "Banque interrogée : 2 réponses transmises, 2 inconnues, 0 sans réponse."
            ),
        ),
    ],
)
def test_les_comptes_s_accordent_et_aucune_phrase_ne_se_coupe(lignes: int, tete: str, fin: str) -> None:
    premiere, *_, derniere = dit(bilan(lignes))
    assert premiere.endswith(tete)
    assert derniere.endswith(fin)


PIEGE = "\u202egpj\x9b31m.csv"


def test_le_nom_d_un_fichier_ne_commande_aucun_terminal_en_json_non_plus(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO())
    tell(bilan(fichier=PIEGE), console, as_json=True)
    tell_refused(Path(PIEGE), RapportRefuse("le fichier est vide"), console, console, as_json=True)
    ecrit = capsys.readouterr().out
    assert not {"\u202e", "\x9b"} & set(ecrit)
    assert [json.loads(ligne)["fichier"] for ligne in ecrit.splitlines()] == [PIEGE, PIEGE]


@pytest.mark.parametrize(
    ("heure_utc", "jour"),
    [(9, "31/05/2026"), (10, "01/06/2026")],
    ids=["avant midi, l'avant-veille", "à midi, la veille"],
)
def test_le_rapport_attendu_est_dit_de_son_jour(heure_utc: int, jour: str) -> None:
    maintenant = datetime(2026, 6, 2, heure_utc, tzinfo=UTC)
    assert due_sentences([], maintenant) == [
        f"Aucun rapport n'est attendu : chaque marchand en a un qui va au moins jusqu'au {jour}."
    ]
    assert due_sentences(["002001000000001"], maintenant) == [
        f"Marchand 002001000000001 : le rapport des transactions du {jour} manque ; il est à demander à la banque."
    ]


@pytest.mark.parametrize("etat", ["echoue", "expire", "en_cours", "en_verification", "non_impute"])
def test_l_etat_d_un_paiement_est_dit_en_francais(etat: str) -> None:
    banque = CoteBanque(
        Genre.OPERATIONS, "T1", None, JOUR, 20_00, 0, frozenset(), frozenset(), refuse=False, annule=False,
        pris_sous={}, rendu_ailleurs=0,
    )  # fmt: skip
    [ecart] = classer(banque, CoteNous(etat, None, None, 0, 0, {}))
    assert ecart.etat_chez_nous == etat
    assert etat not in ecart.cause
    assert ecart.cause.startswith("la banque a pris 20,00\N{NO-BREAK SPACE}€ ; ici le paiement ")


def test_une_anomalie_dit_de_quel_rapport_elle_vient(base: Any) -> None:
    """Le même écart vient de trois rapports : trois anomalies que rien d'autre ne distinguerait."""
    with banc(base.url) as b:
        b.rapprocher(operations([("T1", "DEBIT_CAPTURE", 20_00, "CAPTURED")]))
        [(cause,)] = b.conn.execute("SELECT cause FROM vues.ecarts_ouverts").fetchall()
    assert cause.startswith("rapport des opérations, 01/06/2026 : la banque a pris 20,00\N{NO-BREAK SPACE}€ pour une ")


def test_un_paiement_inconnu_reste_inconnu() -> None:
    assert cote_nous(None).etat == INCONNU_ICI


@pytest.mark.parametrize(
    ("nous", "suite"),
    [
        (CoteNous(INCONNU_ICI, None, None, 0, 0, {}), " d'une transaction inconnue ici : rien n'est à contre-passer"),
        (CoteNous("echoue", None, None, 0, 0, {}), " ; ici le paiement a échoué : rien n'est à contre-passer"),
        (
            CoteNous("accepte", None, None, 20_00, 5_00, {}),
            ", dont 5,00\N{NO-BREAK SPACE}€ repris ici : la contre-passation est à proposer",
        ),
    ],
)
@pytest.mark.parametrize(
    ("genre", "debut"), [(Genre.IMPAYES, "le porteur conteste"), (Genre.OPERATIONS, "la banque a rendu")]
)
def test_une_contre_passation_n_est_proposee_que_s_il_y_a_de_quoi(
    genre: Genre, debut: str, nous: CoteNous, suite: str
) -> None:
    banque = CoteBanque(
        genre, "T1", None, JOUR, 0, 20_00, frozenset(), frozenset(), refuse=False, annule=False, pris_sous={},
        rendu_ailleurs=0,
    )  # fmt: skip
    [ecart] = classer(banque, nous)
    assert ecart.cause == f"{debut} 20,00\N{NO-BREAK SPACE}€{suite}"
