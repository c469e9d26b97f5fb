"""Suivre le règlement d'une anomalie : deux personnes, et ce que la vue doit en montrer."""

from collections.abc import Mapping
from typing import Any, Final, assert_never

from domain.anomalie import Anomalie, FaitDAnomalie, est_d_anomalie
from domain.geste import A_DEUX, Geste, Proposition, meme_personne
from projections.audit.contexte import Contexte, Dits, Ligne
from projections.audit.rapprochement import us
from projections.audit.relations import REGLEMENTS, REGLES
from projections.audit.vues import json_en_clair

ANOMALIES: Final = "anomalies"

_BOUGENT: Final[Mapping[Geste, Geste | None]] = {
    Geste.RATTACHER: Geste.RATTACHER,
    Geste.CONCLURE: Geste.RATTACHER,
    Geste.RENDRE: Geste.RENDRE,
    Geste.CONSTATER_REPRISE: Geste.RENDRE,
    Geste.REMBOURSER: Geste.REMBOURSER,
    Geste.CONTREPASSER: None,
    Geste.APPLIQUER: None,
    Geste.ECARTER: None,
    Geste.RENVOYER: None,
    Geste.FAUSSE_ALERTE: None,
    Geste.LIBERER: None,
    Geste.REJOUER: None,
    Geste.REPRENDRE: None,
}
"""Comment un fait et un seul redit chaque geste ; None : plusieurs le redisent, ou rien."""


class SuiviDAnomalie:
    """Une anomalie pendant sa lecture."""

    def __init__(self, contexte: Contexte, flux: str) -> None:
        """`flux` est le sien ; ses faits viennent par `prendre`, puis `clore`."""
        self._contexte = contexte
        self._flux = flux
        self._ident = Anomalie.id_de(flux)
        self._dits = Dits(contexte)
        self._limite = contexte.limite(ANOMALIES, flux)
        self._anomalie: Any = None
        self._ligne: dict[str, Any] | None = None

    def prendre(self, ligne: Ligne) -> None:
        """Le fait suivant. Lève ce que lèvent la lecture et l'agrégat : le flux ne se lit alors pas."""
        position, flux, version, topic, etat, _, _ = ligne
        fait = self._contexte.mapper.lire(flux, version, topic, etat)
        if not est_d_anomalie(fait):
            raise ValueError("porte des faits d'un autre agrégat")
        avant = self._anomalie
        proposee, approuvee_par = (None, None) if avant is None else (avant.proposee, avant.approuvee_par)
        self._anomalie = fait.mutate(avant)
        if isinstance(fait, Anomalie.RèglementApprouvé) and (
            proposee is None or not fait.par or meme_personne(proposee.par, fait.par)
        ):
            self._ecart(f"v{version} n'est pas l'approbation d'une seconde personne")
        if isinstance(fait, Anomalie.AnomalieRéglée):
            self._regler(fait, proposee, approuvee_par)
        if position <= self._limite:
            self._voir(fait)

    def clore(self) -> None:
        """Le flux est lu en entier."""
        if self._ligne is not None:
            self._dits.dit(REGLEMENTS, self._ident, tuple(self._ligne.values()))
        self._dits.clore()

    def abandonner(self, position: int) -> None:
        """Le fait à cette position ne se lit pas : rien n'est dit de cette anomalie."""

    def _ecart(self, quoi: str) -> None:
        self._contexte.ecart(f"{self._flux} : {quoi}")

    def _regler(
        self, fait: Anomalie.AnomalieRéglée, proposee: Anomalie.RèglementProposé | None, approuvee_par: str | None
    ) -> None:
        proposition: Proposition = fait.proposition
        if proposition.geste in A_DEUX and (
            proposee is None
            or (proposee.par, proposee.proposition, approuvee_par) != (fait.saisi_par, proposition, fait.approuve_par)
        ):
            self._ecart(f"v{fait.originator_version} règle autre chose que ce qui a été proposé et approuvé")
        self._contexte.signer(self._ident, fait, proposee.originator_version if proposee else 0)
        if proposition.geste in A_DEUX and (not fait.approuve_par or meme_personne(fait.saisi_par, fait.approuve_par)):
            self._ecart(f"v{fait.originator_version} règle sans une seconde personne")
        if (bouge := _BOUGENT[proposition.geste]) is not None:
            self._dits.vu(REGLES, self._ident, (bouge.value, proposition.montant))

    def _voir(self, fait: FaitDAnomalie) -> None:
        """Ce que la vue doit montrer après ce fait : écrit ici de nouveau, pour ne pas croire la vue sur parole."""
        vue = self._ligne
        if vue is None:
            vue = self._ligne = dict.fromkeys(nom.partition("@")[0] for nom in REGLEMENTS.champs)
            vue["etat"], vue["montant"] = "ouverte", 0
        vue["version"] = fait.originator_version
        match fait:
            case Anomalie.AnomalieSignalée():
                vue |= {"etat": "ouverte", "signale_le": us(fait.timestamp), "regle_le": None}
                vue |= {"transaction": fait.transaction, "signalement": fait.cause, "montant": fait.montant}
            case Anomalie.RèglementProposé():
                vue |= {"etat": "proposee", "proposition": _dite(fait.proposition), "saisi_par": fait.par}
                vue |= {"saisi_le": us(fait.timestamp), "expire_le": us(fait.expire_le), "approuve_par": None}
            case Anomalie.RèglementApprouvé():
                vue |= {"etat": "en_execution", "approuve_par": fait.par}
            case Anomalie.RèglementDécliné() | Anomalie.RèglementAbandonné():
                etat = "ouverte" if vue["regle_le"] is None else "reglee"
                vue |= {"etat": etat, "expire_le": None, "approuve_par": None, "proposition": None}
            case Anomalie.AnomalieRéglée():
                vue |= {"etat": "reglee", "expire_le": None, "regle_le": us(fait.timestamp)}
                vue |= {"proposition": _dite(fait.proposition), "saisi_par": fait.saisi_par}
                vue["approuve_par"] = fait.approuve_par
            case _:
                assert_never(fait)


def _dite(proposition: Proposition) -> str | None:
    return json_en_clair(proposition.model_dump(mode="json"))
