"""La formule de la règle : le solde sans passer par l'agrégat, ni par ce que les vues décident des faits."""

from collections.abc import Iterable
from typing import assert_never

from domain.creance import Créance, FaitDeCreance


def solde_par_la_formule(faits: Iterable[FaitDeCreance]) -> int:
    """Le solde selon la règle, en centimes.

    montant − Σ parts acceptées − Σ rattachements − Σ encaissements + Σ contre-passations + Σ remboursements.
    """
    montant = 0
    autres = 0
    for fait in faits:
        match fait:
            case Créance.AvisEmis() | Créance.AvisRectifié():
                montant = fait.montant_initial
            case Créance.AvisAnnulé():
                montant = 0
            case Créance.PaiementAccepté() | Créance.EncaissementRattaché():
                autres -= fait.part
            case Créance.EncaissementReçu():
                autres -= fait.montant
            case Créance.PaiementContrepassé():
                autres += fait.part
            case Créance.TropPerçuRemboursé():
                autres += fait.montant
            case (
                Créance.PaiementInitié()
                | Créance.PaiementÉchoué()
                | Créance.PaiementAffiché()
                | Créance.TropPerçuConstaté()
            ):
                pass  # Ne changent pas ce qui est dû.
            case _:
                assert_never(fait)
    return montant + autres
