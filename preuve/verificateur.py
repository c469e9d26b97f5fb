"""Vérifie la preuve d'un solde : `python verificateur.py PREUVE CLÉ…`, CLÉ étant une vkey ou son fichier."""

import json
import re
import sys
from binascii import a2b_base64, b2a_base64
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMATS, NOTE, COSIGNATURE, ETAGES, OCTETS_MAX = ("creances-preuve-1", "creances-preuve-2"), 1, 4, 200, 1 << 26
MOUVEMENTS: dict[str, dict[str, int]] = {  # Ce que chaque fait ajoute au solde, et en retire.
    "AvisEmis": {"montant_initial": 1}, "AvisRectifie": {"montant_initial": 1, "montant_precedent": -1},
    "AvisAnnule": {"montant_precedent": -1}, "EncaissementRecu": {"montant": -1}, "TropPercuRembourse": {"montant": 1},
    "PaiementAccepte": {"part": -1}, "PaiementContrepasse": {"part": 1}, "EncaissementRattache": {"part": -1},
    "PaiementInitie": {}, "PaiementEchoue": {}, "PaiementAffiche": {}, "TropPercuConstate": {},
}  # fmt: skip


class PreuveFausse(Exception):
    """Ce qui est faux, en une phrase."""


def exiger(vrai: bool, phrase: str) -> None:  # noqa: FBT001  the condition itself
    """Lève PreuveFausse avec cette phrase si la condition n'est pas tenue."""
    if not vrai:
        raise PreuveFausse(phrase)


def de_base64(texte: str) -> bytes:
    """Les octets ; seule l'écriture canonique est lue."""
    octets = a2b_base64(texte)
    exiger(b2a_base64(octets, newline=False).decode() == texte, "un champ en base64 n'est pas écrit comme il se doit")
    return octets


def entier(valeur: Any) -> int:
    """Un nombre entier que tout langage tient ; dans une ligne scellée, il n'a qu'une écriture."""
    if type(valeur) is bytes and re.fullmatch(rb"0|[1-9][0-9]{0,18}", valeur):
        return int(valeur)
    exiger(type(valeur) is int and abs(valeur) < 1 << 53, "un nombre n'est pas entier, ou est mal écrit")
    return int(valeur)


def lire_json(texte: str, etages: int) -> Any:
    """Un JSON que tout langage lit de même : ni virgule ni démesure, et au plus tant de listes et d'objets."""
    nu = re.sub(r'"(?:[^"\\]|\\.)*"', "", texte, flags=re.DOTALL)
    exiger(not re.search(r"[0-9](?:[.eE]|[0-9]{15})|[NI]", nu), "un nombre n'est pas entier")
    exiger(nu.count("[") + nu.count("{") <= etages and len(texte) <= OCTETS_MAX, "un texte est démesuré")
    return json.loads(texte)


def verifier_point(point: str, vkeys: list[str]) -> tuple[str, int, bytes, list[str]]:
    """L'origine, la taille et la racine de l'arbre signé, et qui l'a vu ; chaque signature doit être vraie."""
    texte, _, signatures = point.rpartition("\n\n")
    origine, taille, racine = texte.split("\n")
    cles, vus = dict[tuple[str, bytes], tuple[int, bytes]](), []
    for vkey in vkeys:  # nom+identifiant+base64
        nom, identifiant, reste = (*vkey.strip().split("+", 2), "", "")[:3]
        brut = de_base64(reste)
        calcule = sha256(nom.encode() + b"\n" + brut).digest()[:4]
        juste = len(brut) == 33 and brut[0] in {NOTE, COSIGNATURE} and calcule.hex() == identifiant  # noqa: PLR2004
        exiger(juste, "une clé donnée n'est pas une clé Ed25519, ou ne porte pas son identifiant")
        cles[nom, calcule] = brut[0], brut[1:]
    exiger(signatures.endswith("\n"), "le point n'est pas signé")
    for ligne in signatures.removesuffix("\n").split("\n"):
        tiret, nom, encode = ligne.split(" ")
        brut = de_base64(encode)
        exiger(tiret == "\u2014" and (nom, brut[:4]) in cles, f"signé par « {nom} », dont la clé n'est pas donnée")
        genre, publique = cles[nom, brut[:4]]
        signe, signature = f"{texte}\n".encode(), brut[4:]
        if genre == COSIGNATURE:
            instant, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            signe = f"cosignature/v1\ntime {instant}\n".encode() + signe
        try:
            Ed25519PublicKey.from_public_bytes(publique).verify(signature, signe)
        except InvalidSignature:
            raise PreuveFausse(f"la signature de « {nom} » est fausse") from None
        vus.append((genre, nom))
    exiger((NOTE, origine) in vus and len(set(vus)) == len(vus), "pas signé une fois par le journal")
    return origine, entier(entier(taille.encode())), de_base64(racine), [nom for genre, nom in vus if genre != NOTE]


