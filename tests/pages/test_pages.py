"""Numbers, safe text, templates, and the one gate to the terminal."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from scalevqa_eval.pages import environment, fraction, one_line, percent, short, span, visible
from scalevqa_eval.pages.terminal import console, say

HOSTILE = [
    "\x1b]52;c;aGVsbG8=\x07",  # writes to the clipboard
    "\x1b[2J\x1b[H",  # clears the screen
    "\x9b2J",
    "a\rb\x08c",
    "\u202eright to left\u2066",
    "in\u200bvisible\u3164\ufe0f",
    "\u2028\u2029",
    "\x00\x7f",
]
MARKUP = ["[/]", "[bold red]x[/bold red]", "[link=http://x]y[/link]", ":skull:", "[/nothing]"]


def test_numbers() -> None:
    assert (percent(0.7755), percent(None)) == ("77.5", "–")
    assert (span((0.721, 0.82)), span(None, "no interval")) == ("[72.1, 82.0]", "no interval")
    assert (fraction(344, 450), fraction(344.333, 450)) == ("344/450", "344.33/450")
    assert (short("abcdef", 4), short("abcd", 4)) == ("abc…", "abcd")


@given(st.text(max_size=60))
def test_visible_text_has_nothing_unseen(text: str) -> None:
    told = visible(text)
    assert len(told) == len(text)
    bad = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert not any(unicodedata.category(c) in bad for c in told if c not in "\n\t")
    assert visible(told) == told
    assert not set("\n\t") & set(one_line(text))


@pytest.mark.parametrize("text", HOSTILE + MARKUP)
def test_nothing_hostile_reaches_a_terminal(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    say(text)
    say(text, err=True)
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    out = console()
    out.print(text)
    out.print(text, markup=True)
    out.print(table)
    out.print(Text(text))
    with Progress(TextColumn("{task.description}", markup=False), console=console(err=True)) as bar:
        bar.add_task(text)
    for told in capsys.readouterr():
        assert text in told if text in MARKUP else text not in told
        assert visible(told) == told


def test_the_gate_keeps_the_controls_of_rich_itself() -> None:
    """A bar on a real terminal still moves the cursor; texts in it do not."""
    out = console()
    out.file, out._force_terminal = io.StringIO(), True
    with Progress(TextColumn("{task.description}", markup=False), console=out) as bar:
        bar.add_task("\x1b]52;c;aGVsbG8=\x07")
    told = out.file.getvalue()
    assert "\x1b[?25l" in told
    assert "\x1b]52" not in told
    assert "\x07" not in told


def test_templates_escape_and_refuse_unknown_names() -> None:
    made = environment()
    assert made.from_string("{{ x }} {{ percent(0.5) }}").render(x="<b>") == "&lt;b&gt; 50.0"
    with pytest.raises(Exception, match="undefined"):
        made.from_string("{{ nothing }}").render()
    for package in ("scalevqa_eval.leaderboard", "scalevqa_eval.audit"):
        assert "look.css.j2" in environment(package).list_templates()
