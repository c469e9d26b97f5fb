"""De vrais messages sur un vrai topic : un chèque sans avis, une clé fausse puis corrigée, tout rejoué une fois."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from domain.geste import Geste, Proposition
from domain.imputation import Imputation
from domain.references import ReferenceCreance
from domain.refus import AnomalieDejaReglee, GesteImpossible, Refus, RejeuRefuse
from guichet.reglement.approuver import approuver
from guichet.reglement.dossiers import gestes_d_un_message
from guichet.reglement.proposer import Suite, proposer
from guichet.reglement.rejouer import rejouer, rejouer_tous
from projections.audit import auditer
from projections.lectures.anomalies import anomalies_ouvertes
from projections.lectures.ligne_d_anomalie import LigneDAnomalie
from projections.vues.restant_du import lire_creance
from service import composition
from service.dead_letters import Mailbox, note_dead_letters
from service.publisher import Publisher
from tests.consumers.banc import MAINTENANT, Banc, avis, banc, cheque, notification


@pytest.fixture
def b(base: Any, kafka: str) -> Iterator[Banc]:
    with banc(base.url, kafka, base.nom) as pret:
        yield pret


def ouvertes(b: Banc) -> list[LigneDAnomalie]:
    b.projeter()
    note_dead_letters(b.settings, b.conn)
    return anomalies_ouvertes(b.conn, MAINTENANT, gestes_d_un_message=gestes_d_un_message)


def restant(b: Banc, numero: int) -> int:
    b.projeter()
    ligne = lire_creance(b.conn, avis(numero)["reference"])
    assert ligne is not None
    return ligne.restant_du


def test_un_cheque_pour_une_reference_fausse_va_a_la_bonne_creance_ou_repart(b: Banc) -> None:
    b.emettre_avis(avis(1), cheque(8, 12_00, "c-1"), cheque(9, 12_00, "c-2"))
    b.consommer("avis", 3)
    lignes = ouvertes(b)
    assert [(ligne.genre, ligne.montant, ligne.reference) for ligne in lignes] == [
        ("en_souffrance", 12_00, avis(8)["reference"]),
        ("en_souffrance", 12_00, avis(9)["reference"]),
    ]
    un, deux = (ligne.id for ligne in lignes)
    bonne = (Imputation(reference=ReferenceCreance(avis(1)["reference"]), part=0),)  # type: ignore[arg-type]
    appliquer = Proposition(geste=Geste.APPLIQUER, imputations=bonne, motif="référence mal recopiée")
    proposer(b.guichet, un, appliquer, "agent-1", MAINTENANT)
    approuver(b.guichet, un, "agent-2", MAINTENANT)
    renvoyer = Proposition(geste=Geste.RENVOYER, motif="aucune créance de ce nom", preuve="courrier du 02/06")
    proposer(b.guichet, deux, renvoyer, "agent-1", MAINTENANT)
    approuver(b.guichet, deux, "agent-2", MAINTENANT)
    assert restant(b, 1) == 75_09
    assert ouvertes(b) == []
    b.emettre_avis(avis(8), avis(9))
    b.consommer("avis", 5)
    assert (restant(b, 8), restant(b, 9)) == (87_09, 87_09)
    with pytest.raises(AnomalieDejaReglee):
        proposer(b.guichet, un, appliquer, "agent-1", MAINTENANT)


def test_un_avis_arrive_entre_la_proposition_et_l_approbation_a_deja_tout_regle(b: Banc) -> None:
    b.emettre_avis(avis(1), cheque(8, 12_00, "c-1"))
    b.consommer("avis", 2)
    (ligne,) = ouvertes(b)
    ecarter = Proposition(geste=Geste.ECARTER, motif="inconnu de la caisse")
    proposer(b.guichet, ligne.id, ecarter, "agent-1", MAINTENANT)
    b.emettre_avis(avis(8))
    b.consommer("avis", 3)
    with pytest.raises(AnomalieDejaReglee):
        approuver(b.guichet, ligne.id, "agent-2", MAINTENANT)
    assert restant(b, 8) == 75_09


def test_les_acceptations_refusees_par_une_cle_fausse_se_rejouent_apres_la_correction(b: Banc) -> None:
    """Celle que la porte a refusée, et celle que le consommateur a refusée."""
    b.emettre_avis(avis(1), avis(2))
    b.consommer("avis", 2)
    b.projeter()
    une, deux = (b.ouvrir(avis(numero)["reference"], 20_00) for numero in (1, 2))
    fausse = composition.guichet(
        b.settings.model_copy(update={"kiosque_secret_key": "une_autre_cle"}), application="cle-fausse"
    )
    topic = b.settings.topic_notifications
    porte = json.dumps(notification(une, 20_00)).encode()
    with closing(Publisher(b.settings)) as publisher:
        en_tetes = [("cause", b"sceau"), ("origine", b"/kiosque/notification"), ("sha256", b"00")]
        publisher.send(f"{topic}.rebuts", None, porte, en_tetes)
        b.emettre(topic, [(deux, notification(deux, 20_00))])
        replace(b, guichet=fausse).consommer("kiosque", 1)
        lignes = ouvertes(b)
        assert sorted((ligne.genre, ligne.montant, ligne.transaction) for ligne in lignes) == [
            ("rebut", 20_00, une),
            ("rejetee", 0, None),
        ]
        boite = Mailbox(b.settings, publisher)
        idents = [ligne.id for ligne in lignes]
        encore = rejouer_tous(fausse, idents, "essai", "agent-1", boite=boite, maintenant=MAINTENANT)
        assert (encore.rejoues, set(encore.refuses)) == ([], set(idents))
        assert b.fates(topic) == 1
        fait = rejouer_tous(b.guichet, idents, "clé corrigée", "agent-1", boite=boite, maintenant=MAINTENANT)
        assert (fait.rejoues, fait.refuses) == (idents, {})
        b.consommer("kiosque", 3)
        assert (restant(b, 1), restant(b, 2)) == (67_09, 67_09)
        assert ouvertes(b) == []
        for ident in idents:
            with pytest.raises(AnomalieDejaReglee):
                rejouer(b.guichet, ident, "encore", "agent-1", boite=boite, maintenant=MAINTENANT)
        assert b.par_sort(topic) == {"rejetee": 1, "appliquee": 2}
    fausse.base.fermer()
    rapport = auditer(b.conn)
    assert (rapport.ecarts, rapport.illisibles) == ([], {})


@pytest.mark.parametrize(
    "refuse",
    [b"pas du JSON", json.dumps(avis(1, date_emission="2062-05-12")).encode()],
    ids=["illisible", "date hors de raison"],
)
def test_ce_qui_serait_refuse_encore_ne_se_rejoue_pas(b: Banc, refuse: bytes) -> None:
    b.emettre(b.settings.topic_avis, [("x", refuse)])
    b.consommer("avis", 1)
    (ligne,) = ouvertes(b)
    assert Geste.REJOUER in ligne.gestes
    with closing(Publisher(b.settings)) as publisher:
        boite = Mailbox(b.settings, publisher)
        with pytest.raises(RejeuRefuse):
            rejouer(b.guichet, ligne.id, "essai", "agent-1", boite=boite, maintenant=MAINTENANT)
    voulue = Proposition(geste=Geste.REJOUER, motif="par l'autre porte")
    with pytest.raises(GesteImpossible):
        proposer(b.guichet, ligne.id, voulue, "agent-1", MAINTENANT)
    assert [ligne.id for ligne in ouvertes(b)] == [ligne.id]


class EnMemeTemps:
    """La boîte de Kafka, où deux rejeux n'envoient qu'une fois tous deux prêts à le faire."""

    def __init__(self, boite: Mailbox) -> None:
        self.boite, self.ensemble = boite, threading.Barrier(2, timeout=90)
        self.topic_avis, self.topic_notifications = boite.topic_avis, boite.topic_notifications
        self.lire = boite.lire

    def envoyer(self, *quoi: Any) -> None:
        self.ensemble.wait()
        self.boite.envoyer(*quoi)


def test_un_message_rejoue_deux_fois_en_meme_temps_compte_une_fois_et_se_regle_une_fois(b: Banc) -> None:
    b.emettre_avis(avis(1))
    b.consommer("avis", 1)
    b.projeter()
    transaction = b.ouvrir(avis(1)["reference"], 20_00)
    topic = b.settings.topic_notifications
    issues: list[object] = []
    with closing(Publisher(b.settings)) as publisher:
        porte = json.dumps(notification(transaction, 20_00)).encode()
        en_tetes = [("cause", b"sceau"), ("origine", b"/kiosque/notification"), ("sha256", b"00")]
        publisher.send(f"{topic}.rebuts", None, porte, en_tetes)
        (ligne,) = ouvertes(b)
        boite = EnMemeTemps(Mailbox(b.settings, publisher))

        def faire(agent: str) -> None:
            try:
                issues.append(
                    rejouer(b.guichet, ligne.id, "clé corrigée", agent, boite=boite, maintenant=MAINTENANT).suite
                )
            except Refus as refus:
                issues.append(type(refus))

        fils = [threading.Thread(target=faire, args=(f"agent-{numero}",)) for numero in (1, 2)]
        for fil in fils:
            fil.start()
        for fil in fils:
            fil.join()
    assert sorted(map(str, issues)) == sorted(map(str, [Suite.REGLE, AnomalieDejaReglee]))
    b.consommer("kiosque", 2)
    assert b.par_sort(topic) == {"appliquee": 1, "doublon": 1}
    assert (restant(b, 1), ouvertes(b)) == (67_09, [])
    rapport = auditer(b.conn)
    assert (rapport.ecarts, rapport.illisibles) == ([], {})
