r"""Reply text → the letter that was chosen, or none, and how it was found: one ladder.

Thought is set aside; then the first rung that speaks decides, whether it gives a letter or none:

1. the last complete `<answer>` tag;
2. a JSON field with an answer;
3. `\boxed{…}`, unless a statement says another letter;
4. a statement: "the correct answer is B", "Answer: B", 答案是B, or a sentence that says no more
   than "So B", "I choose B", "B is correct";
5. a last or first line that is a letter, alone or with its text, or the text of one option.

Statements are recognised by the words that may stand in them, not by words that may not: what
denies, doubts or limits a choice is no choice. There is no default and no nearest string. Every
pattern has bounded repeats, so that time is linear in the length of a reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from scalevqa_eval.scoring.said import answer_tags, outside_thought, plain_characters
from scalevqa_eval.types import LETTERS

__all__ = ["Extraction", "extract_answer"]

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
    known = _options(tuple(sorted(options.items())))
    found, method = _ladder(_TURN.split(said.strip(), maxsplit=1)[0], known)
    if unclosed and found in ("empty", "nothing-found"):
        found = "truncated-think"
    return Extraction(found, method) if len(found) == 1 else Extraction(None, found)


# --- turns, styles, words ------------------------------------------------------------------------


_ERROR = re.compile(
    r"(?i)(?:<!doctype|<html|\[error\]|traceback \(|[\w.]{0,60}(?:error|exception)\s?[:(\[]|"
    r"\[?request[_ ](?:failed|timed out)|\{\s{0,3}[\"']error[\"']|(?:http|error) [45]\d\d\b)"
)
_TURN = re.compile(  # another speaker, or a further question
    r"(?i)(?<!^)(?:<[|｜][\w▁]{1,40}[|｜]>|<(?:/s|eos|endoftext|(?:start|end)_of_turn)>|\[/?INST\]"
    r"|\n[ *#]{0,6}(?:human|user|人类|用户)[ *]{0,3}:|(?<=[a-z.!?)*])(?:user|assistant)\n"
    r"|\n[ *#>]{0,6}(?:question|问题|题目|q)(?: ?#?(?:[2-9]|1\d)\b)?[ *]{0,3}[.:)])"
)
_STYLE = re.compile(r"\\(?:text|math)?(?:bf|it|rm|sf|tt|normal|cal)?\s?\{([^{}\\]{1,400})\}")
_MARKS = re.compile(r"[*`#~$]+|__|\\[()\[\]]|\\boxed\b|</?[a-z][a-z_]{0,15}\s?/?>")
_SPACES = re.compile(r" {2,}|[\t\f\v]+")
_DROPPED = re.compile(r"[^\w+\-<>≤≥=%/²³.]+|[.\-](?!\w)|(?<!\w)\.(?!\d)")


def _prose(text: str) -> str:
    """Text without Markdown and LaTeX styles, with single spaces and line ends."""
    text = _SPACES.sub(" ", _MARKS.sub("", _STYLE.sub(r"\1", text)))
    return "\n".join(stripped for line in text.split("\n") if (stripped := line.strip()))


def _words(text: str) -> str:
    """Lower case, no punctuation but what carries meaning (signs, comparisons), single spaces."""
    return " ".join(_DROPPED.sub(" ", _prose(plain_characters(text))).casefold().split())


# --- which option a line names -------------------------------------------------------------------

_SEVERAL, _DENIED, _UNKNOWN = "ambiguous", "no-answer", "no-such-option"  # why there is no letter
_LETTER = re.compile(
    r"(?i)\W{0,3}(?:(?:the |my )?(?:final |correct |best )?(?:answer|option|choice|letter|选项"
    r"|答案)(?: is)? ?[:=]? ?)?\W{0,3}([A-Z])(?![A-Za-z0-9_²³])"
)
_CLOSE = r"[)\]}\"'”’>」]{0,2}"
_TAIL = re.compile(  # what may follow a letter that is the answer
    rf"{_CLOSE} ?(?:$|[,;:!。—–(]|\.(?![A-Za-z])"
    r"|(?:because|since|as|based|due|given|which|and|with|although|though|even though|while"
    r"|whereas|rather than|instead of|unlike)\b|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3])"
)
_MORE = re.compile(  # another letter: "A and C", "A, (C)"
    rf"{_CLOSE}(?: ?(?:,|/|&|\+|;|-|–|as well as |and/or |and |or |to |plus |和|或|与|及) ?"
    r"(?:(?:also|possibly|maybe|option|choice|both|or|and|it is|it['’]s) ){0,2}"
    r"[(\[\"']?[A-Z](?![A-Za-z0-9'’])(?! [a-z]{2})| ?[(\[][A-Z][)\]])"
)
_OTHERS = re.compile(  # "(A) for the first, (B) for …", "A (40 %), B (60 %)"
    r"[ ,;(\"][B-HJ-Z](?:[.)](?= |$)|:| ?\(?\d{1,3} ?%)"
)
_STOP = re.compile(r"[.!?](?=[\s\"')\]”’]|$)|[。!?;\n]")
_END = re.compile(
    rf"{_STOP.pattern}|,? (?:because|since|as|while|whereas|rather than|instead of|unlike"
    r"|(?:even )?(?:al)?though(?! (?:it|this|that|I)\b))\b"
)
_WHOLE = re.compile(rf"{_CLOSE}\W*(?:(?<=\W)(?:because|since|(?<=, )as)\b.*)?")
_DENIAL = re.compile(
    r"(?i)\b(?:(?:never|no(?! doubt)|neither|cannot|or|if|take back|unless|only|when|si|se|wenn"
    r"|(?:any|every)thing but|all but)\b|not (?!option|(?-i:[A-Z])\b(?! [a-z]))|wrong"
    r"|incorrect|false|worst|least|(?<!no )doubt|un(?:likely|supported)|eliminat|exc(?:lu|ept)"
    r"|reject|discard|rul(?:ed|e|ing) out|contradict|str(?:ike|uck)|distract)|n['’]t\b"
    r"|[✗❌✘×?错误不吗]|では(?:な|あり)|じゃ|아[니닙]|если"
)
_NONE = re.compile(r"(?i)(?:not|neither|none|unclear|unknown)\b")


class _Options:
    """The options of a question, ready to be recognised."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.words = {letter: _words(text) for letter, text in texts.items()}
        self.reach = 2 * max(map(len, texts.values())) + 40
        self.by_words: dict[str, list[str]] = {}
        for letter, words in self.words.items():
            if words:
                self.by_words.setdefault(words, []).append(letter)

    def with_text(self, text: str) -> str | None:
        """The letter of the one option with exactly this text."""
        found = self.by_words.get(_words(text[: self.reach]), ())
        return found[0] if len(found) == 1 else None

    def read(self, text: str, *, whole: bool = False) -> str | None:
        """The option that a line begins with: "B", "(b)", "B. Necrosis", "Necrosis, because …".

        Otherwise the reason why it names none, or None if it says nothing of an option. With
        `whole` no more may follow a letter than its text and a reason.
        """
        line = text.strip(" ,:;\n").partition("\n")[0]
        exact, match = self.with_text(line), _LETTER.match(line)
        clause = _END.split(line, maxsplit=1)[0]
        named = exact or (self.with_text(clause) if clause != line else None)
        if not match or match[1].upper() not in self.words:
            unknown = re.fullmatch(r"\W{0,3}[A-Z]\W{0,3}", line)
            return named or (_UNKNOWN if unknown else None)
        letter, rest = match[1].upper(), line[match.end() :]
        if not re.search(r"[\w✗❌✘×?]", rest):
            return (exact if match[1].islower() else None) or letter  # an option's text may be "b"
        own = None if exact else self._after_own_text(letter, rest)
        tail = rest if own is None else own
        if not exact and _MORE.match(tail):
            return _SEVERAL
        if own is None:
            closed = rest[0] == ")" and line[match.start(1) - 1] == "("
            if exact or not (closed or (match[1].isupper() and _TAIL.match(rest))):
                return named
            others = _OTHERS.search(_END.split(rest, maxsplit=1)[0])
            if others or self.with_text(_END.split(rest.lstrip(" .):,]\"'(–—"), maxsplit=1)[0]):
                return _SEVERAL
        complete = own is not None and own.lstrip("\"')").startswith((".", ","))  # "A. Yes, …"
        if whole and not (complete or _WHOLE.fullmatch(tail)):
            return None
        tail = tail.partition(",")[0] if complete and not whole else tail
        return _DENIED if _DENIAL.search(_END.split(tail, maxsplit=1)[0]) else letter

    def _after_own_text(self, letter: str, text: str) -> str | None:
        """What follows an option's own text at the start of `text`; None if that is not there."""
        words, own = _words(text[: self.reach]), self.words[letter]
        starts = [known for known in self.by_words if f"{words} ".startswith(f"{known} ")]
        if not starts or own != max(starts, key=len):
            return None
        ends = range(len(own), min(len(text), self.reach))
        end = (end for end in ends if not text[end].isalnum() and _words(text[:end]) == own)
        return text[next(end, len(text)) :]


