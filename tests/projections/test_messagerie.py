"""La messagerie : un message par paiement accepté, et une vue qui se reconstruit à l'identique."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest

from domain.delai import PARIS
from domain.references import Pseudonyme, ReferenceTransaction
from domain.refus import MessageInconnu
from engine.batch import Partition
from guichet.messagerie import ouvrir_message, supprimer_message
from kiosque.sips.paypage import Sips
from projections import MessagerieDesAssures
from projections.audit import auditer
from projections.vues.messagerie import LigneMessage, messages_de, purger
from service import composition
from service.settings import Settings
from tests.audit.monde import AVIS, NOTIFICATIONS, TOPICS, Monde
from tests.consumers.banc import MAINTENANT, Banc, avis, notification

ACCEPTE_LE = MAINTENANT - timedelta(minutes=1)
"""L'heure que la banque donne dans les notifications du banc : l'échéance est le 1er décembre 2026."""

ECHEANCE = datetime(2026, 12, 1, tzinfo=PARIS)
VEILLE = ECHEANCE - timedelta(seconds=1)


@pytest.fixture
def b(base: Any) -> Iterator[Banc]:
    """Un banc sans Kafka : ce que la banque dit est décidé et enregistré directement."""
    settings = Settings(_env_file=None, database_url=base.url)
    guichet = composition.guichet(settings, application="banc")
    with guichet.base, cast("Sips", guichet.kiosque), psycopg.connect(base.url, autocommit=True) as conn:
        ouvert = Banc(settings, guichet, conn)
        for numero, assure in ((1, "a-1"), (2, "a-2")):
            emettre(ouvert, numero, assure)
        yield ouvert


def emettre(b: Banc, numero: int, assure: str = "a-1") -> None:
    recevoir(b, AVIS, avis(numero, assure=assure))


def recevoir(b: Banc, topic_id: UUID, message: dict[str, Any]) -> None:
    """Un message lu et enregistré comme par son consommateur, à la suite des autres."""
    m = Monde(b.guichet, b.settings, b.conn)
    lus = b.fates(TOPICS[topic_id])
    m.suite[Partition(topic_id, TOPICS[topic_id], 0)] = lus
    m.recevoir(topic_id, message)


def payer(b: Banc, *codes: str, numero: int = 1, assure: str = "a-1") -> ReferenceTransaction:
    """Ouvre un paiement, et fait dire cela à la banque, dans l'ordre."""
    transaction = b.ouvrir(avis(numero)["reference"], 20_00, assure=assure)
    dire(b, transaction, *codes)
    return transaction


def dire(b: Banc, transaction: str, *codes: str) -> None:
    for code in codes:
        recevoir(b, NOTIFICATIONS, notification(transaction, 20_00, code))


def suivre(b: Banc, a: datetime = MAINTENANT, lot_max: int = 100) -> None:
    suiveur = composition.follower(b.settings, b.guichet.recorder, "messagerie")
    suiveur.vue = MessagerieDesAssures(lambda: a)
    suiveur.lot_max = lot_max
    suiveur.catch_up()


def reconstruire(b: Banc, a: datetime = MAINTENANT, lot_max: int = 100) -> None:
    """Jette la vue, et suit le journal de nouveau, depuis le début."""
    b.conn.execute("TRUNCATE vues.messagerie")
    b.conn.execute("UPDATE vues.suiveurs SET position = 0 WHERE nom = 'messagerie'")
    suivre(b, a, lot_max)


def lignes(b: Banc) -> list[tuple[Any, ...]]:
    return b.vue("messagerie", "transaction")


def messages(b: Banc, assure: str = "a-1", a: datetime = MAINTENANT) -> list[LigneMessage]:
    async def lire() -> list[LigneMessage]:
        async with await psycopg.AsyncConnection.connect(str(b.settings.database_url)) as conn:
            return await messages_de(conn, assure, a)

    return asyncio.run(lire())


