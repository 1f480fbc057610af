"""The reviewer's worksheet for option blocks: is each borrowed option false for these images?"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from scalevqa_eval.audit.repair.blocks import Block
from scalevqa_eval.audit.shown import clean
from scalevqa_eval.pages import csv_text
from scalevqa_eval.types import LETTERS

COLUMNS = (
    "block", "question", "slide", "dimension", "images", "original question", "new question",
    "letter", "option", "borrowed from", "its slide", "false for these images (yes/no/unsure)",
    "comment",
)  # fmt: skip


def worksheet_csv(blocks: Sequence[Block]) -> str:
    """One row per question and borrowed option; no cell can become a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for block in blocks:
        for question in block.members:
            for letter, owner in zip(LETTERS, block.members, strict=False):
                if owner is question:
                    continue
                cells = (
                    block.id, question.id, question.slide or "", question.dimension,
                    " ".join(question.image_set), question.text, block.wording, letter,
                    owner.options[owner.answer], owner.id, owner.slide or "", "", "",
                )  # fmt: skip
                writer.writerow([csv_text(cell) for cell in cells])
    return stream.getvalue()


def worksheet_html(blocks: Sequence[Block], name: str, image_base: str | None) -> str:
    """The worksheet as a page to read and print; images are linked where `image_base` is known.

    `image_base` is the image root as a file URL or a path relative to the page, without a final
    slash.
    """
    environment = Environment(
        loader=PackageLoader("scalevqa_eval.audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [_block(block, image_base) for block in blocks]
    borrowed = sum(len(block.members) * (len(block.members) - 1) for block in blocks)
    template = environment.get_template("worksheet.html.j2")
    return template.render(name=clean(name), blocks=shown, borrowed=borrowed) + "\n"


def _block(block: Block, image_base: str | None) -> dict[str, Any]:
    options = [
        {"letter": letter, "text": clean(owner.options[owner.answer]), "owner": clean(owner.id)}
        for letter, owner in zip(LETTERS, block.members, strict=False)
    ]
    return {
        "id": block.id,
        "dimension": clean(block.members[0].dimension),
        "wording": clean(block.wording),
        "questions": [
            {
                "id": clean(question.id),
                "slide": clean(question.slide or ""),
                "text": clean(question.text),
                "images": [
                    {"name": clean(view.image), "scale": view.scale,
                     "url": f"{image_base}/{quote(view.image)}" if image_base else ""}
                    for view in question.views
                ],
                "options": [
                    {**option, "own": owner is question}
                    for option, owner in zip(options, block.members, strict=True)
                ],
            }
            for question in block.members
        ],
    }  # fmt: skip
