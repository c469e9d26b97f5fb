"""Ouvrir un paiement : l'assuré part au kiosque avec un formulaire scellé ; sa part est réservée."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from psycopg import Connection

from domain.avis import Canal
from domain.delai import jour_de_paris
from domain.monnaie import Centimes
from domain.ouverture import decider_imputations
from domain.ouverture import ouvrir_paiement as ouvrir
from domain.paiement import Paiement
from domain.references import Pseudonyme, ReferenceCreance, ReferenceTransaction, composer_transaction
from domain.refus import PaiementInconnu, Refus
from engine.batch import Batch, IdempotencyKey
from engine.recorder import collect
from guichet.guichet import Guichet
from kiosque.interface import DemandeDePaiement, DemandeInvalide, Formulaire


class CleReutilisee(Refus):
    """La clé d'idempotence nomme une autre demande."""

    code = "cle_reutilisee"
    phrase_de_base = "Cette clé d'idempotence a déjà servi pour une autre demande."


class PartageChange(Refus):
    """Le partage décidé n'est pas celui que la personne a lu."""

    code = "partage_change"
    phrase_de_base = (
        "Le partage de votre paiement entre vos références a changé depuis que vous l'avez lu : merci de le relire."
    )


class FormulaireIndisponible(Refus):
    """Le formulaire de ce paiement ne peut pas être scellé : les réglages n'ont pas les clés de son marchand."""

    code = "formulaire_indisponible"
    phrase_de_base = (
        "La page de paiement de la banque ne peut pas être ouverte en ce moment pour ce paiement : merci de réessayer"
        " plus tard."
    )


Partage = tuple[tuple[ReferenceCreance, Centimes], ...]
"""Les références et leurs parts (en centimes), dans l'ordre de l'imputation."""


class Demande(NamedTuple):
    """Ce que l'assuré demande ; `empreinte` est le SHA-256 du corps, pour reconnaître la même demande."""

    assure: Pseudonyme
    references: tuple[ReferenceCreance, ...]
    montant: Centimes
    canal: Canal
    cle: str
    empreinte: bytes
    exclusif: bool = False
    """Vrai : refusé si un autre paiement est en cours sur l'une des références."""
    partage_lu: Partage | None = None
    """Le partage que la personne a lu ; s'il est donné, aucun autre n'est enregistré."""
    correlation: str | None = None
    """L'appel HTTP qui la porte."""
    cles_d_avant: tuple[str, ...] = ()
    """Sous quoi la même clé a pu être gardée avant."""


class PaiementRemis(NamedTuple):
    """Un paiement ouvert, et le formulaire scellé qui mène au kiosque."""

    transaction: ReferenceTransaction
    montant: Centimes
    parts: Partage
    expire_le: datetime
    formulaire: Formulaire


def ouvrir_paiement(guichet: Guichet, demande: Demande, maintenant: datetime) -> PaiementRemis:
    """Ouvre le paiement ; la même clé et le même corps rendent la même réponse, tant qu'il est ouvert.

    Lève un Refus du domaine (PaiementClos : la clé nomme un paiement qui a fini), CleReutilisee, PartageChange,
    JournalEnRetard ou JournalNonVerifie.
    """

    def decision(conn: Connection[Any]) -> PaiementRemis:
        if (connue := _connue(guichet, conn, demande)) is not None:
            if connue.empreinte != demande.empreinte:
                raise CleReutilisee
            remis = _relire(connue.reponse)
            guichet.exiger_ouvert(conn, guichet.charger_paiement(conn, remis.transaction), maintenant)
            return remis
        guichet.exiger_ouvrable(conn)
        creances = guichet.charger_creances(conn, demande.references)
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
        paiement = ouvrir(
            composer_transaction(jour_de_paris(maintenant), numero, guichet.fragment),
            assure=demande.assure,
            canal=demande.canal,
            marchand=guichet.kiosque.marchand_de(creances[demande.references[0]].avis.caisse),
            jeton_retour=guichet.tirer_jeton(),
            imputations=imputations,
            creances=creances,
            politique=guichet.politique,
            maintenant=maintenant,
        )
        remis = remettre(guichet, paiement)
        guichet.recorder.record(
            conn,
            Batch(
                entries=collect([paiement, *creances.values()], f"requete:{demande.cle}"),
                cle=IdempotencyKey(demande.assure, demande.cle, demande.empreinte, _garder(remis), demande.correlation),
            ),
        )
        return remis

    return guichet.decider(decision)


def _connue(guichet: Guichet, conn: Connection[Any], demande: Demande) -> IdempotencyKey | None:
    """Ce qui est gardé sous la clé de cette demande."""
    lues = (guichet.recorder.cle(conn, demande.assure, cle) for cle in (demande.cle, *demande.cles_d_avant))
    return next((lue for lue in lues if lue is not None), None)


def remettre(guichet: Guichet, paiement: Paiement) -> PaiementRemis:
    """Le paiement ouvert, avec son formulaire scellé : toujours le même.

    Lève PaiementInconnu s'il n'est pas à nous, ou FormulaireIndisponible.
    """
    if paiement.assure is None or paiement.caisse is None or paiement.canal is None or paiement.expire_le is None:
        raise PaiementInconnu
    demande = DemandeDePaiement(
        transaction=paiement.transaction,
        caisse=paiement.caisse,
        marchand=paiement.marchand,
        montant=paiement.montant,
        client=paiement.assure,
        canal=paiement.canal,
        url_retour=guichet.adresses.retour,
        url_notification=guichet.adresses.notification,
        jeton_retour=paiement.jeton_retour,
    )
    try:
        formulaire = guichet.kiosque.formulaire(demande)
    except DemandeInvalide as faute:
        structlog.get_logger().error("formulaire_indisponible", transaction=paiement.transaction, cause=str(faute))
        raise FormulaireIndisponible from faute
    parts = tuple((imputation.reference, imputation.part) for imputation in paiement.imputations)
    return PaiementRemis(paiement.transaction, paiement.montant, parts, paiement.expire_le, formulaire)


def _garder(remis: PaiementRemis) -> dict[str, Any]:
    """Ce que `journal.cles_idempotence.reponse` garde ; sa forme ne change pas."""
    return {
        "transaction": remis.transaction,
        "montant_centimes": remis.montant,
        "imputations": [{"reference": reference, "montant_centimes": part} for reference, part in remis.parts],
        "expire_le": remis.expire_le.isoformat(),
        "kiosque": {"url": remis.formulaire.url, "champs": dict(remis.formulaire.champs)},
    }


def _relire(gardee: Mapping[str, Any]) -> PaiementRemis:
    return PaiementRemis(
        ReferenceTransaction(gardee["transaction"]),
        Centimes(gardee["montant_centimes"]),
        tuple(
            (ReferenceCreance(part["reference"]), Centimes(part["montant_centimes"])) for part in gardee["imputations"]
        ),
        datetime.fromisoformat(gardee["expire_le"]),
        Formulaire(url=gardee["kiosque"]["url"], champs=gardee["kiosque"]["champs"]),
    )
