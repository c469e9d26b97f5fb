"""L'accueil des pages : choisir qui l'on est (démonstration), chercher une référence, cocher et payer."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from starlette.responses import Response

from api.assure.lecture import Consultation, Raison, consulter, raison_de_ne_pas_cocher, à_reprendre
from api.assure.rendu import page
from api.assure.saisie import Saisie
from api.assure.session import Session, jeton_de_formulaire, poser
from api.dependances import Moyens
from domain.refus import PaiementEnCours, Refus
from projections.paiements import derniers_paiements
from projections.restant_du import LigneCréance, exemples
from projections.situation import situation_de

EXEMPLES_LUS: Final = 60
ASSURÉS_MONTRÉS: Final = 8
PAIEMENTS_MONTRÉS: Final = 5


async def page_de_choix(moyens: Moyens, session: Session) -> Response:
    """Quelques assurés de la démonstration, avec leurs références."""
    dépendances = moyens.dépendances
    async with moyens.pool.connection() as conn:
        lignes = await exemples(conn, dépendances.guichet.politique.minimum_par_paiement, EXEMPLES_LUS)
    par_assuré: dict[str, list[LigneCréance]] = {}
    for ligne in lignes:
        par_assuré.setdefault(ligne.assuré, []).append(ligne)
    # Ceux qui ont plusieurs créances d'abord : ce sont eux qui montrent les cases à cocher.
    choix = sorted(par_assuré.items(), key=lambda paire: -len(paire[1]))[:ASSURÉS_MONTRÉS]
    return _servir("choix.html", {"choix": choix}, session, moyens)


async def page_de_recherche(
    moyens: Moyens,
    session: Session,
    assuré: str,
    cherchée: str | None,
    *,
    refus: Refus | None = None,
    saisie: Saisie | None = None,
) -> Response:
    """La recherche, et la créance trouvée avec les autres ; `refus` s'affiche en tête, la saisie est gardée."""
    politique, maintenant = moyens.dépendances.guichet.politique, moyens.dépendances.horloge()
    consultation: Consultation | None = None
    if cherchée is not None:
        try:
            consultation = await consulter(moyens, assuré, cherchée)
        except Refus as trouvé:
            refus = refus or trouvé
    async with moyens.pool.connection() as conn:
        sans_fin = consultation.sans_fin if consultation else (await situation_de(conn, assuré)).sans_fin
        paiements = await derniers_paiements(conn, assuré, PAIEMENTS_MONTRÉS)
    lignes = [consultation.cherchée, *consultation.autres] if consultation else []
    raisons = {ligne.référence: raison_de_ne_pas_cocher(ligne, politique, sans_fin) for ligne in lignes}
    return _servir(
        "creance.html",
        {
            "cherchée": cherchée or "",
            "créance": consultation.cherchée if consultation else None,
            "lignes": lignes,
            "raisons": raisons,
            "cochées": saisie.cochées if saisie else _cochée_d_office(consultation, raisons),
            "montant": saisie.montant if saisie else "",
            "refus": refus,
            "reprendre": refus.transactions if isinstance(refus, PaiementEnCours) else (),
            "à_reprendre": à_reprendre(sans_fin, maintenant),
            "paiements": paiements,
            "politique": politique,
            # Le même formulaire envoyé deux fois n'ouvre qu'un paiement.
            "clé": uuid4().hex,
        },
        session,
        moyens,
        statut=409 if refus else 200,
    )


def _cochée_d_office(consultation: Consultation | None, raisons: Mapping[str, Raison | None]) -> tuple[str, ...]:
    if consultation is None or raisons[consultation.cherchée.référence] is not None:
        return ()
    return (consultation.cherchée.référence,)


def _servir(gabarit: str, valeurs: dict[str, Any], session: Session, moyens: Moyens, *, statut: int = 200) -> Response:
    cadre = {"assuré": session.assuré, "jeton": jeton_de_formulaire(session, moyens.dépendances)}
    réponse = page(gabarit, valeurs | cadre, statut=statut)
    poser(réponse, session, moyens.dépendances)
    return réponse
