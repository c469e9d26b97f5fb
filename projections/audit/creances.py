"""Suivre une créance fait par fait : ses propres règles, et ce que chaque fait dit d'un paiement ou d'un message.

Plus de 300 lignes : un cas par fait, et la décision refaite à côté.
"""

from collections.abc import Iterable
from typing import Final, assert_never, cast

from domain.creance import Créance, FaitDeCreance, PartAcceptee, est_de_creance
from domain.geste import Geste, Voie, meme_personne
from projections.audit.contexte import Contexte, Dits, Ligne
from projections.audit.rapprochement import Valeurs, us
from projections.audit.relations import (
    ACCEPTATIONS,
    DELAI,
    IMPUTATIONS,
    LEVEES,
    MESSAGES_DE_CAISSE,
    NON_AFFICHES,
    RATTACHEMENTS,
    RESTANT_DU,
    TROP_PERCUS,
)
from projections.comptes.totaux import MOUVEMENTS

_ENREGISTRE: Final = "enregistré"


def _de_la_caisse(fait: Créance.AvisRectifié | Créance.AvisAnnulé | Créance.EncaissementReçu) -> Valeurs:
    """Ce que le sort d'un message de la caisse garde aussi."""
    if isinstance(fait, Créance.EncaissementReçu):
        return fait.message_id, fait.montant, fait.moyen.value, fait.encaisse_le.isoformat()
    return fait.message_id, None, None, None


