"""The leaderboard page in a real browser: it sorts, changes its colours, and fetches nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if BROWSER is None:
        pytest.skip("no chromium: the page is not tried in a browser")
    place = tmp_path_factory.mktemp("page")
    html = (data_directory("leaderboards") / "index.html").read_text("utf-8")
    html = html.replace("<head>", f"<head>{CATCH}").replace("</body>", f"{PROBE}</body>")
    (place / "index.html").write_text(html, "utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={place / 'profile'}"]
    done = subprocess.run(
        [*command, (place / "index.html").as_uri()], capture_output=True, text=True, timeout=120
    )
    title = re.search(r"<title>PROBE(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stdout[:300] + done.stderr[-1000:]
    return json.loads(unescape(title[1]))


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
