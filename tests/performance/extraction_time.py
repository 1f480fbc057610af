"""How long extraction takes: typical replies, and long ones at two sizes (run me by hand)."""

from __future__ import annotations

import time

from scalevqa_eval.scoring.extract import extract_answer

OPTIONS = {"A": "Fibrosis", "B": "Necrosis", "C": "Mitotic activity", "D": "Gland formation"}
TYPICAL = {
    "tag": f"<think>{'The stroma is pale and cells are few. ' * 60}</think> <answer>B</answer>",
    "statement": "The stroma is pale and cells are few. " * 15 + "\n\nThe answer is C.",
    "letter": "B",
    "nothing": "The stroma is pale and option A is not excluded. " * 15,
}
UNITS = {
    "prose": "The stroma is oedematous and a few cells are seen. ",
    "Chinese": "间质水肿，可见少量细胞。答案",
    "open tags": "<answer>",
    "thought tags": "<think></think>",
    "letters": "A, ",
    "cues": "answer answer is is ",
    "brackets": "((((",
    "questions": "Question:\n",
    "boxes": "\\boxed{",
    "spaces": "< ",
}


def seconds(reply: str) -> float:
    start = time.perf_counter()
    extract_answer(reply, OPTIONS)
    return time.perf_counter() - start


def main() -> None:
    replies = [f"{reply} {n}" for reply in TYPICAL.values() for n in range(250)]
    start = time.perf_counter()
    for reply in replies:
        extract_answer(reply, OPTIONS)
    print(f"{len(replies) / (time.perf_counter() - start):,.0f} typical replies a second")
    print("typical replies (best of 20)")
    for name, reply in TYPICAL.items():
        best = min(seconds(reply) for _ in range(20))
        print(f"  {name:<14}{len(reply):>9,} characters{best * 1e3:>9.2f} ms")
    print("long replies: seconds at 5 and at 10 million characters, and their ratio")
    for name, unit in UNITS.items():
        half, whole = (seconds(unit * (size // len(unit))) for size in (5_000_000, 10_000_000))
        print(f"  {name:<14}{half:>8.2f}{whole:>8.2f}{whole / half:>8.2f}")


if __name__ == "__main__":
    main()
