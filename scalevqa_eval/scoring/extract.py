r"""Reply text → the letter that was chosen, or none, and how it was found: one ladder.

Thought is set aside; then the first rung that speaks decides, whether it gives a letter or none:

1. the last complete `<answer>` tag;
2. a JSON field with an answer;
3. `\boxed{…}`, unless a statement says another letter;
4. a statement: "the correct answer is B", "Answer: B", 答案是B, or a sentence that says no more
   than "So B", "I choose B", "B is correct";
5. a last or first line that is a letter, alone or with its text, or the text of one option.

Statements are recognised by the words that may stand in them and in the clause before them, not by
words that may not: what denies, doubts or limits a choice, or is somebody else's, is no choice.
Only what takes a choice back afterwards is a list of words. There is no default and no nearest
string. Every pattern has bounded repeats, so that time is linear in the length of a reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scalevqa_eval.scoring.options import (
    DENIAL,
    DENIED,
    LETTER,
    NONE,
    SEVERAL,
    STOP,
    Options,
    known_options,
)
from scalevqa_eval.scoring.said import (
    answer_tags,
    in_words,
    outside_thought,
    plain_characters,
    prose,
)
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
    known = known_options(tuple(sorted(options.items())))
    found, method = _ladder(_TURN.split(said.strip(), maxsplit=1)[0], known)
    if unclosed and found in ("empty", "nothing-found"):
        found = "truncated-think"
    return Extraction(found, method) if len(found) == 1 else Extraction(None, found)


_ERROR = re.compile(
    r"(?i)(?:<!doctype|<html|\[error\]|traceback \(|[\w.]{0,60}(?:error|exception)\s?[:(\[]|"
    r"\[?request[_ ](?:failed|timed out)|\{\s{0,3}[\"']error[\"']|(?:http|error) [45]\d\d\b)"
)
_TURN = re.compile(  # another speaker, or a further question
    r"(?i)(?<!^)(?:<[|｜][\w▁]{1,40}[|｜]>|<(?:/s|eos|endoftext|(?:start|end)_of_turn)>|\[/?INST\]"
    r"|\n[ *#]{0,6}(?:human|user|人类|用户)[ *]{0,3}:|(?<=[a-z.!?)*])(?:user|assistant)\n"
    r"|\n[ *#>]{0,6}(?:question|问题|题目|q)(?: ?#?(?:[2-9]|1\d)\b)?[ *]{0,3}[.:)])"
)
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
_NOUN = re.compile(
    r"(?<![a-z])(?:answers?|option|choice|ans|respuesta|opción|antwort|réponse|risposta|resposta"
    r"|ответ|diagnosis|(?:final|so|conclusion|response)(?=:))(?!\w)|答案|选项|答え|正解|정답"
    r"|(?<=[的佳故])诊断|(?<![不没])[选選][择擇]?",
    re.IGNORECASE,
)
_BEFORE = re.compile(  # what may stand before "answer" in its clause
    r"(?i)(?:^|[\n.!?:;,。”\"“【(\]}]\s?|[–—-]\s|(?![不没])[\u3040-\u9fff]|\s(?=(?-i:The ))|\b(?:so"
    r"|thus|therefore|hence|then|and|but|actually|(?:means?|conclude)(?: that)?|(?:no|not|n['’]t"
    r"|without) doubt(?: that)?|(?:based on|from|judging by|considering|given)(?: (?!that"
    r"|wh)\w{1,20}){2,4}(?= (?:the|my) )|(?:^|[\n.!?,] ?)(?:(?:I|we) (?:think|believe)|it(?: is"
    r"|['’]s) (?:clear|evident|obvious)|(?:I['’]m|I am|we are)(?: (?:very|quite|fairly|absolutely"
    r"|reasonably))? (?:sure|certain|confident|convinced))(?: that)?) )(?:(?:the|my|la|die"
    r"|a) )?(?:(?:(?:most )?(?:likely|accurate|appropriate|suitable|plausible|probable|fitting"
    r"|logical|reasonable|relevant)|final|correct|best|right|only|closest|richtige|korrekte|beste"
    r"|bonne|mejor|правильный|верный|selected|chosen)\s){0,3}$"
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
    r"if (?:forced|pressed|(?:only )?one (?:can|must|has to) be (?:chosen|picked)|(?:I|we) (?:had"
    r"|have|must|am|are|were)(?: forced)?(?: to)? (?:choose|pick|select|guess|answer"
    r"|decide))(?: to (?:choose|pick|guess|answer))?(?: (?:only )?(?:one|an? (?:single )?(?:answer"
    r"|option)))?(?=[,:])"
)
_EXAMPLE = re.compile(  # the sentence before a tag, a field or a box that is no answer
    r"(?i)\b(?:for example|example[:,]|eg\b|should be (?:given|written|put))"
    r"|\b(?:such as|look like|in the form(?: of)?)[^\w\n]{0,8}$"
    r"|^(?!.*\b(?:in|per|following|using|with|to) (?:\w+ ){0,3}format)"
    r".*\b(?:format|schema|template)\b"
    rf"|\b(?!{_FORCED})(?:if|unless|had|were)\b.*\bwould\b"
    r"|\b(?:could|might|not|wrong)\b[^,.!?\n]{0,20}\b(?:answer|write|say|reply|give|put)\b"
)
_ONLY_IF = re.compile(r"(?i)\W{0,4}(?:only )?(?:if|unless|provided)\b")  # what follows one
_CONDITION = re.compile(  # anywhere in the sentence before the answer
    rf"(?i)\b(?:(?!{_FORCED})if|unless|whether|suppos\w+|assum\w+|in case|as long as|on condition"
    r"|in the (?:absence|presence|event))\b|如果|若|假如|要是"
    r"|(?:排除|错|[不没](?![难过]))[^,:]{0,8}$|(?<!我)(?:认为|以为|说)|если|もし"
)
_LEAD = re.compile(  # how a sentence may begin whose last clause is the statement
    rf"(?i)[^\w.]*(?:$|[\u3040-\u9fff\uac00-\ud7a3]|{_FORCED}|(?:step|question) \d|(?:therefore"
    rf"|thus|so|hence|consequently|accordingly|finally|ultimately|overall|clearly|logically|however"
    rf"|but|and|now|also|okay|ok|well|yes|certainly|sure|(?:of|among) (?:the|these|all|my"
    rf"|(?-i:[A-Z]))|based|since|because|as(?! (?:my|one|an?|some)\b)|given|due|from|after|while"
    rf"|although|though|despite|correction|on (?:second|reflection|closer)|it is|it['’]s|I['’]m"
    rf"|I am|we are|in (?:this|these|conclusion|summary|short|brief|my|our|view|light|fact|general"
    rf"|the (?:given|image|picture|slide))|with (?:all|this|these|that)|for (?:this|these)"
    rf"|to (?:conclude|summari[sz]e|sum up|answer|be|find|determine|solve)|without (?:more|any"
    rf"|further|additional|clinical)|according to (?:(?:the|this|these) (?:provided "
    rf"|given )?(?:image|picture|slide|text|information|data|figure|graph|table|passage|findings"
    rf"|features|criteria)|WHO|the WHO)|(?!accord|suppos|assum|depend|provid|grant|barring"
    rf"|imagin)[\w-]+ing|final|answer|explanation|conclusion|solution|note|reasoning|diagnosis"
    rf"|result|response|a(?=:))\b)"
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
    r"(?i)[.!?;\n]\W{0,3}(?:(?:however|but|yet|or|unfortunately),? )?(?:(?:no|wait|hmm|actually"
    r"|sorry)(?=\s?[,.!:;—–]|$)|scratch|on (?:second|reflection)|correction|actually,? I|my mistake"
    r"|just kidding|(?:perhaps |maybe |rather |probably )?not(?: really| so| at all)?(?=\s?[.!?]|$)"
    r"|(?:please )?(?:forget|ignore|disregard|strike|cancel) (?:this|that|it|my answer|the above)\b"
    r"|I (?:was|am)(?: \w{1,12})? (?:wrong|mistaken|not sure|unsure)|I (?:retract|withdraw|revoke"
    r"|no longer|misread|changed? my mind|take (?:this|that|it) back|do(?: not|n['’]t) (?:agree"
    r"|think so|believe (?:this|that|it)))|(?:this|that|it)(?: (?:answer|option|choice))? (?:is"
    r"|was)(?: ?not|n['’]t) (?:the |a )?(?:correct |right )?(?:answer|option|choice)"
    r"|[^.!?\n]{0,40}\banswer is not (?:among|in|listed))"
    r"|[.。,;?]\s?(?:不(?:[,.。对]|$)|这是?错|我错|收回)"
    r"|\b(?:that|this|it) can(?:not|['’]t) (?:hold|be right)|\bcontradicts? (?:it|this"
    r"|that)(?=\s?[,.;!]|$)"
)
_THAT_IS_WRONG = (  # one of the two sentences after the answer %s, if it names no other letter
    r"(?:[^.!?;\n]{0,200}[.!?;\n]+[\s\W]{0,3}){1,2}(?:(?i:or|but|yet|however"
    r"|unfortunately),? )?(?:(?i:this|that|it|which)\b(?![^.!?,;\n]{0,60}(?<![A-Za-z])"
    r"(?!%s)[A-HJ-Z](?![A-Za-z&]))(?i:(?:(?! not | no |n['’]t)[^.!?,;\n]){0,40} (?:wrong|false"
    r"|incorrect|mistaken?|an error|nonsense|hasty|premature|untrue|first (?:guess|thought"
    r"|impression))\b|[^.!?,;\n]{0,20}(?: ?not\b|n['’]t\b| no\b)[^.!?\n]{0,30}\b(?:correct|right"
    r"|true|hold|answer|match)(?! to\b))|(?i:or (?:is|was) it|is it\?))"
)
_DENIES = (  # a sentence about the letter %s itself
    r"(?<![A-Za-z0-9])%s\)? (?:cannot|(?:is|was|does|can|could|would|has|shows)"
    r"(?: ?not\b|n['’]t\b| no | wrong| incorrect))"
)
_ITEM = re.compile(r"\W{0,3}(?:option )?[(\[]?([A-Z])(?:[).:\]]| ?[✗❌✘×✅✓]|$)", re.IGNORECASE)
_AFTER_CLAUSE = re.compile(r"[,:\"“](?!\n)")  # a statement after a clause, in the same line
_JOINED = re.compile(r"(?i), (?=and\b)|\b(?=(?:but|so|thus|therefore|hence)\b)")  # clause, clause
_BUT = re.compile(r"\A[^.!?\n]{1,100}[.!?;,\n] ?[Bb]ut\b")  # "(would be) B. But …"
_REFUSED = re.compile(r"(?i) ?(?:no|not|excluded|absent|unlikely)(?=\s?[.;!,]|$)")  # "X, no."
_NEXT = re.compile(r"[.!?;] (?=[A-Z])|\n")  # the next sentence


def _ladder(said: str, options: Options) -> tuple[str, str]:
    """The letter and the rung's name, or the reason why there is none."""
    for tag in reversed(answer_tags(said)):
        content = prose(tag[1][:_WINDOW])
        if not _PLACEHOLDER.fullmatch(content[:100]) and not _is_example(said, *tag.span()):
            found = _value(content, options) or ""
            return found if len(found) == 1 else "answer-tag-unreadable", "answer-tag"
    if not said or _ERROR.match(said):
        return "error-text" if said else "empty", ""
    text = prose(said if len(said) <= 2 * _WINDOW else f"{said[:_WINDOW]}\n{said[-_WINDOW:]}")
    stated, end = _stated(text, options), said[-_WINDOW:]
    for method, pattern, sign in (("json", _FIELD, ":"), ("boxed", _BOXED, "\\")):
        values = [*pattern.finditer(end)][-20:] if sign in said else ()
        values = [value for value in values if not _is_example(end, *value.span())]
        read = [_value(prose("".join(value.groups(""))), options) for value in values]
        if method == "json" and read:
            return (read[0] or DENIED) if len(set(read)) == 1 else SEVERAL, method
        if read and (boxed := read[-1]):
            return boxed if stated in (None, DENIED, boxed) else SEVERAL, method
    if stated:
        return stated, "statement"
    if found_line := _line(text, options):
        return found_line
    return "refusal" if _REFUSAL.search(text[:1000]) else "nothing-found", ""


