"""Un petit monde où chaque table porte quelque chose : ce que l'audit contrôle, écrit par les chemins du service.

Sans Kafka : les messages sont donnés aux mêmes décisions que les consommateurs, et enregistrés du même bloc.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, cast
from uuid import UUID

import psycopg

from domain.avis import Canal
from domain.creance import Créance
from domain.geste import Geste, Proposition, Source, Voie, composer_id
from domain.imputation import Imputation
from domain.monnaie import Centimes
from domain.paiement import Paiement
from domain.references import Pseudonyme, ReferenceCreance
from domain.reponse import ReponseBancaire
from engine import positions
from engine.batch import Advance, Batch, Entry, Fate, IdempotencyKey, Partition, Settled
from engine.messages import Message
from engine.waiting_room import waiting
from guichet.guichet import Guichet
from guichet.messagerie import ouvrir_message, supprimer_message
from guichet.ouvrir_paiement import Demande, ouvrir_paiement
from guichet.prendre_avis import prendre_avis
from guichet.prendre_notification import _champs as champs_de_la_reponse
from guichet.prendre_notification import prendre_notifications
from guichet.reglement.approuver import approuver
from guichet.reglement.proposer import proposer
from guichet.relancer_paiement import relancer_paiement
from kiosque.interface import Inconnue
from kiosque.sips.paypage import Sips
from projections.audit.relations import MESSAGES_DE_CAISSE
from service import composition
from service.settings import Settings
from tests.consumers.banc import MAINTENANT, avis, cheque, notification
from tests.rapports import banc as rapports

AVIS, NOTIFICATIONS = UUID(int=0xA), UUID(int=0xB)
TOPICS = {AVIS: "creances.avis", NOTIFICATIONS: "creances.kiosque.notifications"}


@dataclass
class Monde:
    """Une base et ce qui l'écrit."""

    guichet: Guichet
    settings: Settings
    conn: psycopg.Connection[Any]
    suite: dict[Partition, int] = field(default_factory=dict)
    rang: Iterator[int] = field(default_factory=lambda: count(1))

    def recevoir(self, topic_id: UUID, *messages: dict[str, Any] | bytes, numero: int = 0) -> None:
        """Un lot de messages, lu et enregistré comme par un consommateur."""
        partition = Partition(topic_id, TOPICS.get(topic_id, TOPICS[NOTIFICATIONS]), numero)
        prendre = prendre_avis if partition.topic == TOPICS[AVIS] else prendre_notifications
        depuis = self.suite.get(partition, 0)
        lus = [
            Message(partition, depuis + i, None, m if isinstance(m, bytes) else json.dumps(m).encode(), MAINTENANT)
            for i, m in enumerate(messages)
        ]
        with self.guichet.base.transaction() as conn:
            if topic_id in TOPICS:  # Sinon c'est celui d'une reprise.
                positions.encounter(conn, partition.topic, topic_id)
            traitement = prendre(self.guichet, conn, lus, MAINTENANT)
            traitement.lot.advances = [Advance(partition, depuis, depuis + len(lus))]
            self.guichet.recorder.record(conn, traitement.lot)
        self.suite[partition] = depuis + len(lus)

    def appliquer_ce_qui_attend(self, topic_id: UUID = AVIS) -> None:
        """Ce que fait le consommateur de ce topic quand ce qui manquait est là."""
        prendre = prendre_avis if topic_id == AVIS else prendre_notifications
        with self.guichet.base.transaction() as conn:
            for _, messages, _ in waiting(conn, TOPICS[topic_id]):
                lot = prendre(self.guichet, conn, messages, MAINTENANT).lot
                lot.settled = [Settled(sort.partition, sort.offset, sort.sort, sort.cause) for sort in lot.fates]
                lot.fates = []
                self.guichet.recorder.record(conn, lot)

    def ouvrir(self, montant: int, *numeros: int, assure: str = "a-1", a: datetime = MAINTENANT) -> str:
        """Ouvre un paiement sur ces avis."""
        references = tuple(ReferenceCreance(avis(numero)["reference"]) for numero in numeros)
        cle = f"cle-{next(self.rang)}"
        demande = Demande(
            Pseudonyme(assure), references, Centimes(montant), Canal.WEB, cle, cle.encode().ljust(32, b".")
        )
        return ouvrir_paiement(self.guichet, demande, a).transaction

    def repondre(self, transaction: str, montant: int, code: str = "00", **champs: str) -> None:
        """La banque dit cela de ce paiement."""
        self.recevoir(NOTIFICATIONS, notification(transaction, montant, code, **champs))

    def projeter(self) -> None:
        """Rattrape toutes les vues, affichage constaté compris."""
        for _ in range(2):
            for nom in composition.VIEWS:
                suiveur = composition.follower(self.settings, self.guichet.recorder, nom)
                if hasattr(suiveur.vue, "horloge"):
                    suiveur.vue.horloge = lambda: MAINTENANT
                suiveur.catch_up()


