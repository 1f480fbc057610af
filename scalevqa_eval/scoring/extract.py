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
from dataclasses import dataclass

from scalevqa_eval.scoring.choices import (
    LETTER,
    OTHERS,
    SEVERAL,
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
from scalevqa_eval.types import LETTERS

_WINDOW = 20_000  # a longer reply is read at both ends only; tags are sought in all of it


@dataclass(frozen=True, slots=True)
class Extraction:
    """The chosen letter and how it was found; without a letter `method` says why there is none.

    With a letter: `answer-tag`, `json`, `boxed`, `statement`, `letter`, `option-text`.
    Without: `answer-tag-unreadable`, `ambiguous`, `no-answer` (what it says of an answer is a
    negation or a condition), `no-such-option`, `truncated-think`, `error-text`, `refusal`,
    `empty`, `open-question`, `nothing-found`.
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
    stated = _statements(text, options)
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
                stated := _statements(prose(content), options) or _bare(prose(content), options)
            ):
                letter = stated.letter
            if letter and letter != SEVERAL:
                return Extraction(letter, "answer-tag")
            return Extraction(None, "answer-tag-unreadable")
    return None


# --- explicit statements -------------------------------------------------------------------------

_NOUN = re.compile(  # sought in the reply in lower case, like the next two
    r"(?:answer|ans\.?|option|choice|letter|selection|pick|guess|opción|opção|alternativa|respuesta"
    r"|antwort|réponse|resposta|risposta|ответ|cevap|đáp án|jawaban\w{0,3}|antwoord|odpowiedź"
    r"|svar)(?!\w)|答案|选项|選択肢|正确的|正解|答え|정답|답|[选選][择擇]?"
)
_LINK = re.compile(
    r"""(?P<gap>[^.!?;:\n。]{0,80}?)
    (?: \s(?:is|are|be|es|ist|est|é|è|lautet|adalah|là)\b | \s?[:=→] | \s[—–-]\s | \n | 】
      | 是|为|は|은|는
      | (?:(?<=(?:he|my|al|ct)\sanswer)|(?<=\nanswer)|(?<=^answer)|(?<=ns)|(?<=ns\.))\s?
        (?=[(\[]?(?-i:[A-Z])(?:[)\].,]|$))
      | (?<=[选選择擇案])(?=\s?[(\[【]?(?-i:[A-Z])) )
    (?: [ :*"“”】,\n] | \b(?:therefore|thus|hence|then|most\ likely|probably|likely|clearly
      |definitely|indeed|actually|simply|the|an(?=\ option)|correct|best|right|option|choice
      |letter|answer|number|labell?ed|is|la|letra|opción)(?=\W)
      | 选项|选择?|还是|应该?|是|为 ){0,14}""",
    re.IGNORECASE | re.VERBOSE,
)
_CHOOSE = re.compile(
    r"(?:choose|chose|select|pick|go(?:ing)? with|opt for|answer|say|vote for|settle on"
    r"|lean towards?|think|believe|conclude|recommend)\b"
    r"(?: (?:that|it is|it['’]s|this|is|the|answer|option|choice|letter|with|correct|best)\b){0,6}"
    r"[\s:\"']{0,3}"
)
_WHO = re.compile(
    r"\b(?:i|we|let)(?:['’](?:d|ll|m|s)|\s(?:am|would|will|should|must|can|have to|am going to))?"
    r"\s(?:(?:also|\w{2,12}ly)\s)?$",
    re.IGNORECASE,
)
_SO = re.compile(
    r"(?:(?:so|therefore|thus|hence|by elimination|in conclusion)\b|因此|所以|故"
    r"|(?:it|this)(?:['’]s|\s(?:is|has to be|must be))\b(?:\s\w{2,12}ly\b)?)[,:]?"
    r"(?:\s(?:it is|it['’]s|it must be|it has to be|we have|that is|option|choice|answer)\b){0,2}"
    r"[\s:\"']{0,3}"
)
_LETTER_FIRST = re.compile(r"(?<![A-Za-z0-9'’=+])([A-Z])(?=[\s)\].,:\"'选项是也正不错])")
_NAMED = re.compile(
    r"(?:\b(?:option|choice|answer|letter)\s|(?:^|[.,;:\n。]\s?)|\b(?:so|thus|therefore|hence|that)\s"
    r"|选项\s?)[(\[\"']{0,2}$",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    r"[\s,)\]\"'–—-]{0,4}(?:is|would be|must be|should be|has to be|seems|(?:appears|seems) to be)"
    r"\s(?:\w{1,12}\s){0,4}?(?:correct|right|best|answer|true|accurate|most (?:likely|appropriate"
    r"|accurate|suitable|consistent|plausible|probable|reasonable))\b(?: (?:answer|choice|option"
    r"|one|match|fit|description|explanation|diagnosis|response|statement|interpretation)){0,2}"
    r"|[\s,)\]\"']{0,4}(?:best|most (?:closely|accurately|likely)) \w{3,12}s\b(?=(?P<verb>))"
    r"|\s(?:fits|matches)(?: \w+)? best"
    r"|\s?(?:选项|项)?(?:也|最)?(?:是|为)?(?:正确|最佳|符合|对)",
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
_CLAUSE = re.compile(
    r"[.!?](?=[\s\"')\]]|$)|[。!?;\n]|,?\s(?=(?:but|because|since|therefore|thus|hence|however"
    r"|whereas|while|although|though|leaving)\b)|,\s(?=(?:as|which|so|and|where|making)\b)"
    r"|\s(?=so\s(?:the|i|it|option)\b)|(?=因为|而|但)",
    re.IGNORECASE,
)
_COMMA = re.compile(r",\s?(?=(?:the|it|i|we|so|this|my|option)\b|[^\x00-\xff])", re.IGNORECASE)
_OUT = (
    r"wrong|incorrect\w*|inaccurate|false|worst|least|unlikely|weak\w*|mistake\w*|absent|absence"
    r"|hardly|anything but|distractor|against|(?<!by )eliminat\w*|exclud\w*|discard\w*|reject\w*"
    r"|drop\w*|remov\w*|refut\w*|dismiss\w*|avoid\w*|lack\w*"
    r"|(?:cross|rul)(?:e|es|ed|ing)? (?:it |this )?out"
)
_NOT = re.compile(
    rf"\b(?:{_OUT}|not|never|neither|nor|cannot|except|unable|instead of|nicht|kein|no es|pas"
    r"|não|ne|не|değil|không|bukan|(?<!no )doubt)\b|n['’]t\b|\bno\b(?!,| doubt)"
    r"|不|非|没|無|错|误|排除|ない|아니",
    re.IGNORECASE,
)
_IF = re.compile(
    r"\b(?:if|unless|whether|suppos\w+|assum\w+|provided that|in case|either|might|may|could"
    r"|were (?:it|there|not)|perhaps|maybe|possibly|would have|until|before"
    r"|only (?:when|for|if|with))\b|^\W{0,3}(?:were|had)\b|如果|若|(?<!最)可能|也许"
    r"|(?<!\bi )(?<!\bwe )(?<!\bi would )(?<!\bi['’]d )"
    r"\b(?:says?|said|thinks?|(?<!second )thought|claim\w*|argue\w*)\b",
    re.IGNORECASE,
)
_NOT_AFTER = re.compile(
    rf"\b(?:{_OUT}|if|unless|were (?:it|there|not)|only (?:when|for|if|with)|last)\b"
    r"|\b(?:is|was|can|could|does) ?(?:not\b|n['’]t)|cannot\b"
    r"|では(?:な|あり)|가 아니|错|误|不",
    re.IGNORECASE,
)
_TAIL = re.compile(  # what may follow a letter that is the answer
    r"[)\]\"'”’ ]{0,3}(?:$|[\n.,;:!?。,—–(-])"
    r"| ?\b(?:because|since|as|given|based|due|with|in|on|here|among|of|from|that|which|and|not"
    r"|rather|but|although|though|while|whereas)\b"
    r"|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"(?:^|[.!?\n,;—–-]\s?)(?:no |oh )?(?:wait|actually|no|hmm|hold on|correction"
    r"|on second thoughts?|sorry|oops|or|scratch that|however|but|apolog\w+"
    r"|let me (?:re|correct|revise))\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\b(?:therefore|thus|hence|so|final|finally|conclusion|overall|ultimately|in summary)\b"
    r"|因此|所以|综上|最终|故",
    re.IGNORECASE,
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
    label: bool = False  # "Answer: B" on a line of its own


def _statements(text: str, options: Options) -> Extraction | None:
    """What all statements of a reply come to; None if it states nothing."""
    found: list[_Statement | None] = []
    lower = text.lower()  # of the same length: `plain_characters` sees to it
    for noun in _NOUN.finditer(lower):
        if noun[0][0].isascii() and lower[noun.start() - 1 : noun.start()].isalpha():
            continue
        link = _LINK.match(text, noun.end())
        gap = noun[0] + link["gap"] if link else ""
        if link and not re.search(r"(?<![A-Za-z])[A-Z](?![A-Za-z])|choices|options", gap):
            found.append(_stated(text, noun.start(), link.end(), options, terminal=False))
    for cue in _CHOOSE.finditer(lower):
        if _WHO.search(text, max(0, cue.start() - 40), cue.start()):
            found.append(_stated(text, cue.start(), cue.end(), options, terminal=False))
    for cue in _SO.finditer(lower):
        if not lower[cue.start() - 1 : cue.start()].isalpha() or not cue[0][0].isascii():
            found.append(_stated(text, cue.start(), cue.end(), options, terminal=True))
    rejected: dict[str, int] = {}
    for match in _LETTER_FIRST.finditer(text):
        letter = match[1]
        if letter not in options.letters:
            continue
        rest = text[match.end() : match.end() + 600]
        if _WRONG.match(rest):
            rejected[letter] = match.end()
        elif _NAMED.search(text[max(0, match.start() - 20) : match.start()]):
            own = _own_text(letter, rest, options)
            right = _RIGHT.match(rest, own)
            if right and (right["verb"] is not None or _TAIL.match(rest, right.end())):
                clause = _clause_before(text, match.start())
                after = _CLAUSE.split(rest[right.end() :], maxsplit=1)[0]
                several = re.search(r"\b[A-Z][)\]]?(?:,| and| or|/|&) ?(?:option )?[(\[]?$", clause)
                bad = (
                    several or _NOT.search(clause) or _NOT_AFTER.search(after) or _IF.search(clause)
                )
                found.append(
                    _Statement(
                        match.start(), match.end() + own, None if bad else letter,
                        "no-answer", firm=False,
                    )
                )  # fmt: skip
    return _decide([one for one in found if one], rejected, text)


def _own_text(letter: str, rest: str, options: Options) -> int:
    """Where the option's own text that follows its letter ends; 0 if it does not follow."""
    own = options.plain[letter]
    after = after_letter(rest)
    start = len(rest) - len(after)
    if not own or options.leading(after, wanted=letter) != letter:
        return 0
    for end in range(start + len(own), min(len(rest), start + 2 * len(own) + 12) + 1):
        if not rest[end : end + 1].isalnum() and plain_text(rest[start:end]) == own:
            return end
    return 0


def _clause_before(text: str, position: int) -> str:
    piece = text[max(0, position - 200) : position]
    return piece[max((match.end() for match in _CLAUSE.finditer(piece)), default=0) :]


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
        own = _own_text(letter, tail or rest[end:], options)
        if terminal and (match[1].islower() or not (own or re.match(r"[.,)]? ?(?:$|[.!(])", tail))):
            return None
        listed = rest[match.end(1) : match.end(1) + 1] in (".", ")", ":")
        echo = listed and re.match(r"\W{0,3}([A-Z])[.):]", rest[end + own :].partition("\n")[2])
        if echo and ord(echo[1]) == ord(letter) + 1:  # the options are listed, not chosen
            return None
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
        said = options.with_text(phrase) or options.with_text(re.split(r"[,(]", phrase)[0])
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
    settles = label and (":" in own_line or "final" in own_line.lower())
    sentence = own_line if label else _clause_before(text, start) + text[start:position]
    clause = _COMMA.split(sentence)[-1]
    ended = text[position + end - own : position + end + 2].lstrip(")* ").startswith((". ", ".\n"))
    after = (
        "" if ended else _CLAUSE.split(text[position + end : position + end + 200], maxsplit=1)[0]
    )
    after = re.split(r"[,:(–—]| not | rather than | instead of ", after, maxsplit=1)[0]
    asked = text[position + end : position + end + 2].lstrip(") ").startswith("?")
    if _NOT.search(clause) or _NOT_AFTER.search(after) or _IF.search(sentence) or asked:
        return _Statement(start, position + end, None, "no-answer")
    return _Statement(start, position + end, letter, firm=not terminal, label=settles)


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
        if rejected.get(last.letter or "", 0) > last.end or _changed(text[last.end :], last.letter):
            return Extraction(None, "no-answer")
        return Extraction(last.letter, "statement")
    return Extraction(None, found[-1].reason) if found else None


def _changed(rest: str, letter: str | None) -> bool:
    """Whether what follows takes the letter back: "no, wait", and then another letter."""
    for change in _CHANGE.finditer(rest):
        other = re.match(
            r"[^.!?\n]{0,30}?(?<![A-Za-z0-9])([A-Z])(?=\W*(?:$|\n|[.!]))", rest[change.end() :]
        )
        if other and other[1] != letter:
            return True
    return False


def _settled(text: str, first: _Statement, last: _Statement) -> bool:
    """Whether something decides for the later of two statements that differ."""
    if last.label and not first.label:
        return True
    closing = _CLOSING.search(_clause_before(text, last.start) + text[last.start : last.end])
    return bool(closing or _CHANGE.search(text[first.end : last.start]))


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
        if label and not (_NOT.search(label[0]) or _IF.search(label[0])):
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
    if len(line) > 3 and options.leading(line, wanted=letter) not in (None, letter):  # "E. coli"
        return None
    if goes_on(rest, letter):
        return SEVERAL
    after = after_letter(rest)
    if not re.search(r"\w", after) or re.match(
        r"[(\[][^()]{0,30}confiden[^()]{0,10}[)\]]$", rest.strip()
    ):
        return letter
    said = options.leading(after, wanted=letter)
    if said and (
        said != letter or (OTHERS.search(rest) and plain_text(after) != options.plain[letter])
    ):
        return SEVERAL
    if said:
        return letter
    if OTHERS.search(rest) or _changed(rest, letter):
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
    letter, before = last[1], _clause_before(text, last.start())
    concluding = _CLOSING.search(before) and not any(
        mark[1] != letter and mark.end() > last.start() - len(before) for mark in marks
    )
    if any(mark[1] != letter for mark in marks) and not concluding:
        return None
    rest = text[last.end() : last.end() + 600]
    own = _own_text(letter, rest, options)
    named = own or f" {plain_text(before)} ".endswith(f" {options.plain[letter] or '-'} ")
    linked = (
        last[0][0] not in "(["
        or not rest.strip(". ")
        or _MARK_LINK.search(text[max(0, last.start() - 16) : last.start()])
    )
    if not named and not (linked and re.match(r"[.!]?\W{0,2}(?:$|\n| [A-Z])", rest)):
        return None
    after = _CLAUSE.split(rest[own:], maxsplit=1)[0]
    if _NOT.search(before) or _IF.search(before) or _NOT_AFTER.search(after):
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
        return Extraction(
            letter if named <= {letter} else None,
            "option-text" if named <= {letter} else "ambiguous",
        )
    if len(named) != 1 or not _SENTENCE.fullmatch(text) or _NOT.search(text) or _IF.search(text):
        return None
    only = named.pop()
    pieces = re.split(r"[,;:(]|\b(?:because|since|given|due|as|with)\b", text)
    ends = any(f" {plain_text(one)}".endswith(f" {options.plain[only]}") for one in pieces)
    return Extraction(only, "option-text") if ends and _MENTION.search(text) else None
