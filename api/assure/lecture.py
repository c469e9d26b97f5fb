"""Ce que l'assuré voit : sa créance et les autres, ses paiements. Des vues, et du journal si elles tardent."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

import anyio.to_thread

from api.socle.dependances import Moyens
from domain.ouverture import ACocher, caisses_en_verification
from domain.paiement import Paiement
from domain.politique import Politique
from domain.references import TRANSACTION, CodeCaisse, ReferenceTransaction, lire_reference
from domain.refus import PaiementClos, PaiementEnCours, PaiementInconnu, ReferenceNonOuverte, Refus
from guichet.guichet import Guichet
from guichet.reprendre_paiement import paiements_fermes
from projections.lectures.compte import Compte, compte
from projections.vues.paiements import LignePaiement
from projections.vues.paiements import paiement as lire_paiement
from projections.vues.restant_du import LigneCreance

PAIEMENTS_RECENTS: Final = 20
"""Derniers paiements d'un assuré que ses pages regardent."""

AUCUNE: Final = ""
"""Cherchée à la place d'une saisie qui n'est pas une référence : le même travail, et rien n'y répond."""

EN_VERIFICATION: Final = "en_verification"
SANS_FIN: Final = ("en_cours", EN_VERIFICATION)

ANNULEE: Final = "Votre caisse a annulé cet avis : vous n'avez rien à payer pour cette référence."

TROP_PERCU: Final = (
    "Vous avez payé plus que le montant dû : votre caisse examine ce trop-perçu et vous le rembourse, sans démarche de"
    " votre part."
)

_SOLDEE: Final = "Cette créance est soldée : vous n'avez plus rien à payer."

REGLEES: Final = {"soldee": _SOLDEE, "trop_percu": f"{_SOLDEE} {TROP_PERCU}"}
"""Ce que dit une créance où il ne reste rien à payer, par statut."""

CONFIRMATION_ATTENDUE: Final = (
    "La banque a bien reçu votre paiement, nous attendons sa confirmation ; ne payez pas une seconde fois."
)


class Consultation(NamedTuple):
    """Ce que la recherche d'une référence donne."""

    cherchee: LigneCreance
    autres: list[LigneCreance]
    """Celles de l'assuré qui restent dues en ligne, la plus ancienne d'abord."""
    sans_fin: list[LignePaiement]
    """Ses paiements en cours, le plus récent d'abord."""
    fermes: Mapping[str, PaiementClos]
    """Ceux d'entre eux dont le formulaire ne se remet plus, et pourquoi."""


class CreanceAnnulee(ReferenceNonOuverte):
    """L'avis est annulé, et il était de cette personne : ses pages le lui disent, l'API n'en dit pas plus."""

    def __init__(self, ligne: LigneCreance, sans_fin: list[LignePaiement]) -> None:
        """Retient la créance, et les paiements en cours de la personne."""
        super().__init__()
        self.ligne = ligne
        self.sans_fin = sans_fin


class Raison(NamedTuple):
    """Pourquoi une créance ne peut pas être cochée maintenant."""

    code: str
    phrase: str
    jusqu_a: datetime | None = None


async def consulter(moyens: Moyens, assure: str, saisie: str) -> Consultation:
    """Cherche une créance de cet assuré.

    Lève ReferenceNonOuverte, après le même travail que la référence soit illisible, inconnue, exclue, annulée ou d'une
    autre personne : la requête ne lit que le compte de l'assuré, et ni la réponse ni sa durée ne disent laquelle.
    """
    async with moyens.pool.connection() as conn:
        lu = await compte(conn, assure, PAIEMENTS_RECENTS, sans_fin=True)
    return await consultation_de(moyens, lu, saisie)


async def consultation_de(moyens: Moyens, lu: Compte, saisie: str) -> Consultation:
    """Ce que la recherche donne d'un compte lu sans ses paiements finis ; lève ReferenceNonOuverte (CreanceAnnulee)."""
    creances, sans_fin, _ = lu
    reference = lire_reference(saisie) or AUCUNE
    consultables = [ligne for ligne in creances if est_consultable(ligne)]
    cherchee = next((ligne for ligne in consultables if ligne.reference == reference), None)
    if cherchee is None:
        annulee = next((ligne for ligne in creances if ligne.annulee and ligne.reference == reference), None)
        raise CreanceAnnulee(annulee, sans_fin) if annulee else ReferenceNonOuverte
    autres = [ligne for ligne in consultables if ligne is not cherchee and ligne.restant_du]
    return Consultation(cherchee, autres, sans_fin, await fermes_parmi(moyens, sans_fin))


