"""Suivre un paiement fait par fait : son partage, ses fins, l'argent sans créance, et ce qu'il doit aux messages.

Plus de 300 lignes : chaque fait d'un paiement a ici son contrôle, et ils se lisent ensemble.
"""

from typing import Any, Final, assert_never, cast

from domain.geste import Geste, Source, composer_id, meme_personne
from domain.paiement import Fin, Paiement, est_de_paiement
from domain.sort import Sort
from projections.audit.contexte import REQUETE, Contexte, Dits, Ligne
from projections.audit.rapprochement import us
from projections.audit.relations import (
    ACCEPTATIONS,
    ARGENT,
    CLES,
    EN_COURS,
    IMPUTATIONS,
    LEVEES,
    MESSAGERIE,
    PAIEMENTS,
    RATTACHEMENTS,
    SANS_ACCORD,
)
from projections.audit.vues import accuse_attendu

ANOMALIES: Final = "anomalies"
"""Le suiveur qui tient l'argent sans créance."""

PRIS: Final = "preleve_par_la_banque"
SANS: Final = "non_rattache"
"""Ce que les totaux comptent de l'argent de la banque : ce qu'elle a pris, et ce qu'aucune créance n'en a reçu."""

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
        self._conclu: Paiement.PaiementConclu | None = None
        self._regle: Paiement.PaiementRéglé | None = None
        self._version_vue = 0
        """Les derniers faits que la vue a pu appliquer, et sa version."""
        self._argent_vu = contexte.limite(ANOMALIES, flux)
        self._argent: dict[str, list[Any]] = {}
        """Ce que la vue doit montrer de l'argent sans créance, par anomalie."""
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
        # L'agrégat change sur place : ce qu'il était est retenu avant.
        demande = None if avant is None else avant.remboursement
        envoye = avant is not None and avant.peut_etre_envoye
        garde = 0 if avant is None else avant.pris - avant.recredite
        fin, apres = (None if avant is None else avant.fin), cast("Paiement", fait.mutate(avant))
        self._paiement = apres
        match fait:
            case Paiement.PaiementOuvert():
                self._ouvrir(fait, cause)
            case Paiement.PaiementConclu():
                self._conclure(fait, fin, cause)
                if fait.issue is Fin.ACCEPTE:
                    self._pris.append((PRIS, apres.montant, apres.marchand, enregistre_us))
            case Paiement.EncaissementNonImputé():
                self._encaisser(fait, cause, position, enregistre_us)
            case Paiement.AcceptationPrécisée():
                # Voir aussi `constats` : elle suit toujours une redite de la banque.
                if position <= self._argent_vu and fait.raison is not None:
                    self._preciser(fait)
            case Paiement.EncaissementImputé() | Paiement.EncaissementRendu():
                self._regler(fait, cause, position, enregistre_us)
            case Paiement.PaiementRéglé():
                if fin is not Fin.EN_VERIFICATION or apres.non_rattache or fait.montant != apres.rattache:
                    self._ecart(f"v{version} règle pour {fait.montant} centimes, {apres.rattache} sont rattachés")
            case Paiement.RemboursementDemandé():
                if demande is not None or fait.reste_avant != garde:
                    self._ecart(f"v{version} demande un remboursement que l'état ne permettait pas")
            case Paiement.RemboursementEnvoyé():
                if demande is None or demande.anomalie != fait.anomalie:
                    self._ecart(f"v{version} envoie à la banque un remboursement que rien n'a demandé")
            case Paiement.RemboursementFait() | Paiement.RemboursementRefusé():
                if demande is None or demande.anomalie != fait.anomalie:
                    self._ecart(f"v{version} conclut un remboursement que rien n'a demandé")
                if isinstance(fait, Paiement.RemboursementFait) and not envoye:
                    self._ecart(f"v{version} dit rendu ce qui n'a jamais été demandé à la banque")
                if isinstance(fait, Paiement.RemboursementFait) and self._contexte.premiere:
                    rendu = self._contexte.rendu(self._transaction)
                    rendu.par_carte += fait.montant
                    rendu.marchand, rendu.le = apres.marchand, us(fait.timestamp) or 0
            case _:
                assert_never(fait)
        if isinstance(fait, Paiement.PaiementOuvert | Paiement.PaiementConclu | Paiement.PaiementRéglé):
            if position <= self._vue:
                self._voir(fait, version)
            if position <= self._messagerie and isinstance(fait, Paiement.PaiementConclu):
                self._accuser(fait)

    def clore(self) -> None:
        """Le flux est lu en entier."""
        paiement = self._paiement
        if paiement is None:
            return
        if self._ouvert is not None and self._version_vue:
            self._montrer(self._ouvert)
        for anomalie, valeurs in self._argent.items():
            self._dits.dit(ARGENT, anomalie, tuple(valeurs))
        self._dits.clore()
        if not self._contexte.premiere:
            return
        rapport = self._contexte.rapport
        rapport.paiements += paiement.connu
        for nom, montant, marchand, enregistre_us in self._pris:
            rapport.compte.banque(nom, montant, paiement.caisse, marchand, enregistre_us)
        if paiement.fin is Fin.ACCEPTE:
            rapport.compte.chez(paiement.marchand, "accepte", paiement.montant)

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
            valeurs = (
                part, fait.canal.value, us(fait.expire_le), fait.assure, fait.caisse, cause, us(fait.timestamp),
            )  # fmt: skip
            self._dits.vu(IMPUTATIONS, (self._transaction, reference), valeurs)
        if cause.startswith(REQUETE):
            cle = cause.removeprefix(REQUETE)
            self._dits.dit(CLES, self._transaction, (fait.assure, cle, fait.montant, tuple(parts), us(fait.expire_le)))

    def _conclure(self, fait: Paiement.PaiementConclu, fin: Fin | None, cause: str) -> None:
        ouvert, v = self._ouvert, fait.originator_version
        if ouvert is None:
            self._ecart(f"v{v} conclut un paiement qui n'a jamais été ouvert")
            return
        if fin is Fin.ACCEPTE or (fin is Fin.EN_VERIFICATION and fait.issue is not Fin.ACCEPTE):
            self._ecart(f"v{v} conclut « {fait.issue} » après « {fin} »")
        match fait.issue:
            case Fin.ACCEPTE:
                self._accepter(ouvert, fait, cause)
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
                levee = (imputation.part, dite, cause, us(fait.timestamp))
                self._dits.vu(LEVEES, (self._transaction, imputation.reference), levee)

    def _accepter(self, ouvert: Paiement.PaiementOuvert, fait: Paiement.PaiementConclu, cause: str) -> None:
        accepte_le = us(fait.accepte_le)
        for imputation in ouvert.imputations:
            valeurs = (imputation.part, accepte_le, cause, us(fait.timestamp))
            self._dits.vu(ACCEPTATIONS, (self._transaction, imputation.reference), valeurs)
        self._dits.cause(
            cause,
            self._flux,
            (
                "accepte", fait.code, fait.autorisation, fait.carte_masquee, ouvert.montant, ouvert.marchand,
                accepte_le, fait.depart_presume, None,
            ),
        )  # fmt: skip
        self._retenu(cause, ouvert.montant)

    def _encaisser(self, fait: Paiement.EncaissementNonImputé, cause: str, position: int, enregistre_us: int) -> None:
        if fait.raison not in {Sort.NON_RAPPROCHEE, Sort.MONTANT_INCOHERENT}:
            self._ecart(f"v{fait.originator_version} n'impute pas, pour « {fait.raison} »")
        if not (cause in self._contexte.retenus and fait.raison is Sort.NON_RAPPROCHEE):
            # Le sort d'un message retenu ne dit pas si la banque y prenait de l'argent.
            valeurs = (fait.montant, fait.marchand, us(fait.accepte_le), fait.depart_presume)
            self._dits.cause(cause, self._flux, (fait.raison.value, None, fait.autorisation, None, *valeurs, None))
        if position <= self._argent_vu:
            ident = composer_id(Source.ARGENT, self._transaction, fait.originator_version)
            self._argent[ident] = [
                self._transaction, fait.raison.value, fait.marchand, fait.autorisation, fait.montant, fait.montant,
                us(fait.accepte_le), enregistre_us, cause,
            ]  # fmt: skip
        self._pris += [(nom, fait.montant, fait.marchand, enregistre_us) for nom in (PRIS, SANS)]
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

    def _voir(
        self, fait: Paiement.PaiementOuvert | Paiement.PaiementConclu | Paiement.PaiementRéglé, version: int
    ) -> None:
        self._version_vue = version
        match fait:
            case Paiement.PaiementConclu():
                self._conclu, self._regle = fait, None
            case Paiement.PaiementRéglé():
                self._regle = fait
            case Paiement.PaiementOuvert():
                pass
            case _:
                assert_never(fait)

    def _montrer(self, ouvert: Paiement.PaiementOuvert) -> None:
        conclu, regle = self._conclu, self._regle
        dernier = regle or conclu
        self._dits.dit(
            PAIEMENTS,
            self._transaction,
            (
                ouvert.assure,
                ouvert.caisse,
                ouvert.canal.value,
                ouvert.montant,
                dernier.issue.value if dernier else "en_cours",
                conclu.code if conclu else None,
                dernier.cause if dernier else None,
                us(ouvert.timestamp),
                us(ouvert.expire_le),
                us(dernier.timestamp) if dernier else None,
                us(dernier.accepte_le) if dernier else None,
                self._version_vue,
                us(regle.timestamp) if regle else None,
                regle.montant if regle else None,
            ),
        )
        if dernier is None:
            self._dits.dit(EN_COURS, self._transaction, (us(ouvert.timestamp),))
        elif dernier.issue in {Fin.ECHOUE, Fin.EXPIRE}:
            self._dits.dit(SANS_ACCORD, self._transaction, (us(dernier.timestamp),))

    # --- L'argent sans créance ---------------------------------------------------------------------------------------

    def _preciser(self, fait: Paiement.AcceptationPrécisée) -> None:
        for valeurs in self._argent.values():
            if valeurs[1:3] == [str(fait.raison), fait.marchand] and valeurs[4] == fait.montant and valeurs[3] is None:
                valeurs[3] = fait.autorisation

    def _user(self, fait: Paiement.EncaissementImputé | Paiement.EncaissementRendu) -> None:
        if fait.anomalie in self._argent:
            self._argent[fait.anomalie][5] -= fait.montant
        else:
            self._ecart(f"v{fait.originator_version} règle {fait.anomalie}, qui n'est le nom d'aucun argent")

    def _quitter(self, fait: Paiement.EncaissementImputé | Paiement.EncaissementRendu, enregistre_us: int) -> None:
        """De l'argent n'attend plus de créance : chez le marchand qui l'avait pris, ou celui du paiement."""
        if self._paiement is None:
            return
        chez = (self._paiement.marchand_de(fait.anomalie), enregistre_us)
        self._pris.append((SANS, -fait.montant, *chez))
        if isinstance(fait, Paiement.EncaissementRendu):
            repris = fait.voie is None
            self._pris.append((PRIS if repris else "rendu", -fait.montant if repris else fait.montant, *chez))

    def _regler(
        self,
        fait: Paiement.EncaissementImputé | Paiement.EncaissementRendu,
        cause: str,
        position: int,
        enregistre_us: int,
    ) -> None:
        """Deux personnes en ont rattaché ou rendu ; ou la banque l'a repris."""
        v, paiement = fait.originator_version, self._paiement
        if not fait.saisi_par or not fait.approuve_par or meme_personne(fait.saisi_par, fait.approuve_par):
            self._ecart(f"v{v} n'a pas été approuvé par une seconde personne")
        if fait.montant <= 0 or paiement is None or paiement.reste_de(fait.anomalie) < 0:
            self._ecart(f"v{v} règle {fait.montant} centimes de {fait.anomalie}, plus qu'il n'en restait")
        if position <= self._argent_vu:
            self._user(fait)
        self._contexte.exiger_signature(self._flux, fait, cause)
        self._quitter(fait, enregistre_us)
        match fait:
            case Paiement.EncaissementImputé():
                if sum(imputation.part for imputation in fait.imputations) != fait.montant:
                    self._ecart(f"v{v} impute d'autres parts que ses {fait.montant} centimes")
                for imputation in fait.imputations:
                    valeurs = (imputation.part, fait.anomalie, fait.saisi_par, fait.approuve_par, cause)
                    self._dits.vu(RATTACHEMENTS, (self._transaction, imputation.reference), valeurs)
                self._dits.regle(cause, Geste.RATTACHER.value, fait.montant)
            case Paiement.EncaissementRendu(voie=None):
                if self._contexte.premiere:
                    self._contexte.repris += fait.montant
                    self._contexte.rendu(self._transaction).repris += fait.montant
                self._dits.regle(cause, Geste.RENDRE.value, fait.montant)
            case Paiement.EncaissementRendu():
                self._dits.regle(cause, Geste.RENDRE.value, fait.montant)
            case _:
                assert_never(fait)