@contextmanager
def monde(url: str) -> Iterator[Monde]:
    """Un monde vide, sur cette base."""
    settings = Settings(_env_file=None, database_url=url)
    guichet = replace(composition.guichet(settings, application="monde"), tirer_jeton=lambda: "0" * 16)
    with psycopg.connect(url, autocommit=True) as conn:
        try:
            yield Monde(guichet, settings, conn)
        finally:
            cast("Sips", guichet.kiosque).close()
            guichet.base.fermer()


def rencontrer(conn: psycopg.Connection[Any]) -> None:
    """Les topics du monde, rencontrés."""
    for topic_id, topic in TOPICS.items():
        positions.encounter(conn, topic, topic_id)


def lot_recu(entrees: Sequence[Entry]) -> Batch:
    """Des faits de caisse décidés par un test, chacun comme d'un message à lui : avec sa place et son sort."""
    return _lot_de_caisse(entrees, 0)


def lot_decide(
    conn: psycopg.Connection[Any], entrees: Sequence[Entry], reponse: ReponseBancaire | None = None, sort: str = ""
) -> Batch:
    """Des faits décidés par un test, avec ce qui les aurait causés : une réponse de la banque, une clé, un avis."""
    rencontrer(conn)
    topic_id = AVIS if reponse is None else NOTIFICATIONS
    (suite,) = conn.execute(
        "SELECT coalesce(max(jusqu_a), 0) FROM journal.positions WHERE topic_id = %s", (topic_id,)
    ).fetchone() or (0,)
    if reponse is not None:
        partition = Partition(topic_id, TOPICS[topic_id], 0)
        message = Message(partition, suite, None, b"{}", MAINTENANT)
        champs = champs_de_la_reponse(reponse, MAINTENANT)
        phrase = next((e.event.cause for e in entrees if isinstance(e.event, Paiement.PaiementConclu)), "redite")
        return Batch(
            entries=[entree._replace(cause=message.origine) for entree in entrees],
            advances=[Advance(partition, suite, suite + 1)],
            fates=[Fate(partition, suite, sort, phrase, reponse.transaction, b"\0" * 32, champs)],
        )
    ouvert = next((e.event for e in entrees if isinstance(e.event, Paiement.PaiementOuvert)), None)
    if ouvert is None:
        return _lot_de_caisse(entrees, suite)
    parts = [{"reference": i.reference, "montant_centimes": i.part} for i in ouvert.imputations]
    reponse_gardee = {
        "transaction": ouvert.transaction,
        "montant_centimes": ouvert.montant,
        "imputations": parts,
        "expire_le": ouvert.expire_le.isoformat(),
        "kiosque": {"champs": {"d": f"{ouvert.transaction} {ouvert.montant}"}},
    }
    return Batch(
        entries=[entree._replace(cause=f"requete:cle-{ouvert.transaction}") for entree in entrees],
        cle=IdempotencyKey(ouvert.assure, f"cle-{ouvert.transaction}", b"\0" * 32, reponse_gardee),
    )


def _lot_de_caisse(entrees: Sequence[Entry], suite: int) -> Batch:
    partition = Partition(AVIS, TOPICS[AVIS], 0)
    siennes = [entree for entree in entrees if entree.event.TOPIC in MESSAGES_DE_CAISSE]
    if not siennes:
        return Batch(entries=list(entrees))
    lot = Batch(advances=[Advance(partition, suite, suite + len(siennes))])
    decalage = suite - 1
    for entree in entrees:
        if entree.event.TOPIC not in MESSAGES_DE_CAISSE:  # Le constat d'un trop-perçu suit ce qui l'a fait.
            lot.entries.append(entree._replace(cause=lot.entries[-1].cause))
            continue
        decalage += 1
        message = Message(partition, decalage, None, b"{}", MAINTENANT)
        lot.entries.append(entree._replace(cause=message.origine))
        champs = {"type": MESSAGES_DE_CAISSE[entree.event.TOPIC]}
        objet = entree.event.originator_id.removeprefix(Créance.flux(""))
        lot.fates.append(Fate(partition, decalage, "appliquee", "enregistré", objet, b"\0" * 32, champs))
    return lot


