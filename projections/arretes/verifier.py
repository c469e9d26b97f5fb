"""Vérifie un dossier d'arrêtés sans base ni service : `python3 verifier.py [DOSSIER]` ; 0 si tout est bon, sinon 1.

Il n'importe rien de nous. Il refait l'empreinte de chaque arrêté et sa chaîne, celle des événements de chaque jour, ce
que ces événements ont fait bouger par caisse, les additions des jours, du mois, de l'année et du tout ; et, si l'arbre
y est, la racine de chaque point et la feuille de chaque événement. Signer, un point ne le peut que par sa clé : qui la
tient d'ailleurs vérifie avec elle la note de `point.txt`.
"""

import base64
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

EMPREINTE = 32
ADDITION = {
    "emis": 1, "rectifie": 1, "annule": -1, "accepte": -1, "rattache": -1, "autres_encaissements": -1,
    "contrepasse": 1, "rembourse": 1,
}  # fmt: skip
S_AJOUTENT = (*ADDITION, "preleve_par_la_banque", "rendu")
FAITS: dict[str, tuple[str, str, str | None]] = {}
"""Par topic : le mouvement, le champ de son montant, celui qui s'en retranche. L'archive l'écrit dans sa copie."""


def verifier(dossier: Path) -> tuple[list[str], int, int]:
    """Ce qui est faux, une phrase chacun, combien d'arrêtés ont été lus, et d'événements retrouvés dans l'arbre."""
    fautes: list[str] = []
    retrouves = 0
    precedent: tuple[str, Any] | None = None
    caisses: dict[str, str] = {}
    jours = sorted(un for un in dossier.iterdir() if un.is_dir() and (un / "arrete.json").exists())
    racines = _racines(jours)
    for jour in jours:
        octets = (jour / "arrete.json").read_bytes()
        try:
            arrete = json.loads(octets)
            propres = _un_jour(jour, octets, arrete, precedent, caisses)
            de_l_arbre, du_jour = _arbre(jour, arrete, racines)
        except (ValueError, LookupError, TypeError, OSError, RecursionError) as cause:
            fautes.append(f"{jour.name} : ne se lit pas ({type(cause).__name__} : {cause})")
            precedent = None
            continue
        fautes += [f"{jour.name} : {faute}" for faute in propres + de_l_arbre]
        retrouves += du_jour
        precedent = (sha256(octets).hexdigest(), arrete)
    return fautes, len(jours), retrouves


def _un_jour(
    jour: Path, octets: bytes, arrete: Any, precedent: tuple[str, Any] | None, caisses: dict[str, str]
) -> list[str]:
    fautes = []
    if arrete["jour"] != jour.name:
        fautes.append(f"l'arrêté est celui du {arrete['jour']}")
    evenements = (jour / "evenements.jsonl").read_bytes()
    if sha256(evenements).hexdigest() != arrete["journal"]:
        fautes.append("les événements ne sont pas ceux qui ont été scellés")
    if precedent is not None:
        empreinte, veille = precedent
        if arrete["precedent"] != empreinte or arrete["numero"] != veille["numero"] + 1:
            fautes.append("ne suit pas l'arrêté de la veille")
        if arrete["depuis"] != veille["jusqu_a"]:
            fautes.append("le journal n'y reprend pas où la veille l'a laissé")
    lignes = [json.loads(ligne) for ligne in evenements.splitlines()]
    if len(lignes) != arrete["evenements"]:
        fautes.append(f"{len(lignes)} événements, {arrete['evenements']} annoncés")
    if any(not arrete["depuis"] < ligne[0] <= arrete["jusqu_a"] for ligne in lignes):
        fautes.append("un événement n'est pas de ce jour")
    fautes += _mouvements(lignes, arrete, caisses, entier=precedent is not None or arrete["numero"] == 1)
    fautes += _additions(arrete, None if precedent is None else precedent[1])
    return fautes + _point(jour, arrete["point_de_controle"]) + _heure(jour, octets)


def _mouvements(lignes: list[Any], arrete: Any, caisses: dict[str, str], *, entier: bool) -> list[str]:
    """Ce que les événements font bouger ; `caisses` : celle de chaque créance émise dans le dossier."""
    bouge: defaultdict[tuple[str, str], int] = defaultdict(int)
    inconnues = False
    for _, flux, _, topic, etat, *_ in lignes:
        fait = json.loads(etat)
        if topic == "creance.AvisEmis":
            caisses[flux] = fait["caisse"]
        if topic not in FAITS:
            continue
        nom, champ, moins = FAITS[topic]
        montant = fait[champ] - (fait[moins] if moins else 0)
        bouge["", nom] += montant
        inconnues |= flux not in caisses
        bouge[caisses.get(flux, "?"), nom] += montant
    du_jour = arrete["totaux"]["jour"]
    tableaux = {"": du_jour["ensemble"][""]}
    if entier and not inconnues:  # Une créance d'une année d'avant n'a pas sa caisse ici.
        tableaux |= du_jour["caisse"]
    return [
        f"{cle or 'ensemble'} : {nom} vaut {totaux[nom]}, les événements font {bouge[cle, nom]}"
        for cle, totaux in tableaux.items()
        for nom in ADDITION
        if totaux[nom] != bouge[cle, nom]
    ]


