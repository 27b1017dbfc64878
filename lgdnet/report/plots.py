"""Vega-Lite plots of the report. Text and lines take the colour of the page, so that both themes need one plot."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

# Readable on white and on black, each as far from all before it as can be; the first ten are told apart by most
# colour-blind readers.
COLOURS = (
    "#3b7dd8",
    "#d2691e",
    "#2a9d6e",
    "#b45cc6",
    "#a8841a",
    "#d1495b",
    "#2f93a5",
    "#8d7b68",
    "#c47ca0",
    "#71902a",
    "#9410f4",
    "#1058f4",
    "#f41094",
    "#f41010",
    "#10ac10",
    "#f410dc",
    "#ac347c",
    "#945828",
    "#586488",
    "#a04ce8",
    "#4c704c",
    "#f4104c",
    "#a05858",
    "#108828",
)
INK = "currentColor"
ROW_HEIGHT = 22  # pixels of one bar or line of a plot with names on its left
OF_EVERY_OBJECT = frozenset(
    (
        *(
            "constructor",
            "hasOwnProperty",
            "isPrototypeOf",
            "propertyIsEnumerable",
            "toLocaleString",
            "toString",
        ),
        *(
            "valueOf",
            "__proto__",
            "__defineGetter__",
            "__defineSetter__",
            "__lookupGetter__",
            "__lookupSetter__",
        ),
    )
)  # in JavaScript


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
        },
        "axisX": {"tickCount": 6, "labelFlush": False},
        "axisY": {"labelPadding": 6},
        "legend": {
            **lines,
            "titleFontWeight": "normal",
            "orient": "bottom",
            "labelLimit": 220,
            "columns": 3,
            "symbolOpacity": 1,
        },
        "range": {"category": list(COLOURS)},
        "bar": {"cornerRadiusEnd": 2},
    }
    spec: dict[str, Any] = chart.to_dict(format="vega-lite")
    spec["config"] = config
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def data(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{key: harmless(value) for key, value in row.items()} for row in rows])


def harmless(value: Any) -> Any:
    """Vega keeps names as keys of plain objects, in which these are there already: a sign without width sets them apart."""
    return "\u200b" + value if value in OF_EVERY_OBJECT else value


def by_name() -> alt.Y:
    """Names on the left, in the order of the rows.

    A list of names to sort by would become an expression of Vega's, which some names break (a line separator does).
    """
    return alt.Y(
        "name:N",
        sort=None,
        title=None,
        axis=alt.Axis(grid=False, ticks=False, domain=False),
    )


def intervals(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    colour: str | None = None,
    shades: Mapping[str, str] | None = None,
    from_zero: bool = False,
) -> dict[str, Any]:
    """A point with its interval for each name: `name`, `value`, `low`, `high`, and `colour` where that is a field."""
    frame = data(rows)
    base = alt.Chart(frame).encode(
        y=by_name(),
        tooltip=["name:N", alt.Tooltip("value:Q", title=title), "low:Q", "high:Q"],
    )
    shade = shade_of(rows, colour, shades) if colour else alt.value(COLOURS[0])
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


def shade_of(
    rows: Sequence[Mapping[str, Any]], field: str, shades: Mapping[str, str] | None = None
) -> alt.Color:
    """A colour for each name of a field, in the order in which they come; `shades` says which, else the first ones."""
    names = list(dict.fromkeys(str(row[field]) for row in rows))
    chosen = shades or dict(zip(names, itertools.cycle(COLOURS), strict=False))
    scale = alt.Scale(domain=[harmless(name) for name in names], range=[chosen[name] for name in names])
    return alt.Color(f"{field}:N", title=None, sort=None, scale=scale)


def heights(rows: Sequence[Mapping[str, Any]]) -> int:
    """Of a plot with a line for each name."""
    return ROW_HEIGHT * max(len({row["name"] for row in rows}), 2)


def bars(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    colour: str | None = None,
    shades: Mapping[str, str] | None = None,
    signed: bool = False,
) -> dict[str, Any]:
    """A bar for each name: `name`, `value`; those of one name are stacked where `colour` is a field."""
    shade: Any = alt.value(COLOURS[0])
    if colour:
        shade = shade_of(rows, colour, shades)
    elif signed:
        shade = alt.condition("datum.value < 0", alt.value(COLOURS[5]), alt.value(COLOURS[2]))
    chart = (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title=title),
            y=by_name(),
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
    shades: Mapping[str, str] | None = None,
) -> alt.Chart:
    """A line for each `name` through `x`, `y`, dashed by `kind`; a click on the legend leaves one alone."""
    chosen = alt.selection_point(fields=["name"], bind="legend")
    scale = alt.Scale(type="log", nice=False) if log_x else alt.Scale(zero=False, nice=False)
    words = [
        "name:N",
        *(["kind:N"] if dash else []),
        alt.Tooltip("x:Q", title=x),
        alt.Tooltip("y:Q", title=y),
    ]
    encoding: dict[str, Any] = {
        "x": alt.X("x:Q", title=x, scale=scale),
        "y": alt.Y("y:Q", title=y, scale=alt.Scale(zero=False)),
        "color": shade_of(rows, "name", shades),
        "opacity": alt.condition(chosen, alt.value(1), alt.value(0.12)),
        "tooltip": words,
    }
    if dash:
        encoding["strokeDash"] = alt.StrokeDash("kind:N", title=None)
    lone = 1 in Counter((row["name"], row.get("kind")) for row in rows).values()  # no line, but a point
    point = {"size": 40, "filled": True} if points or lone else False
    return alt.Chart(data(rows)).mark_line(strokeWidth=2, point=point).encode(**encoding).add_params(chosen)


def dumbbells(rows: Sequence[Mapping[str, Any]], *, title: str) -> dict[str, Any]:
    """Two points for each `name`, joined: `kind` and `value`."""
    base = alt.Chart(data(rows)).encode(
        x=alt.X("value:Q", title=title, scale=alt.Scale(zero=False)),
        y=by_name(),
    )
    line = base.mark_line(color=INK, opacity=0.4).encode(detail="name:N")
    point = base.mark_point(filled=True, size=70, opacity=1).encode(
        color=alt.Color("kind:N", title=None),
        shape=alt.Shape("kind:N", title=None),
        tooltip=["name:N", "kind:N", "value:Q"],
    )
    return spec_of(alt.layer(line, point), height=heights(rows))


def scatter(
    rows: Sequence[Mapping[str, Any]], *, x: str, y: str, log_x: bool, shades: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A point for each `name` at `x`, `y`, coloured by `colour`."""
    chart = (
        alt.Chart(data(rows))
        .mark_point(filled=True, size=80, opacity=0.9)
        .encode(
            x=alt.X("x:Q", title=x, scale=alt.Scale(type="log" if log_x else "linear", nice=True)),
            y=alt.Y("y:Q", title=y, scale=alt.Scale(zero=False)),
            color=shade_of(rows, "colour", shades),
            tooltip=["name:N", alt.Tooltip("x:Q", title=x), alt.Tooltip("y:Q", title=y)],
        )
    )
    return spec_of(chart, height=280)


