"""Une année d'arrêtés dans un dossier qui se vérifie sans nous : octets scellés, événements, jetons, vérificateur.

Les événements y sont entiers, pseudonymes compris : ce dossier se garde comme une sauvegarde.
"""

from collections.abc import Callable
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from projections.arretes.contenu import Arrete
from projections.arretes.document import en_pdf
from projections.arretes.journal import lignes_du_jour
from projections.arretes.lecture import Cloture, clotures_entre
from projections.arretes.tableau import en_csv

SOMMES: Final = "SHA256SUMS"
VERIFICATEUR: Final = "verifier.py"

LISEZ_MOI: Final = """Arrêtés journaliers de {annee}

Un dossier par jour :
  arrete.json       les octets scellés (JSON, montants en centimes) ; leur SHA-256 est l'empreinte de l'arrêté
  evenements.jsonl  les événements du jour, une ligne chacun ; le SHA-256 du fichier est dans l'arrêté (« journal »)
  point.txt         le point signé du journal sous lequel l'arrêté se tient (C2SP tlog-checkpoint), s'il en a un
  jeton.tsr         l'heure qu'en dit une autorité d'horodatage (RFC 3161), si elle a été demandée
  arrete.csv, arrete.pdf   les mêmes totaux, pour une personne

Vérifier :
  sha256sum -c {sommes}
  python3 {verificateur}        la chaîne, les événements, les additions, le point (Python 3.11, rien d'autre)
  openssl ts -verify -in JOUR/jeton.tsr -data JOUR/arrete.json -CAfile racines.pem

Chaque arrêté contient l'empreinte du précédent (« precedent ») : celle du premier de ce dossier se compare au dernier
arrêté de l'année d'avant. Les événements portent des pseudonymes : ce dossier se garde comme une sauvegarde.
En forme de l'article 286-I-3° bis du code général des impôts, sans prétention à sa certification.
"""


class ArchiveRefusee(Exception):
    """Cette année ne peut pas être archivée ; la phrase dit pourquoi."""


def archiver_annee(
    conn: Connection[Any],
    annee: int,
    dossier: Path,
    racines: bytes | None = None,
    *,
    point_de: Callable[[Arrete], str | None] = lambda _arrete: None,
    avancer: Callable[[str, int, int], None] = lambda _quoi, _faits, _sur: None,
) -> int:
    """Écrit l'année dans ce dossier neuf ; rend le nombre d'arrêtés. `racines` : les certificats de l'autorité (PEM).

    `point_de` : le point signé, cosignatures comprises, sous lequel un arrêté se tient, s'il en a un.
    `conn` est en autocommit. Lève ArchiveRefusee si rien n'est arrêté de cette année, ou ArreteIllisible.
    """
    clotures = list(clotures_entre(conn, date(annee, 1, 1), date(annee, 12, 31)))
    if not clotures:
        raise ArchiveRefusee(f"Aucune journée de {annee} n'est arrêtée.")
    dossier.mkdir(parents=True, exist_ok=True)
    sommes: list[str] = []

    def ecrire(nom: str, octets: bytes) -> None:
        chemin = dossier / nom
        chemin.parent.mkdir(exist_ok=True)
        chemin.write_bytes(octets)
        sommes.append(f"{sha256(octets).hexdigest()}  {nom}\n")

    for rang, cloture in enumerate(clotures):
        avancer(f"{cloture.arrete.jour:%d/%m/%Y}", rang, len(clotures))
        _ecrire_un_jour(conn, cloture, dossier, ecrire, sommes)
        if (point := point_de(cloture.arrete)) is not None:
            ecrire(f"{cloture.arrete.jour.isoformat()}/point.txt", point.encode())
    if racines is not None:
        ecrire("racines.pem", racines)
    ecrire(VERIFICATEUR, (Path(__file__).parent / VERIFICATEUR).read_bytes())
    lisez_moi = LISEZ_MOI.format(annee=annee, sommes=SOMMES, verificateur=VERIFICATEUR)
    ecrire("LISEZMOI.txt", lisez_moi.encode())
    (dossier / SOMMES).write_text("".join(sommes), "utf-8")
    return len(clotures)


def _ecrire_un_jour(
    conn: Connection[Any],
    cloture: Cloture,
    dossier: Path,
    ecrire: Callable[[str, bytes], None],
    sommes: list[str],
) -> None:
    arrete = cloture.arrete
    jour = arrete.jour.isoformat()
    ecrire(f"{jour}/arrete.json", cloture.octets)
    ecrire(f"{jour}/arrete.csv", en_csv(cloture).encode())
    ecrire(f"{jour}/arrete.pdf", en_pdf(cloture))
    if cloture.jeton is not None:
        ecrire(f"{jour}/jeton.tsr", cloture.jeton.reponse)
    somme = sha256()
    nom = f"{jour}/evenements.jsonl"
    with (dossier / nom).open("wb") as fichier, conn.transaction():
        for ligne in lignes_du_jour(conn, arrete.depuis, arrete.jusqu_a):
            fichier.write(ligne)
            somme.update(ligne)
    sommes.append(f"{somme.hexdigest()}  {nom}\n")