def _additions(arrete: Any, veille: Any) -> list[str]:
    fautes = []
    suite = {
        "perpetuel": veille is not None,
        "annee": veille is not None and veille["jour"][:4] == arrete["jour"][:4],
        "mois": veille is not None and veille["jour"][:7] == arrete["jour"][:7],
    }
    for axe, par_cle in arrete["totaux"]["jour"].items():
        for cle, jour in par_cle.items():
            ou = f"{axe} {cle}".strip()
            effet = (
                jour["preleve_par_la_banque"]
                if axe == "marchand"
                else sum(signe * jour[nom] for nom, signe in ADDITION.items())
            )
            if jour["cloture"] != jour["ouverture"] + effet:
                fautes.append(f"{ou} : l'addition est fausse")
            if axe != "marchand" and jour["cloture"] != jour["restant_du"] - jour["trop_percu"]:
                fautes.append(f"{ou} : la clôture n'est pas ce qui reste dû moins ce qui est perçu en trop")
            hier = veille["totaux"]["jour"][axe].get(cle) if veille is not None else None
            if veille is not None and jour["ouverture"] != (hier["cloture"] if hier else 0):
                fautes.append(f"{ou} : n'ouvre pas sur la clôture de la veille")
            for periode, continue_ in suite.items():
                if veille is None and arrete["numero"] != 1:
                    continue  # Le premier du dossier : la veille est dans celui d'avant.
                avant = veille["totaux"][periode][axe].get(cle) if continue_ else None
                total = arrete["totaux"][periode][axe][cle]
                fautes += [
                    f"{ou}, {periode} : {nom} ne s'additionne pas"
                    for nom in S_AJOUTENT
                    if total[nom] != jour[nom] + (avant[nom] if avant else 0)
                ]
    return fautes


def _point(jour: Path, dit: Any) -> list[str]:
    """L'état du journal que l'arrêté nomme est celui du point ; la signature se vérifie avec sa clé, et `note`."""
    point = jour / "point.txt"
    if not point.exists():
        return []
    origine, taille, racine, *_ = point.read_text("utf-8").split("\n")
    lu = {"origine": origine, "taille": int(taille), "racine": base64.b64decode(racine, validate=True).hex()}
    if dit is None or lu != {nom: dit[nom] for nom in lu}:
        return ["le point signé n'est pas celui sous lequel il se tient"]
    return []


def _racines(jours: list[Path]) -> dict[tuple[str, int], str]:
    """La racine de l'arbre de chaque époque à chaque taille que dit un point, refaite depuis ses feuilles."""
    dites: dict[str, set[int]] = defaultdict(set)
    for jour in jours:
        try:
            arrete = json.loads((jour / "arrete.json").read_bytes())
            if (jour / "point.txt").exists():
                dites[str(arrete["epoque"])].add(int(arrete["point_de_controle"]["taille"]))
        except (ValueError, LookupError, TypeError, OSError):
            continue  # Dit en son lieu : ce jour ne se lit pas.
    refaites = {}
    for epoque, tailles in dites.items():
        fichier = jours[0].parent / "arbre" / Path(epoque).name
        if fichier.exists():
            with fichier.open("rb") as feuilles:
                refaites.update({(epoque, taille): racine for taille, racine in _grandir(feuilles, sorted(tailles))})
    return refaites


def _grandir(feuilles: BinaryIO, tailles: list[int]) -> Iterator[tuple[int, str]]:
    """La racine à chacune de ces tailles (RFC 6962) ; rien de plus si les feuilles manquent."""
    pics: list[tuple[int, bytes]] = []
    lues = 0
    for taille in tailles:
        while lues < taille:
            hauteur, haut = 0, feuilles.read(EMPREINTE)
            if len(haut) != EMPREINTE:
                return
            while pics and pics[-1][0] == hauteur:
                haut = sha256(b"\x01" + pics.pop()[1] + haut).digest()
                hauteur += 1
            pics.append((hauteur, haut))
            lues += 1
        racine = pics[-1][1] if pics else sha256(b"").digest()
        for _, pic in reversed(pics[:-1]):
            racine = sha256(b"\x01" + pic + racine).digest()
        yield taille, racine.hex()


