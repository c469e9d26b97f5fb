"""Vérifie une copie de base par son manifeste : `pg_verifybackup`, dont le binaire de la roue s'effondre dès le départ.

Chaque fichier nommé est là, de sa taille et de sa somme CRC32C ; le WAL n'est pas relu.
"""

import json
import sys
from pathlib import Path

import crc32c


def main(dossier: Path) -> int:
    """Le code de sortie : 0 si tout y est."""
    manifeste = json.loads((dossier / "backup_manifest").read_text("utf-8"))
    fautes = [
        fichier["Path"]
        for fichier in manifeste["Files"]
        if not (lu := dossier / fichier["Path"]).is_file()
        or lu.stat().st_size != fichier["Size"]
        or crc32c.crc32c(lu.read_bytes()).to_bytes(4, "little").hex() != fichier["Checksum"].lower()
    ]
    for faute in fautes:
        sys.stderr.write(f"{faute} ne s'accorde pas avec le manifeste\n")
    return int(bool(fautes) or not manifeste["Files"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[-1])))