class SuiviDeCreance:
    """Une créance pendant sa lecture."""

    def __init__(self, contexte: Contexte, flux: str) -> None:
        """`flux` est le sien ; ses faits viennent par `prendre`, puis `clore`."""
        self._contexte = contexte
        self._flux = flux
        self._reference = Créance.reference_de(flux)
        self._dits = Dits(contexte)
        self._creance: Créance | None = None
        self._faits: list[FaitDeCreance] = []
        self._restant_du = contexte.limite(RESTANT_DU.nom, flux)
        self._delai = contexte.limite(DELAI.nom, flux)
        self._montree = False
        self._position = 0
        self._cause = ""
        self._constat_attendu = False
        self._parts: dict[str, list[int | None]] = {}
        """Par transaction acceptée, ce que la vue du délai doit dire : accepté le, affiché le, version."""
        self._mouvements: list[tuple[str, int, int]] = []

    def prendre(self, ligne: Ligne) -> None:
        """Le fait suivant. Lève ce que lèvent la lecture et l'agrégat : le flux ne se lit alors pas."""
        position, flux, version, topic, etat, cause, enregistre_us = ligne
        if not self._montree and position > self._restant_du:
            self._montrer()
        fait = self._contexte.mapper.lire(flux, version, topic, etat)
        if not est_de_creance(fait):
            raise ValueError("porte des faits d'un autre agrégat")
        if self._constat_attendu and not isinstance(fait, Créance.TropPerçuConstaté):
            self._ecart(f"le trop-perçu a changé avant la version {version}, et rien ne le constate")
        if isinstance(fait, Créance.TropPerçuConstaté) and self._faits and fait.timestamp != self._faits[-1].timestamp:
            self._ecart(f"v{version} constate un trop-perçu à une autre heure que ce qui l'a fait changer")
        self._constat_attendu = False
        avant = self._creance
        if avant is not None:
            self._verifier(avant, fait, cause)
        apres = cast("Créance", fait.mutate(avant))
        if avant is None and apres.avis.reference != self._reference:
            self._ecart(f"l'avis nomme {apres.avis.reference}")
        self._creance = apres
        self._dire(apres, fait, position, cause)
        self._constat_attendu = apres.trop_percu != apres.trop_percu_constate
        self._faits.append(fait)
        self._position, self._cause = position, cause
        self._compter(fait, enregistre_us)

    def clore(self) -> None:
        """Le flux est lu en entier."""
        creance = self._creance
        if creance is None:
            return
        if not self._montree:
            self._montrer()
        if self._constat_attendu:
            self._ecart(f"le trop-perçu vaut {creance.trop_percu}, le dernier constat {creance.trop_percu_constate}")
        if creance.solde != (formule := solde_par_la_formule(self._faits)):
            self._ecart(f"solde {creance.solde} rejoué, {formule} par la formule")
        for transaction, (accepte_le, affiche_le, version) in self._parts.items():
            part = creance.acceptees.get(transaction)  # type: ignore[call-overload]
            affichee = isinstance(part, PartAcceptee) and part.affichee
            self._dits.dit(DELAI, (transaction, self._reference), (accepte_le, affiche_le, version, affichee))
            if affiche_le is None:
                self._dits.dit(NON_AFFICHES, (transaction, self._reference), (accepte_le,))
        self._dits.clore()
        if self._contexte.premiere:
            rapport = self._contexte.rapport
            rapport.creances += 1
            for nom, montant, enregistre_us in self._mouvements:
                rapport.compte.mouvement(nom, montant, creance.avis.caisse, enregistre_us)
            rapport.compte.soldes(creance.avis.caisse, creance.solde, creance.reserve)

    def abandonner(self, position: int) -> None:
        """Le fait à cette position ne se lit pas : seule une vue arrêtée avant lui peut encore être comparée."""
        ecarte = self._contexte.ecartes.get((RESTANT_DU.nom, self._flux))
        if ecarte is not None and ecarte <= position:
            if not self._montree:
                self._montrer()
            self._contexte.prefixes.add((RESTANT_DU.nom, self._flux))
            self._dits.clore(seulement=RESTANT_DU.nom)

    # --- Ce que chaque fait doit respecter ---------------------------------------------------------------------------

    def _ecart(self, quoi: str) -> None:
        self._contexte.ecart(f"{self._flux} : {quoi}")

    def _verifier(self, avant: Créance, fait: FaitDeCreance, cause: str) -> None:
        """Ce que le domaine aurait refusé, jugé sur l'état d'avant."""
        v = fait.originator_version
        match fait:
            case Créance.PaiementInitié():
                if fait.transaction in avant.en_cours or fait.transaction in avant.acceptees:
                    self._ecart(f"v{v} réserve de nouveau pour {fait.transaction}")
                elif not 0 < fait.part <= avant.disponible:
                    self._ecart(f"v{v} réserve {fait.part} centimes, {avant.disponible} étaient disponibles")
            case Créance.PaiementAccepté() | Créance.PaiementÉchoué():
                reservation = avant.en_cours.get(fait.transaction)
                reserve = reservation.part if reservation else 0
                if fait.part_liberee != reserve:
                    self._ecart(f"v{v} libère {fait.part_liberee} centimes de {fait.transaction}, {reserve} réservés")
                if fait.transaction in avant.acceptees:
                    self._ecart(f"v{v} : {fait.transaction} était déjà accepté")
            case Créance.PaiementAffiché():
                if fait.affiche_le != fait.timestamp:
                    self._ecart(f"v{v} affiche {fait.transaction} à une autre heure que la sienne")
                part = avant.acceptees.get(fait.transaction)
                if part is None or part.affichee:
                    self._ecart(f"v{v} affiche {fait.transaction}, {'déjà affiché' if part else 'jamais accepté'}")
            case Créance.PaiementContrepassé(anomalie=str(anomalie)):
                rattachee = avant.rattachees.get(anomalie)
                if rattachee is None or rattachee.part - rattachee.contrepassee < fait.part:
                    self._ecart(f"v{v} contre-passe {fait.part} centimes de {anomalie}, qui ne les porte pas")
                self._deux_personnes(v, fait.saisi_par, fait.approuve_par)
            case Créance.PaiementContrepassé():
                part = avant.acceptees.get(fait.transaction)
                if part is None or part.contrepassee or part.part != fait.part:
                    self._ecart(f"v{v} contre-passe {fait.part} centimes de {fait.transaction}, qui ne les porte pas")
                self._deux_personnes(v, fait.saisi_par, fait.approuve_par)
            case Créance.EncaissementRattaché():
                if not 0 < fait.part <= avant.disponible:
                    self._ecart(f"v{v} rattache {fait.part} centimes, {avant.disponible} pouvaient l'être")
                self._deux_personnes(v, fait.saisi_par, fait.approuve_par)
            case Créance.TropPerçuConstaté():
                if fait.total != avant.trop_percu or fait.total == avant.trop_percu_constate or cause != self._cause:
                    self._ecart(f"v{v} constate un trop-perçu de {fait.total}, il était de {avant.trop_percu}")
            case Créance.TropPerçuRemboursé():
                # Ce que la banque a rendu est un fait, même si le trop-perçu a baissé entre-temps.
                if fait.voie is not Voie.CARTE and not 0 < fait.montant <= avant.trop_percu:
                    self._ecart(f"v{v} rembourse {fait.montant} centimes d'un trop-perçu de {avant.trop_percu}")
                self._une_fois(avant, v, fait.message_id)
                self._deux_personnes(v, fait.saisi_par, fait.approuve_par)
            case Créance.EncaissementReçu():
                self._une_fois(avant, v, fait.message_id)
            case Créance.AvisRectifié() | Créance.AvisAnnulé():
                if fait.montant_precedent != avant.montant or avant.annulee:
                    self._ecart(f"v{v} part d'un montant de {fait.montant_precedent}, il était de {avant.montant}")
                self._une_fois(avant, v, fait.message_id)
            case Créance.AvisEmis():
                pass  # L'agrégat refuse un second avis.
            case _:
                assert_never(fait)

    def _une_fois(self, avant: Créance, version: int, message_id: str) -> None:
        if message_id in avant.messages:
            self._ecart(f"v{version} enregistre une seconde fois le message {message_id}")

    def _deux_personnes(self, version: int, saisi_par: str, approuve_par: str) -> None:
        if not saisi_par or not approuve_par or meme_personne(saisi_par, approuve_par):
            self._ecart(f"v{version} n'a pas été approuvé par une seconde personne")

    # --- Ce que chaque fait dit --------------------------------------------------------------------------------------

    def _dire(self, creance: Créance, fait: FaitDeCreance, position: int, cause: str) -> None:
        dit = self._dits.dit
        match fait:
            case Créance.AvisEmis() | Créance.AvisRectifié() | Créance.AvisAnnulé() | Créance.EncaissementReçu():
                genre = MESSAGES_DE_CAISSE[fait.TOPIC]
                self._dits.cause(cause, self._flux, (genre, None, None, None, None, None, None, None, _ENREGISTRE))
                if not isinstance(fait, Créance.AvisEmis):
                    self._dits.caisse(cause, self._flux, _de_la_caisse(fait))
            case Créance.PaiementInitié():
                valeurs = (fait.part, fait.canal.value, us(fait.expire_le), creance.avis.assure, creance.avis.caisse)
                dit(IMPUTATIONS, (fait.transaction, self._reference), (*valeurs, cause, us(fait.timestamp)))
            case Créance.PaiementAccepté():
                accepte_le = us(fait.accepte_le)
                heure = us(fait.timestamp)
                dit(ACCEPTATIONS, (fait.transaction, self._reference), (fait.part, accepte_le, cause, heure))
                if position <= self._delai:
                    self._parts[fait.transaction] = [accepte_le, None, fait.originator_version]
            case Créance.PaiementÉchoué():
                valeurs_levees = (fait.part_liberee, fait.cause, cause, us(fait.timestamp))
                dit(LEVEES, (fait.transaction, self._reference), valeurs_levees)
            case Créance.PaiementAffiché():
                if position <= self._delai and fait.transaction in self._parts:
                    self._parts[fait.transaction][1] = us(fait.affiche_le)
            case Créance.EncaissementRattaché():
                self._contexte.exiger_signature(self._flux, fait, cause)
                valeurs_dites = (fait.part, fait.anomalie, fait.saisi_par, fait.approuve_par, cause)
                dit(RATTACHEMENTS, (fait.transaction, self._reference), valeurs_dites)
            case Créance.TropPerçuRemboursé():
                self._contexte.exiger_signature(self._flux, fait, cause, message_id=fait.message_id)
                self._dits.regle(cause, Geste.REMBOURSER.value, fait.montant)
            case Créance.PaiementContrepassé():
                self._contexte.exiger_signature(self._flux, fait, cause, motif=fait.motif)
                if self._contexte.premiere:
                    self._contexte.rendu(fait.transaction).repris += fait.part
            case Créance.TropPerçuConstaté():
                pass  # Rien d'autre ne le redit.
            case _:
                assert_never(fait)

    def _montrer(self) -> None:
        """Ce que la vue du restant dû doit montrer : l'état au dernier fait qu'elle a pu appliquer."""
        self._montree = True
        creance = self._creance
        if creance is None:
            return
        avis = creance.avis
        self._dits.dit(
            RESTANT_DU,
            self._reference,
            (
                avis.assure,
                avis.caisse,
                avis.nature,
                avis.date_emission.toordinal(),
                creance.payable_en_ligne,
                creance.annulee,
                creance.montant,
                creance.solde,
                creance.reserve,
                creance.version,
                self._position,
            ),
        )
        if creance.solde < 0:
            self._dits.dit(TROP_PERCUS, self._reference, ())

    def _compter(self, fait: FaitDeCreance, enregistre_us: int) -> None:
        if (dit := mouvement(fait)) is not None:
            self._mouvements.append((*dit, enregistre_us))


