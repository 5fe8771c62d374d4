"""Entry point of a worker process; run by path, never imported.

``python boot.py PACKAGE_FOLDER JOB_FD MESSAGE_FD``

Makes ``probes`` importable by itself before anything heavy is imported: its folder's parent is
*not* put on ``sys.path``, because a user's own ``app`` or ``optimizer`` package may have to be
found there.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType


def main(package: str, job_fd: int, message_fd: int) -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    _load_package("probes", package)
    from probes.worker.serve import serve

    serve(job_fd, message_fd)


def _load_package(name: str, folder: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {name} from {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
