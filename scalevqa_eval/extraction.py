"""Reply text → the letter that was chosen, or none, and how it was found.

Extraction never guesses. In this order, what stands first decides:

1. the last complete `<answer>` tag outside `<think>`;
2. an explicit final statement ("the answer is B", JSON with an answer, `\\boxed{B}`, 答案是B, ...);
3. a bare letter;
4. the exact text of exactly one option.

Two candidates with nothing to decide between them give no letter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalevqa_eval import extraction_patterns as words
from scalevqa_eval import extraction_text as plain
from scalevqa_eval.extraction_statements import (
    OK,
    Options,
    Statement,
    after,
    choice_in,
    contradicted,
    normalise,
    statements,
)
from scalevqa_eval.questions import LETTERS


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
    if data := _json(said):
        value = _json_answer(data[0])
        if value is not None:
            return _from_value(value, options, "json")
        return Extraction(None, "nothing-found")
    text = plain.prose(said)
    if not text:
        return Extraction(None, "empty")
    return _from_prose(text, options)


def _from_tag(content: str, options: Options) -> Extraction:
    value = plain.prose(plain.before_error(content))
    boxed = words.BOXED.search(value)
    letter = choice_in(boxed["value"] if boxed else value, options)
    return Extraction(letter, "answer-tag" if letter else "answer-tag-unreadable")


# --- JSON ----------------------------------------------------------------------------------------

_FENCE = re.compile(r"```[ \t]{0,4}(?:json[c5]?|JSON)?[ \t]{0,4}\n?")
_JSON_KEYS = (
    "final_answer", "finalanswer", "answer", "correct_answer", "correct_option", "correct_choice",
    "selected_option", "selected_answer", "selected", "answer_letter", "answer_choice", "choice", "option",
    "option_letter", "letter", "prediction", "predicted_answer", "best_option", "best_answer", "selection",
    "ans", "pick", "result", "response", "output", "答案", "正确答案", "最终答案", "respuesta", "antwort",
)  # fmt: skip
_FIELD = re.compile(
    r"[\"'](?P<key>[^\"'\n]{1,30})[\"']\s{0,9}:\s{0,9}"
    r"(?P<value>\"[^\"\n]{0,400}\"|'[^'\n]{0,400}'|\[[^\[\]\n]{0,200}\]|null|[A-Za-z](?![A-Za-z]))"
)


def _json(said: str) -> list[Any] | None:
    """The JSON value that the reply consists of (in a list of one), or None."""
    text = said.strip()
    fence = _FENCE.match(text)
    if fence:
        text = text[fence.end() :].partition("```")[0].strip()
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]") or len(text) > 4 * plain.WINDOW:
        return None
    try:
        return [json.loads(text, strict=False)]
    except (ValueError, RecursionError):
        return None


def _json_answer(data: Any, depth: int = 0) -> Any:
    """The value of the field that holds an answer."""
    if isinstance(data, list):
        if len(data) == 1:
            return _json_answer(data[0], depth + 1) if depth < 9 else None
        return data if data and all(isinstance(item, str) for item in data) else None
    if not isinstance(data, dict):
        return data
    fields = {
        str(key).strip().lower().replace(" ", "_").replace("-", "_"): data[key] for key in data
    }
    for key in _JSON_KEYS:
        if key in fields:
            value = fields[key]
            nested = isinstance(value, dict | list) and depth < 9
            return _json_answer(value, depth + 1) if nested else value
    for value in data.values():
        if isinstance(value, dict) and depth < 9:
            inner = _json_answer(value, depth + 1)
            if inner is not None:
                return inner
    return None


def _from_value(value: Any, options: Options, method: str) -> Extraction:
    if isinstance(value, list):
        letters = {choice_in(str(item), options) for item in value}
        letter = letters.pop() if len(letters) == 1 else None
        return Extraction(letter, method if letter else "ambiguous")
    if not isinstance(value, str) or plain.is_placeholder(value) and len(value.strip()) != 1:
        return Extraction(None, "no-answer")
    letter = choice_in(plain.prose(value), options)
    return Extraction(letter, method if letter else "ambiguous")


def _json_fields(text: str, options: Options) -> list[Statement]:
    """Answer fields of JSON that stands inside other text."""
    found = []
    for field in _FIELD.finditer(text):
        if field["key"].strip().lower().replace(" ", "_") not in _JSON_KEYS:
            continue
        raw = field["value"].strip("\"'")
        if plain.is_placeholder(raw) and len(raw) != 1:
            continue
        items = [item.strip(" \"'") for item in raw.strip("[]").split(",")]
        letters = {choice_in(item, options) for item in items} if "[" in raw else set()
        letter = choice_in(raw, options) if "[" not in raw else None
        if len(letters) == 1:
            letter = letters.pop()
        found.append(Statement(field.start(), field.end(), letter, True, "json"))
    return found


# --- prose ---------------------------------------------------------------------------------------


def _from_prose(text: str, options: Options) -> Extraction:
    found = [*_json_fields(text, options), *statements(text, options), *_bare(text, options)]
    found.sort(key=lambda one: (one.end, one.start))
    chosen = _decide(found, text)
    if chosen is not None:
        if chosen.letter is not None and _withdrawn(text[chosen.end :], chosen.letter):
            return Extraction(None, "no-answer")
        return Extraction(chosen.letter, chosen.method)
    whole = _option_text(text, options)
    if whole is not None:
        return whole
    if words.REFUSAL.search(text[:2000]):
        return Extraction(None, "refusal")
    return Extraction(None, "nothing-found")


def _decide(found: list[Statement], text: str) -> Statement | None:
    """The last firm statement, or what the others agree on; None if there is nothing."""
    firm = [one for one in found if one.firm]
    soft = [one for one in found if not one.firm]
    if firm:
        last = firm[-1]
        for one in soft:
            between = text[last.end : one.end]
            if one.start >= last.end and one.letter != last.letter:
                if words.CORRECTION.search(between):
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


def _withdrawn(rest: str, letter: str) -> bool:
    """Whether a correction takes the statement back without another in its place."""
    for mark in words.CORRECTION.finditer(rest):
        after_mark = rest[mark.end() : mark.end() + 120]
        subject = rf"(?:option |choice )?\(?(?:{letter}|that|this|it)\)?"
        wrong = r"(?:['’]s|\sis|\swas)(?:n['’]t| not)? ?(?:also |actually )?"
        if re.match(
            rf"[\s,.:;–—-]{{0,4}}(?:(?:no|wait|actually|i think|but)[\s,]{{1,2}}){{0,3}}{subject}{wrong}"
            r"(?:wrong|incorrect|mistaken|right|correct|false|it)(?![a-z])",
            after_mark,
            re.IGNORECASE,
        ):
            affirmed = re.match(rf"\W*{subject}(?:['’]s|\sis) (?:right|correct)", after_mark, re.I)
            return not affirmed
        if re.match(
            r"[^.\n]{0,30}(?:none of the|(?:can(?:not|['’]t)|unable to) (?:decide|determine|tell|choose"
            r"|say|be sure)|not sure|unsure|don['’]t know|no idea)",
            after_mark,
            re.IGNORECASE,
        ):
            return True
    return False


_LINE = re.compile(
    r"[\s\"'“‘«>•\-–—:|!]{0,6}[^\w\s\"'“(\[{<.,:;#\\/+=&-]{0,4}[\s:]{0,3}"
    r"(?:(?:the |my )?(?:final |correct |best )?(?:option|choice|answer|letter|选项|選項|选|選択肢|보기"
    r"|opción|réponse|antwort|opzione|opção)\s?[:.]?\s?)?[\"'“‘(\[{<【]{0,4}\s?"
    r"(?P<letter>[A-Za-z])(?![A-Za-z0-9_À-ɏ&+%°/^<=>]|['’][A-Za-z]|[-–][A-Za-z0-9])"
    r"(?P<closed>\s?[\"'”’)\]}>】]{0,4})",
    re.IGNORECASE,
)
_BARE_END = re.compile(
    r"[\s.,;:!。\"'”’)\]}|-]{0,6}[^\w\s\"'“(\[{<.,:;#\\/+=&?-]{0,6}[\s!.]{0,4}\Z"
)
_LABEL_END = re.compile(r"(?:[.:)\]]|\s?[-–—]\s|\s?:|,)")
_LIST_LABEL = re.compile(
    r"(?:^|\n|[;,|%]\s?|\s)[\s\"'•\-–>]{0,4}(?P<open>[(\[]?)(?P<letter>[A-Za-z])(?P<close>[).:\]])(?=\s|\Z|\w)"
)


def _bare(text: str, options: Options) -> list[Statement]:
    """A letter alone on the first or the last line, or at the head of the reply."""
    lines = text.split("\n")
    found: list[Statement] = []
    alone = {_alone(line, options) for line in lines if len(line) < 80} - {None}
    many = len(alone) > 1
    last = _alone(lines[-1], options)
    if last:
        method = "ambiguous" if many else "letter"
        found.append(Statement(len(text), len(text), None if many else last, True, method))
    elif len(lines) > 1 and (labelled := _labelled(lines[-1], options)):
        same = [one for one in lines[:-1] if _labelled(one, options)]
        letters = {_labelled(one, options) for one in same}
        if not letters or (len(letters) > 1 and labelled in letters):
            found.append(Statement(len(text), len(text), labelled, True, "letter"))
    if len(lines) > 1 and (first := _alone(lines[0], options)):
        found.append(
            Statement(0, 1, None if many else first, True, "ambiguous" if many else "letter")
        )
    elif not found and (head := _head(text, options)):
        found.append(Statement(0, 1, head, True, "letter"))
    if not found and (tail := _tail(lines[-1], options, text)):
        found.append(Statement(len(text), len(text), tail, False, "letter"))
    return found


def _alone(line: str, options: Options) -> str | None:
    match = _LINE.match(line)
    if match and _BARE_END.match(line, match.end()):
        return options.letter(match["letter"])
    return None


def _labelled(line: str, options: Options) -> str | None:
    """The letter of a line "B. text of an option"."""
    match = _LINE.match(line)
    if not match or not (match["closed"].strip() or _LABEL_END.match(line, match.end())):
        return None
    return options.letter(match["letter"])


def _head(text: str, options: Options) -> str | None:
    """The letter of a reply that begins "B. ..." or "B because", and lists no others."""
    if options.is_text(text):
        return None
    match = _LINE.match(text)
    if not match:
        return None
    found, end = match["letter"], match.end("letter")
    letter = options.letter(found)
    closed = bool(match["closed"].strip())
    if letter is None or after(text, end, found, options) != OK:
        return None
    if not closed and found.islower() and text[end : end + 1] != ")":
        own, _ = options.begins(text[end:].lstrip(" .:"))
        if letter not in own:
            return None
    labelled = closed or _LABEL_END.match(text, end)
    reason = re.match(r"\s(?:because|since|as|due to)\b", text[end:][:12])
    own, _ = options.begins(text[end:][:4000].lstrip(" "))
    if not labelled and not reason and letter not in own:
        return None
    if contradicted(text, end, letter, options):
        return None
    head = text[match.end() :][:40]
    if letter not in own and re.match(
        r"[.:)\]\s–—-]{0,4}(?:unlikely|likely|incorrect|wrong|false|not |no\b|\d+ ?%|possible)",
        head,
        re.I,
    ):
        return None
    return None if _lists(text, match, options) else letter


def _lists(text: str, first: re.Match[str], options: Options) -> bool:
    """Whether labels of other options follow in the style of the first one."""
    opening = "(" if "(" in first.group() else ""
    close = (first["closed"].strip() or text[first.end() : first.end() + 1])[:1]
    own = options.letter(first["letter"])
    for label in _LIST_LABEL.finditer(text, first.end()):
        other = options.letter(label["letter"])
        if other is None or other == own or label["letter"].isupper() != first["letter"].isupper():
            continue
        if label["close"] != close or bool(label["open"]) != bool(opening):
            continue
        if label.group().lstrip(" ")[:1] in "\n;,|%" or own == "A" or other == "B":
            return True
        named, _ = options.begins(text[label.end() :][:4000].lstrip(" "))
        if other in named:
            return True
    return False


_TAIL = re.compile(
    r"(?:(?P<text>[^.!?。]{1,400})[(\[](?P<bracketed>[A-Z])[)\]]|[.!?。]\s?(?P<plain>[B-HJ-Z]))[\s.!]{0,3}\Z"
)


def _tail(line: str, options: Options, text: str) -> str | None:
    """A letter that ends the reply: "... (B)." or "... seen. B", the only one named in it."""
    match = _TAIL.search(line[-500:])
    if not match:
        return None
    found = match["bracketed"] or match["plain"]
    letter = options.letter(found)
    before = match["text"] or ""
    if re.search(
        r"(?:fig(?:ure|\.)?|panel|image|grade|type|class|stage|group|table|view)\s\Z", before, re.I
    ):
        return None
    if words.NEGATION.search(before) or words.CONDITIONAL.search(before):
        return None
    others = {
        options.letter(one)
        for one in re.findall(r"(?<![A-Za-z0-9])[(\[]?([A-Z])(?:[)\].:,]|\s(?:or|and)\b)", text)
    } - {None, letter}
    return None if others else letter


_IS_TEXT = re.compile(
    r"(?:(?<![a-z])(?:this|it|that|image|images|findings?|picture|features?|diagnosis|appearances?|pattern|structure"
    r"|region)\s(?:is|are|shows?|represents?|indicates?|suggests?)(?: (?:most|best))?(?: (?:consistent with"
    r"|compatible with|described as|likely|in keeping with))?|['’]s|most consistent with|best described as"
    r"|consistent with|diagnosis:)\s(?:the |an? )?",
    re.IGNORECASE,
)


def _option_text(text: str, options: Options) -> Extraction | None:
    """A reply, its last or its first line, or "this is ..." that is the text of one option."""
    lines = text.split("\n")
    for part in (text, lines[-1], lines[0]):
        if len(part) < 20_000 and options.is_text(part):
            letter = options.named(part)
            others = {options.named(line) for line in lines if len(line) < 20_000} - {None, letter}
            if letter is None or others:
                return Extraction(None, "ambiguous")
            return Extraction(letter, "option-text")
    sentence = re.split(r"(?<=[.!?。])\s|\n", text[-4000:].strip())[-1]
    for cue in _IS_TEXT.finditer(sentence):
        rest = sentence[cue.end() :]
        letter = options.named(rest)
        if letter is None or words.NEGATION.search(sentence[: cue.end()]):
            continue
        folded = f" {normalise(text)} "
        own = options.plain[letter]
        rivals = [p for o, p in options.plain.items() if o != letter and p and p not in own]
        if not any(f" {rival} " in folded for rival in rivals):
            return Extraction(letter, "option-text")
    return None