def peupler(m: Monde) -> None:
    """Toutes les situations : chaque table du journal et chaque vue portent au moins une ligne."""
    m.recevoir(AVIS, *(avis(n, assure=f"a-{1 + n % 3}") for n in range(1, 10)))
    m.recevoir(AVIS, *(avis(n, assure="a-7") for n in range(10, 16)), numero=1)
    m.recevoir(AVIS, avis(1, assure="a-2"), b"rien de lisible", avis(1, montant=12))
    m.recevoir(AVIS, {"type": "avis_rectifie", **_sur(2), "message_id": "r1", **_motif(80_00)})
    m.recevoir(AVIS, {"type": "avis_annule", **_sur(3), "message_id": "x1", "motif": "erreur"})
    m.recevoir(AVIS, _cheque(40, 12_34), _cheque(41, 5_00), _cheque(42, 6_00), numero=1)  # Avant leurs avis.
    m.recevoir(AVIS, avis(40, assure="a-9", montant=50_00))
    m.appliquer_ce_qui_attend()
    # Un paiement sur deux créances, accepté, lu ; un refusé ; un refusé puis accepté ; un qui attend.
    deux = m.ouvrir(50_00, 10, 11, assure="a-7")
    m.repondre(deux, 50_00, maskedPan="4500#########01")
    m.repondre(deux, 50_00)
    refuse = m.ouvrir(20_00, 12, assure="a-7")
    m.repondre(refuse, 20_00, "05")
    tardif = m.ouvrir(20_00, 13, assure="a-7")
    m.repondre(tardif, 20_00, "17")
    m.repondre(tardif, 20_00, authorisationId="000042")
    m.repondre(m.ouvrir(16_00, 14, assure="a-7"), 16_00, "60")
    # Un autre montant, une seconde autorisation, une autorisation venue après, un inconnu, un expiré.
    m.repondre(m.ouvrir(20_00, 1, assure="a-2"), 30_00)
    double = m.ouvrir(21_00, 4, assure="a-2")
    m.repondre(double, 21_00, authorisationId="111111")
    m.repondre(double, 21_00, authorisationId="222222")
    precise = m.ouvrir(22_00, 5, assure="a-3")
    m.repondre(precise, 22_00, authorisationId="null")
    m.repondre(precise, 22_00, authorisationId="333333")
    m.repondre("INCONNUE1", 15_00)
    m.repondre("INCONNUE2", 15_00, "05")
    expire = m.ouvrir(18_00, 6, assure="a-1", a=MAINTENANT - timedelta(hours=2))
    kiosque = m.guichet.kiosque
    guichet = replace(m.guichet, kiosque=cast("Any", _Ignorant(kiosque)))
    relancer_paiement(guichet, expire, lambda _t, _v: None, MAINTENANT)
    # Un chèque après le paiement : un trop-perçu.
    m.repondre(m.ouvrir(30_00, 7, assure="a-2"), 30_00)
    m.recevoir(AVIS, _cheque(7, 60_00))
    m.recevoir(AVIS, _cheque(8, 10_00))
    m.projeter()
    ouvrir_message(m.guichet, Pseudonyme("a-7"), deux, MAINTENANT)
    supprimer_message(m.guichet, Pseudonyme("a-7"), tardif, MAINTENANT)
    _accidents(m)
    _rapports(m, deux, double)
    m.projeter()
    with m.guichet.base.transaction() as conn:  # Ce que la publication tient, sans Kafka.
        conn.execute(
            "INSERT INTO vues.publications (suiveur, topic, topic_id, epoque)"
            " SELECT 'publication', 'creances.evenements', %s, max(nom) FROM journal.epoques",
            (UUID(int=0xE),),
        )


class _Ignorant:
    """Un kiosque qui ne connaît aucune transaction : le vrai demanderait à la banque."""

    def __init__(self, kiosque: Any) -> None:
        self._kiosque = kiosque

    def __getattr__(self, nom: str) -> Any:
        return getattr(self._kiosque, nom)

    def interroger(self, _transaction: str, _marchand: str) -> Inconnue:
        return Inconnue()


def _accidents(m: Monde) -> None:
    """Des messages effacés avant d'être lus, une partition arrêtée, puis reprise."""
    partition = Partition(NOTIFICATIONS, TOPICS[NOTIFICATIONS], 1)
    with m.guichet.base.transaction() as conn:
        positions.perdre(conn, partition, 0, 7)
    m.suite[partition] = 7
    m.recevoir(NOTIFICATIONS, notification("INCONNUE3", 9_00, "05"), numero=1)
    with m.guichet.base.transaction() as conn:
        positions.arreter(conn, partition, 8, 3)
        identifiant = positions.reprendre(conn, partition, 3, motif="le courtier a été restauré")
    m.suite[Partition(identifiant, TOPICS[NOTIFICATIONS], 1)] = 3
    m.recevoir(identifiant, notification("INCONNUE4", 8_00), numero=1)