@lru_cache(maxsize=4096)
def _options(options: tuple[tuple[str, str], ...]) -> _Options:
    return _Options(dict(options))


# --- the rungs -----------------------------------------------------------------------------------

_PLACEHOLDER = re.compile(r"(?i)\W*(?:x|letter|your .*|the .*letter.*|option)?\W*")
_FIELD = re.compile(
    r"(?i)[\"'](?:final|correct|best|predicted|selected|chosen)?[_ -]?(?:answer|choice|option"
    r"|letter|prediction|response|result)(?:[_ -](?:letter|choice|option))?[\"']\s{0,5}:\s{0,5}"
    r"(?:\"([^\"\n]{0,500})\"|'([^'\n]{0,500})'|\[([^\[\]]{0,500})\]|([\w.+-]{1,40}))"
)
_BOXED = re.compile(
    r"\\f?box(?:ed)?\s{0,3}\{((?:[^{}]|\{(?:[^{}]|\{[^{}]{0,200}\}){0,200}+\}){0,300}+)\}"
)
_REFUSAL = re.compile(
    r"(?i)\b(?:sorry|as an ai|i (?:cannot|can['’]t)|(?:unable|not able) to)\b.{0,80}\b(?:help"
    r"|assist|provide|comply|interpret|analy[sz]e|view|see|diagnos\w+|access|process|fulfill)\b"
)
_EXAMPLE = re.compile(  # a sentence in which a tag, a field or a box is no answer
    r"(?i)\b(?:example|e\.g|format|schema|template|such as|would have\b|should be (?:given|written"
    r"|put)|(?:if|unless|had|were)\b.*\bwould\b)"
)
_NOUN = re.compile(
    r"(?<![a-z])(?:answers?|option|choice|ans|respuesta|opción|antwort|réponse|risposta|resposta"
    r"|ответ|diagnosis|(?:final|so|conclusion|response)(?=:))(?!\w)|答案|选项|答え|正解|정답"
    r"|(?<=[能合确]的)诊断|(?<![不没])[选選][择擇]?",
    re.IGNORECASE,
)
_BEFORE = re.compile(  # what may stand before "answer" in its clause
    r"(?i)(?:^|[\n.!?:;,。”\"“【(\]}]\s?|[–—-]\s|(?![不没])[\u3040-\u9fff]|\s(?=(?-i:The ))"
    r"|\b(?:so|thus|therefore|hence|then|and|but|actually|(?:means?|conclude)(?: that)?"
    r"|(?:no|not|n['’]t|without) doubt(?: that)?|(?:based on|from|judging by|considering|given)"
    r"(?: (?!that|wh)\w{1,20}){2,4}(?= (?:the|my) )|(?:^|[\n.!?,] ?)(?:(?:I|we) (?:think|believe)"
    r"|it is (?:clear|evident|obvious)|(?:I['’]m|I am|we are)(?: (?:very|quite|fairly|absolutely"
    r"|reasonably))? (?:sure|certain|confident|convinced))(?: that)?) )(?:(?:the|my|la|die|a)\s)?"
    r"(?:(?:(?:most )?(?:likely|accurate|appropriate|suitable|plausible|probable|fitting|logical"
    r"|reasonable|relevant)|final|correct|best|right|only|closest|richtige|korrekte|bonne"
    r"|правильный|selected|chosen)\s){0,3}$"
)
_LINK = re.compile(  # what may stand between "answer" and the letter
    r"(?:\s(?:letter|choice|option|corr(?:ecta|ecte|etta|eta)|certa|finale?|to choose"
    r"|among the \w{1,10}\s?(?:options|choices)"
    r"|to (?:the|this|your) question|here|(?:based on|(?:for|in) (?:the|this)) [^.!?:;,\n]{0,60}?"
    r"|that (?:best|most \w{3,12}ly|correctly|fits|matches)[^.!?:;,\n]{0,60}?)){0,2}"
    r"(?:\s(?:is|are|would be|must be|should be|es|ist|lautet|est|è|é(?: a)?)\b\s?:?|\s?[:=]"
    r"|\s[–—-]\s|\n|】 ?:?|是|为|は|[은는]"
    r"|(?<=[选選择擇案])(?=\s?[(\[【]?(?-i:[A-Z])))"
    r"(?:[ :\"“”,\n]|\b(?:likely|probably|clearly|definitely|certainly|indeed|actually|closest to"
    r"|therefore|thus|the|correct|best|most likely|option|choice|letter|answer|is|la|letra|opción)"
    r"(?=\W)|选项|选择?|应该?|是|为){0,14}",
    re.IGNORECASE,
)
_FORCED = (  # a condition that is none: "If I had to choose, …"
    r"if (?:forced|(?:only )?one (?:can|must|has to) be (?:chosen|picked)|(?:I|we) (?:had|have|must"
    r"|am|are|were)(?: forced)?(?: to)? (?:choose|pick|select|guess|answer|decide))(?: to (?:choose"
    r"|pick|guess|answer))?(?: (?:only )?(?:one|an? (?:single )?(?:answer|option)))?(?=[,:] )"
)
_NOT_MINE = re.compile(  # a clause before the answer: a condition, or what somebody else says
    rf"(?i)\b(?:(?!{_FORCED})if|unless|whether|suppos\w+|assum\w+|in case|as long as|on condition"
    r")\b|^(?:had|were|should|provided|depending|when|whenever|falls|wenn|sofern|si|se)\b"
    r"|^(?:(?:but|and) )?(?:with|in|at|for|under|only|to) (?!th(?:is|at|[eo]se)\b"
    r"|the\b(?! (?:absence|presence|case|event|opinion|view|eyes))|my|our|all|its|such|each"
    r"|other words|conclusion|summary|short|general|fact|addition|light|view|order)[^,:]{1,80}, "
    r"(?:\w{1,12} ){0,4}$"
    r"|(?:^per|\baccording to|\bin the (?:opinion|view|eyes) of) (?:\w{1,20} ){0,2}(?:dr|colleague"
    r"|resident|doctor|physician|clinician|pathologist|surgeon|reader|report|student|teacher"
    r"|professor|expert|supervisor|friend|label|key)s?\b"
    r"|(?<!\bI )(?<!\bwe )(?<!I would )(?<!I['’]d )(?<!we can )\b(?:says?|said|tells?|told"
    r"(?: \w{1,12})?|writes?|wrote|claim(?:s|ed)?|note[sd]?|repl(?:y|ies|ied)|argue[sd]?)"
    r"(?: that)?[:,]? ?[\"“‘']?(?:\w{1,12} ){0,4}$"
    r"|如果|若|假如|要是|(?:排除|错|[不没](?![难过]))[^,:]{0,8}$|(?<!我)(?:认为|以为|说)|если|もし"
)
_ABOUT = (
    r"(?P<about>(?:given|based on|considering|looking|after|taking|judging|from|in (?:view|light)"
    r" of|with (?:all|this|these))\b[^.!?:\n]{1,100}?), "
)
_SENTENCE = re.compile(
    rf"(?i)(?:(?<=\n)|(?<=[.!?。:] )|(?<=, )(?=which [cm])|(?<=, but )(?=I)|^)(?:{_ABOUT})?"
    rf"(?P<cue>(?:(?:so|therefore|thus|hence|finally|overall|{_FORCED})[,:]? )?"
    r"(?:(?:I|we)(?:['’](?:d|ll)| would| will| must)? (?:choose|select|pick|go with|answer|say) "
    r"|I (?:think|believe) (?:it is|it['’]s|that it is) |it['’]s |(?:it|this(?: finding)?|which"
    r"|the (?:image|picture|findings?)) (?:(?:is|are) (?:(?:most )?consistent with|closest to)"
    r"|corresponds to|matches|shows?|is|must be) )?)"
    r"(?:an? |the )?(?:correct )?(?:option |answer |choice )?[(\"']?(?=\w)"
)
_RIGHT = re.compile(
    r"(?: ?\([^()\n]{1,200}\)|[)\"'])? is (?:the )?(?:correct|right|best|most (?:likely|accurate"
    r"|appropriate|suitable|plausible|probable))(?: (?:answer|choice|option))?"
    r"(?=$|[.!:\n]|,? (?:because|since|as)\b)",
    re.IGNORECASE,
)
_SETTLED = re.compile(  # the later of two statements counts
    r"(?i)\b(?:therefore|thus|hence|so|final|finally)\b|因此|所以|综上|故|(?:^|[.!?\n,;—–-]\s?)(?:wait"
    r"|actually|no|hmm|hold on|correction|on second thoughts?|sorry|or|however|but|let me)\b"
)
_TAKES_BACK = re.compile(  # anywhere after the answer
    r"(?i)[.!?;\n]\W{0,3}(?:(?:but|however|yet|unfortunately),? )?(?:(?:no|wait|hmm|actually|sorry)"
    r"(?=\s?[,.!:;—–]|$)|scratch|on (?:second|reflection)|correction|actually,? I|my mistake"
    r"|(?:please )?(?:forget|ignore|disregard|strike) (?:this|that|it)\b|I (?:was|am)(?: \w{1,12})?"
    r" (?:wrong|mistaken|not sure|unsure)|I (?:retract|withdraw|no longer)"
    r"|I take (?:this|that|it) back|(?:this|that|it)(?: (?:answer|option|choice))? (?:is|was)"
    r"(?: ?not|n['’]t) (?:the |a )?(?:correct |right )?(?:answer|option|choice)"
    r"|[^.!?\n]{0,40}\banswer is not (?:among|in|listed))"
    r"|\b(?:that|this|it) can(?:not|['’]t) (?:hold|be right)"
    r"|\bcontradicts? (?:it|this|that)(?=\s?[,.;!]|$)"
)
_THAT_IS_WRONG = (  # one of the two sentences after the answer %s, if it names no other letter
    r"(?:[^.!?;\n]{0,200}[.!?;\n]+[\s\W]{0,3}){1,2}(?:(?i:or|but|yet|however|unfortunately),? )?(?:"
    r"(?i:(?:this|that|it)(?: (?:answer|option|choice|statement))?(?:['’]s| (?:is|was|does|can"
    r"|would be)))(?![^.!?,;\n]{0,60}(?<![A-Za-z])(?!%s)[A-HJ-Z](?![A-Za-z&]))"
    r"(?i:(?: (?:a|an|my|all|just|clearly|simply|probably|too)){0,2} (?:wrong|false|incorrect"
    r"|mistaken?|error|nonsense|hasty|premature|untrue|first (?:guess|thought|impression))\b"
    r"|(?: ?not\b|n['’]t\b| no\b)[^.!?\n]{0,30}\b(?:correct|right|true|hold|answer|match)(?! to\b))"
    r"|(?i:or (?:is|was) it|is it\?))"
)
_DENIES = (  # a sentence about the letter %s itself
    r"(?<![A-Za-z0-9])%s\)? (?:cannot|(?:is|was|does|can|could|would|has|shows)"
    r"(?: ?not\b|n['’]t\b| no | wrong| incorrect))"
)
_ITEM = re.compile(r"\W{0,3}(?:option )?[(\[]?([A-Z])(?:[).:\]]| ?[✗❌✘×✅✓]|$)", re.IGNORECASE)
_BUT = re.compile(r"\A[^.!?\n]{1,100}[.!?;,\n] ?[Bb]ut\b")
_REFUSED = re.compile(r"(?i) ?(?:no|not|excluded|absent|unlikely)(?=\s?[.;!,]|$)")
_NEXT = re.compile(r"[.!?;] (?=[A-Z])|\n")


