"""Reply → outcome. Multiple choice by letter; open questions by comparison with a reference."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from scalevqa_eval.scoring.extract import extract_answer
from scalevqa_eval.scoring.said import answer_tags, outside_thought, plain_characters
from scalevqa_eval.types import Outcome, Question, Reply

# A cut reply counts only if the answer in it is closed; all other forms could go on differently.
_COMPLETE_WHEN_CUT = ("answer-tag", "boxed")
# Reasons of the extractor that are outcomes of their own.
_NO_LETTER = {"refusal": Outcome.REFUSED, "truncated-think": Outcome.TRUNCATED}

# One form of what is written in several ways; then these signs stay, each a word of its own.
_FORMS = dict(zip(("<=", "=<", ">=", *"≦⩽≧⩾⬆⬇"), "≤≤≥≤≤≥≥↑↓", strict=True))
_SYMBOLS = re.compile(r"([<>≤≥≠≈=%‰±+¬\u2190-\u21ff])")
# A hyphen is a sign at the end of a word ("ER-", "ER (-)", "ER -, PR -") or before a number; else
# it joins or separates.
_AFTER_WORD = re.compile(r"(?<=\w)\s*\(\s*([+-])\s*\)|(?<=\w)\s+(-)(?=\s*(?:$|[/,;)]))")
_NO_SIGN = re.compile(r"-{2,}|(?<!\S)-(?!\d)|(?<=\S)-(?=\S)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NAUGHT = re.compile(r"(?<![\w.])\.(?=\d)")  # ".5" is 0.5
# Between digits they tell 5.6 from 5-6 and from 5/6: forms that stay.
_BETWEEN = re.compile(r"(?<=\d)[./:](?=\d)")
_STAYS = dict(zip("./:", ("\u2024", " \u2215 ", " \u2236 "), strict=True))
_JOINT = re.compile(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])")  # "Ki67" is "Ki-67", "5mm" is "5 mm"


@dataclass(frozen=True, slots=True)
class Scored:
    """What a reply is worth: `letter` for multiple choice, `measures` for open questions."""

    outcome: Outcome
    letter: str | None = None
    method: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)


def score_reply(question: Question, reply: Reply) -> Scored:
    """Score one reply to a question as it was shown.

    A refusal reported by the engine is `refused`; a reply that was cut before its answer was
    complete is `truncated`; one in which no answer is found is `unparsed`. Open questions are
    right if the normalised texts are equal, and carry exact, normalised and token_f1.
    """
    if question.is_open:
        return _score_open(question, reply)
    if reply.finish == "refusal":
        return Scored(Outcome.REFUSED, method="finish")
    if reply.logprobs is not None:
        letter = reply.text.strip().upper()
        if letter not in question.options:
            return Scored(Outcome.UNPARSED, method="logprobs")
        return Scored(verdict(letter == question.answer), letter, "logprobs")
    found = extract_answer(reply.text, question.options)
    if reply.finish == "length" and not (found.letter and found.method in _COMPLETE_WHEN_CUT):
        return Scored(Outcome.TRUNCATED, method="length")
    if found.letter is None:
        return Scored(_NO_LETTER.get(found.method, Outcome.UNPARSED), method=found.method)
    return Scored(verdict(found.letter == question.answer), found.letter, found.method)


def verdict(right: bool) -> Outcome:
    return Outcome.CORRECT if right else Outcome.WRONG


def _score_open(question: Question, reply: Reply) -> Scored:
    nothing = {"exact": 0.0, "normalised": 0.0, "token_f1": 0.0}
    if reply.finish == "refusal":
        return Scored(Outcome.REFUSED, None, "finish", nothing)
    answer, tagged = open_answer(reply.text)
    if reply.finish == "length" and not tagged:
        return Scored(Outcome.TRUNCATED, None, "length", nothing)
    if not comparable(answer):
        unclosed = outside_thought(reply.text)[1]
        outcome = Outcome.TRUNCATED if unclosed else Outcome.UNPARSED
        return Scored(outcome, None, "truncated-think" if unclosed else "empty", nothing)
    measures = open_measures(answer, question.answer)
    method = "answer-tag" if tagged else "text"
    return Scored(verdict(measures["normalised"] == 1.0), None, method, measures)


def open_answer(text: str) -> tuple[str, bool]:
    """The answer in a free-text reply, and whether it stood in an <answer> tag.

    The last complete tag outside <think>; without one the whole reply without its thinking.
    What follows thinking that never ends is no answer.
    """
    said, _ = outside_thought(text)
    tags = answer_tags(said)
    return (tags[-1][1].strip(), True) if tags else (said.strip(), False)


def comparable(text: str) -> str:
    """An open answer as it is compared: words and what carries meaning, in lower case.

    Compatibility forms are folded (superscripts stay); punctuation, thousands separators, "the"
    and a leading "a" or "an" go; letters and digits are words of their own. Signs ("ER-", "HER2+",
    "-5"), comparisons, arrows, "%" and single letters ("Hepatitis A") stay, in one form each.
    """
    folded = plain_characters(text).casefold()
    folded = "".join("-" if c == "\u2212" or unicodedata.category(c) == "Pd" else c for c in folded)
    for form, sign in _FORMS.items():
        folded = folded.replace(form, sign)
    folded = _AFTER_WORD.sub(lambda found: f"{found[1] or found[2]} ", folded)
    folded = _NAUGHT.sub("0.", _THOUSANDS.sub("", folded))
    folded = _JOINT.sub(" ", _BETWEEN.sub(lambda found: _STAYS[found[0]], folded))
    kept = "".join(
        c if c.isalnum() or _SYMBOLS.match(c) or c in "\u2024\u2215\u2236"
        or unicodedata.category(c) in ("Mn", "Pd") else " "
        for c in folded
    )  # fmt: skip
    words = [
        word for word in _NO_SIGN.sub(" ", _SYMBOLS.sub(r" \1 ", kept)).split() if word != "the"
    ]
    while len(words) > 1 and words[0] in ("a", "an"):
        del words[0]
    return " ".join(words)


def open_measures(answer: str, reference: str) -> dict[str, float]:
    """exact (same text but for outer spaces), normalised (see `comparable`) and token_f1.

    token_f1 is the harmonic mean of precision and recall of the words compared, as bags.
    """
    said, wanted = comparable(answer).split(), comparable(reference).split()
    shared = (Counter(said) & Counter(wanted)).total()
    return {
        "exact": float(answer.strip() == reference.strip()),
        "normalised": float(said == wanted),
        "token_f1": 2 * shared / (len(said) + len(wanted)) if said or wanted else 1.0,
    }
