"""Finds where a reply says what its answer is: every statement, with its place and weight."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scalevqa_eval import extraction_patterns as words


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


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a question and their texts in comparable form."""

    texts: Mapping[str, str]
    plain: Mapping[str, str]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Options:
        return cls(texts, {letter: normalise(text) for letter, text in texts.items()})

    def letter(self, found: str) -> str | None:
        """The option's letter for a letter in either case."""
        upper = found.upper()
        return upper if upper in self.texts else None

    def named(self, text: str) -> str | None:
        """The letter of the only option with exactly this text (case and punctuation aside)."""
        wanted = normalise(text)
        same = [letter for letter, plain in self.plain.items() if plain == wanted and plain]
        return same[0] if len(same) == 1 else None

    def is_text(self, text: str) -> bool:
        """Whether one option or several have this text."""
        wanted = normalise(text)
        return bool(wanted) and wanted in self.plain.values()

    def begins(self, text: str) -> tuple[set[str], int]:
        """Options whose text `text` begins with (the longest such), and where that text ends."""
        best: set[str] = set()
        length = 0
        head = text[: max(map(len, self.texts.values()), default=0) + 60]
        folded, places = _normalise_with_places(head)
        for letter, plain in self.plain.items():
            if not plain or len(plain) < length or not folded.startswith(plain):
                continue
            if len(folded) > len(plain) and folded[len(plain)] != " ":
                continue
            best = best | {letter} if len(plain) == length else {letter}
            length = len(plain)
        return best, places[length - 1] + 1 if length else 0


_WORD = re.compile(r"[^\W_]+(?:[+%°<>≥≤][\w]*)*", re.UNICODE)


def normalise(text: str) -> str:
    """Text for comparison: lower case, one space between words, no punctuation."""
    return " ".join(word.group().casefold() for word in _WORD.finditer(text))


def _normalise_with_places(text: str) -> tuple[str, list[int]]:
    pieces: list[str] = []
    places: list[int] = []
    for word in _WORD.finditer(text):
        if pieces:
            pieces.append(" ")
            places.append(word.start())
        folded = word.group().casefold()
        pieces.append(folded)
        places.extend([word.end() - 1] * len(folded))
    return "".join(pieces), places


# --- what follows a letter -----------------------------------------------------------------------

OK, NO, MANY = "ok", "no", "many"
_CLOSE = re.compile(words.CLOSE)
_END = re.compile(r"\s?(?:\Z|\n|[.,;:!?)\]}\"”…。|*]|[-–—]\s)")


def after(text: str, end: int, found: str, options: Options, strict: bool = False) -> str:
    """Whether a letter that ends at `end` is one answer, one of many, or none.

    `strict` asks for the end of a sentence, the option's own text or a reason after it.
    """
    end = _close(text, end)
    rest = text[end : end + 80]
    if words.NEGATED_AFTER.match(rest) or words.EPITHET.match(rest):
        return NO
    own = _own_text(text, end, found, options)
    if own and _is_many(text[own : own + 80], found, options):
        return MANY
    if _is_many(rest, found, options):
        return MANY
    if own or _END.match(rest):
        return OK
    if words.NAMED_BY_LETTER.match(rest):
        return NO
    first = rest.lstrip(" ")[:1]
    if first and ord(first) > 0x24F or first in "(<":
        return OK
    if words.FOLLOWS.match(rest.lstrip(" ")):
        return OK if not strict or found.isupper() and found not in "AI" else NO
    if strict or found in "AI" or found.islower():
        return OK if re.match(r" ?(?:because|since|as|due|not|rather)\b", rest) else NO
    return OK if first.isupper() else NO


def _close(text: str, end: int) -> int:
    match = _CLOSE.match(text, end)
    return match.end() if match else end


def _own_text(text: str, end: int, found: str, options: Options) -> int:
    """Where the option's own text ends if it follows the letter, else 0."""
    letter = options.letter(found)
    skipped = re.compile(r"[\s.:)\-–—,\"“'(]{0,6}").match(text, end)
    start = skipped.end() if skipped else end
    limit = max(map(len, options.texts.values()), default=0) + 200
    named, length = options.begins(text[start : start + limit])
    return start + length if letter in named else 0


def contradicted(text: str, end: int, letter: str, options: Options) -> bool:
    """Whether the letter is followed by the exact text of another option and not its own."""
    start = _close(text, end)
    skipped = re.compile(r"\s?[.:)\-–—,]{1,2}[\s\"“'(]{0,3}|\s?[(\"“]").match(text, start)
    if not skipped:
        return False
    line = text[skipped.end() : skipped.end() + 2000].split("\n", 1)[0]
    named, length = options.begins(line)
    if not named or letter in named:
        return False
    return bool(re.match(r"[\s)\"”'.]*(?:\Z|[.;,)\n])", line[length : length + 40]))


