import lgdnet.log
from lgdnet.log import progress, progress_line, warn


def test_progress_yields_everything_and_ends_with_a_line(capsys):
    assert list(progress([1, 2, 3], what="dump", unit="videos")) == [1, 2, 3]
    assert capsys.readouterr().err.startswith("dump: 3/3 videos, 100 %, ")


def test_a_resumed_stage_counts_what_was_done_before(capsys):
    list(progress([1], what="dump", done=2, unit="videos"))
    assert capsys.readouterr().err.startswith("dump: 3/3 videos")


def test_a_log_file_gets_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(lgdnet.log, "SECONDS_BETWEEN_LINES", 0.0)
    list(progress([1, 2], what="dump", unit="videos"))
    assert capsys.readouterr().err.count("\n") == 3


def test_a_progress_line_says_how_long_is_left():
    line = progress_line("dump frame16", 120, 400, 12.5, "videos")
    assert line == "dump frame16: 120/400 videos, 30 %, 12.5 videos/s, 22 s left"


def test_a_warning_stands_out(capsys):
    warn("low")
    assert capsys.readouterr().err == "warning: low\n"
