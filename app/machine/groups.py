"""Devices that train as one, as one device of this machine: which are asked for, and what they are
together. Pure; nothing here measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.machine.budgets import check_budget
from probes.devices.base import DeviceFacts
from probes.devices.environment import group_environment
from probes.devices.fingerprint import Fingerprint, build_fingerprint, group_fingerprint
from probes.devices.group_telemetry import GroupTelemetry
from probes.devices.links import link_between
from probes.devices.telemetry import Telemetry
from probes.errors import InputError
from probes.formatting import plural, size_text
from probes.group import Group, is_group, parse_group


def asked_group(
    offered: Sequence[str], device: str | None, devices: str | int | None
) -> Group | None:
    """The group that ``--devices``, or a label as the device, asks for; ``None`` for a single
    device. ``offered`` are the devices of this machine, best first.

    Raises ``InputError`` for devices that are not here, or that cannot train together.
    """
    if not offered:
        return None  # there is not even a single device
    if devices is None:
        return parse_group(device, offered) if device is not None and is_group(device) else None
    if device is not None and is_group(device):
        raise InputError(
            f"--device {device} names several devices already: leave out either --device or "
            "--devices."
        )
    return parse_group(str(devices), offered, device)


def one_of(group: Group) -> Group:
    """The first rank of a group as a group of its own with as many threads, to be compared with
    it."""
    threads = group_environment(group).get("OMP_NUM_THREADS")
    return Group(
        group.devices[:1],
        threads=int(threads) if threads is not None else None,
        nodes=group.nodes[:1],
    )


def group_facts(group: Group, members: Sequence[DeviceFacts]) -> DeviceFacts:
    """What the devices are together. Memory is that of one rank: of the smallest device, or of the
    ranks' equal shares of a CPU's memory."""
    names = list(dict.fromkeys(each.name for each in members))
    first = members[0]
    free = [each.free_bytes for each in members]
    total, least_free = min(each.total_bytes for each in members), _least(free)
    environment = dict(first.environment)
    name = f"{group.size} × {names[0]}" if len(names) == 1 else " + ".join(names)
    spread = f", on {group.hosts} nodes" if group.hosts > 1 else ""
    if group.kind == "cpu":
        name = f"{plural(group.size, 'rank')} on {names[0]}"
        total //= group.per_host
        least_free = None if least_free is None else least_free // group.per_host
        threads = group_environment(group).get("OMP_NUM_THREADS")
        environment["threads"] = int(threads) if threads is not None else environment.get("threads")
    return replace(
        first,
        device=group.label,
        name=f"{name}{spread}",
        total_bytes=total,
        free_bytes=least_free,
        identity={},
        device_class={},
        environment=environment,
        notes=list(dict.fromkeys(note for each in members for note in each.notes)),
        precisions={
            precision: next(
                (e.precisions[precision] for e in members if e.precisions[precision]), ""
            )
            for precision in first.precisions
        },
    )


def group_telemetry(group: Group, members: Sequence[DeviceFacts], nvml: Any = None) -> Telemetry:
    """Watches every device of the group; the ranks of a CPU share one."""
    if group.kind == "cpu":
        return Telemetry(members[0])
    return GroupTelemetry(members, nvml=nvml)


def fingerprint_of_group(
    group: Group, members: Sequence[DeviceFacts], nvml: Any = None
) -> Fingerprint:
    """What makes results of the group comparable; see ``group_fingerprint``."""
    known = {
        each.device: build_fingerprint(each, Telemetry(each, nvml=nvml))
        for each in {each.device: each for each in members}.values()
    }
    return group_fingerprint(
        [known[each.device] for each in members],
        total_bytes=group_facts(group, members).total_bytes,
        library=group.library,
        link=link_between(members, nvml),
    )


def with_budgets(
    group: Group, members: Sequence[DeviceFacts], budgets: Sequence[int]
) -> tuple[Group, int | None]:
    """The group with the memory budget of each rank, and the smallest of them; ``None`` where each
    device has all of its memory. One budget is for every rank.

    Raises ``InputError`` for more than a device has, or for a wrong number of budgets.
    """
    totals = [each.total_bytes for each in members]
    if not budgets:  # a worker would take all of the CPU's memory to be its own
        return group, min(totals) // group.per_host if group.kind == "cpu" else None
    if len(budgets) not in (1, group.size):
        raise InputError(
            f"--memory-budget: {len(budgets)} sizes for {plural(group.size, 'rank')}: give one for "
            "all ranks, or one for each."
        )
    wanted = list(budgets) * (group.size // len(budgets))
    for first in range(0, group.size, group.per_host) if group.kind == "cpu" else ():
        together = sum(wanted[first : first + group.per_host])
        if together > totals[first]:
            machine = group.node_of(first) or "this machine"
            raise InputError(
                f"--memory-budget: {group.per_host} ranks would take {size_text(together)} "
                f"together; they share the {size_text(totals[first])} of {machine}."
            )
    for device, budget, total in zip(group.devices, wanted, totals, strict=True):
        check_budget(budget, device, total)
    if len(set(budgets)) > 1:
        group = replace(group, limits=tuple(budgets))
    return group, min(budgets)


def _least(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None
