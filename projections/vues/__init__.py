"""Les vues : un module par vue, seul à écrire le SQL de sa table ; leur liste est ici, et nulle part ailleurs."""

from collections.abc import Callable
from typing import Final, NamedTuple

from domain.anomalie import Anomalie
from domain.creance import Créance
from domain.messagerie import Messagerie
from domain.paiement import Paiement
from engine.follower import View
from engine.recorder import Recorder
from engine.shadow import Rows
from projections.vues import durees
from projections.vues.anomalies import Anomalies
from projections.vues.delai_affichage import DelaiAffichage
from projections.vues.messagerie import MessagerieDesAssures
from projections.vues.paiements import Paiements
from projections.vues.restant_du import RestantDu


class VueSuivie(NamedTuple):
    """Une vue, ses tables, et comment un suiveur la mène."""

    nom: str
    construire: Callable[[Recorder], View]
    lignes: tuple[Rows, ...]
    """Ses tables, et de quels flux viennent leurs lignes."""
    derriere: str | None = None
    """Le suiveur dont elle ne dépasse jamais la position validée."""
    sans_ecrire: Callable[[Recorder], View] | None = None
    """La même, qui n'écrit que ses tables, si celle que l'on mène écrit aussi au journal."""
    d_un_flux: bool = False
    """Chaque ligne ne suit que des faits de son flux, ni d'autres lignes ni de l'heure : les mêmes la redonnent."""
    comptes: tuple[Rows, str] | None = None
    """Des comptes de ses lignes, et la requête qui rend où ils n'en disent pas le compte : clé, gardé, compté."""

    @property
    def par_flux(self) -> tuple[Rows, ...]:
        """Celles de ses tables dont chaque ligne vient d'un flux : elles se comparent au journal flux par flux."""
        return tuple(lignes for lignes in self.lignes if lignes.prefix)

    @property
    def tours(self) -> tuple[Rows, ...]:
        """La première des tables dont les lignes viennent des mêmes flux : elles se comparent ensemble."""
        return tuple({lignes.prefix: lignes for lignes in reversed(self.par_flux)}.values())[::-1]

    def avec(self, lignes: Rows) -> tuple[Rows, ...]:
        """Cette table, et celles qui se comparent avec elle."""
        return tuple(autres for autres in self.par_flux if autres.prefix == lignes.prefix)

    def rejouer(self, recorder: Recorder) -> View:
        """La vue telle qu'une reconstruction ou une comparaison la mène : elle n'écrit rien au journal."""
        return (self.sans_ecrire or self.construire)(recorder)


_CREANCE: Final = Créance.flux("")
_PAIEMENT: Final = Paiement.flux("")
_DUREES: Final = Rows("durees_d_affichage", ("tranche_ms",), "tranche_ms", "", list_=True)

VUES: Final = {
    vue.nom: vue
    for vue in (
        VueSuivie(
            RestantDu.nom,
            lambda _: RestantDu(),
            (
                Rows("restant_du", ("reference",), "reference", _CREANCE),
                Rows("trop_percus", ("reference",), "reference", _CREANCE, list_=True),
            ),
            d_un_flux=True,
        ),
        VueSuivie(
            Paiements.nom,
            lambda _: Paiements(),
            (
                Rows("paiements", ("transaction",), "transaction", _PAIEMENT),
                Rows("paiements_en_cours", ("transaction",), "transaction", _PAIEMENT, list_=True),
                Rows("paiements_sans_accord", ("transaction",), "transaction", _PAIEMENT, list_=True),
            ),
            d_un_flux=True,
        ),
        VueSuivie(
            DelaiAffichage.nom,
            DelaiAffichage,
            (
                Rows(
                    "delai_affichage",
                    ("transaction", "reference"),
                    "reference",
                    _CREANCE,
                    # Ce qu'il reste à essayer : un aide-mémoire de qui la mène, que le journal ne dit pas.
                    apart=frozenset({"montree"}),
                ),
                Rows("affichages_en_attente", ("transaction", "reference"), "reference", _CREANCE, list_=True),
                _DUREES,
            ),
            derriere=RestantDu.nom,
            sans_ecrire=lambda recorder: DelaiAffichage(recorder, constater=False),
            d_un_flux=True,
            comptes=(_DUREES, durees.ECARTS),
        ),
        VueSuivie(
            MessagerieDesAssures.nom,
            lambda _: MessagerieDesAssures(),
            (
                Rows(
                    "messagerie",
                    ("transaction",),
                    "transaction",
                    _PAIEMENT,
                    also=("assure", Messagerie.flux("")),
                    # Un message échu peut être encore là, ou non.
                    only="r.echeance > (clock_timestamp() AT TIME ZONE 'Europe/Paris')::date",
                ),
            ),
        ),
        VueSuivie(
            Anomalies.nom,
            lambda _: Anomalies(),
            (
                Rows("argent", ("anomalie",), "transaction", _PAIEMENT),
                Rows("reglements", ("anomalie",), "anomalie", Anomalie.flux("")),
            ),
        ),
    )
}
"""Toutes, par nom, dans l'ordre où elles sont menées."""
