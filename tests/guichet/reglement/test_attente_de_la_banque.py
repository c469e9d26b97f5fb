"""Les remboursements que la banque laisse sans réponse : chacun a son tour, et aucun ne retient les autres."""

from collections.abc import Callable
from datetime import date

from domain.avis import Moyen
from domain.geste import Geste, Voie
from domain.monnaie import Centimes
from kiosque.operation import Envois, Indeterminee, Operation
from service import upkeep
from service.upkeep import Refunds
from tests.guichet.reglement.banc import T0, Banc

COMBIEN = 4


def approuves(b: Banc) -> dict[str, str]:
    """Des remboursements approuvés, sans réponse encore : l'anomalie de chaque transaction."""
    for numero in range(1, COMBIEN + 1):
        b.ouvrir_creance(numero, 20_00, assure=f"a-{numero}")
        b.payer(f"T{numero}", 20_00, numero)
        b.repondre(f"T{numero}", 20_00)
        creance = b.creance(numero)
        creance.encaisser(f"m-{numero}", Centimes(20_00), Moyen.CHEQUE, date(2026, 6, 1), maintenant=T0)
        b.inscrire(creance)
    idents = {f"T{ligne.assure.removeprefix('a-')}": ligne.id for ligne in b.ouvertes() if ligne.assure}
    assert len(idents) == COMBIEN
    for transaction, ident in sorted(idents.items()):
        b.banque.dictees.append(Indeterminee("muette"))
        b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction=transaction)
        b.approuver(ident)
    b.ouvertes()
    return idents


def muette_sauf(b: Banc, claire: str) -> list[str]:
    """La banque ne répond que d'une transaction ; rend la liste de ce qui lui est demandé, qui se remplit."""
    rembourser, demandees = b.banque.rembourser, list[str]()

    def devant(transaction: str, marchand: str, montant: int, *, reste_avant: int, envois: Envois) -> Operation:
        demandees.append(transaction)
        if transaction != claire:
            return Indeterminee("muette")
        return rembourser(transaction, marchand, montant, reste_avant=reste_avant, envois=envois)

    b.banque.rembourser = devant  # type: ignore[method-assign]
    return demandees


def secondes(pas: float) -> Callable[[], float]:
    """Une horloge qui avance de `pas` à chaque regard."""
    heure = [0.0]

    def lire() -> float:
        heure[0] += pas
        return heure[0]

    return lire


def test_une_banque_muette_sur_les_plus_anciens_n_empeche_pas_le_dernier(b: Banc) -> None:
    approuves(b)
    demandees = muette_sauf(b, f"T{COMBIEN}")
    refunds = Refunds(b.guichet, secondes(upkeep.ROUND_S * 0.6))  # Une seule question tient dans une tournée.
    rendus = [refunds.round(T0, lambda: True) for _ in range(COMBIEN)]
    assert demandees == [f"T{numero}" for numero in range(1, COMBIEN + 1)]
    assert rendus == [0] * (COMBIEN - 1) + [1]
    assert b.banque.rendus == {(f"T{COMBIEN}", 20_00): 20_00}


def test_ceux_qui_restent_reviennent_chacun_a_son_tour(b: Banc) -> None:
    approuves(b)
    demandees = muette_sauf(b, "aucune")
    refunds = Refunds(b.guichet, secondes(0.0))
    for _ in range(2):
        refunds.round(T0, lambda: True)
    assert demandees == [f"T{numero}" for numero in range(1, COMBIEN + 1)] * 2


def test_un_role_qui_s_arrete_ne_demande_plus_rien(b: Banc) -> None:
    approuves(b)
    demandees = muette_sauf(b, "aucune")
    suites = iter([True, True, False])
    Refunds(b.guichet).round(T0, lambda: next(suites))
    assert demandees == ["T1", "T2"]
