"""The report of a challenge as large as Kinetics-700: how long it takes, and whether the page stays smooth.

python benchmarks/report.py                                   700 classes, 35,000 videos, 24 score files
python benchmarks/report.py --classes 50 --videos-per-class 10 seconds, to see that it works
python benchmarks/report.py --no-browser                      only the making of the page

Scores are generated, and the files are those of the real stages. Prints time, memory and size of the page, then, in
Chromium: time until the tables can be used, time between frames while the whole page is scrolled, and how long a sort, a
filter, and a step of the confusion matrix take.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.memory import used_by  # noqa: E402

# Time between animation frames while the page moves by a third of a window on each, from top to bottom.
SCROLL_LIMIT_SEC = 60
SCROLL = """
(limit) => new Promise((done, fail) => {
  const where = () => `at ${scrollY} of ${document.documentElement.scrollHeight}`;
  setTimeout(() => fail(new Error(`not at the end after ${limit} s: ${gaps.length} frames, ${where()}`)), 1000 * limit);
  const gaps = [];
  let before = performance.now();
  scrollTo(0, 0);
  const step = (now) => {
    gaps.push(now - before);
    before = now;
    scrollBy(0, innerHeight / 3);
    if (scrollY + innerHeight < document.documentElement.scrollHeight - 2) requestAnimationFrame(step);
    else done(gaps.slice(2));
  };
  requestAnimationFrame(step);
})
"""


def settings(num_streams: int) -> tuple[dict, dict]:
    """Streams of the three modalities with two aggregations each, and four fusions of three of them."""
    streams = {}
    for i in range(num_streams):
        modality = ("frame", "flow", "audio")[i % 3]
        words = {"modality": modality, "aggregate": ["average_pool", "tcp"], "dump": {"num_clips": 20}}
        streams[f"{modality}-{i // 3}"] = words | ({"backbone": "xception"} if modality == "audio" else {})
    names = list(streams)
    fusions = {
        f"fused-{j}": {"members": [f"{name}/tcp" for name in names[3 * j : 3 * j + 3]], "input": f"Fused {j}"}
        for j in range(num_streams // 3)
    }
    return streams, fusions


def make_challenge(folder: Path, classes: int, videos_per_class: int, streams: int) -> None:
    from tests.report import made_up

    made_up.write_videos(folder / "videos")
    names = [f"doing something with a thing number {k:03d}" for k in range(classes)]
    size = made_up.Size(names, videos_per_class, num_clips=20, num_features=2_000)
    chosen, fusions = settings(streams)
    made_up.make(folder, size, streams=chosen, fusions=fusions, searched=False)


def make_page(folder: Path) -> Path:
    """In a process of its own; prints its time and memory."""
    out = folder / "report.html"
    command = [sys.executable, "-m", "lgdnet", "report", str(folder / "results/made-up"), "--out", str(out)]
    used = used_by(command, cwd=ROOT)
    if used.status:
        sys.exit(f"{' '.join(command)}: failed")
    print(
        f"report: {used.wall_sec:.1f} s, {used.cpu_sec:.1f} s of processor, {used.peak_mib / 1024:.2f} GiB",
        flush=True,
    )
    print(f"page: {out.stat().st_size / 1e6:.2f} MB")
    return out


def look(page_file: Path) -> None:
    """What a reader would feel. Times in ms."""
    from tests.browser.chromium import opened
    from tests.browser.conftest import visited

    with opened() as browser, visited(browser, page_file) as reader:
        page = reader.page
        usable = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        print(f"tables usable after {usable:.0f} ms")
        for what in ("first scroll, plots drawn on the way", "scroll again"):
            gaps = page.evaluate(SCROLL, SCROLL_LIMIT_SEC)
            slow = sum(gap > 50 for gap in gaps)
            print(
                f"{what}: {len(gaps)} frames, median {statistics.median(gaps):.1f} ms, longest {max(gaps):.0f} ms, "
                f"{slow} above 50 ms"
            )
        print(f"sort of all classes: {timed(page, sort_of('#classes-table')):.0f} ms")
        print(f"filter of all classes: {timed(page, FILTER):.0f} ms")
        print(f"step of the confusion matrix: {timed(page, STEP):.1f} ms")
        print(f"messages of the console: {len(reader.messages)}, requests beyond the file: {beyond(reader)}")


def sort_of(table: str) -> str:
    return f"() => document.querySelector('{table} thead th:nth-child(3) button').click()"


FILTER = """() => {
  const field = document.querySelector('#classes-table [data-filter]');
  field.value = '12';
  field.dispatchEvent(new Event('input'));
}"""
STEP = """() => {
  const key = new KeyboardEvent('keydown', {key: 'ArrowRight'});
  document.querySelector('#confusion-matrix canvas').dispatchEvent(key);
}"""


def timed(page, action: str, repeats: int = 5) -> float:
    """Median time of an action until its layout is done, ms."""
    measure = f"""() => {{
      const before = performance.now();
      ({action})();
      document.documentElement.getBoundingClientRect();
      return performance.now() - before;
    }}"""
    return statistics.median(page.evaluate(measure) for _ in range(repeats))


def beyond(reader) -> int:
    return sum(not url.startswith(("file:", "data:")) for url in reader.requests)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, default=700)
    parser.add_argument("--videos-per-class", type=int, default=50)
    parser.add_argument("--streams", type=int, default=10, help="of two aggregations each")
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--folder", type=Path, help="made there and kept; a temporary one without it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "results").exists():
            make_challenge(folder, given.classes, given.videos_per_class, given.streams)
        files = len(list((folder / "results/made-up").rglob("validation.h5")))
        print(
            f"{given.classes} classes, {given.classes * given.videos_per_class:,} videos, {files} score files",
            flush=True,
        )
        page = make_page(folder)
        if not given.no_browser:
            look(page)


if __name__ == "__main__":
    main()