def _ladder(said: str, options: _Options) -> tuple[str, str]:
    """The letter and the rung's name, or the reason why there is none."""
    for tag in reversed(answer_tags(said)):
        content = _prose(tag[1][:_WINDOW])
        if not _PLACEHOLDER.fullmatch(content[:100]) and not _is_example(said, tag.start()):
            found = options.read(content) or _stated(content, options) or ""
            return found if len(found) == 1 else "answer-tag-unreadable", "answer-tag"
    if not said or _ERROR.match(said):
        return "error-text" if said else "empty", ""
    text = _prose(said if len(said) <= 2 * _WINDOW else f"{said[:_WINDOW]}\n{said[-_WINDOW:]}")
    stated, end = _stated(text, options), said[-_WINDOW:]
    for method, pattern, sign in (("json", _FIELD, ":"), ("boxed", _BOXED, "\\")):
        values = [*pattern.finditer(end)][-20:] if sign in said else ()
        values = [value for value in values if not _is_example(end, value.start())]
        read = [options.read(_prose("".join(value.groups("")))) for value in values]
        if method == "json" and read:
            return (read[0] or _DENIED) if len(set(read)) == 1 else _SEVERAL, method
        if read and (boxed := read[-1]):
            return boxed if stated in (None, _DENIED, boxed) else _SEVERAL, method
    if stated:
        return stated, "statement"
    if found_line := _line(text, options):
        return found_line
    return "refusal" if _REFUSAL.search(text[:1000]) else "nothing-found", ""


