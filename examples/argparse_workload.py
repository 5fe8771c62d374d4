"""``train_argparse.py`` as a workload: its model, its data and its loss, without its loop."""

from torch.utils.data import DataLoader
from train_argparse import build, digits, loss_of

from probes.adapters import from_dataloader

workload = from_dataloader(
    DataLoader(digits()),
    model=lambda config: build(config["layers"], config["width"]),
    step=loss_of,
    space={"layers": [1, 2, 4], "width": [32, 64, 128]},
)
