"""Les relations que l'audit vérifie : chaque fait a ce qui l'explique, et chaque explication a son fait.

Un fait nouveau ajoute ici sa relation, s'il répond à autre chose qu'à ce qui s'y trouve ; les modules qui lisent chaque
côté la nomment.
"""

from typing import Any, Final

from domain.anomalie import Anomalie
from domain.creance import Créance
from domain.messagerie import Messagerie
from domain.paiement import Paiement
from projections.audit.rapprochement import Relation, Valeurs


def _creance(cle: str) -> tuple[str, ...]:
    return (Créance.flux(cle),)


def _paiement(cle: str) -> tuple[str, ...]:
    return (Paiement.flux(cle),)


def _part(cle: tuple[str, str]) -> tuple[str, ...]:
    return Paiement.flux(cle[0]), Créance.flux(cle[1])


def _part_vue(cle: tuple[str, str]) -> tuple[str, ...]:
    return (Créance.flux(cle[1]),)


def _message(cle: tuple[str, str]) -> tuple[str, ...]:
    return (cle[1],)


def _geste(cle: tuple[str, str]) -> tuple[str, ...]:
    return (Messagerie.flux(cle[1]),)


def _anomalie(cle: str) -> tuple[str, ...]:
    return (Anomalie.flux(cle),)


def _aucun(_cle: Any) -> tuple[str, ...]:
    return ()


def _version_d_avant(dit: Valeurs, vu: Valeurs) -> bool:
    """La colonne `version` vaut 0 pour ce qui la précède."""
    return vu[2] == 0 and dit[:2] + dit[3:] == vu[:2] + vu[3:]


def _champs_non_gardes(_dit: Valeurs, vu: Valeurs) -> bool:
    """Les premiers messages des caisses n'ont pas gardé leurs champs avec leur sort."""
    return vu == (None, None, None, None)


# --- Les vues --------------------------------------------------------------------------------------------------------

RESTANT_DU: Final = Relation(
    "restant_du",
    (
        "assure", "caisse", "nature", "date_emission@jour", "payable_en_ligne", "annulee", "montant_initial", "solde",
        "en_cours", "version", "position",
    ),
    "restant_du : {cle} absente de la vue",
    "restant_du : {cle} sans événement",
    _creance,
)  # fmt: skip

PAIEMENTS: Final = Relation(
    "paiements",
    (
        "assure", "caisse", "canal", "montant", "statut", "code", "cause", "ouvert_le@instant", "expire_le@instant",
        "conclu_le@instant", "accepte_le@instant", "version", "regle_le@instant", "montant_regle",
    ),
    "paiements : {cle} vaut None, le journal dit {dit}",
    "paiements : {cle} sans événement",
    _paiement,
)  # fmt: skip

TROP_PERCUS: Final = Relation(
    "trop_percus",
    (),
    "trop_percus : {cle} est payée de trop et n'est pas dans la liste",
    "trop_percus : {cle} n'est pas payée de trop et est dans la liste",
    _creance,
)

EN_COURS: Final = Relation(
    "paiements_en_cours",
    ("ouvert_le@instant",),
    "paiements_en_cours : {cle} n'a pas de fin et n'est pas dans la liste",
    "paiements_en_cours : {cle} a une fin et est dans la liste",
    _paiement,
)

SANS_ACCORD: Final = Relation(
    "paiements_sans_accord",
    ("conclu_le@instant",),
    "paiements_sans_accord : {cle} a fini sans accord et n'est pas dans la liste",
    "paiements_sans_accord : {cle} n'a pas fini sans accord et est dans la liste",
    _paiement,
)

DELAI: Final = Relation(
    "delai_affichage",
    ("accepte_le@instant", "affiche_le@instant", "version", "montree"),
    "delai_affichage : {cle} vaut None, le journal dit {dit}",
    "delai_affichage : {cle} sans événement",
    _part_vue,
    excuse=_version_d_avant,
)

NON_AFFICHES: Final = Relation(
    "affichages_en_attente",
    ("accepte_le@instant",),
    "affichages_en_attente : {cle} n'est pas affiché et n'est pas dans la liste",
    "affichages_en_attente : {cle} est affiché et est dans la liste",
    _part_vue,
)

MESSAGERIE: Final = Relation(
    "messagerie",
    ("assure", "accepte_le@instant", "echeance@jour"),
    "messagerie : {cle} vaut None, le journal dit {dit}",
    "messagerie : {cle} sans événement",
    _paiement,
)

GESTES: Final = Relation(
    "messagerie, gestes",
    ("geste", "le@instant", "echeance@jour"),
    "messagerie : {cle}, la vue ne dit pas le geste {dit}",
    "messagerie : {cle}, geste sans événement {vu}",
    _geste,
    tue_par=MESSAGERIE.nom,
)

