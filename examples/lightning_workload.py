"""``train_lightning.py`` as a workload: its module and its data module, without a Trainer."""

from train_lightning import ConvNet, Digits

from probes.adapters import from_lightning

workload = from_lightning(
    lambda config: (ConvNet(config["layers"], config["channels"]), Digits()),
    space={"layers": [1, 2, 3], "channels": [8, 16, 32], "precision": ["fp32"]},
)
