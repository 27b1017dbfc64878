"""What stands on the page equals what stands in the files, and names stay names."""

import base64
import hashlib
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from lgdnet.artefact import write_text
from lgdnet.errors import InputError
from lgdnet.metrics import predictions
from lgdnet.report import read_finished
from lgdnet.report.gains import gains
from lgdnet.report.sections import SECTIONS
from lgdnet.report.sections.standing import read_published
from lgdnet.scores import read_scores
from lgdnet.settings import RECORDED, challenge_of, recorded
from lgdnet.stages import report
from tests.report import made_up
from tests.report.conftest import policy_of, put_on_page, read
from tests.report.made_up import HOSTILE

SHOWN = {section.__name__ for section in SECTIONS} - {"published"}


def with_report(made, **words):
    values = made.challenge.model_dump(mode="json", exclude_defaults=True)
    return challenge_of({**values, "report": words}, source="test")


def test_every_section_is_there_and_the_missing_one_says_why(made):
    assert set(made.page.ids) >= SHOWN
    assert "published" not in made.page.ids
    assert "this challenge names no published table" in made.html


def test_ids_are_unique_and_every_link_lands(made):
    assert len(made.page.ids) == len(set(made.page.ids))
    assert set(re.findall(r'href="#([\w-]+)"', made.html)) <= set(made.page.ids)


def test_the_leaderboard_is_the_file(made):
    table = pd.read_csv(made.results / "leaderboard.csv", dtype=str)
    rows = made.page.rows("leaderboard-table")
    assert [row["Top-1 %"] for row in rows] == table["Top1"].tolist()
    assert [row["95 % interval"].replace("–", "-") for row in rows] == table["top1_interval"].tolist()
    assert [row["Row"] for row in rows] == [name.split("/", 1)[1] for name in table["row"]]


def test_classes_of_the_best_row_are_those_of_per_class_csv(made):
    best = read_finished(made.results, made.challenge).best
    table = pd.read_csv(made.results / "per_class.csv", dtype=str)
    own = table[table["row"] == best.name]
    rows = made.page.rows("classes-table")
    assert [row["Class"] for row in rows] == own["class"].tolist()
    assert [row["Top-1 %"] for row in rows] == own["Top1"].tolist()


def test_gains_are_differences_of_two_rows(made):
    table = pd.read_csv(made.results / "per_class.csv")
    of_row = {name: part.set_index("class")["Top1"] for name, part in table.groupby("row")}
    gain = of_row["fusions/+audio"] - of_row["fusions/two-stream"]
    for row in made.page.rows("classes-table"):
        shown = float(row["Sound, points"].replace("−", "-"))
        assert shown == pytest.approx(gain[row["Class"]], abs=0.11)  # of two rounded figures


def test_gains_are_those_of_leaving_the_stream_out(made):
    study = pd.read_csv(made.results / "fusions.csv")
    for gain in gains(read_finished(made.results, made.challenge)):
        stream = {"flow": "flow16/tcp", "audio": "audio/average_pool"}[gain.modality]
        line = study[(study["fusion"] == gain.having.short) & (study["streams"] == f"without {stream}")]
        assert gain.having.top1 - gain.lacking.top1 == pytest.approx(line["brings"].item(), abs=0.11)
        assert f"{gain.having.short} less {gain.lacking.short}, which is the same without" in made.html


def test_a_name_has_one_colour_on_the_whole_page(made):
    found = {}
    for plot in ("cost-plot", "views-plot", "loss-streams"):
        for scale in colour_scales(made.page.json[f"{plot}-spec"]):
            assert len(set(scale["range"])) == len(scale["domain"]) > 1, plot
            for name, colour in zip(scale["domain"], scale["range"], strict=True):
                found.setdefault(name, set()).add(colour)
    assert {"frame16", "flow16", "audio"} <= set(found)
    assert all(len(colours) == 1 for colours in found.values()), found


def colour_scales(spec):
    """Every scale of colours with a domain in a plot."""
    if isinstance(spec, dict):
        own = spec.get("color", {}) if isinstance(spec.get("color"), dict) else {}
        return ([own["scale"]] if "domain" in own.get("scale", {}) else []) + colour_scales(
            list(spec.values())
        )
    return [scale for part in spec for scale in colour_scales(part)] if isinstance(spec, list) else []


