"""Un message de la caisse en souffrance : l'appliquer à la bonne créance, l'écarter, le renvoyer à la caisse."""

from typing import Final

from domain.geste import Geste, Proposition
from domain.monnaie import Centimes
from domain.refus import AnomalieInconnue, GesteImpossible
from engine.batch import Settled
from guichet.prendre_avis import MessageEncaissementRecu, lire_message_de_caisse
from guichet.reglement.acte import Acte, Effets

DEVENUS: Final = {Geste.APPLIQUER: "appliquee", Geste.ECARTER: "ecartee", Geste.RENVOYER: "renvoyee"}
"""Ce qu'un message en souffrance devient, en un mot enregistré."""


def preciser(acte: Acte) -> Proposition:
    """La proposition, avec l'argent que porte le message. Lève GesteImpossible."""
    voulue, porte = acte.proposition, Centimes(acte.dossier.montant)
    if voulue.montant not in {0, porte}:
        raise GesteImpossible("Un message s'applique, s'écarte ou se renvoie en entier.")
    if voulue.geste is Geste.APPLIQUER:
        if len(voulue.imputations) != 1:
            raise GesteImpossible("Dites à quelle créance appliquer ce message.")
        if voulue.imputations[0].part not in {0, porte}:
            raise GesteImpossible("Un message s'applique en entier.")
        imputation = voulue.imputations[0].model_copy(update={"part": porte})
        return voulue.model_copy(update={"montant": porte, "imputations": (imputation,)})
    return voulue.model_copy(update={"montant": porte})


def sortir_de_l_attente(acte: Acte) -> Effets:
    """Ferme l'attente du message ; appliqué, la créance choisie reçoit ce qu'il annonce. Lève Refus."""
    dossier, voulue = acte.dossier, acte.proposition
    if dossier.origine is None or dossier.valeur is None:
        raise AnomalieInconnue
    effets = Effets()
    if voulue.geste is Geste.APPLIQUER:
        message = lire_message_de_caisse(dossier.valeur)
        if not isinstance(message, MessageEncaissementRecu):
            raise GesteImpossible("Ce message n'annonce pas d'encaissement.")
        (imputation,) = voulue.imputations
        creance = acte.creances([imputation.reference])[imputation.reference]
        if not creance.encaisser(
            message.message_id,
            message.montant_centimes,
            message.moyen,
            message.date,
            maintenant=acte.maintenant,
        ):
            raise GesteImpossible("Cette créance a déjà reçu ce message.")
        effets.agregats.append(creance)
    partition, offset = dossier.origine
    effets.settled.append(Settled(partition, offset, DEVENUS[voulue.geste], voulue.motif))
    return effets