async def fermes_parmi(moyens: Moyens, paiements: Iterable[LignePaiement]) -> dict[str, PaiementClos]:
    """De ceux qui sont en cours, ceux dont le formulaire ne se remet plus, et pourquoi ; le journal le dit."""
    return await _fermes(moyens, [p.transaction for p in paiements if p.statut == "en_cours"])


async def _fermes(moyens: Moyens, transactions: Collection[ReferenceTransaction]) -> dict[str, PaiementClos]:
    if not transactions:
        return {}
    guichet, maintenant = moyens.dependances.guichet, moyens.dependances.horloge()
    return await anyio.to_thread.run_sync(partial(paiements_fermes, guichet, transactions, maintenant))


async def lire_compte(moyens: Moyens, assure: str) -> Compte:
    """Les créances de l'assuré et ses derniers paiements, en une requête."""
    async with moyens.pool.connection() as conn:
        return await compte(conn, assure, PAIEMENTS_RECENTS)


def est_consultable(ligne: LigneCreance) -> bool:
    """Dit si la créance est ouverte au service en ligne."""
    return ligne.payable_en_ligne and not ligne.annulee


def payables_en_ligne(
    lignes: Iterable[LigneCreance], compte: Sequence[LigneCreance], politique: Politique
) -> list[LigneCreance]:
    """Celles qui se paient en ligne, maintenant ou à la fin des paiements en cours : ce que comptent nos totaux."""
    a_cocher = ACocher(compte, politique)
    return [ligne for ligne in lignes if isinstance(a_cocher.refus(ligne), PaiementEnCours | None)]


class Raisons:
    """Pourquoi telle ligne d'un compte ne peut pas être cochée, tel que la vue le connaît : la règle est au domaine."""

    def __init__(
        self,
        compte: Sequence[LigneCreance],
        politique: Politique,
        ouverts: Sequence[LignePaiement],
        *,
        maintenant: datetime,
        exclusif: bool = False,
        retours: AbstractSet[str] = frozenset(),
        fermes: Collection[str] = (),
    ) -> None:
        """`compte` : les créances de l'assuré. `ouverts` : ses paiements en cours ; `fermes`, sans reprise.

        `exclusif` : un paiement en cours sur une ligne suffit à l'écarter. `retours` : les transactions que la banque
        a acceptées devant la personne.
        """
        self._maintenant = maintenant
        self._par_caisse: dict[CodeCaisse, list[LignePaiement]] = {}
        for paiement in ouverts:
            self._par_caisse.setdefault(CodeCaisse(paiement.caisse), []).append(paiement)
        fins = {caisse: max(paiement.expire_le for paiement in siens) for caisse, siens in self._par_caisse.items()}
        self.en_verification = caisses_en_verification(ouverts)
        """Les caisses où l'on n'invite pas à payer."""
        self._a_cocher = ACocher(
            compte, politique, fins_des_paiements=fins, exclusif=exclusif, en_verification=self.en_verification
        )
        self._retours = retours
        self._fermes = fermes

    def invite(self, ligne: LigneCreance) -> bool:
        """Dit si la page propose de la payer."""
        return self._a_cocher.invite(ligne)

    def de(self, ligne: LigneCreance) -> Raison | None:
        """La raison, ou None si la ligne se coche."""
        refus = self._a_cocher.refus(ligne)
        match refus:
            case None:
                return None
            case PaiementEnCours():
                siens = self._par_caisse.get(ligne.caisse, ())
                confirmes = bool(siens) and all(est_confirme(paiement, self._retours) for paiement in siens)
                if siens and all(paiement.transaction in self._fermes for paiement in siens):
                    refus = PaiementEnCours(refus.jusqu_a, refus.transactions, reprenable=False)
                phrase = phrase_en_cours(refus, self._maintenant, confirme=confirmes)
                return Raison(refus.code, phrase, refus.jusqu_a)
            case _:
                return Raison(refus.code, REGLEES.get(ligne.statut, refus.phrase))


def phrase_en_cours(refus: PaiementEnCours, maintenant: datetime, *, confirme: bool) -> str:
    """Ce que lit une personne qu'un paiement en cours arrête : le reprendre n'est dit que tant que cela se peut."""
    if confirme:
        return CONFIRMATION_ATTENDUE
    if refus.jusqu_a is not None and refus.jusqu_a <= maintenant:
        return refus.phrase_sans_reprise
    return refus.phrase


