"""Deux recettes d'ARCHITECTURE.md, « un événement » et « une vue », jouées sur une copie jetable du dépôt.

`python -m tests.maison.recettes` : à chaque étape mypy, ou un test, nomme ce qui manque encore ; à la fin tout passe,
et le compte des fichiers du produit touchés est celui qu'annonce la page. Sort par 1 si une étape dit autre chose.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.outils import RACINE

FICHIERS_MAX: Final = 3
MIGRATION: Final = "service/schema/9000_avis_par_caisse.sql"

_CLASSE: Final = '''
    class AvisContesté(Event):
        """L'assuré conteste l'avis."""

        TOPIC: ClassVar[str] = "creance.AvisConteste"
        message_id: MessageId

        def apply(self, creance: "Créance") -> None:
            creance.messages[self.message_id] = ("contestation",)
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


class RecetteFausse(Exception):
    """Une étape n'a pas dit ce que la page annonce."""


@dataclass
class Copie:
    """Une copie du dépôt, et les fichiers du produit qui y ont été touchés."""

    dossier: Path
    touches: set[str] = field(default_factory=set)

    def changer(self, nom: str, *paires: tuple[str, str], produit: bool = True) -> None:
        """Remplace chaque motif, la première fois qu'il vient."""
        fichier = self.dossier / nom
        texte = fichier.read_text("utf-8")
        for avant, apres in paires:
            if not re.search(avant, texte):
                raise RecetteFausse(f"{nom} : rien ne ressemble à {avant!r}")
            texte = re.sub(avant, apres.replace("\\", r"\\"), texte, count=1)
        fichier.write_text(texte, "utf-8")
        if produit:
            self.touches.add(nom)

    def creer(self, nom: str, texte: str, *, produit: bool = True) -> None:
        """Écrit un fichier nouveau."""
        (self.dossier / nom).write_text(texte, "utf-8")
        if produit:
            self.touches.add(nom)

    def lancer(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Un module de Python, dans la copie."""
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.dossier, capture_output=True, text=True, check=False
        )

    def creances(self, *arguments: str) -> int:
        """Notre ligne de commande, telle que la copie la contient ; son code de sortie."""
        code = "import sys; from service.cli import main; sys.argv = ['creances', *sys.argv[1:]]; main()"
        return subprocess.run([sys.executable, "-c", code, *arguments], cwd=self.dossier, check=False).returncode

    def mypy(self) -> set[str]:
        """Les fichiers dont mypy se plaint."""
        sortie = self.lancer("mypy").stdout
        return {ligne.partition(":")[0] for ligne in sortie.splitlines() if ": error:" in ligne}

    def tests(self, *quoi: str) -> bool:
        """Dit si ces tests passent."""
        return self.lancer("pytest", "-q", "-x", "-p", "no:cacheprovider", *quoi).returncode == 0


def exiger(dit: object, attendu: object, quoi: str) -> None:
    """Écrit l'étape ; lève RecetteFausse si elle dit autre chose."""
    print(f"  {quoi} : {dit}", flush=True)
    if dit != attendu:
        raise RecetteFausse(f"{quoi} : {dit} au lieu de {attendu}")


def un_evenement(copie: Copie) -> None:
    """`AvisContesté`, qui ne bouge aucun montant."""
    copie.changer(
        "domain/creance.py",
        (r"\n    def __init__\(", _CLASSE + "\n    def __init__("),
        (r"    \| Créance\.AvisAnnulé\n", "    | Créance.AvisAnnulé\n    | Créance.AvisContesté\n"),
    )
    lecteurs = {"projections/effets.py", "projections/audit/creances.py"}
    exiger(copie.mypy(), lecteurs, "l'union connaît l'événement ; mypy nomme")
    copie.changer(
        "projections/effets.py",
        (
            r"case Créance\.PaiementAffiché\(\) \| Créance\.TropPerçuConstaté\(\)",
            "case Créance.PaiementAffiché() | Créance.TropPerçuConstaté() | Créance.AvisContesté()",
        ),
        (r"case Créance\.TropPerçuConstaté\(\):", "case Créance.TropPerçuConstaté() | Créance.AvisContesté():"),
        _avant(r"\n\n# --- Les faits", 'return "Vous avez contesté cet avis."', retrait=8),
        (r"            Créance\.AvisAnnulé,\n", "            Créance.AvisAnnulé,\n            Créance.AvisContesté,\n"),
    )
    exiger(copie.mypy(), lecteurs - {"projections/effets.py"}, "les effets sont décidés ; mypy nomme")
    copie.changer("projections/audit/creances.py", *(_avant(suite, quoi) for suite, quoi in AUDIT))
    exiger(copie.mypy(), set(), "les règles, les comptes et la formule de l'audit aussi ; mypy nomme")
    exiger(copie.tests("tests/engine/test_mapper.py"), False, "sans exemple au corpus, les tests passent")  # noqa: FBT003
    exemple = {
        "flux": "creance-3811701200010075F",
        "version": 20,
        "topic": "creance.AvisConteste",
        "etat": {"timestamp": "2026-06-01T10:00:00Z", "message_id": "m9"},
    }
    copie.creer("tests/engine/corpus/creance.AvisConteste.v1.json", json.dumps(exemple), produit=False)
    exiger(copie.creances("schemas"), 0, "`creances schemas` sort par")
    verts = ("tests/engine/test_mapper.py", "tests/test_tous_les_faits.py", "tests/publication/test_schemas.py")
    exiger(copie.tests(*verts), True, "avec l'exemple et le schéma publié, les tests passent")  # noqa: FBT003


AUDIT: Final = (
    (r"\n    def _une_fois", "pass"),
    (r"\n    def _montrer", "pass"),
    (r"        self\._mouvements\.append", "return"),
    (r"    return montant", "pass"),
)
"""Ce qui suit chaque `match` de l'audit, et ce qu'il fait d'un fait qui ne bouge rien."""


def _avant(suite: str, quoi: str, *, retrait: int = 12) -> tuple[str, str]:
    """Le cas de plus, juste avant l'`assert_never` que suit ce texte."""
    marge = " " * retrait
    fin = f"{marge}case _:\n{marge}    assert_never(fait)\n"
    return rf"{re.escape(fin)}(?={suite})", f"{marge}case Créance.AvisContesté():\n{marge}    {quoi}\n{fin}"


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


def jouer(recette: Callable[[Copie], None]) -> None:
    """Joue une recette sur une copie neuve ; lève RecetteFausse."""
    print(recette.__name__, flush=True)
    suivis = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=RACINE, capture_output=True, check=True,
    ).stdout.decode().split("\0")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="recette-") as dossier:
        for nom in filter(None, suivis):
            cible = Path(dossier) / nom
            cible.parent.mkdir(parents=True, exist_ok=True)
            if (RACINE / nom).is_file():
                shutil.copy2(RACINE / nom, cible)
        copie = Copie(Path(dossier))
        recette(copie)
        touches = sorted(copie.touches)
        print(f"  fichiers du produit : {len(touches)} ({', '.join(touches)})", flush=True)
        if len(touches) > FICHIERS_MAX:
            raise RecetteFausse(f"{len(touches)} fichiers au lieu de {FICHIERS_MAX}")


def main() -> int:
    """Joue les deux ; le code de sortie."""
    try:
        for recette in (un_evenement, une_vue):
            jouer(recette)
    except RecetteFausse as faute:
        print(faute, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
