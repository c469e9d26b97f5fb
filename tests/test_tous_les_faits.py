"""Chaque fait passe par chaque lecteur, et tous disent de la créance ce qu'en dit l'agrégat."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent

from domain.agregats import FAITS
from domain.anomalie import FAITS_D_ANOMALIE
from domain.avis import Avis, Canal, Mode
from domain.creance import FAITS_DE_CREANCE, Créance
from domain.faits import Fait
from domain.messagerie import FAITS_DE_MESSAGERIE, Messagerie
from domain.monnaie import Centimes
from domain.paiement import FAITS_DE_PAIEMENT, Fin, Paiement
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine.batch import Batch, Entry
from engine.database import Database
from engine.follower import Follower
from engine.recorder import RecordedEvent, Recorder
from projections.arretes.calcul import calculer
from projections.arretes.contenu import Axe
from projections.arretes.journal import Tranche
from projections.arretes.recalcul import differences, recalculer
from projections.audit import auditer
from projections.audit.rapport import Rapport
from projections.lectures.historique import historique
from projections.lectures.mouvements import mouvements
from projections.vues import VUES
from projections.vues.restant_du import lire_creance
from publication.cloudevent import composer
from tests.mapper import MAPPER

T0 = datetime(2026, 6, 1, 10, tzinfo=UTC)
REF = ReferenceCreance("3811701200010075F")
AVIS = Avis(
    REF,
    Pseudonyme("a-1"),
    CodeCaisse("381"),
    "PF/FR",
    Centimes(100_00),
    Centimes(100_00),
    date(2026, 5, 12),
    Mode.PAPIER,
)
DEJA, ENCORE = ReferenceTransaction("DEJA"), ReferenceTransaction("ENCORE")
CORPUS = Path(__file__).parent / "engine" / "corpus"


@pytest.fixture
def journal(base: Any) -> Iterator[tuple[psycopg.Connection[Any], Recorder, str]]:
    with Database(base.url) as ouverte, psycopg.connect(base.url, autocommit=True) as conn:
        yield conn, Recorder(ouverte, MAPPER), base.url


def exemple(classe: type[Fait]) -> dict[str, Any]:
    """L'état du corpus le plus récent de ce fait."""
    fichiers = sorted(CORPUS.glob(f"{classe.TOPIC}.v*.json"))
    assert fichiers, f"{classe.TOPIC} n'a pas d'exemple au corpus"
    lu: dict[str, Any] = json.loads(fichiers[-1].read_text("utf-8"))
    return lu


def apres(creance: Créance, classe: type[Fait]) -> list[Fait]:
    """Une créance qui a déjà vécu (un paiement accepté, un autre en cours), puis le fait du corpus."""
    creance.initier_paiement(DEJA, Centimes(30_00), Canal.WEB, T0 + timedelta(minutes=15), maintenant=T0)
    creance.accepter_paiement(DEJA, Centimes(30_00), T0, maintenant=T0)
    creance.initier_paiement(ENCORE, Centimes(10_00), Canal.WEB, T0 + timedelta(minutes=15), maintenant=T0)
    faits: list[Fait] = list(creance.pending_events)  # type: ignore[arg-type]
    if classe is Créance.AvisEmis:
        return faits
    etat = exemple(classe)["etat"]
    # Ce qui doit s'accorder à ce qui précède ; tout le reste est l'exemple tel qu'il est stocké.
    propres: dict[type[Fait], dict[str, Any]] = {
        Créance.PaiementInitié: {"transaction": "NOUVEAU"},
        Créance.PaiementAccepté: {"transaction": ENCORE, "part": 10_00, "part_liberee": 10_00},
        Créance.PaiementÉchoué: {"transaction": ENCORE, "part_liberee": 10_00},
        Créance.PaiementAffiché: {"transaction": DEJA},
        Créance.PaiementContrepassé: {"transaction": DEJA, "part": 30_00},
    }
    accords = {"montant_precedent": creance.montant} | propres.get(classe, {})
    etat |= {cle: valeur for cle, valeur in accords.items() if cle in etat}
    fait = MAPPER.to_domain_event(StoredEvent(creance.id, creance.version + 1, classe.TOPIC, json.dumps(etat).encode()))
    fait.mutate(creance)
    return [*faits, fait]


