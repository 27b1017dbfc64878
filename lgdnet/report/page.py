"""Sections to one HTML file: styles, scripts and data inside, and a policy by which the browser fetches nothing."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jinja2

from lgdnet.report.content import Section

STATIC = Path(__file__).parent / "static"
# Vega evaluates its expressions itself (`ast`), so the page needs no `unsafe-eval`.
DRAW = """
window.drawPlot = (place, spec) =>
  vegaEmbed(place, spec, {actions: false, renderer: "svg", ast: true, defaultStyle: false, tooltip: {theme: "page"}});
"""


def render(title: str, about: str, sections: Sequence[Section]) -> str:
    """The page. Names of videos, classes and files are escaped wherever they stand."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    has_plots = any(block.kind == "figure" for section in sections for block in section.blocks)
    scripts = [static("tables.js"), static("confusion.js"), static("page.js")]
    return environment.get_template("page.html").render(
        title=title,
        about=about,
        shown=[section for section in sections if section.blocks],
        absent=[section for section in sections if not section.blocks],
        style=static("report.css"),
        scripts=[*([plot_library()] if has_plots else []), *scripts],
        policy=policy,
    )


def policy(scripts: Sequence[str]) -> str:
    """Content-Security-Policy: these scripts and no others, pictures out of the page itself, no request at all."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


@cache
def plot_library() -> str:
    """Vega, Vega-Lite and vega-embed, 0.9 MB, as vl-convert carries them; seconds to put together."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(DRAW)
    return bundle.replace("</script", "<\\/script")
