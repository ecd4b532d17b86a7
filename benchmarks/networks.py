"""Time and peak memory of UNet++ and UNet 3+ against a plain implementation of each.

Plain means as in the papers' figures: maps are up-sampled, concatenated, convolved. Both
implementations compute the same function with equal weights; the run first compares their outputs
and gradients. Each figure is the median over rounds in which the implementations take turns, each
in its own process, so that its peak memory is its own too::

    python benchmarks/networks.py                 # 256 x 256, batch 1 and 8, on the CPU
    python benchmarks/networks.py --device cuda
    python benchmarks/networks.py --quick         # 64 x 64, batch 1, one round: does it run

Peak memory is the most that the process (CPU, Linux) or the allocator (CUDA) holds beyond the
weights and the input. MONAI's UNet++ and, where installed, that of segmentation_models_pytorch are
in the table for context; they are other networks.

What was tried, at 256 x 256, batch 1, one CPU thread (single runs on a busy machine):

- UNet++, convolving the parts and adding the results, in place of concatenations: 0.56 of the
  memory in evaluation and 0.62 in training, at the same speed. Kept.
- UNet 3+, mixing channels on the coarse grid and interpolating by matrices, in place of convolving
  up-sampled maps: single branches are 2 to 60 times as fast. Nine interpolations of the mixed
  channels gave the same result in up to 9 times the matrices' time. The matrices were kept.
- UNet 3+, concatenating before the normalisation: the concatenation is then the copy that the norm
  keeps anyway. With the matrices, 2.1 times as fast, 0.67 of the memory in evaluation and 0.55 in
  training. Kept. (Adding the parts there was slower, 467 ms against 321 ms for 5 x 64 to 320
  channels at 128 x 128, since the wide result is then written five times.)
- Merging batch norm into the convolutions at inference: UNet 3+ is 4 % faster, with the same
  memory. Left out.
- Recomputing the two widest decoder nodes of UNet 3+ in the backward pass: 34 % slower and 3 % less
  memory, since the peak lies inside the widest node; the running statistics would count twice.
  Recomputing UNet++'s full-resolution nodes saved no memory. Left out.
- ``network.to(memory_format=torch.channels_last)``: UNet++ is 1.4 times as fast on the CPU, in
  either implementation. Left to the user, since it slows instance norm.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks import UNet3Plus, UNetPlusPlus

UNET_PLUS_PLUS = (32, 64, 128, 256, 512)
UNET_3_PLUS = (64, 128, 256, 512, 1024)


def two_convolutions(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1))
        layers += [nn.BatchNorm2d(outputs)] if norm else []
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class PlainUNetPlusPlus(nn.Module):
    """UNet++ with deep supervision, where every node convolves a concatenation."""

    def __init__(self, features: tuple[int, ...] = UNET_PLUS_PLUS) -> None:
        super().__init__()
        self.depth = len(features) - 1
        self.nodes, self.up, self.heads = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for i, channels in enumerate(features):
            inputs = features[i - 1] if i else 1
            self.nodes[f"x{i}_0"] = two_convolutions(inputs, channels, norm=False)
            for j in range(1, len(features) - i):
                self.up[f"x{i}_{j}"] = nn.ConvTranspose2d(features[i + 1], channels, 2, stride=2)
                self.nodes[f"x{i}_{j}"] = two_convolutions((j + 1) * channels, channels, norm=False)
        for j in range(1, len(features)):
            self.heads[f"x0_{j}"] = nn.Conv2d(features[0], 1, 1)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Return the heads in training, the logit of their mean probability in evaluation."""
        x: dict[tuple[int, int], Tensor] = {}
        for j in range(self.depth + 1):
            for i in range(self.depth + 1 - j):
                if j == 0:
                    source = F.max_pool2d(x[i - 1, 0], 2) if i else image
                else:
                    up = self.up[f"x{i}_{j}"](x[i + 1, j - 1])
                    source = torch.cat([*(x[i, k] for k in range(j)), up], dim=1)
                x[i, j] = self.nodes[f"x{i}_{j}"](source)
        logits = [self.heads[f"x0_{j}"](x[0, j]) for j in range(self.depth, 0, -1)]
        return logits if self.training else torch.stack(logits).sigmoid().mean(0).logit()

    def take_weights(self, network: UNetPlusPlus) -> None:
        """Copy the weights of the other implementation."""
        for name, node in network.nodes.items():
            for convolution, unit in zip(self.nodes[name][::2], node.units, strict=True):
                convolution.load_state_dict(unit.convolution.state_dict())
        self.up.load_state_dict(network.upsample.state_dict())
        self.heads.load_state_dict(network.heads.state_dict())


