r"""Reply text → the letter that was chosen, or none, and how it was found: one ladder.

`<think>` is stripped; then the first rung that speaks decides, whether it gives a letter or none:

1. the last complete `<answer>` tag;
2. a JSON field with an answer;
3. `\boxed{…}`, unless a statement says another letter;
4. explicit statements and labels ("the answer is B", "Answer: B", "I choose B", "B is correct");
   in the clause of a statement a list, a negation or a condition gives no letter;
5. a bare letter: the whole reply, its first line or its last, or the one option named as "(B)";
6. the exact text of exactly one option.

There is no default and no nearest string. Two statements with nothing to decide between them give
no letter. Every pattern has bounded repeats, so that time is linear in the length of the reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from scalevqa_eval.scoring.choices import (
    LETTER,
    OTHERS,
    SEVERAL,
    Extraction,
    Options,
    after_letter,
    goes_on,
    options_of,
    plain_text,
)
from scalevqa_eval.scoring.reply_text import (
    answer_tags,
    first_turn,
    is_error,
    outside_thought,
    plain_characters,
    prose,
)
from scalevqa_eval.scoring.statements import (
    CLAUSE,
    CLOSING,
    DENIED,
    clause_before,
    held_back,
    statements,
    taken_back,
)
from scalevqa_eval.types import LETTERS

__all__ = ["Extraction", "extract_answer", "format_followed"]

_WINDOW = 20_000  # a longer reply is read at both ends only; tags are sought in all of it


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
    said, unclosed = outside_thought(plain_characters(text))
    known = options_of(tuple(sorted(options.items())))
    if is_error(said.lstrip()):
        return _tagged(said, known) or Extraction(None, "error-text")
    own, further = first_turn(said)
    found = _read(own, known)
    if further and found.method in ("empty", "nothing-found"):
        found = _read(own + further, known)
    if unclosed and found.method in ("empty", "nothing-found"):
        return Extraction(None, "truncated-think")
    return found


def format_followed(text: str, options: Mapping[str, str] | Sequence[str]) -> bool:
    """Whether a reply is `<think>…</think> <answer>X</answer>` and nothing else, X an option."""
    letters = options if isinstance(options, Mapping) else LETTERS[: len(options)]
    text = text.strip()
    thought, closed, rest = text.removeprefix("<think>").partition("</think>")
    answer = rest.strip()
    if not text.startswith("<think>") or not closed or not thought.strip():
        return False
    if any(tag in thought for tag in ("<think>", "<answer>")):
        return False
    if not (answer.startswith("<answer>") and answer.endswith("</answer>")):
        return False
    letter = answer.removeprefix("<answer>").removesuffix("</answer>").strip()
    return len(letter) == 1 and letter in letters


# --- the ladder ----------------------------------------------------------------------------------

_PLACEHOLDER = re.compile(r"\W*(?:x|letter|your .{0,30}|the .{0,30}letter.{0,20}|option)?\W*", re.I)
_FIELD = re.compile(
    r"[\"'](?:final|correct|best|predicted|selected|chosen)?[_ -]?(?:answer|choice|option|letter"
    r"|prediction)(?:[_ -](?:letter|choice|option|index))?[\"']\s{0,5}:\s{0,5}"
    r"(?:\"([^\"\n]{0,500})\"|'([^'\n]{0,500})'|\[([^\[\]]{0,500})\]|([\w.+-]{1,40}))",
    re.IGNORECASE,
)
_BOXED = re.compile(
    r"\\f?box(?:ed)?\s{0,3}\{((?:[^{}]|\{(?:[^{}]|\{[^{}]{0,200}\}){0,200}+\}){0,300}+)\}"
)
_REFUSAL = re.compile(
    r"\b(?:i['’]?m sorry|i am sorry|as an ai|i (?:can(?:not|['’]t)|am (?:unable|not able))"
    r"|i['’]m (?:unable|not able))\b.{0,80}\b(?:help|assist|provide|comply|interpret|analy[sz]e"
    r"|view|see|diagnos\w+|access|process|fulfill)\b",
    re.IGNORECASE,
)


def _read(said: str, options: Options) -> Extraction:
    if not said.strip():
        return Extraction(None, "empty")
    if tagged := _tagged(said, options):
        return tagged
    text = prose(said if len(said) <= 2 * _WINDOW else f"{said[:_WINDOW]}\n{said[-_WINDOW:]}")
    stated = statements(text, options)
    for method, pattern, sign in (("json", _FIELD, ":"), ("boxed", _BOXED, "\\")):
        values = pattern.findall(said[-_WINDOW:]) if sign in said else ()
        if not values:
            continue
        read = [options.choice("".join(value)) for value in values[-20:]]
        letter = read[-1] if method == "boxed" or len(set(read)) == 1 else SEVERAL
        if method == "json" and letter is None:
            return Extraction(None, "no-answer")
        other = stated.letter if method == "boxed" and stated else None
        if letter == SEVERAL or (letter and other not in (None, letter)):
            return Extraction(None, "ambiguous")
        if letter:
            return Extraction(letter, method)
    for rung in (_bare, _marked, _option_text):
        stated = stated or rung(text, options)
    if stated:
        return stated
    return Extraction(None, "refusal" if _REFUSAL.search(text[:1000]) else "nothing-found")


def _tagged(said: str, options: Options) -> Extraction | None:
    for content in reversed(answer_tags(said)):
        if not _PLACEHOLDER.fullmatch(content[:100]):
            letter = options.choice(content)
            if not letter and (
                stated := statements(prose(content), options) or _bare(prose(content), options)
            ):
                letter = stated.letter
            if letter and letter != SEVERAL:
                return Extraction(letter, "answer-tag")
            return Extraction(None, "answer-tag-unreadable")
    return None


# --- what is left: bare letters and option texts -------------------------------------------------

_LINE = re.compile(rf"\W{{0,3}}(?:option |choice |选项)?{LETTER}(?P<rest>.*)", re.IGNORECASE)
_COLON = re.compile(
    r"(?!.{0,30}(?:error|fail|timeout|options|choices))"
    r"[^\n:→]{2,40}[:→] ?(?=\W{0,3}[A-Z](?![A-Za-z0-9:]))",
    re.I,
)
_MARK = re.compile(
    r"(?:(?:option|choice|选项) ?[(\[]?|[(\[])([A-Z])(?![A-Za-z0-9])[)\]]?", re.IGNORECASE
)
_MARK_LINK = re.compile(
    r"(?:\b(?:is|are|be|to|as|was|with|suggest(?:s|ing)|indicat(?:es|ing)|likely|an?|the)|[:=])\s?$",
    re.IGNORECASE,
)
_MENTION = re.compile(
    r"\b(?:is|are|was|were|be|as|by|of|to|with|shows?|represents?|indicates?|suggests?|called)\b|:",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^\n=;。？?]{1,250}?[.!]?")


def _bare(text: str, options: Options) -> Extraction | None:
    """A letter that is the whole reply, or stands at its start or end as an answer does."""
    lines = text.split("\n")
    heads = [_LINE.match(line[:300]) for line in lines]
    starts = [
        head[1].upper() if head and re.match(r"[).:\]]| ?[✗❌✘×✅✓]|$", line[head.end(1) :]) else ""
        for head, line in zip(heads, lines, strict=True)
    ]
    echoed = [start for start in starts[:-1] if start] == sorted(options.letters)
    for place in dict.fromkeys((len(lines) - 1, 0)):
        line, label = lines[place].strip(), _COLON.match(lines[place])
        if label and not held_back(label[0]):
            line = line[label.end() :]
        letter = _line_letter(line, options)
        if not letter:
            continue
        others = [one for n, one in enumerate(starts) if one and n != place and one != letter]
        listed = others and (others[0] > letter if place == 0 else not (label or echoed))
        if letter == SEVERAL or listed:
            return Extraction(None, "ambiguous")
        return Extraction(letter, "letter")
    return None


def _line_letter(line: str, options: Options) -> str | None:
    if len(line) > options.longest + 400:
        return None
    match = _LINE.match(line)
    if not match or not options.means(match[1], line, match.end(1)):
        return SEVERAL if options.run(line) and not options.with_text(line) else None
    letter, rest = match[1].upper(), match["rest"]
    other = options.leading(line, wanted=letter)
    if other not in (None, letter) and len(options.plain[other or ""]) > 1:  # "E. coli"
        return None
    if goes_on(rest, letter):
        return SEVERAL
    after = after_letter(rest)
    if not re.search(r"\w", after) or re.match(
        r"[(\[][^()]{0,30}confiden[^()]{0,10}[)\]]$", rest.strip()
    ):
        return letter
    said = options.leading(after, wanted=letter)
    if not said and re.match(r"\W{0,3}(?:option|choice|选项)", line, re.IGNORECASE):
        return None  # the heading of what is said about an option
    if said and (
        said != letter or (OTHERS.search(rest) and plain_text(after) != options.plain[letter])
    ):
        return SEVERAL
    if said:
        return letter
    if OTHERS.search(rest) or taken_back(rest, letter):
        return SEVERAL
    marked = re.match(r"[)\]]? ?[.:)]", rest) or line[: match.start(1)].endswith("(")
    reason = re.match(r",? (?:because|since|as)\b", rest)
    return letter if match[1].isupper() and (marked or reason) else None


def _marked(text: str, options: Options) -> Extraction | None:
    """The one option that is named "(B)" or "option B", alone or in a concluding sentence."""
    marks = [mark for mark in _MARK.finditer(text) if mark[1] in options.letters]
    if not marks:
        return None
    last = marks[-1]
    letter, before = last[1], clause_before(text, last.start())
    concluding = CLOSING.search(before) and not any(
        mark[1] != letter and mark.end() > last.start() - len(before) for mark in marks
    )
    if any(mark[1] != letter for mark in marks) and not concluding:
        return None
    rest = text[last.end() : last.end() + 600]
    own = options.own_text(letter, rest)
    named = own or f" {plain_text(before)} ".endswith(f" {options.plain[letter] or '-'} ")
    linked = (
        last[0][0] not in "(["
        or not rest.strip(". ")
        or _MARK_LINK.search(text[max(0, last.start() - 16) : last.start()])
    )
    if not named and not (linked and re.match(r"[.!]?\W{0,2}(?:$|\n| [A-Z])", rest)):
        return None
    after = CLAUSE.split(rest[own:], maxsplit=1)[0]
    if held_back(before) or DENIED.search(after):
        return None
    return Extraction(letter, "letter")


def _option_text(text: str, options: Options) -> Extraction | None:
    """The text of exactly one option: the reply, a line at its start or end, its one mention."""
    lines = text.split("\n")
    for piece in (text if len(text) < 2 * options.longest + 40 else "", lines[0], lines[-1]):
        if piece and (letter := options.with_text(piece)):
            return Extraction(letter, "option-text")
    letter = options.with_text(re.split(r"[.,!](?=\s|$)", lines[0], maxsplit=1)[0])
    said = f" {plain_text(text[:4000])} "
    named = {one for own, found in options.by_text.items() if f" {own} " in said for one in found}
    named = {
        one for one in named
        if (len(options.plain[one]) > 1 or one == letter)
        and not any(options.plain[one] in options.plain[o] and o != one for o in named)
    }  # fmt: skip
    if letter:
        alone = named <= {letter}
        return Extraction(letter if alone else None, "option-text" if alone else "ambiguous")
    if len(named) != 1 or not _SENTENCE.fullmatch(text) or held_back(text):
        return None
    only = named.pop()
    pieces = re.split(r"[,;:(]|\b(?:because|since|given|due|as|with)\b", text)
    ends = any(f" {plain_text(one)}".endswith(f" {options.plain[only]}") for one in pieces)
    return Extraction(only, "option-text") if ends and _MENTION.search(text) else None
