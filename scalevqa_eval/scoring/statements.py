"""What a reply states: "the answer is B", "I choose B", "B is correct"; and what takes that back.

In the clause of a statement a list, a negation or a condition gives no letter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scalevqa_eval.scoring.reply_text import LETTER, Extraction, Options, after_letter, goes_on

_NOUN = re.compile(  # sought in the reply in lower case, like the next two
    r"(?:answer|option|choice|letter|guess|respuesta|opción|antwort)(?!\w)"
    r"|答案|选项|正确的|答え|[选選][择擇]?"
)
_OTHERS_ANSWER = re.compile(  # before "answer": it is somebody else's, or an earlier one
    r"(?:['’]s|\b(?:second|third|next(?: best)?|other|alternative|naive|tempting|trap|obvious"
    r"|common|popular|first|initial|previous|earlier|original|intuitive|second best))\s$"
)
_ASKED = re.compile(r"[) ]{0,2}(?:\?|,? (?:if|unless|provided|assuming)\b)", re.IGNORECASE)
_LINK = re.compile(
    r"""(?P<gap>[^.!?;:\n。]{0,80}?)
    (?: \s(?:is|are|be|es|ist)\b | \s?[:=] | \s[—–-]\s | \n | 】 | 是|为|は
      | (?:(?<=(?:he|my|al|ct)\sanswer)|(?<=\nanswer)|(?<=^answer)|(?<=ns)|(?<=ns\.))\s?
        (?=[(\[]?(?-i:[A-Z])(?:[)\].,]|$))
      | (?<=[选選择擇案])(?=\s?[(\[【]?(?-i:[A-Z])) )
    (?: [ :"“”,\n] | \b(?:\w{3,10}ly|therefore|thus|most|the|correct|best|option|choice|letter
      |answer|is|la|letra|opción)(?=\W) | 选项|选择?|应该?|是|为 ){0,14}""",
    re.IGNORECASE | re.VERBOSE,
)
_CUE = re.compile(
    r"\b(?:(?:choose|select|pick|go with|answer|say|think|believe|conclude)\b"
    r"|(?P<so>(?:so|therefore|thus|hence)\b|(?:it|this)(?:['’]s|\s(?:is|must be))\b))[,:]?"
    r"(?: (?:that|it is|it['’]s|it must be|is|the|answer|option|choice|correct|best)\b){0,6}"
    r"[\s:\"']{0,3}"
)
_WHO = re.compile(
    r"\b(?:i|we|let)(?:['’](?:d|ll|s)|\s(?:would|will|should|must|can))?\s(?:\w{2,12}ly\s)?$",
    re.IGNORECASE,
)
_LETTER_FIRST = re.compile(r"(?<![A-Za-z0-9'’=+])([A-Z])(?=[\s)\].,:\"'选项是也正不错])")
_NAMED = re.compile(
    r"(?:\b(?:option|choice|answer|letter)\s|(?:^|[.,;:\n。]\s?)|\b(?:so|thus|therefore|hence|that)\s"
    r"|选项\s?)[(\[\"']{0,2}$",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    r"[\s,)\]\"'–—-]{0,4}(?:is|would be|must be|seems)"
    r"\s(?:\w{1,12}\s){0,4}?(?:correct|right|best|answer|true|accurate|most \w{4,12})\b"
    r"(?: (?:answer|choice|option|one|match|description|explanation|statement)){0,2}"
    r"|[\s,)\]\"']{0,4}(?:best|most \w{4,12}ly) \w{3,12}s\b(?=(?P<verb>))"
    r"|\s(?:fits|matches) best|\s?(?:选项|项)?(?:也|最)?(?:是|为)?(?:正确|最佳|符合|对)",
    re.IGNORECASE,
)
_WRONG = re.compile(
    r"[\s)\]\"']{0,3}(?:(?:is|was|are|can|could|would|seems|has been)\s?){1,2}(?:\w{1,12}\s){0,3}?"
    r"(?:not|n['’]t|wrong|incorrect|mistaken|unlikely|eliminated|excluded|ruled out|discarded"
    r"|rejected)\b|[\s)\]\"']{0,3}(?:is|was|ca|do|does|would|could)n['’]t\b"
    r"|[^.!?;\n]{0,80}\b(?:cannot|can['’]t|could not|is not|isn['’]t) (?:be )?(?:the )?"
    r"(?:correct|right|best|answer)\b|[\s)\]\"']{0,3}cannot\b|\s?(?:选项|项)?也?是?(?:错|不|误|排除)",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    r"[.!?](?=[\s\"')\]”’]|$)|[。!?;\n]|,?\s(?=(?:but|because|since|therefore|thus|hence|however"
    r"|whereas|while|although|though|leaving)\b)|,\s(?=(?:as|which|so|and|where|making)\b)"
    r"|\s(?=so\s(?:the|i|it|option)\b)|(?=因为|而|但)",
    re.IGNORECASE,
)
_COMMA = re.compile(r",\s?(?=(?:the|it|i|we|so|this|my|option)\b|[^\x00-\xff])", re.IGNORECASE)
_OUT = (
    r"wrong|incorrect\w*|inaccurate|false|worst|least|unlikely|weak\w*|mistake\w*|absent|absence"
    r"|improbable|implausible|unsupported|poor (?:match|fit|choice)|trap|struck out|discount\w*"
    r"|hardly|anything but|distractor|against|(?<!by )eliminat\w*|exclud\w*|discard\w*|reject\w*"
    r"|drop\w*|remov\w*|refut\w*|dismiss\w*|avoid\w*|lack\w*|contradict\w*"
    r"|inconsistent|incompatible|(?:set|sets|setting|put|putting) aside|(?:take|taking|took) back"
    r"|part(?:ly|ially)|in part|another|rather than|unlike|used to"
    r"|(?:cross|rul)(?:e|es|ed|ing)? (?:it |this )?out"
)
NEGATION = re.compile(
    rf"\b(?:{_OUT}|not|never|neither|nor|cannot|except|unable|instead of|nicht|kein|no es|pas"
    r"|não|ne|не|değil|không|bukan|(?<!no )doubt)\b|n['’]t\b|\bno\b(?!,| doubt)"
    r"|不|非|没|無|错|误|排除|ない|아니",
    re.IGNORECASE,
)
CONDITION = re.compile(
    r"\b(?:if|unless|whether|suppos\w+|assum\w+|provided that|in case|either|might|may|could"
    r"|were (?:it|there|not)|perhaps|maybe|possibly|would have|until|before"
    r"|only (?:when|for|if|with))\b|^\W{0,3}(?:were|had)\b|如果|若|(?<!最)可能|也许"
    r"|(?<!\bi )(?<!\bwe )(?<!\bi would )(?<!\bi['’]d )"
    r"\b(?:says?|said|thinks?|(?<!second )thought|claim\w*|argue\w*)\b",
    re.IGNORECASE,
)
DENIED = re.compile(
    rf"\b(?:{_OUT}|if|unless|were (?:it|there|not)|only (?:when|for|if|with)|last)\b"
    r"|\b(?:is|was|can|could|do|does|did) ?(?:not\b|n['’]t)|cannot\b"
    r"|では(?:な|あり)|가 아니|错|误|不",
    re.IGNORECASE,
)
_TAIL = re.compile(  # what may follow a letter that is the answer
    r"[)\]\"'”’ ]{0,3}(?:$|[\n.,;:!?。,—–(-])"
    r"| ?\b(?:because|since|as|based|due|with|in|on|here|of|from|that|which|and|not|but)\b"
    r"|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"(?:^|[.!?\n,;—–-]\s?)(?:wait|actually|no|hmm|hold on|correction|on second thoughts?|sorry"
    r"|or|however|but|apolog\w+|let me (?:re|correct|revise))\b",
    re.IGNORECASE,
)
_WITHDRAWN = re.compile(  # "However, this is not correct."; "The answer is not among the options."
    r"(?:^|[.!?\n]\W{0,3})(?:(?:however|but|yet|although|unfortunately),? )?(?:(?:this|that|it)"
    r"(?: (?:answer|option|choice))? (?:is|was|does|can)(?: ?not|n['’]t)\b[^.!?\n]{0,30}?"
    r"\b(?:correct|right|answer|match)|[^.!?\n]{0,40}\banswer is not (?:among|in|one of|listed))",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r"\b(?:therefore|thus|hence|so|final|finally|conclusion)\b|因此|所以|综上|故", re.IGNORECASE
)
_LABEL = re.compile(
    r"\W{0,4}(?:(?:the|my|final|correct|best|right) ){0,3}(?:answer|ans|option|choice|答案)\W{0,3}"
    r"(?:is\W{0,3})?$",
    re.IGNORECASE,
)
_PHRASE_END = re.compile(r"[.!?](?=\s|$)|[;\n。]|,? (?:because|since|as|which|but)\b")


@dataclass(slots=True)
class _Statement:
    """A letter said to be the answer, or None with the reason why it gives none."""

    start: int
    end: int
    letter: str | None
    reason: str = ""
    firm: bool = True


def statements(text: str, options: Options) -> Extraction | None:
    """What all statements of a reply come to; None if it states nothing."""
    found: list[_Statement | None] = []
    lower = text.lower()  # of the same length: `plain_characters` sees to it
    for noun in _NOUN.finditer(lower):
        if noun[0][0].isascii() and lower[noun.start() - 1 : noun.start()].isalpha():
            continue
        if _OTHERS_ANSWER.search(lower, max(0, noun.start() - 20), noun.start()):
            continue
        link = _LINK.match(text, noun.end())
        gap = noun[0] + link["gap"] if link else ""
        if link and not re.search(r"(?<![A-Za-z])[A-Z](?![A-Za-z])|choices|options", gap):
            found.append(_stated(text, noun.start(), link.end(), options, terminal=False))
    for cue in _CUE.finditer(lower):
        so = cue["so"] is not None
        if so or _WHO.search(text, max(0, cue.start() - 40), cue.start()):
            found.append(_stated(text, cue.start(), cue.end(), options, terminal=so))
    rejected: dict[str, int] = {}
    for match in _LETTER_FIRST.finditer(text):
        letter = match[1]
        if letter not in options.letters:
            continue
        rest = text[match.end() : match.end() + 600]
        if _WRONG.match(rest):
            rejected[letter] = match.end()
        elif _NAMED.search(text[max(0, match.start() - 20) : match.start()]):
            own = options.own_text(letter, rest)
            right = _RIGHT.match(rest, own)
            if right and (right["verb"] is not None or _TAIL.match(rest, right.end())):
                clause = clause_before(text, match.start())
                after = CLAUSE.split(rest[right.end() :], maxsplit=1)[0]
                several = re.search(r"\b[A-Z][)\]]?(?:,| and| or|/|&) ?(?:option )?[(\[]?$", clause)
                bad = several or held_back(clause) or DENIED.search(right[0] + after)
                found.append(
                    _Statement(
                        match.start(), match.end() + own, None if bad else letter,
                        "no-answer", firm=False,
                    )
                )  # fmt: skip
    return _decide([one for one in found if one], rejected, text)


def held_back(text: str) -> bool:
    """Whether a negation or a condition stands in a text: what it says is not chosen."""
    return bool(NEGATION.search(text) or CONDITION.search(text))


def clause_before(text: str, position: int) -> str:
    piece = text[max(0, position - 200) : position]
    return piece[max((match.end() for match in CLAUSE.finditer(piece)), default=0) :]


def _stated(
    text: str, start: int, position: int, options: Options, *, terminal: bool
) -> _Statement | None:
    """What stands at `position` after words that announce an answer; None if that is nothing.

    `terminal` wants the letter to end its sentence: "So B."
    """
    rest = text[position : position + 700]
    line, own = rest.lstrip("\n").partition("\n")[0], 0
    match = re.match(LETTER, rest)
    if options.run(rest) and not options.leading(line):
        return None if terminal else _Statement(start, position + 2, None, "ambiguous")
    if match and options.means(match[1], rest, match.end(1)):
        letter, end = match[1].upper(), match.end()
        tail = rest[end:].partition("\n")[0]
        own = options.own_text(letter, tail or rest[end:])
        if terminal and (match[1].islower() or not (own or re.match(r"[.,)]? ?(?:$|[.!(])", tail))):
            return None
        listed = rest[match.end(1) : match.end(1) + 1] in (".", ")", ":")
        echo = listed and re.match(
            r"\W{0,3}((?<=\()[a-z]|[A-Z])[.):]", rest[end + own :].partition("\n")[2]
        )
        if echo and text[position - 1] == "\n" and echo[1].upper() != letter:
            return _Statement(start, position + end, None, "ambiguous")  # listed, not chosen
        closed = rest[end - 1 : end] in (")", "]") or rest[end : end + 2] == ". "
        named = closed or re.match(r" ?[.):(,–—-]", tail)
        other = named and not own and options.with_text(_PHRASE_END.split(after_letter(tail))[0])
        if other or goes_on(rest[end:], letter) or goes_on(rest[end + own :], letter):
            return _Statement(start, position + end, None, "ambiguous")
        end += own
        if not own and not closed and not _TAIL.match(rest, end):
            return _Statement(start, position + end, None, "no-answer")
    elif terminal:
        return None
    else:
        phrase = _PHRASE_END.split(line, maxsplit=1)[0]
        said = options.with_text(phrase) or options.with_text(
            re.split(r",(?! ?-?\d)|\(", phrase)[0]
        )
        if said is None:
            if (
                match
                and match[1].isupper()
                and re.match(r"[)\]]|\.?\s?(?:$|\n)", rest[match.end(1) :])
            ):
                return _Statement(start, position + match.end(), None, "no-such-option")
            if re.match(r"(?:none|neither|both|all|not|unclear|unknown)\b", phrase, re.IGNORECASE):
                return _Statement(start, position, None, "no-answer")
            return None
        letter, end = said, len(rest) - len(rest.lstrip("\n")) + len(phrase)
    own_line = text[
        text.rfind("\n", 0, position - 1 if text[position - 1] == "\n" else position) + 1 : position
    ]
    label = len(own_line) < 40 and bool(_LABEL.match(own_line))
    sentence = own_line if label else clause_before(text, start) + text[start:position]
    clause = _COMMA.split(sentence)[-1]
    ended = text[position + end - own : position + end + 2].lstrip(")* ").startswith((". ", ".\n"))
    after = (
        "" if ended else CLAUSE.split(text[position + end : position + end + 200], maxsplit=1)[0]
    )
    after = re.split(r"[,:(–—]| not | rather than | instead of ", after, maxsplit=1)[0]
    asked = _ASKED.match(text, position + end)
    if NEGATION.search(clause) or DENIED.search(after) or CONDITION.search(sentence) or asked:
        return _Statement(start, position + end, None, "no-answer")
    return _Statement(start, position + end, letter, firm=not terminal)


def _decide(found: list[_Statement], rejected: Mapping[str, int], text: str) -> Extraction | None:
    """What stands after all statements: the firm ones count before "B is correct"."""
    found.sort(key=lambda one: (one.start, one.end))
    for firm in (True, False):
        these = [one for one in found if one.firm is firm]
        given = [one for one in these if one.letter]
        if not given:
            if these and these[-1].reason != "no-answer":
                return Extraction(None, these[-1].reason)
            continue
        last = given[-1]
        later = [one for one in found if one.start > last.end]
        if any(one.reason == "ambiguous" or one.letter not in (None, last.letter) for one in later):
            return Extraction(None, "ambiguous")
        if any(one.letter != last.letter and not _settled(text, one, last) for one in given):
            return Extraction(None, "ambiguous")
        rejected_later = rejected.get(last.letter or "", 0) > last.end
        if rejected_later or taken_back(text[last.end :], last.letter):
            return Extraction(None, "no-answer")
        return Extraction(last.letter, "statement")
    return Extraction(None, found[-1].reason) if found else None


def taken_back(rest: str, letter: str | None) -> bool:
    """Whether what follows takes the letter back: "this is not correct", "no, wait, A"."""
    if _WITHDRAWN.search(rest):
        return True
    for change in _CHANGE.finditer(rest):
        other = re.match(
            r"[^.!?\n]{0,30}?(?<![A-Za-z0-9])([A-Z])(?=\W*(?:$|\n|[.!]))",
            rest[change.end() : change.end() + 80],
        )
        if other and other[1] != letter:
            return True
    return False


def _settled(text: str, first: _Statement, last: _Statement) -> bool:
    """Whether something decides for the later of two statements that differ."""
    closing = CLOSING.search(clause_before(text, last.start) + text[last.start : last.end])
    return bool(closing or _CHANGE.search(text[first.end : last.start]))
