"""Les règles de la maison qu'un outil ne sait pas : une violation plantée est vue, et il n'y en a aucune."""

import subprocess
from collections.abc import Callable
from enum import Enum, EnumMeta
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest

from docs.rooms import PAGE, drawn, floors, imports
from domain.geste import GESTES, Source
from guichet.reglement.attentes import DEVENUS
from service.settings import Settings
from tests.maison import gardes
from tests.outils import RACINE

PARTOUT = (*gardes.DOSSIERS, "tests", "bench", "docs", "examples")


def fautes(garde: Callable[[str], list[str]], fichiers: list[Path]) -> list[str]:
    return [
        f"{fichier.relative_to(RACINE)}:{faute}" for fichier in fichiers for faute in garde(fichier.read_text("utf-8"))
    ]


def test_seuls_les_agregats_et_leurs_faits_portent_un_accent() -> None:
    assert fautes(gardes.accents, gardes.sources(*PARTOUT)) == []


def test_le_sql_et_les_reglages_sont_en_ascii() -> None:
    ailleurs = [fichier for fichier in gardes.sources(*PARTOUT) if fichier.parent.name != "maison"]
    assert fautes(gardes.accents_du_sql, ailleurs) == []
    assert fautes(gardes.accents_des_noms_dits, gardes.sources(*gardes.DOSSIERS)) == []
    migrations = sorted((RACINE / "service/schema").glob("*.sql"))
    assert migrations
    assert [f.name for f in migrations if not gardes.sql_nu(f.read_text("utf-8")).isascii()] == []
    assert [nom for nom in Settings.model_fields if not nom.isascii()] == []


def test_les_noms_des_gabarits_sont_en_ascii() -> None:
    gabarits = [un for dossier in gardes.DOSSIERS for un in sorted((RACINE / dossier).rglob("gabarits/*.html"))]
    assert gabarits
    assert fautes(gardes.accents_du_gabarit, gabarits) == []


def test_les_noms_des_fichiers_suivis_sont_en_ascii() -> None:
    suivis = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", "-z"], cwd=RACINE, capture_output=True, check=True
    ).stdout.decode()
    assert suivis
    assert [nom for nom in suivis.split("\0") if not nom.isascii()] == []


def test_aucun_cercle_entre_les_pieces_et_le_moteur_est_en_bas() -> None:
    graphe = imports(RACINE)
    assert graphe["engine"] == graphe["domain"] == set()
    assert floors(graphe)[0] == ["domain", "engine"]


def test_aucun_cercle_entre_les_modules() -> None:
    modules = {
        str(fichier.relative_to(RACINE))
        .removesuffix(".py")
        .removesuffix("/__init__")
        .replace("/", "."): fichier.read_text("utf-8")
        for fichier in gardes.sources(*gardes.DOSSIERS)
    }
    assert len(floors(gardes.modules_importes(modules))) > len(gardes.DOSSIERS)


def test_un_cercle_entre_deux_modules_est_vu() -> None:
    lies = {"a": "", "a.b": "from a import c", "a.c": "def f():\n    from a.b import x"}
    with pytest.raises(ValueError, match=r"circle.*'a.b', 'a.c'"):
        floors(gardes.modules_importes(lies))


def test_le_dessin_des_pieces_est_a_jour() -> None:
    page = PAGE.read_text("utf-8")
    assert page == drawn(page, imports(RACINE)), "make architecture"


def test_le_moteur_ne_nomme_rien_du_metier() -> None:
    assert fautes(gardes.metier, gardes.sources("engine")) == []
    assert [f.name for f in gardes.sources("engine") if gardes.mots(f.stem) & gardes.METIER] == []


