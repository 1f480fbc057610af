"""Replies that were once paid for: one SQLite file that all runs share.

The key is the model's identity and the digest of the prompt, which includes the sampling
parameters and the bytes of the images as sent. Errors are never stored. A cache that cannot be
used costs money, not correctness: the run goes on without it and says so once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from scalevqa_eval.models import Model
from scalevqa_eval.types import Reply

_SCHEMA = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)"


class ReplyCache:
    """`get` and `put` a model's replies by the digest of the prompt.

    Safe for several processes; `path=None` is a cache of nothing.
    """

    def __init__(self, path: Path | None, model: Model, warn: Callable[[str], None]) -> None:
        from pydantic import TypeAdapter

        self._model = model.name, dict(model.identity)
        self._reply = TypeAdapter(Reply)
        self._warn = warn
        self._path = path
        self._connection: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Opened by the caller's thread, used by the event loop's: never by both at once.
            connection = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def get(self, prompt: str) -> Reply | None:
        """The reply to the prompt of this digest; a damaged row is none."""
        if self._connection is None:
            return None
        try:
            query = "SELECT reply FROM replies WHERE key = ?"
            row = self._connection.execute(query, (self._key(prompt),)).fetchone()
            return self._reply.validate_json(row[0], strict=True) if row else None
        except sqlite3.Error as error:
            self._give_up(error)
        except ValueError:
            pass  # asked again and overwritten
        return None

    def put(self, prompt: str, reply: Reply) -> None:
        if self._connection is None:
            return
        try:
            self._connection.execute(
                "INSERT OR REPLACE INTO replies VALUES (?, ?)",
                (self._key(prompt), json.dumps(asdict(reply))),
            )
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _key(self, prompt: str) -> str:
        body = json.dumps([*self._model, prompt], sort_keys=True, default=str)
        return hashlib.sha256(body.encode()).hexdigest()

    def _give_up(self, error: Exception) -> None:
        self.close()
        self._warn(f"the reply cache {self._path} cannot be used ({error}); going on without it")
