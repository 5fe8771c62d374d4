"""``train_trainer.py`` as a workload: the Trainer as it is, for each config of the space."""

import tempfile

from train_trainer import TrainingArguments, make_trainer

from probes.adapters import from_trainer

ARGUMENTS = TrainingArguments(output_dir=tempfile.gettempdir(), report_to=[])

workload = from_trainer(
    lambda config: make_trainer(config["layers"], config["hidden_size"], ARGUMENTS),
    space={"layers": [1, 2, 4], "hidden_size": [32, 64, 128]},
)
