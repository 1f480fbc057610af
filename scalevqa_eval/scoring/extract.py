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
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from scalevqa_eval.types import LETTERS

__all__ = ["Extraction", "answer_tags", "extract_answer", "outside_thought", "plain_characters"]

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


# --- what a reply says: characters, thought, tags, turns -----------------------------------------


class _Characters(dict[int, str]):
    """Full-width, circled and styled characters as plain ones; invisible ones as nothing.

    One character at a time: superscripts stay (10² is not 102), and nothing is reordered.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if unicodedata.category(char) == "Cf" or 0xFE00 <= code <= 0xFE0F:
            char = ""
        elif not unicodedata.decomposition(char).startswith(("<super>", "<fraction>")):
            char = unicodedata.normalize("NFKC", char)
        self[code] = char
        return char


_CHARACTERS = _Characters({0x3001: ",", 0x85: "\n", 0x2028: "\n", 0x2029: "\n"})
_THINK = re.compile(
    r"(?i)(?:<|◁|\[(?=/?(?-i:THINK)\]))\s{0,3}(/?)\s{0,3}(?:think|thinking|thought|reasoning)\b"
    r"[^<>▷\]]{0,80}[>▷\]]"
)
_OPEN = r"<\s{0,3}(?:final[_ -]?)?ans(?:wer)?\b[^<>]{0,80}>"
_ANSWER = re.compile(rf"(?is){_OPEN}((?:(?!{_OPEN}).)*?){_OPEN.replace('<', '</', 1)}")
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


def plain_characters(text: str) -> str:
    """Full-width, circled and styled letters as plain ones; one kind of line end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else text.translate(_CHARACTERS)


def outside_thought(text: str) -> tuple[str, bool]:
    """What is said outside `<think>`, and whether the last thought was never closed.

    A `</think>` without an opening tag ends a thought that began before the reply did. Nested
    opening tags count as one.
    """
    first, *rest = _THINK.split(text)
    said, inside = [first], False
    for closing, piece in zip(rest[::2], rest[1::2], strict=True):
        if closing and not inside:
            said = []
        inside = not closing
        if not inside:
            said.append(piece)
    return "\n".join(said), inside


