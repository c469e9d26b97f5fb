"""Les erreurs, en `application/problem+json` (RFC 9457) : un `type` et un `code` stables, un `detail` en français."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from starlette.responses import JSONResponse

from domain.refus import (
    AgentIrrecevable,
    AnomalieDejaReglee,
    AnomalieInconnue,
    AucunePropositionEnAttente,
    AvisContradictoire,
    AvisDejaAnnule,
    AvisInconnu,
    CaissesDifferentes,
    CreanceSoldee,
    GesteImpossible,
    MessageContradictoire,
    MessageInconnu,
    MontantHorsBornes,
    MontantSuperieurAOuvert,
    MontantSuperieurAuSolde,
    PaiementClos,
    PaiementEnCours,
    PaiementInconnu,
    PaiementNonAccepte,
    PieceManquante,
    PropositionAutre,
    PropositionEnAttente,
    PropositionPerimee,
    ReferenceNonOuverte,
    Refus,
    RejeuRefuse,
    RemboursementEnCours,
    RemboursementExcessif,
    RestantDuInsuffisant,
    SecondePersonneRequise,
    SelectionInvalide,
    TexteIrrecevable,
)
from guichet.acces import MotifIrrecevable, MotifRequis
from guichet.notes import NoteIrrecevable, ObjetDeNoteInconnu
from guichet.ouvrir_paiement import CleReutilisee, FormulaireIndisponible, PartageChange
from guichet.recul import JournalEnRetard, JournalNonVerifie
from preuve.balance import NamesAgents, NothingSealed, NotYetSealed, RowNotSealed, Unprovable
from projections.lectures.anomalies import PageInconnue
from projections.lectures.instant import InstantFutur, InstantIllisible, ObjetInconnu, RienEncore, VersionInconnue
from projections.lectures.saisie import NirCherche, RechercheIllisible
from publication.curseur import (
    CaisseEtrangere,
    CreanceEtrangere,
    CurseurHorsBornes,
    CurseurIllisible,
    CurseurInconnu,
    DepartIllisible,
    DepartsMultiples,
    EvenementIllisible,
)

TYPE_DE_CONTENU: Final = "application/problem+json"
PREFIXE_DE_TYPE: Final = "urn:creances:probleme:"
REPRISE_S: Final = 5
"""`Retry-After` d'une indisponibilité passagère (secondes)."""


class RefusDeSaisie(Refus):
    """Ce qu'une personne a tapé ne se lit pas : les refus qui n'existent que devant un formulaire."""

    code = "saisie_illisible"
    enonce: ClassVar[str] = "Cette saisie ne peut pas être lue."
    """La phrase montrée à la personne."""

    @property
    def phrase(self) -> str:
        """La même, pour qui ne connaît que Refus."""
        return self.enonce


STATUTS_DES_REFUS: Final[Mapping[type[Refus], int]] = {
    ReferenceNonOuverte: 409,  # 404 là où la référence est elle-même l'adresse demandée.
    RestantDuInsuffisant: 409,
    CreanceSoldee: 409,
    PaiementEnCours: 409,
    MontantHorsBornes: 409,
    MontantSuperieurAuSolde: 409,
    CaissesDifferentes: 409,
    SelectionInvalide: 409,
    PaiementClos: 409,
    PaiementInconnu: 404,
    MessageInconnu: 404,
    CleReutilisee: 422,
    PartageChange: 409,
    FormulaireIndisponible: 503,
    JournalEnRetard: 503,
    JournalNonVerifie: 503,
    AvisInconnu: 409,
    AvisContradictoire: 409,
    MessageContradictoire: 409,
    AvisDejaAnnule: 409,
    SecondePersonneRequise: 409,
    PaiementNonAccepte: 409,
    RemboursementExcessif: 409,
    AnomalieInconnue: 404,
    AnomalieDejaReglee: 409,
    GesteImpossible: 409,
    MontantSuperieurAOuvert: 409,
    PropositionEnAttente: 409,
    AucunePropositionEnAttente: 409,
    PropositionPerimee: 409,
    PropositionAutre: 409,
    RemboursementEnCours: 409,
    RejeuRefuse: 409,
    AgentIrrecevable: 422,
    TexteIrrecevable: 422,
    PieceManquante: 422,
    RefusDeSaisie: 422,
    MotifRequis: 422,
    MotifIrrecevable: 422,
    NoteIrrecevable: 422,
    InstantIllisible: 422,
    InstantFutur: 422,
    RechercheIllisible: 422,
    NirCherche: 422,
    ObjetInconnu: 404,
    NothingSealed: 404,
    NotYetSealed: 503,
    NamesAgents: 409,
    RowNotSealed: 409,
    Unprovable: 409,
    ObjetDeNoteInconnu: 404,
    RienEncore: 409,
    VersionInconnue: 422,
    PageInconnue: 422,
    CurseurIllisible: 422,
    CurseurInconnu: 409,
    CurseurHorsBornes: 409,
    DepartIllisible: 422,
    DepartsMultiples: 422,
    CaisseEtrangere: 403,
    CreanceEtrangere: 404,
    EvenementIllisible: 503,
}
"""Le statut HTTP de chaque refus : ici, et nulle part ailleurs. Un test y cherche tous les refus déclarés."""

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
    429: "Trop de demandes",
    500: "Erreur interne",
    503: "Service momentanément indisponible",
}


