"""Why a file cannot be read or written, in a sentence: the path and the cause, whatever the system's language."""

import errno
from collections.abc import Mapping
from os import PathLike
from typing import Final

from service.controls import shown

CAUSES: Final[Mapping[int, str]] = {
    errno.ENOENT: "il n'existe pas",
    errno.EISDIR: "c'est un dossier, pas un fichier",
    errno.ENOTDIR: "un nom de son chemin n'est pas celui d'un dossier",
    errno.EACCES: "l'accès en est interdit à ce compte",
    errno.EPERM: "l'accès en est interdit à ce compte",
    errno.EEXIST: "il existe déjà",
    errno.ENAMETOOLONG: "son nom est trop long",
    errno.ELOOP: "ses liens symboliques tournent en rond",
    errno.ENOTEMPTY: "ce dossier n'est pas vide",
    errno.EROFS: "le disque est en lecture seule",
    errno.ENOSPC: "le disque est plein",
    errno.EDQUOT: "l'espace permis à ce compte est plein",
    errno.EFBIG: "il dépasserait la taille permise",
    errno.EIO: "le disque ne le rend pas",
    errno.EMFILE: "trop de fichiers sont ouverts",
    errno.ENFILE: "trop de fichiers sont ouverts",
    errno.ENXIO: "personne n'est à l'autre bout",
    errno.ENODEV: "l'appareil manque",
    errno.EBUSY: "un autre s'en sert",
    errno.EINVAL: "il ne se lit pas comme un fichier",
    errno.ETXTBSY: "un autre s'en sert",
    errno.EADDRINUSE: "un autre s'en sert",
}
"""By the system's number: its own words depend on the machine's language."""


def reason(cause: Exception) -> str:
    """Why, without the path."""
    if isinstance(cause, UnicodeDecodeError):
        return "ce n'est pas du texte en UTF-8"
    number = cause.errno if isinstance(cause, OSError) else None
    if number is None:
        return "le système le refuse"
    return CAUSES.get(number, f"le système le refuse (erreur {number})")


def unreadable(path: str | PathLike[str], cause: Exception) -> str:
    """The whole sentence: which file, and why."""
    return f"« {shown(str(path))} » est inaccessible : {reason(cause)}."
