"""A model that reads what the ladder leaves open: off unless a user names one (`--reader`).

It is shown the reply and the options, never an image and never the right answer. The reply is
data between two fences that it cannot contain: they carry its own digest.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from scalevqa_eval.scoring.extract import extract_answer
from scalevqa_eval.scoring.said import outside_thought
from scalevqa_eval.scoring.score import Scored, verdict
from scalevqa_eval.types import Outcome, Prompt, Question, Record, Reply, Sampling, TextPart

PROMPT = "reader-v1"
READ = LETTER, NONE = "reader", "reader-none"  # the methods of what a reader has seen
# Enough for a model that thinks first; what is read is its letter alone.
SAMPLING = Sampling(temperature=0.0, max_tokens=2048, seed=0)
_HEAD, _TAIL = 4_000, 8_000  # of a longer reply, these many characters are shown


@cache
def _system() -> str:
    file = resources.files("scalevqa_eval.prompts") / "texts" / f"{PROMPT}.txt"
    return file.read_text("utf-8").strip()


def described(name: str, identity: object) -> dict[str, Any]:
    """What a manifest says of a reader: a run that is read by another one is another run."""
    sha256 = hashlib.sha256(_system().encode()).hexdigest()
    return {"name": name, "identity": identity, "prompt": PROMPT, "sha256": sha256}


def is_open(scored: Scored | Record, text: str) -> bool:
    """Whether a reply in which something is said is still open: no reader has seen it either."""
    closed = ("empty", "logprobs", "error-text", *READ)
    unread = scored.outcome is Outcome.UNPARSED and scored.method not in closed
    return unread and bool(outside_thought(text)[0].strip())


def reader_prompt(question: Question, text: str) -> Prompt:
    """What the reader is asked about a reply to a question as it was shown."""
    said = outside_thought(text)[0].strip()
    if len(said) > _HEAD + _TAIL:
        said = f"{said[:_HEAD]}\n[…]\n{said[-_TAIL:]}"
    fence = f"reply-{hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()[:16]}"
    options = "\n".join(f"{letter}. {option}" for letter, option in question.options.items())
    body = f"Options:\n{options}\n\n<{fence}>\n{said}\n</{fence}>\n\nLetter or NONE:"
    return Prompt(
        question_id=question.id,
        system=_system(),
        parts=(TextPart(body),),
        sampling=SAMPLING,
        text=body,
        options=dict(question.options),
        dimension=question.dimension,
    )


def read_by(question: Question, reply: Reply) -> Scored:
    """The score of an open reply after the reader's own: its letter, or that it found none."""
    letters = dict.fromkeys(question.options, "")
    letter = extract_answer(reply.text, letters).letter if reply.finish == "stop" else None
    if letter is None:
        return Scored(Outcome.UNPARSED, None, NONE)
    return Scored(verdict(letter == question.answer), letter, LETTER)