def _value(text: str, options: Options) -> str | None:
    """What stands in a tag, a field or a box: an option, or a statement."""
    return options.read(text) or _stated(text, options)


def _is_example(text: str, start: int, after: int) -> bool:
    """Whether what stands here is in a sentence about another case, or about the format."""
    brace = text.rfind("{", max(0, start - 2000), start) + 1
    end = start if text[start] in "<\\" or not brace else brace - 1
    before = text[max(0, end - 200) : end].replace("e.g.", "eg")
    return bool(_EXAMPLE.search(STOP.split(before)[-1]) or _ONLY_IF.match(text, after))


def _stated(text: str, options: Options) -> str | None:
    """What the last statement says, if all agree with it or something shows that it counts."""
    found = list(_statements(text, options)) or list(_sentences(text, options))
    found = [one for one in found if one[0] != DENIED] or found[-1:]
    if not found:
        return None
    last, start, end = found[-1]
    for other, _, since in found[:-1]:
        if len(other) == 1 and other != last and not _SETTLED.search(text, since, start + 1):
            return SEVERAL
    return DENIED if len(last) == 1 and _taken_back(last, text, end) else last


def _taken_back(letter: str, text: str, end: int) -> bool:
    """Whether something after its place takes the letter back."""
    return bool(
        _TAKES_BACK.search(text, end)
        or re.compile(_THAT_IS_WRONG % letter).match(text, end)
        or re.compile(_DENIES % letter).search(text, end)
    )


