"""A patch for a Kubernetes Job: devices, memory and the longest time it may take.

It has no image and no command, which are the user's. ``kubectl patch --local`` or kustomize merges
it into a Job whose container is called ``train``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.fleet_answers.exports.request import ResourceRequest, request_of
from app.settings import Settings

RESOURCES = {"cuda": "nvidia.com/gpu", "rocm": "amd.com/gpu", "xpu": "gpu.intel.com/xe"}
"""What the vendors' device plugins offer."""
PRODUCT = {"cuda": "nvidia.com/gpu.product"}
"""The node label that names the product: NVIDIA's GPU feature discovery sets it."""


def to_kubernetes(settings: Settings, answer: Mapping[str, Any]) -> str:
    """YAML. Raises ``Conflict`` where nothing was chosen."""
    import yaml

    wanted = request_of(settings, answer)
    limits: dict[str, Any] = {}
    if wanted.host_mib is not None:
        limits["memory"] = f"{wanted.host_mib}Mi"
    resource = _resource(wanted)
    if resource is not None:
        limits[resource] = str(wanted.devices)
    pod: dict[str, Any] = {"restartPolicy": "Never"}
    if wanted.kind in PRODUCT:
        pod["nodeSelector"] = {PRODUCT[wanted.kind]: _label_value(wanted.device_name)}
    container: dict[str, Any] = {"name": "train"}
    if limits:
        container["resources"] = {"requests": dict(limits), "limits": limits}
    pod["containers"] = [container]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": wanted.name},
        "spec": {
            "activeDeadlineSeconds": wanted.time_limit_s,
            "backoffLimit": 0,
            "template": {"spec": pod},
        },
    }
    lines = [
        *wanted.about,
        "activeDeadlineSeconds is the upper end of the measured interval, for training alone.",
        "Merge it into your Job: kubectl patch -f job.yaml --local -o yaml --patch-file THIS_FILE",
    ]
    if wanted.host_mib is None:
        lines.append("Memory of the host was not measured, so none is requested.")
    comment = "".join(f"# {line}\n" for line in lines)
    return comment + yaml.safe_dump(job, sort_keys=False)


def _resource(wanted: ResourceRequest) -> str | None:
    told = wanted.settings.kubernetes_resource if wanted.settings else None
    return told or RESOURCES.get(wanted.kind)


def _label_value(name: str) -> str:
    """As GPU feature discovery writes a product's name: letters, digits, ``-``, ``_`` and ``.``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-_.")[:63]
