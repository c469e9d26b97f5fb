"""Une année d'arrêtés dans un dossier qui se vérifie sans nous : octets scellés, événements, jetons, vérificateur.

Les événements y sont entiers, pseudonymes compris : ce dossier se garde comme une sauvegarde.
"""

from collections.abc import Callable, Iterable
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol

from psycopg import Connection

from projections.arretes.contenu import Arrete
from projections.arretes.document import en_pdf
from projections.arretes.journal import lignes_du_jour
from projections.arretes.lecture import Cloture, clotures_entre
from projections.arretes.tableau import en_csv
from projections.effets import ECRITURES

SOMMES: Final = "SHA256SUMS"
VERIFICATEUR: Final = "verifier.py"
_TABLE_VIDE: Final = "FAITS: dict[str, tuple[str, str, str | None]] = {}\n"

LISEZ_MOI: Final = """Arrêtés journaliers de {annee}

Un dossier par jour :
  arrete.json       les octets scellés (JSON, montants en centimes) ; leur SHA-256 est l'empreinte de l'arrêté
  evenements.jsonl  les événements du jour, une ligne chacun ; le SHA-256 du fichier est dans l'arrêté (« journal »)
  sceau.jsonl       où chaque événement est dans l'arbre du point, et le sel de sa feuille : position, transaction,
                    numéro de la feuille, sel ; ou la position seule, s'il est hors du point
  point.txt         le point signé du journal sous lequel l'arrêté se tient (C2SP tlog-checkpoint), s'il en a un
  jeton.tsr         l'heure qu'en dit une autorité d'horodatage (RFC 3161), si elle a été demandée
  arrete.csv, arrete.pdf   les mêmes totaux, pour une personne

arbre/ÉPOQUE        les feuilles de l'arbre jusqu'au dernier de ces points, bout à bout (SHA-256, 32 octets chacune)

Vérifier :
  sha256sum -c {sommes}
  python3 {verificateur}        la chaîne, les événements, les additions, l'arbre, le point (Python 3.11, rien d'autre)
  openssl ts -verify -in JOUR/jeton.tsr -data JOUR/arrete.json -CAfile racines.pem

Chaque arrêté contient l'empreinte du précédent (« precedent ») : celle du premier de ce dossier se compare au dernier
arrêté de l'année d'avant. Les événements portent des pseudonymes : ce dossier se garde comme une sauvegarde.
En forme de l'article 286-I-3° bis du code général des impôts, sans prétention à sa certification.
"""


class Scelles(Protocol):
    """Ce que l'arbre signé dit de ce qui s'archive."""

    def point(self, arrete: Arrete) -> str | None:
        """Le point signé, cosignatures comprises, sous lequel un arrêté se tient, s'il en a un."""

    def evenements(self, arrete: Arrete) -> Iterable[bytes] | None:
        """Une ligne de JSON par événement : position, transaction, feuille, sel, ou position seule ; None : tus."""

    def feuilles(self, epoque: str, taille: int) -> Iterable[bytes]:
        """Les empreintes des premières feuilles de l'arbre d'une époque, bout à bout."""


class ArchiveRefusee(Exception):
    """Cette année ne peut pas être archivée ; la phrase dit pourquoi."""


def archiver_annee(
    conn: Connection[Any],
    annee: int,
    dossier: Path,
    racines: bytes | None = None,
    *,
    scelles: Scelles | None = None,
    avancer: Callable[[str, int, int], None] = lambda _quoi, _faits, _sur: None,
) -> int:
    """Écrit l'année dans ce dossier neuf ; rend le nombre d'arrêtés. `racines` : les certificats de l'autorité (PEM).

    `scelles` : l'arbre, si le journal est scellé.
    `conn` est en autocommit. Lève ArchiveRefusee si rien n'est arrêté de cette année, ou ArreteIllisible.
    """
    clotures = list(clotures_entre(conn, date(annee, 1, 1), date(annee, 12, 31)))
    if not clotures:
        raise ArchiveRefusee(f"Aucune journée de {annee} n'est arrêtée.")
    archive = _Dossier(dossier)
    tailles: dict[str, int] = {}
    for rang, cloture in enumerate(clotures):
        arrete = cloture.arrete
        avancer(f"{arrete.jour:%d/%m/%Y}", rang, len(clotures))
        _ecrire_un_jour(conn, cloture, archive)
        if scelles is not None and (point := scelles.point(arrete)) is not None and arrete.point_de_controle:
            archive.ecrire(f"{arrete.jour.isoformat()}/point.txt", [point.encode()])
            if (evenements := scelles.evenements(arrete)) is not None:
                archive.ecrire(f"{arrete.jour.isoformat()}/sceau.jsonl", evenements)
                tailles[arrete.epoque] = max(arrete.point_de_controle.taille, tailles.get(arrete.epoque, 0))
    if scelles is not None:
        for epoque, taille in tailles.items():
            archive.ecrire(f"arbre/{epoque}", scelles.feuilles(epoque, taille))
    if racines is not None:
        archive.ecrire("racines.pem", [racines])
    archive.ecrire(VERIFICATEUR, [verificateur().encode()])
    lisez_moi = LISEZ_MOI.format(annee=annee, sommes=SOMMES, verificateur=VERIFICATEUR)
    archive.ecrire("LISEZMOI.txt", [lisez_moi.encode()])
    (dossier / SOMMES).write_text("".join(archive.sommes), "utf-8")
    return len(clotures)


def verificateur() -> str:
    """Notre vérificateur, qui n'importe rien de nous, et la table des écritures, qu'il ne peut donc pas lire."""
    source = (Path(__file__).parent / VERIFICATEUR).read_text("utf-8")
    lignes = "".join(f"    {topic!r}: {tuple(une)!r},\n" for topic, une in ECRITURES.items())
    complet = source.replace(_TABLE_VIDE, _TABLE_VIDE.replace("{}", f"{{\n{lignes}}}"))
    if complet == source:
        raise ValueError("le vérificateur n'a plus la table que l'archive remplit")
    return complet


class _Dossier:
    """Ce qui s'écrit, et la somme de chaque fichier."""

    def __init__(self, dossier: Path) -> None:
        self._dossier = dossier
        self.sommes: list[str] = []
        dossier.mkdir(parents=True, exist_ok=True)

    def ecrire(self, nom: str, morceaux: Iterable[bytes]) -> None:
        chemin, somme = self._dossier / nom, sha256()
        chemin.parent.mkdir(exist_ok=True)
        with chemin.open("wb") as fichier:
            for morceau in morceaux:
                fichier.write(morceau)
                somme.update(morceau)
        self.sommes.append(f"{somme.hexdigest()}  {nom}\n")


def _ecrire_un_jour(conn: Connection[Any], cloture: Cloture, archive: _Dossier) -> None:
    arrete = cloture.arrete
    jour = arrete.jour.isoformat()
    archive.ecrire(f"{jour}/arrete.json", [cloture.octets])
    archive.ecrire(f"{jour}/arrete.csv", [en_csv(cloture).encode()])
    archive.ecrire(f"{jour}/arrete.pdf", [en_pdf(cloture)])
    if cloture.jeton is not None:
        archive.ecrire(f"{jour}/jeton.tsr", [cloture.jeton.reponse])
    with conn.transaction():
        archive.ecrire(f"{jour}/evenements.jsonl", lignes_du_jour(conn, arrete.depuis, arrete.jusqu_a))
