"""What guessing would give: the right options relabelled, slide by slide.

A redraw takes, for each slide and each set of options that is asked there, one random permutation
of the options, and applies it to the right option of all those questions. So answers that hang
together in a slide (fifteen questions about its grade) still hang together in every redraw. A set
of options that a slide has once is relabelled by itself, which is a uniform draw.

The null hypothesis: given the texts, which of a slide's option names is the right one is as likely
as any relabelling of it, independently between slides. Under it the real labels and all redrawn
ones are exchangeable, whatever the dependence within a slide and set of options, and a p-value
from their ranks is exact for any statistic. Redraws go through the whole pipeline (all folds, the
inner folds of the combination too), so that whatever it makes of chance is in the distribution.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.table import Ints, Table, numbered

Floats = npt.NDArray[np.float64]

DRAWS = 9_999
"""For answers that are given (rules, other models): no fit is repeated, so many cost little."""
_CELLS = 20_000_000
_MANY = 400
"""Groups from which on their independent, bounded sums are drawn from the normal distribution."""


def relabelled_together(table: Table, clusters: Ints) -> Ints:
    """A number per question: equal for questions of one cluster with one set of options."""
    return numbered(list(zip(clusters.tolist(), table.option_set.tolist(), strict=True)))


def redraw(sizes: Ints, groups: Ints, gold: Ints, times: int, seed: int) -> Ints:
    """Relabelled right options (questions, times); `gold` counts options from 0."""
    rng = np.random.default_rng([seed, 53])
    result = np.empty((len(sizes), times), dtype=np.intp)
    for size in np.unique(sizes):
        chosen = np.flatnonzero(sizes == size)
        code = numbered(groups[chosen].tolist())
        step = max(1, _CELLS // (int(size) * (int(code.max()) + 1)))
        for first in range(0, times, step):
            block = slice(first, min(times, first + step))
            wanted = result[:, block].shape[1]
            moved = rng.random((int(code.max()) + 1, wanted, int(size))).argsort(-1)
            result[chosen, block] = moved[code, :, gold[chosen]]
    return result


def possible(sizes: Ints, groups: Ints) -> float:
    """How many different redraws there are (infinite if more than a float holds)."""
    _, first = np.unique(groups, return_index=True)
    return float(np.exp(min(700.0, sum(np.log(np.arange(1, k + 1)).sum() for k in sizes[first]))))


def given_answers(
    credits: Floats, sizes: Ints, groups: Ints, gold: Ints, *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """P-values (above, below chance) of answers that no redraw changes.

    `credits` has one entry per option, in the questions' order: what choosing it would be worth
    (1 for the chosen one, 1/m for each of m tied ones). The statistic is the sum over questions.
    """
    rng = np.random.default_rng([seed, 59])
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    observed = float(credits[start + gold].sum())
    total = np.zeros(draws)
    code = numbered(groups.tolist())
    single = np.bincount(code)[code] == 1
    owner = np.repeat(np.arange(len(sizes)), sizes)
    top = np.bincount(owner, weights=credits > 0, minlength=len(sizes)).astype(np.intp)
    alone = np.column_stack([sizes[single], top[single]])
    for (size, ties), count in zip(*np.unique(alone, axis=0, return_counts=True), strict=True):
        if ties:
            total += rng.binomial(int(count), ties / size, draws) / ties
    for size in np.unique(sizes[~single]):
        chosen = np.flatnonzero(~single & (sizes == size))
        values = credits[start[chosen][:, None] + np.arange(size)]
        total += _shared(values, numbered(code[chosen].tolist()), gold[chosen], draws, rng)
    above = (1 + int((total >= observed - 1e-6).sum())) / (draws + 1)
    below = (1 + int((total <= observed + 1e-6).sum())) / (draws + 1)
    return above, below


def _shared(values: Floats, code: Ints, gold: Ints, draws: int, rng: np.random.Generator) -> Floats:
    """Sums of groups of questions that are relabelled together; `values` (questions, options)."""
    size, count = values.shape[1], int(code.max()) + 1
    worth = np.zeros((count, size, size))  # of a group if its right option l is relabelled to k
    np.add.at(worth, (code, gold), values)
    if count > _MANY:
        centred = worth - worth.mean(1, keepdims=True)
        centred -= centred.mean(2, keepdims=True)
        variance = float((centred**2).sum() / (size - 1))
        return np.asarray(rng.normal(worth.sum() / size, np.sqrt(variance), draws))
    total = np.empty(draws)
    step = max(1, _CELLS // (count * size))
    for first in range(0, draws, step):
        wanted = min(step, draws - first)
        moved = rng.random((wanted, count, size)).argsort(-1)
        drawn = worth[np.arange(count)[:, None], np.arange(size), moved]
        total[first : first + wanted] = drawn.sum((1, 2))
    return total
