"""A generative adversarial network with two losses, trained as the DCGAN example trains: one line
per batch, pictures every hundred batches."""

from __future__ import annotations

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--batchSize", type=int, default=64)
parser.add_argument("--niter", type=int, default=10_000)
opt = parser.parse_args()
torch.manual_seed(2)
print(opt)
NZ, NGF, NDF = 64, 8, 8


def up(inside: int, outside: int, stride: int, padding: int) -> list[nn.Module]:
    convolution = nn.ConvTranspose2d(inside, outside, 4, stride, padding, bias=False)
    return [convolution, nn.BatchNorm2d(outside), nn.ReLU(True)]


def down(inside: int, outside: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inside, outside, 4, 2, 1, bias=False)
    return [convolution, nn.BatchNorm2d(outside), nn.LeakyReLU(0.2, True)]


netG = nn.Sequential(
    *up(NZ, NGF * 4, 1, 0), *up(NGF * 4, NGF * 2, 2, 1), *up(NGF * 2, NGF, 2, 1),
    nn.ConvTranspose2d(NGF, 3, 4, 2, 1, bias=False), nn.Tanh(),
)  # fmt: skip
netD = nn.Sequential(
    nn.Conv2d(3, NDF, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
    *down(NDF, NDF * 2), *down(NDF * 2, NDF * 4),
    nn.Conv2d(NDF * 4, 1, 4, 1, 0, bias=False), nn.Sigmoid(), nn.Flatten(0),
)  # fmt: skip
print(netG)
print(netD)
criterion = nn.BCELoss()
fixed_noise = torch.randn(16, NZ, 1, 1)
optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))
loader = DataLoader(
    TensorDataset(torch.rand(1_000, 3, 32, 32) * 2 - 1), opt.batchSize, shuffle=True
)
for epoch in range(opt.niter):
    for i, (real,) in enumerate(loader, 0):
        netD.zero_grad()
        size = len(real)
        output = netD(real)
        errD_real = criterion(output, torch.ones(size))
        errD_real.backward()
        D_x = output.mean().item()
        fake = netG(torch.randn(size, NZ, 1, 1))
        output = netD(fake.detach())
        errD_fake = criterion(output, torch.zeros(size))
        errD_fake.backward()
        D_G_z1 = output.mean().item()
        errD = errD_real + errD_fake
        optimizerD.step()
        netG.zero_grad()
        output = netD(fake)
        errG = criterion(output, torch.ones(size))
        errG.backward()
        D_G_z2 = output.mean().item()
        optimizerG.step()
        print(
            f"[{epoch}/{opt.niter}][{i}/{len(loader)}] Loss_D: {errD.item():.4f} "
            f"Loss_G: {errG.item():.4f} D(x): {D_x:.4f} D(G(z)): {D_G_z1:.4f} / {D_G_z2:.4f}"
        )
        if i % 100 == 0:
            with torch.no_grad():
                netG(fixed_noise)
