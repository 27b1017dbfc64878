"""Quotas as `quota` and `lfs quota` print them."""

import pytest

from lgdnet import quota

LINUX = """Disk quotas for user bob (uid 1000): 
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
      /dev/sda1  400000* 300000  500000 1700000000    9000       0       0       0
  server:/homes 100000000 0 1000000000 0 10000 400000 500000 0
"""  # noqa: W291
LUSTRE = """Disk quotas for usr bob (uid 1000):
     Filesystem  kbytes   quota   limit   grace   files   quota   limit   grace
/a/very/long/name/of/a/file/system
                1000000  2000000 3000000       -   [70]*     50      60   6d23h
uid 1000 is using default block quota setting
"""


def test_used_and_allowed_are_read_as_linux_prints_them():
    [local] = quota.parsed(LINUX, "bob", "/dev/sda1")
    assert (local.used_gb, local.limit_gb, local.max_files) == pytest.approx((0.4096, 0.3072, 0))
    [home] = quota.parsed(LINUX, "bob", "server:/homes")
    assert home.describe() == "quota of bob on server:/homes: 102 of 1,024 GB, 10,000 of 400,000 files"
    assert home.free_gb == pytest.approx(921.6) and home.free_files == 390_000


def test_used_and_allowed_are_read_as_lustre_prints_them():
    [found] = quota.parsed(LUSTRE, "bob")
    assert found.limit_gb == pytest.approx(2.048) and (found.files, found.free_files) == (70, -20)


@pytest.mark.parametrize(
    "text", ["", "Disk quotas for user root (uid 0): none\n", "Filesystem what\n a b c d e f g h i\n"]
)
def test_no_quota_and_unknown_layouts_are_no_quota(text):
    assert list(quota.parsed(text, "bob")) == []


def test_the_file_system_of_a_folder_is_the_deepest_mount(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/root / ext4 rw 0 0\nserver:/x {tmp_path} nfs rw 0 0\n/dev/b {tmp_path}/other ext4 rw 0 0\n"
    )
    monkeypatch.setattr(quota, "MOUNTS", mounts)
    assert quota.mounted_from(tmp_path / "results") == "server:/x"


def test_only_what_has_a_limit_is_told(tmp_path, monkeypatch):
    (tmp_path / "mounts").write_text(f"server:/homes {tmp_path} nfs rw 0 0\n")
    monkeypatch.setattr(quota, "MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(
        quota,
        "words_of",
        lambda name, *_: (
            LINUX
            if name == "quota"
            else LUSTRE.replace("2000000 3000000", "0 0").replace("50      60", "0 0")
        ),
    )
    assert [one.files for one in quota.quotas(tmp_path)] == [10_000]
