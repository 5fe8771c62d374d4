"""Preparing data as a job of the worker: sources and model are read in the user's interpreter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from finetuning.data.prepare import prepare
from finetuning.data.sources import Source
from finetuning.models.loading import check_config, check_folder, read_config
from finetuning.models.outline import check_outline
from finetuning.models.tokenizers import load_tokenizer
from finetuning.run_folder import RunFolder
from finetuning.settings.files import read_settings
from finetuning.training.trainer import check_installed
from probes.worker.channel import Channel

NO_TEMPLATE = (
    "The model's tokenizer has a chat template, which is not applied: the model learns to answer "
    "plain prompts, as they stand in data/train.jsonl. Use it with such prompts."
)


def prepare_job(arguments: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Prepare the data of the run in ``arguments["output"]`` from ``arguments["sources"]`` (name to
    patterns). With ``arguments["keep"]``, rows that are there are used though their sources have
    changed. Returns the number of rows per split and per source, and what the card says, with notes
    about what the settings do to the model.

    Raises ``InputError`` for a model that has no tokenizer, is no causal language model, cannot
    take rows as long as asked for or cannot be adapted so, and for sources that cannot be used.
    """
    channel.progress("preparing")
    check_installed(sys.executable)
    folder = RunFolder(Path(arguments["output"]))
    settings = read_settings(folder.settings)
    check_folder(settings.model.name)
    config = read_config(settings.model.name)
    check_config(settings, config)
    about_model = check_outline(settings, config)
    tokenizer = load_tokenizer(settings.model.name)
    if tokenizer.chat_template:
        about_model.append(NO_TEMPLATE)
    sources = [Source(name, tuple(patterns)) for name, patterns in arguments["sources"].items()]
    summary = prepare(
        sources,
        settings,
        folder.path,
        lambda phase, done, total: channel.progress("preparing", done, total, part=phase),
        tokenizer=tokenizer,
        keep=arguments.get("keep", False),
    )
    return {
        "rows": {name: file.rows for name, file in summary.splits.items()},
        "sources": [
            {"name": one.name, "kind": one.kind, "read": one.read, "rows": dict(one.rows)}
            for one in summary.sources
        ],
        "notes": [*summary.notes, *about_model],
        "reused": summary.reused,
    }
