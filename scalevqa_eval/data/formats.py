"""Two published formats that no card can express, as rows of a table: PathMMU and PathReasoner."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from scalevqa_eval.data.card import Card, Fields
from scalevqa_eval.data.parse import Row, question_id, row_name
from scalevqa_eval.data.readers import DataFile, RowError
from scalevqa_eval.data.values import read_options, resolve_answer
from scalevqa_eval.errors import DataError

_PATHMMU = Fields(
    text="question",
    options="options",
    answer="answer",
    rationale="explanation",
    dimension="subset",
    # One slide, post or picture gives several questions; statistics must know it.
    slide=["source_img", "tw_id", "img"],
    views={"single": "img"},
    extra={"source_img": "source_img", "tw_id": "tw_id", "ref_web": "ref_web"},
)
_CONVERSATION = Fields(
    text="text",
    answer="answer",
    rationale="rationale",
    dimension="dimension",
    slide="slide",
    views={"single": "image"},
    extra={"findings": "findings"},
)
_HEADING = re.compile(
    r"\s*(?:Histopathological Findings|Clinical Reasoning|Final Diagnosis)\s*:\s*", re.IGNORECASE
)
_BARCODE = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}")
_FEATURES = (".h5", ".pt", ".csv", ".svs")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".PNG")


def rows_of(file: DataFile, card: Card, split: str, images: Path) -> tuple[Fields, Iterator[Row]]:
    """The rows of a split, and which field of them is what."""
    if card.format == "pathmmu":
        return _PATHMMU, _pathmmu_rows(file, split)
    if card.format == "conversations":
        return _CONVERSATION, _conversation_rows(file, card, split, images)
    numbered = enumerate(file.rows(card.rows), start=1)
    return card.fields, (
        (number, question_id(row, number, card, split), row) for number, row in numbered
    )


def _or_error(make: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return make(*arguments)
    except RowError as error:
        return error


def _pathmmu_rows(file: DataFile, split: str) -> Iterator[Row]:
    """PathMMU's one file: {subset: {split: [item]}}. The subset becomes the dimension."""
    data = file.value()
    if not isinstance(data, dict) or not all(
        isinstance(part, dict) and isinstance(part.get(split, []), list) for part in data.values()
    ):
        raise DataError(
            f"{file.path} is not PathMMU's data.json: it must hold "
            '{"PubMed": {"val": [...], "test_tiny": [...], "test": [...]}, ...}'
        )
    for subset, splits in data.items():
        for number, item in enumerate(splits.get(split, []), start=1):
            raw = item.get("No") if isinstance(item, dict) else None
            name = f"{subset}-{split}-{row_name(raw, number)}"
            yield f"{subset}/{split}/{number}", name, _or_error(_pathmmu_row, item, subset)


def _pathmmu_row(item: Any, subset: str) -> Any:
    """An item with its subset, and the letter of its answer, which repeats an option in full.

    Where its text differs from the option's, the letter in front decides, as it does in the
    authors' own evaluation, unless the text is that of another option.
    """
    if not isinstance(item, dict):
        return item
    for field in ("options", "answer", "img"):
        if item.get(field) is None:
            raise RowError("missing", f"there is no {field}")
    options, answer = read_options(item["options"]), item["answer"]
    try:
        item["answer"] = resolve_answer(answer, options, list(item["options"]))
    except RowError:
        prefixed = re.match(r"\(?([A-Z])\)\s*(.*)", str(answer).strip(), re.DOTALL)
        if prefixed is None or prefixed[1] not in options or prefixed[2] in options.values():
            raise
        item["answer"] = prefixed[1]
    item["subset"] = subset
    return item


def _conversation_rows(file: DataFile, card: Card, split: str, images: Path) -> Iterator[Row]:
    """PathReasoner: conversations whose reply holds <info>, <think> and <answer>."""
    dimension = next(iter(card.dimension_order), "all")
    for number, row in enumerate(file.rows(card.rows), start=1):
        name = row_name(row.get("id") if isinstance(row, dict) else None, number)
        if name == f"row{number}":
            name = f"{split}-{name}"
        yield number, name, _or_error(_conversation_row, row, dimension, images)


def _conversation_row(row: Any, dimension: str, images: Path) -> Any:
    if not isinstance(row, dict):
        return row
    asked, replied = _turns(row.get("conversations"))
    answer = _tagged(replied, "answer")
    if not answer:
        raise RowError("answer", "the reply has no <answer>…</answer>")
    row |= {
        "text": re.sub(r"\s*<image>\s*", "\n", asked).strip(),
        "answer": answer,
        "rationale": _tagged(replied, "think"),
        "dimension": dimension,
        "findings": _tagged(replied, "info") or _tagged(replied, "observe") or None,
    }
    image = row.get("image")
    if isinstance(image, list):
        row["image"] = image = image[0] if image else None
    if isinstance(image, str):
        file = PurePosixPath(image.replace("\\", "/"))
        # TCGA barcodes name the patient; several slides of one patient belong together.
        barcode = _BARCODE.search(file.name)
        row["slide"] = barcode[0] if barcode else file.stem
        row["image"] = _picture_of(file.name, images)
    return row


def _turns(conversation: Any) -> tuple[str, str]:
    """First human turn and first model turn."""
    if not isinstance(conversation, list) or not all(isinstance(x, dict) for x in conversation):
        raise RowError("missing", "there are no conversations")
    found: dict[str, Any] = {}
    for turn in conversation:
        role = str(turn.get("from", turn.get("role")))
        found.setdefault(role, turn.get("value", turn.get("content")))
    asked = found.get("human", found.get("user"))
    replied = found.get("gpt", found.get("assistant"))
    if not isinstance(asked, str) or not isinstance(replied, str):
        raise RowError("missing", "the conversation lacks a human turn or a reply")
    return asked, replied


def _tagged(text: str, tag: str) -> str:
    """The content of the last complete <tag>, without its standard heading."""
    _, opening, rest = text.rpartition(f"<{tag}>")
    inside, closing, _ = rest.partition(f"</{tag}>")
    return _HEADING.sub("", inside, count=1).strip() if opening and closing else ""


def _picture_of(file: str, root: Path) -> str:
    """PathReasoner names feature files (.h5); a picture with the same stem stands for it."""
    path = PurePosixPath(file)
    if path.suffix.lower() in _FEATURES and "\0" not in file:
        for suffix in _PICTURES:
            if (root / path.with_suffix(suffix)).is_file():
                return str(path.with_suffix(suffix))
    return file
