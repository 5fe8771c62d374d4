"""A fleet in words: its nodes, its devices, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from app.fleet.doctor import Finding
from app.fleet.nodes import FleetNode
from app.fleet.service import FleetDevice, NodeView
from probes.formatting import size_text

LOUD = {"fail": "bold red", "note": "yellow", "ok": "green"}


def nodes_table(nodes: Iterable[NodeView]) -> Table:
    table = Table("node", "state", "devices", "running", "labels", "note", box=None)
    for view in nodes:
        node = view.node
        labels = ", ".join(
            f"{name.removeprefix('tonnage/')}={value}"
            for name, value in sorted(node.labels.items())
            if not name.startswith("ray.io/")
        )
        table.add_row(
            node.name,
            str(node.state),
            Text(", ".join(each.offer.device for each in view.devices) or "–"),
            Text(", ".join(job.id for job in view.running) or "–"),
            Text(labels),
            Text(_note(view)),
        )
    return table


def devices_table(found: Iterable[tuple[FleetNode, FleetDevice]]) -> Table:
    table = Table("node", "device", "name", "memory", "class", "job", box=None)
    for node, device in found:
        offer, job = device.offer, device.job
        cells = (
            node.name,
            offer.device,
            offer.name,
            size_text(offer.total_bytes),
            offer.class_key,
            f"{job.id} ({job.workload})" if job else "free",
        )
        table.add_row(*map(Text, cells))
    return table


def finding_lines(findings: Iterable[Finding]) -> Iterator[Text]:
    for each in findings:
        yield Text.assemble((f"{each.level:4} ", LOUD[each.level]), f"{each.what}: {each.text}")


def _note(view: NodeView) -> str:
    return "; ".join([*([view.node.reason] if view.node.reason else []), *view.differs])
