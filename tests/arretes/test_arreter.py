"""Arrêter : une fois, dans l'ordre, quoi qu'il arrive ; et ce qui ne s'arrête pas est refusé d'une phrase."""

import json
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import CheckViolation, InsufficientPrivilege, UniqueViolation

from domain.delai import PARIS
from engine.database import Database
from projections.arretes.contenu import ArreteIllisible, PointDeControle, lire
from projections.arretes.lecture import cloture_du, dernieres, jours_sans_jeton
from projections.arretes.recalcul import recalculer
from service import composition
from service.closing import ClosingDiffers, close_days
from service.closing_stamps import stamp_closings
from service.composition import recorder_on
from service.settings import Settings
from tests.arretes.autorite import autorite, creer
from tests.arretes.histoires import connexion, histoire
from tests.outils import commande, se_tuer

PREMIER = datetime.now(PARIS).date() - timedelta(days=5)
"""Il y a peu : arrêter jusqu'à hier reste court."""
while (PREMIER + timedelta(days=2)).year != PREMIER.year:
    PREMIER -= timedelta(days=1)
VEILLE = PREMIER - timedelta(days=1)


@pytest.fixture
def trois_jours(base: Any) -> Any:
    """Une base où quelque chose est arrivé trois jours de suite, il y a peu ; la même histoire à chaque fois."""
    with histoire(base.url, 4, datetime.combine(PREMIER, datetime.min.time(), UTC) + timedelta(hours=9)) as h:
        for _ in range(3):
            for _ in range(6):
                h.geste()
            h.avancer(timedelta(days=1))
    return base


def test_la_commande_arrete_ce_qui_est_fini_et_le_montre(trois_jours: Any, tmp_path: Path) -> None:
    hier = datetime.now(PARIS).date() - timedelta(days=1)
    faite = commande("arrete", "--json", database_url=trois_jours.url)
    assert faite.returncode == 0, faite.stderr
    dite = json.loads(faite.stdout)
    assert dite["arretes_maintenant"][0] == PREMIER.isoformat()
    assert date.fromisoformat(dite["jour"]) >= hier
    assert dite["totaux"]["perpetuel"]["ensemble"][""]["emis"] > 0
    # La redemander la montre, et n'écrit rien.
    encore = json.loads(commande("arrete", PREMIER, "--json", database_url=trois_jours.url).stdout)
    assert encore["arretes_maintenant"] == []
    assert encore["numero"] == 1
    en_clair = commande("arrete", PREMIER, database_url=trois_jours.url)
    assert f"Arrêté n° 1 du {PREMIER:%d/%m/%Y}" in en_clair.stdout
    assert "Pas horodaté." in en_clair.stdout
    csv = commande("arrete", PREMIER, "--csv", "--pdf", tmp_path / "a.pdf", database_url=trois_jours.url).stdout
    assert csv.splitlines()[0].startswith("jour;periode;axe;cle;ouverture_centimes;")
    assert f"arrete_sha256;{encore['empreinte']}" in csv
    assert f"journal_sha256;{encore['journal']}" in csv
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert b"pdfaid:part>3" in pdf
    assert b"arrete.json" in pdf


@pytest.mark.parametrize(
    ("jour", "phrase"),
    [
        ("2999-01-01", "n'est pas fini"),
        ("aujourd'hui", "AAAA-MM-JJ"),
        ("2026-02-30", "n'existe pas"),
        ("la veille du premier", "Le premier événement est du"),
        ("20261120", "AAAA-MM-JJ"),
        ("٢٠٢٦-١١-٢٠", "AAAA-MM-JJ"),
    ],
)
def test_un_jour_qui_ne_s_arrete_pas_est_refuse(trois_jours: Any, jour: str, phrase: str) -> None:
    refusee = commande("arrete", VEILLE if jour == "la veille du premier" else jour, database_url=trois_jours.url)
    assert refusee.returncode == 2
    assert phrase in " ".join(refusee.stderr.replace("│", " ").split())
    with connexion(trois_jours.url) as conn:
        assert dernieres(conn) == []


def test_avant_le_premier_apres_coup_et_sur_un_journal_vide(trois_jours: Any, seconde_base: Any) -> None:
    commande("arrete", database_url=trois_jours.url)
    avant = commande("arrete", VEILLE, database_url=trois_jours.url)
    assert avant.returncode == 2
    assert "précède le premier événement" in avant.stderr
    vide = commande("arrete", database_url=seconde_base.url)
    assert vide.returncode == 1
    assert "rien n'est arrêté" in vide.stderr
    vide = commande("arrete", PREMIER, database_url=seconde_base.url)
    assert vide.returncode == 2
    assert "Rien n'est encore enregistré" in vide.stderr


