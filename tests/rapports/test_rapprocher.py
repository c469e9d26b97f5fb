"""Le rapprochement : chaque transaction de la banque rencontre la nôtre, chaque écart planté est trouvé, et se lève."""

import io
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any

import psycopg
import pytest

from domain.delai import PARIS
from domain.ecart import GenreEcart
from domain.paiement import Fin
from guichet.rapprochement import registre
from guichet.rapprocher import (
    AVANCE_MAX,
    Interrogation,
    Reglages,
    demander_a_la_banque,
    rapports_attendus,
    rapprocher,
)
from kiosque.rapports import RapportRefuse
from kiosque.simulateur.rapports import Faute, TransactionDuJour, rapports_du_jour
from projections.audit.constats import RAPPORTS
from tests.outils import CREANCES, RACINE, attendre, commande, environnement
from tests.rapports.banc import (
    AUTRE_MARCHAND,
    JOUR,
    MARCHAND,
    REGLAGES,
    Banc,
    Ligne,
    banc,
    impayes,
    operations,
    rapport,
)


@pytest.fixture
def b(base: Any) -> Iterator[Banc]:
    with banc(base.url) as ouvert:
        yield ouvert


def test_deux_cotes_qui_s_accordent_n_ouvrent_rien(b: Banc) -> None:
    b.payer("T1")
    b.payer("T2", fin=Fin.ECHOUE)
    bilan = b.rapprocher(rapport([Ligne("T1"), Ligne("T2", code="05")]))
    assert (bilan.transactions, bilan.accordees, bilan.ecarts, b.ouverts()) == (2, 2, [], [])
    [somme] = bilan.sommes.values()
    assert (somme.banque_pris, somme.nous_pris) == (20_00, 20_00)
    assert list(bilan.sommes) == [(MARCHAND, date(2026, 6, 1))]


def test_ce_qui_manque_ici_est_demande_a_la_banque_puis_leve_par_le_rapport_suivant(b: Banc) -> None:
    bilan = b.rapprocher(rapport([Ligne("INCONNUE", 31_00)]))
    assert b.ouverts() == [("manque_ici", "INCONNUE")]

    demandes = []

    def demander(transaction: str, marchand: str) -> Interrogation:
        demandes.append((transaction, marchand))
        return Interrogation.TRANSMISE

    demander_a_la_banque(bilan, REGLAGES, demander)
    assert demandes == [("INCONNUE", MARCHAND)]
    assert (bilan.transmises, bilan.inconnues, bilan.sans_reponse) == (1, 0, 0)

    b.encaisser_inconnu("INCONNUE", 31_00)
    suivant = b.rapprocher(rapport([], genere="20260603"))
    assert (suivant.leves, b.ouverts()) == (1, [])
    cause = b.conn.execute("SELECT cause FROM journal.ecarts_de_rapport WHERE clot IS NOT NULL").fetchone()
    assert cause == ("les deux côtés s'accordent, au rapport des transactions du 03/06/2026",)


def test_un_rapport_date_de_demain_est_lu_et_l_audit_n_y_voit_rien_a_redire(b: Banc) -> None:
    """Le plus loin qu'un titre puisse dater : ce qui est pris n'est pas un écart pour toujours."""
    plus_loin = (datetime.now(UTC) + AVANCE_MAX).astimezone(PARIS)
    b.rapprocher(rapport([], genere=f"{plus_loin:%Y%m%d}"))
    assert b.conn.execute("SELECT count(*) FROM journal.rapports").fetchone() == (1,)
    for requete in RAPPORTS.values():
        assert b.conn.execute(requete).fetchall() == []


def test_une_banque_injoignable_ne_perd_aucune_question(b: Banc) -> None:
    bilan = b.rapprocher(rapport([Ligne(f"X{i}") for i in range(5)]))
    posees = []

    def demander(transaction: str, _marchand: str) -> Interrogation:
        posees.append(transaction)
        return Interrogation.SANS_REPONSE

    demander_a_la_banque(bilan, REGLAGES, demander)
    assert (len(posees), bilan.sans_reponse) == (3, 5)
    assert len(b.rapprocher(rapport([], genere="20260603")).a_demander) == 5


def test_au_dela_de_mille_questions_aucune_n_est_laissee_pour_toujours(b: Banc) -> None:
    """La banque peut répondre mille fois « inconnue » : les mêmes mille ne doivent pas cacher les autres."""
    premier = b.rapprocher(rapport([Ligne(f"X{i:04d}") for i in range(1_050)]))
    assert (len(premier.a_demander), premier.au_dela) == (1_000, 50)
    posees = {ecart.transaction for ecart in premier.a_demander}
    for jour in range(3, 11):
        posees |= {ecart.transaction for ecart in b.rapprocher(rapport([], genere=f"202606{jour:02d}")).a_demander}
    assert len(posees) == 1_050


