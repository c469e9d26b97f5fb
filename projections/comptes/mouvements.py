"""Ce que chaque fait change, et sous quel nom de `Totaux` : en un seul endroit, pour l'audit et pour les arrêtés."""

from typing import assert_never

from domain.creance import Créance, FaitDeCreance
from domain.geste import numero_d_argent
from domain.paiement import FaitDePaiement, Fin, Paiement


def mouvement(fait: FaitDeCreance, effet: int) -> tuple[str, int] | None:  # noqa: PLR0911 (un cas par fait)
    """Le nom du mouvement de solde et son montant (centimes) ; None si le fait ne fait bouger aucun solde.

    `effet` : de combien le fait a changé le solde de la créance.
    """
    match fait:
        case Créance.AvisEmis():
            return "emis", fait.montant_initial
        case Créance.AvisRectifié():
            return "rectifie", effet
        case Créance.AvisAnnulé():
            return "annule", -effet
        case Créance.PaiementAccepté():
            return "accepte", -effet
        case Créance.EncaissementRattaché():
            return "rattache", -effet
        case Créance.EncaissementReçu():
            return "autres_encaissements", -effet
        case Créance.PaiementContrepassé():
            return "contrepasse", effet
        case Créance.TropPerçuRemboursé():
            return "rembourse", effet
        case (
            Créance.PaiementInitié()
            | Créance.PaiementÉchoué()
            | Créance.PaiementAffiché()
            | Créance.TropPerçuConstaté()
        ):
            return None
        case _:
            assert_never(fait)


def prises(fait: FaitDePaiement, paiement: Paiement) -> list[tuple[str, int, str]]:
    """Ce que le fait change à l'argent pris par la banque : nom, montant (centimes, signé), marchand.

    `paiement` : tel que ce fait l'a laissé.
    """
    match fait:
        case Paiement.PaiementConclu(issue=Fin.ACCEPTE):
            return [("preleve_par_la_banque", paiement.montant, paiement.marchand)]
        case Paiement.EncaissementNonImputé():
            return [(nom, fait.montant, fait.marchand) for nom in ("preleve_par_la_banque", "non_rattache")]
        case Paiement.EncaissementImputé():
            return [("non_rattache", -fait.montant, marchand_de_l_argent(paiement, fait.anomalie))]
        case Paiement.EncaissementRendu():
            marchand = marchand_de_l_argent(paiement, fait.anomalie)
            suite = ("preleve_par_la_banque", -fait.montant) if fait.voie is None else ("rendu", fait.montant)
            return [("non_rattache", -fait.montant, marchand), (*suite, marchand)]
        case (
            Paiement.PaiementConclu()
            | Paiement.PaiementOuvert()
            | Paiement.AcceptationPrécisée()
            | Paiement.PaiementRéglé()
            | Paiement.RemboursementDemandé()
            | Paiement.RemboursementEnvoyé()
            | Paiement.RemboursementFait()
            | Paiement.RemboursementRefusé()
        ):
            return []
        case _:
            assert_never(fait)


def marchand_de_l_argent(paiement: Paiement, anomalie: str) -> str:
    """Le marchand chez qui la banque a pris cet argent sans créance ; celui du paiement si rien ne le nomme."""
    argent = paiement.argent.get(numero_d_argent(anomalie))
    return paiement.marchand if argent is None else argent.encaissement.marchand
