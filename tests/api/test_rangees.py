"""Les rangées écrites d'avance de l'étape 2 : rien de ce qu'une créance porte n'y devient du balisage."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from api.assure.rangees import rangee
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
    ecrite = rangee(creance, 0, raison, cochee=False)
    for texte in (un for un in ecrite if isinstance(un, str)):
        assert not set(texte) & set("<>\"'"), texte
    assert ecrite.reference == escape(reference)
    assert ecrite.caisse == escape(caisse)
    assert (ecrite.raison == "") is (raison == "")
    assert (ecrite.restant, ecrite.disponible) == (max(solde, 0), max(max(solde, 0) - en_cours, 0))
