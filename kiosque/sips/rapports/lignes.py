"""Les lignes d'un rapport : leur encodage et leur longueur ; ce qui n'est pas du texte est refusé."""

from typing import Final

from kiosque.rapports import Octets, RapportRefuse

LIGNE_OCTETS_MAX: Final = 64 * 1024
RETOUR_SEUL: Final = "les lignes finissent par un retour chariot seul : LF ou CRLF est attendu"
PAS_DU_TEXTE: Final = (
    "un classeur ou une archive, pas un rapport en texte : prenez le fichier tel que la banque l'a déposé"
)

_CLASSEURS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"%PDF")
"""Par quoi commencent un classeur (.xlsx, .ods, et l'ancien .xls), un gzip et un PDF, quel que soit leur nom."""
_UTF_8: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


class Lignes:
    """Les lignes en texte : UTF-8, ou cp1252 pour celle qui n'en est pas."""

    def __init__(self, fichier: Octets) -> None:
        """Rien n'est lu encore."""
        self._fichier = fichier
        self.numero = 0
        self.octets = 0

    def __iter__(self) -> "Lignes":
        """Elles-mêmes."""
        return self

    def __next__(self) -> str:
        """La suivante, avec sa fin de ligne ; lève RapportRefuse."""
        ligne = self._fichier.readline(LIGNE_OCTETS_MAX + 1)
        if not ligne:
            raise StopIteration
        self.numero += 1
        self.octets += len(ligne)
        if self.numero == 1 and ligne.startswith(_CLASSEURS):
            raise RapportRefuse(PAS_DU_TEXTE, ligne=1)
        if len(ligne) > LIGNE_OCTETS_MAX:
            # Un fichier à retours seuls n'est, pour qui cherche la fin d'une ligne, qu'une ligne immense.
            trop = RETOUR_SEUL if b"\r" in ligne[:-1] else f"la ligne dépasse {LIGNE_OCTETS_MAX} octets"
            raise RapportRefuse(trop, ligne=self.numero)
        if self.numero == 1:
            if ligne.startswith(_UTF_16):
                raise RapportRefuse("le fichier est en UTF-16 : UTF-8 ou cp1252 est attendu", ligne=1)
            while ligne.startswith(_UTF_8):
                ligne = ligne.removeprefix(_UTF_8)
        if b"\0" in ligne:
            raise RapportRefuse("un octet nul : ce n'est pas du texte", ligne=self.numero)
        try:
            return ligne.decode("utf-8")
        except UnicodeDecodeError:
            return ligne.decode("cp1252", errors="replace")
