"""Replies that were once paid for: one SQLite file that all runs share.

The key is the model's identity and the digest of the prompt, which includes the sampling
parameters and the bytes of the images as sent. Errors are never stored. A cache that cannot be
used costs money, not correctness: the run goes on without it and says so once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from scalevqa_eval.models import Model
from scalevqa_eval.types import Reply

_SCHEMA = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)"


class ReplyCache:
    """`get` and `put` a model's replies by the digest of the prompt.

    Safe for several processes; `path=None` is a cache of nothing.
    """

    def __init__(self, path: Path | None, model: Model, warn: Callable[[str], None]) -> None:
        self._path, self._warn = path, warn
        self._model = model.name, dict(model.identity)
        self._reply = TypeAdapter(Reply)
        self._connection: sqlite3.Connection | None = None
        if path is None:
            return
        with self._trying():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Opened by the caller's thread, used by the event loop's: never by both at once.
            self._connection = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            for command in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", _SCHEMA):
                self._connection.execute(command)

    def get(self, prompt: str) -> Reply | None:
        """The reply to the prompt of this digest; a damaged row is none."""
        row = None
        if self._connection is not None:
            with self._trying():
                query = "SELECT reply FROM replies WHERE key = ?"
                row = self._connection.execute(query, (self._key(prompt),)).fetchone()
        try:
            return self._reply.validate_json(row[0], strict=True) if row else None
        except ValueError:
            return None  # asked again and overwritten

    def put(self, prompt: str, reply: Reply) -> None:
        if self._connection is not None:
            with self._trying():
                row = self._key(prompt), json.dumps(asdict(reply))
                self._connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", row)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _key(self, prompt: str) -> str:
        body = json.dumps([*self._model, prompt], sort_keys=True, default=str)
        return hashlib.sha256(body.encode()).hexdigest()

    @contextmanager
    def _trying(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.close()
            self._warn(
                f"the reply cache {self._path} cannot be used ({error}); going on without it"
            )
