"""Les recettes d'ARCHITECTURE.md, jouées chacune sur une copie jetable du dépôt.

`python -m tests.maison.recettes` : à chaque étape mypy, ou un test, nomme ce qui manque encore ; à la fin tout passe,
et le compte des fichiers du produit touchés est celui qu'annonce la page. Sort par 1 si une étape dit autre chose.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import Final

from tests.maison.copie import Copie, RecetteFausse, exiger, jouer
from tests.maison.recettes_minces import un_role, un_topic, une_banque, une_page

MIGRATION: Final = "service/schema/9000_avis_par_caisse.sql"

_CLASSE: Final = '''
    class AvisContesté(Event):
        """L'assuré conteste l'avis."""

        TOPIC: ClassVar[str] = "creance.AvisConteste"
        message_id: MessageId
        montant: Centimes

        def apply(self, creance: "Créance") -> None:
            creance.messages[self.message_id] = ("contestation", self.montant)
            creance.solde -= self.montant
'''
_VUE: Final = '''"""La vue `avis_par_caisse` : combien d'avis chaque caisse a émis."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection

from domain.creance import Créance
from engine.recorder import RecordedEvent
from projections.effets import TOPICS_DES_AVIS

_AJOUTER: Final = """
INSERT INTO vues.avis_par_caisse (caisse, combien) SELECT * FROM unnest(%s::text[], %s::int8[])
ON CONFLICT (caisse) DO UPDATE SET combien = avis_par_caisse.combien + excluded.combien
"""


class AvisParCaisse:
    """La vue, telle qu'un suiveur la mène."""

    nom: Final = "avis_par_caisse"
    topics: Final = TOPICS_DES_AVIS

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Une instruction par lot."""
        comptes = Counter(str(lu.event.caisse) for lu in faits if isinstance(lu.event, Créance.AvisEmis))
        conn.execute(_AJOUTER, (list(comptes), list(comptes.values())))
'''
_TABLE: Final = """
CREATE TABLE vues.avis_par_caisse (caisse text PRIMARY KEY, combien bigint NOT NULL);
COMMENT ON TABLE vues.avis_par_caisse IS 'Combien d''avis chaque caisse a émis.';
COMMENT ON COLUMN vues.avis_par_caisse.caisse IS 'Le code de la caisse.';
COMMENT ON COLUMN vues.avis_par_caisse.combien IS 'Ses avis.';
ALTER TABLE vues.avis_par_caisse OWNER TO creances_service;
"""


def un_evenement(copie: Copie) -> None:
    """`AvisContesté`, qui retire du solde ce que l'assuré conteste : les vues, l'audit et les clôtures le comptent."""
    copie.changer(
        "domain/creance.py",
        (r"\n    def __init__\(", _CLASSE + "\n    def __init__("),
        (r"    \| Créance\.AvisAnnulé\n", "    | Créance.AvisAnnulé\n    | Créance.AvisContesté\n"),
    )
    lecteurs = {"projections/effets.py", "projections/audit/creances.py"}
    exiger(copie.mypy(), {"domain/creance.py", *lecteurs}, "l'union connaît l'événement ; mypy nomme")
    copie.changer(
        "domain/creance.py",
        (r"(?=    \| tuple\[Literal\[.annulation.\], str\]\n)", '    | tuple[Literal["contestation"], Centimes]\n'),
        (
            r'(?=        case \("annulation", _\):\n)',
            '        case ("contestation", montant):\n            return f"contestation de {euros(montant)}"\n',
        ),
    )
    exiger(copie.mypy(), lecteurs, "ce que son message a dit est connu ; mypy nomme")
    copie.changer(
        "projections/effets.py",
        *(_avant(suite, quoi, retrait=8) for suite, quoi in LECTEURS),
        (r"            Créance\.AvisAnnulé,\n", "            Créance.AvisAnnulé,\n            Créance.AvisContesté,\n"),
        (
            r"    if issubclass\(classe, Créance\.AvisRectifié\):",
            _ECRITURE + r"    if issubclass(classe, Créance.AvisRectifié):",
        ),
    )
    exiger(copie.mypy(), lecteurs - {"projections/effets.py"}, "les effets sont décidés ; mypy nomme")
    copie.changer(
        "projections/audit/creances.py", *(_avant(suite, quoi, retrait=retrait) for suite, quoi, retrait in AUDIT)
    )
    exiger(copie.mypy(), set(), "les règles, les comptes et la formule de l'audit aussi ; mypy nomme")
    exiger(copie.tests("tests/engine/test_mapper.py"), False, "sans exemple au corpus, les tests passent")  # noqa: FBT003
    exemple = {
        "flux": "creance-3811701200010075F",
        "version": 20,
        "topic": "creance.AvisConteste",
        "etat": {"timestamp": "2026-06-01T10:00:00Z", "message_id": "m9", "montant": 4000},
    }
    copie.creer("tests/engine/corpus/creance.AvisConteste.v1.json", json.dumps(exemple), produit=False)
    exiger(copie.creances("schemas"), 0, "`creances schemas` sort par")
    verts = ("tests/engine/test_mapper.py", "tests/test_tous_les_faits.py", "tests/publication/test_schemas.py")
    exiger(copie.tests(*verts), True, "avec l'exemple et le schéma publié, les tests passent")  # noqa: FBT003


LECTEURS: Final = (
    (r"\n\nclass Etat", "return Effet(solde=-fait.montant)"),
    (r"\n\n_PAR_MOYEN", 'return NouvelleLigne("Avis contesté", fait.timestamp)'),
    (r"\n\nVERIFICATION", 'return "Vous avez contesté cet avis."'),
)
_ECRITURE: Final = """\
    if issubclass(classe, Créance.AvisContesté):
        return Ecriture("annule", "montant")
