"""Reads prose sentence by sentence: which clause calls one option right.

A mention is a letter used as a label ("option C", "(C)", "C. Grade 3") or the text of an option.
A clause asserts an option if it says that something fits, is right or is so, names one option, and
neither rejects, hedges nor lists. Time is linear in the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterator

from scalevqa_eval.scoring import extraction_clauses as says
from scalevqa_eval.scoring import extraction_patterns as words
from scalevqa_eval.scoring.extraction_mentions import Mention, mentions
from scalevqa_eval.scoring.extraction_options import Options
from scalevqa_eval.scoring.extraction_statements import Statement

# Only the end of a long reply is read this way.
_READ = 20_000


def asserted(text: str, options: Options) -> list[Statement]:
    """Clauses of `text` that call one option right, as statements that others overrule."""
    offset = max(0, len(text) - _READ)
    text = text[offset:]
    named = list(mentions(text, options))
    if not named:
        return []
    found: list[Statement] = []
    holes = _with_holes(text, named)
    place, used, said_no = 0, 0, False
    ends = [*(mark.end() for mark in says.SENTENCE_END.finditer(holes)), len(holes)]
    spoken = [end for begin, end in zip([0, *ends], ends, strict=False) if holes[begin:end].strip()]
    for end in ends:
        sentence = holes[place:end]
        count = sentence.count(says.HOLE)
        here = named[used : used + count]
        place, used = end, used + count
        if not here:
            continue
        alone = len({one.letter for one in named}) == 1
        verdict = _sentence(sentence, here, end == spoken[-1], alone, len(spoken) == 1, said_no)
        said_no = bool(says.REJECTS.search(sentence))
        if verdict is not None:
            start, stop = here[0].start + offset, here[-1].end + offset
            found.append(Statement(start, stop, verdict[0], verdict[1], verdict[2]))
    return found


def _sentence(
    sentence: str, here: list[Mention], last: bool, alone: bool, only: bool, said_no: bool
) -> tuple[str, bool, str] | None:
    """The letter that a sentence asserts, whether it does so firmly, and by what.

    `last`: no sentence follows; `alone`: the reply names no other option; `only`: it has no other
    sentence; `said_no`: the sentence before rejects an option.
    """
    letters = {one.letter for one in here}
    first = here[0].letter
    method = "option-text" if all(one.by_text for one in here) else "statement"
    if len(letters) == 1:
        if method == "statement" and says.ELLIPSIS.match(sentence):
            return first, True, method
        if says.MARKED_RIGHT.search(sentence) and not says.REJECTS.search(sentence):
            return first, False, method
        if said_no and says.THE_OTHER_IS.match(sentence):
            return first, False, method
        if last and says.LIKELY_TEXT.match(sentence):
            return first, False, method
        plain = not (says.REJECTS.search(sentence) or says.HEDGES.search(sentence))
        if plain and last and alone and only and says.VERB_TEXT.match(sentence):
            return first, False, method
        if last and method == "statement" and says.ADVERBIAL.match(sentence):
            rest = says.NO_QUESTION.sub("", sentence)
            doubted = says.REJECTS.search(rest) or says.HEDGES.search(rest)
            if not doubted and not words.HYPOTHETICAL.search(sentence):
                return first, False, method
    if says.LABEL_LINE.match(sentence):
        return None  # a line of a list: what it says of its option is judged elsewhere
    verdicts: dict[str, str] = {}
    used = 0
    supposed = dismissed = False
    for clause in _clauses(sentence):
        own = here[used : used + clause.count(says.HOLE)]
        used += len(own)
        turned = bool(says.TURNS.match(clause))
        supposed = bool(words.HYPOTHETICAL.search(clause)) or (supposed and not turned)
        if not own:
            dismissed = dismissed or bool(says.REJECTS.search(clause))
            continue
        clause, own = _without_rivals(clause, own)
        chosen = {one.letter for one in own}
        if supposed or says.REJECTS.search(clause) or says.HEDGES.search(clause):
            dismissed = True
            continue
        if len(chosen) != 1:
            continue
        weak = all(one.by_text for one in own)
        method = "option-text" if weak else "statement"
        if (
            (dismissed and says.REMAINS.match(clause))
            or ((not weak or (only and alone)) and says.SUBJECT.search(clause))
            or (not weak and last and _one_says(sentence))
            or (
                says.OBJECT.search(clause)
                and (says.SUMMING.search(sentence) or (last and (alone or not weak)))
            )
        ):
            verdicts[own[0].letter] = method
    if len(verdicts) != 1:
        return None
    letter, method = verdicts.popitem()
    return letter, False, method


def _one_says(sentence: str) -> bool:
    """Whether the writer speaks of a choice ("I would put my money on C")."""
    return bool(says.FIRST_PERSON.search(sentence)) and not says.LOOKS_AT.search(sentence)


def _clauses(sentence: str) -> Iterator[str]:
    place = 0
    for mark in says.CLAUSE.finditer(sentence):
        yield sentence[place : mark.start()]
        place = mark.start()
    yield sentence[place:]


def _without_rivals(clause: str, own: list[Mention]) -> tuple[str, list[Mention]]:
    """The clause without options that the one named is only set against."""
    for pattern in (says.AGAINST, says.BETWEEN):
        match = pattern.search(clause)
        if match and clause.count(says.HOLE) > match.group().count(says.HOLE):
            first = clause[: match.start()].count(says.HOLE)
            own = own[:first] + own[first + match.group().count(says.HOLE) :]
            clause = clause[: match.start()] + " " + clause[match.end() :]
    return clause, own


def _with_holes(text: str, named: list[Mention]) -> str:
    """The text with one hole for each mention; lengths change, order does not."""
    pieces: list[str] = []
    place = 0
    for one in named:
        pieces += (text[place : one.start], says.HOLE)
        place = one.end
    return "".join([*pieces, text[place:]])
