"""How a workload is named on the command line. Quick to import."""

from __future__ import annotations


def absolute_spec(spec: str) -> str:
    """A file's path made absolute, so that the same workload is the same from any folder."""
    from pathlib import Path

    path, separator, name = spec.rpartition(":")
    if not separator:
        path, name = spec, ""
    if not path.endswith(".py"):
        return spec
    absolute = str(Path(path).expanduser().resolve())
    return f"{absolute}:{name}" if name else absolute
