"""What the training loop costs beside the model: `python benchmarks/train.py`.

On a CPU: the whole loop (decoding in a worker, augmentation, checks, history) against the same model on a batch
that is already there, turn by turn in one run. One core computes, one loads, as `lgdnet train --threads 2` does.

On a GPU: clips per second, share of peak and waiting for data of R50 and Xception at 16 x 224 x 224 in bf16, eager
and compiled, against a naive fp32 loop that loads in the same process and reads the loss after every step.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch

from lgdnet.augment import train_transform
from lgdnet.batch import Batch
from lgdnet.checkpoint import Checkpoints
from lgdnet.history import History
from lgdnet.loader.batches import batches
from lgdnet.loader.frames import FrameSource
from lgdnet.manifest import read_manifest
from lgdnet.modalities import MODALITIES
from lgdnet.models import build_model, count_gflops, training_loss
from lgdnet.optimizer import build_optimizer
from lgdnet.trainer import train

PEAK_TFLOPS = {"H100": 790.0, "H200": 790.0, "A100": 312.0}  # bf16, dense, as measured or as published


def sample_manifest(folder: Path) -> tuple[Path, Path]:
    """The embedded sample's training videos: manifest and video root, made on the spot."""
    from lgdnet.settings import DatasetSettings, ManifestSettings
    from lgdnet.stages import manifest, sample

    sample.run(folder / "sample", num_workers=2)
    lists = {"train": folder / "sample/train.csv"}
    dataset = DatasetSettings(video_root=folder / "sample/videos", annotations=lists)
    manifest.run(dataset, ManifestSettings(), Path(), folder / "manifest", num_workers=2)
    return folder / "manifest/train.csv", folder / "sample/videos"


class Loop:
    """The whole training loop, some steps at a time, on real videos or on one batch that is there."""

    def __init__(
        self, folder: Path, source: FrameSource, model: torch.nn.Module, options: argparse.Namespace
    ) -> None:
        self.folder, self.source, self.model, self.options = folder, source, model, options

    def seconds(
        self, num_steps: int, *, stream: Callable[[int], Iterator[Batch]], **changes: object
    ) -> tuple[float, float]:
        """Wall time per step of a run, and processor time of the training process. The first two do not count."""
        times: list[tuple[float, float]] = []

        def timed(step: int) -> Iterator[Batch]:
            for batch in stream(step):
                times.append((time.perf_counter(), time.process_time()))
                yield batch

        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            train(
                self.model,
                batches_from=timed,
                transform=train_transform(MODALITIES["frame"]),
                loss=training_loss,
                optimizer=build_optimizer(self.model, "sgd"),
                learning_rate=lambda step: 1e-4,
                num_steps=num_steps,
                steps_per_epoch=num_steps,
                checkpoints=Checkpoints(Path(folder) / "checkpoints"),
                history=History(Path(folder) / "history.csv"),
                clip_norm=10.0,
                device=self.options.device,
                log_every=5,
                **changes,  # type: ignore[arg-type]
            )
        return per_step(times)

    def from_videos(self, step: int) -> Iterator[Batch]:
        """Decoded by a worker."""
        return batches(
            self.source,
            batch_size=self.options.batch,
            seed=0,
            start_step=step,
            num_workers=self.options.workers,
        )

    def alone(self, num_steps: int, batch: Batch, *, optimizer: torch.optim.Optimizer) -> tuple[float, float]:
        """The same of the model alone: forward, backward, update on data that is there; nothing else."""
        clip, target = train_transform(MODALITIES["frame"])(batch, torch.device(self.options.device))
        self.model.train()
        times = []
        for _ in range(num_steps):
            times.append((time.perf_counter(), time.process_time()))
            training_loss(self.model(clip), target).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return per_step(times)


def per_step(times: list[tuple[float, float]]) -> tuple[float, float]:
    """Means of the differences, from the third entry on."""
    count = len(times) - 3
    return (times[-1][0] - times[2][0]) / count, (times[-1][1] - times[2][1]) / count