def _rapports(m: Monde, accorde: str, double: str) -> None:
    b = rapports.Banc(m.guichet, m.conn)
    lignes = [rapports.Ligne(accorde, 50_00, le="2026-06-01T11:59:00+02:00"), rapports.Ligne("ABSENTE1", 20_00)]
    b.rapprocher(rapports.rapport(lignes))
    b.rapprocher(rapports.impayes([(double, 21_00)]), nom="impayes.csv")
    m.repondre("ABSENTE1", 20_00)
    b.rapprocher(rapports.rapport(lignes, genere="20260603"), nom="lendemain.csv")


def _sur(numero: int) -> dict[str, Any]:
    return {"reference": avis(numero)["reference"]}


def _motif(montant: int) -> dict[str, Any]:
    return {"montant_initial_centimes": montant, "motif": "revu"}


def _cheque(numero: int, montant: int) -> dict[str, Any]:
    return cheque(numero, montant, f"c-{numero}", date="2026-05-30")


def regler(m: Monde) -> None:
    """Ce que deux personnes règlent : rattacher, conclure, rendre, constater, rembourser, contre-passer, appliquer."""
    suiveurs = ("restant_du", "paiements", "anomalies")

    def faire(ident: str, geste: Geste, **champs: Any) -> None:
        for nom in suiveurs:
            composition.follower(m.settings, m.guichet.recorder, nom).catch_up()
        voulue = Proposition.model_construct(geste=geste, motif="vu avec la banque", **champs)
        proposer(m.guichet, ident, voulue, "agent-1", MAINTENANT)
        approuver(m.guichet, ident, "agent-2", MAINTENANT)

    def argent(objet: str, sort: str) -> str:
        (flux, version) = m.conn.execute(
            "SELECT flux, version FROM journal.evenements WHERE topic = 'paiement.EncaissementNonImpute'"
            " AND convert_from(etat, 'UTF8') LIKE %s AND flux LIKE %s ORDER BY position LIMIT 1",
            (f"%{sort}%", f"%{objet}%"),
        ).fetchone() or ("", 0)
        return composer_id(Source.ARGENT, flux.removeprefix("paiement-"), version)

    def vers(numero: int, part: int) -> tuple[Imputation, ...]:
        return (Imputation(reference=ReferenceCreance(avis(numero)["reference"]), part=Centimes(part)),)

    faire(argent("INCONNUE1", "non_rapprochee"), Geste.RATTACHER, imputations=vers(9, 10_00))
    faire(argent("INCONNUE1", "non_rapprochee"), Geste.RENDRE, voie=Voie.VIREMENT, preuve="virement 1")
    faire(argent("INCONNUE4", "non_rapprochee"), Geste.CONSTATER_REPRISE, preuve="rapport du 2 juin")
    faire(argent("PCLCB", '"montant":3000'), Geste.RATTACHER, imputations=vers(1, 30_00))
    surpayee = avis(7)["reference"]
    faire(composer_id(Source.TROP_PERCU, surpayee), Geste.REMBOURSER, voie=Voie.VIREMENT, preuve="virement 2")
    m.recevoir(AVIS, _cheque(7, 3_00) | {"message_id": "c-7-encore"})  # Un trop-perçu qui reste.
    (rang, transaction) = m.conn.execute(
        "SELECT rang, transaction FROM vues.ecarts_ouverts WHERE genre = 'impaye'"
    ).fetchone() or (0, "")
    faire(composer_id(Source.ECART, rang), Geste.CONTREPASSER, transaction=transaction)
    (rang,) = m.conn.execute(
        "SELECT rang FROM journal.attentes a WHERE NOT EXISTS (SELECT FROM journal.attentes_reglees r"
        " WHERE r.topic_id = a.topic_id AND r.decalage = a.decalage AND r.partition = a.partition)"
        " ORDER BY rang LIMIT 1"
    ).fetchone() or (0,)
    faire(composer_id(Source.ATTENTE, rang), Geste.APPLIQUER, imputations=vers(8, 5_00))
    proposer(
        m.guichet,
        argent("ABSENTE1", "non_rapprochee"),
        Proposition.model_construct(geste=Geste.RATTACHER, motif="à voir", imputations=vers(2, 5_00)),
        "agent-1",
        MAINTENANT,
    )
    m.projeter()