def test_un_jour_en_cours_n_est_pas_arrete(base: Any) -> None:
    with histoire(base.url, 1, datetime.now(UTC)) as h:
        h.emettre()
        assert close_days(h.m.guichet.base, h.m.guichet.recorder) == []
    aujourd_hui = commande("arrete", datetime.now(PARIS).date() + timedelta(days=1), database_url=base.url)
    assert aujourd_hui.returncode == 2
    assert "n'est pas fini" in aujourd_hui.stderr


def test_un_caractere_nul_garde_dans_une_raison_n_empeche_pas_d_arreter(base: Any) -> None:
    """Le JSON de PostgreSQL ne l'admet pas, celui du journal l'a gardé."""
    with histoire(base.url, 4, datetime.combine(PREMIER, datetime.min.time(), UTC) + timedelta(hours=9)) as h:
        h.emettre()
        h.annuler()
    with connexion(base.url_proprietaire) as conn:
        conn.execute("ALTER TABLE journal.evenements DISABLE TRIGGER USER")
        ecrit = conn.execute(
            "UPDATE journal.evenements SET etat ="
            " convert_to(replace(convert_from(etat, 'UTF8'), 'erreur', 'err\\u0000eur'), 'UTF8')"
            " WHERE topic = 'creance.AvisAnnule'"
        )
        assert ecrit.rowcount == 1
        conn.commit()
    faite = commande("arrete", database_url=base.url)
    assert faite.returncode == 0, faite.stderr


def test_deux_qui_arretent_ensemble_n_arretent_qu_une_fois(trois_jours: Any) -> None:
    rendues: list[list[Any]] = []
    depart = threading.Barrier(4)

    def arreter() -> None:
        with Database(trois_jours.url) as base:
            depart.wait()
            rendues.append(close_days(base, recorder_on(base), PREMIER + timedelta(days=2)))

    fils = [threading.Thread(target=arreter) for _ in range(4)]
    for fil in fils:
        fil.start()
    for fil in fils:
        fil.join()
    with connexion(trois_jours.url) as conn:
        clotures = dernieres(conn, 10)[::-1]
    assert [c.arrete.numero for c in clotures] == [1, 2, 3]
    assert sorted(c.arrete.numero for rendue in rendues for c in rendue) == [1, 2, 3]


def test_tue_au_milieu_il_ne_reste_rien_a_moitie(trois_jours: Any) -> None:
    se_tuer("tests.arretes.tuee", trois_jours.url)
    with connexion(trois_jours.url) as conn, Database(trois_jours.url) as base:
        (seule,) = dernieres(conn, 10)
        assert seule.arrete.jour == PREMIER
        suite = close_days(base, recorder_on(base), PREMIER + timedelta(days=2))
        assert [c.arrete.numero for c in suite] == [2, 3]
        assert suite[0].arrete.precedent == seule.empreinte