def inscrire(recorder: Recorder, faits: list[Fait]) -> None:
    with recorder.base.transaction() as conn:
        recorder.record(conn, Batch(entries=[Entry(fait, "test") for fait in faits]))


def paiements(creance: Créance) -> list[Fait]:
    """Les paiements dont cette créance a reçu une part, acceptés."""
    faits: list[Fait] = []
    for transaction, part in creance.acceptees.items():
        paiement = Paiement.ouvrir(
            transaction,
            assure=Pseudonyme("a-1"),
            caisse=CodeCaisse("381"),
            canal=Canal.WEB,
            marchand="m",
            montant=part.part,
            imputations=({"reference": REF, "part": part.part},),  # type: ignore[arg-type]
            expire_le=T0 + timedelta(minutes=15),
            maintenant=T0,
        )
        paiement.conclure(Fin.ACCEPTE, "accepté", code="00", accepte_le=part.accepte_le, maintenant=T0)
        faits += paiement.pending_events  # type: ignore[arg-type]
    return faits


def projeter(url: str, recorder: Recorder, conn: psycopg.Connection[Any]) -> None:
    for _ in range(2):  # L'affichage écrit au journal : le second tour le projette.
        for vue in VUES.values():
            Follower(url, vue.construire(recorder), derriere=vue.derriere, mapper=MAPPER).catch_up()
    assert conn.execute("SELECT suiveur, flux, cause FROM vues.ecartes").fetchall() == []


def clore(conn: psycopg.Connection[Any], rapport: Rapport) -> None:
    """La clôture qui compte tous ces faits est celle que refait PostgreSQL seul, et celle qu'additionne l'audit."""
    with conn.transaction():
        close = calculer(conn, MAPPER, None, Tranche(T0.date(), 0, rapport.tete))
    (refaite,) = recalculer(conn, [0, rapport.tete])
    assert differences(close, refaite) == []
    assert close[Axe.ENSEMBLE][""] == rapport.compte.ensemble


@pytest.mark.parametrize("classe", FAITS_DE_CREANCE, ids=lambda classe: classe.TOPIC)
def test_chaque_lecteur_dit_le_solde_de_l_agregat(
    journal: tuple[psycopg.Connection[Any], Recorder, str], classe: type[Fait]
) -> None:
    conn, recorder, url = journal
    creance = Créance.ouvrir(AVIS, Politique(), maintenant=T0)
    faits = apres(creance, classe)
    inscrire(recorder, [*faits, *paiements(creance)])
    projeter(url, recorder, conn)
    with recorder.base.transaction() as lecture:
        relue: Créance = recorder.load(lecture, [creance.id])[creance.id]

    ligne = lire_creance(conn, REF)
    assert ligne is not None
    assert (ligne.montant_initial, ligne.solde, ligne.en_cours, ligne.annulee, ligne.version) == (
        relue.montant,
        relue.solde,
        relue.reserve,
        relue.annulee,
        relue.version,
    )
    rapport = auditer(conn, maintenant=T0)
    # Ces faits n'ont ni message ni paiement : l'audit le dit, et rien d'autre.
    assert [ecart for ecart in rapport.ecarts if ecart.startswith(tuple(VUES)) or "formule" in ecart] == []
    assert rapport.illisibles == {}
    assert rapport.restant_du_total == relue.restant_du
    comptent = [
        mouvement.montant
        for mouvement in mouvements(conn, recorder, [REF])[REF]
        if mouvement.etat not in {"en_cours", "echoue"}
    ]
    assert sum(comptent) == relue.solde
    histoire = historique(conn, recorder, REF)
    assert histoire.illisibles == []
    assert histoire.etapes[-1].solde == relue.solde
    assert len(histoire.etapes) == relue.version
    clore(conn, rapport)


