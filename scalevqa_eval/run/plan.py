"""One condition of an evaluation: its prompts, what earlier calls answered, its summary."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from scalevqa_eval.images import ImageStore
from scalevqa_eval.prompts import build_prompt
from scalevqa_eval.run import files
from scalevqa_eval.run.files import QuestionKey, RecordWriter
from scalevqa_eval.run.manifest import Setup
from scalevqa_eval.run.results import Run
from scalevqa_eval.run.retry import Asked
from scalevqa_eval.scoring.reader import READ, is_open, read_by
from scalevqa_eval.scoring.rows import Tally
from scalevqa_eval.scoring.score import score_reply
from scalevqa_eval.scoring.summary import summarise
from scalevqa_eval.types import (
    Benchmark,
    ImagePart,
    Outcome,
    Prompt,
    Question,
    Record,
    Reply,
    View,
)


@dataclass(slots=True)
class Plan:
    """What is shown under one condition, and what is known of its questions' records.

    Records themselves stay in the file: a run may have more of them than fit into memory. What
    the summary needs of them is in `tally`, and whole are only those in `unread`: replies that are
    kept, and that the reader has still to read. `sent` has sha256 and change of each image by its
    path.
    """

    condition: str
    questions: Mapping[str, Question]
    setup: Setup
    manifest: dict[str, Any]
    directory: Path
    images: ImageStore
    tally: Tally = field(init=False)
    failed_before: set[str] = field(default_factory=set)
    unread: dict[str, Record] = field(default_factory=dict)
    asked: int = 0
    sent: dict[str, tuple[str, str]] = field(default_factory=dict)
    writer: RecordWriter | None = None

    def __post_init__(self) -> None:
        self.tally = Tally(self.questions, self.manifest)

    @property
    def answered(self) -> Collection[str]:
        return self.tally.scored.keys()

    def prompt(self, question: Question, part: Callable[[View], ImagePart] | None = None) -> Prompt:
        """What is sent of a question; `part` is where its images come from, if not the store."""
        setup = self.setup
        prompt = build_prompt(question, setup.style, setup.sampling, part or self.images.part)
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
        unread: dict[str, int] = {}
        part = cache(self.images.part)  # looks at each file once
        earlier: dict[str, Any] = {}
        if (self.directory / files.MANIFEST).is_file():
            earlier = files.read_manifest(self.directory)
        score_again = earlier.get("scorer") != self.manifest["scorer"]
        for line in files.read_records(self.directory):
            record = line.record
            if record is not None and not record.outcome.scored:
                self.failed_before.add(record.question_id)
            if record is None or not (record.outcome.scored or has_reply(record)):
                changes[line.number] = b""
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
            if question.id in unread:  # it was read later on
                changes[unread.pop(question.id)] = b""
                del self.unread[question.id]
            now = record
            if score_again or not record.outcome.scored:
                now = scored_again(question, record)
            if self.setup.reader is not None and is_open(now, now.text):
                now = replace(now, outcome=Outcome.ERROR, error=record.error or "not read yet")
                self.unread[question.id], unread[question.id] = now, line.number
            self.tally.add(now)
            if now != record:
                changes[line.number] = files.record_line(now)
        files.revise_records(self.directory, changes, aside)
        files.write_questions(self.directory, map(QuestionKey.of, self.questions.values()))
        call = {name: self.manifest[name] for name in ("started", "versions", "git")}
        self.manifest |= earlier | {"scorer": self.manifest["scorer"]}
        self.manifest["calls"] = [*earlier.get("calls", ()), call]
        files.write_json(self.directory / files.MANIFEST, self.manifest)
        if not aside:
            return ""
        return (
            f"{self.condition}: {len(aside)} answers were to other images or prompts than now; "
            f"they are moved to {self.directory / files.SET_ASIDE}, and asked again"
        )

    def keep(self, record: Record) -> None:
        """Write a record to the run's file, at once."""
        if self.writer is None:
            self.writer = RecordWriter(self.directory)
        self.writer.append(record)
        self.tally.add(record)

    def finish(self, seconds: float) -> Run:
        """Write the summary of what was kept; `seconds` are those of this call."""
        if self.writer is not None:
            self.writer.close()
        manifest, sent = self.manifest, self.sent.items()
        images = {path: {"sha256": sha256, "change": change} for path, (sha256, change) in sent}
        manifest["images"] = dict(sorted({**manifest.get("images", {}), **images}.items()))
        manifest["seconds"] = manifest.get("seconds", 0.0) + (seconds if self.asked else 0.0)
        files.write_json(self.directory / files.MANIFEST, manifest)
        summary = summarise(
            list(self.questions.values()),
            self.tally,
            manifest=manifest,
            dimensions=self.setup.benchmark.dimensions,
            seconds=manifest["seconds"],
        )
        files.write_json(self.directory / files.SUMMARY, summary)
        return Run(self.directory, manifest, summary)


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


# --- records


def record_of(condition: str, question: Question, prompt: Prompt, asked: Asked) -> Record:
    """The record of a question that was asked."""
    record = Record(
        question_id=question.id,
        condition=condition,
        prompt=prompt.digest(),
        outcome=Outcome.ERROR,
        attempts=asked.attempts,
        images=tuple(part.sha256 for part in prompt.images),
        error=str(asked.error or ""),
    )
    reply = asked.reply
    if reply is None:
        return record
    record = replace(
        record,
        text=reply.text,
        reasoning=reply.reasoning,
        finish=reply.finish,
        model=reply.model,
        latency=round(reply.latency, 4),
        cached=not asked.attempts,
        usage=asdict(reply.usage),
        logprobs=reply.logprobs,
    )
    return scored_again(question, record)


def has_reply(record: Record) -> bool:
    """Whether the model replied; an error with its reply is one of the reader's."""
    return bool(record.finish)


def scored_again(question: Question, record: Record) -> Record:
    """A record with a reply, as today's code scores it."""
    reply = Reply(record.text, record.finish, logprobs=record.logprobs)  # type: ignore[arg-type]
    scored = score_reply(question, reply)
    if record.method in READ and is_open(scored, record.text):
        return record  # what a reader said stands as long as the ladder leaves the reply open
    return replace(
        record,
        outcome=scored.outcome,
        letter=scored.letter,
        method=scored.method,
        measures=scored.measures,
        error="",
    )


def read_record(question: Question, record: Record, reader: str, asked: Asked) -> Record:
    """An open reply's record with what the reader says; an error if the reader gives no reply.

    The next call asks the reader again, and the model does not have to repeat itself.
    """
    if asked.reply is None:
        return replace(record, outcome=Outcome.ERROR, error=f"the reader {reader}: {asked.error}")
    said = read_by(question, asked.reply)
    spent = {f"reader_{name}": count for name, count in asdict(asked.reply.usage).items()}
    usage = {**record.usage, **spent}
    return replace(
        record, outcome=said.outcome, letter=said.letter, method=said.method, usage=usage
    )