class PlainUNet3Plus(nn.Module):
    """UNet 3+ with deep supervision, where every branch is up-sampled, convolved, normalised."""

    def __init__(self, features: tuple[int, ...] = UNET_3_PLUS, skip: int = 64) -> None:
        super().__init__()
        wide = 5 * skip
        inputs = (1, *features)
        self.encoder = nn.ModuleList(
            two_convolutions(inputs[i], features[i], norm=True) for i in range(5)
        )
        self.branches, self.fusions = nn.ModuleList(), nn.ModuleList()
        for i in range(4):
            sources = (*features[: i + 1], *[wide] * (3 - i), features[4])
            self.branches.append(nn.ModuleList(self._unit(c, skip) for c in sources))
            self.fusions.append(self._unit(wide, wide))
        self.heads = nn.ModuleList(
            nn.Conv2d(channels, 1, 3, padding=1) for channels in (*[wide] * 4, features[4])
        )

    @staticmethod
    def _unit(inputs: int, outputs: int) -> nn.Sequential:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Return the heads in training, the full-resolution one in evaluation."""
        maps = [self.encoder[0](image)]
        for block in self.encoder[1:]:
            maps.append(block(F.max_pool2d(maps[-1], 2)))
        for i in (3, 2, 1, 0):
            reduced = [
                branch(self._at_scale(maps[k], k - i)) for k, branch in enumerate(self.branches[i])
            ]
            maps[i] = self.fusions[i](torch.cat(reduced, dim=1))
        if not self.training:
            return self.heads[0](maps[0])
        return [self._at_scale(head(maps[k]), k) for k, head in enumerate(self.heads)]

    @staticmethod
    def _at_scale(features: Tensor, steps: int) -> Tensor:
        if steps < 0:
            return F.max_pool2d(features, 2**-steps)
        if steps > 0:
            return F.interpolate(features, scale_factor=2**steps, mode="bilinear")
        return features

    def take_weights(self, network: UNet3Plus) -> None:
        """Copy the weights of the other implementation."""
        for layers, block in zip(self.encoder, network.encoder, strict=True):
            for index, unit in enumerate(block.units):
                layers[3 * index].load_state_dict(unit.convolution.state_dict())
                layers[3 * index + 1].load_state_dict(unit.norm.state_dict())
        for branches, fusion, node in zip(
            self.branches, self.fusions, network.decoder, strict=True
        ):
            scales, shifts = node.norm.weight.data.chunk(5), node.norm.bias.data.chunk(5)
            for index, (layers, branch) in enumerate(zip(branches, node.branches, strict=True)):
                layers[0].load_state_dict(branch.state_dict())
                layers[1].weight.data.copy_(scales[index])
                layers[1].bias.data.copy_(shifts[index])
            fusion[0].load_state_dict(node.fusion.convolution.state_dict())
            fusion[1].load_state_dict(node.fusion.norm.state_dict())
        self.heads.load_state_dict(network.heads.state_dict())


def unet_plus_plus() -> nn.Module:
    return UNetPlusPlus(2, 1, 1, deep_supervision=True)


def unet_3_plus() -> nn.Module:
    return UNet3Plus(2, 1, 1, deep_supervision=True)


def monai_unet_plus_plus() -> nn.Module:
    from monai.networks.nets import BasicUNetPlusPlus

    features = (*UNET_PLUS_PLUS, 32)
    return BasicUNetPlusPlus(2, 1, 1, features=features, deep_supervision=True)


def smp_unet_plus_plus() -> nn.Module:
    import segmentation_models_pytorch

    return segmentation_models_pytorch.UnetPlusPlus(
        "resnet18", encoder_weights=None, in_channels=1, classes=1
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "UNet++": unet_plus_plus,
    "UNet++, plain": PlainUNetPlusPlus,
    "UNet 3+": unet_3_plus,
    "UNet 3+, plain": PlainUNet3Plus,
    "MONAI BasicUNetPlusPlus": monai_unet_plus_plus,
    "smp UnetPlusPlus (resnet18)": smp_unet_plus_plus,
}


def total(output: Tensor | list[Tensor]) -> Tensor:
    heads = [output] if isinstance(output, Tensor) else list(output)
    return torch.stack([head.square().mean() for head in heads]).sum()


def check_equal(network: nn.Module, plain: nn.Module, side: int, device: str) -> None:
    """Check that equal weights give equal heads and input gradients, training and evaluating."""
    plain.take_weights(network)
    network, plain = network.to(device, torch.float64), plain.to(device, torch.float64)
    image = torch.randn(2, 1, side, side, dtype=torch.float64, device=device)
    for training in (True, False):
        network.train(training), plain.train(training)
        torch.testing.assert_close(network(image), plain(image))
    gradients = []
    for candidate in (network.train(), plain.train()):
        leaf = image.clone().requires_grad_()
        total(candidate(leaf)).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def resident(field: str) -> int:
    """Return the bytes of this process now (VmRSS) or at most since the last reset (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise ValueError(f"/proc/self/status: no field {field}, expected Linux; use --device cuda")


class PeakMemory:
    """Peak memory since construction, beyond the memory that was in use then."""

    def __init__(self, device: str) -> None:
        self.cuda = device == "cuda"
        gc.collect()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5")
            self.before = resident("VmRSS")

    def bytes(self) -> int:
        """Return the peak up to now."""
        peak = torch.cuda.max_memory_allocated() if self.cuda else resident("VmHWM")
        return peak - self.before


def measure(name: str, batch: int, backward: bool, side: int, repeats: int, device: str) -> dict:
    """Measure median seconds and peak bytes of one network, in this process."""
    torch.manual_seed(0)
    network = NETWORKS[name]().to(device).train(backward)
    image = torch.randn(batch, 1, side, side, device=device)
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight) if backward else None

    def step() -> float:
        begin = time.perf_counter()
        with torch.set_grad_enabled(backward):
            output = network(image)
        if backward:
            total(output).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    memory = PeakMemory(device)
    step()
    peak = memory.bytes()
    return {"seconds": statistics.median(step() for _ in range(repeats)), "bytes": peak}


