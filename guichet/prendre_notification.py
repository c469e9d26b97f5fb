"""Prendre un lot de notifications de la banque : chacune a exactement un sort, et les créances bougent une seule fois.

Le sceau est vérifié ici : le topic n'est pas cru. Deux requêtes chargent tout ce que le lot touche, quel qu'en soit le
nombre : les paiements, puis les créances de leurs imputations.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from pydantic_core import from_json

from domain.creance import Créance
from domain.notification import appliquer_réponse
from domain.paiement import Paiement
from domain.reponse import RéponseBancaire
from domain.sort import Sort, Verdict
from guichet.guichet import Guichet
from guichet.messages import Message, MessageIllisible, Traitement, exiger_taille, rendre_sort
from journal.enregistreur import recueillir
from journal.lot import Lot
from kiosque.interface import FormulaireIrrecevable


def lire(guichet: Guichet, message: Message) -> tuple[RéponseBancaire, datetime]:
    """Lit une notification et l'instant de sa réception ; lève MessageIllisible ou FormulaireIrrecevable.

    `recue_le` n'est pas scellé : il ne compte que s'il précède l'arrivée du message dans Kafka.
    """
    exiger_taille(message)
    try:
        champs = from_json(message.valeur, allow_inf_nan=False)
    except ValueError as erreur:
        raise MessageIllisible("ce n'est pas du JSON en UTF-8") from erreur
    if not isinstance(champs, dict):
        raise MessageIllisible("un objet JSON est attendu")
    reçue_le = _instant(champs.pop("recue_le", None)) or message.reçu_le
    formulaire = {nom: valeur for nom, valeur in champs.items() if isinstance(valeur, str)}
    if len(formulaire) != len(champs):
        raise MessageIllisible("les champs du formulaire sont des textes")
    return guichet.kiosque.lire(formulaire), min(reçue_le, message.reçu_le)


def prendre_notifications(
    guichet: Guichet, conn: Connection[Any], messages: Sequence[Message], maintenant: datetime
) -> Traitement:
    """Décide d'un lot de notifications, dans l'ordre."""
    traitement = Traitement(Lot(), [])
    lues: list[tuple[Message, RéponseBancaire, datetime] | tuple[Message, str]] = []
    for message in messages:
        try:
            lues.append((message, *lire(guichet, message)))
        except (MessageIllisible, FormulaireIrrecevable) as illisible:
            lues.append((message, str(illisible)))
    paiements, créances = _charger(guichet, conn, [lue[1].transaction for lue in lues if len(lue) == 3])  # noqa: PLR2004
    for lue in lues:
        if len(lue) == 2:  # noqa: PLR2004 (un message illisible et sa cause)
            rendre_sort(traitement, lue[0], Verdict(Sort.REJETÉE, lue[1]), None, {})
            continue
        message, réponse, reçue_le = lue
        verdict, paiement = appliquer_réponse(
            paiements.get(réponse.transaction),
            créances,
            réponse,
            reçue_le=reçue_le,
            politique=guichet.politique,
            maintenant=maintenant,
        )
        if paiement is not None:
            paiements[réponse.transaction] = paiement
            touchées = [créances[imputation.référence] for imputation in paiement.imputations]
            traitement.lot.inscriptions += recueillir([paiement, *touchées], message.origine)
        rendre_sort(traitement, message, verdict, réponse.transaction, _champs(réponse, reçue_le))
    return traitement


def _charger(
    guichet: Guichet, conn: Connection[Any], transactions: Sequence[str]
) -> tuple[dict[str, Paiement], dict[str, Créance]]:
    flux = guichet.enregistreur.charger(conn, map(Paiement.flux, transactions))
    paiements: dict[str, Paiement] = {paiement.transaction: paiement for paiement in flux.values()}
    références = {imputation.référence: None for paiement in paiements.values() for imputation in paiement.imputations}
    return paiements, guichet.charger_créances(conn, list(références))


def _instant(valeur: object) -> datetime | None:
    if not isinstance(valeur, str):
        return None
    try:
        lu = datetime.fromisoformat(valeur)
    except ValueError:
        return None
    return lu.astimezone(UTC) if lu.tzinfo is not None else None


def _champs(réponse: RéponseBancaire, reçue_le: datetime) -> dict[str, Any]:
    """Les champs nommés que PostgreSQL garde : de la carte, rien que le numéro masqué."""
    return {
        "issue": réponse.issue.value,
        "code": réponse.code,
        "code_acquereur": réponse.code_acquéreur,
        "montant_centimes": réponse.montant,
        "marchand": réponse.marchand,
        "autorisation": réponse.autorisation,
        "carte_masquee": réponse.carte_masquée,
        "transaction_le": réponse.transaction_le.isoformat() if réponse.transaction_le else None,
        "recue_le": reçue_le.isoformat(),
    }
