"""Le reçu par courriel : à une adresse donnée pour cet envoi, que rien ne garde."""

from datetime import datetime
from typing import Final

import anyio.to_thread
import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.accuse_pdf import recu_en_pdf
from api.assure.justificatif import justificatif_de
from api.assure.lecture import etat_du_paiement
from api.assure.reprises import repris_de
from api.assure.visite import AssureConnecte, visite_d_un_envoi
from api.socle.corps import lire_formulaire
from api.socle.courriel import (
    ADRESSE_SIGNES_MAX,
    BoiteDeDemonstration,
    Courriel,
    CourrielImpossible,
    Message,
    est_une_adresse,
)
from api.socle.debits import GenreDeDebit
from api.socle.dependances import DeLApplication, sans_attendre
from api.socle.formulaire import Champs, FormulairePerime, JetonPerime
from api.socle.problemes import Probleme
from api.socle.rendu import page
from api.socle.visite import Visite, champs_de
from domain.avis import Canal
from domain.monnaie import euros
from domain.refus import PaiementInconnu
from projections.vues.paiements import LignePaiement

ILLISIBLE: Final = "Saisissez une adresse de courriel, par exemple nom@exemple.fr."
IMPOSSIBLE: Final = (
    "Le reçu n'est pas parti : le service de courriel ne répond pas. Gardez-le en PDF, ou recommencez plus tard."
)

RIEN_PARTI: Final = "le reçu n'est pas parti. Reconnectez-vous pour revenir à son envoi."

routes = APIRouter(include_in_schema=False)


@routes.get("/paiements/{transaction}/courriel")
async def demander(transaction: str, visite: AssureConnecte) -> Response:
    """À quelle adresse envoyer le reçu ; PaiementInconnu si le paiement n'est pas accepté."""
    _courriel(visite)
    await _accepte(visite, transaction)
    return _page(visite, transaction)


@routes.post("/paiements/{transaction}/courriel")
async def envoyer(transaction: str, requete: Request) -> Response:
    """Envoie le reçu ; l'adresse n'est ni gardée ni écrite dans un journal."""
    visite = await visite_d_un_envoi(requete, lambda _: f"/paiements/{transaction}/courriel", RIEN_PARTI)
    courriel = _courriel(visite)
    try:
        adresse = _adresse(await champs_de(requete, visite))
    except JetonPerime as perime:
        # D'une page ouverte avant une reconnexion ; à la borne, une autre personne l'a écrite.
        paiement, _ = await _accepte(visite, transaction)
        if visite.canal is Canal.BMS:
            raise
        adresse = _adresse(await lire_formulaire(requete))
        return _page(
            visite, paiement.transaction, adresse=adresse, panne=FormulairePerime().phrase, statut=perime.statut
        )
    paiement, accepte_le = await _accepte(visite, transaction)
    if not est_une_adresse(adresse):
        return _page(visite, transaction, adresse=adresse, faute=ILLISIBLE, statut=422)
    try:
        with sans_attendre(visite.moyens.fils_de_courriel) as fil:
            visite.moyens.debits.exiger(GenreDeDebit.COURRIEL, visite.assure)
            message = await _recu(visite, paiement, accepte_le)
            await anyio.to_thread.run_sync(courriel.envoyer, adresse, message, limiter=fil)
    except anyio.WouldBlock:
        return _page(visite, transaction, adresse=adresse, panne=IMPOSSIBLE, statut=503)
    except CourrielImpossible as panne:
        structlog.get_logger().warning("courriel_impossible", cause=str(panne))
        return _page(visite, transaction, adresse=adresse, panne=IMPOSSIBLE, statut=503)
    return _page(visite, transaction, envoye=adresse)


async def _recu(visite: Visite, paiement: LignePaiement, accepte_le: datetime) -> Message:
    transaction = paiement.transaction
    justificatif = await anyio.to_thread.run_sync(justificatif_de, visite.moyens.dependances.guichet, transaction)
    repris = await repris_de(visite.moyens, paiement)
    octets = await anyio.to_thread.run_sync(recu_en_pdf, paiement, accepte_le, justificatif, repris)
    return Message(
        "Reçu de votre paiement de créance",
        f"Bonjour,\n\nVoici le reçu de votre paiement de {euros(paiement.montant)}, transaction {transaction}.\n\n"
        "Vous le retrouverez dans votre compte, rubrique « Tous mes paiements ».\n\n"
        "Avec toute notre attention,\nVotre caisse d'Assurance Maladie.\n",
        f"recu-{transaction}.pdf",
        octets,
    )


@routes.get("/demonstration/boite")
async def boite(moyens: DeLApplication) -> Response:
    """Les courriels que la démonstration a « envoyés » : rien ne sort de la machine."""
    courriel = moyens.dependances.courriel
    if not moyens.dependances.demo or not isinstance(courriel, BoiteDeDemonstration):
        raise Probleme(404, "introuvable", "Cette adresse n'existe pas.")
    return page("boite.html", {"recus": list(courriel.recus), "demo": True})


def _adresse(champs: Champs) -> str:
    return dict(champs).get("adresse", "").strip()


def _courriel(visite: Visite) -> Courriel:
    if visite.moyens.dependances.courriel is None:
        raise Probleme(404, "introuvable", "Cette adresse n'existe pas.")
    return visite.moyens.dependances.courriel


async def _accepte(visite: Visite, transaction: str) -> tuple[LignePaiement, datetime]:
    paiement = await etat_du_paiement(visite.moyens, visite.assure, transaction)
    if paiement.accepte_le is None:
        raise PaiementInconnu
    return paiement, paiement.accepte_le


def _page(
    visite: Visite,
    transaction: str,
    *,
    adresse: str = "",
    faute: str | None = None,
    panne: str | None = None,
    envoye: str | None = None,
    statut: int = 200,
) -> Response:
    """`faute` : celle de l'adresse, dite à son champ ; `panne` : la nôtre, où l'adresse n'est pour rien."""
    valeurs = {"transaction": transaction, "adresse": adresse, "faute": faute, "panne": panne, "envoye": envoye}
    return visite.rendre("courriel.html", valeurs | {"signes_max": ADRESSE_SIGNES_MAX}, statut=statut)
