"""Model names, options, and models that other packages bring."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from remote_cases import keys, prompt

from scalevqa_eval.errors import UsageError
from scalevqa_eval.models import Model, engine_names, load_model
from scalevqa_eval.models.registry import BUILT_IN
from scalevqa_eval.models.remote.model import RemoteModel

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
__all__ = ["keys"]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example model, as an installed package would bring it."""
    info = tmp_path / "my_words-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-words\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[scalevqa.models]\nwords = my_model:load\nopenai = my_model:load\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    return tmp_path


@pytest.mark.parametrize("name", ["gpt-5.2", "openai", "openai/", "", "/"])
def test_a_name_without_an_engine(name: str) -> None:
    with pytest.raises(UsageError, match="engine/model"):
        load_model(name)


def test_an_engine_that_is_not_there_and_one_that_is_near() -> None:
    with pytest.raises(UsageError, match="did you mean openai/"):
        load_model("opanai/gpt-5.2")
    with pytest.raises(UsageError, match="engines: baseline, openai"):
        load_model("qqqqqq/x")


@pytest.mark.parametrize("engine", ["openai", "anthropic", "gemini"])
def test_an_unknown_option_is_met_with_those_that_exist(engine: str) -> None:
    with pytest.raises(UsageError, match="base_url, timeout") as caught:
        load_model(f"{engine}/any", base_ulr="http://localhost")
    assert "'base_ulr'" in str(caught.value)


def test_a_name_may_hold_slashes(keys: str) -> None:
    model = load_model("openai/Qwen/Qwen2.5-VL-7B", base_url="http://localhost:8000/v1")
    assert model.name == "openai/Qwen/Qwen2.5-VL-7B"
    assert isinstance(model, Model)


def test_the_model_of_another_package(words: Path) -> None:
    assert "words" in engine_names()
    assert set(BUILT_IN) <= set(engine_names())
    model = load_model("words/most")
    assert isinstance(model, Model)
    # gland; stroma, 間質; “necrosis”; (microscope) mitosis
    assert asyncio.run(model.reply(prompt())).text == "<answer>B</answer>"
    last = load_model("words/most", tie_break="last")
    assert asyncio.run(last.reply(prompt())).text == "<answer>D</answer>"
    assert last.identity != model.identity


def test_options_of_another_package_are_checked(words: Path) -> None:
    with pytest.raises(UsageError, match="its options: tie_break"):
        load_model("words/most", ties="last")


def test_a_broken_package_is_named(words: Path) -> None:
    (file,) = words.rglob("entry_points.txt")
    file.write_text(file.read_text() + "broken = nosuch_module:load\n")
    with pytest.raises(UsageError, match=r"'broken' of another package.*nosuch_module"):
        load_model("broken/x")


def test_no_package_takes_the_place_of_a_built_in_engine(words: Path, keys: str) -> None:
    assert isinstance(load_model("openai/any"), RemoteModel)


def test_the_example_answers_the_demo(words: Path) -> None:
    from my_model import MostWords

    from scalevqa_eval import evaluate, load_benchmark

    benchmark = load_benchmark("demo", split="test", limit=20)
    run = evaluate(MostWords(), benchmark, output=words / "runs")
    assert run.summary["n"] == 20
    assert run.summary["outcomes"].get("error", 0) == 0


def test_importing_the_registry_imports_no_sdk() -> None:
    code = (
        "import sys, scalevqa_eval.models, scalevqa_eval.models.registry\n"
        "heavy = {'aiohttp', 'numpy', 'PIL', 'yaml'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
