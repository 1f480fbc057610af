"""Rows of two published formats that a card cannot express: PathMMU and PathReasoner."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from scalevqa_eval.data.parse import (
    Row,
    RowError,
    SplitParser,
    check_object,
    kind_of,
    label_of,
    pick,
    read_options,
    resolve_answer,
    row_name,
    text_of,
)
from scalevqa_eval.data.readers import DataFile
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import LETTERS, Question, View

_HEADING = re.compile(
    r"\s*(?:Histopathological Findings|Clinical Reasoning|Final Diagnosis)\s*:\s*", re.IGNORECASE
)
_BARCODE = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}")
_FEATURES = (".h5", ".pt", ".csv", ".svs")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".PNG")
_SPEAKERS = {"human": "user", "gpt": "assistant"}


def pathmmu_rows(file: DataFile, parser: SplitParser) -> Iterator[Row]:
    """PathMMU's one file: {subset: {split: [item]}}. The subset becomes the dimension."""
    data = file.value()
    if not isinstance(data, dict) or not all(isinstance(part, dict) for part in data.values()):
        raise DataError(
            f"{file.path} is not PathMMU's data.json: it must hold "
            '{"PubMed": {"val": [...], "test_tiny": [...], "test": [...]}, ...}'
        )
    for subset, splits in data.items():
        items = splits.get(parser.split, [])
        if not isinstance(items, list):
            raise DataError(f"{file.path}: {subset}/{parser.split} is no list")
        if not subset.isprintable():
            raise DataError(f"{file.path}: the subset {subset!r} is no name")
        for number, item in enumerate(items, start=1):
            raw = item.get("No") if isinstance(item, dict) else None
            name = f"{subset}-{parser.split}-{row_name(raw, number)}"
            make = partial(_pathmmu_question, item, name, subset, parser)
            yield f"{subset}/{parser.split}/{number}", name, make


def _pathmmu_question(item: Any, name: str, subset: str, parser: SplitParser) -> Question:
    check_object(item)
    for field in ("question", "options", "answer", "img"):
        if item.get(field) is None:
            raise RowError("missing", f"there is no {field}")
    if not isinstance(item["options"], list):
        raise RowError("options", f"the options are {kind_of(item['options'])}, no list")
    options = read_options(item["options"])
    extra = {key: item[key] for key in ("source_img", "tw_id", "ref_web") if item.get(key)}
    return parser.make(
        id=name,
        text=text_of(item["question"], "question"),
        options=options,
        answer=_pathmmu_answer(item["answer"], options, item["options"]),
        views=parser.single_view(item["img"]),
        dimension=parser.card.dimensions.get(subset, subset),
        # One slide, post or picture gives several questions; statistics must know it.
        slide=label_of(pick(item, ("source_img", "tw_id", "img")), "source_img or tw_id"),
        rationale=text_of(item.get("explanation") or "", "explanation"),
        extra={key: label_of(value, key) for key, value in extra.items()},
    )


def _pathmmu_answer(raw: Any, options: dict[str, str], shown: list[Any]) -> str:
    """The letter of an answer that repeats an option in full (`B) text`).

    Where its text differs from the option's, the letter in front decides, as it does in the
    authors' own evaluation, unless the text is that of another option.
    """
    matches = [
        index
        for index, text in enumerate(shown)
        if isinstance(raw, str) and isinstance(text, str) and text.strip() == raw.strip()
    ]
    if len(matches) == 1:
        return LETTERS[matches[0]]
    try:
        return resolve_answer(raw, options)
    except RowError:
        prefixed = re.match(r"\(?([A-Z])\)\s*(.*)", str(raw).strip(), re.DOTALL)
        if prefixed is None or prefixed[1] not in options or prefixed[2] in options.values():
            raise
        return prefixed[1]


def conversation_rows(rows: Iterable[Any], parser: SplitParser) -> Iterator[Row]:
    """PathReasoner: conversations whose reply holds <info>, <think> and <answer>."""
    for number, row in enumerate(rows, start=1):
        raw = row.get("id") if isinstance(row, dict) else None
        name = row_name(raw, number)
        if name == f"row{number}":
            name = f"{parser.split}-{name}"
        yield number, name, partial(_conversation_question, row, name, parser)


def _conversation_question(row: Any, name: str, parser: SplitParser) -> Question:
    check_object(row)
    asked, replied = _turns(row.get("conversations"))
    answer = _tagged(replied, "answer")
    if not answer:
        raise RowError("answer", "the reply has no <answer>…</answer>")
    image = row.get("image")
    if isinstance(image, list):
        image = image[0] if image else None
    views: tuple[View, ...] = ()
    slide = None
    if image is not None:
        file = PurePosixPath(text_of(image, "image").replace("\\", "/"))
        views = parser.single_view(_picture_of(file.name, parser.image_root))
        barcode = _BARCODE.search(file.name)
        # TCGA barcodes name the patient; several slides of one patient belong together.
        slide = barcode[0] if barcode else file.stem
    findings = _tagged(replied, "info") or _tagged(replied, "observe")
    return parser.make(
        id=name,
        text=re.sub(r"\s*<image>\s*", "\n", asked).strip(),
        options={},
        answer=answer,
        views=views,
        dimension=next(iter(parser.card.dimension_order), "all"),
        slide=slide,
        rationale=_tagged(replied, "think"),
        extra={"findings": findings} if findings else {},
    )


def _turns(conversation: Any) -> tuple[str, str]:
    """First human turn and first model turn."""
    if not isinstance(conversation, list):
        raise RowError("missing", "there are no conversations")
    found: dict[str, str] = {}
    for turn in conversation:
        if not isinstance(turn, dict):
            raise RowError("type", "a turn of the conversation is no object")
        role = str(turn.get("from") or turn.get("role"))
        value = turn.get("value") if turn.get("value") is not None else turn.get("content")
        found.setdefault(_SPEAKERS.get(role, role), text_of(value, f"turn of {role[:60]}"))
    if "user" not in found or "assistant" not in found:
        raise RowError("missing", "the conversation lacks a human turn or a reply")
    return found["user"], found["assistant"]


def _tagged(text: str, tag: str) -> str:
    """The content of the last complete <tag>, without its standard heading."""
    _, opening, rest = text.rpartition(f"<{tag}>")
    inside, closing, _ = rest.partition(f"</{tag}>")
    return _HEADING.sub("", inside, count=1).strip() if opening and closing else ""


def _picture_of(file: str, root: Path) -> str:
    """PathReasoner names feature files (.h5); a picture with the same stem stands for it."""
    path = PurePosixPath(file)
    if path.suffix.lower() in _FEATURES and ".." not in path.parts and "\0" not in file:
        for suffix in _PICTURES:
            if (root / path.with_suffix(suffix)).is_file():
                return str(path.with_suffix(suffix))
    return file
