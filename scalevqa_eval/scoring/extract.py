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

from scalevqa_eval.scoring.reply_text import (
    ERROR,
    SEVERAL,
    Extraction,
    Options,
    answer_tags,
    first_turn,
    options_of,
    outside_thought,
    plain_characters,
    plain_text,
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
    if ERROR.match(said.lstrip()):
        return _tagged(said, known) or Extraction(None, "error-text")
    found = _read(first_turn(said), known)
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

_ITEM = re.compile(r"\W{0,3}(?:option )?[(\[]?([A-Z])(?:[).:\]]| ?[✗❌✘×✅✓]|$)", re.IGNORECASE)
_SAID_OF = re.compile(
    r"\W{0,3}([A-Z])[)\]] (?:do(?:es)?|did|is|was|has|had|can|cannot|could|would|seems?|lacks?"
    r"|fails?|conflicts?|contradicts?)\b"
)
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
_SENTENCE = re.compile(r"[^\n=;。？?\[]{1,250}?[.!]?")


def _bare(text: str, options: Options) -> Extraction | None:
    """A letter that is the whole reply, or stands at its start or end as an answer does."""
    lines = text.split("\n")
    starts = {item[1].upper() for line in lines if (item := _ITEM.match(line))}
    for line in dict.fromkeys((lines[-1], lines[0])):
        label = _COLON.match(line)
        if label and not held_back(label[0]):
            line = line[label.end() :]
        said = _SAID_OF.match(line)  # "(B) does not match": "B is correct" was a statement
        known = said and said[1] in options.letters
        if said and known and not options.own_text(said[1], line[said.end(1) :]):
            continue
        if letter := options.choice(line):
            listed = len(lines) > 1 and starts - {letter} and not label  # alone: "E. coli"
            if letter == SEVERAL or listed or taken_back(line, letter):
                return Extraction(None, "ambiguous")
            return Extraction(letter, "letter")
    return None


def _marked(text: str, options: Options) -> Extraction | None:
    """The one option that is named "(B)" or "option B", alone or in a concluding sentence."""
    marks = [mark for mark in _MARK.finditer(text) if mark[1] in options.letters]
    if not marks:
        return None
    last = marks[-1]
    letter, before = last[1], clause_before(text, last.start())
    near = last.start() - len(before) if CLOSING.search(before) else 0
    if any(mark[1] != letter and mark.end() > near for mark in marks):
        return None
    rest = text[last.end() : last.end() + 600]
    own = options.own_text(letter, rest)
    named = own or f" {plain_text(before)} ".endswith(f" {options.plain[letter] or '-'} ")
    linked = last[0][0] not in "([" or not rest.strip(". ") or _MARK_LINK.search(before)
    if not named and not (linked and re.match(r"[.!]?\W{0,2}(?:$|\n| [A-Z])", rest)):
        return None
    after = CLAUSE.split(rest[own:], maxsplit=1)[0]
    return None if held_back(before) or DENIED.search(after) else Extraction(letter, "letter")


def _option_text(text: str, options: Options) -> Extraction | None:
    """The text of exactly one option: the reply, a line at its start or end, its one mention."""
    lines = text.split("\n")
    for piece in (lines[0], lines[-1]):
        if letter := options.with_text(piece):
            return Extraction(letter, "option-text")
    letter = options.with_text(re.split(r"[.,!](?=\s|$)", lines[0], maxsplit=1)[0])
    said = f" {plain_text(text[:4000])} "
    named = [own for own in options.by_text if len(own) > 1 and f" {own} " in said]
    named = [own for own in named if not any(own in other and own != other for other in named)]
    if letter and {options.plain[letter]}.issuperset(named):
        return Extraction(letter, "option-text")
    if len(named) != 1 or not _SENTENCE.fullmatch(text) or held_back(text):
        return None
    pieces = re.split(r"[,;:(]|\b(?:because|since|given|due|as|with)\b", text)
    ends = any(f" {plain_text(one)}".endswith(f" {named[0]}") for one in pieces)
    letter = options.with_text(named[0])
    return Extraction(letter, "option-text") if ends and _MENTION.search(text) and letter else None
