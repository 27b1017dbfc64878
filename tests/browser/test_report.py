"""Reports in Chromium: quiet, whole, usable by mouse, keys and screen readers, at two sizes and in two themes."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import visited

SERIOUS = {"serious", "critical"}


MARKS = ", ".join(f"svg .mark-{kind}.role-mark path" for kind in ("rect", "symbol", "line"))


def texts(page, selector: str) -> list[str]:
    return page.eval_on_selector_all(selector, "cells => cells.map((cell) => cell.textContent)")


@pytest.fixture(scope="module")
def opened(browser, page_file):
    """The page on a desktop, every plot drawn; tests leave it as they found it."""
    with visited(browser, page_file) as opened:
        opened.draw_all()
        yield opened


def test_the_page_is_quiet_and_nothing_leaves_it(opened, page_file):
    assert opened.messages == []
    beyond = [url for url in opened.requests if not url.startswith(("data:", page_file.resolve().as_uri()))]
    assert beyond == []


def test_the_browser_refuses_a_request_and_a_foreign_script(browser, page_file):
    with visited(browser, page_file) as opened:
        refused = opened.page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
        assert refused == "refused"
        opened.page.evaluate(
            "() => { const script = document.createElement('script'); script.textContent = 'window.ran = true';"
            " document.body.append(script); }"
        )
        assert opened.page.evaluate("window.ran") is None
        assert any("Content Security Policy" in message for message in opened.messages)


def test_every_figure_is_drawn(opened):
    page = opened.page
    plots = page.query_selector_all(".plot")
    assert len(plots) >= 5
    for plot in plots:
        marks = plot.eval_on_selector_all(
            MARKS, "all => all.filter((mark) => mark.getBBox().width > 0).length"
        )
        box = plot.query_selector("svg").bounding_box()
        assert marks > 0 and box["width"] > 300 and box["height"] > 40, plot.get_attribute("aria-label")
        assert box["width"] <= plot.bounding_box()["width"] + 1, plot.get_attribute("aria-label")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_names_beside_a_plot_tell_its_lines_apart(browser, page_file, size):
    with visited(browser, page_file, size=size) as opened:
        opened.draw_all()
        for plot in opened.page.query_selector_all(".plot"):
            names = plot.eval_on_selector_all(
                "svg .role-axis .role-axis-label text",
                "all => all.filter((one) => one.getAttribute('text-anchor') === 'end').map((one) => one.textContent)",
            )
            assert len(set(names)) == len(names), names


def test_a_table_that_is_cut_says_so(browser, page_file):
    with visited(browser, page_file, size="phone") as opened:
        box = opened.page.locator("#leaderboard-table .scroll")
        says = (
            "() => getComputedStyle(document.querySelector('#leaderboard-table .tools'), '::after').content"
        )
        assert opened.page.evaluate(says) == '"more columns →"'
        box.evaluate("(box) => box.scrollTo(box.scrollWidth, 0)")
        opened.wait_until(f"({says})() === 'none'")


def test_every_picture_is_shown(opened):
    page = opened.page
    for picture in page.query_selector_all("img"):
        picture.scroll_into_view_if_needed()
    opened.wait_until("[...document.images].every((one) => one.complete && one.naturalWidth > 50)")
    assert page.evaluate("[...document.images].every((one) => one.alt.length > 10)")


def test_a_table_sorts_by_number_and_by_word_with_the_keyboard(opened):
    page = opened.page
    heads = texts(page, "#leaderboard-table thead th")
    column = heads.index("Top-1 %") + 1
    cells = f"#leaderboard-table tbody tr > :nth-child({column})"
    before = texts(page, cells)
    button = page.locator(f"#leaderboard-table thead th:nth-child({column}) button")
    button.focus()
    page.keyboard.press("Enter")
    assert (
        page.locator(f"#leaderboard-table thead th:nth-child({column})").get_attribute("aria-sort")
        == "descending"
    )
    values = [float(text) for text in texts(page, cells)]
    assert values == sorted(values, reverse=True) and sorted(texts(page, cells)) == sorted(before)
    page.keyboard.press("Space")
    values = [float(text) for text in texts(page, cells)]
    assert values == sorted(values)
    page.locator("#leaderboard-table thead th:first-child button").click()
    assert page.evaluate(
        """() => {
          const names = [...document.querySelectorAll('#leaderboard-table tbody th')].map((cell) => cell.textContent);
          const words = new Intl.Collator(undefined, {numeric: true, sensitivity: 'base'});
          return names.length > 0 && names.every((name, i) => !i || words.compare(names[i - 1], name) <= 0);
        }"""
    )


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_accuracy_and_its_interval_stand_beside_the_row_in_view(browser, page_file, size):
    """Without moving the table sideways; a space that does not break ties each arrow to its heading."""
    with visited(browser, page_file, size=size) as opened:
        page = opened.page
        assert texts(page, "#leaderboard-table thead th")[:3] == ["Row", "Top-1 %", "95 % interval"]
        right = page.eval_on_selector(
            "#leaderboard-table .scroll", "(box) => box.getBoundingClientRect().right"
        )
        cells = "#leaderboard-table tr > :nth-child(3)"
        edges = page.eval_on_selector_all(
            cells, "all => all.map((cell) => cell.getBoundingClientRect().right)"
        )
        assert len(edges) > 1 and max(edges) <= right
        arrows = page.eval_on_selector_all(
            "#leaderboard-table thead button",
            "all => all.map((one) => getComputedStyle(one, '::after').content)",
        )
        assert len(arrows) > 3 and all(arrow.startswith('"\u00a0') for arrow in arrows), arrows


def test_a_table_shows_only_rows_that_hold_every_word(opened):
    page = opened.page
    rows = page.locator("#classes-table tbody tr")
    total = rows.count()
    name = texts(page, "#classes-table tbody th")[-1]
    field = page.locator("#classes-table [data-filter]")
    field.fill(name)
    shown = page.locator("#classes-table tbody tr:visible")
    assert 1 <= shown.count() < total
    assert page.locator("#classes-table [data-count]").text_content() == f"{shown.count()} of {total} rows"
    field.fill("no such class anywhere")
    assert page.locator("#classes-table tbody tr:visible").count() == 0
    field.fill("")
    assert page.locator("#classes-table tbody tr:visible").count() == total


def test_the_matrix_is_drawn_and_answers_to_keys_and_filter(opened):
    page = opened.page
    canvas, readout = (
        page.locator("#confusion-matrix canvas"),
        page.locator("#confusion-matrix [data-readout]"),
    )
    canvas.scroll_into_view_if_needed()
    painted = page.eval_on_selector(
        "#confusion-matrix canvas",
        "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v > 0)",
    )
    assert painted
    canvas.focus()
    page.keyboard.press("ArrowRight")
    first = readout.text_content()
    assert "videos" in first
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert readout.text_content() != first
    page.keyboard.press("n")
    assert "taken for" in readout.text_content() or "No mistakes" in readout.text_content()
    for key in ("+", "+", "-", "0"):
        page.keyboard.press(key)
    field = page.locator("#confusion-matrix [data-classes]")
    field.fill("no such class anywhere")
    assert readout.text_content() == "No class has such a name."
    field.fill("")
    canvas.hover(position={"x": 200, "y": 200})
    assert "videos" in readout.text_content()


def drag_by_finger(page, start, way):
    """Put a finger down, move it in steps, lift it, as a touch screen reports it."""
    session = page.context.new_cdp_session(page)

    def send(kind, *points):
        touches = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    (x, y), (right, down) = start, way
    send("touchStart", (x, y))
    for step in range(1, 11):
        send("touchMove", (x + right * step / 10, y + down * step / 10))
    send("touchEnd")


def test_a_finger_moves_a_zoomed_matrix_and_the_page_otherwise(browser, page_file):
    with visited(browser, page_file, size="phone") as opened:
        page = opened.page
        canvas = page.locator("#confusion-matrix canvas")
        if (
            page.evaluate(
                "JSON.parse(document.getElementById('confusion-matrix-data').textContent).classes.length"
            )
            < 8
        ):
            pytest.skip("too few classes to zoom in on")

        def drag():
            """What a drag does: (pixels that the page scrolls, whether other cells lie where they lay)."""
            canvas.evaluate("(canvas) => canvas.scrollIntoView({block: 'center'})")
            top, before = page.evaluate("scrollY"), cell_in_the_middle(canvas)
            box = canvas.bounding_box()
            drag_by_finger(page, (box["x"] + 0.6 * box["width"], box["y"] + 0.6 * box["height"]), (-90, -130))
            page.wait_for_timeout(500)
            return abs(page.evaluate("scrollY") - top), cell_in_the_middle(canvas) != before

        scrolled, moved = drag()
        assert scrolled > 40 and not moved
        page.locator("#confusion-matrix [data-zoom='2']").evaluate("(button) => button.click()")
        assert drag() == (0, True)
        page.locator("#confusion-matrix [data-zoom='0']").evaluate("(button) => button.click()")
        scrolled, moved = drag()
        assert scrolled > 40 and not moved


def cell_in_the_middle(canvas) -> str:
    """What the page says of it when it is pointed at."""
    return canvas.evaluate(
        """(canvas) => {
          const box = canvas.getBoundingClientRect();
          const at = {clientX: box.left + 0.7 * box.width, clientY: box.top + 0.7 * box.height};
          canvas.dispatchEvent(new PointerEvent("pointermove", at));
          return document.querySelector("#confusion-matrix [data-readout]").textContent;
        }"""
    )


def test_the_theme_can_be_chosen(opened):
    page = opened.page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    button = page.locator("#theme")
    button.click()
    button.click()
    assert button.text_content() == "Theme: dark" and page.evaluate(ground) != light
    button.click()
    assert button.text_content() == "Theme: system" and page.evaluate(ground) == light


@pytest.mark.parametrize(
    ("size", "theme"), [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")]
)
def test_both_sizes_in_both_themes(browser, page_file, shots, size, theme):
    """Nothing is wider than the window, axe finds nothing serious, and a picture is left to be looked at."""
    with visited(browser, page_file, size=size, theme=theme) as opened:
        page = opened.page
        opened.draw_all()
        assert opened.messages == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=shots / f"{page_file.parent.name}-{size}-{theme}.png", full_page=True)
        faults = [fault for fault in Axe().run(page).response["violations"] if fault["impact"] in SERIOUS]
        assert not faults, "\n".join(
            f"{fault['id']}: {fault['help']}: {[node['html'][:160] for node in fault['nodes'][:3]]}"
            for fault in faults
        )
