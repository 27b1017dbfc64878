import pytest

from lgdnet.datasets import DATASETS, AnnotationError
from lgdnet.datasets.rows import Annotations


def test_a_misspelt_split_is_an_error_and_not_a_video_less(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("path,label,split\na.mp4,x,train\nb.mp4,x,trian\nc.mp4,x,validation\n")
    with pytest.raises(
        AnnotationError, match=r"list.csv: row 3: split 'trian' is unknown; did you mean 'train'\?"
    ):
        DATASETS["csv"].read(Annotations(path, "train", tmp_path))


def test_a_split_with_a_name_of_its_own_may_stay_unread(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("path,label,split\na.mp4,x,train\nb.mp4,x,odd\n")
    assert len(DATASETS["csv"].read(Annotations(path, "train", tmp_path))) == 1
