"""Les deux vérificateurs devant un journal qui signe n'importe quoi, et un fichier que quelqu'un a tordu : d'accord.

Un oui de l'un qui serait un non de l'autre se montrerait à qui l'on veut. Ici le journal est le menteur : il a la clé,
et range dans son arbre la ligne qu'il veut.
"""

import base64
import json
import subprocess
import sys
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve import verificateur
from preuve.checkpoints import Checkpoint
from preuve.merkle import inclusion_proof, leaf_hash, node_hash, root
from preuve.notes import KeyType, Signer, write
from tests.preuve.test_preuve_javascript import juger

JOURNAL: Final = Signer("journal.example/e", KeyType.NOTE, Ed25519PrivateKey.from_private_bytes(b"k" * 32))
CLES: Final = [str(JOURNAL.verifier)]
CREANCES: Final = str(Path(sys.executable).with_name("creances"))
FAITS: Final = (
    ("AvisEmis", b'{"montant_initial": 8709}'),
    ("PaiementInitie", b'{"part": 2000, "transaction": "T1"}'),
    ("PaiementAccepte", b'{"part": 2000, "transaction": "T1"}'),
)

Colonnes = dict[bytes, bytes]


def faits(creance: str = "R1") -> list[Colonnes]:
    """Ceux d'une créance, tels que le journal les range."""
    return [
        {
            b"ecrit_par": b"i%d" % (7 + rang),
            b"etat": b"o" + etat,
            b"flux": b"screance-" + creance.encode(),
            b"position": b"i%d" % (10 + rang),
            b"topic": b"screance." + fait.encode(),
            b"version": b"i%d" % rang,
        }
        for rang, (fait, etat) in enumerate(FAITS, start=1)
    ]


