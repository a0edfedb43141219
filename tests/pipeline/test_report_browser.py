"""Reports in a real browser: Chromium, without a window."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from plotly.offline import get_plotlyjs

from pipeline.report import pages
from pipeline.report.server import serving
from tests.needs import skip_unless_required
from tests.pipeline.test_report_analyses import analysed, compared, write_compared
from tests.pipeline.test_report_site import HOSTILE, cohort, sweep

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Of the browser itself, about none of the pages.
ITS_OWN = ("crbug/", "Canvas2D: Multiple readback", "GPU stall")


class Browser:
    """Loads pages; whatever stands in their console is an error."""

    def __init__(self, program: str, profile: Path) -> None:
        self.command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--force-device-scale-factor=1", "--virtual-time-budget=2000", "--no-first-run",
            "--disable-extensions", "--enable-logging=stderr", f"--user-data-dir={profile}",
        ]  # fmt: skip

    def run(self, url: str, *options: str) -> str:
        """Return what the browser prints of a page."""
        done = subprocess.run(
            [*self.command, *options, url],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        console = [line for line in said if not any(each in line for each in ITS_OWN)]
        assert not console, console
        return done.stdout

    def elements(self, url: str) -> str:
        """Return the document as its scripts have left it."""
        return self.run(url, "--dump-dom")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        skip_unless_required("chromium", "install Debian's package chromium")
    return Browser(program, tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    first = analysed(HOSTILE)
    for network, r2 in zip(first.networks, (0.25, 0.9, 0.51), strict=True):
        network.row["r2"] = r2
    other = cohort("plain", 2)
    other.networks[0].row["r2"] = None
    other.networks[1].row["r2"] = 0.7
    cohorts = [first, other]
    write_compared(folder, cohorts, [compared(cohorts, "all")], sweeps=[sweep(cohorts)])
    return folder


def rows(document: str) -> list[tuple[str, str]]:
    """Return task and R² of the rows that are shown, in the order of the table of networks."""
    table = document[document.index('id="networks"') :]
    found = re.findall(r"<tr( hidden=\"\")?>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for hid, row in found if not hid]
    return [(unescape(row[1]), row[6]) for row in cells]


def test_the_table_sorts_and_filters(browser, report):
    index = (report / "index.html").as_uri()
    hostile = "%3C%2Fscript"
    for address, expected in {
        "sort=r2&descending=1": ["0.9", "0.7", "0.51", "0.25", "–"],  # what is missing: last
        f"sort=r2&filter={hostile}+r2%3E0.5": ["0.51", "0.9"],
    }.items():
        document = browser.elements(f"{index}#{address}")
        shown = rows(document)
        assert [r2 for _, r2 in shown] == expected
        count = "5 networks" if len(expected) == 5 else f"{len(expected)} of 5 networks"
        assert count in document
    assert {task for task, _ in shown} == {HOSTILE}
    assert 'aria-sort="ascending"' in document


def test_a_page_is_readable_on_a_telephone_and_on_a_screen(browser, report, tmp_path):
    """Nothing is wider than the window: a probe in the page measures, in a frame of each width."""
    pages = [report / "index.html", next((report / "networks").glob("plain*"))]
    pages.append(next((report / "cohorts").glob("plain*")))
    pages += [report / "sweeps" / "rates.html", report / "comparisons" / "all.html"]
    pages.append(next((report / "networks").glob("%3C*")))  # with analyses
    frames = "".join(
        f'<iframe src="{page.as_uri()}" width="{width}" height="800"></iframe>'
        for page in pages
        for width in (400, 1400)
    )
    probe = tmp_path / "probe.html"
    probe.write_text(
        f"<!doctype html><body>{frames}<script>onload = () => {{ document.title = "
        "[...document.querySelectorAll('iframe')].map(f => f.contentDocument.documentElement)"
        ".map(d => `${d.clientWidth}:${d.scrollWidth}`).join(' ') }</script>"
    )
    document = browser.run(probe.as_uri(), "--dump-dom", "--allow-file-access-from-files")
    widths = re.search(r"<title>(.*?)</title>", document)[1].split()
    assert len(widths) == 2 * len(pages)
    for pair in widths:
        window, content = map(int, pair.split(":"))
        assert window in (400, 1400) and content <= window, widths


def test_fixed_points_turn(browser, report):
    """What plotly draws in is there, under the policy that the page sets itself."""
    row = cohort("plain").networks[0].row
    lines = {"type": "scatter3d", "name": "p", "showlegend": True, "x": [0], "y": [1], "z": [2]}
    figure = json.dumps({"data": [lines], "layout": {}})
    page = report / "networks" / "view.html"
    page.write_bytes(pages.view_page(row, "exact", figure))
    (report / pages.PLOTLY).write_text(get_plotlyjs(), encoding="utf-8")
    for name in pages.ASSETS_OF_VIEWS:
        (report / "assets" / name).write_bytes(pages.asset(name))
    document = browser.run(page.as_uri(), "--dump-dom", "--enable-unsafe-swiftshader")
    assert "<canvas" in document and 'class="legendtext"' in document
    assert re.search(r'id="problem"[^>]*hidden', document)


def test_pages_load_without_a_word_in_the_console_from_disk_and_served(browser, report):
    def look(address, drawn="<svg"):
        document = browser.elements(address)
        assert HOSTILE in unescape(document) and drawn in document
        assert not re.search(r"<[^>]*\sonerror=", document)

    network, cohort = (next((report / folder).glob("%3C*")) for folder in ("networks", "cohorts"))
    look(network.as_uri())
    look((report / "sweeps" / "rates.html").as_uri())
    look((report / "comparisons" / "all.html").as_uri(), "<img")
    with serving(report) as server:
        server.paths = frozenset(str(p.relative_to(report)) for p in report.rglob("*.*"))
        look(f"{server.url}cohorts/{quote(cohort.name)}")


def test_the_points_of_a_sweep_sort(browser, report, tmp_path):
    """By a click on a heading: a frame around the page presses the button."""
    page = report / "sweeps" / "rates.html"
    probe = tmp_path / "probe.html"
    probe.write_text(
        f'<!doctype html><body><iframe src="{page.as_uri()}" width="1200"></iframe><script>'
        "onload = () => { const d = document.querySelector('iframe').contentDocument;"
        "const rates = () => [...d.querySelectorAll('#points tbody tr')].map(r => r.cells[0]"
        ".textContent).join(' '); const before = rates();"
        "for (const time of [1, 2]) d.querySelector('#points th button').click();"
        "document.title = `${before}:${rates()}` }"
        "</script>"
    )
    document = browser.run(probe.as_uri(), "--dump-dom", "--allow-file-access-from-files")
    assert re.search(r"<title>(.*?)</title>", document)[1] == "0.1 1:1 0.1"
