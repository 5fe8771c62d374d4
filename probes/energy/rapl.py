"""The energy of CPU packages and memory: Intel's and AMD's RAPL counters, which Linux shows
under ``/sys/class/powercap``.

They are read here and not through Zeus, which starts a Python process for each counter to see it
wrap around. Read several times a second, a counter that wraps around once an hour cannot be missed.
Where only the Zeus daemon may read them, see ``zeus_sensors``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from probes.devices.reading import Maybe, Missing
from probes.energy.counter import HOST, SensorError

POWERCAP = Path("/sys/class/powercap")
PERIOD_S = 0.001
"""The hardware updates its counters about every millisecond."""

NO_RAPL = Missing(
    "this machine shows no RAPL counters (there is no intel-rapl zone in /sys/class/powercap): "
    "virtual machines and containers seldom do"
)
NO_PERMISSION = Missing(
    "this user may not read the RAPL counters: sudo chmod a+r "
    "/sys/class/powercap/intel-rapl:*/energy_uj (until the next start of the machine), or run the "
    "Zeus daemon, pip install 'tonnage[energy]', and set ZEUSD_SOCK_PATH"
)


@dataclass
class _Zone:
    """One counter in microjoules. It starts again at zero after ``range_uj``."""

    path: Path
    range_uj: int
    last_uj: int = 0
    wrapped_uj: int = 0

    def read_uj(self) -> int:
        now_uj = _number(self.path / "energy_uj")
        if now_uj < self.last_uj:
            self.wrapped_uj += self.range_uj
        self.last_uj = now_uj
        return self.wrapped_uj + now_uj


@dataclass
class RaplCounter:
    """All packages of the host, and its memory where the hardware counts it."""

    zones: list[_Zone] = field(repr=False)
    source: str
    scope: str = HOST
    period_s: float = PERIOD_S

    def read_j(self) -> float:
        try:
            return sum(zone.read_uj() for zone in self.zones) * 1e-6
        except (OSError, ValueError) as error:
            raise SensorError(f"the RAPL counters could no longer be read: {error}") from None


def find_rapl(root: Path = POWERCAP) -> Maybe[RaplCounter]:
    """The host's counter, or why there is none.

    ``intel-rapl`` zones only: ``intel-rapl-mmio`` counts the same again. Cores and graphics are
    parts of their package, and ``psys`` contains it.
    """
    zones: list[_Zone] = []
    has_memory = False
    try:
        for path in sorted(root.glob("intel-rapl:*")):
            name = (path / "name").read_text().strip()
            if name != "dram" and not name.startswith("package"):
                continue
            zone = _Zone(path, _number(path / "max_energy_range_uj"))
            zone.read_uj()
            zones.append(zone)
            has_memory = has_memory or name == "dram"
    except PermissionError:
        return NO_PERMISSION
    except (OSError, ValueError) as error:
        return Missing(f"the RAPL counters cannot be read: {error}")
    if not zones:
        return NO_RAPL
    return RaplCounter(zones, "RAPL, packages and memory" if has_memory else "RAPL, packages")


def _number(path: Path) -> int:
    return int(path.read_text())
