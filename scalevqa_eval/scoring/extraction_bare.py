"""Letters that stand alone, and replies that are the text of an option."""

from __future__ import annotations

import re

from scalevqa_eval.scoring import extraction_patterns as words
from scalevqa_eval.scoring.extraction_context import OK, after, contradicted
from scalevqa_eval.scoring.extraction_options import Options, normalise
from scalevqa_eval.scoring.extraction_statements import Statement

_LINE = re.compile(
    r"[\s\"'“‘«>•\-–—:|!]{0,6}[^\w\s\"'“(\[{<.,:;#\\/+=&-]{0,4}[\s:]{0,3}"
    r"(?:(?:the |my )?(?:final |correct |best )?(?:option|opt|choice|answer|letter|assistant"
    r"|选项|選項|选|選択肢|보기"
    r"|opción|réponse|antwort|opzione|opção)\s?[:.]?\s?)?[\"'“‘(\[{<【]{0,4}\s?"
    r"(?P<letter>[A-Za-z])(?![A-Za-z0-9_À-ɏ&+%°/^<=]|>\s?[A-Za-z]|['’][A-Za-z]|[-–][A-Za-z0-9])"
    r"(?P<closed>\s?[\"'”’)\]}>】]{0,4})",
    re.IGNORECASE,
)
_BARE_END = re.compile(
    r"[\s.,;:!?。\"'”’)\]}|-]{0,6}[^\w\s\"'“(\[{<.,:;#\\/+=&?-]{0,6}[\s!.]{0,4}\Z"
)
_LABEL_END = re.compile(r"(?:[.:)\]]|\s?[-–—]\s|\s?:|,)")
_LIST_LABEL = re.compile(
    r"(?:^|\n|[;,|%]\s?|\s"
    r"|(?<=[)\]]))[\s\"'•\-–>]{0,4}(?P<open>[(\[]?)(?P<letter>[A-Za-z])(?P<close>[).:\]]|\s[-–—])(?=\s"
    r"|\Z|\w|[(\[])"
)


def bare_letters(text: str, options: Options) -> list[Statement]:
    """A letter alone on the first or the last line, or at the head of the reply."""
    lines = text.split("\n")
    found: list[Statement] = []
    if words.QUESTION_AND_ANSWER.search(text):
        return found
    if len(lines) == 1:
        lines = [re.sub(r"\A1[.)] ", "", text)]
    alone = {_alone(line, options) for line in lines if len(line) < 80} - {None}
    many = len(alone) > 1
    last = _alone(lines[-1], options)
    many = many and not (last and words.CORRECTION.search(text))
    if last:
        method = "ambiguous" if many else "letter"
        found.append(Statement(len(text), len(text), None if many else last, True, method))
    elif len(lines) > 1 and (labelled := _labelled(lines[-1], options)):
        same = [one for one in lines[:-1] if _labelled(one, options)]
        letters = {_labelled(one, options) for one in same}
        if not letters or (len(letters) > 1 and labelled in letters):
            found.append(Statement(len(text), len(text), labelled, True, "letter"))
    if len(lines) > 1 and (first := _alone(lines[0], options)):
        found.append(
            Statement(0, 1, None if many else first, True, "ambiguous" if many else "letter")
        )
    elif not found and (head := _head(text, options)):
        found.append(Statement(0, 1, head, True, "letter"))
    if not found and (tail := _tail(lines[-1], options, text)):
        found.append(Statement(len(text), len(text), tail, False, "letter"))
    return found


def _alone(line: str, options: Options) -> str | None:
    match = _LINE.match(line)
    if match and re.search("[❌✗✘×✖🚫]", line):
        return None
    if match and _BARE_END.match(line, match.end()):
        return options.letter(match["letter"])
    return None


def _labelled(line: str, options: Options) -> str | None:
    """The letter of a line "B. text of an option"."""
    match = _LINE.match(line)
    if not match or not (match["closed"].strip() or _LABEL_END.match(line, match.end())):
        return None
    return options.letter(match["letter"])


def _head(text: str, options: Options) -> str | None:
    """The letter of a reply that begins "B. ..." or "B because", and lists no others."""
    if options.is_text(text):
        return None
    match = _LINE.match(text)
    if not match:
        return None
    if re.search("[❌✗✘×✖🚫]", text.split("\n", 1)[0]):
        return None
    found, end = match["letter"], match.end("letter")
    letter = options.letter(found)
    closed = bool(match["closed"].strip())
    if letter is None or after(text, end, found, options) != OK:
        return None
    if not closed and found.islower() and text[end : end + 1] != ")":
        own, _ = options.begins(text[end:].lstrip(" .:"))
        if letter not in own:
            return None
    labelled = closed or _LABEL_END.match(text, end) or _remark(text, end)
    reason = re.match(r"\s(?:because|since|as|due to)\b", text[end:][:12])
    own, _ = options.begins(text[end:][:4000].lstrip(" "))
    if not labelled and not reason and letter not in own:
        return None
    if contradicted(text, end, letter, options):
        return None
    head = text[match.end() :][:40]
    if letter not in own and re.match(
        r"[.:)\]\s–—-]{0,4}(?:unlikely|likely|✗|✘|❌|×|✖"
        r"|incorrect|wrong|false|not |no\b|\d+ ?%|possible)",
        head,
        re.I,
    ):
        return None
    return None if _lists(text, match, options, letter in own) else letter


