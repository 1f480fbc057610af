"""Reads prose sentence by sentence: which clause calls one option right.

A mention is a letter used as a label ("option C", "(C)", "C. Grade 3") or the text of an option.
A clause asserts an option if it says that something fits, is right or is so, names one option, and
neither rejects, hedges nor lists. Time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scalevqa_eval import extraction_patterns as words
from scalevqa_eval.extraction_options import Options
from scalevqa_eval.extraction_statements import Statement

# Stands in a clause for each mention; the prose itself never holds it.
_HOLE = "\ue000"
# Only the end of a long reply is read this way.
_READ = 20_000
_LONGEST_TEXT = 400

_NO = r"(?:no|not|never|cannot|neither|nor|without|hardly|scarcely|nothing|none)"
_REJECTS = re.compile(
    rf"(?<![a-z])(?:{_NO}|in(?:correct|consistent|compatible|accurate|appropriate)|wrong|false|un\w+"
    r"|implausible|less|least|exclu\w+|rul(?:e|es|ed|ing) out|eliminat\w+|reject\w+|dismiss\w*"
    r"|discard\w*|lack\w*|absent|absence|fails?|against|distractor|contradict\w*|argu\w+ against"
    r"|mistak\w+|misses|weak\w*|too|rather than|instead of|requires?|needs?|doubt\w*|disagree\w*"
    rf"|(?:so|as|nor|neither) (?:is|are|was|were|does|do) {_HOLE})(?![a-z])"
    r"|n['’]t(?![a-z])|[❌✗✘×✖]",
    re.IGNORECASE,
)
_HEDGES = re.compile(
    r"(?<![a-z])(?:could|might|may|can|if|whether|unless|would (?:have|need|show|be expected)|or"
    r"|either|versus|vs|perhaps|maybe|possibl[ey]|plausible|possibility|at first|initially"
    r"|tempt\w+|consider\w*|suppos\w+|assum\w+|typical(?:ly)?|usually|often|generally|classically"
    r"|normally|sometimes|candidate|differential|compare[sd]?|mentions?|describes? (?:an?|the)"
    r"|says|states|claims|suggested by|partly|partially|also|both|should (?:show|have|be seen)"
    r"|one of|which of|asks?|second|another|other|alternative|when|where|which option|what)(?![a-z])"
    rf"|\?|{_HOLE} ?(?:to|through|[-–~]) ?{_HOLE}",
    re.IGNORECASE,
)
_MOST = (
    r"(?:most|more|best|better|closest|closer|highly|entirely|fully|clearly|strongly"
    r"|perfectly|well|nicely)"
)
_PREDICATE = (
    r"(?:fit(?:s|ting)?|match(?:es|ing)?|correspond(?:s|ing)?(?: to)?|aligns?(?: with)?"
    r"|agrees? with|supports?|supported|favou?rs?|favou?red|points? (?:to|towards?)"
    r"|consistent|compatible|in keeping|in line|diagnostic|characteristic)"
)
_RIGHT = (
    r"(?:correct|right|true|accurate|best|better|strongest|likeliest|closest|preferred|answer"
    rf"|choice|pick|winner|{_MOST} \w+(?:ly)?)"
)
_ADVERBS = (
    r"(?:\s?(?:[a-z]+ly|the|an?|our|my|thus|hence|therefore|indeed|then|here|now|most)\b){0,4}"
)
_OPENS = rf"[\s\"'“‘:,]{{0,3}}(?:(?:the|an?|most likely|likely|probably)\s){{0,2}}{_HOLE}"
# "C is the better fit", "C matches", "C it is": the mention first.
_SUBJECT = re.compile(
    rf"{_HOLE}[\"'”’]?,?(?:\s(?:is|seems|appears|looks|remains|stands out|comes out|must be"
    rf"|should be|would be|to be|as)(?: to be| as)?{_ADVERBS}\s{_RIGHT}"
    rf"|\s(?:\w+ly\s|best\s|most\s){{0,2}}{_PREDICATE}|\s(?:it is|is it|wins|prevails|alone)"
    r"|\s(?:provides|gives|offers|makes|has|represents|captures|reflects|describes|explains)"
    rf"(?: \w+){{0,2}} {_MOST})(?![a-z])",
    re.IGNORECASE,
)
# "consistent with C", "the diagnosis is most likely C", "I would go for C": the mention last.
_OBJECT = re.compile(
    rf"(?:(?<![a-z])(?:(?:{_PREDICATE}|described|classified|explained|characteri[sz]ed"
    r"|categori[sz]ed|answered|identified|labell?ed|graded|captured)(?: \w+ly)?"
    r"(?: with| to| as| by| towards?| of)?|diagnos(?:is|e)(?: of| as)?|conclude(?: that)?"
    r"|(?:go|going|went|opt|opting|settle|settling|vote|voting|plump) (?:for|on|with)|choos\w+"
    r"|pick\w*|select\w*|answer|conclusion|leav(?:es|ing)(?: \w+){0,2}|left with|makes?|making"
    r"|(?:is|are|be|was|remains|being|must be|represents?|indicates?|confirms?|shows?|suggests?"
    rf"|implies|mean(?:s|ing)|equals|gives|['’]s){_ADVERBS}(?: in)?))"
    rf"{_OPENS}",
    re.IGNORECASE,
)
# Nouns that make "the ... is C" a statement of the answer.
_SUMMING = re.compile(
    r"(?<![a-z])(?:so|thus|therefore|hence|consequently|accordingly|overall|ultimately|finally"
    r"|in (?:conclusion|summary|short|sum)|to (?:conclude|sum up|summari[sz]e)|conclusion"
    r"|altogether|all in all|on balance|taken together|taking|given|based on|actually|wait"
    r"|correction|looking again|on reflection|after|with (?:this|that|these|all)|best|most|only"
    r"|i|we|diagnosis|answer|choice|must|definitely|clearly|leav\w+|final|this|these|it"
    r"|image|images|findings?|features?|impression|verdict|result|makes?|making|consistent"
    r"|grade[sd]?|marker|pattern|tumou?r|lesion|structure)(?![a-z])",
    re.IGNORECASE,
)
_ELLIPSIS = re.compile(
    r"\A\W{0,4}(?:(?:but|and|oh|hm+|ok(?:ay)?|well|no|wait|actually|correction|sorry|looking again"
    r"|on (?:second thoughts?|reflection)|(?:after |upon |on )?re-?\w+ing(?: \w+){0,3}|let me \w+"
    r"|so|thus|therefore|hence|overall|then|i (?:mean|meant)|it['’]?s|it is|make (?:that|it)"
    r"|must be|should be|in (?:conclusion|summary|short)|to conclude|final(?:ly)?|conclusion"
    rf"|by elimination|ultimately)\W{{1,4}}){{1,6}}(?:it['’]?s |it is |the )?{_HOLE}"
    r"(?: then| it is| instead| after all| is it)?\W{0,4}\Z",
    re.IGNORECASE,
)
# What another option is set against: "C rather than A", "C, unlike A or B".
_AGAINST = re.compile(
    rf",?\s(?:rather than|instead of|over|and not|but not|not|unlike|as opposed to|in contrast to"
    rf"|compared (?:to|with)|whereas|excluding)(?: the| with| to| for)?\s[\"'“]?{_HOLE}"
    rf"(?:[\"'”]?(?:, | or | and | nor |, or |, and ){_HOLE}){{0,5}}",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    rf"(?:between|of|among|comparing) {_HOLE}(?:, | and | or |, and ){_HOLE}"
    rf"(?:(?:, | and |, and ){_HOLE}){{0,4}}",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?。]+(?=[\s\"”'’)\]]|\Z)|\n|;")
_CLAUSE = re.compile(
    r"(?:[,—–:]|\s-)\s?(?:and |but )?(?=(?:but|however|so|thus|therefore|hence|whereas|while|although"
    r"|though|making|leaving|which|since|because|as|for|given|the|this|i|we|it|yet|unlike"
    rf"|{_HOLE})(?![a-z]))|\s(?:but|however|so|whereas|while|although|though|because|since|yet)(?=\s)"
    rf"|\sand(?=\s(?:the|my|so|thus|therefore|hence|i|we|it|this|{_HOLE} (?:is|fits|matches))(?![a-z]))",
    re.IGNORECASE,
)
# Ends what was only supposed in the clauses before.
_TURNS = re.compile(
    r"\W{0,4}(?:and )?(?:but|however|yet|so|therefore|thus|hence|since)(?![a-z])", re.I
)
_CLASSES = re.compile(
    r"(?:grade|stage|type|class|group|category|hepatitis|vitamin|figure|fig\.?|panel|image|plan"
    r"|view|table|slide|part|region|area|zone|factor|subtype|phase|level|score|case|patient"
    r"|influenza|duct|field)s?\s[\"'(]{0,2}\Z",
    re.IGNORECASE,
)
_LABEL_LINE = re.compile(rf"\A[\s>•\-–*\d.)]{{0,6}}{_HOLE}\s?(?:[.:)–—→=-]|\()")


@dataclass(frozen=True, slots=True)
class Mention:
    """A place where an option is named; `by_text` if only its text is there, no letter."""

    start: int
    end: int
    letter: str
    by_text: bool


def asserted(text: str, options: Options) -> list[Statement]:
    """Clauses of `text` that call one option right, as statements that others overrule."""
    offset = max(0, len(text) - _READ)
    text = text[offset:]
    named = list(mentions(text, options))
    if not named:
        return []
    found: list[Statement] = []
    holes = _with_holes(text, named)
    place, used = 0, 0
    for end in [*(mark.end() for mark in _SENTENCE_END.finditer(holes)), len(holes)]:
        sentence = holes[place:end]
        count = sentence.count(_HOLE)
        here = named[used : used + count]
        place, used = end, used + count
        if here:
            verdict = _sentence(sentence, here)
            if verdict is not None:
                start, stop = here[0].start + offset, here[-1].end + offset
                found.append(Statement(start, stop, verdict[0], verdict[1], verdict[2]))
    return found


def _sentence(sentence: str, here: list[Mention]) -> tuple[str, bool, str] | None:
    """The letter that a sentence asserts, whether it does so firmly, and by what."""
    letters = {one.letter for one in here}
    by_text = all(one.by_text for one in here)
    method = "option-text" if by_text else "statement"
    if len(letters) == 1 and not by_text and _ELLIPSIS.match(sentence):
        return here[0].letter, True, method
    if _LABEL_LINE.match(sentence):
        return None  # a line of a list: what it says of its option is judged elsewhere
    verdicts: dict[str, str] = {}
    used = 0
    supposed = False
    for clause in _clauses(sentence):
        own = here[used : used + clause.count(_HOLE)]
        used += len(own)
        supposed = bool(words.HYPOTHETICAL.search(clause)) or (
            supposed and not _TURNS.match(clause)
        )
        if not own or supposed:
            continue
        clause, own = _without_rivals(clause, own)
        chosen = {one.letter for one in own}
        if len(chosen) != 1 or _REJECTS.search(clause) or _HEDGES.search(clause):
            continue
        weak = all(one.by_text for one in own)
        if (not weak and _SUBJECT.search(clause)) or (
            _OBJECT.search(clause) and _SUMMING.search(sentence)
        ):
            verdicts[chosen.pop()] = "option-text" if weak else "statement"
    if len(verdicts) != 1:
        return None
    letter, method = verdicts.popitem()
    return letter, False, method


def _clauses(sentence: str) -> Iterator[str]:
    place = 0
    for mark in _CLAUSE.finditer(sentence):
        yield sentence[place : mark.start()]
        place = mark.start()
    yield sentence[place:]


def _without_rivals(clause: str, own: list[Mention]) -> tuple[str, list[Mention]]:
    """The clause without options that the one named is only set against."""
    for pattern in (_AGAINST, _BETWEEN):
        match = pattern.search(clause)
        if match and clause.count(_HOLE) > match.group().count(_HOLE):
            first = clause[: match.start()].count(_HOLE)
            own = own[:first] + own[first + match.group().count(_HOLE) :]
            clause = clause[: match.start()] + " " + clause[match.end() :]
    return clause, own


# --- mentions ------------------------------------------------------------------------------------


def _with_holes(text: str, named: list[Mention]) -> str:
    """The text with one hole for each mention; lengths change, order does not."""
    pieces: list[str] = []
    place = 0
    for one in named:
        pieces += (text[place : one.start], _HOLE)
        place = one.end
    return "".join([*pieces, text[place:]])


_LETTER_MENTION = re.compile(
    rf"(?:(?:option|choice|answer|alternative|statement|letter)s?\s)?[(\[\"'“]?{words.CAPITAL}"
    r"[)\]\"'”]?"
)


def mentions(text: str, options: Options) -> Iterator[Mention]:
    """Where options are named, in order and without overlap."""
    text = text.replace(_HOLE, " ")
    texts = _texts(options)
    spans = [] if texts is None else [match.span() for match in texts.finditer(text)]
    taken, upcoming = 0, 0
    for match in _LETTER_MENTION.finditer(text):
        while upcoming < len(spans) and spans[upcoming][1] <= match.start():
            yield from _text_mention(text, spans[upcoming], taken, options)
            upcoming += 1
        inside = upcoming < len(spans) and spans[upcoming][0] <= match.start("letter")
        letter = options.letter(match["letter"])
        if inside or letter is None or match.start() < taken or not _labels(text, match):
            continue
        end = match.end()
        skipped = re.compile(r"\s?[.:)\-–—,]{0,2}[\s\"'“(\[]{0,3}").match(text, end)
        start = skipped.end() if skipped else end
        if upcoming < len(spans) and spans[upcoming][0] == start:
            if options.named(text[start : spans[upcoming][1]]) == letter:
                end = spans[upcoming][1]
                end += text[end : end + 1] == ")" and "(" in text[match.end() : start]
                upcoming += 1
        taken = end
        yield Mention(match.start(), end, letter, False)
    for span in spans[upcoming:]:
        yield from _text_mention(text, span, taken, options)


def _text_mention(
    text: str, span: tuple[int, int], taken: int, options: Options
) -> Iterator[Mention]:
    letter = options.named(text[slice(*span)])
    if letter and span[0] >= taken:
        yield Mention(*span, letter, True)


def _labels(text: str, match: re.Match[str]) -> bool:
    """Whether a capital is a label, not an article, a pronoun or the name of a cell."""
    if match.end("letter") - match.start() > 1:
        return not _CLASSES.search(text[max(0, match.start() - 14) : match.start()])
    rest = text[match.end() : match.end() + 40]
    if words.NAMED_BY_LETTER.match(rest) or words.EPITHET.match(rest):
        return False
    if _CLASSES.search(text[max(0, match.start() - 14) : match.start()]):
        return False
    if match["letter"] in "AI":
        return bool(re.match(r"\s?(?:\Z|\n|[.,;:!?)\]]|[-–—]\s|(?:is|fits|best|or|and)\b)", rest))
    return True


def _texts(options: Options) -> re.Pattern[str] | None:
    """The texts of all options, longest first; texts of three letters or fewer are mere words."""
    plain = {one for one in options.plain.values() if len(one) > 3 or re.search(r"[^\W\d_]\d", one)}
    plain = {one for one in plain if len(one) <= _LONGEST_TEXT}
    if not plain:
        return None
    longest = sorted(plain, key=len, reverse=True)
    parts = (r"[\s\W]{1,3}".join(map(re.escape, one.split())) for one in longest)
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)", re.IGNORECASE)