def _statements(text: str, options: Options) -> Iterator[tuple[str, int, int]]:
    """ "The answer is B", "Answer: B" and the like: what it comes to, and where it stands."""
    for noun in _NOUN.finditer(text):
        link = _LINK.match(text, noun.end())
        before = link and _BEFORE.search(text, max(0, noun.start() - 60), noun.start())
        if not link or not before:
            continue
        following = text[link.end() : link.end() + 700]
        if said := options.read(following) or (NONE.match(following) and DENIED):
            since = max(0, noun.start() - 300)
            sentence = STOP.split(text[since : noun.start()])[-1]
            lead = _JOINED.split(STOP.split(text[since : before.start() + 1])[-1])[-1]
            if (
                _CONDITION.search(sentence)
                or (_AFTER_CLAUSE.match(before[0]) and not _LEAD.match(lead))
                or DENIAL.search(link[0])
                or ("would" in link[0] and _BUT.search(following))
            ):
                said = DENIED
            item = _ITEM.match(following.partition("\n")[2]) if link[0].endswith("\n") else None
            listed = item and item[1].upper() != said
            yield SEVERAL if listed else said, noun.start(), link.end() + 1


def _sentences(text: str, options: Options) -> Iterator[tuple[str, int, int]]:
    """Sentences that say no more than "So B", "I choose B", "B is correct"."""
    for start in _SENTENCE.finditer(text):
        rest = text[start.end() : start.end() + 700]
        if DENIAL.search(start["about"] or ""):
            continue
        if rest[0] in options.words and _RIGHT.match(rest, 1):
            yield rest[0], start.start(), start.end() + 1
        elif start["cue"] and (said := options.read(_NEXT.split(rest, maxsplit=1)[0], whole=True)):
            yield said, start.start(), start.end() + 1