def statut_de(refus: type[Refus]) -> int:
    """Le statut HTTP d'un refus, ou celui de sa famille ; lève LookupError si la table l'a oublié."""
    for classe in refus.__mro__:
        if issubclass(classe, Refus) and classe in STATUTS_DES_REFUS:
            return STATUTS_DES_REFUS[classe]
    raise LookupError(refus.__name__)


class Probleme(Exception):
    """Une réponse d'erreur complète ; ce qui la lève n'a plus rien à dire."""

    def __init__(
        self, statut: int, code: str, detail: str, /, *, en_tetes: Mapping[str, str] | None = None, **plus: Any
    ) -> None:
        """`plus` : les membres propres à ce problème."""
        super().__init__(code)
        self.statut = statut
        self.code = code
        self.detail = detail
        self.en_tetes = dict(en_tetes or {})
        self.plus = plus

    def reponse(self) -> JSONResponse:
        """La réponse HTTP."""
        return ReponseProbleme(
            {
                "type": PREFIXE_DE_TYPE + self.code,
                "title": TITRES.get(self.statut, "Erreur"),
                "status": self.statut,
                "detail": self.detail,
                "code": self.code,
                **self.plus,
            },
            status_code=self.statut,
            headers=self.en_tetes,
        )


class ReponseProbleme(JSONResponse):
    """Du JSON, sous le type de contenu de la RFC 9457."""

    media_type = TYPE_DE_CONTENU


def indisponible(code: str, detail: str) -> Probleme:
    """Une panne passagère d'un de nos appuis : l'appelant peut recommencer."""
    return Probleme(503, code, detail, en_tetes={"Retry-After": str(REPRISE_S)})


def probleme_de(refus: Refus, statut: int | None = None) -> Probleme:
    """Le problème d'un refus, avec ce qu'il sait de plus ; `statut` remplace celui de la table."""
    plus: dict[str, Any] = {}
    match refus:
        case NotYetSealed():
            return indisponible(refus.code, refus.phrase)
        case PaiementEnCours():
            plus = {"jusqu_a": refus.jusqu_a and refus.jusqu_a.isoformat(), "transactions": list(refus.transactions)}
        case PaiementClos():
            plus = {"transaction": refus.transaction, "statut": refus.statut.value}
            if refus.fermeture is not None:
                plus["fermeture"] = refus.fermeture.value
        case RestantDuInsuffisant() | CreanceSoldee():
            plus = {"reference": refus.reference}
        case MontantHorsBornes():
            plus = {"minimum_centimes": refus.minimum, "maximum_centimes": refus.maximum}
        case MontantSuperieurAuSolde():
            plus = {"solde_centimes": refus.solde}
        case _:
            pass
    return Probleme(statut or statut_de(type(refus)), refus.code, refus.phrase, **plus)
