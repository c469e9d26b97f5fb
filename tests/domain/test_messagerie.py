"""L'accusé de réception et ce que l'assuré en fait, une phrase chacun."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent

from domain.accuse import Accuse, accuse_de, echeance_de, est_echu
from domain.avis import Canal
from domain.creance import Créance
from domain.delai import PARIS
from domain.imputation import Imputation
from domain.messagerie import Messagerie
from domain.monnaie import Centimes
from domain.paiement import Fin, Paiement
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from domain.refus import MessageInconnu
from tests.mapper import MAPPER

T0 = datetime(2018, 7, 5, 6, 59, tzinfo=UTC)
ACCUSE = Accuse(ReferenceTransaction("T1"), T0)


def paiement(*fins: Fin, assure: str = "a-1") -> Paiement:
    ouvert = Paiement.ouvrir(
        ReferenceTransaction("T1"),
        assure=Pseudonyme(assure),
        caisse=CodeCaisse("381"),
        canal=Canal.WEB,
        marchand="002001000000001",
        montant=Centimes(20_00),
        imputations=(Imputation(reference=ReferenceCreance("3811701200010075F"), part=Centimes(20_00)),),
        expire_le=T0,
        maintenant=T0,
    )
    for fin in fins:
        ouvert.conclure(fin, "x", accepte_le=T0 if fin is Fin.ACCEPTE else None, maintenant=T0)
    return ouvert


class Scene:
    """étant_donné(…).quand(…).alors(…) sur une messagerie."""

    def __init__(self, *gestes: Callable[[Messagerie], None]) -> None:
        self.messagerie = Messagerie.vide(Pseudonyme("a-1"), maintenant=T0)
        for geste in gestes:
            geste(self.messagerie)
        self.messagerie.pending_events.clear()

    def quand(self, geste: Callable[[Messagerie], None]) -> "Scene":
        self.geste = geste
        return self

    def alors(self, *faits: type[Messagerie.Event]) -> None:
        self.geste(self.messagerie)
        assert [type(fait) for fait in self.messagerie.pending_events] == list(faits)

    def refuse(self) -> None:
        with pytest.raises(MessageInconnu):
            self.geste(self.messagerie)
        assert self.messagerie.pending_events == []


etant_donne = Scene


def lire(messagerie: Messagerie) -> None:
    messagerie.lire(ACCUSE, maintenant=T0)


def supprimer(messagerie: Messagerie) -> None:
    messagerie.supprimer(ACCUSE, maintenant=T0)


def test_le_message_dit_ce_que_montre_le_pas_a_pas() -> None:
    assert ACCUSE.paragraphes[1] == "Nous accusons réception de votre paiement de créance du 05/07/2018."
    assert f"{ACCUSE.echeance:%d/%m/%Y}" == "05/01/2019"
    assert ACCUSE.note == (
        "(*) ou par téléphone au 36 46 (coût 0,06 euro/min + prix appel), depuis l'étranger composez le"
        " +33 811 70 36 46 (tarif variable selon l'opérateur téléphonique)."
    )


@pytest.mark.parametrize(
    ("jour", "echeance"),
    [
        (date(2018, 7, 5), date(2019, 1, 5)),
        (date(2026, 8, 31), date(2027, 2, 28)),
        (date(2027, 8, 31), date(2028, 2, 29)),
        (date(2027, 8, 29), date(2028, 2, 29)),
        (date(2026, 8, 28), date(2027, 2, 28)),
        (date(2026, 12, 31), date(2027, 6, 30)),
        (date(2026, 6, 30), date(2026, 12, 30)),
        (date(2026, 3, 31), date(2026, 9, 30)),
    ],
)
def test_il_est_garde_six_mois_et_le_dernier_jour_du_mois_fait_foi(jour: date, echeance: date) -> None:
    assert echeance_de(datetime(jour.year, jour.month, jour.day, 12, tzinfo=PARIS)) == echeance


def test_le_jour_est_celui_de_paris() -> None:
    apres_minuit_a_paris = datetime(2026, 8, 30, 22, 30, tzinfo=UTC)
    assert echeance_de(apres_minuit_a_paris) == date(2027, 2, 28)
    assert "31/08/2026" in Accuse(ReferenceTransaction("T1"), apres_minuit_a_paris).paragraphes[1]


def test_il_disparait_a_minuit_de_paris_le_jour_dit() -> None:
    minuit = datetime(2019, 1, 5, tzinfo=PARIS)
    assert not est_echu(ACCUSE.echeance, minuit - timedelta(seconds=1))
    assert est_echu(ACCUSE.echeance, minuit)


@pytest.mark.parametrize("fins", [(Fin.ACCEPTE,), (Fin.EXPIRE, Fin.ACCEPTE), (Fin.ECHOUE, Fin.ACCEPTE)])
def test_un_paiement_accepte_meme_tard_a_un_accuse(fins: tuple[Fin, ...]) -> None:
    assert accuse_de(paiement(*fins), Pseudonyme("a-1"), T0) == ACCUSE


@pytest.mark.parametrize(
    ("connu", "assure", "age"),
    [
        (None, "a-1", timedelta(0)),
        (paiement(), "a-1", timedelta(0)),
        (paiement(Fin.ECHOUE), "a-1", timedelta(0)),
        (paiement(Fin.EXPIRE), "a-1", timedelta(0)),
        (paiement(Fin.ACCEPTE), "a-2", timedelta(0)),
        (paiement(Fin.ACCEPTE), "a-1", timedelta(days=190)),
    ],
    ids=["inconnu", "en cours", "échoué", "expiré", "d'un autre", "trop ancien"],
)
def test_tout_autre_message_est_inconnu(connu: Paiement | None, assure: str, age: timedelta) -> None:
    with pytest.raises(MessageInconnu):
        accuse_de(connu, Pseudonyme(assure), T0 + age)


def test_lire_deux_fois_ne_se_constate_qu_une() -> None:
    etant_donne().quand(lire).alors(Messagerie.MessageLu)
    etant_donne(lire).quand(lire).alors()


def test_supprimer_deux_fois_ne_se_constate_qu_une() -> None:
    etant_donne().quand(supprimer).alors(Messagerie.MessageSupprimé)
    etant_donne(lire, supprimer).quand(supprimer).alors()


def test_un_message_supprime_ne_se_lit_plus() -> None:
    etant_donne(supprimer).quand(lire).refuse()


def test_une_messagerie_se_relit_de_ses_faits_depuis_le_premier() -> None:
    messagerie = Messagerie.vide(Pseudonyme("a-1"), maintenant=T0)
    lire(messagerie)
    supprimer(messagerie)
    mapper = MAPPER
    relue: Any = None
    for fait in messagerie.pending_events:
        stocke = mapper.to_stored_event(fait)
        assert isinstance(stocke, StoredEvent)
        relue = mapper.to_domain_event(stocke).mutate(relue)
    assert isinstance(relue, Messagerie)
    assert (relue.id, relue.version, relue.assure) == ("messagerie-a-1", 2, "a-1")
    assert relue.lus == relue.supprimes == {"T1"}


def test_ses_faits_ne_sortent_pas_du_service() -> None:
    assert not Messagerie.MessageLu.PUBLIE
    assert not Messagerie.MessageSupprimé.PUBLIE
    assert Créance.AvisEmis.PUBLIE
    assert Paiement.PaiementConclu.PUBLIE
