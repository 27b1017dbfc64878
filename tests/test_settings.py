import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lgdnet.settings import (
    TRAIN_KEYS,
    DumpSettings,
    SettingsError,
    StreamSettings,
    challenge_of,
    changed,
    check_annotations,
    json_schema,
    parse,
    read_challenge,
    read_recorded,
    recorded,
    reference,
)

ROOT = Path(__file__).parent.parent


def values(**streams):
    return {
        "challenge": "tiny",
        "dataset": {"annotations": {"train": "train.csv", "validation": "validation.csv"}},
        "streams": streams or {"frame16": {}},
    }


def fault(tree) -> str:
    with pytest.raises(SettingsError) as caught:
        challenge_of(tree, source="config.yaml")
    return str(caught.value)


def test_an_unknown_key_names_its_nearest_neighbour():
    message = fault(values(frame16={"dump": {"num_crop": 3}}))
    assert message == "config.yaml: streams.frame16: dump: unknown key 'num_crop'; did you mean 'num_crops'?"


def test_an_unknown_key_without_a_neighbour_lists_what_there_is():
    assert fault({**values(), "shards": {"zzz": 3}}).endswith("known here: test, train, validation")


def test_every_fault_has_its_line():
    message = fault({**values(frame16={"train": {"epochs": -1}}), "shard": {}})
    assert message.splitlines() == [
        "config.yaml: streams.frame16: train: epochs: input should be greater than 0 (it is -1)",
        "config.yaml: unknown key 'shard'; did you mean 'shards'?",
    ]


def test_a_missing_key_is_named():
    assert fault({"challenge": "tiny", "streams": {}}) == "config.yaml: missing key 'dataset'"


def test_init_must_name_a_stream():
    message = fault(values(frame16={}, frame128={"init": "frame61"}))
    assert (
        message
        == "config.yaml: streams.frame128: init: no stream is called 'frame61'; did you mean 'frame16'?"
    )


def test_init_must_not_go_in_a_circle():
    message = fault(values(a={"init": "b"}, b={"init": "a"}))
    assert message == "config.yaml: streams.a: init: a circle of streams, a <- b <- a"


def test_the_evaluated_split_must_have_annotations():
    message = fault({**values(), "evaluate": {"split": "test"}})
    assert message == "config.yaml: evaluate: split: 'test' has no entry under dataset: annotations"


def test_an_unknown_backbone_names_its_nearest_neighbour():
    message = fault(values(frame16={"backbone": "lgd-p3d-resnet19"}))
    assert (
        "streams.frame16: backbone: no network is called 'lgd-p3d-resnet19'; did you mean 'lgd-p3d-resnet1"
        in message
    )


def test_the_names_of_the_backbones_are_those_of_the_models():
    from lgdnet.models import MODELS
    from lgdnet.settings.backbones import BACKBONES

    assert sorted(BACKBONES) == sorted(MODELS)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"memory_gb": 0.0001}, "jobs: flow: memory_gb: input should be greater than or equal to 0.05"),
        ({"hours": 0.001}, "jobs: flow: hours: input should be greater than or equal to 0.02"),
        ({"hours": float("inf")}, "jobs: flow: hours: input should be a finite number"),
        ({"memory_gb": float("inf")}, "jobs: flow: memory_gb: input should be a finite number"),
        ({"gpu_model": "a100; rm"}, "jobs: flow: gpu_model: "),
    ],
)
def test_what_would_mean_no_limit_to_slurm_is_refused(job, words):
    """0 MB and 0 minutes would be given to it as no limit at all."""
    assert words in fault({**values(), "jobs": {"flow": job}})


def test_a_stream_name_that_cannot_be_a_file_name_is_refused():
    assert "streams" in fault(values(**{"../up": {}}))


def test_stream_defaults_reach_every_stream_and_its_own_values_win():
    tree = values(a={}, b={"train": {"learning_rate": 1.0}})
    tree["stream_defaults"] = {"train": {"epochs": 3, "learning_rate": 0.5}}
    challenge = challenge_of(tree, source="config.yaml")
    assert challenge.streams["a"].train.learning_rate == 0.5
    assert challenge.streams["b"].train.learning_rate == 1.0
    assert challenge.streams["b"].train.epochs == 3


