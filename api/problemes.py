"""Les erreurs, en `application/problem+json` (RFC 9457) : un `type` et un `code` stables, un `detail` en français."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import JSONResponse

from domain.refus import (
    AvisContradictoire,
    AvisDéjàAnnulé,
    AvisInconnu,
    CaissesDifférentes,
    MessageContradictoire,
    MessageInconnu,
    MontantHorsBornes,
    MontantSupérieurAuSolde,
    PaiementClos,
    PaiementEnCours,
    PaiementInconnu,
    PaiementNonAccepté,
    Refus,
    RemboursementExcessif,
    RestantDûInsuffisant,
    RéférenceNonOuverte,
    SecondePersonneRequise,
    SélectionInvalide,
)
from guichet.ouvrir_paiement import CléRéutilisée, PartageChangé

TYPE_DE_CONTENU: Final = "application/problem+json"
PRÉFIXE_DE_TYPE: Final = "urn:creances:probleme:"
REPRISE_S: Final = 5
"""`Retry-After` d'une indisponibilité passagère (secondes)."""

STATUTS_DES_REFUS: Final[Mapping[type[Refus], int]] = {
    RéférenceNonOuverte: 409,  # 404 là où la référence est elle-même l'adresse demandée.
    RestantDûInsuffisant: 409,
    PaiementEnCours: 409,
    MontantHorsBornes: 409,
    MontantSupérieurAuSolde: 409,
    CaissesDifférentes: 409,
    SélectionInvalide: 409,
    PaiementClos: 409,
    PaiementInconnu: 404,
    MessageInconnu: 404,
    CléRéutilisée: 422,
    PartageChangé: 409,
    AvisInconnu: 409,
    AvisContradictoire: 409,
    MessageContradictoire: 409,
    AvisDéjàAnnulé: 409,
    SecondePersonneRequise: 409,
    PaiementNonAccepté: 409,
    RemboursementExcessif: 409,
}
"""Le statut HTTP de chaque refus : ici, et nulle part ailleurs."""

TITRES: Final[Mapping[int, str]] = {
    400: "Requête invalide",
    401: "Authentification requise",
    403: "Accès refusé",
    404: "Introuvable",
    405: "Méthode non permise",
    409: "Opération refusée",
    413: "Corps trop grand",
    415: "Type de contenu non pris en charge",
    422: "Données invalides",
    500: "Erreur interne",
    503: "Service momentanément indisponible",
}


class Problème(Exception):
    """Une réponse d'erreur complète ; ce qui la lève n'a plus rien à dire."""

    def __init__(
        self, statut: int, code: str, détail: str, *, en_têtes: Mapping[str, str] | None = None, **plus: Any
    ) -> None:
        """`plus` : les membres propres à ce problème."""
        super().__init__(code)
        self.statut = statut
        self.code = code
        self.détail = détail
        self.en_têtes = dict(en_têtes or {})
        self.plus = plus

    def réponse(self) -> JSONResponse:
        """La réponse HTTP."""
        return RéponseProblème(
            {
                "type": PRÉFIXE_DE_TYPE + self.code,
                "title": TITRES.get(self.statut, "Erreur"),
                "status": self.statut,
                "detail": self.détail,
                "code": self.code,
                **self.plus,
            },
            status_code=self.statut,
            headers={"Cache-Control": "no-store"} | self.en_têtes,
        )


class RéponseProblème(JSONResponse):
    """Du JSON, sous le type de contenu de la RFC 9457."""

    media_type = TYPE_DE_CONTENU


def indisponible(code: str, détail: str) -> Problème:
    """Une panne passagère d'un de nos appuis : l'appelant peut recommencer."""
    return Problème(503, code, détail, en_têtes={"Retry-After": str(REPRISE_S)})


def problème_de(refus: Refus, statut: int | None = None) -> Problème:
    """Le problème d'un refus, avec ce qu'il sait de plus ; `statut` remplace celui de la table."""
    plus: dict[str, Any] = {}
    match refus:
        case PaiementEnCours():
            plus = {"jusqu_a": refus.jusqu_à.isoformat(), "transactions": list(refus.transactions)}
        case RestantDûInsuffisant():
            plus = {"reference": refus.référence}
        case MontantHorsBornes():
            plus = {"minimum_centimes": refus.minimum, "maximum_centimes": refus.maximum}
        case MontantSupérieurAuSolde():
            plus = {"solde_centimes": refus.solde}
        case _:
            pass
    return Problème(statut or STATUTS_DES_REFUS[type(refus)], refus.code, refus.phrase, **plus)
