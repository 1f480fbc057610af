"""Readers for two published formats that a card cannot express: PathMMU and PathReasoner."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from scalevqa_eval.data.fields import (
    RowError,
    check_object,
    kind_of,
    label_of,
    read_options,
    resolve_answer,
    text_of,
)
from scalevqa_eval.data.parse import Context, Rows, image_reference, make_question, pick, row_name
from scalevqa_eval.data.tables import Document, find_rows
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import LETTERS, Question, View

_TAGS = ("info", "observe", "think", "answer")
_HEADING = re.compile(
    r"\s*(?:Histopathological Findings|Clinical Reasoning|Final Diagnosis)\s*:\s*", re.IGNORECASE
)
_BARCODE = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".PNG")


def pathmmu_rows(document: Document, context: Context) -> Rows:
    """PathMMU's one file: {subset: {split: [item]}}. The subset becomes the dimension."""
    data = document.data
    if not isinstance(data, dict) or not all(isinstance(part, dict) for part in data.values()):
        raise DataError(
            f"{document.path} is not PathMMU's data.json: it must hold "
            '{"PubMed": {"val": [...], "test_tiny": [...], "test": [...]}, ...}'
        )
    for subset, splits in data.items():
        items = splits.get(context.split, [])
        if not isinstance(items, list):
            raise DataError(f"{document.path}: {subset}/{context.split} is no list")
        if not subset.isprintable():
            raise DataError(f"{document.path}: the subset {subset!r} is no name")
        for number, item in enumerate(items, start=1):
            raw = item.get("No") if isinstance(item, dict) else None
            name = f"{subset}-{context.split}-{row_name(raw, number)}"

            def make(item: Any = item, name: str = name, subset: str = subset) -> Question:
                return _pathmmu_question(item, name, subset, context)

            yield f"{subset}/{context.split}/{number}", name, make


def _pathmmu_question(item: Any, name: str, subset: str, context: Context) -> Question:
    check_object(item)
    for field in ("question", "options", "answer", "img"):
        if item.get(field) is None:
            raise RowError("missing", f"there is no {field}")
    if not isinstance(item["options"], list):
        raise RowError("options", f"the options are {kind_of(item['options'])}, no list")
    options = read_options(item["options"])
    image = image_reference(item["img"], context)
    # One slide, post or picture gives several questions; statistics must know it.
    cluster = pick(item, ("source_img", "tw_id", "img"))
    extra = {key: item[key] for key in ("source_img", "tw_id", "ref_web") if key in item}
    return make_question(
        id=name,
        text=text_of(item["question"], "question"),
        options=options,
        answer=pathmmu_answer(item["answer"], options, item["options"]),
        views=(View("single", image, context.card.magnifications.get("single", "")),),
        dimension=context.card.dimensions.get(subset, subset),
        slide=label_of(cluster, "source_img or tw_id"),
        split=context.split,
        rationale=text_of(item.get("explanation") or "", "explanation"),
        extra={key: label_of(value, key) for key, value in extra.items() if value},
    )


def pathmmu_answer(raw: Any, options: dict[str, str], shown: list[str]) -> str:
    """The letter of an answer that repeats an option in full (`B) text`).

    Where its text differs from the option's, the letter in front decides, as it does in the
    authors' own evaluation, unless the text is that of another option.
    """
    answer = text_of(raw, "answer").strip()
    matches = [index for index, text in enumerate(shown) if text.strip() == answer]
    if len(matches) == 1:
        return LETTERS[matches[0]]
    try:
        return resolve_answer(answer, options)
    except RowError:
        prefixed = re.match(r"\(?([A-Z])\)\s*(.*)", answer, re.DOTALL)
        if prefixed is None or prefixed[1] not in options or prefixed[2] in options.values():
            raise
        return prefixed[1]


def conversation_rows(document: Document, context: Context) -> Rows:
    """PathReasoner: conversations whose reply holds <info>, <think> and <answer>."""
    for number, row in enumerate(find_rows(document, context.card.rows), start=1):
        raw = row.get("id") if isinstance(row, dict) else None
        name = row_name(raw, number)
        if name == f"row{number}":
            name = f"{context.split}-{name}"

        def make(row: Any = row, name: str = name) -> Question:
            return _conversation_question(row, name, context)

        yield number, name, make


def _conversation_question(row: Any, name: str, context: Context) -> Question:
    check_object(row)
    asked, replied = _turns(row.get("conversations"))
    tags = {tag: _tagged(replied, tag) for tag in _TAGS}
    if not tags["answer"]:
        raise RowError("answer", "the reply has no <answer>…</answer>")
    image = row.get("image")
    if isinstance(image, list):
        image = image[0] if image else None
    views: tuple[View, ...] = ()
    slide = None
    if image is not None:
        file = PurePosixPath(text_of(image, "image").replace("\\", "/")).name
        image = _picture_of(image_reference(file, context), context.image_root)
        views = (View("single", image, context.card.magnifications.get("single", "")),)
        barcode = _BARCODE.search(file)
        # TCGA barcodes name the patient; several slides of one patient belong together.
        slide = barcode[0] if barcode else PurePosixPath(file).stem
    findings = tags["info"] or tags["observe"]
    return make_question(
        id=name,
        text=re.sub(r"\s*<image>\s*", "\n", asked).strip(),
        options={},
        answer=tags["answer"],
        views=views,
        dimension=next(iter(context.card.dimension_order), "all"),
        slide=slide,
        split=context.split,
        rationale=tags["think"],
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
        speaker = {"human": "user", "gpt": "assistant"}.get(
            str(turn.get("from") or turn.get("role")), str(turn.get("from") or turn.get("role"))
        )
        value = turn.get("value") if turn.get("value") is not None else turn.get("content")
        found.setdefault(speaker, text_of(value, f"turn of {speaker}"))
    if "user" not in found or "assistant" not in found:
        raise RowError("missing", "the conversation lacks a human turn or a reply")
    return found["user"], found["assistant"]


def _tagged(text: str, tag: str) -> str:
    """The content of the last complete <tag>, without its standard heading."""
    start, opening, closing = text.rfind(f"<{tag}>"), f"<{tag}>", f"</{tag}>"
    end = text.find(closing, start)
    if start < 0 or end < 0:
        return ""
    return _HEADING.sub("", text[start + len(opening) : end], count=1).strip()


def _picture_of(file: str, root: Path) -> str:
    """PathReasoner names feature files (.h5); a picture with the same stem stands for it."""
    path = PurePosixPath(file)
    if path.suffix.lower() in (".h5", ".pt", ".csv", ".svs"):
        for suffix in _PICTURES:
            if (root / path.with_suffix(suffix)).is_file():
                return str(path.with_suffix(suffix))
    return file