def _line(text: str, options: Options) -> tuple[str, str] | None:
    """A last or first line that is a letter, and no item of a list, or an option's text."""
    lines = text.split("\n")
    items = {item[1].upper() for line in lines if (item := _ITEM.match(line))}
    for line in dict.fromkeys((lines[-1], lines[0])):
        if LETTER.match(line) and (found := options.read(line, whole=True)):
            several = len(lines) > 1 and items - {found}
            return SEVERAL if several else _kept(found, line, text), "letter"
    for line in (lines[-1], lines[0]):
        if found := options.with_text(line):
            return _kept(found, line, text), "option-text"
    clause, *rest = re.split(r"[.,!](?=\s|$)", lines[0], maxsplit=1)
    if not (found := options.with_text(clause)) or _REFUSED.match("".join(rest)):
        return None
    said = f" {in_words(text[:4000])} "
    others = (words for words in options.by_words if words not in options.words[found])
    if any(f" {words} " in said for words in others if len(words) > 1):
        return None
    return found, "option-text"


def _kept(found: str, line: str, text: str) -> str:
    """The letter of a first line, unless what follows takes it back, or of a last line, unless
    the sentence before it is a rejection ("I would rule out:").
    """
    if len(found) == 1 and text.partition("\n")[0] == line:
        return DENIED if _taken_back(found, text, len(line)) else found
    before = STOP.split(text[: -len(line) - 1][-300:])[-1]
    return DENIED if DENIAL.search(before) or NONE.match(before) else found
