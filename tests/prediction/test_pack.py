"""A pack is whole and safe, or refused with its name."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import zipfile

import pytest

from lgdnet.artefact import digest
from lgdnet.errors import InputError
from lgdnet.prediction.finished import PredictionError
from lgdnet.prediction.opening import only_finished, opened
from lgdnet.prediction.pack import FORMAT, MANIFEST, PackError, release
from lgdnet.prediction.predictor import Predictor
from lgdnet.settings import SettingsError, recorded
from lgdnet.stages import explain
from lgdnet.stages import pack as stage


@pytest.fixture(scope="module")
def packed(challenge, tmp_path_factory):
    out = tmp_path_factory.mktemp("packs") / "made-up.lgdnet"
    assert stage.run(challenge.root, out)[0] == "all"
    return out


def rewritten(packed, target, change):
    """The pack with its members, {name: bytes}, changed."""
    with zipfile.ZipFile(packed) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_pack_that_finds_no_room_is_not_called_damaged(packed, tmp_path, monkeypatch):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", tmp_path], check=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        with pytest.raises(PackError, match=r"not unpacked, the disk of .* is full. .* set TMPDIR"):
            open_it(packed)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_what_cannot_be_predicted_with_is_not_packed(challenge, tmp_path):
    """Another challenge file, and weights that are none: the pack made of them would help nobody."""
    results = shutil.copytree(challenge.root, tmp_path / "results")
    settings = json.loads(recorded(challenge.challenge))
    settings["streams"]["frame"]["crop"] = 28
    (tmp_path / "other.yaml").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"frame/model\.safetensors: trained with other settings"):
        stage.run(results, tmp_path / "a.lgdnet", config=tmp_path / "other.yaml")
    (results / "streams/sound/model.safetensors").write_text("weights")
    with pytest.raises(InputError, match=r"sound/model\.safetensors"):
        stage.run(results, tmp_path / "a.lgdnet")
    assert not (tmp_path / "a.lgdnet").exists()
    assert stage.run(results, tmp_path / "a.lgdnet", rows=["flow/average_pool"]) == ["flow/average_pool"]


def test_a_challenge_file_without_the_rows_of_a_pack_is_named(challenge, packed, tmp_path):
    settings = json.loads(recorded(challenge.challenge))
    del settings["fusions"]["all"]
    (tmp_path / "other.yaml").write_text(json.dumps(settings))
    with (
        pytest.raises(PackError, match=r"other\.yaml: has no row 'all', which .* Leave out --config"),
        opened(packed, config=tmp_path / "other.yaml"),
    ):
        raise AssertionError("it should have been refused")


def test_explain_says_which_streams_a_pack_holds(challenge, tmp_path):
    stage.run(challenge.root, tmp_path / "one.lgdnet", rows=["flow/average_pool"])
    with pytest.raises(
        PredictionError, match=r"made without the stream 'frame'\. Choose another --stream: flow\."
    ):
        explain.run(
            challenge.path("silent"), tmp_path / "a.png", challenge=tmp_path / "one.lgdnet", stream="frame"
        )


def open_it(path):
    with opened(path):
        raise AssertionError("it should have been refused")


def test_a_pack_has_everything_that_its_rows_need_and_the_submitted_one_first(challenge, packed):
    with opened(packed) as finished:
        assert finished.default_row() == "all"
        assert set(finished.rows()) == {
            *("frame/average_pool", "frame/tcp", "flow/average_pool", "sound/max_pool"),
            *("together", "mean", "all"),
        }
        for row in finished.rows():
            assert all((finished.root / file).is_file() for file in finished.files(row))
        assert finished.challenge.flow == challenge.challenge.flow
    assert not finished.root.exists()


def test_the_same_challenge_packs_to_the_same_bytes(challenge, packed, tmp_path):
    stage.run(challenge.root, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == packed.read_bytes()


def test_one_row_packs_only_its_files(challenge, tmp_path):
    assert stage.run(challenge.root, tmp_path / "small", rows=["frame/tcp"]) == ["frame/tcp"]
    with opened(tmp_path / "small") as finished:
        assert finished.chosen_row(None) == "frame/tcp"
        assert not (finished.root / "streams/flow").exists()
        with pytest.raises(PredictionError, match="no row is called 'all'"):
            finished.chosen_row("all")


def test_a_pack_can_be_unpacked_by_hand(packed, tmp_path):
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path)
    with opened(tmp_path) as finished:
        assert finished.default_row() == "all"
    (tmp_path / "manifest/classes.txt").write_text("other\n")
    with pytest.raises(PackError, match=r"manifest/classes.txt is damaged, its sha256"):
        open_it(tmp_path)


def test_a_flipped_bit_anywhere_is_noticed(packed, tmp_path):
    content = bytearray(packed.read_bytes())
    for place in range(100, len(content), len(content) // 25):
        content[place] ^= 4
        broken = tmp_path / "broken"
        broken.write_bytes(content)
        with pytest.raises(PackError, match=r"broken: .*(Copy it again|Make one)"):
            open_it(broken)
        content[place] ^= 4


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_pack_that_was_cut_short_is_refused(packed, tmp_path, share):
    content = packed.read_bytes()
    (tmp_path / "short").write_bytes(content[: int(share * len(content))])
    with pytest.raises(PackError, match="short: damaged, or no pack"):
        open_it(tmp_path / "short")


def test_a_missing_member_is_named(packed, tmp_path):
    broken = rewritten(packed, tmp_path / "b", lambda members: members.pop("streams/frame/model.safetensors"))
    with pytest.raises(PackError, match=r"streams/frame/model.safetensors is missing"):
        open_it(broken)


def test_a_member_of_another_size_is_not_even_extracted(packed, tmp_path):
    def swell(members):
        members["manifest/classes.txt"] += bytes(10_000)

    with pytest.raises(PackError, match=r"manifest/classes.txt has another size"):
        open_it(rewritten(packed, tmp_path / "b", swell))


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/outside", "a/../../outside", "a\\..\\outside", MANIFEST]
)
def test_a_name_that_leads_out_of_the_pack_is_refused(packed, tmp_path, name):
    def smuggle(members):
        about = json.loads(members[MANIFEST])
        del about["digest"]
        about["files"][name] = {"bytes": 4, "sha256": "0" * 64}
        about["digest"] = digest(about)
        members[MANIFEST] = json.dumps(about).encode()
        if name != MANIFEST:
            members[name] = b"evil"

    with pytest.raises(PackError, match="leads out of the pack"):
        open_it(rewritten(packed, tmp_path / "b", smuggle))
    assert not (tmp_path.parent / "outside").exists()


def test_another_format_and_what_is_no_pack_are_refused(packed, tmp_path):
    def of_the_future(members):
        about = json.loads(members[MANIFEST])
        members[MANIFEST] = json.dumps({**about, "format": "lgdnet-pack-9"}).encode()

    with pytest.raises(PackError, match=f"'lgdnet-pack-9', '{FORMAT}' is needed"):
        open_it(rewritten(packed, tmp_path / "future", of_the_future))
    with pytest.raises(PackError, match=r"not a pack, it has no pack.json"):
        open_it(rewritten(packed, tmp_path / "other", lambda members: members.pop(MANIFEST)))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(PackError, match="damaged, or no pack"):
        open_it(tmp_path / "text")


def test_what_is_not_finished_says_how_to_go_on(challenge, tmp_path, monkeypatch):
    with pytest.raises(PredictionError, match="no such folder or pack"):
        open_it(tmp_path / "nowhere")
    with pytest.raises(PredictionError, match="settings of this challenge are not known"):
        open_it(tmp_path)
    (tmp_path / "challenge.json").write_text("{")
    with pytest.raises(SettingsError, match="not the settings of a challenge"):
        open_it(tmp_path)
    (tmp_path / "challenge.json").write_text((challenge.root / "challenge.json").read_text())
    with pytest.raises(PredictionError, match="is not finished"):
        stage.run(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_name_it_is_the_only_one_that_has_what_predicting_needs(challenge, tmp_path):
    with pytest.raises(PredictionError, match="holds no finished one"):
        only_finished(tmp_path)
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(challenge.root / "challenge.json", begun)
    with pytest.raises(PredictionError, match=r"no finished one, .*begun has not all that predicting needs"):
        only_finished(tmp_path)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/challenge.json").write_text("{")
    (tmp_path / "a").symlink_to(challenge.root)
    assert only_finished(tmp_path) == tmp_path / "a"
    (tmp_path / "b").symlink_to(challenge.root)
    with pytest.raises(PredictionError, match=r"Name it with --challenge; there are .*a, [^ ]*b\.$"):
        only_finished(tmp_path)


def test_what_other_tools_scored_does_not_make_a_challenge_unfinished(challenge, tmp_path):
    shutil.copytree(challenge.root, tmp_path / "a")
    values = json.loads((tmp_path / "a/challenge.json").read_text())
    values["evaluate"] = {"submit": "with-others"}
    (tmp_path / "a/challenge.json").write_text(json.dumps(values))
    assert only_finished(tmp_path) == tmp_path / "a"


def described(members, **changes):
    """pack.json with other words and a digest that fits them."""
    about = {**json.loads(members[MANIFEST]), **changes}
    about = {name: value for name, value in about.items() if value is not None and name != "digest"}
    members[MANIFEST] = json.dumps({**about, "digest": digest(about)}).encode()


def with_member(members, name, content, **changes):
    """A pack made with this content: its digest fits."""
    files = json.loads(members[MANIFEST])["files"]
    members[name] = content
    files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    described(members, files=files, **changes)


@pytest.mark.parametrize("rows", [None, 3, [], [3], "all", {"all": 1}])
def test_rows_that_are_none_are_damage(packed, tmp_path, rows):
    broken = rewritten(packed, tmp_path / "b", lambda members: described(members, rows=rows))
    with pytest.raises(PackError, match=r"b: its pack.json is damaged. Copy it again"):
        open_it(broken)


@pytest.mark.parametrize("wrong", [{"bytes": "abc", "sha256": "0"}, {"bytes": True, "sha256": "0"}, {}, 3])
def test_files_that_are_not_described_are_damage(packed, tmp_path, wrong):
    files = {"challenge.json": wrong, "manifest/classes.txt": wrong}
    broken = rewritten(packed, tmp_path / "b", lambda members: described(members, files=files))
    with pytest.raises(PackError, match=r"b: its pack.json is damaged. Copy it again"):
        open_it(broken)


def test_a_pack_without_settings_is_damaged(packed, tmp_path):
    broken = rewritten(packed, tmp_path / "b", lambda members: described(members, files={}))
    with pytest.raises(PackError, match=r"b: its pack.json is damaged. Copy it again"):
        open_it(broken)


def test_every_bit_of_what_a_zip_says_of_its_members_may_be_wrong(packed, tmp_path):
    content = packed.read_bytes()
    place = content.index(b"PK\x01\x02")  # the first entry of the table of contents: pack.json
    second = content.index(b"PK\x01\x02", place + 4)
    for start in (place, second):
        for byte in range(start + 4, start + 46):
            for bit in (1, 128):
                broken = bytearray(content)
                broken[byte] ^= bit
                (tmp_path / "broken").write_bytes(broken)
                try:
                    with opened(tmp_path / "broken") as finished:
                        assert finished.default_row() == "all"  # dates and permissions do not matter
                except PackError as error:
                    assert str(error).startswith(f"{tmp_path}/broken: ")
        broken = bytearray(content)
        broken[start + 8] ^= 1
        (tmp_path / "broken").write_bytes(broken)
        with pytest.raises(PackError, match=r"encrypted.*Copy it again"):
            open_it(tmp_path / "broken")


def test_faults_of_members_name_the_pack_and_its_own_way_out(packed, tmp_path):
    def loaded(path):
        with opened(path) as finished, Predictor(finished):
            raise AssertionError("it should have been refused")

    classes = rewritten(
        packed, tmp_path / "c", lambda members: with_member(members, "manifest/classes.txt", b"caf\xe9\n")
    )
    with pytest.raises(PackError) as refused:
        loaded(classes)
    again = "Make it again with `lgdnet pack`."
    assert str(refused.value) == f"{classes}: manifest/classes.txt: the class list is not UTF-8. {again}"
    weights = rewritten(
        packed, tmp_path / "w", lambda members: with_member(members, "fusions/all/weights.csv", b"none\n")
    )
    with pytest.raises(PackError, match=rf"^{weights}: fusions/all/weights.csv: .*\. {again}$"):
        loaded(weights)
    settings = rewritten(packed, tmp_path / "s", lambda members: with_member(members, "challenge.json", b"{"))
    with pytest.raises(PackError, match=rf"^{settings}: challenge.json: not the settings.*\. {again}$"):
        loaded(settings)
    rows = rewritten(packed, tmp_path / "r", lambda members: described(members, rows=["frame/tpc"]))
    with pytest.raises(PackError, match=rf"^{rows}: its rows are not those of its challenge.json. {again}$"):
        loaded(rows)


def test_a_pack_of_a_newer_version_says_so(packed, tmp_path):
    content, newer = b'{"challenge": "x", "of": "tomorrow"}', "99.10.0+1a2b3c4"
    future = rewritten(
        packed,
        tmp_path / "f",
        lambda members: with_member(members, "challenge.json", content, code_version=newer),
    )
    with pytest.raises(PackError) as refused:
        open_it(future)
    assert str(refused.value).startswith(f"{future}: challenge.json: ")
    assert "It was made by a newer lgdnet (99.10.0+1a2b3c4, this is " in str(refused.value)
    other = rewritten(
        packed,
        tmp_path / "o",
        lambda members: described(members, format="lgdnet-pack-9", code_version=newer),
    )
    with pytest.raises(PackError, match=r"'lgdnet-pack-1' is needed. It was made by a newer lgdnet"):
        open_it(other)
    assert release("0.10.2+1a2b3c4.dirty") == (0, 10, 2) > release("0.9") and release("unknown") == ()


def test_only_a_pack_is_written_over(challenge, packed, tmp_path):
    old = shutil.copy(packed, tmp_path / "old.lgdnet")
    assert stage.run(challenge.root, old, rows=["frame/tcp"]) == ["frame/tcp"]
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("thesis.txt", "years of work")
    (tmp_path / "thesis.txt").write_text("years of work")
    for name in ("other.zip", "thesis.txt"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(
            PackError, match=rf"{name}: is there already and no pack. Delete it, or name another"
        ):
            stage.run(challenge.root, tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(PackError, match=r": a folder. Name the file to write, such as .*/challenge.lgdnet"):
        stage.run(challenge.root, tmp_path)