def test_ce_qui_manque_la_bas_est_dit_des_seuls_jours_couverts(b: Banc) -> None:
    b.payer("PRESENTE")
    b.payer("ABSENTE", 25_00, a=JOUR + timedelta(hours=2))
    b.payer("LENDEMAIN", a=JOUR + timedelta(days=1))
    b.payer("VEILLE", a=JOUR - timedelta(days=1))
    b.payer("AILLEURS", marchand=AUTRE_MARCHAND)
    bilan = b.rapprocher(rapport([Ligne("PRESENTE")]))
    assert [(e.genre, e.transaction, e.montant) for e in bilan.ecarts] == [(GenreEcart.MANQUE_LA_BAS, "ABSENTE", 25_00)]
    [somme] = bilan.sommes.values()
    assert (somme.banque_pris, somme.nous_pris) == (20_00, 45_00)

    suivant = b.rapprocher(
        rapport(
            [
                Ligne("ABSENTE", 25_00, le="2026-06-01T14:00:00+02:00"),
                Ligne("LENDEMAIN", le="2026-06-02T12:00:00+02:00"),
            ],
            genere="20260603",
        )
    )
    assert (suivant.ecarts, suivant.leves, b.ouverts()) == ([], 1, [])


def test_un_paiement_enregistre_en_retard_pour_un_jour_deja_couvert_est_confronte_au_rapport_suivant(b: Banc) -> None:
    b.payer("T1")
    assert b.rapprocher(rapport([Ligne("T1")])).ecarts == []
    b.payer("TARD")
    assert b.rapprocher(rapport([], genere="20260603")).ecarts[0].transaction == "TARD"


def test_autre_montant_autre_etat_et_encore_en_cours(b: Banc) -> None:
    b.payer("MONTANT", 20_00)
    b.payer("REFUSEEICI", fin=Fin.ECHOUE)
    b.payer("REFUSEELA")
    b.payer("ENCOURS", fin=None)
    bilan = b.rapprocher(
        rapport(
            [
                Ligne("MONTANT", 21_00),
                Ligne("REFUSEEICI"),
                Ligne("REFUSEELA", code="05"),
                Ligne("ENCOURS", code="17"),
            ]
        )
    )
    assert b.ouverts() == [
        ("autre_etat", "ENCOURS"),
        ("autre_etat", "REFUSEEICI"),
        ("autre_etat", "REFUSEELA"),
        ("autre_montant", "MONTANT"),
    ]
    assert {e.transaction: e.montant for e in bilan.ecarts} == {
        "MONTANT": 1_00, "REFUSEEICI": 20_00, "REFUSEELA": 20_00, "ENCOURS": 0
    }  # fmt: skip
    assert {e.transaction for e in bilan.a_demander} == {"REFUSEEICI", "ENCOURS"}


@pytest.mark.parametrize("dite", [Ligne("T1", code=code) for code in ("60", "90", "94", "99")] + [Ligne("T1", 0)])
def test_acceptee_ici_et_rien_de_pris_la_bas_n_est_pas_un_accord(b: Banc, dite: Ligne) -> None:
    """Un code qui ne conclut rien, ou une acceptation de zéro : le rapport suivant l'explique, ou une personne."""
    b.payer("T1")
    bilan = b.rapprocher(rapport([dite]))
    assert (bilan.accordees, b.ouverts()) == (0, [("autre_etat", "T1")])
    b.rapprocher(rapport([Ligne("T1", autorisation="1", le="2026-06-01T12:01:00+02:00")], genere="20260603"))
    assert b.ouverts() == []
    assert (
        b.rapprocher(rapport([Ligne("T1", code="94", le="2026-06-01T12:05:00+02:00")], genere="20260604")).ecarts == []
    )


def test_un_impaye_propose_la_contre_passation_et_se_leve_par_elle(b: Banc) -> None:
    b.payer("T1", 20_00)
    bilan = b.rapprocher(impayes([("T1", -20_00)]))
    assert [(e.genre, e.montant, e.montant_chez_nous) for e in bilan.ecarts] == [(GenreEcart.IMPAYE, 20_00, 0)]
    b.contrepasser("T1", 20_00)
    suivant = b.rapprocher(impayes([], genere="20260603"))
    assert (suivant.ecarts, suivant.leves, b.ouverts()) == ([], 1, [])


