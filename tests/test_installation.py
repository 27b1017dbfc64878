"""The lists of packages agree with each other."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned_within_its_bounds():
    from packaging.requirements import Requirement

    pinned = {canonical(name): version for name, version in PINS.items()}
    extras = PROJECT["optional-dependencies"].values()
    for line in [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]:
        wanted = Requirement(line)
        if canonical(wanted.name) == "lgdnet":
            continue
        assert wanted.specifier.contains(pinned[canonical(wanted.name)]), line


def test_every_dependency_says_why_it_is_there():
    text = (ROOT / "pyproject.toml").read_text()
    extras = PROJECT["optional-dependencies"].values()
    for wanted in [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]:
        assert re.search(rf'^  "{re.escape(wanted)}",\s+# \w', text, re.MULTILINE), wanted


def test_torch_is_pinned_without_a_build_tag():
    assert re.fullmatch(r"[\d.]+", PINS["torch"])


def test_exactly_one_opencv():
    assert [name for name in PINS if "opencv" in name] == ["opencv-contrib-python-headless"]


def test_the_conda_environment_installs_from_the_same_pins():
    environment = yaml.safe_load((ROOT / "envs/lgdnet.yaml").read_text())
    pip = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    assert "--constraint ../constraints.txt" in pip
    assert "--constraint constraints.txt" in (ROOT / "envs/Containerfile").read_text()


def test_conda_and_container_have_one_python_that_the_project_supports():
    from packaging.specifiers import SpecifierSet

    conda = re.search(r"- python=([\d.]+)", (ROOT / "envs/lgdnet.yaml").read_text())[1]
    container = re.search(r"python:([\d.]+)-slim", (ROOT / "envs/Containerfile").read_text())[1]
    assert conda == container
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{conda}.0")


def test_the_container_holds_what_the_workflow_reads():
    copied = " ".join(
        re.findall(r"^COPY (.*) \S+$", (ROOT / "envs/Containerfile").read_text(), re.MULTILINE)
    ).split()
    assert {"Snakefile", "config.yaml", "workflow", "profiles", "slurm", "challenges", "lgdnet"} <= set(
        copied
    )