def _morceau(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


def ligne(colonnes: Colonnes, ordre: Sequence[bytes] | None = None) -> bytes:
    noms = sorted(colonnes) if ordre is None else ordre
    return _morceau(b"evenements") + b"".join(_morceau(nom) + _morceau(colonnes[nom]) for nom in noms)


def prouver(lignes: Sequence[bytes], ecrits: Sequence[int], dit: dict[str, Any], autour: int = 5) -> dict[str, Any]:
    """La preuve de ces lignes dans un arbre où elles sont vraiment, signé de la vraie clé."""
    sels = [sha256(b"%d" % rang).digest() for rang in range(len(lignes))]
    feuilles = [leaf_hash(b"avant %d" % rang) for rang in range(autour)]
    for une, sel, ecrit in zip(lignes, sels, ecrits, strict=True):
        feuilles.append(leaf_hash(b"evenements\n%d\n%b" % (ecrit, b2a_base64(sha256(sel + une).digest()))))

    def sous_arbre(hauteur: int, rang: int) -> bytes:
        if hauteur == 0:
            return feuilles[rang]
        return node_hash(sous_arbre(hauteur - 1, 2 * rang), sous_arbre(hauteur - 1, 2 * rang + 1))

    taille = len(feuilles)
    point = Checkpoint(JOURNAL.name, taille, root(taille, sous_arbre)).text
    portes = [
        {
            "chemin": [base64.b64encode(un).decode() for un in inclusion_proof(autour + rang, taille, sous_arbre)],
            "feuille": autour + rang,
            "ligne": base64.b64encode(une).decode(),
            "sel": base64.b64encode(sel).decode(),
        }
        for rang, (une, sel) in enumerate(zip(lignes, sels, strict=True))
    ]
    qui = {
        "creance": "R1",
        "faits": portes,
        "format": verificateur.FORMATS[0],
        "point": write(point, [JOURNAL.line(point)]),
    }
    return dit | qui


ECRITS: Final = (8, 9, 10)
DIT: Final = verificateur.conclure(
    "R1", [({n.decode(): v[1:] for n, v in un.items()}, json.loads(un[b"etat"][1:])) for un in faits()]
)


def honnete() -> dict[str, Any]:
    return prouver([ligne(un) for un in faits()], ECRITS, DIT)


def avec(rang: int, ecrit: int | None = None, /, **colonnes: bytes | None) -> bytes:
    """La preuve, honnête par ailleurs, d'un fait dont le journal a rangé ces colonnes-là."""
    tous = faits()
    for nom, valeur in colonnes.items():
        if valeur is None:
            del tous[rang][nom.encode()]
        else:
            tous[rang][nom.encode()] = valeur
    ecrits = [ecrit if ecrit is not None and un == rang else vrai for un, vrai in enumerate(ECRITS)]
    return verificateur.ecrire(prouver([ligne(un) for un in tous], ecrits, DIT))


def tordue(geste: Callable[[dict[str, Any]], object], preuve: dict[str, Any] | None = None) -> bytes:
    preuve = honnete() if preuve is None else preuve
    geste(preuve)
    return verificateur.ecrire(preuve)


def _objet(chemin: list[str]) -> dict[str, str]:
    """Les mêmes empreintes, et un texte de plus à côté de chacune."""
    return dict.fromkeys(chemin, "et tout est payé")


def _un_seul(autour: int, chemin: Callable[[list[str]], object]) -> bytes:
    """Un journal d'une ou deux lignes : le chemin est vide, ou d'une empreinte."""
    [premier, *_] = faits()
    dit = verificateur.conclure("R1", [({n.decode(): v[1:] for n, v in premier.items()}, {"montant_initial": 8709})])
    preuve = prouver([ligne(premier)], ECRITS[:1], dit, autour)
    preuve["faits"][0]["chemin"] = chemin(preuve["faits"][0]["chemin"])
    return verificateur.ecrire(preuve)


def _nommee(creance: str, dite: object) -> bytes:
    preuve = prouver([ligne(un) for un in faits(creance)], ECRITS, DIT)
    return verificateur.ecrire(preuve | {"creance": dite})


def _signe(geste: Callable[[str], str]) -> bytes:
    """Un point que le journal a bien signé, et que rien n'oblige à croire."""
    preuve = honnete()
    texte = geste(preuve["point"].rpartition("\n\n")[0] + "\n")
    return verificateur.ecrire(preuve | {"point": write(texte, [JOURNAL.line(texte)])})


_PREMIER: Final = b'o{"montant_initial": 8709, "x": %b}'
_PAYE: Final = b'o{"part": 2000, "transaction": %b}'

REFUSEES: Final[dict[str, Callable[[], bytes]]] = {
    # Ce qu'un état peut avoir que Python et un navigateur ne lisent pas de même.
    "un montant à virgule": lambda: avec(0, etat=b'o{"montant_initial": 8709.0}'),
    "un montant à exposant": lambda: avec(0, etat=b'o{"montant_initial": 8709e0}'),
    "un montant au-delà d'un double": lambda: avec(0, etat=b'o{"montant_initial": 9007199254740993}'),
    "NaN": lambda: avec(0, etat=_PREMIER % b"NaN"),
    "Infinity": lambda: avec(0, etat=_PREMIER % b"-Infinity"),
    "un nombre sans fin": lambda: avec(0, etat=_PREMIER % (b"9" * 5_000)),
    "des étages": lambda: avec(0, etat=_PREMIER % (b"[" * 500 + b"]" * 500)),
    "des étages sans fond": lambda: avec(0, etat=_PREMIER % (b"[" * 5_000 + b"]" * 5_000)),
    "une marque d'ordre": lambda: avec(0, etat=b'o\xef\xbb\xbf{"montant_initial": 8709}'),
    "UTF-16": lambda: avec(0, etat=b"o" + '{"montant_initial": 8709}'.encode("utf-16")),
    "une moitié de caractère": lambda: avec(0, etat=_PREMIER % b'"\xed\xa0\x80"'),
    "une transaction sans nom": lambda: avec(2, etat=_PAYE % b"null"),
    "une transaction True": lambda: avec(2, etat=_PAYE % b"true"),
    "une transaction liste": lambda: avec(2, etat=_PAYE % b'["T1"]'),
    "une transaction nombre": lambda: avec(2, etat=_PAYE % b"1"),
    # Des colonnes mal écrites.
    "version à espace": lambda: avec(0, version=b"i 1"),
    "version à signe": lambda: avec(0, version=b"i+1"),
    "version 01": lambda: avec(0, version=b"i01"),
    "version 0_1": lambda: avec(0, version=b"i0_1"),
    "version à la ligne": lambda: avec(0, version=b"i1\n"),
    "position 013": lambda: avec(2, position=b"i013"),
    "position 1_3": lambda: avec(2, position=b"i1_3"),
    "position négative": lambda: avec(2, position=b"i-13"),
    "position démesurée": lambda: avec(2, position=b"i9007199254740993"),
    "ecrit_par 008": lambda: avec(0, ecrit_par=b"i008"),
    "ecrit_par -0": lambda: avec(0, 0, ecrit_par=b"i-0"),
    "un genre inconnu": lambda: avec(0, topic=b"screance.constructor"),
    "des noms de colonnes hors de l'ASCII": lambda: avec(0, None, **{"\ufffd": b"s", "\U00010000": b"s"}),
    # Ce que le porteur du fichier peut tordre sans aucune clé.
    "un chemin objet": lambda: _un_seul(1, _objet),
    "un chemin vide, objet": lambda: _un_seul(0, _objet),
    "un chemin vide, texte": lambda: _un_seul(0, lambda _: ""),
    "des faits objet": lambda: tordue(lambda p: p.update(faits=dict(enumerate(p["faits"])))),
    "un membre de plus": lambda: tordue(lambda p: p.update(remise=0)),
    "une créance nombre": lambda: _nommee("123", 123),
    "une créance None": lambda: _nommee("None", None),
    "une créance True": lambda: _nommee("True", True),  # noqa: FBT003  what the file says
    "deux lignes dans un nom": lambda: _nommee("R1\nOui : R2", "R1\nOui : R2"),
    "un nom qui se lit à l'envers": lambda: _nommee("R\u202e1", "R\u202e1"),
    "un nom qui efface l'écran": lambda: _nommee("R1\x1b[2K", "R1\x1b[2K"),
    "un signataire qui efface l'écran": lambda: tordue(
        lambda p: p.update(point=p["point"].replace("\u2014 journal", "\u2014 \r\x1b[2KOui\u00a0:\u00a0"))
    ),
    "une taille de trop de chiffres": lambda: _signe(lambda t: t.replace("\n8\n", f"\n{'9' * 5_000}\n")),
    "une taille au-delà d'un double": lambda: _signe(lambda t: t.replace("\n8\n", "\n9007199254740993\n")),
    "une taille 08": lambda: _signe(lambda t: t.replace("\n8\n", "\n08\n")),
    "une ligne de plus, signée": lambda: _signe(lambda t: f"{t}et plus\n"),
    "une autre origine, signée": lambda: _signe(lambda t: f"autre.{t}"),
    "des chemins échangés": lambda: tordue(lambda p: p["faits"][0].update(chemin=p["faits"][1]["chemin"])),
    "des faits dans un autre ordre": lambda: tordue(lambda p: p["faits"].reverse()),
    "un fait redit": lambda: tordue(lambda p: p["faits"].append(p["faits"][2])),
    "le point doublé": lambda: tordue(lambda p: p.update(point=p["point"] + p["point"].rpartition("\n\n")[2])),
}
ACCEPTEES: Final[dict[str, Callable[[], bytes]]] = {
    "honnête": lambda: verificateur.ecrire(honnete()),
    "un champ que personne ne lit": lambda: avec(0, etat=_PREMIER % b'"1.5 NaN [[[[ \\" 99999999999999999999"'),
    "des guillemets": lambda: avec(0, etat=_PREMIER % b'"\\\\", "y": "\\"1.5"'),
    "d'avant les transactions": lambda: avec(0, 0, ecrit_par=None),
    "une transaction au-delà d'un double": lambda: avec(0, 33 << 48, ecrit_par=b"i%d" % (33 << 48)),
}


def de_python(preuve: bytes) -> tuple[bool, str]:
    try:
        return True, verificateur.verifier(preuve, CLES)
    except verificateur.PreuveFausse as faux:
        return False, str(faux)


@pytest.fixture(scope="module")
def du_navigateur() -> dict[str, tuple[bool, str]]:
    """Ce que le vérificateur des pages dit de chacune, en un seul processus."""
    faites = {nom: faire() for nom, faire in (REFUSEES | ACCEPTEES).items()}
    return dict(zip(faites, juger(list(faites.values()), CLES), strict=True))


@pytest.mark.parametrize("nom", REFUSEES)
def test_aucun_des_deux_n_y_croit(nom: str, du_navigateur: dict[str, tuple[bool, str]]) -> None:
    oui, dit = de_python(REFUSEES[nom]())
    assert (oui, du_navigateur[nom][0]) == (False, False), (dit, du_navigateur[nom])
    assert dit.isprintable(), "ce qui est dit d'un fichier ne commande pas l'écran de qui le lit"


@pytest.mark.parametrize("nom", ACCEPTEES)
def test_les_deux_disent_oui_dans_les_memes_mots(nom: str, du_navigateur: dict[str, tuple[bool, str]]) -> None:
    assert de_python(ACCEPTEES[nom]()) == du_navigateur[nom]
    assert du_navigateur[nom][0], du_navigateur[nom]


@pytest.mark.parametrize("commande", [[sys.executable, verificateur.__file__], [CREANCES, "verify"]])
def test_un_fichier_sans_fin_n_est_pas_lu_en_entier(commande: list[str], tmp_path: Path) -> None:
    """Un dossier est illisible ; ce qui ne finit pas, ou démesuré, n'est pas une preuve ; rien n'emporte la mémoire."""
    trou = tmp_path / "trou"
    with trou.open("wb") as ecrit:
        ecrit.truncate(8 << 30)
    cle = ["--key", CLES[0]] if "verify" in commande else CLES
    for fichier, code in ((tmp_path, 2), (trou, 1), (Path("/dev/zero"), 1)):
        fini = subprocess.run(
            ["sh", "-c", 'ulimit -v 2000000; exec "$@"', "sh", *commande, str(fichier), *cle],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (fini.returncode, "Traceback" in fini.stderr) == (code, False), fini.stdout + fini.stderr
