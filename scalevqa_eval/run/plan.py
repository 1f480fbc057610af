"""One condition of an evaluation: its prompts, what earlier calls answered, its summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import ScaleVQAError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.prompts import PromptStyle, build_prompt
from scalevqa_eval.run import store, writing
from scalevqa_eval.run.store import QuestionKey, Run
from scalevqa_eval.scoring.reader import READ, is_open
from scalevqa_eval.scoring.score import score_reply
from scalevqa_eval.scoring.summary import summarise
from scalevqa_eval.types import (
    Benchmark,
    ImagePart,
    Prompt,
    Question,
    Record,
    Reply,
    Sampling,
    View,
)


@dataclass(slots=True)
class Plan:
    """What is shown under one condition, and which of its questions have a record.

    Records themselves stay in the file: a run may have more of them than fit into memory.
    `sent` has sha256 and change of each image by its path.
    """

    condition: str
    questions: dict[str, Question]
    manifest: dict[str, Any]
    directory: Path
    style: PromptStyle
    sampling: Sampling
    images: ImageStore
    answered: set[str] = field(default_factory=set)
    failed_before: set[str] = field(default_factory=set)
    asked: int = 0
    sent: dict[str, tuple[str, str]] = field(default_factory=dict)

    def prompt(self, question: Question, part: Callable[[View], ImagePart] | None = None) -> Prompt:
        """What is sent of a question; `part` is where its images come from, if not the store."""
        prompt = build_prompt(question, self.style, self.sampling, part or self.images.part)
        for image in prompt.images:
            self.sent[image.source] = image.sha256, image.change
        return prompt

    def take_over(self) -> str:
        """Keep what earlier calls answered, if it was asked exactly as it would be now.

        What was not is set aside, and the text that comes back says so. Raises DataError, with
        nothing changed, if a file of the run is damaged.
        """
        changes: dict[int, bytes] = {}
        aside: list[bytes] = []
        part = cache(self.images.part)  # looks at each file once
        score_again = self._scorer() != self.manifest["scorer"]
        for line in store.read_records(self.directory):
            record = line.record
            if record is None or not record.outcome.scored:
                changes[line.number] = b""
                if record is not None:
                    self.failed_before.add(record.question_id)
                continue
            question = self.questions.get(record.question_id)
            # The digest holds the images' bytes: what shows a changed file is asked again.
            if (
                question is None
                or question.id in self.answered
                or self.prompt(question, part).digest() != record.prompt
            ):
                changes[line.number] = b""
                aside.append(line.data)
                continue
            scored = _scored_again(question, record) if score_again else record
            if "reader" in self.manifest and is_open(scored, scored.text):
                changes[line.number] = b""  # asked again, from the cache, for the reader to see
                continue
            self.answered.add(question.id)
            if scored != record:
                changes[line.number] = writing.record_line(scored)
        if aside:
            writing.set_aside(self.directory, aside)
        if changes:
            writing.revise_records(self.directory, changes)
        keys = map(QuestionKey.of, self.questions.values())
        writing.write_start(self.directory, self.manifest, keys)
        if not aside:
            return ""
        return (
            f"{self.condition}: {len(aside)} answers were to other images or prompts than now; "
            f"they are moved to {self.directory / store.SET_ASIDE}, and asked again"
        )

    def finish(self, dimensions: Sequence[str], seconds: float) -> Run:
        """Write the summary of what is in the records now; `seconds` are those of this call."""
        lines = store.read_records(self.directory)
        summary = summarise(
            list(self.questions.values()),
            (line.record for line in lines if line.record is not None),
            manifest=self.manifest,
            dimensions=dimensions,
            seconds=self._earlier_seconds() + (seconds if self.asked else 0.0),
        )
        manifest = writing.finish_manifest(self.directory, self.sent)
        writing.write_json(self.directory / store.SUMMARY, summary)
        return Run(self.directory, manifest, summary)

    def _scorer(self) -> object:
        """The code that scored the records so far, by its digest."""
        if not (self.directory / store.MANIFEST).is_file():
            return None
        return store.read_manifest(self.directory).get("scorer")

    def _earlier_seconds(self) -> float:
        """What earlier calls took, by their summary; a call that was killed left none."""
        try:
            seconds = store.read_summary(self.directory).get("seconds")
        except ScaleVQAError:
            return 0.0
        return float(seconds) if isinstance(seconds, int | float) else 0.0


def open_questions(benchmark: Benchmark, plans: Sequence[Plan]) -> list[tuple[Plan, Question]]:
    """What has no answer yet, the next one last; questions on the same images stand together.

    What failed in the call before comes after all others.
    """
    sets: dict[tuple[str, ...], list[str]] = {}
    for question in benchmark.questions:
        sets.setdefault(question.image_set, []).append(question.id)
    fresh: list[tuple[Plan, Question]] = []
    again: list[tuple[Plan, Question]] = []
    for ids in sets.values():
        for plan in plans:
            for id_ in ids:
                if id_ in plan.questions and id_ not in plan.answered:
                    place = again if id_ in plan.failed_before else fresh
                    place.append((plan, plan.questions[id_]))
    return [*reversed(again), *reversed(fresh)]


def record_of(
    condition: str, question: Question, prompt: Prompt, digest: str, reply: Reply, attempts: int
) -> Record:
    """The record of a reply; without attempts it comes from the cache."""
    scored = score_reply(question, reply)
    return Record(
        question_id=question.id,
        condition=condition,
        prompt=digest,
        outcome=scored.outcome,
        letter=scored.letter,
        method=scored.method,
        text=reply.text,
        reasoning=reply.reasoning,
        finish=reply.finish,
        model=reply.model,
        latency=round(reply.latency, 4),
        attempts=attempts,
        cached=not attempts,
        usage={
            "prompt_tokens": reply.usage.prompt_tokens,
            "cached_tokens": reply.usage.cached_tokens,
            "completion_tokens": reply.usage.completion_tokens,
        },
        logprobs=reply.logprobs,
        images=tuple(part.sha256 for part in prompt.images),
        measures=scored.measures,
    )


def _scored_again(question: Question, record: Record) -> Record:
    """The record as today's code scores it."""
    reply = Reply(text=record.text, finish=record.finish, logprobs=record.logprobs)  # type: ignore[arg-type]
    scored = score_reply(question, reply)
    if record.method in READ and is_open(scored, record.text):
        return record  # what a reader said stands as long as the ladder leaves the reply open
    return replace(
        record,
        outcome=scored.outcome,
        letter=scored.letter,
        method=scored.method,
        measures=scored.measures,
    )