def test_the_packed_confusion_matrix_is_that_of_the_scores(made):
    data = made.page.json["confusion-matrix-data"]
    K = len(data["classes"])
    best = read_finished(made.results, made.challenge).best
    assert data["rows"][0]["name"] == best.short and len(data["rows"]) == 4
    scores = read_scores(made.results / best.name / "validation.h5")
    manifest = pd.read_csv(made.results / "manifest/validation.csv").set_index("video_id")["class_index"]
    expected = np.zeros((K, K), int)
    np.add.at(expected, (manifest[scores.video_ids], predictions(scores.scores)), 1)
    flat = np.zeros(K * K, int)
    steps, counts = np.array(data["rows"][0]["cells"]).reshape(-1, 2).T
    flat[np.cumsum(steps)] = counts
    assert (flat.reshape(K, K) == expected).all()
    for order in data["orders"].values():
        assert sorted(order) == list(range(K))


def test_the_calibration_error_is_the_leaderboards(made):
    table = pd.read_csv(made.results / "leaderboard.csv", dtype=str)
    shown = {row["Row"]: row["Calibration error %"] for row in made.page.rows("calibration-table")}
    for name, error in zip(table["row"], table["calibration_error"], strict=True):
        assert shown[name.split("/", 1)[1]] == error


def test_the_mean_over_all_views_is_average_pooling(made):
    from lgdnet.stages import aggregate

    out = made.folder / "pooled.h5"
    features = made.results / "streams/frame16/features/validation/0000.h5"
    aggregate.run(
        [[features]],
        made.results / "manifest/validation.csv",
        out,
        method="average_pool",
        of="scores",
        model=None,
        threads=1,
    )
    scores = read_scores(out)
    labels = pd.read_csv(made.results / "manifest/validation.csv").set_index("video_id")["class_index"]
    top1 = np.mean(predictions(scores.scores) == labels[scores.video_ids].to_numpy())
    row = next(row for row in made.page.rows("views-table") if row["Stream"] == "frame16")
    assert row["4 clips"] == f"{100 * top1:.1f}"


def test_hostile_names_are_text(made):
    text = "".join(made.page.text)
    for name in HOSTILE:
        assert name in text
    assert "<script>alert" not in made.html and "<img src=x" not in made.html
    assert made.page.tags.count("img") == made.html.count('src="data:image/jpeg;base64,')


def test_the_policy_names_every_script_and_forbids_the_rest(made):
    policy = policy_of(made.html)
    scripts = re.findall(r"<script>(.*?)</script>", made.html, re.DOTALL)
    assert len(scripts) == 4
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';") and "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


def test_nothing_on_the_page_points_elsewhere(made):
    without_scripts = re.sub(r"<script.*?</script>", "", made.html, flags=re.DOTALL)
    without_text = re.sub(r">[^<]*<", "><", without_scripts)
    assert not re.search(r"(src|href|action)=\"(?!data:|#)", without_text)


def test_a_video_that_cannot_be_read_has_a_reason_instead_of_pictures(made):
    assert "videos/4.mp4" in made.html and "cannot be opened" in made.html


def test_a_published_table_stands_beside_ours(made, tmp_path):
    path = tmp_path / "theirs.csv"
    best = pd.read_csv(made.results / "leaderboard.csv", dtype=str).iloc[-1]
    lines = [
        [best[c] for c in ("Input", "Backbone", "Clip", "Aggregation")] + ["40.0", "70.0"],
        ["Other", "-", "-", "-", "1.0", "2.0"],
    ]
    pd.DataFrame(lines, columns=["Input", "Backbone", "Clip", "Aggregation", "Top1", "Top5"]).to_csv(
        path, index=False
    )
    page = put_on_page(made.folder, with_report(made, published=str(path), examples=0)).page
    ours, other = page.rows("published-table")
    assert ours["Our top-1"] == best["Top1"]
    assert float(ours["Difference"].replace("−", "-")) == pytest.approx(float(best["Top1"]) - 40, abs=0.01)
    assert other["Our top-1"] == "–"
    assert "published-plot" in page.ids and "examples" not in page.ids


def test_a_published_table_goes_with_the_results(made, tmp_path, monkeypatch):
    """Its path starts where the workflow was started; a copy of the results is read from elsewhere."""
    results, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    shutil.copytree(made.results, results, ignore=shutil.ignore_patterns("features"))
    elsewhere.mkdir()
    text = "Input,Backbone,Clip,Aggregation,Top1,Top5\nOther,-,-,-,1.0,2.0\n"
    (tmp_path / "theirs.csv").write_text(text)
    write_text(results / RECORDED, recorded(with_report(made, published="theirs.csv", examples=0)))
    monkeypatch.chdir(tmp_path)
    report.run(results, elsewhere / "report.html")
    assert sorted(path.name for path in elsewhere.iterdir()) == ["report.html"]
    assert not (results / "published.csv").exists()
    report.run(results, results / "report.html")
    assert (results / "published.csv").read_text() == text

    monkeypatch.chdir(elsewhere)
    report.run(results, elsewhere / "report.html")
    page = read((elsewhere / "report.html").read_text())
    assert page.rows("published-table")[0]["Published top-1"] == "1.0" and "From theirs.csv." in "".join(
        page.text
    )

    (results / "published.csv").unlink()
    report.run(results, elsewhere / "report.html")
    assert (
        "theirs.csv, which `report: published:` names, is not there"
        in (elsewhere / "report.html").read_text()
    )


