"""Par la commande, d'un bout à l'autre : lister, montrer, proposer, approuver ; deux agents."""

import json
import subprocess
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from api.socle.identite import RoleUtilisateur, emettre_jeton
from domain.avis import Moyen
from domain.monnaie import Centimes
from guichet.acces import NON_DIT
from projections.audit import auditer
from service.publisher import Publisher
from tests.consumers.banc import avis, cheque, notification
from tests.consumers.banc import banc as banc_kafka
from tests.courtiers import port_libre
from tests.guichet.reglement.banc import T0, Banc, reference
from tests.guichet.reglement.test_attendus_et_rejoues import ouvertes, restant
from tests.outils import commande
from tests.rapports.banc import impayes

ID = "argent-ORPHELIN-1"
SECRET = "s" * 32


def jeton_de(personne: str, role: RoleUtilisateur = RoleUtilisateur.SUPPORT) -> str:
    """Le jeton de cette personne."""
    return emettre_jeton(SECRET, role, None, audience="creances", maintenant=datetime.now(UTC), personne=personne)


def lancer(url: str, *arguments: str, par: str = "", **reglages: object) -> subprocess.CompletedProcess[str]:
    """La commande ; `par` : la personne dont le jeton est donné, sinon le compte de la machine."""
    if par:
        reglages |= {"jwt_secret": SECRET, "agent_token": jeton_de(par)}
    return commande(*arguments, database_url=url, **reglages)


def test_de_l_argent_orphelin_se_rattache_par_la_commande_a_deux(b: Banc, base: Any) -> None:
    b.ouvrir_creance(1)
    b.repondre("ORPHELIN", 20_00)
    b.projeter()
    (ligne,) = json.loads(lancer(base.url, "anomalies", "list", "--json").stdout)
    assert (ligne["id"], ligne["genre"], ligne["etat"], ligne["montant_centimes"]) == (
        *(ID, "non_rapprochee", "ouverte"),
        20_00,
    )
    vers = ("--geste", "rattacher", "--creance", f"{reference(1)}=20,00")
    pourquoi = ("--motif", "elle a appelé", "--json")
    propose = lancer(base.url, "anomalies", "settle", ID, *vers, *pourquoi, par="agent-1")
    assert propose.returncode == 0, propose.stderr
    assert json.loads(propose.stdout)["suite"] == "propose"
    meme = lancer(base.url, "anomalies", "approve", ID, par="Agent-1")
    assert (meme.returncode, "seconde personne" in meme.stderr) == (1, True)
    autre = lancer(base.url, "anomalies", "approve", ID, "--json", par="agent-2")
    assert json.loads(autre.stdout)["suite"] == "regle"
    encore = lancer(base.url, "anomalies", "approve", ID, par="agent-3")
    assert (encore.returncode, "déjà réglée" in encore.stderr) == (1, True)
    b.projeter()
    assert b.creance(1).restant_du == 67_09
    vue = json.loads(lancer(base.url, "anomalies", "show", ID, "--motif", "elle a appelé", "--json").stdout)
    assert b.conn.execute("SELECT quoi, objet, motif FROM journal.acces ORDER BY rang").fetchall() == [
        ("anomalies", "liste", NON_DIT),
        ("anomalie", f"anomalie-{ID}", "elle a appelé"),
    ]
    assert (vue["etat"], [pas["type"] for pas in vue["histoire"]][-1]) == ("reglee", "AnomalieRéglée")
    assert json.loads(lancer(base.url, "anomalies", "list", "--json").stdout) == []
    assert auditer(b.conn).ecarts == []


def test_une_anomalie_montree_dit_de_qui_elle_est(b: Banc, base: Any) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 25_00)
    (ligne,) = b.ouvertes()
    montree = lancer(base.url, "anomalies", "show", ligne.id, "--motif", "elle a appelé")
    assert ("Assuré" in montree.stdout, "a-1" in montree.stdout) == (True, True), montree.stdout


def test_les_mauvais_arguments_ont_leur_phrase(b: Banc, base: Any) -> None:
    b.repondre("ORPHELIN", 20_00)
    commun = ("--motif", "elle a appelé")
    for code, arguments in (
        (2, ("settle", ID, "--geste", "voler", *commun)),
        (2, ("settle", ID, "--geste", "rattacher", "--creance", "123", *commun)),
        (2, ("settle", ID, "--geste", "rattacher", "--montant", "-5", *commun)),
        (1, ("settle", ID, "--geste", "rattacher", "--creance", f"{reference(7)}", *commun)),
        (1, ("show", "argent-RIEN-1")),
        (1, ("settle", "argent-RIEN-1", "--geste", "rendre", "--voie", "carte", *commun)),
    ):
        fini = lancer(base.url, "anomalies", *arguments)
        assert fini.returncode == code, (arguments, fini.stderr)
        assert "Traceback" not in fini.stderr


def regler(b: Banc, url: str, ident: str, *precisions: str) -> None:
    """Propose, se voit refuser d'approuver soi-même, puis une seconde personne approuve ; l'audit est net."""
    propose = lancer(url, "anomalies", "settle", ident, *precisions, "--motif", "elle a appelé", par="agent-1")
    assert propose.returncode == 0, propose.stderr
    assert lancer(url, "anomalies", "approve", ident, par="agent-1").returncode == 1
    fait = lancer(url, "anomalies", "approve", ident, "--json", par="agent-2")
    assert json.loads(fait.stdout)["suite"] == "regle", fait.stderr
    b.projeter()
    assert json.loads(lancer(url, "anomalies", "list", "--json").stdout) == []
    assert auditer(b.conn).ecarts == []