async def selon_la_reprise(moyens: Moyens, refus: Refus) -> Refus:
    """Le même refus ; s'il tient à des paiements dont aucun ne se remet plus, il n'offre pas de les reprendre."""
    if not isinstance(refus, PaiementEnCours) or not refus.transactions:
        return refus
    fermes = await _fermes(moyens, refus.transactions)
    reprenable = any(transaction not in fermes for transaction in refus.transactions)
    return PaiementEnCours(refus.jusqu_a, refus.transactions, reprenable=reprenable)


def est_confirme(paiement: LignePaiement, retours: AbstractSet[str]) -> bool:
    """Dit si la banque a reçu ce paiement, ou si nous le vérifions auprès d'elle : il ne se reprend pas."""
    return paiement.statut == EN_VERIFICATION or (paiement.statut == "en_cours" and paiement.transaction in retours)


def repris_possible(paiement: LignePaiement, fermes: Collection[str], retours: AbstractSet[str] = frozenset()) -> bool:
    """Dit si le formulaire du kiosque peut encore être remis : jamais après un retour scellé de la banque.

    `fermes` : ceux qui ne le peuvent plus (`fermes_parmi`).
    """
    ouvert = paiement.statut == "en_cours" and paiement.transaction not in fermes
    return ouvert and not est_confirme(paiement, retours)


class Attentes(NamedTuple):
    """Les paiements sans fin d'un assuré, selon ce que ses pages en disent."""

    confirmes: Sequence[LignePaiement] = ()
    """La banque les a reçus, ou nous les vérifions : rien à faire, et ne pas payer une seconde fois."""
    a_reprendre: Sequence[LignePaiement] = ()
    sans_reponse: Sequence[LignePaiement] = ()
    """Leur formulaire ne se remet plus, et la banque n'a pas encore répondu."""

    @property
    def nombre(self) -> int:
        """Combien il y en a."""
        return sum(map(len, self))


def attentes(sans_fin: Sequence[LignePaiement], fermes: Collection[str], retours: AbstractSet[str]) -> Attentes:
    """Ce que toutes les pages disent de ces paiements, de la même façon."""
    if not sans_fin:
        return Attentes()
    confirmes = [un for un in sans_fin if est_confirme(un, retours)]
    autres = [un for un in sans_fin if not est_confirme(un, retours)]
    a_reprendre = [un for un in autres if repris_possible(un, fermes)]
    return Attentes(confirmes, a_reprendre, [un for un in autres if not repris_possible(un, fermes)])


def a_suivre(paiement: LignePaiement) -> bool:
    """Dit si la page doit encore changer d'elle-même : la réponse, ou sa prise en compte, est attendue."""
    return paiement.statut in SANS_FIN or (paiement.statut == "accepte" and paiement.affiche_le is None)


async def etat_du_paiement(moyens: Moyens, assure: str, transaction: str) -> LignePaiement:
    """Où en est un paiement de cet assuré ; lève PaiementInconnu, aussi pour celui d'une autre personne.

    Un paiement qui vient d'être ouvert peut précéder la vue : il est alors lu au journal.
    """
    if not TRANSACTION.fullmatch(transaction):
        raise PaiementInconnu
    async with moyens.pool.connection() as conn:
        ligne = await lire_paiement(conn, transaction)
    if ligne is None or ligne.assure != assure:
        # Celui d'une autre personne demande le même travail qu'un inconnu : la durée ne dit pas lequel existe.
        cherchee = AUCUNE if ligne else transaction
        ligne = await anyio.to_thread.run_sync(_au_journal, moyens.dependances.guichet, cherchee)
    if ligne is None or ligne.assure != assure:
        raise PaiementInconnu
    return ligne


def _au_journal(guichet: Guichet, transaction: str) -> LignePaiement | None:
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, ReferenceTransaction(transaction))
    if paiement is None or not paiement.connu:
        return None
    return _ligne(paiement)


def _ligne(paiement: Paiement) -> LignePaiement:
    assert paiement.assure and paiement.caisse and paiement.canal and paiement.expire_le  # noqa: S101, PT018 (connu)
    return LignePaiement(
        paiement.transaction,
        paiement.assure,
        paiement.caisse,
        paiement.canal.value,
        paiement.montant,
        paiement.statut,
        paiement.code,
        paiement.cause,
        paiement.created_on,
        paiement.expire_le,
        paiement.conclu_le,
        paiement.accepte_le,
        None,
    )
