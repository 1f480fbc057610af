"""The reviewer's worksheet for option blocks: is each borrowed option false for these images?"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from urllib.parse import quote

from scalevqa_eval.audit.repair.blocks import Block
from scalevqa_eval.pages import csv_text, environment, one_line
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
    made = environment("scalevqa_eval.audit")
    made.globals |= {"letters": LETTERS, "quote": quote}
    made.filters["one_line"] = one_line
    borrowed = sum(len(block.members) * (len(block.members) - 1) for block in blocks)
    template = made.get_template("worksheet.html.j2")
    return template.render(name=name, blocks=blocks, borrowed=borrowed, base=image_base) + "\n"