def _arbre(jour: Path, arrete: Any, racines: dict[tuple[str, int], str]) -> tuple[list[str], int]:
    """Le point est la racine des feuilles, et chaque événement est la sienne : ce qui est faux, et combien y sont."""
    arbre, scelles = jour.parent / "arbre", jour / "sceau.jsonl"
    point = arrete["point_de_controle"]
    if point is None or not (arbre.exists() or scelles.exists()):
        return [], 0
    if manque := [
        quoi for chemin, quoi in ((arbre, "l'arbre"), (jour / "point.txt", "son point signé")) if not chemin.exists()
    ]:
        return [f"{' et '.join(manque)} manque"], 0
    if racines.get((arrete["epoque"], point["taille"])) != point["racine"]:
        return ["les feuilles de l'arbre ne font pas la racine de son point"], 0
    lignes, evenements = scelles.read_bytes().splitlines(), (jour / "evenements.jsonl").read_bytes().splitlines()
    if len(lignes) != len(evenements):
        return [f"{len(lignes)} feuilles, pour {len(evenements)} événements"], 0
    return _comparer(arbre / Path(arrete["epoque"]).name, point, evenements, lignes)


def _comparer(arbre: Path, point: Any, evenements: list[bytes], lignes: list[bytes]) -> tuple[list[str], int]:
    fautes, hors, retrouves = [], 0, 0
    with arbre.open("rb") as feuilles:
        for rangee, ligne in zip(evenements, lignes, strict=True):
            evenement, scelle = json.loads(rangee), json.loads(ligne)
            if scelle[0] != evenement[0]:
                fautes.append(f"une feuille est celle de {scelle[0]}, où l'événement est {evenement[0]}")
                continue
            if len(scelle) == 1:
                hors += 1
                continue
            _, transaction, numero, sel = scelle
            if not 0 <= numero < point["taille"]:
                fautes.append(f"la feuille {numero} de l'événement {evenement[0]} n'est pas sous son point")
                continue
            feuilles.seek(numero * EMPREINTE)
            if feuilles.read(EMPREINTE) == _feuille(evenement, transaction, bytes.fromhex(sel)):
                retrouves += 1
            else:
                fautes.append(f"l'événement {evenement[0]} n'est pas celui qui a été scellé, feuille {numero}")
    if hors > point["hors_du_point"]:
        fautes.append(f"{hors} événements sont hors de son point, {point['hors_du_point']} annoncés")
    return fautes, retrouves


def _feuille(evenement: Any, transaction: int, sel: bytes) -> bytes:
    """L'empreinte de la feuille d'un événement : chaque colonne, son genre devant, par ordre de leur nom."""
    position, flux, version, topic, etat, cause, le = evenement
    colonnes = {
        "cause": f"s{cause}".encode(),
        "ecrit_par": f"i{transaction}".encode() if transaction else None,
        "enregistre_le": f"t{le}".encode(),
        "etat": b"o" + etat.encode("latin-1"),
        "flux": f"s{flux}".encode(),
        "position": f"i{position}".encode(),
        "topic": f"s{topic}".encode(),
        "version": f"i{version}".encode(),
    }
    morceaux = [b"evenements"]
    for nom, valeur in colonnes.items():
        morceaux += [nom.encode(), valeur] if valeur is not None else []
    rangee = b"".join(len(un).to_bytes(4, "big") + un for un in morceaux)
    engagement = base64.b64encode(sha256(sel + rangee).digest())
    return sha256(b"\x00evenements\n%d\n%b\n" % (transaction, engagement)).digest()


def _heure(jour: Path, octets: bytes) -> list[str]:
    """Le jeton, par openssl s'il est là."""
    jeton, racines = jour / "jeton.tsr", jour.parent / "racines.pem"
    openssl = shutil.which("openssl")
    if not jeton.exists() or not racines.exists() or openssl is None:
        return []
    commande = [
        openssl,
        "ts",
        "-verify",
        "-in",
        str(jeton),
        "-digest",
        sha256(octets).hexdigest(),
        "-CAfile",
        str(racines),
    ]
    fait = subprocess.run(commande, capture_output=True, check=False)  # noqa: S603 (openssl, sur ces fichiers)
    return [] if fait.returncode == 0 else ["l'horodatage ne vaut pas pour cet arrêté"]


if __name__ == "__main__":
    trouvees, lus, scelles = verifier(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent))
    bilan = f"{lus} arrêtés lus, {len(trouvees)} fautes ; {scelles} événements sont dans l'arbre de leur point."
    bilan = bilan if lus else "Aucun arrêté dans ce dossier."
    sys.stdout.write("\n".join([*trouvees, bilan, ""]))
    sys.exit(1 if trouvees or not lus else 0)
