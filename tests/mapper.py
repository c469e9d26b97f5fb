"""Le mapper des tests : celui du service."""

from typing import Final

from domain.agregats import AGREGATS
from engine.mapper import EventMapper

MAPPER: Final = EventMapper(AGREGATS)