def test_un_paiement_accepte_donne_un_message_quel_que_soit_le_nombre_de_notifications(b: Banc) -> None:
    transaction = payer(b, "00", "00", "05", "00")
    suivre(b)
    assert messages(b) == [LigneMessage(transaction, ACCEPTE_LE, lu=False)]
    assert messages(b, "a-2") == []


@pytest.mark.parametrize("codes", [("05",), ("17", "97"), ("60",)])
def test_un_paiement_que_la_banque_n_accepte_pas_n_en_donne_aucun(b: Banc, codes: tuple[str, ...]) -> None:
    payer(b, *codes)
    suivre(b)
    assert lignes(b) == []


def test_une_acceptation_apres_un_refus_ou_une_expiration_en_donne_un(b: Banc) -> None:
    transaction = payer(b, "05")
    suivre(b)
    assert messages(b) == []
    dire(b, transaction, "00")
    suivre(b)
    assert [message.transaction for message in messages(b)] == [transaction]


def test_lu_et_supprime_survivent_a_une_reconstruction(b: Banc) -> None:
    premier = payer(b, "00")
    second = payer(b, "00", numero=2, assure="a-2")
    ouvrir_message(b.guichet, Pseudonyme("a-1"), premier, MAINTENANT)
    ouvrir_message(b.guichet, Pseudonyme("a-2"), second, MAINTENANT)
    supprimer_message(b.guichet, Pseudonyme("a-2"), second, MAINTENANT)
    suivre(b, lot_max=1)
    avant = lignes(b)
    assert messages(b) == [LigneMessage(premier, ACCEPTE_LE, lu=True)]
    assert messages(b, "a-2") == []
    reconstruire(b)
    assert lignes(b) == avant
    reconstruire(b, lot_max=1)
    assert lignes(b) == avant


def test_supprimer_deux_fois_n_ecrit_qu_un_fait(b: Banc) -> None:
    transaction = payer(b, "00")
    for _ in range(2):
        supprimer_message(b.guichet, Pseudonyme("a-1"), transaction, MAINTENANT)
    assert [ligne[:3] for ligne in b.journal() if ligne[0].startswith("messagerie-")] == [
        ("messagerie-a-1", 1, "messagerie.MessageSupprime")
    ]


@pytest.mark.parametrize("geste", [ouvrir_message, supprimer_message])
def test_le_message_d_un_autre_est_inconnu_comme_celui_qui_n_existe_pas(b: Banc, geste: Callable[..., Any]) -> None:
    transaction = payer(b, "00")
    for assure, nommee in (("a-2", transaction), ("a-1", "PCLCB000000000000"), ("a-1", "../x")):
        with pytest.raises(MessageInconnu):
            geste(b.guichet, assure, nommee, MAINTENANT)
    assert not [ligne for ligne in b.journal() if ligne[0].startswith("messagerie-")]


def test_un_message_echu_ne_se_montre_plus_avant_meme_d_etre_purge(b: Banc) -> None:
    transaction = payer(b, "00")
    suivre(b)
    assert len(messages(b, a=VEILLE)) == 1
    assert messages(b, a=ECHEANCE) == []
    assert len(lignes(b)) == 1
    with pytest.raises(MessageInconnu):
        ouvrir_message(b.guichet, Pseudonyme("a-1"), transaction, ECHEANCE)


def test_la_purge_efface_les_messages_echus_et_eux_seuls(b: Banc) -> None:
    transaction = payer(b, "00")
    ouvrir_message(b.guichet, Pseudonyme("a-1"), transaction, MAINTENANT)
    suivre(b)
    assert purger(b.conn, VEILLE) == 0
    assert purger(b.conn, ECHEANCE) == 1
    assert lignes(b) == []
    assert purger(b.conn, ECHEANCE) == 0


@pytest.mark.parametrize("a", [VEILLE, ECHEANCE])
def test_au_meme_instant_la_vue_suivie_et_purgee_est_la_vue_reconstruite(b: Banc, a: datetime) -> None:
    premier = payer(b, "00")
    payer(b, "00", numero=2, assure="a-2")
    supprimer_message(b.guichet, Pseudonyme("a-1"), premier, MAINTENANT)
    suivre(b)
    purger(b.conn, a)
    suivie = lignes(b)
    assert len(suivie) == (2 if a == VEILLE else 0)
    reconstruire(b, a)
    assert lignes(b) == suivie


