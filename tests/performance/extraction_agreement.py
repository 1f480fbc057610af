"""How the ladder reads a log of replies, beside a short reader (run me by hand).

    python tests/performance/extraction_agreement.py replies.jsonl [--show 20]

A line of the log is {"reply": text, "options": {"A": text, …}}. Prints how often each finds a
letter, how often they say the same, and which replies to judge by eye: those on which they differ
and those that only one of them reads.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from scalevqa_eval.scoring.extract import extract_answer


def short_reader(text: str, options: Mapping[str, str]) -> str | None:
    """Tag, box, last "answer is B" or label, bare letter, option text: no clause is looked at."""
    letters = "".join(options)
    text = re.sub(r"(?s)<think>.*?</think>", "", text).rpartition("</think>")[2]
    if "<think>" in text:
        return None
    first = re.split(r"\n\s*(?:Question|Q|User|Human)\s*:", text)[0]
    text = re.sub(r"[*`$]|</s>|\\text|\\\(|\\\)", "", first if first.strip() else text)
    if tags := re.findall(r"(?s)<answer>(.*?)</answer>", text):
        return _value(tags[-1], options)
    boxed = re.findall(r"\\boxed\{(?:\{)?([^{}]*)\}", text)
    if boxed and (letter := _value(boxed[-1], options)):
        return letter
    stated = re.findall(
        r"(?i:answer|option|choice)(?i:(?: \w+){0,6}? is|:)\s*:?\s*(?i:option |choice )?"
        rf"[(\[{{]*([{letters}])(?![A-Za-z0-9'])",
        text,
    ) or re.findall(rf"(?:答案|选)(?:是|为|：|:|选项)*\s*[（(]?([{letters}])(?![A-Za-z0-9'])", text)
    if stated:
        return str(stated[-1])
    lines = [line for line in text.strip().split("\n") if line.strip()]
    for line in (text, *lines[:1], *lines[-1:]):
        if letter := _value(line, options):
            return letter
    return None


def _value(value: str, options: Mapping[str, str]) -> str | None:
    value = value.strip(" .*\n")
    match = re.fullmatch(r"(?s)[(\[]?([A-Za-z])[)\]]?(?:[.:)\s].*)?", value)
    if match and match[1].upper() in options and (len(value) < 4 or match[1].isupper()):
        return match[1].upper()
    same = [letter for letter, text in options.items() if text.strip().lower() == value.lower()]
    return same[0] if len(same) == 1 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("log", type=Path)
    parser.add_argument("--show", type=int, default=20, metavar="N", help="to judge, of each kind")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.log.read_text("utf-8").splitlines()]
    start = time.process_time()
    found = [extract_answer(row["reply"], row["options"]) for row in rows]
    seconds = time.process_time() - start
    short = [short_reader(row["reply"], row["options"]) for row in rows]
    print(f"{len(rows):,} replies, {len(rows) / seconds:,.0f} a second of one core")
    for name, letters in (("ladder", [one.letter for one in found]), ("short reader", short)):
        print(f"{name:<14}{sum(letter is not None for letter in letters):>8,} letters")
    kinds: dict[str, list[int]] = {"differ": [], "ladder only": [], "short reader only": []}
    same = 0
    for place, (one, other) in enumerate(zip(found, short, strict=True)):
        same += one.letter == other is not None
        if one.letter != other:
            kind = "differ" if one.letter and other else "ladder only" if one.letter else None
            kinds[kind or "short reader only"].append(place)
    print(f"{'the same':<14}{same:>8,} letters")
    print("methods:", dict(Counter(one.method for one in found).most_common()))
    for kind, places in kinds.items():
        print(f"\n{kind}: {len(places):,}")
        for place in random.Random(0).sample(places, min(options.show, len(places))):
            reply = rows[place]["reply"].strip()
            end = reply if len(reply) < 300 else f"{reply[:90]} … {reply[-200:]}"
            print(f"  {found[place].letter or '-'} {short[place] or '-'}  {end!r}")


if __name__ == "__main__":
    main()