def mouvement(fait: FaitDeCreance) -> tuple[str, int] | None:
    """Le mouvement de solde que dit un fait, et son montant (centimes) : ni l'agrégat, ni ce que les vues en décident.

    None s'il ne change pas ce qui est dû.
    """
    match fait:
        case Créance.AvisEmis():
            return "emis", fait.montant_initial
        case Créance.AvisRectifié():
            return "rectifie", fait.montant_initial - fait.montant_precedent
        case Créance.AvisAnnulé():
            return "annule", fait.montant_precedent
        case Créance.PaiementAccepté():
            return "accepte", fait.part
        case Créance.EncaissementRattaché():
            return "rattache", fait.part
        case Créance.EncaissementReçu():
            return "autres_encaissements", fait.montant
        case Créance.PaiementContrepassé():
            return "contrepasse", fait.part
        case Créance.TropPerçuRemboursé():
            return "rembourse", fait.montant
        case (
            Créance.PaiementInitié()
            | Créance.PaiementÉchoué()
            | Créance.PaiementAffiché()
            | Créance.TropPerçuConstaté()
        ):
            return None
        case _:
            assert_never(fait)


def solde_par_la_formule(faits: Iterable[FaitDeCreance]) -> int:
    """Le solde selon la règle, en centimes : chaque mouvement dans son sens.

    Ce qui a été émis, rectifié et annulé − Σ parts acceptées − Σ rattachements − Σ encaissements + Σ contre-passations
    + Σ remboursements.
    """
    return sum(MOUVEMENTS[dit[0]] * dit[1] for dit in map(mouvement, faits) if dit is not None)