def test_only_changed_values_are_handed_to_a_stage():
    stream = StreamSettings(dump=DumpSettings(num_crops=3), clip_length=16)
    assert changed(stream, TRAIN_KEYS) == "{}"
    assert changed(stream.dump) == '{"num_crops": 3}'
    assert parse(DumpSettings, changed(stream.dump)) == stream.dump


def test_settings_of_a_stage_that_are_not_json_are_refused():
    with pytest.raises(SettingsError, match="--settings: not JSON"):
        parse(DumpSettings, "num_crops: 3")


def test_a_missing_challenge_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere.yaml: no such file. Name a challenge file"):
        read_challenge(tmp_path / "nowhere.yaml")


def test_a_challenge_file_that_is_not_yaml_is_named(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("streams: [")
    with pytest.raises(SettingsError, match=r"bad.yaml: not YAML"):
        read_challenge(path)


def test_a_missing_annotation_file_is_named_before_anything_is_planned(tmp_path):
    (tmp_path / "train.csv").touch()
    challenge = challenge_of({**values(), "data_root": str(tmp_path)}, source="config.yaml")
    with pytest.raises(SettingsError) as caught:
        check_annotations(challenge, source="config.yaml")
    assert str(caught.value) == (
        f"config.yaml: dataset: annotations: validation: {tmp_path / 'validation.csv'}: no such file. "
        "Correct the path or data_root."
    )


@pytest.mark.parametrize(
    "path", [ROOT / "config.yaml", *sorted((ROOT / "challenges").glob("*.yaml"))], ids=str
)
def test_recorded_settings_read_back_as_they_were(path, tmp_path):
    left_out = {"stream_defaults", "jobs", "threads"}  # filled into the streams; no matter of results
    challenge = read_challenge(path)
    (tmp_path / "challenge.json").write_text(recorded(challenge))
    again = read_recorded(tmp_path / "challenge.json")
    assert again.model_dump(exclude=left_out) == challenge.model_dump(exclude=left_out)
    assert list(again.streams) == list(challenge.streams)  # the order is that of the rows


def test_a_value_of_a_stream_that_is_the_general_default_survives_recording(tmp_path):
    """A stream that sets back what stream_defaults changed must not get it from there again."""
    values = {
        "challenge": "x",
        "dataset": {"annotations": {"train": "a", "validation": "b"}},
        "stream_defaults": {"clip_length": 32},
        "streams": {"a": {"clip_length": 16}, "b": {}},
    }
    (tmp_path / "challenge.json").write_text(recorded(challenge_of(values, source="here")))
    again = read_recorded(tmp_path / "challenge.json")
    assert (again.streams["a"].clip_length, again.streams["b"].clip_length) == (16, 32)


def test_the_sample_says_how_it_is_rendered(tmp_path):
    challenge = challenge_of(
        {**values(), "challenge": "sample", "data_root": str(tmp_path)}, source="config.yaml"
    )
    with pytest.raises(SettingsError, match="`lgdnet sample` renders the sample challenge"):
        check_annotations(challenge, source="config.yaml")


def test_the_schema_in_docs_is_in_step_with_the_settings():
    assert (ROOT / "docs/config.schema.json").read_text() == json_schema(), "run `make schema`"


def test_the_reference_in_docs_is_in_step_with_the_settings():
    assert (ROOT / "docs/configuration.md").read_text() == reference(), "run `make schema`"


def test_every_setting_says_what_it_means():
    nameless = [line for line in reference().splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert nameless == []


@pytest.mark.parametrize(
    "path", [ROOT / "config.yaml", *sorted((ROOT / "challenges").glob("*.yaml"))], ids=str
)
def test_every_challenge_of_the_repository_is_valid_and_its_keys_are_in_the_schema(path):
    challenge = read_challenge(path)
    top = json.loads(json_schema())["properties"]
    assert challenge.streams or challenge.challenge
    assert set(yaml.safe_load(path.read_text())) <= set(top)


def test_the_settings_import_neither_torch_nor_numpy():
    code = "import sys, lgdnet.settings; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