def histogram(rows: Sequence[Mapping[str, Any]], *, x: str, y: str) -> dict[str, Any]:
    """Bars from `low` to `high` as tall as `value`."""
    chart = (
        alt.Chart(data(rows))
        .mark_rect(color=COLOURS[0], stroke="white", strokeOpacity=0.4)
        .encode(
            x=alt.X("low:Q", title=x, scale=alt.Scale(zero=False)),
            x2="high:Q",
            y=alt.Y("value:Q", title=y, scale=alt.Scale(zero=True)),
            y2=alt.Y2(datum=0),
            tooltip=["low:Q", "high:Q", alt.Tooltip("value:Q", title=y)],
        )
    )
    return spec_of(chart, height=200)


def reliability(
    rows: Sequence[Mapping[str, Any]], *, shades: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Accuracy over confidence for each `name`, with the line of those who are as often right as they say."""
    honest = alt.Chart(data([{"x": 0, "y": 0}, {"x": 100, "y": 100}])).encode(x="x:Q", y="y:Q")
    line = honest.mark_line(color=INK, strokeDash=[4, 4], opacity=0.6, strokeWidth=1)
    of_rows = lines(rows, x="confidence %", y="accuracy %", points=True, shades=shades)
    return spec_of(alt.layer(line, of_rows), height=300)