ARGENT: Final = Relation(
    "argent",
    (
        "transaction", "raison", "marchand", "autorisation", "montant", "reste", "accepte_le@instant", "depuis@instant",
        "cause",
    ),
    "argent : {cle} vaut None, le journal dit {dit}",
    "argent : {cle} sans événement {vu}",
    _aucun,
)  # fmt: skip

REGLEMENTS: Final = Relation(
    "reglements",
    (
        "etat", "signale_le@instant", "transaction", "signalement", "montant", "proposition", "version", "saisi_par",
        "saisi_le@instant", "expire_le@instant", "approuve_par", "regle_le@instant",
    ),
    "reglements : {cle} vaut None, le journal dit {dit}",
    "reglements : {cle} sans événement",
    _anomalie,
)  # fmt: skip

# --- Les faits entre eux ---------------------------------------------------------------------------------------------

IMPUTATIONS: Final = Relation(
    "imputation",
    ("part", "canal", "expire_le@instant", "assure", "caisse", "cause", "heure@instant"),
    "{cle} : la créance réserve une part que le paiement n'impute pas {dit}",
    "{cle} : le paiement impute une part que la créance ne réserve pas {vu}",
    _part,
    autre="la créance dit",
)

ACCEPTATIONS: Final = Relation(
    "acceptation",
    ("part", "accepte_le@instant", "cause", "heure@instant"),
    "{cle} : la créance porte une acceptation que le paiement ne dit pas {dit}",
    "{cle} : la créance ne porte pas l'acceptation que dit le paiement {vu}",
    _part,
    autre="la créance dit",
)

LEVEES: Final = Relation(
    "échec",
    ("part_liberee", "cause du fait", "cause", "heure@instant"),
    "{cle} : la créance lève une part que le paiement ne dit pas échouée {dit}",
    "{cle} : la créance ne lève pas la part d'un paiement échoué {vu}",
    _part,
    autre="la créance dit",
)

RATTACHEMENTS: Final = Relation(
    "rattachement",
    ("part", "anomalie", "saisi_par", "approuve_par", "cause"),
    "{cle} : la créance reçoit de l'argent que le paiement n'impute pas {dit}",
    "{cle} : le paiement impute de l'argent que la créance ne reçoit pas {vu}",
    _part,
    autre="la créance dit",
)

REGLES: Final = Relation(
    "règlement",
    ("geste", "montant"),
    "{cle} : de l'argent a bougé sans le règlement qui l'explique {dit}",
    "{cle} : un règlement fait n'a pas bougé l'argent qu'il dit {vu}",
    _anomalie,
    autre="l'argent a bougé de",
)

# --- Les faits et ce qui les a causés --------------------------------------------------------------------------------

SORTS: Final = Relation(
    "sort",
    (
        "fait", "code", "autorisation", "carte_masquee", "montant", "marchand", "accepte_le@instant", "depart_presume",
        "phrase",
    ),
    "{cle} : fait sans message appliqué {dit}",
    "{cle} : message appliqué sans son fait {vu}",
    _message,
)  # fmt: skip

CAISSE: Final = Relation(
    "message de la caisse",
    ("message_id", "montant", "moyen", "date"),
    "{cle} : le fait n'a pas de message {dit}",
    "{cle} : le message n'a pas de fait {vu}",
    _message,
    excuse=_champs_non_gardes,
)

RETENUS: Final = Relation(
    "message retenu",
    (),
    "{cle} : fait d'un message retenu qui n'a pas été appliqué",
    "{cle} : message retenu puis appliqué, sans son fait",
    _message,
)

CLES: Final = Relation(
    "clé d'idempotence",
    ("auteur", "cle", "montant", "imputations", "expire_le@instant"),
    "{cle} : paiement ouvert sans sa clé d'idempotence {dit}",
    "{cle} : clé d'idempotence sans paiement ouvert {vu}",
    _paiement,
)

ATTENTES: Final = Relation(
    "attente",
    ("topic", "empreinte", "objet", "phrase"),
    "{cle} : message retenu dont le contenu manque {dit}",
    "{cle} : contenu retenu sans le sort en_souffrance {vu}",
    _aucun,
    autre="le sort dit",
)

COMPTES: Final = Relation(
    "sorts",
    ("messages",),
    "sorts : {cle} vaut 0, le journal dit {dit}",
    "sorts : {cle} vaut {vu}, le journal dit 0",
    _aucun,
)

MESSAGES_DE_CAISSE: Final = {
    Créance.AvisEmis.TOPIC: "avis_emis",
    Créance.AvisRectifié.TOPIC: "avis_rectifie",
    Créance.AvisAnnulé.TOPIC: "avis_annule",
    Créance.EncaissementReçu.TOPIC: "encaissement_recu",
}
"""Le type du message de caisse qui cause chacun de ces faits."""
