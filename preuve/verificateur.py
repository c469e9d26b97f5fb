"""Vérifie la preuve d'un solde : `python verificateur.py PREUVE CLÉ…`, CLÉ étant une vkey ou son fichier."""

import json
import sys
from binascii import a2b_base64, b2a_base64
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT, NOTE, COSIGNATURE = "creances-preuve-1", 1, 4
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
    """Un nombre entier, et rien d'autre."""
    exiger(type(valeur) is int, "un nombre n'est pas entier")
    return int(valeur)


def euros(centimes: int) -> str:
    """Un montant, en euros."""
    return f"{'-' if centimes < 0 else ''}{abs(centimes) // 100},{abs(centimes) % 100:02d} €"


def lire_cle(vkey: str) -> tuple[str, bytes, int, bytes]:
    """Le nom, l'identifiant, le genre et la clé publique que dit `nom+identifiant+base64`."""
    nom, identifiant, reste = vkey.strip().split("+", 2)
    brut = de_base64(reste)
    calcule = sha256(nom.encode() + b"\n" + brut).digest()[:4]
    juste = len(brut) == 33 and brut[0] in {NOTE, COSIGNATURE} and calcule.hex() == identifiant  # noqa: PLR2004
    exiger(juste, f"la clé de {nom} n'est pas une clé Ed25519, ou ne porte pas son identifiant")
    return nom, calcule, brut[0], brut[1:]


def verifier_point(point: str, vkeys: list[str]) -> tuple[str, int, bytes, list[str]]:
    """L'origine, la taille et la racine de l'arbre signé, et qui l'a signé ; chaque signature doit être vraie."""
    texte, _, signatures = point.rpartition("\n\n")
    origine, taille, racine = texte.split("\n")
    exiger(taille.isascii() and taille.isdigit() and str(int(taille)) == taille, "la taille de l'arbre est mal écrite")
    cles = {(nom, identifiant): (genre, publique) for nom, identifiant, genre, publique in map(lire_cle, vkeys)}
    exiger(signatures.endswith("\n"), "le point n'est pas signé")
    signataires = []
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
        signataires.append((genre, nom))
    une_fois = (NOTE, origine) in signataires and len(set(signataires)) == len(signataires)
    exiger(une_fois, "pas signé une fois par le journal")
    return origine, int(taille), de_base64(racine), [nom for genre, nom in signataires if genre == COSIGNATURE]


def racine_depuis(feuille: bytes, numero: int, taille: int, chemin: list[bytes]) -> bytes:
    """La racine à laquelle mène ce chemin (RFC 9162, 2.1.3.2)."""
    exiger(0 <= numero < taille, "une feuille est hors de l'arbre")
    dernier, empreinte, reste = taille - 1, feuille, list(chemin)
    while dernier:
        if numero % 2 or numero != dernier:
            deux = reste.pop(0) + empreinte if numero % 2 else empreinte + reste.pop(0)
            empreinte = sha256(b"\x01" + deux).digest()
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
    noms = [nom.decode() for nom in morceaux[1::2]]
    exiger(len(morceaux) % 2 == 1 and noms == sorted(set(noms)), "une ligne scellée est mal formée")
    return morceaux[0].decode(), {n: v[1:] for n, v in zip(noms, morceaux[2::2], strict=True)}


def compter(topic: str, etat: dict[str, object], solde: int, en_cours: dict[str, int]) -> tuple[int, str]:
    """Le solde après ce fait, et ce qu'il a fait, en une phrase."""
    fait, transaction = topic.removeprefix("creance."), str(etat.get("transaction", ""))
    exiger(fait in MOUVEMENTS, f"un fait que ce vérificateur ne connaît pas : {topic}")
    mouvement = sum(signe * entier(etat[nom]) for nom, signe in MOUVEMENTS[fait].items())
    if fait == "PaiementInitie":
        en_cours[transaction] = entier(etat["part"])
    elif fait in {"PaiementAccepte", "PaiementEchoue"}:
        en_cours.pop(transaction, None)
    apres = solde + mouvement
    return apres, f"{fait} : {euros(solde)} {'-' if mouvement < 0 else '+'} {euros(abs(mouvement))} = {euros(apres)}"


