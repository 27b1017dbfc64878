"""Snakemake's own report of a finished challenge: our tables and page by category, with captions."""

import io
import zipfile

import pytest

pytestmark = pytest.mark.workflow


def test_the_report_has_every_category_with_its_captions(finished):
    out = finished.folder / "snakemake-report.zip"
    done = finished.snakemake("--report", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(io.BytesIO(out.read_bytes())) as packed:
        names = packed.namelist()
        page = next(
            packed.read(name).decode()
            for name in names
            if name.endswith("report.html") and "/data/" not in name
        )
    for category in ("Accuracy", "Classes", "Cost", "Data", "Everything"):
        assert f'"{category}"' in page, category
    for caption in (
        "95 % bootstrap intervals over videos",
        "Everything on one page",
        "Videos that cannot be used",
    ):
        assert caption in page, caption
    for table in ("leaderboard.csv", "per_class.csv", "streams.csv", "cost.csv", "rejected.csv"):
        assert any(name.endswith(table) or table in name for name in names) or table in page, table
