"""Pages in a real browser: they fetch nothing, nothing fails, they fit, and boards sort."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from audit.planted import plant

from scalevqa_eval.audit.assemble import audit
from scalevqa_eval.audit.page import to_html
from scalevqa_eval.paths import data_directory

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=3000", "--dump-dom",
)  # fmt: skip

# Runs in the page after its own script; what it finds is written into the document's title.
PROBE = """
<script>
addEventListener("load", () => {
  const found = {errors: window.failures};
  const table = document.getElementById("scale-vqa").querySelector("table");
  const names = () => [...table.tBodies[0].rows].map(row => row.cells[1].textContent);
  const heads = [...table.tHead.rows[0].cells];
  const head = text => heads.find(h => h.textContent.startsWith(text));
  const click = text => head(text).querySelector("button").click();
  const sorted = () => heads.map(h => h.getAttribute("aria-sort")).filter(way => way);
  found.start = names();
  click("Explanation"); found.explanation = names(); found.mark = sorted();
  click("Explanation"); found.reversed = names();
  click("model"); found.byName = names();
  click("rank"); found.byRank = names();
  const background = () => getComputedStyle(document.body).backgroundColor;
  const before = background();
  document.getElementById("theme").click();
  found.colours = [before, background()];
  found.fetched = performance.getEntriesByType("resource").map(entry => entry.name);
  document.title = "PROBE" + JSON.stringify(found);
});
</script>
"""
CATCH = """
<script>
window.failures = [];
addEventListener("error", e => failures.push(e.message));
addEventListener("securitypolicyviolation", e => failures.push(e.violatedDirective));
</script>
"""


def probed(html: str, probe: str, place: Path, *flags: str) -> Any:
    """What the probe's script found in the page."""
    if BROWSER is None:
        pytest.skip("no chromium: the page is not tried in a browser")
    html = html.replace("<head>", f"<head>{CATCH}").replace("</body>", f"{probe}</body>")
    (place / "index.html").write_text(html, "utf-8")
    command = [BROWSER, *FLAGS, *flags, f"--user-data-dir={place / 'profile'}"]
    done = subprocess.run(
        [*command, (place / "index.html").as_uri()], capture_output=True, text=True, timeout=120
    )
    title = re.search(r"<title>PROBE(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stdout[:300] + done.stderr[-1000:]
    return json.loads(unescape(title[1]))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    html = (data_directory("leaderboards") / "index.html").read_text("utf-8")
    return probed(html, PROBE, tmp_path_factory.mktemp("page"))


def test_nothing_is_fetched_and_nothing_fails(found: Any) -> None:
    assert found["fetched"] == []
    assert found["errors"] == []


def test_tables_sort_by_any_column(found: Any) -> None:
    board = json.loads((data_directory("leaderboards") / "scale-vqa.json").read_text("utf-8"))
    entries = [entry for entry in board["entries"] if entry["condition"] == "full"]
    by_explanation = sorted(
        entries, key=lambda entry: -entry["by_dimension"]["Explanation"]["accuracy"]
    )
    expected = [entry["model"] for entry in by_explanation]
    assert found["explanation"] == expected
    assert found["reversed"] == expected[::-1]
    assert found["mark"] == ["descending"]
    assert found["byName"] == sorted(found["start"], key=str.casefold)
    assert found["byRank"] == found["start"]


def test_the_colour_scheme_changes(found: Any) -> None:
    before, after = found["colours"]
    assert before != after


def test_the_page_names_no_other_file() -> None:
    html = Path(data_directory("leaderboards") / "index.html").read_text("utf-8")
    assert "default-src 'none'" in html
    assert not re.search(r"<(link|img|iframe|object|embed)\b|\bsrc=|@import|url\(", html)


MEASURE = """
<script>
addEventListener("load", () => {
  const page = document.documentElement;
  const first = document.querySelector(".first").getBoundingClientRect();
  document.title = "PROBE" + JSON.stringify({
    errors: window.failures, width: page.scrollWidth, inner: innerWidth,
    height: page.scrollHeight, first: first.bottom,
    fetched: performance.getEntriesByType("resource").length,
  });
});
</script>
"""


@pytest.mark.parametrize("width", [500, 1280])  # no headless window is narrower than 500
def test_an_audit_fits_a_phone_and_says_first_what_matters(tmp_path: Path, width: int) -> None:
    planted = plant("phrase", 60, strength=0.6)
    html = to_html(audit(planted, permutations=2, seeds=1).to_json(), planted.questions)
    # The page's own rules allow no script: the probe's is let in.
    html = html.replace("style-src", "script-src 'unsafe-inline'; style-src")
    found = probed(html, MEASURE, tmp_path, f"--window-size={width},900")
    assert found["fetched"] == 0
    assert found["errors"] == []
    assert found["width"] <= found["inner"]
    assert found["first"] < 300
    assert found["height"] < 6_000