def test_un_geste_connu_avant_l_acceptation_tient_encore_quand_elle_arrive(b: Banc) -> None:
    """L'acceptation écartée puis libérée : elle arrive après la suppression, et le message ne reparaît pas."""
    transaction = payer(b, "00")
    supprimer_message(b.guichet, Pseudonyme("a-1"), transaction, MAINTENANT)
    suivre(b)
    directe = lignes(b)
    b.conn.execute("TRUNCATE vues.messagerie")
    b.conn.execute("UPDATE vues.suiveurs SET position = 0 WHERE nom = 'messagerie'")
    b.conn.execute(
        "INSERT INTO vues.ecartes (suiveur, position, flux, cause) SELECT 'messagerie', position, flux, 'épreuve'"
        " FROM journal.evenements WHERE topic = 'paiement.PaiementConclu'"
    )
    suivre(b)
    assert messages(b) == []
    assert len(lignes(b)) == 1
    b.conn.execute("UPDATE vues.ecartes SET libere_le = clock_timestamp() WHERE suiveur = 'messagerie'")
    suivre(b)
    assert b.conn.execute("SELECT count(*) FROM vues.ecartes").fetchone() == (0,)
    assert lignes(b) == directe


def test_un_lot_ne_coute_que_deux_instructions_quel_qu_en_soit_le_nombre(b: Banc) -> None:
    for numero in range(3, 9):
        emettre(b, numero)
        payer(b, "00", numero=numero)

    class Compteur(psycopg.Connection[Any]):
        instructions = 0

        def execute(self, *arguments: Any, **options: Any) -> Any:
            Compteur.instructions += 1
            return super().execute(*arguments, **options)

    vue, lus = MessagerieDesAssures(lambda: MAINTENANT), faits(b)
    with Compteur.connect(str(b.settings.database_url), autocommit=True) as conn:
        vue.appliquer(conn, lus)
    assert Compteur.instructions == 2
    assert len(lignes(b)) == 6


def faits(b: Banc) -> list[Any]:
    flux = [flux for (flux,) in b.conn.execute("SELECT DISTINCT flux FROM journal.evenements WHERE flux LIKE 'paiem%'")]
    return [lu for nom in flux for lu in b.guichet.recorder.history(b.conn, nom)]


def test_l_audit_compare_la_vue_au_journal(b: Banc) -> None:
    transaction = payer(b, "00")
    ouvrir_message(b.guichet, Pseudonyme("a-1"), transaction, MAINTENANT)
    b.projeter()
    assert auditer(b.conn, maintenant=MAINTENANT).ecarts == []
    b.conn.execute("UPDATE vues.messagerie SET lu_le = NULL")
    assert "messagerie" in auditer(b.conn, maintenant=MAINTENANT).ecarts[0]
    b.conn.execute("DELETE FROM vues.messagerie")
    [ecart] = auditer(b.conn, maintenant=MAINTENANT).ecarts
    assert ecart.startswith(f"messagerie : {transaction} vaut None")
    assert auditer(b.conn, maintenant=ECHEANCE).ecarts == [], "échu : effacé n'est pas un écart"


def test_l_audit_voit_un_message_qui_ne_vient_d_aucun_paiement(b: Banc) -> None:
    b.projeter()
    b.conn.execute(
        "INSERT INTO vues.messagerie (transaction, assure, accepte_le, echeance) VALUES ('T9', 'a-1', %s, %s)",
        (MAINTENANT, datetime(2026, 12, 1, tzinfo=UTC).date()),
    )
    assert auditer(b.conn, maintenant=MAINTENANT).ecarts == ["messagerie : T9 sans événement"]
    assert auditer(b.conn, maintenant=ECHEANCE).ecarts == []