def _is_example(text: str, start: int) -> bool:
    """Whether what starts here stands in a sentence about another case, or about the format."""
    brace = text.rfind("{", max(0, start - 2000), start) + 1
    before = text[:start] if text[start] in "<\\" or not brace else text[: brace - 1]
    return bool(_EXAMPLE.search(_STOP.split(before[-200:])[-1]))


def _stated(text: str, options: _Options) -> str | None:
    """What the last statement says, if all agree with it or something shows that it counts."""
    found = list(_statements(text, options)) or list(_sentences(text, options))
    found = [one for one in found if one[0] != _DENIED] or found[-1:]
    if not found:
        return None
    last, start, end = found[-1]
    for other, _, since in found[:-1]:
        if len(other) == 1 and other != last and not _SETTLED.search(text, since, start + 1):
            return _SEVERAL
    return _DENIED if len(last) == 1 and _taken_back(last, text, end) else last


def _taken_back(letter: str, text: str, end: int) -> bool:
    """Whether something after its place takes the letter back."""
    return bool(
        _TAKES_BACK.search(text, end)
        or re.compile(_THAT_IS_WRONG % letter).match(text, end)
        or re.compile(_DENIES % letter).search(text, end)
    )


def _statements(text: str, options: _Options) -> Iterator[tuple[str, int, int]]:
    """ "The answer is B", "Answer: B" and the like: what it comes to, and where it stands."""
    for noun in _NOUN.finditer(text):
        link = _LINK.match(text, noun.end())
        if not link or not _BEFORE.search(text, max(0, noun.start() - 60), noun.start()):
            continue
        following = text[link.end() : link.end() + 700]
        if said := options.read(following) or (_NONE.match(following) and _DENIED):
            clause = _STOP.split(text[max(0, noun.start() - 300) : noun.start()])[-1]
            if (
                _NOT_MINE.search(clause.lstrip())
                or _DENIAL.search(link[0])
                or ("would" in link[0] and _BUT.search(following))
            ):
                said = _DENIED
            item = _ITEM.match(following.partition("\n")[2]) if link[0].endswith("\n") else None
            listed = item and item[1].upper() != said
            yield _SEVERAL if listed else said, noun.start(), link.end() + 1


