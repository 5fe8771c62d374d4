"""Write the golden answers, with the code that is on the path: that of the last release.

python -m tests.compatibility.record
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.compatibility.compare import shape
from tests.compatibility.released import (
    ASKED,
    COMMANDS,
    GOLDEN,
    HTML,
    MEASURED,
    RESUMED,
    answer,
    help_of,
    interface,
    log_in,
    option_names,
    pages,
    paths,
    serving,
)
from tests.compatibility.restore import restore
from tests.compatibility.restored import Moved


def record(folder: Path) -> None:
    restore(folder / "as-it-was.db")
    url = f"sqlite:///{folder / 'as-it-was.db'}"
    with serving(url, folder / "service") as client:
        _write("http", {path: answer(client, path) for path in paths(client)})
        _write("interface", interface(client))
        log_in(client)
        _write(
            "pages", {path: client.get(path, headers=HTML).status_code for path in pages(client)}
        )
    moved = Moved.make(folder / "moved")
    _write("commands", {name: option_names(help_of(name)) for name in COMMANDS.split()})
    _write("answers", {name: moved.answer(*asked) for name, asked in ASKED.items()})
    measured = {name: moved.answer(*asked) for name, asked in MEASURED.items()}
    measured["devices"]["document"]["devices"] = measured["devices"]["document"]["devices"][-1:]
    measured["devices"]["document"]["unavailable"] = {}
    measured["tune"] = moved.answer(*RESUMED)
    _write(
        "measured",
        {name: {**found, "document": shape(found["document"])} for name, found in measured.items()},
    )


def _write(name: str, document: Any) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (GOLDEN / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        record(Path(made))