"""
AUDIT: Final = (
    (r"\n    def _une_fois", "pass", 12),
    (r"\n    def _montrer", "pass", 12),
    (r"\n\ndef solde_par_la_formule", 'return "annule", fait.montant', 8),
)
"""Ce qui suit chaque `match` des lecteurs, de l'audit, et ce qu'il fait de ce fait."""


def _avant(suite: str, quoi: str, *, retrait: int) -> tuple[str, str]:
    """Le cas de plus, juste avant l'`assert_never` que suit ce texte."""
    marge = " " * retrait
    fin = f"{marge}case _:\n{marge}    assert_never(fait)\n"
    return rf"{re.escape(fin)}(?={suite})", f"{marge}case Créance.AvisContesté():\n{marge}    {quoi}\n{fin}"


_CLASSE_DE_PAIEMENT: Final = '''
    class RappelEnvoyé(Event):
        """La personne a été invitée à finir son paiement."""

        TOPIC: ClassVar[str] = "paiement.RappelEnvoye"

        def apply(self, paiement: "Paiement") -> None:
            """Rien n'en change."""
'''


def un_evenement_de_paiement(copie: Copie) -> None:
    """`RappelEnvoyé`, que le support lit et que l'audit connaît."""
    copie.changer(
        "domain/paiement.py",
        (r"\n    def __init__\(", _CLASSE_DE_PAIEMENT + "\n    def __init__("),
        (r"    \| Paiement\.PaiementRéglé\n", "    | Paiement.PaiementRéglé\n    | Paiement.RappelEnvoyé\n"),
    )
    lecteurs = {"projections/effets.py", "projections/audit/paiements.py"}
    exiger(copie.mypy(), lecteurs, "l'union connaît l'événement ; mypy nomme")
    copie.changer(
        "projections/effets.py",
        (
            r"        case Paiement\.RemboursementEnvoyé\(\):\n",
            (
                "        case Paiement.RappelEnvoyé():\n"
                '            return "Un rappel est parti."\n        case Paiement.RemboursementEnvoyé():\n'
            ),
        ),
        (
            r"\n            \| Paiement\.RemboursementEnvoyé\(\)",
            "\n            | Paiement.RappelEnvoyé()\n            | Paiement.RemboursementEnvoyé()",
        ),
        (r"_REGLEMENTS: Final = \(\n", "_REGLEMENTS: Final = (\n    Paiement.RappelEnvoyé,\n"),
        (
            r"\n            Paiement\.RemboursementEnvoyé,",
            "\n            Paiement.RappelEnvoyé,\n            Paiement.RemboursementEnvoyé,",
        ),
    )
    exiger(copie.mypy(), lecteurs - {"projections/effets.py"}, "les lecteurs l'ont décidé ; mypy nomme")
    copie.changer(
        "projections/audit/paiements.py",
        (
            r"            case Paiement\.RemboursementEnvoyé\(\):\n",
            (
                "            case Paiement.RappelEnvoyé():\n"
                "                pass\n            case Paiement.RemboursementEnvoyé():\n"
            ),
        ),
    )
    exiger(copie.mypy(), set(), "l'audit aussi ; mypy nomme")