def _sentences(text: str, options: _Options) -> Iterator[tuple[str, int, int]]:
    """Sentences that say no more than "So B", "I choose B", "B is correct"."""
    for start in _SENTENCE.finditer(text):
        rest = text[start.end() : start.end() + 700]
        if _DENIAL.search(start["about"] or ""):
            continue
        if rest[0] in options.words and _RIGHT.match(rest, 1):
            yield rest[0], start.start(), start.end() + 1
        elif start["cue"] and (said := options.read(_NEXT.split(rest, maxsplit=1)[0], whole=True)):
            yield said, start.start(), start.end() + 1


def _line(text: str, options: _Options) -> tuple[str, str] | None:
    """A last or first line that is a letter, and no item of a list, or an option's text."""
    lines = text.split("\n")
    items = {item[1].upper() for line in lines if (item := _ITEM.match(line))}
    for line in dict.fromkeys((lines[-1], lines[0])):
        if _LETTER.match(line) and (found := options.read(line, whole=True)):
            several = len(lines) > 1 and items - {found}
            return _SEVERAL if several else _kept(found, line, text), "letter"
    for line in (lines[-1], lines[0]):
        if found := options.with_text(line):
            return _kept(found, line, text), "option-text"
    clause, *rest = re.split(r"[.,!](?=\s|$)", lines[0], maxsplit=1)
    if not (found := options.with_text(clause)) or _REFUSED.match("".join(rest)):
        return None
    said = f" {_words(text[:4000])} "
    others = (words for words in options.by_words if words not in options.words[found])
    if any(f" {words} " in said for words in others if len(words) > 1):
        return None
    return found, "option-text"


def _kept(found: str, line: str, text: str) -> str:
    """The letter of a first line, unless what follows takes it back, or of a last line, unless
    the sentence before it is a rejection ("I would rule out:").
    """
    if len(found) == 1 and text.partition("\n")[0] == line:
        return _DENIED if _taken_back(found, text, len(line)) else found
    before = _STOP.split(text[: -len(line) - 1][-300:])[-1]
    return _DENIED if _DENIAL.search(before) or _NONE.match(before) else found
