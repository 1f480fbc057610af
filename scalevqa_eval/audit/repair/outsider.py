"""A family of probes that takes no part in repairs: boosted trees, and runs of characters.

What a repair removed was chosen by linear models of words and by kernels of structure. These see
other features (characters) or the same ones in another way (trees), so that what they still find
was not selected against.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from scalevqa_eval.audit.crossval import credit
from scalevqa_eval.audit.evidence import Evidence, standardised
from scalevqa_eval.audit.folds import fold_count, make_folds
from scalevqa_eval.audit.table import gold_offsets, make_table
from scalevqa_eval.audit.tokens import normalise
from scalevqa_eval.types import Question

NAMES = {
    "trees": "boosted trees on structure (took no part in the selection)",
    "characters": "runs of 3 to 5 characters (took no part in the selection)",
}
_FEATURES = 30_000

Floats = npt.NDArray[np.float64]


def outsider_credits(
    questions: Sequence[Question], clusters: Sequence[str], seed: int
) -> dict[str, list[float]]:
    """Credit per question (in the given order) of each outsider, cross-validated by cluster.

    Empty if no two folds can be made.
    """
    count = fold_count(len(questions), len(set(clusters)))
    if not count:
        return {}
    table = make_table(questions)
    gold = gold_offsets(table, questions)
    fold = make_folds([clusters[i] for i in table.order], count, seed)
    right = np.zeros(table.rows, dtype=int)
    right[table.start + gold] = 1
    evidence = Evidence(table)
    shape = standardised(table, evidence.structure.values)
    texts = [normalise(text) for text in table.texts]
    scores = {name: np.zeros((table.rows, 1)) for name in NAMES}
    for k in range(count):
        train, test = (fold != k)[table.owner], (fold == k)[table.owner]
        trees = HistGradientBoostingClassifier(
            max_iter=80, learning_rate=0.08, max_leaf_nodes=8, min_samples_leaf=10,
            l2_regularization=1.0, random_state=seed,
        )  # fmt: skip
        trees.fit(shape[train], right[train])
        scores["trees"][test, 0] = trees.predict_proba(shape[test])[:, 1]
        vectors = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), min_df=2, max_features=_FEATURES,
            sublinear_tf=True,
        )  # fmt: skip
        chosen = [text for text, kept in zip(texts, train, strict=True) if kept]
        held = [text for text, kept in zip(texts, test, strict=True) if kept]
        try:
            known = vectors.fit_transform(chosen)
        except ValueError:  # no run of characters occurs twice
            continue
        linear = LogisticRegression(C=10.0, max_iter=200)
        linear.fit(known, right[train])
        scores["characters"][test, 0] = linear.decision_function(vectors.transform(held))
    found = {}
    for name, values in scores.items():
        per_question = credit(table, values, gold[:, None])[:, 0]
        ordered = np.empty(table.n)
        ordered[table.order] = np.clip(per_question, 0.0, 1.0)
        found[name] = [float(value) for value in ordered]
    return found