def racine_depuis(feuille: bytes, numero: int, taille: int, chemin: list[bytes]) -> bytes:
    """La racine à laquelle mène ce chemin (RFC 9162, 2.1.3.2)."""
    exiger(0 <= numero < taille, "une feuille est hors de l'arbre")
    dernier, empreinte, reste = taille - 1, feuille, list(chemin)
    while dernier:
        if numero % 2 or numero != dernier:
            deux = (reste.pop(0), empreinte) if numero % 2 else (empreinte, reste.pop(0))
            empreinte = sha256(b"\x01%b%b" % deux).digest()
        numero, dernier = numero >> 1, dernier >> 1
    exiger(not reste, "un chemin est trop long")
    return empreinte


def lire_ligne(ligne: bytes) -> tuple[str, dict[str, bytes]]:
    """La table et les colonnes d'une ligne scellée : chaque morceau précédé de sa longueur."""
    morceaux = []
    while ligne:
        longueur = 4 + int.from_bytes(ligne[:4], "big")
        exiger(longueur <= len(ligne), "une ligne scellée est coupée")
        morceaux.append(ligne[4:longueur])
        ligne = ligne[longueur:]
    noms = [nom.decode("ascii") for nom in morceaux[1::2]]
    exiger(len(morceaux) % 2 == 1 and noms == sorted(set(noms)), "une ligne scellée est mal formée")
    return morceaux[0].decode(), {n: v[1:] for n, v in zip(noms, morceaux[2::2], strict=True)}


def conclure(creance: str, faits: list[tuple[dict[str, bytes], Any]]) -> dict[str, Any]:
    """Ce que ces faits d'une créance font de son solde, en phrases : ce que la preuve dit, refait."""
    solde, en_cours, calcul = 0, dict[str, int](), []
    for rang, (colonnes, etat) in enumerate(faits, start=1):
        exiger(colonnes["flux"] == b"creance-" + creance.encode(), f"le fait {rang} n'est pas de cette créance")
        exiger(entier(colonnes["version"]) == rang, f"il manque le fait {rang}")
        fait = colonnes["topic"].decode().removeprefix("creance.")
        exiger(fait in MOUVEMENTS, f"le fait {rang} est d'un genre que ce vérificateur ne connaît pas")
        if fait in {"PaiementInitie", "PaiementAccepte", "PaiementEchoue"}:
            exiger(type(etat["transaction"]) is str, "un paiement n'a pas de nom")
            en_cours[etat["transaction"]] = entier(etat["part"]) if fait == "PaiementInitie" else 0
        mouvement = sum(signe * entier(etat[nom]) for nom, signe in MOUVEMENTS[fait].items())
        avant, solde = solde, entier(solde + mouvement)
        signe = "-" if mouvement < 0 else "+"
        calcul.append(f"{rang}. {fait} : {euros(avant)} {signe} {euros(abs(mouvement))} = {euros(solde)}")
    position = entier(faits[-1][0]["position"])
    jusque = f"Complet jusqu'à la version {len(faits)}, à la position {position} ; rien n'est dit de la suite."
    return {
        "calcul": calcul, "en_cours_centimes": entier(sum(en_cours.values())), "phrase": jusque, "position": position,
        "restant_du_centimes": max(solde, 0), "trop_percu_centimes": max(-solde, 0), "version": len(faits),
    }  # fmt: skip