def test_si_les_deux_calculs_different_rien_ne_s_ecrit(trois_jours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    vrai = recalculer

    def autrement(conn: Any, bornes: Any) -> Any:
        tableaux = vrai(conn, bornes)
        for par_cle in tableaux[1].values():
            for totaux in par_cle.values():
                totaux.accepte += 1
        return tableaux

    monkeypatch.setattr("service.closing.recalculer", autrement)
    with connexion(trois_jours.url) as conn, Database(trois_jours.url) as base:
        with pytest.raises(ClosingDiffers, match=f"{PREMIER + timedelta(days=1):%d/%m/%Y}.*accepte"):
            close_days(base, recorder_on(base))
        assert dernieres(conn) == []
    dite = commande("arrete", database_url=trois_jours.url)
    assert dite.returncode == 1
    assert "Rien n'est arrêté" in dite.stderr


def test_la_base_refuse_ce_qui_ne_suit_pas(trois_jours: Any) -> None:
    with connexion(trois_jours.url) as conn, Database(trois_jours.url) as base:
        une, deux = close_days(base, recorder_on(base), PREMIER + timedelta(days=1))
        inserer = (
            "INSERT INTO journal.arretes (numero, jour, depuis, jusqu_a, contenu, empreinte, precedent)"
            " VALUES (%s, %s, %s, %s, %s, sha256(%s), %s)"
        )
        octets, borne = b"{}", deux.arrete.jusqu_a
        apres = PREMIER + timedelta(days=2)
        bonne = (3, apres, borne, borne, octets, octets, bytes.fromhex(deux.empreinte))
        mauvaises: list[tuple[Any, ...]] = [
            (4, *bonne[1:]),
            (3, apres + timedelta(days=1), *bonne[2:]),
            (*bonne[:2], borne - 1, *bonne[3:]),
            (*bonne[:3], 10**9, *bonne[4:]),
            (*bonne[:5], b"autre", *bonne[6:]),
            (*bonne[:6], bytes.fromhex(une.empreinte)),
        ]
        for mauvaise in mauvaises:
            with pytest.raises((CheckViolation, UniqueViolation)):
                conn.execute(inserer, mauvaise)
        with pytest.raises(UniqueViolation, match="déjà arrêté"):
            conn.execute(inserer, (3, PREMIER, *bonne[2:]))
        for interdit in ("UPDATE journal.arretes SET numero = 9", "DELETE FROM journal.jetons_d_arrete"):
            with pytest.raises(InsufficientPrivilege):
                conn.execute(interdit.encode())


def test_l_heure_vient_d_une_autorite_verifiee_et_l_arrete_ne_l_attend_pas(trois_jours: Any, tmp_path: Path) -> None:
    url = {"database_url": trois_jours.url}
    with autorite(tmp_path / "tsa") as tsa:
        reglages = url | {"tsa_url": tsa.url, "tsa_racines": "", "tsa_roots": tsa.racines}
        tsa.muette = True
        sans = commande("arrete", PREMIER, **reglages)
        assert sans.returncode == 0
        assert "Sans horodatage pour l'instant" in sans.stderr
        tsa.muette = False
        creer(tmp_path / "autre", "Une autre")
        fausse = commande("arrete", PREMIER, **reglages | {"tsa_roots": tmp_path / "autre" / "racine.pem"})
        assert "ne vaut rien" in fausse.stderr
        assert "Pas horodaté" in fausse.stdout
        tsa.autre = b"n'importe quoi"
        assert "Pas horodaté" in commande("arrete", PREMIER, **reglages).stdout
        tsa.autre = None
        bonne = commande("arrete", PREMIER, **reglages)
        assert f"par {tsa.url}" in bonne.stdout
        assert bonne.stderr == ""
        tsa.autre = (tmp_path / "tsa" / "reponse.tsr").read_bytes()  # La réponse d'un autre, rejouée.
        rejouee = commande("arrete", PREMIER + timedelta(days=1), **reglages)
        assert "ne vaut rien" in rejouee.stderr
        tsa.autre = None
        commande("arrete", PREMIER + timedelta(days=1), **reglages)
    with connexion(trois_jours.url) as conn:
        une = cloture_du(conn, PREMIER)
        assert une is not None
        assert une.jeton is not None
        assert abs(une.jeton.horodate_le - datetime.now(UTC)) < timedelta(minutes=5)

    # L'audit vérifie la signature sous les racines que les réglages nomment ; sous d'autres, ce n'est pas la leur.
    def mal_signes(racines: Path) -> int:
        audit = commande("audit", "--json", **url | {"tsa_url": tsa.url, "tsa_roots": racines})
        return sum("n'est pas signé par l'autorité" in dit for dit in json.loads(audit.stdout)["ecarts"])

    assert mal_signes(tsa.racines) == 0
    assert mal_signes(tmp_path / "autre" / "racine.pem") == 2
    # L'archive se vérifie sans nous, jetons compris ; et toute altération d'un de ses fichiers s'y voit.
    dossier = tmp_path / "archive"
    faite = commande("archiver", PREMIER.year, dossier, **url | {"tsa_url": tsa.url, "tsa_roots": tsa.racines})
    assert faite.returncode == 0, faite.stderr
    verifier_l_archive(dossier)


def test_une_cloture_alteree_n_empeche_pas_d_horodater_les_autres(trois_jours: Any, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, database_url=trois_jours.url)
    for jours in range(2):
        assert commande("arrete", PREMIER + timedelta(days=jours), database_url=trois_jours.url).returncode == 0
    with connexion(trois_jours.url_proprietaire) as conn:
        for instruction in (
            "ALTER TABLE journal.arretes DISABLE TRIGGER ALL",
            "UPDATE journal.arretes SET contenu = '{}' WHERE numero = 1",
            "ALTER TABLE journal.arretes ENABLE TRIGGER ALL",
        ):
            conn.execute(instruction.encode())
    guichet = composition.guichet(settings, application="essai")
    with autorite(tmp_path / "tsa") as tsa:
        stamp_closings(settings.model_copy(update={"tsa_url": tsa.url, "tsa_roots": tsa.racines}), guichet.base)
    guichet.base.fermer()
    with connexion(trois_jours.url) as conn:
        assert jours_sans_jeton(conn, 9) == [PREMIER]


def verifier_l_archive(dossier: Path) -> None:
    """L'archive est bonne, et ne l'est plus dès qu'un de ses octets change."""
    import subprocess
    import sys

    def verifiee() -> "subprocess.CompletedProcess[str]":
        propre = [sys.executable, "-I", str(dossier / "verifier.py")]
        return subprocess.run(propre, cwd=dossier, capture_output=True, text=True, check=False)

    def sommes() -> int:
        return subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dossier, check=False).returncode  # noqa: S607

    bonne = verifiee()
    assert bonne.returncode == 0, bonne.stdout + bonne.stderr
    dit = "2 arrêtés lus, 0 fautes ; 0 événements sont dans l'arbre de leur point ; 2 jetons d'heure.\n"
    assert bonne.stdout == dit
    assert sommes() == 0
    premier, second = (dossier / (PREMIER + timedelta(days=n)).isoformat() for n in range(2))
    for fichier, de, en in (
        (premier / "arrete.json", b'"emis":', b'"emit":'),
        (premier / "arrete.json", b'"restant_du":', b'"restant_du":1'),
        (second / "arrete.json", b'"evenements":', b'"evenements":1'),
        (premier / "evenements.jsonl", b"38117012", b"38117013"),
        (second / "jeton.tsr", b"", b""),
        (premier / "arrete.csv", b";", b";1"),
        (second / "arrete.pdf", b"%PDF", b"%PDE"),
        (dossier / "racines.pem", b"BEGIN", b"BEGUN"),
    ):
        avant = fichier.read_bytes()
        apres = (premier / "jeton.tsr").read_bytes() if not de else avant.replace(de, en, 1)
        assert apres != avant
        fichier.write_bytes(apres)
        assert verifiee().returncode == 1, fichier
        assert sommes() == 1
        fichier.write_bytes(avant)
    for fichier in (premier / "jeton.tsr", premier / "arrete.csv"):
        fichier.rename(dossier.parent / "ailleurs")
        assert verifiee().returncode == 1, fichier
        (dossier.parent / "ailleurs").rename(fichier)
    (premier / "en-plus.txt").write_text("rien")
    assert verifiee().returncode == 1
    (premier / "en-plus.txt").unlink()
    assert verifiee().returncode == 0


