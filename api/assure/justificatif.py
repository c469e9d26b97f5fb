"""Ce que l'assuré a pour prouver un paiement, lu au journal."""

from typing import NamedTuple

from domain.imputation import Imputation
from domain.paiement import Fin, Paiement
from domain.references import ReferenceTransaction
from guichet.guichet import Guichet


class Justificatif(NamedTuple):
    """Ce qui prouve un paiement : son partage et, une fois accepté, ce que la banque en a dit."""

    parts: tuple[Imputation, ...] = ()
    carte_masquee: str | None = None
    autorisation: str | None = None
    annonce: int = 0
    """Ce que la banque dit, sous son sceau, avoir pris d'un autre montant que celui demandé (centimes)."""
    a_regler: int = 0
    """Ce qui en reste à régler par deux personnes (centimes)."""


def justificatif_de(guichet: Guichet, transaction: str) -> Justificatif:
    """Ce que le journal sait d'un paiement ; vide s'il est inconnu."""
    flux = Paiement.flux(ReferenceTransaction(transaction))
    justificatif = Justificatif()
    with guichet.base.transaction() as conn:
        histoire = guichet.recorder.history(conn, flux)
    for lu in histoire:
        match lu.event:
            case Paiement.PaiementOuvert():
                justificatif = justificatif._replace(parts=lu.event.imputations)
            case Paiement.PaiementConclu() if lu.event.issue is Fin.ACCEPTE:
                justificatif = justificatif._replace(
                    carte_masquee=lu.event.carte_masquee, autorisation=lu.event.autorisation
                )
            case Paiement.EncaissementNonImputé():
                justificatif = justificatif._replace(
                    annonce=justificatif.annonce + lu.event.montant,
                    a_regler=justificatif.a_regler + lu.event.montant,
                )
            case Paiement.EncaissementImputé() | Paiement.EncaissementRendu():
                justificatif = justificatif._replace(a_regler=justificatif.a_regler - lu.event.montant)
            case Paiement.AcceptationPrécisée():
                justificatif = justificatif._replace(autorisation=lu.event.autorisation)
            case _:
                pass  # Le reste de son histoire ne prouve rien à la personne.
    return justificatif
