"""Ce que les gardes de la maison regardent dans un source ; chacune rend ses fautes, en clair."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from enum import EnumMeta
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, nodes

from domain.agregats import AGREGATS, FAITS
from domain.faits import sans_accents
from kiosque.sips.depouillement import GARDES_D_OFFICE
from tests.outils import RACINE

_CLASSES: Final[tuple[type, ...]] = (*AGREGATS, *FAITS)
NOMS_ACCENTUES: Final = {classe.__name__ for classe in _CLASSES}
"""Les seuls identifiants qui peuvent porter un accent : les agrégats et leurs faits, tels que le métier les écrit."""

DOSSIERS: Final = (
    "domain",
    "engine",
    "kiosque",
    "guichet",
    "consumers",
    "projections",
    "preuve",
    "publication",
    "api",
    "service",
)
FONCTION_LIGNES_MAX: Final = 60
MODULE_LIGNES_MAX: Final = 300
RAISON: Final = re.compile(r"(Over 300 lines|Plus de 300 lignes) ?: \S")
"""Ce que dit, en tête, un module qui a une bonne raison d'être long."""

METIER: Final = {
    *("creance", "creances", "paiement", "paiements", "payment", "payments", "banque", "bank", "caisse", "caisses"),
    *("assure", "assures", "avis", "kiosque", "sips", "messagerie", "restant", "percu", "dette", "dettes", "cpam"),
    *("marchand", "marchands", "merchant", "montant", "montants", "solde", "soldes", "encaissement", "encaissements"),
    *("imputation", "imputations", "remboursement", "remboursements", "rapprochement", "carte", "cartes", "kiosk"),
    *("virement", "virements", "cheque", "cheques", "centimes", "euro", "euros", "anomalie", "anomalies", "reglement"),
    *("pseudonyme", "nir", "iban", "debt", "debts", "insured", "refund", "refunds", "amount", "amounts", "card"),
}
"""Les mots du métier, sans accents, en français et en anglais."""
_TABLES: Final = re.compile(r"\b(journal|vues)\.[a-z_]+|\bcreances_(service|migrations)\b|\bcreances\.[a-z_]+")
"""Ce que la base nomme : tables, rôles, réglages de session."""
_ECRIT: Final = re.compile(
    r"\b(?:INSERT INTO|UPDATE|DELETE FROM|TRUNCATE)\s+((?:journal|vues|acces|identite)\.[a-z_]+)"
)
_BANQUE: Final = re.compile(r"(?i:\b(?:sips|worldline|mercanet)\b)|(?<!-)\b(?:Data|Seal)\b")
_DE_LA_BANQUE: Final = {nom for nom in GARDES_D_OFFICE if not nom.islower()}
"""Les champs de son protocole qui ne sont pas aussi des mots."""
_SQL: Final = re.compile(
    r"^\s*(WITH|SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|GRANT|NOTIFY|COPY)\b"
    r"|\b(FROM|JOIN|WHERE|AND|ORDER BY|SET|RETURNING)\b"
    r"|^\s*(with \w+ as|select .+ from|insert into|update \w\S* set|delete from|(create|alter) \w+)\b"
)
"""Une instruction, ou un morceau d'une : ses mots sont en capitales ; en minuscules, son début suffit."""
_NOM_COMPOSE: Final = re.compile(r"\b(?=\w*[à-ÿÀ-Ý])\w+_\w+")
"""Un nom accentué que dit un texte : nul mot d'une phrase n'a de souligné."""


def sources(*dossiers: str) -> list[Path]:
    """Les modules de ces dossiers."""
    return [fichier for dossier in dossiers for fichier in sorted((RACINE / dossier).rglob("*.py"))]


@cache  # Chaque garde relit les mêmes modules : les découper coûte plus que les regarder.
def noms(source: str) -> tuple[tuple[int, str], ...]:
    """Chaque nom du code, avec sa ligne : ni commentaires, ni textes, mais bien ce qu'un texte compose (`f"{nom}"`)."""
    jetons = tokenize.generate_tokens(io.StringIO(source).readline)
    du_code = [(jeton.start[0], jeton.string) for jeton in jetons if jeton.type == tokenize.NAME]
    composes = [
        (getattr(noeud, "lineno", texte.lineno), nom)
        for texte in ast.walk(ast.parse(source))
        if isinstance(texte, ast.FormattedValue)
        for noeud in ast.walk(texte)
        for champ in ("id", "attr", "arg")
        if isinstance(nom := getattr(noeud, champ, None), str)
    ]
    return (*du_code, *composes)