def test_l_argent_des_operations_n_est_compte_qu_a_la_remise(b: Banc) -> None:
    b.payer("T1", 20_00)
    bilan = b.rapprocher(
        operations(
            [
                ("T1", "DEBIT_CAPTURE", 20_00, "CAPTURED"),
                ("T1", "CREDIT", 20_00, "TO_CREDIT"),
                ("T1", "CREDIT_CAPTURE", 20_00, "CREDITED"),
            ]
        )
    )
    assert [(e.genre, e.montant) for e in bilan.ecarts] == [(GenreEcart.REMBOURSEMENT, 20_00)]
    [somme] = bilan.sommes.values()
    assert (somme.banque_pris, somme.banque_rendu, somme.nous_pris, somme.nous_repris) == (20_00, 20_00, 20_00, 0)


def test_une_annulation_a_la_banque_d_un_paiement_accepte_est_un_autre_etat(b: Banc) -> None:
    b.payer("T1", 20_00)
    bilan = b.rapprocher(operations([("T1", "CANCEL", 20_00, "CANCELLED")]))
    assert [(e.genre, e.montant) for e in bilan.ecarts] == [(GenreEcart.AUTRE_ETAT, 20_00)]


def test_le_meme_fichier_deux_fois_ne_compte_qu_une_fois(b: Banc) -> None:
    b.payer("T1")
    premier = b.rapprocher(rapport([Ligne("T1"), Ligne("X")]))
    second = b.rapprocher(rapport([Ligne("T1"), Ligne("X")]))
    assert (premier.nouvelles, second.nouvelles, second.deja_lu, second.ouverts) == (2, 0, True, 0)
    assert second.sommes == premier.sommes
    assert b.conn.execute("SELECT count(*) FROM journal.rapports").fetchone() == (1,)


def test_la_meme_ligne_deux_fois_dans_deux_fichiers_ne_compte_qu_une_fois(b: Banc) -> None:
    b.payer("T1")
    double = b.rapprocher(rapport([Ligne("T1"), Ligne("T1")]))
    hebdomadaire = b.rapprocher(rapport([Ligne("T1")], genere="20260608"))
    assert (double.nouvelles, double.ecarts, hebdomadaire.nouvelles, hebdomadaire.ecarts) == (1, [], 0, [])


@pytest.mark.parametrize("fin", ["", "TRANSACTION;0020", "END\nTRANSACTION;encore\n"])
def test_un_fichier_coupe_ne_laisse_rien(b: Banc, fin: str) -> None:
    with pytest.raises(RapportRefuse):
        b.rapprocher(rapport([Ligne("T1")], fin=fin))
    comptes = b.conn.execute(
        "SELECT (SELECT count(*) FROM journal.rapports), (SELECT count(*) FROM journal.lignes_de_rapport)"
    ).fetchone()
    assert comptes == (0, 0)


