"""All kinds of faults; one that stands here twice comes twice as often."""

from typing import Final

from tests.faults import clock, disk, restore, topics
from tests.faults.fault import Fault
from tests.faults.faults import PROCESSES_AND_SERVERS

FAULTS: Final = (
    *PROCESSES_AND_SERVERS,
    Fault("backup restored under running roles (pg_dump)", restore.restore_dump, seconds=45),
    Fault("backup restored under running roles (base backup)", restore.restore_copy, seconds=45),
    Fault("PostgreSQL's disk full", disk.fill_disk, seconds=20, lacking=disk.lacking),
    Fault("topic deleted and created again", topics.recreate, seconds=20),
    Fault("PostgreSQL's clock jumped", clock.jump, seconds=15, lacking=clock.lacking),
)
