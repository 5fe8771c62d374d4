"""``tonnage devices``: the devices of this machine, their fingerprints and states."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.cli import options
from app.cli.context import open_settings
from app.cli.output import facts_table, print_json, stdout
from probes.formatting import size_text


def devices(python: options.Python = None, json_: options.Json = False) -> None:
    """Show the devices that torch can train on here.

    Each device is shown with its fingerprint and its state. The best device comes first; other
    commands use it by default.
    """
    settings = open_settings()

    from app.machine.device_groups import DeviceHere, groups_of, links_of
    from app.machine.target import find_devices
    from probes.devices.base import DeviceFacts
    from probes.devices.fingerprint import build_fingerprint
    from probes.devices.lease import holder_of
    from probes.devices.telemetry import Telemetry

    _, found = find_devices(settings, python)
    documents: list[dict[str, Any]] = []
    known = [DeviceFacts(**raw) for raw in found["devices"]]
    links = links_of(known)
    here: list[DeviceHere] = []
    for facts in known:
        telemetry = Telemetry(facts)
        fingerprint = build_fingerprint(facts, telemetry)
        holder = holder_of(facts, settings.probe.lease_dir)
        here.append(DeviceHere.of(facts, fingerprint.class_key, links[facts.device]))
        documents.append(
            {
                "device": facts.device,
                "kind": facts.kind,
                "name": facts.name,
                "total_bytes": facts.total_bytes,
                "free_bytes": facts.free_bytes,
                "fingerprint": fingerprint.key,
                "class": fingerprint.class_key,
                **vars(fingerprint),
                "state": telemetry.read().to_dict(),
                "precisions": [name for name, why_not in facts.precisions.items() if not why_not],
                "unsupported": {name: why for name, why in facts.precisions.items() if why},
                "notes": facts.notes,
                "lease": None if holder is None else asdict(holder),
            }
        )
    groups = groups_of(here)
    document = {
        "devices": documents,
        "groups": [group.to_dict() for group in groups],
        "unavailable": found["unavailable"],
        "interpreter": found["interpreter"],
    }
    if json_:
        print_json(document)
        return
    console = stdout()
    for group in groups:
        console.print(
            f"Can train together: {group.name}, {group.link_words}: --devices {group.label}",
            markup=False,
        )
    for device in documents:
        console.print(f"[bold]{device['device']}[/bold]  {device['name']}")
        console.print(facts_table(_rows(device)))
        console.print()
    for kind, reason in found["unavailable"].items():
        console.print(f"{kind}: not available – {reason}", markup=False)
    interpreter = found["interpreter"]
    console.print(
        f"\ntorch {interpreter['torch']}, Python {interpreter['python']} "
        f"({interpreter['executable']})",
        markup=False,
    )


def _rows(device: dict[str, Any]) -> list[tuple[str, str]]:
    from probes.devices.lease import Holder

    rows = [
        ("memory", f"{size_text(device['total_bytes'])}, {size_text(device['free_bytes'])} free"),
        ("fingerprint", f"{device['fingerprint']} (class {device['class']})"),
    ]
    if device["precisions"]:
        rows.append(("precisions", ", ".join(device["precisions"])))
    if device["lease"] is not None:
        rows.insert(0, ("in use", f"by {Holder(**device['lease'])}"))
    for group in ("identity", "device_class", "environment", "state"):
        known = {k: v for k, v in device[group].items() if not _missing(v) and v is not None}
        text = ", ".join(f"{k}={_text(k, v)}" for k, v in known.items())
        rows.append((group.replace("device_", ""), text))
    reasons: dict[str, list[str]] = {}
    for group in ("identity", "device_class", "state"):
        for key, value in device[group].items():
            if _missing(value):
                reasons.setdefault(value["missing"], []).append(key)
    rows += [("unknown", f"{', '.join(keys)}: {reason}") for reason, keys in reasons.items()]
    rows += [("no " + name, why) for name, why in device["unsupported"].items()]
    rows += [("note", note) for note in device["notes"]]
    return rows


def _text(name: str, value: Any) -> str:
    return size_text(value) if name.endswith("_bytes") and isinstance(value, int) else str(value)


def _missing(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"missing"}
