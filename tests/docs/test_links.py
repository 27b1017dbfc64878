"""Pages are found from the index, and what they point to is there: links, anchors, paths in code font."""

import re

import pytest

from tests.docs.pages import ROOT, Page, pages

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FOLDERS = "lgdnet|tests|docs|benchmarks|challenges|workflow|profiles|slurm|envs"
ROOT_FILES = (
    r"Makefile|Snakefile|README\.md|config\.yaml|constraints\.txt|pyproject\.toml|\.importlinter|\.ci/run"
)
OTHERS = "docs/(?:en|source)/"  # folders of other projects, in docs/comparison.md
PATH = re.compile(rf"(?!{OTHERS})(?:{FOLDERS})/[\w./*{{}}-]+|{ROOT_FILES}")
# What the pages tell the reader to make, or what a run makes; tests make them too.
MADE = re.compile(r"challenges/(mine|mine-two|by-folder|added)\.yaml")


def anchors(page: Page) -> set[str]:
    """The anchors that a forge gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.prose, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)) for text in headings]
    return {text.strip().lower().replace(" ", "-") for text in plain}


def links(page: Page) -> list[str]:
    return [target for target in LINK.findall(page.prose) if "://" not in target]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = ((ROOT / page.name).parent / path).resolve() if path else ROOT / page.name
        assert file.exists(), f"{page.name}: {target}: no such file"
        if anchor:
            there = Page(str(file.relative_to(ROOT)))
            assert anchor in anchors(there), f"{page.name}: {target}: no such heading"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_path_in_code_font_exists(page):
    for span in page.spans():
        if PATH.fullmatch(span) and not MADE.fullmatch(span):
            found = list(ROOT.glob(span)) if "{" not in span else [span]
            assert found, f"{page.name}: `{span}`: no such path"


def test_every_page_is_reached_from_the_index_and_the_index_from_the_readme():
    listed = {f"docs/{target.partition('#')[0]}" for target in links(Page("docs/README.md"))}
    missing = {page.name for page in pages()} - listed - {"README.md", "docs/README.md"}
    assert not missing, f"docs/README.md does not list {missing}"
    assert "docs/README.md" in links(Page("README.md"))


def test_files_that_several_pages_tell_to_write_are_the_same():
    written: dict[str, str] = {}
    for page in pages():
        for name, text in page.written_files().items():
            assert written.setdefault(name, text) == text, f"{page.name} has another {name}"
    assert {"challenges/mine.yaml", "challenges/added.yaml"} <= set(written)


def test_the_picture_of_the_workflow_has_every_rule_of_the_sample():
    """`make dag` draws it with graphviz, which CI has not got; where a rule is missing it is to be drawn again."""
    boxes = set(re.findall(r">([a-z_]+)</text>", (ROOT / "docs/dag.svg").read_text()))
    texts = [path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")]
    rules = {name for text in texts for name in re.findall(r"^rule (\w+):", text, re.MULTILINE)}
    not_of_the_sample = {
        "probe",
        "transcode",
        "media_manifest",
        "cache_shard",
        "import_scores",
        "fit_check_stream",
    }
    assert rules - not_of_the_sample == boxes - {"all"}, "make dag"