@pytest.mark.parametrize("table", ["rapports", "lignes_de_rapport", "ecarts_de_rapport"])
def test_ce_qui_est_inscrit_ne_se_change_pas(b: Banc, table: str) -> None:
    b.rapprocher(rapport([Ligne("X")]))
    for geste in ("DELETE FROM journal.{}", "UPDATE journal.{} SET enregistre_le = now()", "TRUNCATE journal.{}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            b.conn.execute(geste.format(table))


def test_le_rapport_de_la_veille_est_attendu_a_midi_de_paris(b: Banc) -> None:
    midi = datetime(2026, 6, 2, 10, 0, tzinfo=UTC)
    assert rapports_attendus(b.conn, REGLAGES.marchands, midi) == [MARCHAND, AUTRE_MARCHAND]
    b.rapprocher(rapport([Ligne("T1")]))
    assert rapports_attendus(b.conn, REGLAGES.marchands, midi) == [AUTRE_MARCHAND]
    avant_midi = midi + timedelta(days=1, minutes=-1)
    assert rapports_attendus(b.conn, [MARCHAND], avant_midi) == []
    assert rapports_attendus(b.conn, [MARCHAND], avant_midi + timedelta(minutes=1)) == [MARCHAND]


def test_un_rapport_qui_ne_nomme_pas_de_marchand_est_celui_de_tous_les_notres(b: Banc) -> None:
    b.payer("T1")
    sans = rapport([Ligne("T1")]).replace(b"merchantId;", b"").replace(MARCHAND.encode() + b";", b"")
    bilan = b.rapprocher(sans)
    assert (list(bilan.sommes), bilan.ecarts) == ([(MARCHAND, date(2026, 6, 1))], [])
    assert b.conn.execute("SELECT marchands FROM journal.rapports").fetchone() == (list(REGLAGES.marchands),)
    assert isinstance(REGLAGES, Reglages)


@pytest.mark.parametrize("faute", Faute)
def test_chaque_ecart_que_le_simulateur_plante_est_trouve_et_lui_seul(b: Banc, faute: Faute) -> None:
    noms = [f"S{i}" for i in range(6)]
    for nom in noms:
        b.payer(nom)
    banque = [TransactionDuJour(nom, MARCHAND, 20_00, "00", "123456", JOUR) for nom in noms]
    porte = "INVENTEE" if faute is Faute.MANQUE_ICI else "S2"
    rapports = rapports_du_jour(JOUR.date(), banque, {faute: porte}, separateur="\t")
    trouves = set()
    for _, texte in rapports.values():
        bilan = b.rapprocher(texte.encode("utf-8-sig"))
        trouves |= {(ecart.genre.value, ecart.transaction) for ecart in bilan.ecarts}
    assert trouves == {(faute.value, porte)}


def creances(base: Any, *arguments: object) -> tuple[int, list[dict[str, Any]], str]:
    fini = commande("rapprocher", *arguments, "--json", "--no-ask", database_url=base.url)
    return fini.returncode, [json.loads(ligne) for ligne in fini.stdout.splitlines()], fini.stderr


def test_une_personne_lit_la_date_que_porte_le_rapport(base: Any, b: Banc, tmp_path: Path) -> None:
    b.payer("T1")
    fichier, avenir = tmp_path / "jt.csv", tmp_path / "avenir.csv"
    fichier.write_bytes(rapport([Ligne("T1")]))
    avenir.write_bytes(rapport([Ligne("T1")], genere="20620602"))
    fini = commande("rapprocher", fichier, avenir, "--no-ask", database_url=base.url)
    assert "rapport des transactions daté du 02/06/2026" in " ".join(fini.stdout.split())
    assert "daté de l'avenir (02/06/2062)" in " ".join(fini.stderr.split())


def test_la_commande_sort_avec_0_1_ou_2(base: Any, b: Banc, tmp_path: Path) -> None:
    b.payer("T1")
    bon, autre, coupe = tmp_path / "bon.csv", tmp_path / "autre.csv", tmp_path / "coupe.csv"
    bon.write_bytes(rapport([Ligne("T1")]))
    autre.write_bytes(rapport([Ligne("T1"), Ligne("X", 12_00)], genere="20260603"))
    coupe.write_bytes(rapport([Ligne("T1")], fin=""))
    code, [dit], _ = creances(base, bon)
    assert (code, dit["accordees"], dit["sommes"][0]["nous_pris"]) == (0, 1, 20_00)
    code, [dit], _ = creances(base, autre)
    assert (code, [(e["genre"], e["montant"]) for e in dit["ecarts"]]) == (1, [("manque_ici", 12_00)])
    code, dits, _ = creances(base, coupe, bon)
    assert (code, "la dernière ligne, END, manque" in dits[0]["refuse"], dits[1]["deja_lu"]) == (2, True, True)
    assert creances(base, tmp_path / "absent.csv")[0] == 2
    assert creances(base)[0] == 2


@pytest.mark.lent
def test_le_dossier_surveille_prend_chaque_fichier_une_fois_et_finit_par_sigterm(
    base: Any, b: Banc, tmp_path: Path
) -> None:
    b.payer("T1")
    commande = [*CREANCES, "rapprocher", "--watch", str(tmp_path), "--no-ask", "--json"]
    with subprocess.Popen(commande, env=environnement(database_url=base.url), cwd=RACINE, stdout=subprocess.PIPE) as p:
        (tmp_path / "a.csv").write_bytes(rapport([Ligne("T1")]))
        (tmp_path / "meme-contenu.csv").write_bytes(rapport([Ligne("T1")]))
        (tmp_path / "en-route.csv.part").write_bytes(b"TITLE")
        (tmp_path / "coupe.csv").write_bytes(rapport([Ligne("T1")], fin=""))
        assert p.stdout is not None
        dits = [json.loads(p.stdout.readline()) for _ in range(2)]
        os.kill(p.pid, signal.SIGTERM)
        assert p.wait(90) == 0
        assert p.stdout.read() == b""
    assert [dit["fichier"] for dit in dits] == ["a.csv", "coupe.csv"]
    assert "refuse" in dits[1]
    attendre(lambda: b.conn.execute("SELECT count(*) FROM journal.rapports").fetchone() == (1,))


@pytest.mark.lent
def test_un_dossier_surveille_qui_s_absente_est_attendu(base: Any, b: Banc, tmp_path: Path) -> None:
    b.payer("T1")
    dossier, ailleurs = tmp_path / "ici", tmp_path / "ailleurs"
    dossier.mkdir()
    commande = [*CREANCES, "rapprocher", "--watch", str(dossier), "--no-ask", "--json"]
    environ = environnement(database_url=base.url)
    with subprocess.Popen(commande, env=environ, cwd=RACINE, stdout=PIPE, stderr=PIPE) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        (dossier / "a.csv").write_bytes(rapport([Ligne("T1")]))
        assert json.loads(p.stdout.readline())["fichier"] == "a.csv"
        dossier.rename(ailleurs)
        assert b"attendu" in p.stderr.readline()
        (ailleurs / "b.csv").write_bytes(rapport([Ligne("T1", 21_00)], genere="20260603"))
        ailleurs.rename(dossier)
        assert json.loads(p.stdout.readline())["fichier"] == "b.csv", "et le premier, déjà lu, n'est pas redit"
        os.kill(p.pid, signal.SIGTERM)
        assert p.wait(90) == 0


def test_une_ligne_du_passe_ne_change_pas_ce_qu_un_autre_montant_vaut(b: Banc) -> None:
    b.payer("T1")
    b.rapprocher(rapport([Ligne("T1", 21_00)]))
    meme = b.rapprocher(rapport([replace(Ligne("T1", 21_00))], genere="20260603"))
    assert (meme.ouverts, meme.leves, b.ouverts()) == (0, 0, [("autre_montant", "T1")])


AVANT, APRES = "2026-06-01T11:50:00+02:00", "2026-06-01T12:01:00+02:00"


def test_la_reference_seule_n_accorde_rien_de_ce_qui_precede_le_paiement(b: Banc) -> None:
    """Après une restauration, D a reçu le nom que B portait : la ligne de B n'est pas celle de D."""
    b.payer("T1")
    bilan = b.rapprocher(rapport([Ligne("T1", le=AVANT, autorisation="111111")]))
    [ecart] = bilan.ecarts
    assert (ecart.genre, ecart.montant) == (GenreEcart.AUTRE_ETAT, 20_00)
    assert bilan.a_demander == [ecart]

    suivant = b.rapprocher(rapport([Ligne("T1", le=APRES, autorisation="222222")], genere="20260603"))
    assert [trouve.montant for trouve in suivant.ecarts] == [20_00], "l'argent de B n'est encore nulle part ici"


def test_une_ligne_plus_ancienne_que_le_paiement_ne_le_montre_pas_a_la_banque(b: Banc) -> None:
    b.rapprocher(rapport([Ligne("T1", le=AVANT)]))
    b.payer("T1")
    b.rapprocher(rapport([], genere="20260603"))
    assert ("manque_la_bas", "T1") in b.ouverts()


def test_un_jour_sans_heure_ne_precede_que_les_jours_suivants(b: Banc) -> None:
    b.payer("T1")
    assert b.rapprocher(rapport([Ligne("T1", le="20260601")])).ecarts == []


class LectureFigee(io.BytesIO):
    """Un fichier dont la lecture, une fois les premières lignes données, ne revient que si on le veut bien."""

    def __init__(self, contenu: bytes) -> None:
        super().__init__(contenu)
        self.atteinte, self.reprise, self.relu = threading.Event(), threading.Event(), False

    def seek(self, *ou: int) -> int:
        self.relu = True
        return super().seek(*ou)

    def readline(self, taille: int | None = -1) -> bytes:
        if self.relu and self.tell() > MILIEU:
            self.atteinte.set()
            self.reprise.wait()
        return super().readline(taille)


MILIEU = 1_000


def test_un_rapprochement_fige_dans_sa_lecture_n_arrete_pas_les_autres(b: Banc) -> None:
    fige = LectureFigee(rapport([Ligne(f"T{n}") for n in range(50)]))
    fil = threading.Thread(target=rapprocher, args=(b.guichet, fige, "fige.csv", REGLAGES))
    fil.start()
    try:
        assert fige.atteinte.wait(60)
        assert b.rapprocher(rapport([Ligne("T60")], genere="20260603")).lignes == 1
    finally:
        fige.reprise.set()
        fil.join()
    assert ("manque_ici", "T49") in b.ouverts()


def test_qui_tient_le_rapprochement_et_se_tait_le_rend(b: Banc) -> None:
    with b.guichet.base.transaction() as conn:
        registre.commencer(conn)
        registre.prendre_le_verrou(conn)
        assert conn.execute("SELECT current_setting('idle_in_transaction_session_timeout')").fetchone() == ("10s",)
