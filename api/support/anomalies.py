"""`/api/v1/support/anomalies` : ce qu'une personne doit régler, le proposer, l'approuver ; interroger la banque."""

from functools import partial
from typing import Annotated, Any, Literal

import anyio.from_thread
import anyio.to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.banque import message
from api.socle.acces import Support
from api.socle.corps import lire_json
from api.socle.dependances import DeLApplication, Moyens
from api.socle.problemes import indisponible
from api.socle.schema import problemes, schema_de
from api.support.acces import MotifDit, lecteur_de
from api.support.reglements import lire_genre, lister, montrer, noter_question
from domain.geste import Geste, Proposition, Voie
from domain.imputation import Imputation
from domain.monnaie import Centimes, Somme
from domain.references import ReferenceCreance, ReferenceTransaction
from guichet.acces import lire_motif
from guichet.reglement.approuver import approuver, decliner
from guichet.reglement.demander import Comparaison, demander
from guichet.reglement.proposer import proposer
from guichet.reglement.rejouer import rejouer
from guichet.reglement.signaler import signaler
from kiosque.interface import ValeurDuTopic
from projections.lectures.anomalies import Voulue

routes = APIRouter(prefix="/api/v1/support", tags=["Support"])
ERREURS = problemes(400, 401, 403, 404, 409, 413, 415, 422)


class UneAnomalie(BaseModel):
    """Une anomalie, ce qui peut en être fait, et la proposition qui attend une seconde personne."""

    model_config = ConfigDict(extra="allow")

    id: str
    genre: str
    etat: str = Field(description="ouverte, proposee, en_execution (attend la banque) ou reglee.")
    montant_centimes: int
    cause: str
    reference: str | None
    transaction: str | None
    caisse: str | None
    depuis: str
    gestes: list[dict[str, str]] = Field(description="Ce qui peut en être fait.")
    proposition: dict[str, Any] | None = None


class UnReglement(BaseModel):
    """Ce qu'un règlement est devenu."""

    model_config = ConfigDict(extra="allow")

    id: str
    suite: str = Field(description="propose, regle, en_execution, abandonne ou decline.")
    phrase: str
    version: int = Field(description="Celle de la proposition : la donner en approuvant dit ce qui a été lu.")


class UnePart(BaseModel):
    """Où va de l'argent ; sans montant, tout."""

    model_config = ConfigDict(extra="forbid")

    reference: ReferenceCreance
    montant_centimes: Centimes = Centimes(0)


class DemandeDeReglement(BaseModel):
    """Un règlement voulu."""

    model_config = ConfigDict(extra="forbid")

    geste: Geste
    motif: str
    preuve: str = ""
    montant_centimes: Somme = Somme(0)
    imputations: list[UnePart] = Field(default_factory=list, max_length=50)
    voie: Voie | None = None
    transaction: ReferenceTransaction | None = None

    def proposition(self) -> Proposition:
        """La même, pour le guichet, qui relit chaque texte."""
        parts = tuple(Imputation(reference=part.reference, part=part.montant_centimes) for part in self.imputations)
        return Proposition.model_construct(
            geste=self.geste,
            montant=self.montant_centimes,
            imputations=parts,
            voie=self.voie,
            transaction=self.transaction,
            motif=self.motif,
            preuve=self.preuve,
        )


class DemandeDApprobation(BaseModel):
    """Ce qu'une seconde personne décide de la proposition."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approuver", "decliner"]
    motif: str = ""
    """Obligatoire pour décliner."""
    version: int | None = Field(None, ge=1)
    """La proposition lue."""


class DemandeDeSignalement(BaseModel):
    """Pourquoi un paiement est signalé."""

    model_config = ConfigDict(extra="forbid")

    motif: str


@routes.get("/anomalies", summary="Lister les anomalies", responses=ERREURS)
async def lire_la_liste(  # noqa: PLR0917 (chaque paramètre de l'adresse)
    requete: Request,
    reponse: Response,
    identite: Support,
    moyens: DeLApplication,
    motif: MotifDit = None,
    etat: Annotated[
        Literal["ouverte", "reglee"], Query(description="Les ouvertes, ou les dernières réglées.")
    ] = "ouverte",
    genre: str | None = None,
    apres: Annotated[str | None, Query(description="La page suivante, telle que l'en-tête `Link` la donne.")] = None,
    limite: Annotated[int, Query(ge=1, le=1_000, description="Anomalies par page.")] = 1_000,
) -> list[UneAnomalie]:
    """Tout ce qui est ouvert, le plus ancien d'abord ; la lecture est elle-même écrite.

    L'en-tête `X-Total-Count` dit combien répondent en tout ; `Link` (`rel="next"`), où lire la suite.
    """
    dependances, dit = moyens.dependances, lire_motif(motif)
    voulue, reglees = Voulue(lire_genre(genre), apres, limite), etat == "reglee"
    page = await anyio.to_thread.run_sync(
        partial(lister, dependances.guichet, lecteur_de(identite), dit, dependances.horloge(), voulue, reglees=reglees)
    )
    reponse.headers["X-Total-Count"] = str(page.total)
    if page.suite is not None:
        suite = requete.url.include_query_params(apres=page.suite)
        reponse.headers["Link"] = f'<{suite.path}?{suite.query}>; rel="next"'
    return [UneAnomalie.model_validate(ligne.en_detail()) for ligne in page.lignes]


@routes.get("/anomalies/{ident}", summary="Lire une anomalie", responses=ERREURS)
async def lire_une(ident: str, identite: Support, moyens: DeLApplication, motif: MotifDit = None) -> UneAnomalie:
    """Ce qu'elle est, ce qui peut en être fait, et tout ce que des personnes en ont fait (`histoire`)."""
    dependances, dit = moyens.dependances, lire_motif(motif)
    montree = await anyio.to_thread.run_sync(
        partial(montrer, dependances.guichet, lecteur_de(identite), dit, ident, dependances.horloge())
    )
    return UneAnomalie.model_validate({**montree.ligne.en_detail(), "histoire": montree.histoire})


