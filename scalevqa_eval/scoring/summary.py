"""Records → `summary.json`: every share as k of n with a clustered interval."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any, Protocol

from scalevqa_eval.models.prices import cost
from scalevqa_eval.scoring.groups import groups_of
from scalevqa_eval.scoring.reader import READ
from scalevqa_eval.statistics import Interval, chance_corrected, cluster_interval, macro_average
from scalevqa_eval.types import LETTERS, Outcome, Record, Usage

FORMAT = 1
_DIGITS = 6
_NOTHING: Mapping[str, float] = {}
_SCORED = tuple(outcome for outcome in Outcome if outcome.scored)


class QuestionFacts(Protocol):
    """What a summary needs of a question: a Question or a QuestionKey of a run."""

    @property
    def id(self) -> str: ...
    @property
    def dimension(self) -> str: ...
    @property
    def slide(self) -> str | None: ...
    @property
    def answer(self) -> str: ...


_Tokens = tuple[int | None, ...]
_COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True)
class _Row:
    """What the numbers need of a record: the texts of a long run do not fit into memory.

    `usage` has prompt, cached and completion tokens, `read` those of the reader (None if it did
    not see the reply); `followed` says whether the reply has the form that the prompt asked for
    (None: there is no text, or the form is not known).
    """

    outcome: Outcome
    letter: str | None
    read: _Tokens | None
    usage: _Tokens
    latency: float
    cached: bool
    followed: bool | None
    measures: Mapping[str, float]

    @property
    def score(self) -> int:
        return int(self.outcome is Outcome.CORRECT)

    @classmethod
    def of(cls, record: Record, question: QuestionFacts, style: str) -> _Row:
        count = record.usage.get
        return cls(
            record.outcome,
            record.letter,
            tuple(count(f"reader_{name}") for name in _COUNTS) if record.method in READ else None,
            tuple(map(count, _COUNTS)),
            record.latency,
            record.cached,
            None if record.logprobs is not None else _followed(question, record.text, style),
            record.measures or _NOTHING,
        )


def summarise(
    questions: Sequence[QuestionFacts],
    records: Iterable[Record],
    *,
    manifest: Mapping[str, Any] | None = None,
    dimensions: Sequence[str] = (),
    seconds: float | None = None,
) -> dict[str, Any]:
    """The summary of one run, as JSON values.

    `questions` are those of the run's condition; `dimensions` gives the order of the table.
    Questions without an answer (errors, or not asked yet) are in no denominator: the summary
    then has `complete` false and counts them as `errors` and `unanswered`. Raises ValueError
    for a record of no question in the list, or two answers to one question.
    """
    manifest = manifest or {}
    by_id = {question.id: question for question in questions}
    model = manifest.get("model", {})
    prompt = manifest.get("prompt", {})
    baseline = str(model.get("name", "")).startswith("baseline/")  # they do not read the prompt
    style = "" if baseline else str(prompt.get("style", ""))
    scored, errors = _by_question(by_id, records, style)
    answered = [question for question in questions if question.id in scored]
    kept = [scored[question.id] for question in answered]
    scores = [record.score for record in kept]
    slides = [question.slide for question in answered]
    names = [question.dimension for question in answered]
    order = list(dict.fromkeys([*dimensions, *(question.dimension for question in questions)]))
    is_open = bool(questions) and not any(_choices(question) for question in questions)
    micro = counted(scores, slides)
    macro, macro_ci = macro_average(scores, slides, names)
    benchmark = manifest.get("benchmark", {})
    by_dimension = {
        name: counted(
            [s for s, d in zip(scores, names, strict=True) if d == name],
            [c for c, d in zip(slides, names, strict=True) if d == name],
        )
        for name in order
        if any(question.dimension == name for question in questions)
    }
    summary = {
        "format": FORMAT,
        "complete": len(kept) == len(questions),
        "benchmark": benchmark.get("name", ""),
        "revision": benchmark.get("revision", ""),
        "split": benchmark.get("split", ""),
        "model": model.get("name", ""),
        "condition": manifest.get("condition", ""),
        "prompt": prompt.get("style", ""),
        "measure": "normalised exact match" if is_open else "accuracy",
        "n": len(kept),
        "questions": len(questions),
        "unanswered": len(questions) - len(kept),
        "errors": errors,
        "not_applicable": int(manifest.get("not_applicable", 0)),
        "correct": sum(scores),
        "accuracy": micro["accuracy"],
        "ci": micro["ci"],
        "ci_method": micro["ci_method"],
        "clusters": len({slide for slide in slides if slide is not None}) + slides.count(None),
        "micro": micro,
        "macro": {
            "dimensions": sum(1 for row in by_dimension.values() if row["n"]),
            "accuracy": _rounded(macro) if kept else None,
            "ci": _ends(macro_ci),
            "ci_method": macro_ci.method,
        },
        "chance": _chance(answered, scores),
        "by_dimension": by_dimension,
        "groups": groups_of(
            questions,
            [scored[q.id].score if q.id in scored else None for q in questions],
            [question.slide for question in questions],
        ),
        "outcomes": {
            outcome.value: sum(record.outcome is outcome for record in kept) for outcome in _SCORED
        },
        "measures": _measures(kept, slides) if is_open else {},
        "position_bias": {} if is_open else _positions(answered, kept),
        "format_adherence": _adherence(kept),
        "tokens": _tokens([row.usage for row in kept]),
        "cost": _cost(str(model.get("name", "")), [row.usage for row in kept]),
        "cached_replies": sum(record.cached for record in kept),
        "latency": _latency(kept),
        "seconds": None if seconds is None else round(seconds, 3),
    }
    if "reader" in manifest:  # its letters count like all others, and are told apart
        read = [row for row in kept if row.read is not None]
        used = [row.read for row in read if row.read is not None]
        name = str(manifest["reader"]["name"])
        summary["reader"] = {
            "model": name,
            "asked": len(read),
            "letters": sum(row.letter is not None for row in read),
            "correct": sum(row.score for row in read),
            "tokens": _tokens(used),
            "cost": _cost(name, used),
        }
    return summary


def counted(scores: Sequence[int], slides: Sequence[str | None]) -> dict[str, Any]:
    """n, correct, accuracy (None for n = 0), ci [low, high] and ci_method of 0/1 scores."""
    interval = cluster_interval(scores, slides)
    n, correct = len(scores), sum(scores)
    return {
        "n": n,
        "correct": correct,
        "accuracy": _rounded(correct / n) if n else None,
        "ci": _ends(interval),
        "ci_method": interval.method,
    }


def _by_question(
    by_id: Mapping[str, QuestionFacts], records: Iterable[Record], style: str
) -> tuple[dict[str, _Row], int]:
    scored: dict[str, _Row] = {}
    failed: set[str] = set()
    for record in records:
        if record.question_id not in by_id:
            raise ValueError(f"record of {record.question_id!r}, which is no question of this run")
        if not record.outcome.scored:
            failed.add(record.question_id)
        elif record.question_id in scored:
            raise ValueError(f"question {record.question_id!r} is answered twice")
        else:
            question = by_id[record.question_id]
            scored[question.id] = _Row.of(record, question, style)
    return scored, len(failed - scored.keys())


def _choices(question: QuestionFacts) -> int:
    """The number of options: a Question has them, a QuestionKey counts them; 0 if open."""
    count = getattr(question, "n_options", None)
    return int(count) if count is not None else len(getattr(question, "options", ()))


def _chance(answered: Sequence[QuestionFacts], scores: Sequence[int]) -> dict[str, Any] | None:
    """Accuracy of guessing (mean of 1/K) and the accuracy corrected for it."""
    choices = [_choices(question) for question in answered]
    if not choices or not all(choices):
        return None
    chance = sum(1 / k for k in choices) / len(choices)
    corrected = chance_corrected(sum(scores) / len(scores), chance)
    return {"accuracy": _rounded(chance), "corrected": _rounded(corrected)}


def _positions(
    answered: Sequence[QuestionFacts], kept: Sequence[_Row]
) -> dict[str, dict[str, Any]]:
    """How often each letter was chosen, among the replies with a letter, and was right."""
    chosen = Counter(record.letter for record in kept if record.letter)
    right = Counter(question.answer for question in answered if _choices(question))
    letters = sorted(chosen.keys() | right.keys())
    of_chosen, of_right = chosen.total(), right.total()
    return {
        letter: {
            "chosen": chosen[letter],
            "of_chosen": of_chosen,
            "chosen_share": _rounded(chosen[letter] / of_chosen) if of_chosen else None,
            "answers": right[letter],
            "of_answers": of_right,
            "answers_share": _rounded(right[letter] / of_right) if of_right else None,
        }
        for letter in letters
    }


def _followed(question: QuestionFacts, text: str, style: str) -> bool | None:
    """Whether a reply has exactly the form that the prompt asked for.

    None for a user's own prompt, whose form is not known.
    """
    last = text.strip().rpartition("\n")[2].strip()
    letters = _letters(question)
    if style.startswith("scalereasoner"):
        return format_followed(text, letters)
    if style.startswith("cot"):
        return last.startswith("Answer: ") and last.removeprefix("Answer: ") in letters
    if style.startswith("open"):
        return text.rstrip().endswith("</answer>") and text.count("<answer>") == 1
    return text.strip() in letters if style.startswith("direct") else None


def format_followed(text: str, letters: Collection[str]) -> bool:
    """Whether a reply is `<think>…</think> <answer>X</answer>` and nothing else, X an option."""
    form = re.fullmatch(
        r"<think>(.*?)</think>\s*<answer>\s*([A-Z])\s*</answer>", text.strip(), re.DOTALL
    )
    if not form or not form[1].strip() or any(tag in form[1] for tag in ("<think>", "<answer>")):
        return False
    return form[2] in letters


def _adherence(kept: Sequence[_Row]) -> Any:
    """Replies in the form that the prompt asked for, of those written as text."""
    replies = [row.followed for row in kept if row.followed is not None]
    if not replies:
        return None
    count = sum(replies)
    return {"followed": count, "n": len(replies), "share": _rounded(count / len(replies))}


def _letters(question: QuestionFacts) -> tuple[str, ...]:
    options = getattr(question, "options", None)
    return tuple(options) if options is not None else tuple(LETTERS[: _choices(question)])


def _tokens(used: Sequence[_Tokens]) -> dict[str, int | None]:
    """Totals; None if no reply said. `replies_without` counts those that did not."""
    totals: dict[str, int | None] = {}
    for place, name in enumerate(_COUNTS):
        known = [count for counts in used if (count := counts[place]) is not None]
        totals[name] = sum(known) if known else None
    totals["replies_without"] = sum(counts[0] is None for counts in used)
    return totals


def _cost(model: str, used: Sequence[_Tokens]) -> float | None:
    """US dollars of all replies, those from the cache included; None if a price is unknown."""
    priced = cache(lambda counts: cost(model, Usage(*counts)))
    total = 0.0
    for counts in used:
        price = priced(counts)
        if price is None:
            return None
        total += price
    return _rounded(total)


def _latency(kept: Sequence[_Row]) -> dict[str, float] | None:
    """Seconds a reply took: median and the 95th percentile (nearest rank)."""
    times = sorted(record.latency for record in kept if not record.cached)
    if not times:
        return None
    place = min(len(times) - 1, -(-95 * len(times) // 100) - 1)
    return {"median": round(median(times), 3), "p95": round(times[place], 3)}


def _measures(kept: Sequence[_Row], slides: Sequence[str | None]) -> dict[str, dict[str, Any]]:
    """Means of the open measures with intervals; token F1 is no share of questions."""
    names = dict.fromkeys(name for record in kept for name in record.measures)
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        values = [float(record.measures.get(name, 0.0)) for record in kept]
        interval = cluster_interval([min(max(value, 0.0), 1.0) for value in values], slides)
        found[name] = {
            "n": len(values),
            "sum": _rounded(sum(values)),
            "mean": _rounded(sum(values) / len(values)),
            "ci": _ends(interval),
            "ci_method": interval.method,
        }
    return found


def _ends(interval: Interval) -> list[float]:
    return [_rounded(interval.low), _rounded(interval.high)]


def _rounded(value: float) -> float:
    return round(value, _DIGITS)


__all__ = ["QuestionFacts", "counted", "summarise"]
