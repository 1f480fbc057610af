"""Finds where a reply says what its answer is: every statement, with its place and weight."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scalevqa_eval.scoring import extraction_languages as languages
from scalevqa_eval.scoring import extraction_patterns as words
from scalevqa_eval.scoring.extraction_context import (
    MANY,
    NO,
    after,
    clause_before,
    contradicted,
    negated,
    own_text,
    sentence_before,
)
from scalevqa_eval.scoring.extraction_options import Options


@dataclass(frozen=True, slots=True)
class Statement:
    """One place that names an answer; `letter` is None where it names none or several.

    A `firm` statement names the answer as such ("the answer is B"), others call an option right
    ("B fits best"): they count where no firm one stands.
    """

    start: int
    end: int
    letter: str | None
    firm: bool
    method: str = "statement"


# --- the statements ------------------------------------------------------------------------------


_LOOSE_NOUNS = (
    "option",
    "choice",
    "statement",
    "letter",
    "one",
    "match",
    "description",
    "explanation",
    "fit",
    "classification",
    "category",
    "label",
)


def statements(text: str, options: Options) -> list[Statement]:
    """All statements of an answer in plain text, in order of their place."""
    found = [
        *_cues(text, options),
        *_named(text, options),
        *_letters_after(words.VERBS, text, options, firm=True),
        *_letters_after(words.CONCLUSIONS, text, options, firm=True, strict=True),
        *_letters_after(words.THIS_IS, text, options, firm=False, strict=True),
        *_letters_after(words.NOT_BUT, text, options, firm=True, strict=True, free=True),
        *_letters_after(
            languages.FOREIGN_NOT_BUT, text, options, firm=True, strict=True, free=True
        ),
        *_letters_after(words.QUESTION_AND_ANSWER, text, options, firm=True, strict=True),
        *_asian(text, options),
        *_foreign(text, options),
        *_verdicts(text, options),
    ]
    return sorted(found, key=lambda one: (one.end, one.start))


def _judge(
    match: re.Match[str], text: str, options: Options, firm: bool, strict: bool = False
) -> Iterator[Statement]:
    """The statement that a cue with a letter makes, if what follows the letter allows it."""
    found = match["letter"]
    start, end = match.start(), match.end("letter")
    verdict = after(text, end, found, options, strict)
    if verdict == NO or _is_listing(text, match.start("letter"), options):
        return
    letter = options.letter(found)
    if verdict == MANY or (letter and contradicted(text, end, letter, options)):
        yield Statement(start, end, None, firm, "ambiguous")
    elif letter is None:
        if found.isupper() and found not in "XI" and not strict:
            yield Statement(start, end, None, firm, "no-such-option")
    elif not (found == "a" and text[end : end + 1] in ("", "\n") and _bare_article(text, match)):
        yield Statement(start, end, letter, firm)


def _bare_article(text: str, match: re.Match[str]) -> bool:
    """Whether a lone "a" at the end may be an article of a sentence that was cut."""
    return text[: match.start("letter")].rstrip()[-1:].isalpha()


def _is_listing(text: str, start: int, options: Options) -> bool:
    """Whether a letter on a new line opens a list of the options."""
    before = text[max(0, start - 3) : start].rstrip(" ([\"'")
    if not before.endswith("\n"):
        return False
    following = text[start:].split("\n", 2)[1:2] if start < len(text) else []
    return any(re.match(r"\W{0,3}[A-Z]\W", f"{line} ") for line in following)


def _letters_after(
    pattern: re.Pattern[str],
    text: str,
    options: Options,
    *,
    firm: bool,
    strict: bool = False,
    free: bool = False,
) -> Iterator[Statement]:
    for match in pattern.finditer(text):
        inner = text[match.start() : match.start("letter")]
        clause = "" if pattern is words.CONCLUSIONS else clause_before(text, match.start())
        conditional = pattern is words.THIS_IS
        would = "would" in inner or "d " in inner[:4] or pattern is words.CONCLUSIONS
        if pattern is words.CONCLUSIONS and re.match(
            r"\W{0,4}so (?:is|are|does|was)\b", inner, re.I
        ):
            continue
        if words.REMARK.search(inner):
            continue
        if would and words.HYPOTHETICAL.search(sentence_before(text, match.start()) + inner):
            continue
        if not free and negated(clause + words.ELIMINATION.sub("", inner), conditional):
            continue
        yield from _judge(match, text, options, firm, strict)


def _cues(text: str, options: Options) -> Iterator[Statement]:
    for match in words.CUES.finditer(text):
        gap, copula = match["gap"], match["copula"]
        before = text[max(0, match.start() - 24) : match.start()]
        if words.OTHERS.search(before) or negated(clause_before(text, match.start()) + gap):
            continue
        if "would" in copula and words.HYPOTHETICAL.search(sentence_before(text, match.start())):
            continue
        if words.NEGATION.search(text[match.start("copula") : match.start("letter")]):
            continue
        noun = match["noun"].lower()
        firm = bool(match["adjective"]) or noun not in _LOOSE_NOUNS
        if not copula.strip(' \n([{"“'):  # "answer\nB", "answer (B)": only where a line ends
            if noun in _LOOSE_NOUNS and not match["adjective"]:
                continue
            if (
                sentence_before(text, match.start()).strip()
                and not (copula == "\n" and match["adjective"])
            ) or gap.strip():
                continue
        if noun in _LOOSE_NOUNS and not match["adjective"]:
            yield from _judge(match, text, options, firm, strict=True)
        else:
            yield from _judge(match, text, options, firm)


def _named(text: str, options: Options) -> Iterator[Statement]:
    """ "The answer is <text of an option>", and answers that say that there is none."""
    for match in words.NAMED.finditer(text):
        before = text[max(0, match.start() - 24) : match.start()]
        if words.OTHERS.search(before) or negated(clause_before(text, match.start())):
            continue
        firm = bool(match["adjective"]) or match["noun"].lower() not in _LOOSE_NOUNS
        value = match["value"]
        start = match.start("value")
        for skipped in ("", "the ", "an ", "a ", "likely ", "most likely ", "probably "):
            if not value.lower().startswith(skipped):
                continue
            letters, length = options.begins(value[len(skipped) :])
            ending = value[len(skipped) + length : len(skipped) + length + 40]
            if letters and re.match(r"[\s\"”')\]]*(?:\Z|[.;,!(]|because|since|as\b|\()", ending):
                letter = next(iter(letters)) if len(letters) == 1 else None
                labelled = re.match(r"\s?\(?(?:option )?([A-Z])\)?(?![A-Za-z])", ending)
                if labelled and labelled[1] in options.texts:
                    letter = labelled[1] if labelled[1] in letters else None
                end = start + len(skipped) + length
                method = "statement" if letter else "ambiguous"
                yield Statement(match.start(), end, letter, firm, method)
                break
        else:
            if firm and words.NO_ANSWER.match(value):
                yield Statement(match.start(), start + 1, None, firm, "no-answer")


def _asian(text: str, options: Options) -> Iterator[Statement]:
    for match in languages.ASIAN.finditer(text):
        if languages.ASIAN_NEGATION.search(match["gap"] or ""):
            continue
        if text[max(0, match.start() - 1) : match.start()] in ("不", "非", "没"):
            continue
        yield from _judge(match, text, options, True)
    for match in languages.ASIAN_VERDICTS.finditer(text):
        letter = options.letter(match["letter"])
        tail = text[match.end() : match.end() + 8]
        if (
            match["before"]
            or letter is None
            or re.match(r"[^。,.\n]{0,4}(?:ない|않|아니|ません)", tail)
        ):
            continue
        yield Statement(match.start(), match.end(), letter, False)


def _foreign(text: str, options: Options) -> Iterator[Statement]:
    for pattern in (languages.FOREIGN, languages.FOREIGN_VERBS):
        for match in pattern.finditer(text):
            if not match["letter"].isupper() or languages.FOREIGN_NEGATION.search(match["gap"]):
                continue
            if pattern is languages.FOREIGN and languages.FOREIGN_NEGATION.search(
                clause_before(text, match.start())
            ):
                continue
            if negated(match["gap"]) or negated(clause_before(text, match.start())):
                continue
            english = (
                match["noun"].lower() in ("option", "alternative")
                if "noun" in (match.groupdict())
                else False
            )
            if english:
                if ":" not in match["gap"] + match["link"] and not re.search(
                    r"(?<!\w)(?:est|ist|lautet)(?!\w)", match["gap"]
                ):
                    continue
                yield from _judge(match, text, options, False, strict=True)
            else:
                yield from _judge(match, text, options, True)


def _verdicts(text: str, options: Options) -> Iterator[Statement]:
    position = 0
    while match := words.VERDICTS.search(text, position):
        position = match.end("letter")
        statement = _verdict(match, text, options)
        if statement is not None:
            position = match.end()
            yield statement
    for match in words.MARKED.finditer(text):
        letter = options.letter(match["letter"])
        rest = match.group()[match.end("letter") - match.start() :]
        if any(map(options.letter, re.findall(r"(?<![A-Za-z])([A-Z])[).:]", rest))):
            continue
        if letter and not re.search(r"(?:in|not |un)(?:correct|true)", match.group(), re.I):
            yield Statement(match.start(), match.end(), letter, False)
    for pattern in (
        words.JUDGED,
        languages.FOREIGN_VERDICTS,
        languages.GERMAN_VERB,
    ):
        for match in pattern.finditer(text):
            letter = options.letter(match["letter"])
            if (
                letter
                and match["letter"].isupper()
                and not negated(clause_before(text, match.start()))
            ):
                yield Statement(match.start(), match.end(), letter, False)


def _verdict(match: re.Match[str], text: str, options: Options) -> Statement | None:
    """What "B is correct" and the like say; text may stand between letter and verb."""
    found = match["letter"]
    letter = options.letter(found)
    bracketed = text[match.end("letter") : match.end("letter") + 1] in (")", "]", '"')
    if letter is None or (found.islower() and not bracketed):
        return None
    between = match["between"] or ""
    if own_text(text, match.end("letter"), found, options) >= match.end() - 1:
        return None  # the verdict's words are the option's own
    own = letter in options.begins(between.lstrip(' .:,("“'))[0]
    others = re.findall(r"(?<![A-Za-z])[A-Z](?![A-Za-z])", between)
    if not own and (negated(between) or any(map(options.letter, others))):
        return None
    clause = clause_before(text, match.start())
    supposed = words.HYPOTHETICAL.search(sentence_before(text, match.start()))
    if supposed and "would" in match.group():
        return None
    if negated(clause) or negated(match["after"]) or re.search(r"\bwhich\b", clause):
        return None
    before = text[max(0, match.start() - 12) : match.start()]
    joined = re.search(
        r"(?:and|or|nor|both|to|through|,|/|-|–) ?[(\"']?(?:option )?[(\"']?\Z", before, re.I
    )
    joined = None if re.search(r"[A-Z]\)?\s?[-–]\s?\(?[A-Z]\)?,\W*\Z", before) else joined
    if joined and not re.search(r"than", text[max(0, match.start() - 30) : match.start()]):
        prior = re.search(r"(?<![A-Za-z])[A-Z](?![A-Za-z])", before)
        if prior and options.letter(prior[0]) and prior[0] != letter:
            return Statement(match.start(), match.end(), None, False, "ambiguous")
    return Statement(match.start(), match.end(), letter, False)
