"""Suivre une messagerie : les gestes d'une personne, que la vue doit montrer."""

from typing import Any, assert_never

from domain.accuse import est_echu
from domain.messagerie import Messagerie, est_de_messagerie
from projections.audit.contexte import Contexte, Dits, Ligne
from projections.audit.rapprochement import us
from projections.audit.relations import GESTES, MESSAGERIE


class SuiviDeMessagerie:
    """Une messagerie pendant sa lecture."""

    def __init__(self, contexte: Contexte, flux: str) -> None:
        """`flux` est le sien ; ses faits viennent par `prendre`, puis `clore`."""
        self._contexte = contexte
        self._flux = flux
        self._assure = Messagerie.assure_de(flux)
        self._dits = Dits(contexte)
        self._limite = contexte.limite(MESSAGERIE.nom, flux)
        self._faits: set[tuple[str, str]] = set()
        self._messagerie: Any = None

    def prendre(self, ligne: Ligne) -> None:
        """Le fait suivant. Lève ce que lèvent la lecture et l'agrégat : le flux ne se lit alors pas."""
        position, flux, version, topic, etat, _, _ = ligne
        fait = self._contexte.mapper.lire(flux, version, topic, etat)
        if not est_de_messagerie(fait):
            raise ValueError("porte des faits d'un autre agrégat")
        self._messagerie = fait.mutate(self._messagerie)
        match fait:
            case Messagerie.MessageLu():
                geste = "lu"
            case Messagerie.MessageSupprimé():
                geste = "supprime"
            case _:
                assert_never(fait)
        if (fait.transaction, geste) in self._faits:
            self._contexte.ecart(f"{self._flux} : v{version} dit une seconde fois {fait.transaction} {geste}")
        self._faits.add((fait.transaction, geste))
        if position <= self._limite and not est_echu(fait.echeance, self._contexte.maintenant):
            valeurs = (geste, us(fait.timestamp), fait.echeance.toordinal())
            self._dits.dit(GESTES, (fait.transaction, self._assure), valeurs)

    def clore(self) -> None:
        """Le flux est lu en entier."""
        self._dits.clore()

    def abandonner(self, position: int) -> None:
        """Le fait à cette position ne se lit pas : rien n'est dit de cette messagerie."""
