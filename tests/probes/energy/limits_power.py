"""A process that changes a power limit again and again until it is killed:
``python limits_power.py FOLDER``."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

from probes.devices.base import DeviceFacts
from probes.devices.host import hash_uuid
from probes.energy.power_limit import PowerLimit
from probes.formatting import GIB
from tests.probes.energy import file_nvml

FACTS = DeviceFacts(
    "cuda:0", "cuda", "A driver in a file", GIB, None, identity={"uuid": hash_uuid(file_nvml.UUID)}
)
NVML = str(Path(file_nvml.__file__))


def main(folder: Path) -> None:
    while True:
        with PowerLimit(FACTS, folder, NVML) as limit:
            print(limit._guardian.pid if limit._guardian else 0, flush=True)
            for watts in itertools.islice(itertools.cycle((200, 250, 300)), 30):
                limit.set(watts)
                time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
