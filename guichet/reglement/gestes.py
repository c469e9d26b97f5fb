"""Chaque geste, de ce qu'il précise à ce qu'il fait : le seul lieu où ils sont tous, avec `assert_never`."""

from typing import assert_never

from domain.anomalie import LIBELLES
from domain.geste import DU_DOSSIER, Geste, Proposition, Voie, de_trop
from domain.refus import AnomalieDejaReglee, GesteImpossible
from engine import set_aside
from engine.positions import reprendre
from guichet.reglement import attentes, conclure, contrepasser, rattacher, rembourser, rendre
from guichet.reglement.acte import Acte, Effets
from guichet.reglement.ecarts import fermer_ecart


def preciser(acte: Acte) -> Proposition:  # noqa: PLR0911 (un cas par geste : la table des matières)
    """La proposition complète, telle qu'une seconde personne la lira. Lève Refus."""
    geste = acte.proposition.geste
    _exiger_rien_de_trop(acte)
    match geste:
        case Geste.RATTACHER:
            return rattacher.preciser(acte)
        case Geste.CONCLURE:
            return conclure.preciser(acte)
        case Geste.RENDRE | Geste.CONSTATER_REPRISE:
            return rendre.preciser(acte)
        case Geste.REMBOURSER:
            return rembourser.preciser(acte)
        case Geste.CONTREPASSER:
            return contrepasser.preciser(acte)
        case Geste.APPLIQUER | Geste.ECARTER | Geste.RENVOYER:
            return attentes.preciser(acte)
        case Geste.FAUSSE_ALERTE | Geste.LIBERER | Geste.REPRENDRE | Geste.REJOUER:
            return acte.proposition
        case _:
            assert_never(geste)


def calculer(acte: Acte, numero: int, *, deja_rendu: bool = False) -> Effets:
    """Ce que le geste change aux agrégats, sans rien écrire. Lève Refus.

    `numero` : la version de la proposition. `deja_rendu` : la banque a rendu l'argent.
    """
    geste = acte.proposition.geste
    match geste:
        case Geste.RATTACHER | Geste.CONCLURE:
            return rattacher.rattacher(acte)
        case Geste.RENDRE | Geste.CONSTATER_REPRISE:
            return rendre.rendre(acte)
        case Geste.REMBOURSER:
            return rembourser.rembourser(acte, f"{acte.dossier.ident}.{numero}", deja_rendu=deja_rendu)
        case Geste.CONTREPASSER:
            return contrepasser.contrepasser(acte)
        case Geste.APPLIQUER | Geste.ECARTER | Geste.RENVOYER:
            return attentes.sortir_de_l_attente(acte)
        case Geste.FAUSSE_ALERTE | Geste.LIBERER | Geste.REPRENDRE | Geste.REJOUER:
            return Effets()
        case _:
            assert_never(geste)


def fermer(acte: Acte) -> None:
    """Ce que le geste ferme hors du journal des événements, dans la même transaction. Lève AnomalieDejaReglee."""
    geste, dossier = acte.proposition.geste, acte.dossier
    if dossier.rang is not None and not fermer_ecart(
        acte.conn, dossier.rang, f"réglé par le support : {acte.proposition.motif}"
    ):
        raise AnomalieDejaReglee
    if geste is Geste.LIBERER and not (
        dossier.suiveur and dossier.flux and set_aside.release(acte.conn, dossier.suiveur, dossier.flux)
    ):
        raise AnomalieDejaReglee
    if geste is Geste.REPRENDRE and dossier.origine is not None:
        reprendre(acte.conn, dossier.origine.partition, 0, motif=acte.proposition.motif)


def passe_par_la_banque(proposition: Proposition) -> bool:
    """Dit si la banque doit rendre l'argent elle-même : hors de toute transaction, et au besoin plus tard."""
    return proposition.geste in {Geste.RENDRE, Geste.REMBOURSER} and proposition.voie is Voie.CARTE


def _exiger_rien_de_trop(acte: Acte) -> None:
    """Vérifie que la proposition ne dit rien que son geste ne fera pas ; lève GesteImpossible."""
    voulue = acte.proposition
    if trop := de_trop(voulue):
        raise GesteImpossible(f"« {LIBELLES[voulue.geste]} » ne précise pas : {', '.join(trop)}.")
    if voulue.geste in DU_DOSSIER and voulue.transaction not in {None, acte.dossier.transaction}:
        raise GesteImpossible("Ce geste ne vise que le paiement de cette anomalie.")