def on_cpu(options: argparse.Namespace) -> None:
    """Ratio of the loop to the model alone, median over turns."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path, root = (options.manifest, options.video_root) if options.manifest else sample_manifest(folder)
        source = FrameSource(
            read_manifest(path), root, clip_length=16, size=options.crop, short_side=options.crop
        )
        model = build_model(options.model, in_channels=3, num_classes=10, width=options.width)
        loop = Loop(folder, source, model, options)
        batch = next(loop.from_videos(0))
        optimizer = build_optimizer(model, "sgd")
        wall, processor, rates = [], [], []
        for turn in range(options.turns):
            alone = loop.alone(options.steps, batch, optimizer=optimizer)
            whole = loop.seconds(options.steps, stream=loop.from_videos)
            wall.append(whole[0] / alone[0])
            processor.append(whole[1] / alone[1])
            rates.append((options.batch / alone[0], options.batch / whole[0]))
            print(
                f"turn {turn}: model alone {rates[-1][0]:.2f} clips/s, loop {rates[-1][1]:.2f}; wall time "
                f"{wall[-1] - 1:+.1%}, processor time of the training process {processor[-1] - 1:+.1%}"
            )
        alone_rate, whole_rate = (median(column) for column in zip(*rates, strict=True))
        print(
            f"{options.model}, width {options.width}, {options.batch} clips of 16 x {options.crop} x {options.crop}, "
            f"medians of {options.turns} turns: model alone {alone_rate:.2f} clips/s, whole loop {whole_rate:.2f}; the "
            f"loop costs {median(wall) - 1:+.1%} wall time, {median(processor) - 1:+.1%} processor time"
        )


def on_gpu(options: argparse.Namespace) -> None:
    """Clips per second and share of peak on data that is there, against a naive loop."""
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAK_TFLOPS.items() if key in name), None)
    batch = Batch(
        torch.randint(0, 255, (options.batch, 3, 16, 224, 224), dtype=torch.uint8).pin_memory(),
        torch.zeros(options.batch, dtype=torch.int64),
        torch.arange(options.batch),
        torch.arange(options.batch),
    )

    def resident(step: int) -> Iterator[Batch]:
        while True:
            yield batch

    for model_name in ("lgd-p3d-resnet50", "lgd-p3d-xception"):
        model = build_model(model_name, in_channels=3, num_classes=700).cuda()
        gflops = (
            count_gflops(model, (1, 3, 16, 224, 224)) * 2 * 3
        )  # multiply-adds; forward and twice backward
        with tempfile.TemporaryDirectory() as folder:
            loop = Loop(Path(folder), None, model, options)  # type: ignore[arg-type]
            naive = naive_gpu_seconds(model, batch, options.steps)
            print(f"{model_name} on {name}: naive fp32 loop {options.batch / naive:.0f} clips/s")
            for compiled in (False, True):
                seconds, _ = loop.seconds(options.steps, stream=resident, precision="bf16", compile=compiled)
                rate = options.batch / seconds
                share = f", {rate * gflops / 1000 / peak:.0%} of {peak:.0f} TFLOP/s" if peak else ""
                print(
                    f"  bf16 {'compiled' if compiled else 'eager':8}: {rate:.0f} clips/s{share}; {naive / seconds:.1f}x"
                )


def naive_gpu_seconds(model: torch.nn.Module, batch: Batch, num_steps: int) -> float:
    """fp32, copy from pageable memory, plain SGD, and `.item()` after every step."""
    transform, optimizer = (
        train_transform(MODALITIES["frame"]),
        torch.optim.SGD(model.parameters(), 1e-4, 0.9),
    )
    times = []
    for _ in range(num_steps):
        clip, target = transform(batch._replace(clip=batch.clip.clone()), torch.device("cuda"))
        loss = training_loss(model(clip), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter())
    return (times[-1] - times[1]) / (len(times) - 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--model", default="lgd-p3d-resnet18")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--crop", type=int, default=112)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--manifest", type=Path, help="of other videos than the embedded sample")
    parser.add_argument("--video-root", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    on_gpu(options) if options.device == "cuda" else on_cpu(options)


if __name__ == "__main__":
    main()
