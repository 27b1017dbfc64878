"""Vega-Lite plots of the report. Text and lines take the colour of the page, so that both themes need one plot."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

# Told apart by most colour-blind readers, and readable on white and on black.
COLOURS = (
    "#3b7dd8",
    "#d2691e",
    "#2a9d6e",
    "#b45cc6",
    "#a8841a",
    "#d1495b",
    "#2f93a5",
    "#8d7b68",
    "#7a86d6",
    "#71902a",
)
INK = "currentColor"
ROW_HEIGHT = 22  # pixels of one bar or line of a plot with names on its left
LABEL_WIDTH = 170  # pixels; longer names are cut, the tooltip has them whole


def spec_of(chart: Any, *, height: int | None = None) -> dict[str, Any]:
    """A chart as Vega-Lite, as wide as the page allows."""
    chart = chart.properties(width="container", **({"height": height} if height else {}))
    lines = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
    config = {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **lines,
            "titleFontWeight": "normal",
            "gridColor": INK,
            "gridOpacity": 0.13,
            "domainColor": INK,
            "domainOpacity": 0.4,
            "tickColor": INK,
            "tickOpacity": 0.4,
            "labelLimit": LABEL_WIDTH,
        },
        "axisX": {"tickCount": 6, "labelFlush": False},
        "axisY": {"labelPadding": 6},
        "legend": {**lines, "titleFontWeight": "normal", "orient": "bottom", "labelLimit": 220, "columns": 3},
        "range": {"category": list(COLOURS)},
        "bar": {"cornerRadiusEnd": 2},
    }
    spec: dict[str, Any] = chart.to_dict(format="vega-lite")
    spec["config"] = config
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def data(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows)


def by_name(field: str, names: Sequence[str]) -> alt.Y:
    """Names on the left, in the given order."""
    return alt.Y(
        f"{field}:N",
        sort=list(dict.fromkeys(names)),
        title=None,
        axis=alt.Axis(grid=False, ticks=False, domain=False),
    )


def intervals(
    rows: Sequence[Mapping[str, Any]], *, title: str, colour: str | None = None, from_zero: bool = False
) -> dict[str, Any]:
    """A point with its interval for each name: `name`, `value`, `low`, `high`, and `colour` where that is a field."""
    frame = data(rows)
    base = alt.Chart(frame).encode(
        y=by_name("name", [str(row["name"]) for row in rows]),
        tooltip=["name:N", alt.Tooltip("value:Q", title=title), "low:Q", "high:Q"],
    )
    shade = shade_of(rows, colour) if colour else alt.value(COLOURS[0])
    axis = alt.X("value:Q", title=title, scale=alt.Scale(zero=from_zero, nice=True))
    layers = [
        base.mark_rule(strokeWidth=3, opacity=0.55).encode(
            x=alt.X("low:Q", title=title), x2="high:Q", color=shade
        ),
        base.mark_point(filled=True, size=70, opacity=1).encode(x=axis, color=shade),
    ]
    if from_zero:
        zero = alt.Chart(data([{"zero": 0}])).mark_rule(color=INK, opacity=0.6).encode(x="zero:Q")
        layers.insert(0, zero)
    return spec_of(alt.layer(*layers), height=heights(rows))


def shade_of(rows: Sequence[Mapping[str, Any]], field: str) -> alt.Color:
    """Colours in the order in which their names come."""
    return alt.Color(f"{field}:N", title=None, sort=list(dict.fromkeys(str(row[field]) for row in rows)))


def heights(rows: Sequence[Mapping[str, Any]]) -> int:
    """Of a plot with a line for each name."""
    return ROW_HEIGHT * max(len({row["name"] for row in rows}), 2)


def bars(
    rows: Sequence[Mapping[str, Any]], *, title: str, colour: str | None = None, signed: bool = False
) -> dict[str, Any]:
    """A bar for each name: `name`, `value`; those of one name are stacked where `colour` is a field."""
    names = [str(row["name"]) for row in rows]
    shade: Any = alt.value(COLOURS[0])
    if colour:
        shade = shade_of(rows, colour)
    elif signed:
        shade = alt.condition("datum.value < 0", alt.value(COLOURS[5]), alt.value(COLOURS[2]))
    chart = (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title=title),
            y=by_name("name", names),
            color=shade,
            tooltip=["name:N", *([f"{colour}:N"] if colour else []), alt.Tooltip("value:Q", title=title)],
        )
    )
    return spec_of(chart, height=heights(rows))


def curves(rows: Sequence[Mapping[str, Any]], *, height: int = 260, **words: Any) -> dict[str, Any]:
    """The plot of `lines`."""
    return spec_of(lines(rows, **words), height=height)


def lines(
    rows: Sequence[Mapping[str, Any]],
    *,
    x: str,
    y: str,
    dash: bool = False,
    log_x: bool = False,
    points: bool = False,
) -> alt.Chart:
    """A line for each `name` through `x`, `y`, dashed by `kind`; a click on the legend leaves one alone."""
    chosen = alt.selection_point(fields=["name"], bind="legend")
    scale = alt.Scale(type="log", nice=False) if log_x else alt.Scale(zero=False, nice=False)
    names = list(dict.fromkeys(str(row["name"]) for row in rows))
    words = [
        "name:N",
        *(["kind:N"] if dash else []),
        alt.Tooltip("x:Q", title=x),
        alt.Tooltip("y:Q", title=y),
    ]
    encoding: dict[str, Any] = {
        "x": alt.X("x:Q", title=x, scale=scale),
        "y": alt.Y("y:Q", title=y, scale=alt.Scale(zero=False)),
        "color": alt.Color("name:N", title=None, sort=names),
        "opacity": alt.condition(chosen, alt.value(1), alt.value(0.12)),
        "tooltip": words,
    }
    if dash:
        encoding["strokeDash"] = alt.StrokeDash("kind:N", title=None)
    point = {"size": 40, "filled": True} if points else False
    return alt.Chart(data(rows)).mark_line(strokeWidth=2, point=point).encode(**encoding).add_params(chosen)


def dumbbells(rows: Sequence[Mapping[str, Any]], *, title: str) -> dict[str, Any]:
    """Two points for each `name`, joined: `kind` and `value`."""
    base = alt.Chart(data(rows)).encode(
        x=alt.X("value:Q", title=title, scale=alt.Scale(zero=False)),
        y=by_name("name", [str(row["name"]) for row in rows]),
    )
    line = base.mark_line(color=INK, opacity=0.4).encode(detail="name:N")
    point = base.mark_point(filled=True, size=70, opacity=1).encode(
        color=alt.Color("kind:N", title=None),
        shape=alt.Shape("kind:N", title=None),
        tooltip=["name:N", "kind:N", "value:Q"],
    )
    return spec_of(alt.layer(line, point), height=heights(rows))


def scatter(rows: Sequence[Mapping[str, Any]], *, x: str, y: str, log_x: bool) -> dict[str, Any]:
    """A point for each `name` at `x`, `y`, coloured by `colour`."""
    chart = (
        alt.Chart(data(rows))
        .mark_point(filled=True, size=80, opacity=0.9)
        .encode(
            x=alt.X("x:Q", title=x, scale=alt.Scale(type="log" if log_x else "linear", nice=True)),
            y=alt.Y("y:Q", title=y, scale=alt.Scale(zero=False)),
            color=shade_of(rows, "colour"),
            tooltip=["name:N", alt.Tooltip("x:Q", title=x), alt.Tooltip("y:Q", title=y)],
        )
    )
    return spec_of(chart, height=280)


def histogram(rows: Sequence[Mapping[str, Any]], *, x: str, y: str) -> dict[str, Any]:
    """Bars from `low` to `high` as tall as `value`."""
    chart = (
        alt.Chart(data(rows))
        .mark_bar(color=COLOURS[0])
        .encode(
            x=alt.X("low:Q", title=x, bin="binned"),
            x2="high:Q",
            y=alt.Y("value:Q", title=y),
            tooltip=["low:Q", "high:Q", alt.Tooltip("value:Q", title=y)],
        )
    )
    return spec_of(chart, height=200)


def reliability(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Accuracy over confidence for each `name`, with the line of those who are as often right as they say."""
    honest = alt.Chart(data([{"x": 0, "y": 0}, {"x": 100, "y": 100}])).encode(x="x:Q", y="y:Q")
    line = honest.mark_line(color=INK, strokeDash=[4, 4], opacity=0.6, strokeWidth=1)
    return spec_of(alt.layer(line, lines(rows, x="confidence %", y="accuracy %", points=True)), height=300)
