"""One made-up challenge for all tests of prediction."""

import pytest
import torch

from tests.prediction.made_up import MadeUp, made_up


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def challenge(tmp_path_factory) -> MadeUp:
    """Random networks of all three modalities, every way of aggregating, a nested fusion."""
    return made_up(tmp_path_factory.mktemp("made-up"))
