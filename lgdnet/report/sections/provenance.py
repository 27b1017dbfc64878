"""Where every number comes from: settings, versions of the code, digests."""

import json
import platform
from importlib.metadata import version

from lgdnet.artefact import code_version
from lgdnet.report.challenge import Finished
from lgdnet.report.content import Column, Facts, Listing, Section, Table
from lgdnet.report.judged import Judgement
from lgdnet.report.wording import NONE
from lgdnet.settings import changed

PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "h5py", "av", "snakemake", "altair")


def provenance(finished: Finished, judged: Judgement) -> Section:
    """Settings as the workflow read them, and which code made what."""
    import yaml

    settings = yaml.safe_dump(json.loads(changed(finished.challenge)), sort_keys=False, allow_unicode=True)
    facts = [
        ("Challenge", finished.challenge.challenge),
        ("Results", str(finished.results)),
        ("This page made by", f"lgdnet {code_version()}, Python {platform.python_version()}"),
        ("With", ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
    ]
    columns = [
        Column("Row"),
        Column("Made from"),
        Column("Settings", help="digest of the settings of its scores"),
        Column("Code", help="version of lgdnet, commit, .dirty where files had changed"),
    ]
    rows = [
        [row.short, ", ".join(row.streams) or NONE, row.cells.get("settings", ""), row.cells.get("code", "")]
        for row in finished.all_rows
    ]
    return Section(
        "provenance",
        "Settings and provenance",
        "Every file carries its settings, the digests of its inputs and the version of the code that made it.",
        [
            Facts(facts),
            Table("provenance-table", "What each row was made by", columns, rows),
            Listing("Settings that differ from the defaults", settings),
        ],
    )
