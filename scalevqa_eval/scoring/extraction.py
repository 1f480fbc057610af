"""Reply text → the letter that was chosen, or none, and how it was found.

Extraction never guesses. In this order, what stands first decides:

1. the last complete `<answer>` tag outside `<think>`;
2. an explicit final statement ("the answer is B", JSON with an answer, `\\boxed{B}`, 答案是B, ...);
3. a bare letter;
4. the exact text of exactly one option.

Two candidates with nothing to decide between them give no letter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scalevqa_eval.scoring import extraction_patterns as words
from scalevqa_eval.scoring import extraction_text as plain
from scalevqa_eval.scoring.extraction_bare import bare_letters, option_text
from scalevqa_eval.scoring.extraction_json import answer_field, chosen, json_fields, read_json
from scalevqa_eval.scoring.extraction_options import Options
from scalevqa_eval.scoring.extraction_sentences import asserted
from scalevqa_eval.scoring.extraction_statements import Statement, statements
from scalevqa_eval.scoring.extraction_value import boxed, choice_in
from scalevqa_eval.types import LETTERS


@dataclass(frozen=True, slots=True)
class Extraction:
    """The chosen letter and how it was found; without a letter `method` says why there is none.

    With a letter: `answer-tag`, `statement`, `boxed`, `json`, `letter`, `option-text`.
    Without: `answer-tag-unreadable`, `ambiguous`, `no-such-option`, `no-answer`,
    `truncated-think`, `error-text`, `refusal`, `empty`, `open-question`, `nothing-found`.
    """

    letter: str | None
    method: str


def extract_answer(text: str, options: Mapping[str, str] | Sequence[str]) -> Extraction:
    """The option that a reply chooses.

    `options` maps letters to texts, or is a sequence of texts lettered from A. Never raises on
    any text, never returns a letter that is not among the options, and takes time linear in the
    length of the reply.
    """
    if not isinstance(options, Mapping):
        options = dict(zip(LETTERS, options, strict=False))
    if not options:
        return Extraction(None, "open-question")
    known = Options.of(options)
    said, unclosed = plain.outside_thought(plain.without_examples(plain.plain_characters(text)))
    if not said.strip():
        return Extraction(None, "truncated-think" if unclosed else "empty")
    result = _read(said, known)
    if result.letter is None and unclosed and result.method in ("nothing-found", "empty"):
        return Extraction(None, "truncated-think")
    return result


def format_followed(text: str, options: Mapping[str, str] | Sequence[str]) -> bool:
    """Whether a reply is `<think>…</think> <answer>X</answer>` and nothing else, X an option."""
    letters = options if isinstance(options, Mapping) else LETTERS[: len(options)]
    text = text.strip()
    if not text.startswith("<think>"):
        return False
    thought, closed, rest = text.removeprefix("<think>").partition("</think>")
    answer = rest.strip()
    if not closed or not thought.strip() or any(tag in thought for tag in ("<think>", "<answer>")):
        return False
    if not (answer.startswith("<answer>") and answer.endswith("</answer>")):
        return False
    letter = answer.removeprefix("<answer>").removesuffix("</answer>").strip()
    return len(letter) == 1 and letter in letters


def _read(said: str, options: Options) -> Extraction:
    """Read what is outside thought, turn by turn: a further question's answer is not ours."""
    if plain.looks_like_error(said):
        tags = plain.answer_tags(plain.before_error(said))
        return _from_tag(tags[-1].content, options) if tags else Extraction(None, "error-text")
    said = plain.before_error(said)
    result = Extraction(None, "empty")
    pending = ""
    for piece, own in plain.turns(said):
        if not own and (pending.strip() or result.letter or result.method != "empty"):
            break
        pending = piece
        result = _read_turn(pending, options)
        if result.letter or result.method in ("no-answer", "answer-tag-unreadable", "refusal"):
            break
    return result


def _read_turn(said: str, options: Options) -> Extraction:
    if tags := plain.answer_tags(said):
        return _from_tag(tags[-1].content, options)
    if data := read_json(said):
        value = answer_field(data[0])
        return (
            Extraction(None, "nothing-found")
            if value is None
            else Extraction(*chosen(value, options))
        )
    text = plain.prose(said)
    if not text:
        return Extraction(None, "empty")
    return _from_prose(text, options)


