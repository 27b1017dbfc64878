"""A folder with the score files of three made-up streams and the manifest of their videos."""

import pandas as pd
import pytest
from made_up import CLASSES, IDS, LABELS, STREAMS

from lgdnet.scores import write_scores


@pytest.fixture
def folder(tmp_path):
    pd.DataFrame({"video_id": IDS, "label": [CLASSES[y] for y in LABELS], "class_index": LABELS}).to_csv(
        tmp_path / "validation.csv", index=False
    )
    for name, scores in STREAMS.items():
        write_scores(
            tmp_path / f"{name}.h5",
            IDS,
            scores,
            CLASSES,
            provenance={"settings": "{}"},
            networks={name: {"parameters": 10}},
        )
    return tmp_path