def test_archiver_refuse_une_annee_sans_arrete_et_un_dossier_plein(trois_jours: Any, tmp_path: Path) -> None:
    rien = commande("archiver", PREMIER.year - 1, tmp_path / "neuf", database_url=trois_jours.url)
    assert rien.returncode == 1
    assert f"Aucune journée de {PREMIER.year - 1}" in rien.stderr
    (tmp_path / "x").write_text("déjà là")
    plein = commande("archiver", PREMIER.year, tmp_path, database_url=trois_jours.url)
    assert plein.returncode == 2


def test_des_octets_qui_ne_sont_pas_d_une_cloture_sont_refuses(trois_jours: Any) -> None:
    with Database(trois_jours.url) as base:
        (une,) = close_days(base, recorder_on(base), PREMIER)
    assert lire(une.octets) == une.arrete
    for faux in (b"", b"{}", une.octets + b" ", une.octets.replace(b'"numero":1', b'"numero": 1')):
        with pytest.raises(ArreteIllisible):
            lire(faux)
    point = PointDeControle(origine="o", taille=3, racine="0" * 64, hors_du_point=0)
    avec = une.arrete.model_copy(update={"point_de_controle": point})
    assert lire(avec.octets()) == avec


def test_un_evenement_illisible_empeche_d_arreter_et_se_nomme(trois_jours: Any) -> None:
    with psycopg.connect(trois_jours.url_proprietaire, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause)"
            " SELECT flux, max(version) + 1, 'creance.Inconnu', '{}', 'c' FROM journal.evenements"
            " WHERE flux LIKE 'creance-%' GROUP BY flux LIMIT 1"
        )
        conn.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
        conn.execute(
            "UPDATE journal.evenements SET enregistre_le = (SELECT max(enregistre_le) FROM journal.evenements"
            " WHERE topic <> 'creance.Inconnu') WHERE topic = 'creance.Inconnu'"
        )
    dite = commande("arrete", database_url=trois_jours.url)
    assert dite.returncode == 1
    assert "Rien n'est arrêté : creance-" in dite.stderr
