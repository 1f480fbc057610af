"""`scalevqa benchmarks`: what is found, how it is shown, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from scalevqa_eval.cli import app
from scalevqa_eval.data import CheckReport, Location, check_benchmark
from scalevqa_eval.errors import DataError, UsageError


def row(number: int, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "No": number,
        "question": "What is seen?",
        "options": {"A": "gland", "B": "stroma", "C": "necrosis", "D": "fat"},
        "answer": "B",
        "image_path": {"low_mag": f"{number}/low.jpg", "mid_mag": f"{number}/mid.png"},
        "extra_info": {"wsi_name": f"s{number}", "question_type": "type_C"},
    }
    return base | changes


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20 + seed % 7, 16), (seed % 256, seed // 256 % 256, 90)).save(path)


def save(root: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """A question file with a picture of its own for every path of it."""
    for index, item in enumerate(rows):
        for scale, image in (item.get("image_path") or {}).items():
            if isinstance(image, str) and ".." not in image and not (root / image).exists():
                draw(root / image, 2 * index + (scale == "mid_mag") + 40 * len(name))
    path = root / name
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def kinds(report: CheckReport) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in report.findings}


def test_a_sound_file_has_no_findings(tmp_path: Path) -> None:
    report = check_benchmark(Location(save(tmp_path, "q.json", [row(1), row(2)])), deep=True)
    assert report.findings == ()
    assert not report.failed
    (count,) = report.images
    assert (count.dimension, count.questions, count.images, count.missing) == (
        "Localization", 2, 4, (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "kind", "severity"),
    [
        ({"answer": "E"}, "answer not among the options", "error"),
        ({"No": 1}, "duplicate id", "error"),
        ({"options": None}, "field missing", "error"),
        ({"question": "  "}, "empty text", "error"),
        ({"options": {"A": "x", "B": " "}}, "empty text", "error"),
        ({"options": {"A": "x", "B": "y", "C": "X. "}}, "duplicate option", "warning"),
        ({"image_path": {"low_mag": "../x.jpg"}}, "unsafe image path", "error"),
        ({"image_path": None}, "no image", "warning"),
        ({"image_path": {"low_mag": "n/l.jpg"}}, "absent view", "note"),
        ({"image_path": {"low_mag": "n/l.jpg", "mid_mag": "n/l.jpg"}}, "same view twice", "error"),
    ],
)
def test_rows_and_texts(tmp_path: Path, changes: dict[str, Any], kind: str, severity: str) -> None:
    report = check_benchmark(Location(save(tmp_path, "q.json", [row(1), row(2) | changes, row(3)])))
    assert kinds(report).get(kind) == severity
    assert report.failed == (severity == "error")


def test_images(tmp_path: Path) -> None:
    file = save(tmp_path, "q.json", [row(n) for n in range(1, 8)])
    (tmp_path / "1/low.jpg").unlink()
    cut = tmp_path / "2/low.jpg"
    cut.write_bytes(cut.read_bytes()[:-40])
    (tmp_path / "3/low.jpg").write_bytes(b"")
    (tmp_path / "4/low.jpg").write_text("<html>", encoding="utf-8")
    (tmp_path / "5/low.jpg").write_bytes((tmp_path / "6/low.jpg").read_bytes())
    Image.new("RGB", (8100, 2)).save(tmp_path / "5/mid.png")
    (tmp_path / "7/low.jpg").write_bytes((tmp_path / "7/mid.png").read_bytes())
    report = check_benchmark(Location(file))
    found = kinds(report)
    assert found == {
        "image missing": "error", "image truncated": "error", "image empty": "error",
        "image not image": "error", "duplicate image": "warning", "same view twice": "error",
        "large image": "warning",
    }  # fmt: skip
    by_kind = {finding.kind: finding for finding in report.findings}
    assert by_kind["image missing"].examples == ("1/low.jpg",)
    assert "5/low.jpg = 6/low.jpg" in by_kind["duplicate image"].examples
    assert by_kind["same view twice"].examples == ("q-7",)
    assert report.images[0].missing == ("1/low.jpg",)


def test_deep_finds_what_the_header_hides(tmp_path: Path) -> None:
    file = save(tmp_path, "q.json", [row(1)])
    image = tmp_path / "1/mid.png"
    data = bytearray(image.read_bytes())
    place = data.index(b"IDAT") + 6
    data[place : place + 20] = bytes(20)
    image.write_bytes(data)
    assert not check_benchmark(Location(file)).failed
    assert kinds(check_benchmark(Location(file), deep=True)) == {"image truncated": "error"}


def test_counts_against_the_card(tmp_path: Path) -> None:
    save(tmp_path, "val.json", [row(1), row(2)])
    report = check_benchmark(Location("scale-vqa", data_dir=tmp_path))
    (finding,) = (f for f in report.findings if f.kind == "wrong count")
    assert finding.severity == "error"
    assert "2 questions; the card says 450" in finding.examples
    assert "Localization: 2; the card says 90" in finding.examples


def test_slides_in_two_splits(tmp_path: Path) -> None:
    leaked = row(9, extra_info={"wsi_name": "s1", "question_type": "type_A"})
    save(tmp_path, "train.json", [row(1), row(2)])
    save(tmp_path, "test.json", [row(3), leaked])
    for report in (
        check_benchmark(Location("scale-vqa", data_dir=tmp_path)),
        check_benchmark(Location("scale-vqa", "test", tmp_path)),
        check_benchmark(Location(tmp_path / "test.json")),
    ):
        (finding,) = (f for f in report.findings if f.kind == "slide in two splits")
        assert finding.severity == "error"
        assert finding.examples == ("s1",)
        assert set(finding.split.split(", ")) == {"train", "test"}
    assert len(check_benchmark(Location("scale-vqa", data_dir=tmp_path)).splits) == 2
    assert len(check_benchmark(Location(tmp_path / "test.json")).splits) == 1


def test_a_sibling_that_cannot_be_read_is_a_note(tmp_path: Path) -> None:
    file = save(tmp_path, "test.json", [row(1)])
    (tmp_path / "train.json").write_text("{", encoding="utf-8")
    assert kinds(check_benchmark(Location(file))) == {"split unreadable": "note"}
    with pytest.raises(DataError, match="train"):
        check_benchmark(Location(tmp_path / "train.json"))


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.json"):
        check_benchmark(Location("scale-vqa", data_dir=tmp_path))
    with pytest.raises(UsageError, match="no split"):
        check_benchmark(Location("scale-vqa", "tset", tmp_path))


def test_the_real_validation_split(shared_data: Path) -> None:
    report = check_benchmark(Location("scale-vqa", data_dir=shared_data / "scale_vqa"))
    found = {finding.kind: finding for finding in report.findings}
    assert set(found) == {"image missing", "duplicate option", "absent view"}
    assert len(found["duplicate option"].examples) == 1
    assert len(found["absent view"].examples) == 15


# The command


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["benchmarks", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert max(map(len, result.output.splitlines()), default=0) <= 80
    return result.exit_code, result.output


def test_list_and_show() -> None:
    code, output = run("list")
    assert code == 0
    for name in ("scale-vqa", "pathmmu", "pathreasoner", "demo"):
        assert name in output
    code, output = run("show", "scale-vqa")
    assert code == 0
    assert "CC BY-NC-ND 4.0" in output
    assert "1,005" in output
    assert run("show", "pathmmu")[0] == 0


def test_check_prints_a_table_and_exits_by_severity(tmp_path: Path) -> None:
    file = save(tmp_path, "q.json", [row(1), row(2)])
    code, output = run("check", file)
    assert code == 0
    assert "Nothing is wrong." in output
    assert "q q: 2 questions, 2 slides, 4 images" in output
    (tmp_path / "2/low.jpg").unlink()
    list_of_missing = tmp_path / "missing.tsv"
    code, output = run("check", file, "--missing", list_of_missing)
    assert code == 1
    assert "image missing" in output
    assert "2/low.jpg" in output
    assert "1 error(s), 0 warning(s), 0 note(s)" in output
    assert list_of_missing.read_text("utf-8") == "Localization\t2/low.jpg\n"


def test_hostile_texts_reach_the_terminal_harmless(tmp_path: Path) -> None:
    bad = row(2, answer="[red]\x1b[31m\x07" + "x" * 5000, No="[/bold]")
    code, output = run("check", save(tmp_path, "q.json", [row(1), bad]))
    assert code == 1
    assert "\x1b" not in output
    assert "\x07" not in output
    assert "[red]" in output
    assert len(output) < 3000


def test_pathmmu_says_where_images_are_to_be_had(tmp_path: Path) -> None:
    def item(number: int) -> dict[str, Any]:
        return {"No": number, "img": f"{number}.jpg", "question": "?", "answer": "A) x",
                "options": ["A) x", "B) y"], "explanation": ""}  # fmt: skip

    data = {
        "PubMed": {"val": [item(1)], "test_tiny": [], "test": [item(2)]},
        "Atlas": {"val": [item(3)], "test_tiny": [item(4)], "test": []},
        "PathCLS": {"val": [item(5)], "test_tiny": [], "test": []},
    }
    (tmp_path / "data.json").write_text(json.dumps(data), encoding="utf-8")
    draw(tmp_path / "images/1.jpg", 1)
    draw(tmp_path / "images/2.jpg", 2)
    draw(tmp_path / "images/3.jpg", 3)
    code, output = run("check", "pathmmu", "--data-dir", tmp_path)
    assert code == 1
    lines = [line.split() for line in output.splitlines()]
    assert ["PubMed", "2", "2", "2", "0"] in lines
    assert ["Atlas", "2", "2", "1", "1"] in lines
    words = " ".join(output.split())
    assert "Atlas: missing 4.jpg. To be had from ARCH's books_set" in words
    assert "PathCLS: missing 5.jpg. To be had from nine public sets" in words
    assert "PubMed: missing" not in words
    code, output = run("check", "pathmmu", "--data-dir", tmp_path, "--split", "test_all")
    assert code == 1
    assert "pathmmu test_all: 2 questions" in output
    assert "slide in two splits" not in output


def test_a_request_that_is_wrong_exits_with_2(tmp_path: Path) -> None:
    program = "from scalevqa_eval.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "benchmarks", "check", "scale-vqa"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_card_that_names_the_wrong_fields_is_found(tmp_path: Path) -> None:
    save(tmp_path, "test.json", [row(1), row(2)])
    card = tmp_path / "card.yaml"
    card.write_text(
        "name: mine\nsource: {directory: .}\nsplits: {test: {files: [test.json]}}\n"
        "fields: {id: 'No', text: question, options: options, answer: answer,\n"
        "  slide: extra_info.slide, views: {low: image_path.low}}\n"
    )
    report = check_benchmark(Location(card))
    assert kinds(report) == {"no image": "error", "no slide": "warning"}
    assert any("image_path.low" in finding.message for finding in report.findings)
    assert any("extra_info.slide" in finding.message for finding in report.findings)
    assert report.failed