def _is_many(rest: str, found: str, options: Options) -> bool:
    match = words.SEVERAL.match(re.sub(r"\A[\s)\"”\]]+(?=[,/&;|]|and|or)", " ", rest))
    if not match:
        return False
    second = match["second"]
    letter = options.letter(second)
    if letter is None or letter == found.upper() or second.islower() != found.islower():
        return False
    return bool(words.SEVERAL_REST.match(match["rest"]))


# --- what stands before --------------------------------------------------------------------------


def _clause(text: str, start: int) -> str:
    """The words before `start` in the same clause."""
    left = text[max(0, start - 90) : start]
    last = 0
    for mark in words.CLAUSE_END.finditer(left):
        last = mark.end()
    return left[last:]


def _sentence(text: str, start: int) -> str:
    """The words before `start` in the same sentence."""
    left = text[max(0, start - 200) : start]
    return re.split(r"[.!?\n]", left)[-1]


def _negated(text: str, conditional: bool = True) -> bool:
    text = words.NO_DOUBT.sub("", text)
    return bool(words.NEGATION.search(text) or conditional and words.CONDITIONAL.search(text))


# --- the statements ------------------------------------------------------------------------------


def statements(text: str, options: Options) -> list[Statement]:
    """All statements of an answer in plain text, in order of their place."""
    found = [
        *_boxed(text, options),
        *_cues(text, options),
        *_named(text, options),
        *_letters_after(words.VERBS, text, options, firm=True),
        *_letters_after(words.CONCLUSIONS, text, options, firm=True, strict=True),
        *_letters_after(words.THIS_IS, text, options, firm=False, strict=True),
        *_letters_after(words.NOT_BUT, text, options, firm=True, strict=True, free=True),
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
    if verdict == MANY or letter and contradicted(text, end, letter, options):
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
        clause = "" if pattern is words.CONCLUSIONS else _clause(text, match.start())
        conditional = pattern is words.THIS_IS
        would = "would" in inner or "d " in inner[:4]
        if would and words.HYPOTHETICAL.search(_sentence(text, match.start()) + inner):
            continue
        if not free and _negated(clause + words.ELIMINATION.sub("", inner), conditional):
            continue
        yield from _judge(match, text, options, firm, strict)


def _cues(text: str, options: Options) -> Iterator[Statement]:
    for match in words.CUES.finditer(text):
        gap, copula = match["gap"], match["copula"]
        before = text[max(0, match.start() - 24) : match.start()]
        if words.OTHERS.search(before) or _negated(_clause(text, match.start()) + gap):
            continue
        if "would" in copula and words.HYPOTHETICAL.search(_sentence(text, match.start())):
            continue
        if words.NEGATION.search(text[match.start("copula") : match.start("letter")]):
            continue
        noun = match["noun"].lower()
        firm = bool(match["adjective"]) or noun not in ("option", "choice", "statement", "letter")
        if not copula.strip(' ([{"“'):  # "answer\nB", "answer (B)": only where a line ends
            line_start = text[: match.start()].rpartition("\n")[2].strip()
            if line_start and copula != "\n" or gap.strip():
                continue
        if noun in ("option", "choice", "letter", "statement") and not match["adjective"]:
            yield from _judge(match, text, options, firm, strict=True)
        else:
            yield from _judge(match, text, options, firm)


def _named(text: str, options: Options) -> Iterator[Statement]:
    """ "The answer is <text of an option>", and answers that say that there is none."""
    for match in words.NAMED.finditer(text):
        before = text[max(0, match.start() - 24) : match.start()]
        if words.OTHERS.search(before) or _negated(_clause(text, match.start())):
            continue
        firm = bool(match["adjective"]) or match["noun"].lower() not in ("option", "choice")
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
                yield Statement(match.start(), end, letter, firm, "statement")
                break
        else:
            if firm and words.NO_ANSWER.match(value):
                yield Statement(match.start(), start + 1, None, firm, "no-answer")


def _boxed(text: str, options: Options) -> Iterator[Statement]:
    for match in words.BOXED.finditer(text):
        value = match["value"].strip(" {}()[].")
        letter = choice_in(value, options)
        if value:
            yield Statement(match.start(), match.end(), letter, True, "boxed")


def _asian(text: str, options: Options) -> Iterator[Statement]:
    for match in words.ASIAN.finditer(text):
        if words.ASIAN_NEGATION.search(match["gap"] or ""):
            continue
        if text[max(0, match.start() - 1) : match.start()] in ("不", "非", "没"):
            continue
        yield from _judge(match, text, options, True)
    for match in words.ASIAN_VERDICTS.finditer(text):
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
    for pattern in (words.FOREIGN, words.FOREIGN_VERBS):
        for match in pattern.finditer(text):
            if not match["letter"].isupper() or words.FOREIGN_NEGATION.search(match["gap"]):
                continue
            if pattern is words.FOREIGN and words.FOREIGN_NEGATION.search(
                _clause(text, match.start())
            ):
                continue
            if _negated(match["gap"]) or _negated(_clause(text, match.start())):
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
        if letter and not re.search(r"(?:in|not |un)(?:correct|true)", match.group(), re.I):
            yield Statement(match.start(), match.end(), letter, False)
    for pattern in (words.JUDGED, words.FOREIGN_VERDICTS):
        for match in pattern.finditer(text):
            letter = options.letter(match["letter"])
            if letter and match["letter"].isupper() and not _negated(_clause(text, match.start())):
                yield Statement(match.start(), match.end(), letter, False)


def _verdict(match: re.Match[str], text: str, options: Options) -> Statement | None:
    """What "B is correct" and the like say; text may stand between letter and verb."""
    found = match["letter"]
    letter = options.letter(found)
    bracketed = text[match.end("letter") : match.end("letter") + 1] in (")", "]", '"')
    if letter is None or (found.islower() and not bracketed):
        return None
    between = match["between"] or ""
    if between and letter not in options.begins(between.lstrip(' .:,("“'))[0]:
        if _negated(between) or any(
            options.letter(other)
            for other in re.findall(r"(?<![A-Za-z])[A-Z](?![A-Za-z])", between)
        ):
            return None
    if _negated(_clause(text, match.start())) or _negated(match["after"], False):
        return None
    before = text[max(0, match.start() - 12) : match.start()]
    joined = re.search(r"(?:and|or|nor|both|,|/) ?[(\"']?(?:option )?[(\"']?\Z", before, re.I)
    if joined and not re.search(r"than", text[max(0, match.start() - 30) : match.start()]):
        prior = re.search(r"(?<![A-Za-z])[A-Z](?![A-Za-z])", before)
        if prior and options.letter(prior[0]) and prior[0] != letter:
            return Statement(match.start(), match.end(), None, False, "ambiguous")
    return Statement(match.start(), match.end(), letter, False)


# --- one value -----------------------------------------------------------------------------------

_LABEL = re.compile(
    r"[\s\"'“‘(\[{<*_>•\-–]{0,6}(?:(?:the |my |final |correct |best ){0,3}(?:option|choice|answer|ans|letter"
    r"|选项|選項|答案|選択肢|정답|opción|antwort)\s?(?:is|:|是|=|-)?\s?)?[\"'“(\[{]{0,3}"
    r"(?P<letter>[A-Za-z])(?![A-Za-z0-9_À-ɏ&+%°/]|['’][A-Za-z]|-[A-Za-z0-9])",
    re.IGNORECASE,
)


def choice_in(value: str, options: Options) -> str | None:
    """The one letter that a short value (a tag, a box, a JSON field) names, or None."""
    value = value.strip().strip("\"'“”‘’.,;:!*_` ")
    if len(value) == 1:
        return options.letter(value)
    if options.is_text(value):
        return options.named(value)
    match = _LABEL.match(value)
    if match:
        found, end = match["letter"], match.end("letter")
        letter = options.letter(found)
        verdict = after(value, end, found, options, strict=True)
        labelled = re.match(
            r"\s?[)\].:}\"']|\s?[-–—,(]|\Z|\n", value[_close(value, end) :][:3] or ""
        )
        closed = _close(value, end) > end
        if letter is None or verdict != OK or not (labelled or closed or _reason(value[end:])):
            return None if verdict == MANY else _by_text_or_statement(value, options)
        if contradicted(value, end, letter, options) or _other_labels(value[end:], found, options):
            return None
        return letter
    return _by_text_or_statement(value, options)


def _reason(rest: str) -> bool:
    return bool(
        re.match(r"\s(?:because|since|as|due|is (?:the )?(?:correct|best|right|most))\b", rest)
    )


def _other_labels(rest: str, found: str, options: Options) -> bool:
    others = re.finditer(r"(?:[\n,;/|&(]\s?|(?:and|or) )\(?([A-Za-z])(?:[).:,\]]|\s?$)", rest)
    return any(
        options.letter(one[1]) not in (None, found.upper()) and one[1].isupper() == found.isupper()
        for one in others
    )


def _by_text_or_statement(value: str, options: Options) -> str | None:
    labelled = re.search(r"[\s(\[]\(?(?P<letter>[A-Z])[)\]]\s?\.?\Z", value)
    if labelled:
        named = options.named(value[: labelled.start()])
        letter = options.letter(labelled["letter"])
        if named:
            return named if named == letter else None
    letters = {one.letter for one in statements(value, options)}
    return letters.pop() if len(letters) == 1 else None