def une_vue(copie: Copie) -> None:
    """`avis_par_caisse`, qui lit un seul événement."""
    copie.creer("projections/vues/avis_par_caisse.py", _VUE)
    exiger(copie.mypy(), {"projections/vues/avis_par_caisse.py"}, "la vue est écrite ; mypy nomme")
    copie.changer(
        "projections/effets.py",
        (r"\nTOPICS_DU_DELAI", "\nTOPICS_DES_AVIS: Final = frozenset({Créance.AvisEmis.TOPIC})\n\nTOPICS_DU_DELAI"),
    )
    exiger(copie.mypy(), set(), "ce qu'elle lit est dit ; mypy nomme")
    copie.changer(
        "projections/vues/__init__.py",
        (
            r"\nfrom projections\.vues\.delai_affichage",
            "\nfrom projections.vues.avis_par_caisse import AvisParCaisse\nfrom projections.vues.delai_affichage",
        ),
        (
            r"    for vue in \(\n",
            "    for vue in (\n        VueSuivie(AvisParCaisse.nom, lambda _: AvisParCaisse(), (_TABLE_DES_AVIS,)),\n",
        ),
        (
            r"\nVUES: Final",
            '\n_TABLE_DES_AVIS: Final = Rows("avis_par_caisse", ("caisse",), "caisse", "")\n\nVUES: Final',
        ),
    )
    exiger(copie.mypy(), set(), "elle est au registre ; mypy nomme")
    exiger(copie.tests("tests/test_tous_les_faits.py"), False, "sans sa table, les tests passent")  # noqa: FBT003
    copie.creer(MIGRATION, _TABLE.replace("COMMENT ON COLUMN", "--"), produit=False)
    exiger(copie.tests("tests/test_tous_les_faits.py"), True, "avec elle, chaque fait la traverse ; les tests passent")  # noqa: FBT003
    muette = ("tests/maison/test_tables.py", "-k", "son_commentaire")
    exiger(copie.tests(*muette), False, "tant que ses colonnes ne disent rien, ce test passe")  # noqa: FBT003
    copie.creer(MIGRATION, _TABLE, produit=False)
    exiger(copie.tests(*muette), True, "ses colonnes commentées, il passe")  # noqa: FBT003


RECETTES: Final[Mapping[Callable[[Copie], None], int]] = {
    un_evenement: 3,
    un_evenement_de_paiement: 3,
    une_vue: 3,
    un_topic: 5,
    une_page: 3,
    un_role: 2,
    une_banque: 2,
}
"""Chacune, et les fichiers du produit qu'elle touche au plus : ce que la page annonce."""


def main() -> int:
    """Joue celles que l'on nomme, ou toutes ; le code de sortie."""
    try:
        for recette, fichiers_max in RECETTES.items():
            if recette.__name__ in (sys.argv[1:] or [recette.__name__]):
                jouer(recette, fichiers_max)
    except RecetteFausse as faute:
        print(faute, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
