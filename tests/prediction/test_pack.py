"""A pack is whole and safe, or refused with its name."""

import json
import zipfile

import pytest

from lgdnet.artefact import digest
from lgdnet.prediction.finished import PredictionError
from lgdnet.prediction.opening import only_finished, opened
from lgdnet.prediction.pack import FORMAT, MANIFEST, PackError
from lgdnet.settings import SettingsError
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


def test_without_a_name_it_is_the_only_finished_challenge(tmp_path):
    with pytest.raises(PredictionError, match="holds no finished one"):
        only_finished(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "challenge.json").touch()
        if name == "a":
            assert only_finished(tmp_path) == tmp_path / "a"
    with pytest.raises(PredictionError, match=r"Name it with --challenge; there are .*a, .*b"):
        only_finished(tmp_path)