@cache
def textes(source: str) -> tuple[tuple[int, str], ...]:
    """Chaque texte du code qui n'est pas une docstring, avec sa ligne ; un texte composé (`f"…"`) en est un seul."""
    arbre = ast.parse(source)
    a_part = {id(noeud.value) for noeud in ast.walk(arbre) if isinstance(noeud, ast.Expr)}
    trouves = []
    for noeud in ast.walk(arbre):
        if isinstance(noeud, ast.JoinedStr):
            a_part |= {id(morceau) for morceau in noeud.values}
            dits = [m.value if isinstance(m, ast.Constant) else "_" for m in noeud.values]
            trouves.append((noeud.lineno, "".join(map(str, dits))))
        elif isinstance(noeud, ast.Constant) and isinstance(noeud.value, str) and id(noeud) not in a_part:
            trouves.append((noeud.lineno, noeud.value))
    return tuple(trouves)


def commentaires(source: str) -> list[tuple[int, str]]:
    """Chaque commentaire, et chaque docstring, avec sa ligne."""
    jetons = tokenize.generate_tokens(io.StringIO(source).readline)
    docstrings = [
        (noeud.lineno, noeud.value.value)
        for noeud in ast.walk(ast.parse(source))
        if isinstance(noeud, ast.Expr) and isinstance(noeud.value, ast.Constant) and isinstance(noeud.value.value, str)
    ]
    return [*((jeton.start[0], jeton.string) for jeton in jetons if jeton.type == tokenize.COMMENT), *docstrings]


def mots(nom: str) -> set[str]:
    """Les mots d'un nom, en minuscules et sans accents : `PaiementConclu` et `paiement_conclu` en ont deux."""
    return {sans_accents(mot).lower() for mot in re.findall(r"[A-ZÀ-Ý]?[a-zà-ÿ]+|[A-Z]+", nom)}


def accents(source: str) -> list[str]:
    """Les identifiants qui portent un accent sans être un agrégat ni un fait."""
    return [f"{ligne}: {nom}" for ligne, nom in noms(source) if not nom.isascii() and nom not in NOMS_ACCENTUES]


def accents_du_gabarit(texte: str) -> list[str]:
    """Les accents dans les noms d'un gabarit : valeurs, champs, macros, filtres."""
    noms = {
        (noeud.lineno, nom)
        for noeud in Environment(autoescape=True).parse(texte).find_all(nodes.Node)
        for champ in ("name", "attr", "key")
        if isinstance(nom := getattr(noeud, champ, None), str) and not nom.isascii()
    }
    return [f"{ligne}: {nom}" for ligne, nom in sorted(noms)]


def sql_nu(texte: str) -> str:
    """Le SQL sans ses commentaires ni ses textes."""
    return re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", texte)


def accents_du_sql(source: str) -> list[str]:
    """Les accents dans le SQL que porte un module."""
    return [
        f"{ligne}: {texte.strip()[:40]}"
        for ligne, texte in textes(source)
        if _SQL.search(texte) and not sql_nu(texte).isascii()
    ]


def accents_des_noms_dits(source: str) -> list[str]:
    """Les accents d'un nom composé que dit un texte : une colonne, un champ, une clé."""
    return [f"{ligne}: {texte.strip()[:40]}" for ligne, texte in textes(source) if _NOM_COMPOSE.search(texte)]


def tables_ecrites(source: str) -> set[str]:
    """Les tables que le SQL d'un module écrit."""
    return {table for _, texte in textes(source) for table in _ECRIT.findall(sql_nu(texte))}


def metier(source: str) -> list[str]:
    """Ce qu'un module du moteur nomme du métier, même en commentaire, hors des tables du contrat."""
    nommes = [(ligne, nom) for ligne, nom in noms(source) if mots(nom) & METIER]
    ecrits = [*textes(source), *commentaires(source)]
    dits = [(ligne, texte) for ligne, texte in ecrits if mots(_TABLES.sub("", texte)) & METIER]
    return [f"{ligne}: {nom[:60]!r}" for ligne, nom in nommes + dits]


def mots_de_la_banque(source: str) -> list[str]:
    """Ce qu'un module nomme du protocole de la banque : Sips, `Data`, `Seal`, `responseCode`…"""
    siens = {"Data", "Seal", *_DE_LA_BANQUE}
    nommes = [
        (ligne, nom) for ligne, nom in noms(source) if nom in siens or mots(nom) & {"sips", "worldline", "mercanet"}
    ]
    dits = [(ligne, t) for ligne, t in textes(source) if t in _DE_LA_BANQUE or _BANQUE.search(t)]
    return [f"{ligne}: {nom[:60]!r}" for ligne, nom in nommes + dits]