def test_a_row_without_mistakes_is_said_to_have_none(tmp_path):
    names = made_up.class_names(3)
    challenge = made_up.make(tmp_path, made_up.Size(names, 5, num_clips=2))
    results = tmp_path / "results/made-up"
    labels = pd.read_csv(results / "manifest/validation.csv")
    logits = 20 * np.eye(3, dtype=np.float32)[labels["class_index"]]
    path = results / "streams/frame16/tcp/validation.h5"
    made_up.write_row(path, labels["video_id"].to_numpy(str), logits, names, np.array([], str))
    made_up.judge_all(results, challenge)
    page = put_on_page(tmp_path, challenge).page
    text = "".join(page.text)
    assert "Pairs most confused by frame16/tcp" not in text
    assert re.search(r"The pairs that (\S+) confuses most are in the table below", text)[1] != "frame16/tcp"
    assert "frame16/tcp is wrong on no video" in text and "is right on no video" not in text
    assert "pairs-table" in page.ids and "examples-wrong" not in page.ids and "examples-right" in page.ids


@pytest.mark.parametrize(
    ("submit", "words"),
    [
        ("", "+audio, top-1 {} % (the last fusion, as none is named by"),
        ("two-stream", "two-stream, top-1 {} % (named by"),
    ],
)
def test_the_overview_names_the_row_that_is_submitted(made, submit, words):
    values = made.challenge.model_dump(mode="json", exclude_defaults=True)
    challenge = challenge_of(
        {**values, "evaluate": {"submit": submit}, "report": {"examples": 0}}, source="test"
    )
    table = pd.read_csv(made.results / "leaderboard.csv", dtype=str).set_index("row")["Top1"]
    shown = "".join(put_on_page(made.folder, challenge).page.text)
    assert words.format(table[f"fusions/{submit or '+audio'}"]) in shown


def test_without_what_a_challenge_has_not_got_the_page_says_so(made, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(
        made.results,
        results,
        ignore=shutil.ignore_patterns("history.csv", "features", "fusions.csv", "cost.csv", "health.csv"),
    )
    html = put_on_page(tmp_path, with_report(made, examples=0), results=results).html
    for reason in (
        "no history.csv",
        "no features of",
        "nothing is fused",
        "no job&#39;s time",
        "health.csv is not",
        "asks for none",
    ):
        assert reason in html, reason


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "leaderboard.csv").unlink(),
            "leaderboard.csv: no such leaderboard. `snakemake leaderboard`",
        ),
        (
            lambda folder: (folder / "leaderboard.csv").write_text("Input,Top1\na,1\n"),
            "leaderboard.csv: no column Backbone; a leaderboard needs",
        ),
        (
            lambda folder: (folder / "streams/audio/average_pool/validation.h5").unlink(),
            "validation.h5: no such score file",
        ),
    ],
)
def test_what_is_broken_is_named(made, tmp_path, spoil, message):
    results = tmp_path / "results"
    shutil.copytree(made.results, results)
    spoil(results)
    with pytest.raises(InputError, match=re.escape(message)):
        report.run(results, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_without_recorded_settings_the_challenge_file_is_asked_for(made, tmp_path):
    with pytest.raises(InputError, match=r"challenge.json: not there.* Name its file with --challenge"):
        report.run(tmp_path, tmp_path / "report.html")
    report.run(made.results, tmp_path / "report.html", config=made.folder / "challenge.yaml")
    assert "made-up: results" in (tmp_path / "report.html").read_text()


def test_results_of_another_challenge_file_are_named(made):
    values = made.challenge.model_dump(mode="json", exclude_defaults=True)
    streams = {name: stream for name, stream in values["streams"].items() if name != "audio"}
    other = challenge_of({**values, "streams": streams, "fusions": {}}, source="test")
    with pytest.raises(InputError, match="stream 'audio' is not in the challenge file"):
        read_finished(made.results, other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Input,Backbone,Clip,Aggregation,Top1\n", "no column Top5; a published table needs"),
        (
            "Input,Backbone,Clip,Aggregation,Top1,Top5\nFrame,-,-,-,high,9\n",
            "row 2: Top1 is 'high'; per cent are needed",
        ),
    ],
)
def test_a_published_table_that_is_none(tmp_path, text, message):
    path = tmp_path / "theirs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_published(path)
