"""The proof of the log: its name, its key, what its salts are drawn from, and where its tiles go."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from service.settings.values import JSON, SECRET, Concern, Duration, LongSecret

KEY_BYTES = 32


def _seed(value: SecretStr) -> SecretStr:
    try:
        whole = len(bytes.fromhex(value.get_secret_value())) == KEY_BYTES
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(f"doit compter {KEY_BYTES} octets, en hexadécimal (openssl rand -hex 32)")
    return value


def _public(value: str) -> str:
    _seed(SecretStr(value))
    return value


class PreuveSettings(Concern):
    """What the log is sealed with."""

    preuve_origin: Annotated[str, Field(pattern=r"^[^\s+]{1,200}$")] = Field(
        "creances.invalid",
        description="Nom du journal scellé, unique au monde : un nom de domaine à soi, puis un chemin.",
    )
    preuve_key: Annotated[SecretStr, AfterValidator(_seed)] | None = Field(
        None,
        description="Clé Ed25519 du sceau, 32 octets en hexadécimal ; absente : créée dans DATA_DIR, hors production.",
        json_schema_extra=SECRET,
    )
    preuve_public_key: Annotated[str, AfterValidator(_public)] | None = Field(
        None,
        description="Clé publique du sceau, en hexadécimal, pour qui remet ou vérifie des preuves sans sceller ;"
        " absente : tirée de PREUVE_KEY.",
    )
    preuve_salt: LongSecret | None = Field(
        None,
        description="Secret dont les sels des feuilles sont tirés (32 octets au moins) ; ne change jamais. Absent :"
        " créé dans DATA_DIR, hors production.",
        json_schema_extra=SECRET,
    )
    preuve_retired_keys: Annotated[tuple[Annotated[str, AfterValidator(_public)], ...], *JSON] = Field(
        (), description='Clés publiques qui ont signé avant celle-ci, en hexadécimal, JSON : ["…"].'
    )
    preuve_interval: Duration = Field(timedelta(milliseconds=500), description="Temps entre deux sceaux, au plus.")
    preuve_dir: Path | None = Field(
        None, description="Dossier où écrire l'arbre (C2SP tlog-tiles), pour qui le vérifie ; absent : nulle part."
    )