def _remark(text: str, end: int) -> bool:
    """Whether "(80 % sure)" follows, and no line that looks the same."""
    remark = re.compile(r"\s?[(\[][^()\[\]\n]{1,150}[)\]]\s?(?:\.|\n|\Z)").match(text, end)
    return bool(remark) and not re.search(r"\n\W{0,3}[A-Za-z]\s?[(\[]", text[end : end + 400])


def _lists(text: str, first: re.Match[str], options: Options, with_text: bool) -> bool:
    """Whether labels of other options follow in the style of the first one.

    An option with its own text at the head is a choice unless it opens the list of all options,
    each with its text.
    """
    if with_text and options.letter(first["letter"]) != next(iter(sorted(options.texts))):
        return False
    opening = "(" if "(" in first.group() else ""
    close = (first["closed"].strip() or text[first.end() : first.end() + 2].strip())[:1]
    own = options.letter(first["letter"])
    for label in _LIST_LABEL.finditer(text, first.end()):
        other = options.letter(label["letter"])
        if other is None or other == own or label["letter"].isupper() != first["letter"].isupper():
            continue
        if label["close"].strip() != close or bool(label["open"]) != bool(opening):
            continue
        listed = label.group().lstrip(" ")[:1] in "\n;,|%" or own == "A" or other == "B"
        if listed and not with_text:
            return True
        named, _ = options.begins(text[label.end() :][:4000].lstrip(" "))
        if other in named:
            return True
    return False


_TAIL = re.compile(
    r"(?:(?P<text>[^.!?。]{1,400})[(\[](?P<bracketed>[A-Z])[)\]]"
    r"|(?<!\d)[.!?。]\s?(?P<plain>[B-HJ-Z]))[\s.!]{0,3}\Z"
)


def _tail(line: str, options: Options, text: str) -> str | None:
    """A letter that ends the reply: "... (B)." or "... seen. B", the only one named in it."""
    match = _TAIL.search(line[-500:])
    if not match:
        return None
    found = match["bracketed"] or match["plain"]
    letter = options.letter(found)
    before = match["text"] or ""
    if re.search(
        r"(?:fig(?:ure|\.)?|panel|image|grade|type|class|stage|group|table|view)\s\Z", before, re.I
    ):
        return None
    if words.NEGATION.search(before) or words.CONDITIONAL.search(before):
        return None
    others = {
        options.letter(one)
        for one in re.findall(r"(?<![A-Za-z0-9])([B-HJ-Z]|A(?! [a-z]))(?![A-Za-z0-9'’-])", text)
    } - {None, letter}
    return None if others else letter


_TEXT_IS_RIGHT = re.compile(
    r"(?:^|[.\n]\s?)(?:the |an? )?(?P<text>[^.\n]{1,300}?) (?:is|seems|appears to be|would be)"
    r"(?: clearly| therefore| definitely| the| our| my){0,3} (?:correct|right|best"
    r"|answer|diagnosis|choice|most (?:likely|appropriate"
    r"|plausible|accurate|consistent))(?![A-Za-z])",
    re.IGNORECASE,
)
_IS_TEXT = re.compile(
    r"(?:(?<![a-z])(?:this|it|that|image|images|findings?|picture|features?|diagnosis"
    r"|appearances?|pattern|structure"
    r"|region)\s(?:is|are|shows?|represents?|indicates?|suggests?)(?: (?:most"
    r"|best))?(?: (?:consistent with"
    r"|compatible with|described as|likely|in keeping with))?|['’]s|most consistent with"
    r"|best described as"
    r"|consistent with|diagnosis:)\s(?:the |an? )?",
    re.IGNORECASE,
)


_YES_OR_NO = re.compile(r"\W{0,3}(yes|no|true|false)\s?(?:[,.;:!–—-])\s?(?=\w)", re.IGNORECASE)


def option_text(text: str, options: Options) -> tuple[str | None, str] | None:
    """A reply, its last or its first line, or "this is ..." that is the text of one option."""
    lines = text.split("\n")
    for part in (text, lines[-1], lines[0]):
        if len(part) < 20_000 and options.is_text(part):
            letter = options.named(part)
            others = {options.named(line) for line in lines if len(line) < 20_000} - {None, letter}
            if letter is None or others:
                return None, "ambiguous"
            return letter, "option-text"
    if (head := _YES_OR_NO.match(text)) and not words.REFUSAL.search(text):
        letter = options.named(head[1])
        if letter and not any(_YES_OR_NO.match(line) for line in lines[1:]):
            return letter, "option-text"
    right = {options.named(one["text"]) for one in _TEXT_IS_RIGHT.finditer(text)} - {None}
    if len(right) == 1:
        return right.pop(), "option-text"
    sentence = re.split(r"(?<=[.!?。])\s|\n", text[-4000:].strip())[-1]
    for cue in _IS_TEXT.finditer(sentence):
        rest = sentence[cue.end() :]
        letter = options.named(rest)
        if letter is None or words.NEGATION.search(sentence[: cue.end()]):
            continue
        folded = f" {normalise(text)} "
        own = options.plain[letter]
        rivals = [p for o, p in options.plain.items() if o != letter and p and p not in own]
        if not any(f" {rival} " in folded for rival in rivals):
            return letter, "option-text"
    return None
