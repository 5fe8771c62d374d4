"""The environment of a rank's process, to be made on the host where it runs."""

from __future__ import annotations

from probes.devices.environment import group_environment, worker_environment
from probes.group import Group


def environment_of(group: Group, rank: int) -> dict[str, str]:
    """What a rank's environment has beside that of its host: as under torchrun, and a fair share
    of the cores where the ranks there are on the CPU."""
    added = worker_environment(group.kind)
    added.update(group_environment(group))
    added.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank % group.per_host),
        WORLD_SIZE=str(group.size),
        LOCAL_WORLD_SIZE=str(group.per_host),
        GROUP_RANK=str(rank // group.per_host),
    )
    return added
