"""A second model reads the replies that the ladder leaves open, if the user names one."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models import Model, StartableModel
from scalevqa_eval.run.cache import ReplyCache
from scalevqa_eval.run.retry import RetryPolicy, Throttle, ask
from scalevqa_eval.scoring.reader import is_open, read_by, reader_prompt
from scalevqa_eval.scoring.score import score_reply
from scalevqa_eval.types import Outcome, Question, Record, Reply


class ReplyReader:
    """Asks the reader as every model is asked: from the cache, with retries, at its own pace."""

    def __init__(self, model: Model, replies: ReplyCache, policy: RetryPolicy, seed: int) -> None:
        self.model, self.replies, self.policy = model, replies, policy
        self.throttle = Throttle(max(1, model.capabilities.concurrency))
        self.draw = random.Random(seed)
        self.started = asyncio.Lock()
        self.to_start = isinstance(model, StartableModel)

    async def read(self, question: Question, record: Record) -> tuple[Record, ModelError | None]:
        """The record with what the reader says, or as an error if the reader gives no reply.

        Then the question is asked again by the next call; the model's own reply is in the cache.
        """
        reply = Reply(text=record.text, finish=record.finish, logprobs=record.logprobs)  # type: ignore[arg-type]
        scored = score_reply(question, reply)
        if not is_open(scored, record.text):
            return record, None
        prompt = reader_prompt(question, record.text)
        digest = prompt.digest()
        read = self.replies.get(digest)
        if read is None:
            try:
                await self._start()
            except ModelError as error:
                return self._failed(record, error)
            asked = await ask(self.model, prompt, self.policy, self.throttle, self.draw)
            if asked.reply is None:
                return self._failed(record, asked.error or ModelError("no reply"))
            read = asked.reply
            self.replies.put(digest, read)
        said = read_by(question, scored, read)
        changed = replace(record, outcome=said.outcome, letter=said.letter, method=said.method)
        return changed, None

    async def _start(self) -> None:
        async with self.started:
            if self.to_start and isinstance(self.model, StartableModel):
                await self.model.start()
            self.to_start = False

    def _failed(self, record: Record, error: ModelError) -> tuple[Record, ModelError]:
        message = f"the reader {self.model.name}: {error}"
        said = ModelError(message, retryable=error.retryable, fatal=error.fatal)
        return (
            Record(
                record.question_id, record.condition, record.prompt, Outcome.ERROR,
                attempts=record.attempts, error=message, images=record.images,
            ),
            said,
        )  # fmt: skip
