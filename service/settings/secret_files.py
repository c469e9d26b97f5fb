"""Secrets from files: `CREANCES_X_FILE` names the file that holds the secret `X`."""

from collections.abc import Mapping
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

from service.files import unreadable
from service.settings.values import PREFIX, is_secret, read_json


class SecretFiles(PydanticBaseSettingsSource):
    """Reads each secret `X` from the file that `CREANCES_X_FILE` names.

    A trailing line end is no part of it, nor the byte order mark that some editors put first.
    """

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self.variables = {name.upper(): value for name, value in variables.items() if value}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        """Return the file's content, the variable's name, and whether it is JSON.

        Raises:
            SettingsError: both forms are given, or the file cannot be read.
        """
        variable = f"{PREFIX}{field_name.upper()}"
        path = self.variables.get(f"{variable}_FILE")
        if path is None or not is_secret(field):
            return None, field_name, False
        if variable in self.variables:
            raise SettingsError(f"{variable} et {variable}_FILE sont donnés tous deux : n'en gardez qu'un.")
        try:
            content = Path(path).read_text("utf-8-sig").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as cause:
            raise SettingsError(f"{variable}_FILE : {unreadable(path, cause)}") from cause
        return content, field_name, self.field_is_complex(field)

    def __call__(self) -> dict[str, object]:
        """Return the values found in files.

        Raises:
            SettingsError: files that cannot be read, all of them, one a line.
        """
        found: dict[str, object] = {}
        faults: list[str] = []
        for name, field in self.settings_cls.model_fields.items():
            try:
                value, key, is_json = self.get_field_value(field, name)
                if value is not None:
                    found[key] = read_json(value) if is_json else value
            except SettingsError as cause:
                faults.append(str(cause))
            except ValueError as cause:
                faults.append(f"{PREFIX}{name.upper()}_FILE : {cause}.")
        if faults:
            raise SettingsError("\n".join(faults))
        return found
