"""Every block of settings in the pages is one that a challenge file may hold."""

import pytest
import yaml

from lgdnet.settings import challenge_of
from lgdnet.settings.tree import Challenge
from tests.docs.pages import pages

BASE = {
    "challenge": "block",
    "dataset": {"annotations": {"train": "a.csv", "validation": "b.csv", "test": "c.csv"}},
    "streams": {
        "frame16": {},
        "flow16": {"modality": "flow"},
        "audio": {"modality": "audio", "backbone": "xception"},
    },
}
PROFILES = ("default-resources", "executor", "jobs-per-second")  # blocks of Snakemake's profiles, not ours
BLOCKS = [(page.name, block.text) for page in pages() for block in page.blocks("yaml")]
ADDED = "docs/adding.md"  # its file names what the page adds; it runs in test_commands.py


def challenge_from(text: str) -> dict | None:
    """A block as a whole challenge: completed where it is a part, below `streams:` where it is indented."""
    values = yaml.safe_load(text)
    if any(key in PROFILES for key in values):
        return None
    if "challenge" in values:
        return values
    if text.startswith(" "):
        values = {"streams": values}
    assert set(values) <= set(Challenge.model_fields), f"unknown: {set(values) - set(Challenge.model_fields)}"
    streams = BASE["streams"] | values.get("streams", {})
    return BASE | values | {"streams": streams}


@pytest.mark.parametrize(("page", "text"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_a_block_of_settings_is_valid(page, text):
    challenge = challenge_from(text)
    if challenge is not None and page != ADDED:
        challenge_of(challenge, source=page)
