"""Suivre un paiement fait par fait : son partage, ses fins, l'argent sans créance, et ce qu'il doit aux messages."""

from typing import Final, assert_never

from domain.paiement import Fin, Paiement, est_de_paiement
from domain.sort import Sort
from projections.audit.contexte import REQUETE, Contexte, Dits, Ligne
from projections.audit.rapprochement import us
from projections.audit.relations import (
    ACCEPTATIONS,
    CLES,
    IMPUTATIONS,
    LEVEES,
    MESSAGERIE,
    PAIEMENTS,
)
from projections.audit.vues import accuse_attendu

EXPIRE: Final = "expiré"
"""Ce que dit la créance d'un paiement que nous avons clos nous-mêmes."""


class SuiviDePaiement:
    """Un paiement pendant sa lecture."""

    def __init__(self, contexte: Contexte, flux: str) -> None:
        """`flux` est le sien ; ses faits viennent par `prendre`, puis `clore`."""
        self._contexte = contexte
        self._flux = flux
        self._transaction = Paiement.transaction_de(flux)
        self._dits = Dits(contexte)
        self._paiement: Paiement | None = None
        self._ouvert: Paiement.PaiementOuvert | None = None
        self._vu: tuple[Paiement.PaiementOuvert | Paiement.PaiementConclu, int] | None = None
        """Le dernier fait que la vue a pu appliquer, et sa version."""
        self._vue = contexte.limite(PAIEMENTS.nom, flux)
        self._messagerie = contexte.limite(MESSAGERIE.nom, flux)
        self._pris: list[tuple[str, int, str, int]] = []

    def prendre(self, ligne: Ligne) -> None:
        """Le fait suivant. Lève ce que lèvent la lecture et l'agrégat : le flux ne se lit alors pas."""
        position, flux, version, topic, etat, cause, enregistre_us = ligne
        fait = self._contexte.mapper.lire(flux, version, topic, etat)
        if not est_de_paiement(fait):
            raise ValueError("porte des faits d'un autre agrégat")
        avant = self._paiement
        fin, apres = (None if avant is None else avant.fin), fait.mutate(avant)
        self._paiement = apres
        match fait:
            case Paiement.PaiementOuvert():
                self._ouvrir(fait, cause)
            case Paiement.PaiementConclu():
                self._conclure(fait, fin, cause, enregistre_us)
            case Paiement.EncaissementNonImputé():
                self._encaisser(fait, cause, enregistre_us)
            case Paiement.AcceptationPrécisée():
                pass  # Voir `constats` : elle suit toujours une redite de la banque.
            case _:
                assert_never(fait)
        if isinstance(fait, Paiement.PaiementOuvert | Paiement.PaiementConclu):
            if position <= self._vue:
                self._vu = fait, version
            if position <= self._messagerie and isinstance(fait, Paiement.PaiementConclu):
                self._accuser(fait)

    def clore(self) -> None:
        """Le flux est lu en entier."""
        paiement = self._paiement
        if paiement is None:
            return
        if self._ouvert is not None and self._vu is not None:
            self._montrer(self._ouvert, *self._vu)
        self._dits.clore()
        if not self._contexte.premiere:
            return
        rapport = self._contexte.rapport
        rapport.paiements += paiement.connu
        for nom, montant, marchand, enregistre_us in self._pris:
            rapport.compte.banque(nom, montant, paiement.caisse, marchand, enregistre_us)
        if paiement.fin is Fin.ACCEPTE:
            rapport.compte.accepte_par(paiement.marchand, paiement.montant)

    def abandonner(self, position: int) -> None:
        """Le fait à cette position ne se lit pas : rien n'est dit de ce paiement."""

    # --- Chaque fait -------------------------------------------------------------------------------------------------

    def _ecart(self, quoi: str) -> None:
        self._contexte.ecart(f"{self._flux} : {quoi}")

    def _ouvrir(self, fait: Paiement.PaiementOuvert, cause: str) -> None:
        self._ouvert = fait
        if fait.transaction != self._transaction:
            self._ecart(f"l'ouverture nomme {fait.transaction}")
        parts = [(imputation.reference, imputation.part) for imputation in fait.imputations]
        if (somme := sum(part for _, part in parts)) != fait.montant:
            self._ecart(f"les imputations font {somme} centimes, le paiement {fait.montant}")
        if not parts or len(dict(parts)) != len(parts) or min(part for _, part in parts) <= 0:
            self._ecart("les imputations sont vides, nulles ou redites")
        for reference, part in parts:
            valeurs = (part, fait.canal.value, us(fait.expire_le), fait.assure, fait.caisse, cause)
            self._dits.vu(IMPUTATIONS, (self._transaction, reference), valeurs)
        if cause.startswith(REQUETE):
            cle = cause.removeprefix(REQUETE)
            self._dits.dit(CLES, self._transaction, (fait.assure, cle, fait.montant, tuple(parts), us(fait.expire_le)))

    def _conclure(self, fait: Paiement.PaiementConclu, fin: Fin | None, cause: str, enregistre_us: int) -> None:
        ouvert, v = self._ouvert, fait.originator_version
        if ouvert is None:
            self._ecart(f"v{v} conclut un paiement qui n'a jamais été ouvert")
            return
        if fin is Fin.ACCEPTE or (fin is Fin.EN_VERIFICATION and fait.issue is not Fin.ACCEPTE):
            self._ecart(f"v{v} conclut « {fait.issue} » après « {fin} »")
        match fait.issue:
            case Fin.ACCEPTE:
                self._accepter(ouvert, fait, cause, enregistre_us)
            case Fin.ECHOUE:
                valeurs = ("echoue", fait.code, None, fait.carte_masquee, None, ouvert.marchand, None, None, fait.cause)
                self._dits.cause(cause, self._flux, valeurs)
            case Fin.EXPIRE | Fin.EN_VERIFICATION:
                if fait.code is not None or fait.accepte_le is not None:
                    self._ecart(f"v{v} conclut « {fait.issue} » avec une réponse de la banque")
            case _:
                assert_never(fait.issue)
        if fin is None and fait.issue is not Fin.ACCEPTE:
            dite = EXPIRE if fait.issue is Fin.EXPIRE else fait.cause
            for imputation in ouvert.imputations:
                self._dits.vu(LEVEES, (self._transaction, imputation.reference), (imputation.part, dite, cause))

    def _accepter(
        self, ouvert: Paiement.PaiementOuvert, fait: Paiement.PaiementConclu, cause: str, enregistre_us: int
    ) -> None:
        accepte_le = us(fait.accepte_le)
        for imputation in ouvert.imputations:
            valeurs = (imputation.part, accepte_le, cause)
            self._dits.vu(ACCEPTATIONS, (self._transaction, imputation.reference), valeurs)
        self._dits.cause(
            cause,
            self._flux,
            (
                "accepte", fait.code, fait.autorisation, fait.carte_masquee, ouvert.montant, ouvert.marchand,
                accepte_le, fait.depart_presume, None,
            ),
        )  # fmt: skip
        self._pris.append(("preleve_par_la_banque", ouvert.montant, ouvert.marchand, enregistre_us))
        self._retenu(cause, ouvert.montant)

    def _encaisser(self, fait: Paiement.EncaissementNonImputé, cause: str, enregistre_us: int) -> None:
        if fait.raison not in {Sort.NON_RAPPROCHEE, Sort.MONTANT_INCOHERENT}:
            self._ecart(f"v{fait.originator_version} n'impute pas, pour « {fait.raison} »")
        if not (cause in self._contexte.retenus and fait.raison is Sort.NON_RAPPROCHEE):
            # Le sort d'un message retenu ne dit pas si la banque y prenait de l'argent.
            valeurs = (fait.montant, fait.marchand, us(fait.accepte_le), fait.depart_presume)
            self._dits.cause(cause, self._flux, (fait.raison.value, None, fait.autorisation, None, *valeurs, None))
        for nom in ("preleve_par_la_banque", "non_rattache"):
            self._pris.append((nom, fait.montant, fait.marchand, enregistre_us))
        self._retenu(cause, fait.montant)

    def _retenu(self, cause: str, montant: int) -> None:
        """Le message qui a attendu n'a pas gardé son montant : ce qu'il a causé le dit pour lui."""
        if cause in self._contexte.retenus and self._contexte.premiere:
            self._contexte.preleve_par_message += montant

    # --- Ce que les vues doivent montrer -----------------------------------------------------------------------------

    def _accuser(self, fait: Paiement.PaiementConclu) -> None:
        if fait.issue is Fin.ACCEPTE and fait.accepte_le is not None and self._ouvert is not None:
            attendu = accuse_attendu(self._ouvert.assure, fait.accepte_le, self._contexte.maintenant)
            if attendu is not None:
                self._dits.dit(MESSAGERIE, self._transaction, attendu)

    def _montrer(
        self,
        ouvert: Paiement.PaiementOuvert,
        dernier: Paiement.PaiementOuvert | Paiement.PaiementConclu,
        version: int,
    ) -> None:
        conclu = dernier if isinstance(dernier, Paiement.PaiementConclu) else None
        self._dits.dit(
            PAIEMENTS,
            self._transaction,
            (
                ouvert.assure,
                ouvert.caisse,
                ouvert.canal.value,
                ouvert.montant,
                conclu.issue.value if conclu else "en_cours",
                conclu.code if conclu else None,
                conclu.cause if conclu else None,
                us(ouvert.timestamp),
                us(ouvert.expire_le),
                us(conclu.timestamp) if conclu else None,
                us(conclu.accepte_le) if conclu else None,
                version,
            ),
        )
