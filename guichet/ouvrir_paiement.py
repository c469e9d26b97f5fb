"""Ouvrir un paiement : l'assuré part au kiosque avec un formulaire scellé ; sa part est réservée."""

from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from domain.avis import Canal
from domain.delai import jour_de_paris
from domain.ouverture import decider_imputations
from domain.ouverture import ouvrir_paiement as ouvrir
from domain.paiement import Paiement
from domain.references import caisse_de, composer_transaction
from domain.refus import Refus
from engine.batch import Batch, IdempotencyKey
from engine.recorder import collect
from guichet.guichet import Guichet
from kiosque.interface import DemandeDePaiement


class CleReutilisee(Refus):
    """Cette clé d'idempotence a déjà servi pour une autre demande."""

    code = "cle_reutilisee"


class PartageChange(Refus):
    """Le partage de votre paiement entre vos références a changé depuis que vous l'avez lu : merci de le relire."""

    code = "partage_change"


Partage = tuple[tuple[str, int], ...]
"""Les références et leurs parts (en centimes), dans l'ordre de l'imputation."""


class Demande(NamedTuple):
    """Ce que l'assuré demande ; `empreinte` est le SHA-256 du corps, pour reconnaître la même demande."""

    assure: str
    references: tuple[str, ...]
    montant: int
    canal: Canal
    cle: str
    empreinte: bytes
    exclusif: bool = False
    """Vrai : refusé si un autre paiement est en cours sur l'une des références."""
    partage_lu: Partage | None = None
    """Le partage que la personne a lu ; s'il est donné, aucun autre n'est enregistré."""


def ouvrir_paiement(guichet: Guichet, demande: Demande, maintenant: datetime) -> dict[str, Any]:
    """Ouvre le paiement et rend la réponse du contrat ; la même clé et le même corps rendent la même réponse.

    Lève un Refus du domaine, CléRéutilisée ou PartageChangé.
    """

    def decision(conn: Connection[Any]) -> dict[str, Any]:
        connue = guichet.recorder.cle(conn, demande.assure, demande.cle)
        if connue is not None:
            if connue.empreinte != demande.empreinte:
                raise CleReutilisee
            return dict(connue.reponse)
        creances = guichet.charger_creances(conn, list(demande.references))
        imputations = decider_imputations(
            demande.assure,
            demande.references,
            demande.montant,
            creances,
            guichet.politique,
            exclusif=demande.exclusif,
        )
        if demande.partage_lu not in {None, tuple((part.reference, part.part) for part in imputations)}:
            raise PartageChange
        numero = guichet.recorder.next_number(conn)
        transaction = composer_transaction(jour_de_paris(maintenant), numero, guichet.fragment)
        paiement = ouvrir(
            transaction,
            assure=demande.assure,
            canal=demande.canal,
            marchand=guichet.kiosque.marchand_de(caisse_de(demande.references[0])),
            imputations=imputations,
            creances=creances,
            politique=guichet.politique,
            maintenant=maintenant,
        )
        reponse = decrire(guichet, paiement)
        guichet.recorder.record(
            conn,
            Batch(
                entries=collect([paiement, *creances.values()], f"requete:{demande.cle}"),
                cle=IdempotencyKey(demande.assure, demande.cle, demande.empreinte, reponse),
            ),
        )
        return reponse

    return guichet.decider(decision)


def decrire(guichet: Guichet, paiement: Paiement) -> dict[str, Any]:
    """La réponse du contrat pour un paiement ouvert, avec son formulaire scellé : toujours le même."""
    formulaire = guichet.kiosque.formulaire(
        DemandeDePaiement(
            transaction=paiement.transaction,
            marchand=paiement.marchand,
            caisse=paiement.caisse or "",
            montant=paiement.montant,
            client=paiement.assure or "",
            canal=(paiement.canal or Canal.WEB).value,
            url_retour=guichet.adresses.retour,
            url_notification=guichet.adresses.notification,
        )
    )
    return {
        "transaction": paiement.transaction,
        "montant_centimes": paiement.montant,
        "imputations": [
            {"reference": imputation.reference, "montant_centimes": imputation.part}
            for imputation in paiement.imputations
        ],
        "expire_le": paiement.expire_le.isoformat() if paiement.expire_le else None,
        "kiosque": {"url": formulaire.url, "champs": dict(formulaire.champs)},
    }
