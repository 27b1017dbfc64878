"""Videos that several files train on."""

from pathlib import Path

import pytest

from tests.training.small import make_videos


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Twelve videos of eight frames, their manifests and a challenge file."""
    root = tmp_path_factory.mktemp("videos")
    make_videos(root)
    return root