def conclure(creance: str, faits: list[tuple[dict[str, bytes], dict[str, object]]]) -> dict[str, Any]:
    """Ce que ces faits d'une créance font de son solde : ce que la preuve dit, refait."""
    solde, en_cours, calcul = 0, dict[str, int](), []
    for rang, (colonnes, etat) in enumerate(faits, start=1):
        exiger(colonnes["flux"].decode() == f"creance-{creance}", f"le fait {rang} n'est pas de cette créance")
        exiger(int(colonnes["version"]) == rang, f"il manque le fait {rang}")
        solde, phrase = compter(colonnes["topic"].decode(), etat, solde, en_cours)
        calcul.append(f"{rang}. {phrase}")
    position = int(faits[-1][0]["position"])
    return {
        "calcul": calcul,
        "en_cours_centimes": sum(en_cours.values()),
        "phrase": f"Complet jusqu'à la version {len(faits)}, à la position {position} ; rien n'est dit de la suite.",
        "position": position,
        "restant_du_centimes": max(solde, 0),
        "trop_percu_centimes": max(-solde, 0),
        "version": len(faits),
    }


def ecrire(preuve: object) -> bytes:
    """La seule écriture d'une preuve."""
    return (json.dumps(preuve, indent=1, sort_keys=True) + "\n").encode()


def verifier(contenu: bytes, vkeys: list[str]) -> str:
    """Ce que la preuve prouve, en une phrase ; lève PreuveFausse avec la première chose fausse."""
    try:
        preuve, lus = json.loads(contenu), []
        exiger(ecrire(preuve) == contenu, "le fichier n'est pas écrit comme il se doit")
        exiger(preuve.pop("format") == FORMAT, "ce format de preuve n'est pas connu")
        creance, point, faits = preuve.pop("creance"), preuve.pop("point"), preuve.pop("faits")
        origine, taille, racine, temoins = verifier_point(point, vkeys)
        for rang, fait in enumerate(faits, start=1):
            exiger(sorted(fait) == ["chemin", "feuille", "ligne", "sel"], f"le fait {rang} est mal formé")
            ligne, sel, chemin = de_base64(fait["ligne"]), de_base64(fait["sel"]), list(map(de_base64, fait["chemin"]))
            table, colonnes = lire_ligne(ligne)
            exiger(table == "evenements" and len(sel) == 32, f"l'événement ou le sel {rang} n'en est pas un")  # noqa: PLR2004
            donnees = int(colonnes.get("ecrit_par", b"0")), b2a_base64(sha256(sel + ligne).digest())
            feuille = sha256(b"\x00evenements\n%d\n%b" % donnees).digest()
            mene = racine_depuis(feuille, entier(fait["feuille"]), taille, chemin)
            exiger(mene == racine, f"le fait {rang} n'est pas dans l'arbre signé : il a été changé")
            lus.append((colonnes, json.loads(colonnes["etat"])))
        exiger(bool(lus), "la preuve ne porte aucun fait")
        attendu = conclure(creance, lus)
        exiger(preuve.keys() == attendu.keys(), "la preuve ne dit pas ce qu'elle doit dire, et cela seul")
        autres = [nom for nom in attendu if ecrire(preuve[nom]) != ecrire(attendu[nom])]
        exiger(not autres, f"« {', '.join(autres)} » n'est pas ce que disent les faits")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as cause:
        raise PreuveFausse(f"le fichier n'est pas une preuve ({type(cause).__name__})") from None
    vu, du = f", vu par {', '.join(temoins)}" if temoins else "", euros(attendu["restant_du_centimes"])
    return f"Oui : {creance} doit {du}. {attendu['phrase']} Journal {origine}, {taille} lignes{vu}."


def lire(fichier: str) -> bytes:
    """Le contenu d'un fichier."""
    with open(fichier, "rb") as ouvert:  # noqa: PTH123  pathlib se charge en autant de temps que la preuve se vérifie
        return ouvert.read()


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