def euros(centimes: int) -> str:
    """Un montant, en euros."""
    return f"{'-' if centimes < 0 else ''}{abs(centimes) // 100},{abs(centimes) % 100:02d} €"


def ecrire(preuve: object) -> bytes:
    """La seule écriture d'une preuve."""
    return (json.dumps(preuve, indent=1, sort_keys=True) + "\n").encode()


def verifier(contenu: bytes, vkeys: list[str]) -> str:
    """Ce que la preuve prouve, en une phrase ; lève PreuveFausse avec la première chose fausse."""
    try:
        preuve, lus = lire_json(contenu.decode(), len(contenu)), []
        exiger(ecrire(preuve) == contenu, "le fichier n'est pas écrit comme il se doit")
        exiger(preuve.pop("format") == FORMATS[date := "jeton" in preuve], "ce format de preuve n'est pas connu")
        creance, point, faits = preuve.pop("creance"), preuve.pop("point"), preuve.pop("faits")
        exiger((creance + point.replace("\n", " ")).isprintable(), "un nom a un signe qui ne se voit pas")
        origine, taille, racine, temoins = verifier_point(point, vkeys)
        jeton, vise = de_base64(preuve.pop("jeton", "")), sha256(point.rpartition("\n\n")[0].encode() + b"\n")
        exiger(not date or b"\x04\x20" + vise.digest() in jeton, "le jeton n'est pas celui de ce point signé")
        for rang, fait in enumerate(list.copy(faits), start=1):
            exiger(sorted(fait) == ["chemin", "feuille", "ligne", "sel"], f"le fait {rang} est mal formé")
            ligne, sel, *chemin = map(de_base64, (fait["ligne"], fait["sel"], *list.copy(fait["chemin"])))
            table, colonnes = lire_ligne(ligne)
            exiger(table == "evenements" and len(sel) == 32, f"l'événement ou le sel {rang} n'en est pas un")  # noqa: PLR2004
            donnees = entier(colonnes.get("ecrit_par", b"0")), b2a_base64(sha256(sel + ligne).digest())
            feuille = sha256(b"\x00evenements\n%d\n%b" % donnees).digest()
            mene = racine_depuis(feuille, entier(fait["feuille"]), taille, chemin)
            exiger(mene == racine, f"le fait {rang} n'est pas dans l'arbre signé : il a été changé")
            lus.append((colonnes, lire_json(colonnes["etat"].decode(), ETAGES)))
        exiger(bool(lus), "la preuve ne porte aucun fait")
        attendu = conclure(creance, lus)
        exiger(preuve.keys() == attendu.keys(), "la preuve ne dit pas ce qu'elle doit dire, et cela seul")
        autres = [nom for nom in attendu if ecrire(preuve[nom]) != ecrire(attendu[nom])]
        exiger(not autres, f"« {', '.join(autres)} » n'est pas ce que disent les faits")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as cause:
        raise PreuveFausse(f"le fichier n'est pas une preuve ({type(cause).__name__})") from None
    vu, du = f", vu par {', '.join(temoins)}" if temoins else "", euros(attendu["restant_du_centimes"])
    quand = f" Son heure est à vérifier : openssl ts -verify -digest {vise.hexdigest()}." if date else ""
    return f"Oui : {creance} doit {du}. {attendu['phrase']} Journal {origine}, {taille} lignes{vu}.{quand}"


def lire(fichier: str) -> bytes:
    """Le contenu d'un fichier, ou de quoi voir qu'il est démesuré."""
    with open(fichier, "rb") as ouvert:  # noqa: PTH123  pathlib se charge en autant de temps que la preuve se vérifie
        return ouvert.read(OCTETS_MAX + 1)


def main(arguments: list[str]) -> int:
    """0 : oui ; 1 : non ; 2 : mauvais usage."""
    try:
        fichier, *cles = arguments
        dit, code = verifier(lire(fichier), [cle if "+" in cle else lire(cle).decode() for cle in cles]), 0
    except PreuveFausse as faux:
        dit, code = f"Non : {faux}.", 1
    except (OSError, ValueError) as cause:
        dit, code = f"{__doc__}\nIllisible : {cause}", 2
    sys.stdout.write(dit + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
