"""Which option a line names: by letter, by letter and text, or by its text alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from scalevqa_eval.scoring.said import in_words

SEVERAL, DENIED, UNKNOWN = "ambiguous", "no-answer", "no-such-option"  # why there is no letter
LETTER = re.compile(
    r"(?i)\W{0,3}(?:(?:the |my )?(?:final |correct |best )?(?:answer|option|choice|letter|选项"
    r"|答案)(?: is)? ?[:=]? ?)?\W{0,3}([A-Z])(?![A-Za-z0-9_²³])"
)
_CLOSE = r"[)\]}\"'”’>」]{0,2}"
_TAIL = re.compile(  # what may follow a letter that is the answer
    rf"{_CLOSE} ?(?:$|[,;:!。—–(]|\.(?![A-Za-z])"
    r"|(?:because|since|as|based|due|given|which|and|with|although|though|even though|while"
    r"|whereas|rather than|instead of|unlike|despite)\b|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3])"
)
_MORE = re.compile(  # another letter: "A and C", "A, (C)"
    rf"{_CLOSE}(?: ?(?:,|/|&|\+|;|-|–|as well as |and/or |and |or |to |plus |和|或|与|及) ?"
    r"(?:(?:also|possibly|maybe|option|choice|both|or|and|it is|it['’]s) ){0,2}"
    r"[(\[\"']?[A-Z](?![A-Za-z0-9'’])(?! [a-z]{2})| ?[(\[][A-Z][)\]])"
)
_OTHERS = re.compile(  # "(A) for the first, (B) for …", "A (40 %), B (60 %)"
    r"(?<!not)[ ,;(\"][B-HJ-Z](?:[.)](?= |$)|:| ?\(?\d{1,3} ?%)"
)
STOP = re.compile(r"[.!?](?=[\s\"')\]”’]|$)|[。!?;\n]")
_END = re.compile(
    rf"{STOP.pattern}|,? (?:because|since|as|while|whereas|rather than|instead of|unlike"
    r"|despite|(?:even )?(?:al)?though(?! (?:it|this|that|I)\b))\b"
)
_WHOLE = re.compile(rf"{_CLOSE}\W*(?:(?<=\W)(?:because|since|(?<=, )as)\b.*)?")
DENIAL = re.compile(
    r"(?i)\b(?:(?:never|no(?! doubt)|neither|cannot|or|if|take back|unless|only|when|si|se|wenn"
    r"|(?:any|every)thing but|all but)\b|not (?!option|(?-i:[A-Z])\b(?! [a-z]))|wrong|incorrect"
    r"|false|worst|least|(?<!no )doubt|un(?:likely|supported)|eliminat|exc(?:lu|ept)|reject|discard"
    r"|rul(?:ed|e|ing) out|contradict|str(?:ike|uck)|distract|dismiss|cross(?:ed)? out|out of|not:)"
    r"|n['’]t\b|[✗❌✘×?错误不吗]|では(?:な|あり)|じゃ|아[니닙]|если"
)
NONE = re.compile(r"(?i)(?:not|neither|none|unclear|unknown)\b")


class Options:
    """The options of a question, ready to be recognised."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.words = {letter: in_words(text) for letter, text in texts.items()}
        self.reach = 2 * max(map(len, texts.values())) + 40
        self.by_words: dict[str, list[str]] = {}
        for letter, words in self.words.items():
            if words:
                self.by_words.setdefault(words, []).append(letter)

    def with_text(self, text: str) -> str | None:
        """The letter of the one option with exactly this text."""
        found = self.by_words.get(in_words(text[: self.reach]), ())
        return found[0] if len(found) == 1 else None

    def read(self, text: str, *, whole: bool = False) -> str | None:
        """The option that a line begins with: "B", "(b)", "B. Necrosis", "Necrosis, because …".

        Otherwise the reason why it names none, or None if it says nothing of an option. With
        `whole` no more may follow a letter than its text and a reason.
        """
        line = text.strip(" ,:;\n").partition("\n")[0]
        exact, match = self.with_text(line), LETTER.match(line)
        clause = _END.split(line, maxsplit=1)[0]
        named = exact or (self.with_text(clause) if clause != line else None)
        if not match or match[1].upper() not in self.words:
            unknown = re.fullmatch(r"\W{0,3}[A-Z]\W{0,3}", line)
            return named or (UNKNOWN if unknown else None)
        letter, rest = match[1].upper(), line[match.end() :]
        if not re.search(r"[\w✗❌✘×?]", rest):
            return (exact if match[1].islower() else None) or letter  # an option's text may be "b"
        own = None if exact else self._after_own_text(letter, rest)
        tail = rest if own is None else own
        if not exact and _MORE.match(tail):
            return SEVERAL
        if own is None:
            closed = rest[0] == ")" and line[match.start(1) - 1] == "("
            if exact or not (closed or (match[1].isupper() and _TAIL.match(rest))):
                return named
            others = _OTHERS.search(_END.split(rest, maxsplit=1)[0])
            if others or self.with_text(_END.split(rest.lstrip(" .):,]\"'(–—"), maxsplit=1)[0]):
                return SEVERAL
        complete = own is not None and own.lstrip("\"')").startswith((".", ","))  # "A. Yes, …"
        if whole and not (complete or _WHOLE.fullmatch(tail)):
            return None
        tail = tail.partition(",")[0] if complete and not whole else tail
        return DENIED if DENIAL.search(_END.split(tail, maxsplit=1)[0]) else letter

    def _after_own_text(self, letter: str, text: str) -> str | None:
        """What follows an option's own text at the start of `text`; None if that is not there."""
        words, own = in_words(text[: self.reach]), self.words[letter]
        starts = [known for known in self.by_words if f"{words} ".startswith(f"{known} ")]
        if not starts or own != max(starts, key=len):
            return None
        ends = range(len(own), min(len(text), self.reach))
        end = (end for end in ends if not text[end].isalnum() and in_words(text[:end]) == own)
        return text[next(end, len(text)) :]


@lru_cache(maxsize=4096)
def known_options(options: tuple[tuple[str, str], ...]) -> Options:
    return Options(dict(options))
