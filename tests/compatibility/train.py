import torch
from torch import nn


class Tiny:
    dataset_size = 5000

    def space(self):
        return {"layers": range(1, 4), "width": [16, 32]}

    def model(self, config):
        layers = [nn.Linear(32, 32) for _ in range(config["layers"])]
        return nn.Sequential(*layers, nn.Linear(32, config["width"]))

    def batches(self, config, batch_size):
        while True:
            yield torch.randn(batch_size, 512, 32)

    def loss(self, model, batch):
        return model(batch).square().mean()