@routes.post(
    "/anomalies/{ident}/reglement",
    summary="Régler une anomalie",
    responses=ERREURS,
    openapi_extra=schema_de(DemandeDeReglement),
)
async def regler(ident: str, requete: Request, identite: Support, moyens: DeLApplication) -> UnReglement:
    """Propose un règlement, ou le fait s'il ne fait bouger aucun argent ; la même demande redite ne change rien."""
    voulu = await lire_json(requete, DemandeDeReglement)
    dependances = moyens.dependances
    guichet, maintenant = dependances.guichet, dependances.horloge()
    if voulu.geste is Geste.REJOUER:
        if dependances.boite is None:
            raise indisponible("rejeu_indisponible", "Le rejeu n'est pas possible d'ici.")
        faire = partial(
            rejouer, guichet, ident, voulu.motif, identite.personne, boite=dependances.boite, maintenant=maintenant
        )
    else:
        faire = partial(proposer, guichet, ident, voulu.proposition(), identite.personne, maintenant)
    fait = await anyio.to_thread.run_sync(faire)
    return UnReglement.model_validate(fait.en_json(ident))


@routes.post(
    "/anomalies/{ident}/approbation",
    summary="Approuver ou décliner un règlement",
    responses=ERREURS,
    openapi_extra=schema_de(DemandeDApprobation),
)
async def decider(ident: str, requete: Request, identite: Support, moyens: DeLApplication) -> UnReglement:
    """Une autre personne que celle qui a proposé ; une seule y parvient."""
    voulu = await lire_json(requete, DemandeDApprobation)
    guichet, maintenant = moyens.dependances.guichet, moyens.dependances.horloge()
    if voulu.decision == "approuver":
        faire = partial(approuver, guichet, ident, identite.personne, maintenant, version=voulu.version)
    else:
        faire = partial(decliner, guichet, ident, identite.personne, voulu.motif, maintenant, version=voulu.version)
    fait = await anyio.to_thread.run_sync(faire)
    return UnReglement.model_validate(fait.en_json(ident))


@routes.post(
    "/paiements/{transaction}/signalement",
    summary="Signaler un paiement",
    responses=ERREURS,
    openapi_extra=schema_de(DemandeDeSignalement),
)
async def signaler_le_paiement(
    transaction: str, requete: Request, identite: Support, moyens: DeLApplication
) -> dict[str, str]:
    """Il devient une anomalie, que l'on peut contre-passer."""
    voulu = await lire_json(requete, DemandeDeSignalement)
    guichet, maintenant = moyens.dependances.guichet, moyens.dependances.horloge()
    ident = await anyio.to_thread.run_sync(
        partial(signaler, guichet, transaction, voulu.motif, identite.personne, maintenant)
    )
    return {"id": ident}


@routes.post("/paiements/{transaction}/question", summary="Interroger la banque maintenant", responses=ERREURS)
async def interroger_la_banque(
    transaction: str, identite: Support, moyens: DeLApplication, motif: MotifDit = None
) -> dict[str, Any]:
    """Sa réponse à côté de la nôtre, aussi pour un paiement conclu ; ce qui diffère devient une anomalie."""
    guichet, maintenant, dit = moyens.dependances.guichet, moyens.dependances.horloge(), lire_motif(motif)

    def faire() -> Comparaison:
        noter_question(guichet, lecteur_de(identite), transaction, dit)
        return demander(guichet, transaction, identite.personne, partial(transmettre, moyens), maintenant)

    return (await anyio.to_thread.run_sync(faire)).en_json()


def transmettre(moyens: Moyens, transaction: str, valeur: ValeurDuTopic) -> None:
    """Met la réponse de la banque sur le topic des notifications, depuis un fil à part."""
    dependances = moyens.dependances
    octets = message(valeur, dependances.horloge())
    anyio.from_thread.run(dependances.publier, "notifications", transaction.encode(), octets, [])
