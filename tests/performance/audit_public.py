"""Audits of public benchmarks beside a simple reader by another hand.

    git clone --depth 1 https://github.com/AoiDragon/POPE FOLDER/POPE
    git clone --depth 1 https://github.com/junyangwang0410/AMBER FOLDER/AMBER
    git clone --depth 1 https://github.com/doc-doc/NExT-QA FOLDER/NExT-QA
    git clone --depth 1 https://github.com/JoseponLee/IntentQA FOLDER/IntentQA
    python tests/performance/audit_public.py FOLDER [NAME ...]

Their texts are read where they lie. The simple reader is scikit-learn alone: words of the option,
and each word of the question joined with each of the option, in a logistic regression on other
images; it answers with its likeliest option. Where it is well above `combined`, the audit has a
hole.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from scalevqa_eval.audit import audit
from scalevqa_eval.statistics import cluster_interval
from scalevqa_eval.types import LETTERS, Benchmark, Question, View

YES_NO = ["yes", "no"]


def _item(image: str, text: str, options: list[str], right: int, kind: str) -> dict[str, Any]:
    return {"image": image, "text": text, "options": options, "right": right, "kind": kind}


def pope(folder: Path, file: str) -> Iterator[dict[str, Any]]:
    for line in (folder / "POPE/output/coco" / file).read_text().splitlines():
        row = json.loads(line)
        yield _item(row["image"], row["text"], YES_NO, YES_NO.index(row["label"]), "object")


def amber(folder: Path) -> Iterator[dict[str, Any]]:
    data = folder / "AMBER/data"
    truth = {row["id"]: row for row in json.loads((data / "annotations.json").read_text())}
    for row in json.loads((data / "query/query_discriminative.json").read_text()):
        found = truth[row["id"]]
        kind = found["type"].removeprefix("discriminative-").split("-")[0]
        yield _item(row["image"], row["query"], YES_NO, YES_NO.index(found["truth"]), kind)


def videos(path: Path, column: str) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        for row in csv.DictReader(file):
            options = [row[f"a{k}"] for k in range(5)]
            yield _item(row[column], row["question"], options, int(row["answer"]), row["type"][0])


SETS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    "POPE random": lambda f: pope(f, "coco_pope_random.json"),
    "POPE popular": lambda f: pope(f, "coco_pope_popular.json"),
    "POPE adversarial": lambda f: pope(f, "coco_pope_adversarial.json"),
    "AMBER": amber,
    "NExT-QA val": lambda f: videos(f / "NExT-QA/dataset/nextqa/val.csv", "video"),
    "IntentQA test": lambda f: videos(f / "IntentQA/datasets/IntentQA/test.csv", "video_id"),
}


def benchmark(name: str, items: list[dict[str, Any]]) -> Benchmark:
    questions = tuple(
        Question(
            id=f"q{k:06d}", text=item["text"], dimension=item["kind"],
            options=dict(zip(LETTERS, item["options"], strict=False)),
            answer=LETTERS[item["right"]], views=(View("single", item["image"]),),
            slide=item["image"],
        )
        for k, item in enumerate(items)
    )  # fmt: skip
    kinds = tuple(dict.fromkeys(item["kind"] for item in items))
    return Benchmark(name, "public", "test", questions, dimensions=kinds)


def simple(items: list[dict[str, Any]]) -> tuple[float, tuple[float, float]]:
    """Accuracy of the simple reader by grouped cross-validation, with a clustered interval."""
    texts, right, owner = [], [], []
    for k, item in enumerate(items):
        asked = re.findall(r"\w+", item["text"].lower())
        for place, option in enumerate(item["options"]):
            said = re.findall(r"\w+", option.lower())
            texts.append(" ".join(said + [f"{a}_{s}" for a in set(asked) for s in set(said)]))
            right.append(place == item["right"])
            owner.append(k)
    features = TfidfVectorizer(token_pattern=r"\S+", min_df=2).fit_transform(texts)
    gold, owners = np.array(right), np.array(owner)
    groups = np.array([items[k]["image"] for k in owner])
    correct = np.zeros(len(items))
    for train, test in GroupKFold(5, shuffle=True, random_state=0).split(texts, gold, groups):
        model = LogisticRegression(C=10, max_iter=300).fit(features[train], gold[train])
        score = model.decision_function(features[test])
        starts = np.flatnonzero(np.diff(owners[test], prepend=-1))
        sizes = np.diff(starts, append=len(test))
        best = score == np.repeat(np.maximum.reduceat(score, starts), sizes)
        right_best = np.add.reduceat(gold[test] & best, starts)
        correct[owners[test][starts]] = right_best / np.add.reduceat(best, starts)
    found = cluster_interval(correct, [item["image"] for item in items])
    return float(correct.mean()), found.ends


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(SETS)
    for name in names:
        items = list(SETS[name](folder))
        begin = time.perf_counter()
        report = audit(benchmark(name, items), permutations=40, seeds=1, look_at_data=False)
        wall = time.perf_counter() - begin
        print(f"{name}: {len(items):,} questions, {report.verdict} ({wall:.0f} s)")
        one, whole = report.strata[0], report.whole_file[0]
        for title, stratum in (("one question at a time", one), ("whole file", whole)):
            share = stratum.best.share
            low, high = share.ci
            print(f"  {title}: {stratum.best.name} {share.correct:.0f}/{share.n} = "
                  f"{share.accuracy:.1%} ({low:.1%} to {high:.1%}); base rate "
                  f"{share.base_rate:.1%}, p {stratum.p_adjusted:.3f}")  # fmt: skip
        accuracy, (low, high) = simple(items)
        print(f"  simple reader: {accuracy:.1%} ({low:.1%} to {high:.1%})", flush=True)


if __name__ == "__main__":
    main()