def in_own_process(name: str, arguments: list[str]) -> dict | None:
    """Measure one network in its own process; None: its library is not installed."""
    command = [sys.executable, __file__, "--one", name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict = json.loads(done.stdout.splitlines()[-1])
    return result


def table(sizes: list[int], side: int, rounds: int, repeats: int, device: str) -> None:
    print(
        f"{side} x {side}, {device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print("| network | batch | pass | ms | speed-up | peak MiB | memory |")
    print("|---|---|---|---|---|---|---|")
    for batch in sizes:
        for backward in (False, True):
            common = [*("--batch", str(batch), "--side", str(side)), *("--repeats", str(repeats))]
            common += ["--device", device, *(["--backward"] if backward else [])]
            results: dict[str, list[dict]] = {name: [] for name in NETWORKS}
            for _ in range(rounds):
                for name, measurements in results.items():
                    result = in_own_process(name, common)
                    measurements += [result] if result else []
            print_rows(results, batch, "forward + backward" if backward else "forward")


def print_rows(results: dict[str, list[dict]], batch: int, direction: str) -> None:
    medians = {
        name: {key: statistics.median(m[key] for m in measurements) for key in ("seconds", "bytes")}
        for name, measurements in results.items()
        if measurements
    }
    for name, median in medians.items():
        plain = medians.get(f"{name}, plain")
        speed = f"{plain['seconds'] / median['seconds']:.2f}" if plain else ""
        memory = f"{median['bytes'] / plain['bytes']:.2f}" if plain else ""
        milliseconds, mebibytes = 1e3 * median["seconds"], median["bytes"] / 2**20
        print(
            f"| {name} | {batch} | {direction} | {milliseconds:.0f} | {speed} | {mebibytes:.0f} "
            f"| {memory} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="64 x 64, batch 1, one round")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--backward", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", choices=NETWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measurement = measure(
            options.one,
            options.batch[0],
            options.backward,
            options.side,
            options.repeats,
            options.device,
        )
        print(json.dumps(measurement))
        return
    for name in ("UNet++", "UNet 3+"):
        torch.manual_seed(0)
        check_equal(NETWORKS[name](), NETWORKS[f"{name}, plain"](), 32, options.device)
    if options.quick:
        table([1], 64, rounds=1, repeats=1, device=options.device)
    else:
        table(options.batch, options.side, options.rounds, options.repeats, options.device)


if __name__ == "__main__":
    main()