def answer_tags(text: str) -> list[str]:
    """What complete `<answer>` tags hold, in order."""
    return _ANSWER.findall(text)


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
    r"|(?:because|since|as|based|due|given|which|and|with)\b|[\u3040-\u30ff\u4e00-\u9fff])"
)
_MORE = re.compile(  # another letter: "A and C", "A, (C)"
    rf"{_CLOSE}(?: ?(?:,|/|&|\+|;|-|–|as well as |and/or |and |or |to |plus |和|或|与|及) ?"
    r"(?:(?:also|possibly|maybe|option|choice|both|or|and|it is|it['’]s) ){0,2}"
    r"[(\[\"']?[A-Z](?![A-Za-z0-9'’])(?! [a-z]{2})| ?[(\[][A-Z][)\]])"
)
_OTHERS = re.compile(r"[ ,;(\"][B-HJ-Z](?:[.)](?= |$)|:)")  # "(A) for the first, (B) for …"
_END = re.compile(r"[.!?](?=[\s\"')\]”’]|$)|[。!?;\n]|,? (?:because|since|as)\b")
_WHOLE = re.compile(rf"{_CLOSE}\W*(?:(?<=\W)(?:because|since|(?<=, )as)\b.*)?")
_DENIAL = re.compile(
    r"(?i)\b(?:not (?!option|[B-Z]\b)|never|no\b(?! doubt)|neither|cannot|or|take back|if|unless"
    r"|only|when|wrong|incorrect|false|worst|least|(?<!no )doubt|un(?:likely|supported)|eliminat"
    r"|exclu|reject|discard|rul(?:ed|e|ing) out|contradict)|n['’]t\b|[✗❌✘×?错误不]"
    r"|では(?:な|あり)|가 아니"
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
        named = exact or self.with_text(_END.split(line, maxsplit=1)[0])
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
    r"|letter|prediction)(?:[_ -](?:letter|choice|option|index))?[\"']\s{0,5}:\s{0,5}"
    r"(?:\"([^\"\n]{0,500})\"|'([^'\n]{0,500})'|\[([^\[\]]{0,500})\]|([\w.+-]{1,40}))"
)
_BOXED = re.compile(
    r"\\f?box(?:ed)?\s{0,3}\{((?:[^{}]|\{(?:[^{}]|\{[^{}]{0,200}\}){0,200}+\}){0,300}+)\}"
)
_REFUSAL = re.compile(
    r"(?i)\b(?:sorry|as an ai|i (?:cannot|can['’]t)|(?:unable|not able) to)\b.{0,80}\b(?:help"
    r"|assist|provide|comply|interpret|analy[sz]e|view|see|diagnos\w+|access|process|fulfill)\b"
)
_NOUN = re.compile(
    r"(?<![a-z])(?:answers?|option|choice|ans|respuesta|opción|antwort|diagnosis"
    r"|(?:final|so|conclusion|response)(?=:))(?!\w)|答案|选项|答え|(?<![不没])[选選][择擇]?",
    re.IGNORECASE,
)
_BEFORE = re.compile(  # what may stand before "answer" in its clause
    r"(?i)(?:^|[\n.!?:;,。”\"“【(\]}]\s?|[–—-]\s|(?![不没])[\u3040-\u9fff]|\s(?=(?-i:The ))"
    r"|\b(?:so|thus|therefore|hence|then|and|but|actually|(?:means?|conclude|doubt)(?: that)?"
    r"|(?:^|[\n.!?,] ?)I (?:think|believe)(?: that)?) )(?:(?:the|my|la|die)\s)?"
    r"(?:(?:(?:most )?(?:likely|accurate|appropriate|suitable|plausible|probable|fitting|logical"
    r"|reasonable|relevant)|final|correct|best|right|only|closest|richtige|selected|chosen)\s){0,3}$"
)
_LINK = re.compile(  # what may stand between "answer" and the letter
    r"(?:\s(?:letter|choice|option|correcta|to choose|among the \w{1,10}\s?(?:options|choices)"
    r"|to (?:the|this|your) question|here|(?:based on|(?:for|in) (?:the|this)) [^.!?:;,\n]{0,60}?"
    r"|that (?:best|most \w{3,12}ly|correctly|fits|matches)[^.!?:;,\n]{0,60}?)){0,2}"
    r"(?:\s(?:is|are|would be|must be|should be|es|ist)\b\s?:?|\s?[:=]|\s[–—-]\s|\n|】 ?:?|是|为|は"
    r"|(?<=[选選择擇案])(?=\s?[(\[【]?(?-i:[A-Z])))"
    r"(?:[ :\"“”,\n]|\b(?:likely|probably|clearly|definitely|certainly|indeed|actually|closest to"
    r"|therefore|thus|the|correct|best|most likely|option|choice|letter|answer|is|la|letra|opción)"
    r"(?=\W)|选项|选择?|应该?|是|为){0,14}",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\b(?:if|unless|whether|suppos\w+|assum\w+|had|were)\b|如果|若", re.I)
_SENTENCE = re.compile(
    r"(?i)(?:(?<=\n)|(?<=[.!?。:] )|(?<=, )(?=which [cm])|^)"
    r"(?P<cue>(?:(?:so|therefore|thus|hence|finally)[,:]? )?"
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
_NOT = r"(?: ?not\b|n['’]t\b| no | wrong| incorrect)"
_TAKEN_BACK = (  # a sentence after the answer B
    r"[.!?;\n]\W{0,3}(?:(?i:no|but|wait|sorry|hmm|correction|scratch|on (?:second|reflection))\b"
    r"|(?i:(?:however|but|yet|unfortunately),? )?(?i:this|that|it)(?: (?:answer|option|choice))?"
    rf" (?:is|was|does|can){_NOT}[^.!?\n]{{0,30}}\b(?:correct|right|answer|match)"
    r"|[^.!?\n]{0,40}\banswer is not (?:among|in|listed))"
    rf"|(?<![A-Za-z0-9])%s\)? (?:cannot|(?:is|was|does|can|could|would|has|shows){_NOT})"
)
_ITEM = re.compile(r"\W{0,3}(?:option )?[(\[]?([A-Z])(?:[).:\]]| ?[✗❌✘×✅✓]|$)", re.IGNORECASE)
_STOP = re.compile(r"[.!?;] (?=[A-Z])|\n")


def _ladder(said: str, options: _Options) -> tuple[str, str]:
    """The letter and the rung's name, or the reason why there is none."""
    for content in map(_prose, reversed(answer_tags(said))):
        if not _PLACEHOLDER.fullmatch(content[:100]):
            found = options.read(content) or _stated(content, options) or ""
            return found if len(found) == 1 else "answer-tag-unreadable", "answer-tag"
    if not said or _ERROR.match(said):
        return "error-text" if said else "empty", ""
    text = _prose(said if len(said) <= 2 * _WINDOW else f"{said[:_WINDOW]}\n{said[-_WINDOW:]}")
    stated = _stated(text, options)
    for method, pattern, sign in (("json", _FIELD, ":"), ("boxed", _BOXED, "\\")):
        values = pattern.findall(said[-_WINDOW:]) if sign in said else ()
        read = [options.read(_prose("".join(value))) for value in values[-20:]]
        if method == "json" and read:
            return (read[0] or _DENIED) if len(set(read)) == 1 else _SEVERAL, method
        if read and (boxed := read[-1]):
            return boxed if stated in (None, _DENIED, boxed) else _SEVERAL, method
    if stated:
        return stated, "statement"
    if found_line := _line(text, options):
        return found_line
    return "refusal" if _REFUSAL.search(text[:1000]) else "nothing-found", ""


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
    if len(last) == 1 and re.compile(_TAKEN_BACK % last).search(text, end):
        return _DENIED
    return last


def _statements(text: str, options: _Options) -> Iterator[tuple[str, int, int]]:
    """ "The answer is B", "Answer: B" and the like: what it comes to, and where it stands."""
    for noun in _NOUN.finditer(text):
        link = _LINK.match(text, noun.end())
        if not link or not _BEFORE.search(text, max(0, noun.start() - 60), noun.start()):
            continue
        following = text[link.end() : link.end() + 700]
        if said := options.read(following) or (_NONE.match(following) and _DENIED):
            sentence = _END.split(text[max(0, noun.start() - 200) : noun.start()])[-1]
            if _CONDITION.search(sentence) or _DENIAL.search(link[0]):
                said = _DENIED
            item = _ITEM.match(following.partition("\n")[2]) if link[0].endswith("\n") else None
            listed = item and item[1].upper() != said
            yield _SEVERAL if listed else said, noun.start(), link.end() + 1


def _sentences(text: str, options: _Options) -> Iterator[tuple[str, int, int]]:
    """Sentences that say no more than "So B", "I choose B", "B is correct"."""
    for start in _SENTENCE.finditer(text):
        rest = text[start.end() : start.end() + 700]
        if rest[0] in options.words and _RIGHT.match(rest, 1):
            yield rest[0], start.start(), start.end() + 1
        elif start["cue"] and (said := options.read(_STOP.split(rest, maxsplit=1)[0], whole=True)):
            yield said, start.start(), start.end() + 1


def _line(text: str, options: _Options) -> tuple[str, str] | None:
    """A last or first line that is a letter, and no item of a list, or an option's text."""
    lines = text.split("\n")
    items = {item[1].upper() for line in lines if (item := _ITEM.match(line))}
    for line in dict.fromkeys((lines[-1], lines[0])):
        if _LETTER.match(line) and (found := options.read(line, whole=True)):
            return _SEVERAL if len(lines) > 1 and items - {found} else found, "letter"
    for line in (lines[-1], lines[0]):
        if found := options.with_text(line):
            return found, "option-text"
    found = options.with_text(re.split(r"[.,!](?=\s|$)", lines[0], maxsplit=1)[0])
    said = f" {_words(text[:4000])} " if found else ""
    others = (words for words in options.by_words if words not in options.words[found or ""])
    if found and not any(f" {words} " in said for words in others if len(words) > 1):
        return found, "option-text"
    return None