def ouverte(b: Banc, url: str, genre: str, montant: int) -> str:
    """La seule anomalie de la liste."""
    b.projeter()
    (ligne,) = json.loads(lancer(url, "anomalies", "list", "--json").stdout)
    assert (ligne["genre"], ligne["montant_centimes"]) == (genre, montant)
    return str(ligne["id"])


def test_debite_deux_fois_la_seconde_autorisation_est_rendue(b: Banc, base: Any) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    for autorisation in ("A", "A", "B"):
        b.repondre("T1", 20_00, autorisation=autorisation)
    ident = ouverte(b, base.url, "montant_incoherent", 20_00)
    regler(b, base.url, ident, "--geste", "rendre", "--voie", "virement", "--preuve", "VIR-1")
    assert (b.creance(1).restant_du, b.paiement("T1").non_rattache) == (67_09, 0)


def test_un_autre_montant_a_ete_pris(b: Banc, base: Any) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 21_00)
    regler(b, base.url, ouverte(b, base.url, "montant_incoherent", 21_00), "--geste", "conclure")
    assert b.creance(1).restant_du == 66_09


def test_paye_par_carte_et_par_cheque_le_trop_percu_est_rembourse(b: Banc, base: Any) -> None:
    b.ouvrir_creance(1, 20_00)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    creance = b.creance(1)
    creance.encaisser("m-1", Centimes(20_00), Moyen.CHEQUE, date(2026, 6, 1), maintenant=T0)
    b.inscrire(creance)
    ident = ouverte(b, base.url, "trop_percu", 20_00)
    regler(b, base.url, ident, "--geste", "rembourser", "--voie", "virement", "--preuve", "VIR-2")
    assert (b.creance(1).restant_du, b.creance(1).trop_percu) == (0, 0)


def test_un_impaye_du_rapport_de_la_banque_se_contrepasse(b: Banc, base: Any, tmp_path: Path) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    b.projeter()
    rapport = tmp_path / "CHARGEBACKS.csv"
    rapport.write_bytes(impayes([("T1", 20_00)]))
    assert lancer(base.url, "rapprocher", "--no-ask", str(rapport)).returncode == 1
    regler(b, base.url, ouverte(b, base.url, "impaye", 20_00), "--geste", "contrepasser", "--preuve", "rapport du jour")
    assert b.creance(1).restant_du == 87_09


def test_un_cheque_a_une_fausse_reference_s_applique_a_la_bonne(base: Any, kafka: str) -> None:
    with banc_kafka(base.url, kafka, base.nom) as k:
        sur_kafka = {"kafka_bootstrap": kafka, "topic_prefix": base.nom}
        k.emettre_avis(avis(1), cheque(8, 12_00))
        k.consommer("avis", 2)
        k.projeter()
        (ligne,) = json.loads(lancer(base.url, "anomalies", "list", "--json", **sur_kafka).stdout)
        assert (ligne["genre"], ligne["montant_centimes"]) == ("en_souffrance", 12_00)
        vers = ("--geste", "appliquer", "--creance", avis(1)["reference"])
        pourquoi = ("--motif", "référence mal recopiée")
        propose = lancer(base.url, "anomalies", "settle", ligne["id"], *vers, *pourquoi, par="agent-1", **sur_kafka)
        assert propose.returncode == 0, propose.stderr
        assert lancer(base.url, "anomalies", "approve", ligne["id"], par="agent-1", **sur_kafka).returncode == 1
        fait = lancer(base.url, "anomalies", "approve", ligne["id"], par="agent-2", **sur_kafka)
        assert fait.returncode == 0, fait.stderr
        assert restant(k, 1) == 75_09
        assert ouvertes(k) == []
        assert auditer(k.conn).ecarts == []


def test_les_acceptations_qu_une_cle_fausse_a_refusees_se_rejouent_toutes(base: Any, kafka: str) -> None:
    with banc_kafka(base.url, kafka, base.nom) as k:
        sur_kafka = {"kafka_bootstrap": kafka, "topic_prefix": base.nom}
        k.emettre_avis(avis(1))
        k.consommer("avis", 1)
        k.projeter()
        transaction = k.ouvrir(avis(1)["reference"], 20_00)
        topic = k.settings.topic_notifications
        with closing(Publisher(k.settings)) as publisher:
            en_tetes = [("cause", b"sceau"), ("origine", b"/kiosque/notification"), ("sha256", b"00")]
            publisher.send(f"{topic}.rebuts", None, json.dumps(notification(transaction, 20_00)).encode(), en_tetes)
        tous = ("anomalies", "replay-all", "--motif", "clé", "--json")
        encore = lancer(base.url, *tous, **sur_kafka, kiosque_secret_key="une_autre_cle")
        assert (encore.returncode, len(json.loads(encore.stdout)["refuses"])) == (1, 1), encore.stderr
        fait = lancer(base.url, *tous, **sur_kafka)
        assert (fait.returncode, len(json.loads(fait.stdout)["rejoues"])) == (0, 1), fait.stderr
        assert json.loads(lancer(base.url, *tous, **sur_kafka).stdout) == {"rejoues": [], "refuses": {}}
        k.consommer("kiosque", 1)
        assert restant(k, 1) == 67_09
        assert ouvertes(k) == []
        assert auditer(k.conn).ecarts == []


def test_tout_rejouer_sans_pouvoir_lire_kafka_ne_se_dit_pas_fait(base: Any) -> None:
    """Il disait « 0 rejoués » et sortait avec 0 : qui suit la fiche croyait n'avoir plus rien à rejouer."""
    absent = {"kafka_bootstrap": f"127.0.0.1:{port_libre()}"}
    fini = lancer(base.url, "anomalies", "replay-all", "--motif", "clé", **absent)
    assert (fini.returncode, fini.stdout) == (1, "")
    assert "Kafka ne répond pas" in fini.stderr