@pytest.mark.parametrize(
    "classe", [*FAITS_DE_PAIEMENT, *FAITS_DE_MESSAGERIE, *FAITS_D_ANOMALIE], ids=lambda classe: classe.TOPIC
)
def test_les_faits_des_autres_agregats_passent_par_chaque_vue(
    journal: tuple[psycopg.Connection[Any], Recorder, str], classe: type[Fait]
) -> None:
    conn, recorder, url = journal
    creance = Créance.ouvrir(AVIS, Politique(), maintenant=T0)
    lu = exemple(classe)
    suite = [lu]
    if classe is not Paiement.PaiementOuvert and classe is not Paiement.EncaissementNonImputé:
        suite = [exemple(Paiement.PaiementOuvert), exemple(Paiement.PaiementConclu)]
        if classe in FAITS_DE_PAIEMENT and classe not in {Paiement.PaiementConclu, Paiement.AcceptationPrécisée}:
            suite.append(exemple(Paiement.EncaissementNonImputé))  # L'argent dont parle le règlement.
        if classe is Paiement.AcceptationPrécisée:
            lu["etat"]["raison"] = None  # Celle du paiement lui-même.
        if classe not in {*FAITS_DE_MESSAGERIE, Paiement.PaiementConclu}:
            suite.append(lu)
    if classe in FAITS_DE_MESSAGERIE:
        suite[0]["etat"] |= {
            "transaction": lu["etat"]["transaction"],
            "assure": Messagerie.assure_de(lu["flux"]),
        }
        suite.append(lu)
    versions: Counter[str] = Counter()
    for ecrit in suite:
        transaction = suite[0]["etat"].get("transaction")
        flux = Paiement.flux(transaction) if transaction and ecrit["topic"].startswith("paiement.") else ecrit["flux"]
        versions[flux] += 1
        etat = json.dumps(ecrit["etat"]).encode()
        inscrire(recorder, [MAPPER.to_domain_event(StoredEvent(flux, versions[flux], ecrit["topic"], etat))])
    inscrire(recorder, list(creance.pending_events))  # type: ignore[arg-type]
    projeter(url, recorder, conn)
    ecarts = auditer(conn, REF).ecarts
    assert ecarts == []
    rapport = auditer(conn, maintenant=T0)
    assert rapport.illisibles == {}
    assert not [ecart for ecart in rapport.ecarts if ecart.startswith(tuple(VUES))]
    clore(conn, rapport)


@pytest.mark.parametrize("classe", FAITS, ids=lambda classe: classe.TOPIC)
def test_un_fait_publie_a_son_message_et_les_autres_non(classe: type[Fait]) -> None:
    from publication.publication import Publication

    assert (classe.TOPIC in Publication.topics) is classe.PUBLIE
    if not classe.PUBLIE:
        return
    lu = exemple(classe)
    fait = MAPPER.to_domain_event(StoredEvent(lu["flux"], lu["version"], lu["topic"], json.dumps(lu["etat"]).encode()))
    message = composer(RecordedEvent(1, fait, "test", T0), b"/essai")
    publies = json.loads(message.valeur)
    assert {cle: valeur for cle, valeur in publies.items() if cle.endswith("_centimes")} == {
        f"{nom}_centimes": valeur
        for nom, valeur in lu["etat"].items()
        if isinstance(valeur, int) and not isinstance(valeur, bool) and nom != "class_version"
    }


@pytest.mark.parametrize("classe", FAITS, ids=lambda classe: classe.TOPIC)
def test_chaque_fait_est_lu_d_une_vue_au_moins_ou_ne_compte_dans_aucune(classe: type[Fait]) -> None:
    lecteurs = {nom for nom, vue in VUES.items() if classe.TOPIC in vue.construire(None).topics}  # type: ignore[arg-type]
    assert lecteurs or classe in {
        Paiement.RemboursementDemandé,
        Paiement.RemboursementEnvoyé,
        Paiement.RemboursementFait,
        Paiement.RemboursementRefusé,
    }