def _from_tag(content: str, options: Options) -> Extraction:
    value = plain.prose(plain.before_error(content))
    box = words.BOXED.search(value)
    letter = choice_in(box["value"] if box else value, options)
    return Extraction(letter, "answer-tag" if letter else "answer-tag-unreadable")


# --- prose ---------------------------------------------------------------------------------------


def _from_prose(text: str, options: Options) -> Extraction:
    found = [
        *json_fields(text, options),
        *boxed(text, options),
        *statements(text, options),
        *bare_letters(text, options),
        *asserted(text, options),
    ]
    found.sort(key=lambda one: (one.end, one.start))
    decisive = _decide(found, text)
    if decisive is not None:
        if decisive.letter is not None and _withdrawn(text[decisive.end :], decisive.letter):
            return Extraction(None, "no-answer")
        return Extraction(decisive.letter, decisive.method)
    if whole := option_text(text, options):
        return Extraction(*whole)
    if words.REFUSAL.search(text[:2000]):
        return Extraction(None, "refusal")
    return Extraction(None, "nothing-found")


def _decide(found: list[Statement], text: str) -> Statement | None:
    """The last firm statement, or what the others agree on; None if there is nothing."""
    firm = [one for one in found if one.firm]
    soft = [one for one in found if not one.firm]
    if firm:
        last = firm[-1]
        rival = next((one for one in reversed(firm) if one.letter != last.letter), None)
        if rival and rival.letter and last.letter and not _overruled(rival, last, text):
            return Statement(rival.start, last.end, None, True, "ambiguous")
        for one in soft:
            between = text[last.end : one.end]
            new = one.start >= last.end and one.letter != last.letter
            if new and words.CORRECTION.search(between):
                last = one
        return last
    if not soft:
        return None
    last = soft[0]
    for one in soft[1:]:
        if one.letter == last.letter:
            last = one
            continue
        between = text[last.end : one.end]
        if words.CORRECTION.search(between) or words.CONCLUDING.search(between):
            last = one
        else:
            last = Statement(last.start, one.end, None, False, "ambiguous")
    return last


def _overruled(first: Statement, last: Statement, text: str) -> bool:
    """Whether something decides for the later of two firm statements that differ.

    A word that corrects or concludes does, and so does a line of its own in other words.
    """
    if last.start <= first.end:
        return True
    between = text[first.start : last.end]
    if any(sign.search(between) for sign in (words.CORRECTION, words.CONCLUDING, words.CONTRAST)):
        return True
    wordings = {text[max(0, one.start) : one.end - 1].strip().casefold() for one in (first, last)}
    return len(wordings) > 1 and "\n" in text[first.end : last.start + 1]


def _withdrawn(rest: str, letter: str) -> bool:
    """Whether a correction takes the statement back without another in its place."""
    if second := re.match(
        r"\W{0,6}(?:or|maybe|perhaps|possibly) [^.\n]{0,20}([A-Z])\W*\Z", rest, re.I
    ):
        return second[1].isupper() and second[1] != letter
    for mark in words.CORRECTION.finditer(rest):
        after_mark = rest[mark.end() : mark.end() + 120]
        subject = rf"(?:option |choice )?\(?(?:{letter}|that|this|it)\)?"
        wrong = r"(?:['’]s|\sis|\swas)(?:n['’]t| not)? ?(?:also |actually )?"
        if re.match(
            rf"[\s,.:;–—-]{{0,4}}(?:(?:no|wait|actually|i think"
            rf"|but)[\s,]{{1,2}}){{0,3}}{subject}{wrong}"
            r"(?:wrong|incorrect|mistaken|right|correct|false|it)(?![a-z])",
            after_mark,
            re.IGNORECASE,
        ):
            affirmed = re.match(rf"\W*{subject}(?:['’]s|\sis) (?:right|correct)", after_mark, re.I)
            return not affirmed
        if re.match(
            r"[^.\n]{0,30}(?:none of the|(?:can(?:not|['’]t)|unable to) (?:decide|determine|tell"
            r"|choose"
            r"|say|be sure)|not sure|unsure|don['’]t know|no idea)",
            after_mark,
            re.IGNORECASE,
        ):
            return True
    return False
