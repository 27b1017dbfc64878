"""Prediction of new videos: memory for ten seconds against two hours, time of each part, GPU against CPU.

    python benchmarks/predict.py                                  results/sample, 10 s against 2 h
    python benchmarks/predict.py --challenge results/mine         another finished challenge, or a pack
    python benchmarks/predict.py --real-size                      networks of the challenge's size, untrained, a 10 s
                                                                  video of 340 x 256; on a GPU too where there is one

The two hours are ten seconds over and over, packets copied, so that making them takes no time. Memory is that of
`lgdnet predict` and all its processes together, looked at twenty times a second.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.memory import resident_mib

SHORT_SEC, LONG_SEC = 10, 7200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--challenge", type=Path, default=Path("results/sample"))
    parser.add_argument("--real-size", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.real_size:
            real_size(folder)
        else:
            memory(arguments.challenge, folder)


def memory(challenge: Path, folder: Path) -> None:
    """Ten seconds against two hours, in a process of their own each."""
    short = made(folder / "short.mp4", SHORT_SEC, (72, 96), rate=16)
    long = repeated(short, folder / "long.mp4", LONG_SEC // SHORT_SEC)
    print(f"{'video':8s} {'frames':>8s} {'MiB':>6s} {'seconds':>8s}  parts")
    for video in (short, long):
        answer, peak, seconds = watched(challenge, video)
        parts = ", ".join(f"{part} {value:.2f}" for part, value in answer["seconds"].items())
        print(f"{video.stem:8s} {answer['num_frames']:8d} {peak:6.0f} {seconds:8.1f}  {parts}")


def watched(challenge: Path, video: Path) -> tuple[dict, float, float]:
    """The answer of `lgdnet predict`, the largest memory of its processes together in MiB, and seconds."""
    command = [sys.executable, "-m", "lgdnet", "predict", str(video), "--challenge", str(challenge), "--json"]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(resident_mib("VmRSS", pid) for pid in family(process.pid)))
        time.sleep(0.05)
    assert process.stdout is not None
    output = process.stdout.read()
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}"
    return json.loads(output), peak, time.monotonic() - start


def family(pid: int) -> list[int]:
    """A process and all below it that are there now."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(other for child in children for other in family(int(child)))]


def real_size(folder: Path) -> None:
    """Seconds of each part of a 10 s video on each device, and how far their scores are apart."""
    import torch

    from lgdnet.prediction.opening import opened
    from lgdnet.prediction.predictor import Predictor

    results, video = untrained(folder / "results"), made(folder / "video.mp4", SHORT_SEC, (256, 340), rate=30)
    answers = {}
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        what = torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
        with opened(results) as finished, Predictor(finished, device=device) as predictor:
            predictor.predict(video)  # the first one loads kernels
            found = answers[device] = predictor.predict(video)
        parts = ", ".join(f"{part} {value:.3f}" for part, value in found.seconds.items())
        print(f"{what}: {sum(found.seconds.values()):.3f} s ({parts})", flush=True)
    if "cuda" in answers:
        one, two = (np.exp(answers[device].log_scores) for device in ("cpu", "cuda"))
        print(f"largest difference of scores: {np.abs(one - two).max():.1e}")


def untrained(root: Path) -> Path:
    """Frames and flow with LGD-P3D-ResNet50 on 16 frames of 224 x 224, 20 clips each, 700 classes."""
    from lgdnet.fusion import Fitted, Fusion
    from lgdnet.manifest import write_classes
    from lgdnet.scores import write_weights
    from lgdnet.settings import challenge_of, recorded
    from lgdnet.sources import Media, recipe_wanted
    from lgdnet.streams import network_of, write_stream

    members = ["frame/average_pool", "flow/average_pool"]
    challenge = challenge_of(
        {
            "challenge": "untrained",
            "dataset": {"annotations": {"train": "-", "validation": "-"}},
            "flow": {"algorithm": "dis"},
            "stream_defaults": {"backbone": "lgd-p3d-resnet50"},
            "streams": {"frame": {}, "flow": {"modality": "flow"}},
            "fusions": {"both": {"members": members}},
        },
        source="benchmark",
    )
    classes = [f"class {i}" for i in range(700)]
    write_classes(root / "manifest/classes.txt", classes)
    (root / "challenge.json").write_text(recorded(challenge))
    for name, settings in challenge.streams.items():
        media = Media(root, recipe=recipe_wanted(challenge.flow, []) if name == "flow" else None)
        model = root / f"streams/{name}/model.safetensors"
        write_stream(model, network_of(settings, len(classes)), settings, classes, media)
    both = Fusion("both", tuple(members))
    write_weights(root / "fusions/both/weights.csv", Fitted(both, np.ones(2), np.ones(2), both.members))
    return root


def made(path: Path, seconds: int, size: tuple[int, int], *, rate: int) -> Path:
    """Blobs that move, and a tone."""
    H, W = size
    generator = np.random.default_rng(0)
    ground = np.kron(generator.integers(0, 256, (H // 8 + 1, W // 8 + 1, 3)), np.ones((8, 8, 1))).astype(
        np.uint8
    )
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"g": "16", "bf": "0"})
        video.height, video.width, video.pix_fmt = H, W, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for i in range(seconds * rate):
            picture = np.ascontiguousarray(np.roll(ground, (i, 2 * i), (0, 1))[:H, :W])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = (0.2 * np.sin(np.arange(seconds * 16000) * 2 * np.pi * 440 / 16000)).astype(np.float32)
        for first in range(0, len(wave) - 1023, 1024):
            block = av.AudioFrame.from_ndarray(wave[None, first : first + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = 16000, first, Fraction(1, 16000)
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return path


def repeated(source: Path, target: Path, times: int) -> Path:
    """The packets of a file over and over, each round later by its length."""
    with av.open(str(source)) as reader:
        packets = [
            (packet.stream.index, packet.pts, packet.dts, packet.duration, packet.is_keyframe, bytes(packet))
            for packet in reader.demux()
            if packet.size
        ]
        with av.open(str(target), "w") as writer:
            copies = {stream.index: writer.add_stream_from_template(stream) for stream in reader.streams}
            bases = {stream.index: stream.time_base for stream in reader.streams}
            for round_ in range(times):
                for index, pts, dts, duration, is_keyframe, content in packets:
                    later = round(round_ * SHORT_SEC / bases[index])
                    packet = av.Packet(content)
                    packet.stream, packet.time_base = copies[index], bases[index]
                    packet.pts, packet.dts, packet.duration = pts + later, dts + later, duration
                    packet.is_keyframe = is_keyframe
                    writer.mux(packet)
    return target


if __name__ == "__main__":
    main()