PLUSIEURS_ECRIVAINS = {
    "vues.suiveurs": {
        *("engine/follower.py", "engine/lease.py", "engine/lists.py", "engine/rebuild.py", "engine/role_state.py"),
        "publication/vers_un_topic.py",
    },
    "vues.baux": {"engine/rebuild.py", "service/leases.py"},
    "vues.ecartes": {"engine/rebuild.py", "engine/set_aside.py"},
    "vues.reconstructions": {"engine/rebuild.py", "engine/rebuild_filling.py"},
    "acces.sessions": {"api/socle/sessions_tenues.py", "service/cli/sessions.py"},
    "journal.ecarts_de_rapport": {"guichet/rapprochement/registre.py", "guichet/reglement/ecarts.py"},
}
"""Des colonnes, ou des gestes, que rien ne lie : la position et son bail, l'état d'un rôle, sa reprise au début ;
la session qu'une personne tient, ou qu'un administrateur finit ; l'écart qu'un rapport ouvre, ou qu'un agent ferme ;
ce qu'une reconstruction échange d'un bloc, la vue avec sa position et ses écartés, et ce qu'elle tient pour elle."""


def test_un_seul_module_ecrit_chaque_table() -> None:
    ecrivains: dict[str, set[str]] = {}
    for fichier in gardes.sources(*gardes.DOSSIERS):
        for table in gardes.tables_ecrites(fichier.read_text("utf-8")):
            ecrivains.setdefault(table, set()).add(str(fichier.relative_to(RACINE)))
    assert len(ecrivains) > 20
    assert {table: ceux for table, ceux in ecrivains.items() if len(ceux) > 1} == PLUSIEURS_ECRIVAINS


PARTIELLES = {
    ("domain/references.py", "DefautDeReference"),
    ("guichet/rapprochement/jugement.py", "Genre"),
    ("guichet/reglement/attentes.py", "Geste"),
    ("kiosque/sips/rapports/colonnes.py", "Champ"),
}
"""Les défauts que voit une première lecture ; l'argent rendu que dit l'un de deux rapports ; ce que laisse une attente,
et elle seule ; les colonnes d'un rapport. Un membre de plus n'y a rien à décider."""