def fonctions_longues(source: str) -> list[str]:
    """Les fonctions de plus de 60 lignes."""
    return [
        f"{noeud.lineno}: {noeud.name} ({longueur} lignes)"
        for noeud in ast.walk(ast.parse(source))
        if isinstance(noeud, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (longueur := (noeud.end_lineno or noeud.lineno) - noeud.lineno + 1) > FONCTION_LIGNES_MAX
    ]


def module_long(source: str) -> bool:
    """Vrai au-delà de 300 lignes sans raison dite dans les vingt premières."""
    lignes = source.splitlines()
    return len(lignes) > MODULE_LIGNES_MAX and not RAISON.search("\n".join(lignes[:20]))


def tables(source: str, connus: Mapping[str, object]) -> Iterator[tuple[int, EnumMeta, set[str]]]:
    """Chaque table d'un module dont des clés sont d'une énumération : sa ligne, elle, et les membres qui manquent.

    `connus` : ce que nomme ce module. Une seule clé n'est pas une table, ni celle qui en reprend une autre (`**`).
    """
    for noeud in ast.walk(ast.parse(source)):
        if not isinstance(noeud, ast.Dict) or None in noeud.keys:
            continue
        dits: dict[str, set[str]] = {}
        for cle in noeud.keys:
            match cle:
                case (
                    ast.Attribute(attr="value", value=ast.Attribute(attr=membre, value=ast.Name(id=nom)))
                    | ast.Attribute(attr=membre, value=ast.Name(id=nom))
                ):
                    dits.setdefault(nom, set()).add(membre)
                case _:
                    pass
        for nom, membres in dits.items():
            if len(membres) > 1 and isinstance(classe := connus.get(nom), EnumMeta):
                yield noeud.lineno, classe, set(classe.__members__) - membres


def tables_de_textes(
    dites: Iterable[tuple[int, set[str]]], fermes: Mapping[str, set[str]]
) -> Iterator[tuple[int, str, set[str]]]:
    """Chaque table dont les clés sont des textes d'un ensemble fermé, mais pas tous : sa ligne, lui, ce qui manque.

    `fermes` : les textes de chacun, par nom. Une seule clé n'est pas une table ; celle qui en dit un autre est de lui.
    """
    for ligne, cles in dites:
        if len(cles) > 1 and cles not in fermes.values():
            yield from ((ligne, nom, textes - cles) for nom, textes in fermes.items() if cles < textes)


def cles_du_module(source: str) -> Iterator[tuple[int, set[str]]]:
    """Les clés de chaque table d'un module, si ce sont des textes ; et ceux de chaque `Literal`, qui en est une."""
    for noeud in ast.walk(ast.parse(source)):
        match noeud:
            case ast.Dict(keys=cles) | ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=cles)):
                textes = {cle.value for cle in cles if isinstance(cle, ast.Constant) and isinstance(cle.value, str)}
                if len(textes) == len(cles):
                    yield noeud.lineno, textes
            case _:
                pass


def cles_du_gabarit(texte: str) -> Iterator[tuple[int, set[str]]]:
    """Les clés de chaque table d'un gabarit, si ce sont des textes."""
    for noeud in Environment(autoescape=True).parse(texte).find_all(nodes.Dict):
        cles = [paire.key.value for paire in noeud.items if isinstance(paire.key, nodes.Const)]
        if len(cles) == len(noeud.items):
            yield noeud.lineno, {str(cle) for cle in cles}


def jamais_lus(attributs: Iterable[str], fichiers: Iterable[Path]) -> list[str]:
    """De ces attributs, ceux qu'aucun de ces modules ne lit."""
    lus = {
        noeud.attr
        for fichier in fichiers
        for noeud in ast.walk(ast.parse(fichier.read_text("utf-8")))
        if isinstance(noeud, ast.Attribute) and isinstance(noeud.ctx, ast.Load)
    }
    return [nom for nom in attributs if nom not in lus]


def ensembles(source: str) -> list[str]:
    """Les ensembles fermés que déclare un module : ses énumérations, ses alternatives de textes."""
    noms = []
    for noeud in ast.parse(source).body:
        match noeud:
            case ast.ClassDef(name=nom, bases=[ast.Name(id="Enum" | "StrEnum" | "IntEnum")]):
                noms.append(nom)
            case ast.Assign(targets=[ast.Name(id=nom)], value=ast.Subscript(value=ast.Name(id="Literal"))):
                noms.append(nom)
            case _:
                pass
    return noms


def modules_importes(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Ce que chacun importe des autres, même tard ; `from a import b` est `a.b`, si c'est un module."""
    trouves: dict[str, set[str]] = {}
    for module, source in sources.items():
        trouves[module] = set()
        for noeud in ast.walk(ast.parse(source)):
            if isinstance(noeud, ast.Import):
                trouves[module] |= {importe.name for importe in noeud.names}
            elif isinstance(noeud, ast.ImportFrom) and noeud.level == 0 and noeud.module is not None:
                dits = {f"{noeud.module}.{importe.name}" for importe in noeud.names}
                trouves[module] |= dits & sources.keys()
                trouves[module] |= set() if dits <= sources.keys() else {noeud.module}
        trouves[module] &= sources.keys() - {module}
    return trouves
