"""Les sommes d'un rapport, par marchand et par jour de Paris, des deux côtés."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from guichet.rapprochement.cotes import JourDit
from guichet.rapprochement.ecarts import CoteBanque, CoteNous, remise_diminuee
from kiosque.rapports import Genre


@dataclass(slots=True)
class Somme:
    """Les deux côtés d'un marchand et d'un jour, en centimes."""

    banque_pris: int = 0
    banque_rendu: int = 0
    frais: int = 0
    nous_pris: int = 0
    nous_repris: int = 0


Sommes = dict[tuple[str, date], Somme]


def somme_de(sommes: Sommes, marchand: str | None, jour: date | None) -> Somme:
    """Celle de ce marchand et de ce jour, nulle d'abord."""
    return sommes.setdefault((marchand or "", jour or date.min), Somme())


def sommer(sommes: Sommes, jours: Sequence[JourDit], banque: CoteBanque, nous: CoteNous) -> None:
    """Ajoute ce que le fichier dit, et notre part de la même chose, aux jours de la banque."""
    dans_le_fichier = [jour for jour in jours if jour.lue]
    rendu_ailleurs = banque.rendu - sum(jour.rendu_lu for jour in jours)
    rendeur = next((j for j in dans_le_fichier if j.rendu_lu), None)
    for jour in dans_le_fichier:
        somme = somme_de(sommes, jour.marchand or nous.marchand, jour.le)
        somme.banque_pris += jour.pris_lu
        somme.banque_rendu += jour.rendu_lu
        somme.frais += jour.frais_lus
        if jour is rendeur:
            somme.nous_repris += max(0, nous.repris - rendu_ailleurs)
    # Chaque marchand a sa part ; si le rapport n'en nomme pas, c'est celle du paiement entier.
    nommes = {jour.marchand for jour in dans_le_fichier}
    for marchand in [None] if None in nommes else sorted(filter(None, nommes)):
        siens = [jour for jour in jours if marchand in {None, jour.marchand}]
        ailleurs = sum(jour.pris - jour.pris_lu for jour in siens)
        # Le premier jour qui porte de l'argent la reçoit : la banque et nous parlons de la même remise.
        lus = [jour for jour in siens if jour.lue]
        porteur = next((jour for jour in lus if jour.pris_lu), lus[0])
        if porteur.pris_lu or banque.genre is Genre.TRANSACTIONS:
            part = nous.pris if marchand is None else nous.pris_sous.get(marchand, 0)
            if remise_diminuee(banque, nous):
                part -= nous.repris
            somme_de(sommes, porteur.marchand or nous.marchand, porteur.le).nous_pris += max(0, part - ailleurs)
