"""The settings as people look at them: one line each, secrets hidden; and the variables that name none."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from service.addresses import without_password
from service.settings.settings import Settings
from service.settings.values import PREFIX, is_secret

HIDDEN: Final = "(masqué)"


class SettingRow(NamedTuple):
    """One line of `creances settings`."""

    variable: str
    value: str
    is_default: bool
    description: str


def settings_table(settings: Settings) -> list[SettingRow]:
    """List all settings in their order, secrets hidden; of a URL, only the password is."""
    return [
        SettingRow(
            f"{PREFIX}{name.upper()}",
            _shown(name, getattr(settings, name), secret=is_secret(field)),
            name not in settings.model_fields_set,
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def known_variables() -> set[str]:
    """Every variable that is read: a setting, or the file that holds a secret one."""
    fields = Settings.model_fields.items()
    return {f"{PREFIX}{name.upper()}" for name, _ in fields} | {
        f"{PREFIX}{name.upper()}_FILE" for name, field in fields if is_secret(field)
    }


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the `CREANCES_…` variables that name no setting: most often a spelling mistake."""
    known = known_variables()
    return sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known)


def _shown(name: str, value: object, *, secret: bool) -> str:
    if value is None or value == {}:
        return ""
    if name.endswith(("_url", "_endpoint")):
        return without_password(str(value))
    return HIDDEN if secret else str(value)
