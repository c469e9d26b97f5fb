"""Les rangées écrites d'avance de l'étape 2 : rien de ce qu'une créance porte n'y devient du balisage."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from api.assure.lecture import Raison
from api.assure.rangees import LigneACocher, ecrire
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance
from projections.vues.restant_du import LigneCreance

TEXTES = st.text(max_size=20) | st.sampled_from(["<b>", '"', "a&b", "38117012000000001F"])


@given(
    reference=TEXTES, caisse=TEXTES, raison=TEXTES, solde=st.integers(-10_000, 10_000), en_cours=st.integers(0, 5000)
)
def test_tout_texte_d_une_rangee_est_echappe(
    reference: str, caisse: str, raison: str, solde: int, en_cours: int
) -> None:
    creance = LigneCreance(
        ReferenceCreance(reference),
        Pseudonyme("a-1"),
        CodeCaisse(caisse),
        "PF/FR",
        date(2026, 5, 12),
        payable_en_ligne=True,
        annulee=False,
        montant_initial=10_000,
        solde=solde,
        en_cours=en_cours,
        version=1,
        position=1,
    )
    motif = Raison("motif", raison) if raison else None
    ecrite = ecrire(
        [LigneACocher(creance, motif, cochee=False, rang=7, invite=True)], plusieurs_caisses=True, preuves=True
    )
    autre = creance._replace(reference=ReferenceCreance("R"), caisse=CodeCaisse("C"))
    temoin = LigneACocher(autre, motif, cochee=False, rang=7, invite=True)
    nue = ecrire([temoin._replace(raison=motif and Raison("motif", "P"))], plusieurs_caisses=True, preuves=True)
    assert [ecrite.count(signe) for signe in "<>"] == [nue.count(signe) for signe in "<>"]
    assert f'value="{escape(reference)}"' in ecrite
    assert f'data-caisse="{escape(caisse)}"' in ecrite
    assert (" disabled" in ecrite) is bool(raison)
    restant = max(solde, 0)
    assert f'data-rang="7" data-restant="{restant}" data-disponible="{max(restant - en_cours, 0)}"' in ecrite
