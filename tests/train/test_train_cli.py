"""`scalevqa train …` as a person types it, where no trainer is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")


def scalevqa(*arguments: str, cwd: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "scalevqa_eval", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_prepare_writes_the_demo(tmp_path: Path) -> None:
    code, said = scalevqa(
        *("train", "prepare", "--benchmark", "demo", "--output", "data"),
        *("--dimension", "Localization", "--blocks", "--sft", "think"),
        cwd=tmp_path,
    )
    assert code == 0, said
    about = json.loads((tmp_path / "data" / "data.json").read_text())
    assert set(about["splits"]["train"]["dimensions"]) == {"Localization"}
    assert set(about["files"]) == {
        *("train.parquet", "val.parquet", "sft_train.parquet", "sft_val.parquet")
    }
    assert "of them with a view missing" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("grpo", "--model", "m", "--data", "d", "--output", "o", "--preset", "x"), "no preset"),
        (("grpo", "--model", "m", "--data", "d", "--output", "o", "--reward", "x"), "no reward"),
        (("grpo", "--model", "m", "--data", "d", "--output", "o", "lr"), "key=value"),
        (("merge", "nowhere", "--output", "o"), "no checkpoint nowhere"),
        (("curve", "nowhere"), "holds no numbers"),
        (("prepare", "--benchmark", "demoo", "--output", "o"), "demo"),
        (("prepare", "--sft", "all", "--output", "o"), "SFT target"),
    ],
)
def test_wrong_requests_get_one_line(tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    code, said = scalevqa("train", *arguments, cwd=tmp_path)
    assert code == 2, said
    assert line in said
    assert "Traceback" not in said


@pytest.mark.skipif(find_spec("verl") is not None, reason="the extra `train` is installed")
def test_prompt_lengths_need_the_extra(tmp_path: Path) -> None:
    code, said = scalevqa("train", "prepare", "--model", "m", "--output", "o", cwd=tmp_path)
    assert (code, "pip install 'scalevqa-eval[train]'" in said) == (2, True)
    assert not (tmp_path / "o").exists()
