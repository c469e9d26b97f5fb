"""All settings: `CREANCES_…` variables, a `.env` file, and secrets from files (`CREANCES_…_FILE` names the file).

The first that says something wins: arguments, environment, files of the environment, `.env`, files of `.env`. An empty
variable counts as not given. Durations read `15 min`, `24 h`, `500 ms`, a bare number of seconds, or ISO 8601 `PT15M`.
"""

from service.settings.bank import Merchant
from service.settings.development import demo_witness_key, development_jwt_secret, drawn_secret
from service.settings.settings import Settings
from service.settings.table import HIDDEN, SettingRow, known_variables, settings_table, unknown_variables
from service.settings.values import PREFIX
from service.settings.web import Instructions

__all__ = [
    "HIDDEN",
    "PREFIX",
    "Instructions",
    "Merchant",
    "SettingRow",
    "Settings",
    "demo_witness_key",
    "development_jwt_secret",
    "drawn_secret",
    "known_variables",
    "settings_table",
    "unknown_variables",
]
