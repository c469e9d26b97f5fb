"""The proof of the log: its name, its key, what its salts are drawn from, and where its tiles go."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from preuve.notes import KeyType, NoteRefused, Verifier
from service.settings.values import JSON, SECRET, BaseUrl, Concern, Duration, LongSecret

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


def _visible(name: str) -> str:
    """Verifiers refuse a name that holds what cannot be seen: nothing that it signs would be believed."""
    if not name.isprintable():
        raise ValueError("a un signe qui ne se voit pas")
    return name


def _cosigner(value: str) -> str:
    try:
        of_witness = Verifier.parse(_visible(value)).type is KeyType.COSIGNATURE
    except NoteRefused:
        of_witness = False
    if not of_witness:
        raise ValueError("doit être la clé de vérification d'un témoin : nom+identifiant+base64 (genre 04)")
    return value


class Temoin(BaseModel):
    """A witness: what its signatures are recognised by, and where it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cle: Annotated[str, AfterValidator(_cosigner)]
    url: BaseUrl

    @property
    def verifier(self) -> Verifier:
        """Its key, which bears its name."""
        return Verifier.parse(self.cle)


class PreuveSettings(Concern):
    """What the log is sealed with."""

    preuve_origin: Annotated[str, Field(pattern=r"^[^\s+]{1,200}$"), AfterValidator(_visible)] = Field(
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
    preuve_interval: Duration = Field(timedelta(seconds=1), description="Temps entre deux sceaux, au plus.")
    preuve_dir: Path | None = Field(
        None, description="Dossier où écrire l'arbre (C2SP tlog-tiles), pour qui le vérifie ; absent : nulle part."
    )
    preuve_temoins: Annotated[tuple[Temoin, ...], *JSON] = Field(
        (),
        description="Témoins qui cosignent l'état du journal (C2SP tlog-witness), JSON :"
        ' [{"cle": "nom+identifiant+base64", "url": "https://…"}].',
    )
    preuve_temoins_accord: int = Field(
        1, ge=1, description="Témoins qui doivent avoir cosigné un état pour qu'il soit publié."
    )
    preuve_temoins_interval: Duration = Field(
        timedelta(seconds=5), description="Temps entre deux états montrés à un témoin, et publiés, au moins."
    )

    @model_validator(mode="after")
    def _enough_witnesses(self) -> Self:
        names = [temoin.verifier.name for temoin in self.preuve_temoins]
        if len(set(names)) != len(names):
            raise ValueError("PREUVE_TEMOINS nomme deux fois le même témoin")
        if self.preuve_temoins and self.preuve_temoins_accord > len(names):
            raise ValueError("PREUVE_TEMOINS_ACCORD demande plus de témoins qu'il n'y en a")
        return self
