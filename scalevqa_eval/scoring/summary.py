"""Records → `summary.json`: every share as k of n with a clustered interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from statistics import median
from typing import Any

from scalevqa_eval.models.prices import cost
from scalevqa_eval.scoring.groups import groups_of
from scalevqa_eval.scoring.rows import COUNTS, QuestionFacts, Row, Tally, Tokens, choices
from scalevqa_eval.statistics import Interval, chance_corrected, cluster_interval, macro_average
from scalevqa_eval.types import Outcome, Record, Usage

FORMAT = 1


def summarise(
    questions: Sequence[QuestionFacts],
    records: Iterable[Record] | Tally,
    *,
    manifest: Mapping[str, Any] | None = None,
    dimensions: Sequence[str] = (),
    seconds: float | None = None,
) -> dict[str, Any]:
    """The summary of one run, as JSON values.

    `questions` are those of the run's condition; `dimensions` gives the order of the table.
    Questions without an answer (errors, or not asked yet) are in no denominator: the summary
    then has `complete` false and counts them as `errors` and `unanswered`. Raises ValueError
    as a Tally does.
    """
    manifest = manifest or {}
    benchmark, prompt = manifest.get("benchmark", {}), manifest.get("prompt", {})
    model, style = str(manifest.get("model", {}).get("name", "")), str(prompt.get("style", ""))
    if isinstance(records, Tally):
        tally = records
    else:
        tally = Tally({question.id: question for question in questions}, manifest)
        for record in records:
            tally.add(record)
    scored = tally.scored
    answered = [question for question in questions if question.id in scored]
    kept = [scored[question.id] for question in answered]
    scores = [row.score for row in kept]
    slides = [question.slide for question in answered]
    names = [question.dimension for question in answered]
    asked = {question.dimension: None for question in questions}
    is_open = bool(questions) and not any(map(choices, questions))
    micro = _accuracy(scores, slides)
    by_dimension = {
        name: _accuracy(
            [score for score, own in zip(scores, names, strict=True) if own == name],
            [slide for slide, own in zip(slides, names, strict=True) if own == name],
        )
        for name in dict.fromkeys([*dimensions, *asked])
        if name in asked
    }
    macro, macro_interval = macro_average(scores, slides, names)
    summary = {
        "format": FORMAT,
        "complete": len(kept) == len(questions),
        "benchmark": benchmark.get("name", ""),
        "revision": benchmark.get("revision", ""),
        "split": benchmark.get("split", ""),
        "model": model,
        "condition": manifest.get("condition", ""),
        "prompt": style,
        "measure": "normalised exact match" if is_open else "accuracy",
        "n": len(kept),
        "questions": len(questions),
        "unanswered": len(questions) - len(kept),
        "errors": tally.errors,
        "not_applicable": int(manifest.get("not_applicable", 0)),
        "correct": sum(scores),
        "accuracy": micro["accuracy"],
        "ci": micro["ci"],
        "ci_method": micro["ci_method"],
        "clusters": len(set(slides) - {None}) + slides.count(None),
        "micro": micro,
        "macro": {
            "dimensions": len(set(names)),
            "accuracy": macro if kept else None,
            **_interval(macro_interval),
        },
        "chance": _chance(answered, scores),
        "by_dimension": by_dimension,
        "groups": groups_of(
            questions,
            [scored[q.id].score if q.id in scored else None for q in questions],
            [question.slide for question in questions],
        ),
        "outcomes": {
            outcome.value: sum(row.outcome is outcome for row in kept)
            for outcome in Outcome
            if outcome.scored
        },
        "measures": _measures(kept, slides) if is_open else {},
        "position_bias": {} if is_open else _positions(answered, kept),
        "format_adherence": _adherence(kept),
        "tokens": _tokens([row.usage for row in kept]),
        "cost": _cost(model, [row.usage for row in kept]),
        "cached_replies": sum(row.latency is None for row in kept),
        "latency": _latency(kept),
        "seconds": None if seconds is None else round(seconds, 3),
    }
    if "reader" in manifest:  # its letters count like all others, and are told apart
        read = [row for row in kept if row.read is not None]
        used = [row.read for row in read if row.read is not None]
        reader = str(manifest["reader"]["name"])
        summary["reader"] = {
            "model": reader,
            "asked": len(read),
            "letters": sum(row.letter is not None for row in read),
            "correct": sum(row.score for row in read),
            "tokens": _tokens(used),
            "cost": _cost(reader, used),
        }
    rounded: dict[str, Any] = _rounded(summary)
    return rounded


def _accuracy(scores: Sequence[int], slides: Sequence[str | None]) -> dict[str, Any]:
    n, correct = len(scores), sum(scores)
    interval = _interval(cluster_interval(scores, slides))
    return {"n": n, "correct": correct, "accuracy": _share(correct, n), **interval}


def _measures(kept: Sequence[Row], slides: Sequence[str | None]) -> dict[str, dict[str, Any]]:
    """Means of the open measures with intervals; token F1 is no share of questions."""
    found = {}
    for name in dict.fromkeys(name for row in kept for name in row.measures or ()):
        values = [float((row.measures or {}).get(name, 0.0)) for row in kept]
        interval = cluster_interval([min(max(value, 0.0), 1.0) for value in values], slides)
        total = sum(values)
        mean = {"n": len(kept), "sum": total, "mean": total / len(kept)}
        found[name] = mean | _interval(interval)
    return found


def _chance(answered: Sequence[QuestionFacts], scores: Sequence[int]) -> dict[str, Any] | None:
    """Accuracy of guessing (mean of 1/K) and the accuracy corrected for it."""
    sizes = [choices(question) for question in answered]
    if not sizes or not all(sizes):
        return None
    chance = sum(1 / k for k in sizes) / len(sizes)
    return {
        "accuracy": chance,
        "corrected": chance_corrected(sum(scores) / len(scores), chance),
    }


def _positions(answered: Sequence[QuestionFacts], kept: Sequence[Row]) -> dict[str, Any]:
    """How often each letter was chosen, among the replies with a letter, and was right."""
    chosen = Counter(row.letter for row in kept if row.letter)
    right = Counter(question.answer for question in answered if choices(question))
    return {
        letter: {
            "chosen": chosen[letter],
            "of_chosen": chosen.total(),
            "chosen_share": _share(chosen[letter], chosen.total()),
            "answers": right[letter],
            "of_answers": right.total(),
            "answers_share": _share(right[letter], right.total()),
        }
        for letter in sorted(chosen.keys() | right.keys())
    }


def _adherence(kept: Sequence[Row]) -> dict[str, Any] | None:
    """Replies in the form that the prompt asked for, of those written as text."""
    replies = [row.followed for row in kept if row.followed is not None]
    count, n = sum(replies), len(replies)
    return {"followed": count, "n": n, "share": count / n} if n else None


def _tokens(used: Sequence[Tokens]) -> dict[str, int | None]:
    """Totals; None if no reply said. `replies_without` counts those that did not."""
    totals: dict[str, int | None] = {}
    for place, name in enumerate(COUNTS):
        known = [count for counts in used if (count := counts[place]) is not None]
        totals[name] = sum(known) if known else None
    totals["replies_without"] = sum(counts[0] is None for counts in used)
    return totals


def _cost(model: str, used: Sequence[Tokens]) -> float | None:
    """US dollars of all replies, those from the cache included; None if a price is unknown."""
    priced = cache(lambda counts: cost(model, Usage(*counts)))
    prices = [priced(counts) for counts in used]
    known = [price for price in prices if price is not None]
    return sum(known, 0.0) if len(known) == len(prices) else None


def _latency(kept: Sequence[Row]) -> dict[str, float] | None:
    """Seconds a reply took: median and the 95th percentile (nearest rank)."""
    times = sorted(row.latency for row in kept if row.latency is not None)
    if not times:
        return None
    place = -(-95 * len(times) // 100) - 1
    return {"median": round(median(times), 3), "p95": round(times[place], 3)}


def _share(count: int, n: int) -> float | None:
    return count / n if n else None


def _interval(interval: Interval) -> dict[str, Any]:
    return {"ci": [interval.low, interval.high], "ci_method": interval.method}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value