def test_une_table_par_enumeration_en_dit_chaque_membre() -> None:
    vues = 0
    manquent = []
    for fichier in gardes.sources(*gardes.DOSSIERS):
        nom = str(fichier.relative_to(RACINE))
        module = import_module(nom.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
        for ligne, classe, absents in gardes.tables(fichier.read_text("utf-8"), vars(module)):
            vues += 1
            if absents and (nom, classe.__name__) not in PARTIELLES:
                manquent.append(f"{nom}:{ligne} {classe.__name__} : {sorted(absents)}")
    assert vues > 20
    assert manquent == []


DE_QUELQUES_UNS = {
    ("api/assure/gabarits/soldee.html", "Etat"),
    ("api/assure/lecture.py", "StatutDeCreance"),
    ("api/assure/mes_creances.py", "StatutDeCreance"),
    ("api/assure/modeles.py", "StatutDeCreance"),
    ("api/support/anomalies.py", "EtatDeReglement"),
    ("api/support/gabarits/support-histoire.html", "EtatDeReglement"),
    ("api/support/pages_anomalies.py", "EtatDeReglement"),
    ("guichet/reglement/contrepasser.py", "Champ"),
    ("guichet/reglement/rendre.py", "Champ"),
    ("projections/arretes/verifier.py", "Periode"),
    ("publication/retenus.py", "GenreDeConsultation"),
}
"""Ce qu'une page dit d'un paiement qui n'a pas payé une créance soldée ; les deux statuts d'une créance où rien n'est
dû, ceux qu'une page ou l'API ont à dire ; ce que l'on vient
de faire d'une anomalie, ce qu'attend une ouverte, et les deux listes que l'on en demande ; des champs qui ont le nom
d'une colonne de rapport ; les périodes qui se prolongent d'un jour à l'autre ; les paramètres d'une requête."""


def textes_fermes() -> dict[str, set[str]]:
    """Les textes de chaque ensemble fermé de la maison, par nom."""
    fermes = {}
    for fichier in gardes.sources(*gardes.DOSSIERS):
        nom = str(fichier.relative_to(RACINE)).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for ensemble in gardes.ensembles(fichier.read_text("utf-8")):
            dit: Any = getattr(import_module(nom), ensemble)
            membres: list[Enum] = list(dit) if isinstance(dit, EnumMeta) else []
            valeurs = [*(membre.value for membre in membres), *get_args(dit)]
            fermes[ensemble] = {valeur for valeur in valeurs if isinstance(valeur, str)}
    return fermes


def test_une_table_de_textes_les_dit_tous() -> None:
    fermes = textes_fermes()
    modules = [(f, gardes.cles_du_module(f.read_text("utf-8"))) for f in gardes.sources(*gardes.DOSSIERS)]
    gabarits = [
        (f, gardes.cles_du_gabarit(f.read_text("utf-8")))
        for dossier in gardes.DOSSIERS
        for f in sorted((RACINE / dossier).rglob("gabarits/*.html"))
    ]
    manquent = {
        (str(fichier.relative_to(RACINE)), nom): sorted(absents)
        for fichier, cles in modules + gabarits
        for _, nom, absents in gardes.tables_de_textes(cles, fermes)
    }
    assert manquent.keys() - DE_QUELQUES_UNS == set(), manquent
    assert manquent.keys() == DE_QUELQUES_UNS


def test_une_table_de_textes_qui_en_oublie_un_est_vue() -> None:
    fermes = {"E": {"a", "b", "c"}, "F": {"a", "c"}}
    for cles in (gardes.cles_du_module, gardes.cles_du_gabarit):
        source = "{'a': 1, 'b': 2}" if cles is gardes.cles_du_module else "{% set x = {'a': 1, 'b': 2} %}"
        assert list(gardes.tables_de_textes(cles(source), fermes)) == [(1, "E", {"c"})]
        autre = source.replace("'b'", "'c'")  # Elle dit tout de F.
        assert list(gardes.tables_de_textes(cles(autre), fermes)) == []


def test_chaque_reglage_est_lu() -> None:
    assert gardes.jamais_lus(Settings.model_fields, gardes.sources(*gardes.DOSSIERS)) == []


def test_un_reglage_que_personne_ne_lit_est_vu() -> None:
    assert gardes.jamais_lus(["kafka_bootstrap", "que_personne_ne_lit"], gardes.sources("service")) == [
        "que_personne_ne_lit"
    ]


def test_deux_ensembles_fermes_ne_portent_pas_le_meme_nom() -> None:
    trouves: dict[str, list[str]] = {}
    for fichier in gardes.sources(*gardes.DOSSIERS):
        for nom in gardes.ensembles(fichier.read_text("utf-8")):
            trouves.setdefault(nom, []).append(str(fichier.relative_to(RACINE)))
    assert len(trouves) > 30
    assert {nom: ou for nom, ou in trouves.items() if len(ou) > 1} == {}


def test_un_ensemble_ferme_est_vu() -> None:
    assert gardes.ensembles('class A(StrEnum):\n    X = "x"\nB = Literal["x", "y"]\nclass C:\n    pass\nD = "x"') == [
        "A",
        "B",
    ]


def test_ce_qu_une_attente_devient_est_dit_de_chaque_geste_qu_elle_laisse() -> None:
    assert set(DEVENUS) == GESTES[Source.ATTENTE]


def test_seul_le_kiosque_parle_la_langue_de_la_banque_et_un_seul_module_la_nomme() -> None:
    autres = [dossier for dossier in gardes.DOSSIERS if dossier != "kiosque"]
    fichiers = [f for f in gardes.sources(*autres) if f != RACINE / "service/bank.py"]
    assert fautes(gardes.mots_de_la_banque, fichiers) == []


def test_aucune_fonction_ne_passe_soixante_lignes() -> None:
    assert fautes(gardes.fonctions_longues, gardes.sources(*gardes.DOSSIERS)) == []


def test_un_module_de_plus_de_trois_cents_lignes_dit_pourquoi() -> None:
    fichiers = gardes.sources(*gardes.DOSSIERS)
    assert [str(f.relative_to(RACINE)) for f in fichiers if gardes.module_long(f.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("garde", "plante", "permis"),
    [
        (gardes.accents, "accepté_le = 1", "x = Créance.PaiementAccepté  # l'été"),
        (gardes.accents, "def f(été: int) -> None: ...", "x = 'été'"),
        (gardes.accents, "x = f'{été}'", "x = f'été {a}'"),
        (gardes.accents, "x = f'{f(été=1)}'", "x = f'{f(a=1)} été'"),
        (gardes.accents_du_gabarit, "{% set été = 1 %}", "{% set a = 'été' %}{# été #}<p>été</p>"),
        (gardes.accents_du_gabarit, "{{ ligne.payé }}", "{{ ligne['payé'] }}"),
        (gardes.accents_du_sql, 'x = "SELECT accepté_le FROM t"', "x = \"SELECT a FROM t WHERE b = 'été' -- l'été\""),
        (gardes.accents_du_sql, 'x = f"{a} WHERE accepté_le = 1"', "x = \"AND b = 'été'\""),
        (gardes.accents_du_sql, "x = 'select accepté from t'", "x = 'selon accepté'"),
        (gardes.accents_des_noms_dits, "x = 'accepté_le = %s'", "x = 'accepté le = %s'"),
        (gardes.metier, "x = Créance", '"""Un fait."""'),
        (gardes.metier, '"""La créance."""', "x = 'SELECT 1 FROM vues.paiements'"),
        (gardes.metier, "x = 1  # un paiement", "x = 1  # un fait"),
        (gardes.metier, "refund = 1", "fait = 1"),
        (gardes.metier, "x = 'la créance'", "x = f'{fait} lu'"),
        (gardes.metier, "x = f'{paiement}'", "x = 'un fait'"),
        (gardes.metier, "def lire_paiement() -> None: ...", "x = 'SELECT 1 FROM journal.sorts'"),
        (gardes.metier, "x = 'la banque'", '"""Rien de lui."""'),
        (gardes.mots_de_la_banque, "from kiosque.sips import sceau", "from kiosque import interface"),
        (gardes.mots_de_la_banque, "x = champs['Data']", "x = champs['donnees']"),
        (gardes.mots_de_la_banque, "x = 'Data, Seal'", "x = 'Clear-Site-Data'"),
        (gardes.mots_de_la_banque, "x = champs['responseCode']", "x = champs['amount']"),
        (gardes.mots_de_la_banque, "x = 'Worldline'", "x = 'data'"),
        (gardes.mots_de_la_banque, "x = f'{Seal}'", "x = f'{sceau}'"),
        (gardes.fonctions_longues, "def f():\n" + "    x = 1\n" * 60, "def f():\n" + "    x = 1\n" * 59),
    ],
)
def test_une_violation_plantee_est_vue(garde: Callable[[str], list[str]], plante: str, permis: str) -> None:
    assert garde(plante) != []
    assert garde(permis) == []


def test_un_module_long_sans_raison_est_vu() -> None:
    assert gardes.module_long("x = 1\n" * 301)
    assert not gardes.module_long("x = 1\n" * 300)
    assert not gardes.module_long('"""Tout.\n\nPlus de 300 lignes : une table.\n"""\n' + "x = 1\n" * 301)


def test_une_table_qui_oublie_un_membre_est_vue() -> None:
    connus = {"E": Enum("E", ["A", "B", "C"])}
    assert [absents for _, _, absents in gardes.tables("{E.A: 1, E.B: 2}", connus)] == [{"C"}]
    assert [absents for _, _, absents in gardes.tables("{E.A: 1, E.B: 2, E.C: 3}", connus)] == [set()]


def test_un_cercle_est_vu() -> None:
    with pytest.raises(ValueError, match=r"circle.*'a', 'b'"):
        floors({"a": {"b"}, "b": {"a"}, "c": set()})
