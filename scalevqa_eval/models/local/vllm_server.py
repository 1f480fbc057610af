"""vLLM's own server as a process of this machine: started, asked, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.local import guarded
from scalevqa_eval.models.remote.http import Body, Connection

# What vLLM and its loggers write before a line.
_PREFIX = re.compile(r"^(?:\([^)]*\) )?(?:ERROR [^\]]*\] ?)?")
# The line that ends a traceback, or argparse's.
_ERROR = re.compile(r"(?:[\w.]+(?:Error|Exception|Interrupt)|[\w.-]+: error)\b")


class Server:
    """A server on 127.0.0.1 that wants a key which only this process knows.

    `options` are those of vLLM, with underscores. `patience` bounds the wait for its start,
    `timeout` one request (seconds).
    """

    def __init__(
        self,
        model: str,
        options: Mapping[str, Any],
        port: int | None,
        patience: float,
        timeout: float,
    ) -> None:
        port = free_port(port)
        self.address = f"http://127.0.0.1:{port}"
        self.key = secrets.token_urlsafe(24)
        self.command = [sys.executable, "-P", guarded.__file__, *_arguments(model, options, port)]
        self.context = sys.maxsize  # tokens, known once it runs
        authorization = {"Authorization": f"Bearer {self.key}"}
        self.connection = Connection("vllm", self.address, authorization, timeout, (self.key,))
        self._patience = patience
        self._directory = ""
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the server and wait until it answers. Raises ModelError (fatal)."""
        self._directory = tempfile.mkdtemp(prefix="scalevqa-vllm-")
        environment = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", **os.environ}
        with Path(self._directory, "server.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                self.command,
                stdin=subprocess.PIPE,  # its closing, by us or by our death, stops the server
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, "VLLM_API_KEY": self.key},
                start_new_session=True,
            )
        deadline = time.monotonic() + self._patience
        found: Mapping[str, Any] = {}
        while "max_model_len" not in found:
            await asyncio.sleep(0.2)
            if self._process.poll() is not None:
                raise ModelError(f"vLLM's server did not start: {self._reason()}", fatal=True)
            if time.monotonic() > deadline:
                raise ModelError(
                    f"vLLM's server was not ready within {self._patience:g} s: give it longer "
                    f"with start_timeout. {self._reason()}",
                    fatal=True,
                )
            found = await self.tokenize(prompt="Hello")
        self.context = found["max_model_len"]

    async def tokenize(self, **body: Any) -> Mapping[str, Any]:
        """Tokens of a prompt or of messages; empty if the server does not answer."""
        try:
            answer = await self.connection.post("/tokenize", Body().fill(body))
            found = json.loads(answer.content)
        except (ModelError, ValueError):
            return {}
        return found if isinstance(found, dict) and answer.status == 200 else {}

    def died(self) -> str:
        """Why the server is gone, or "" while it runs."""
        if self._process is None or self._process.poll() is None:
            return ""
        return f"vLLM's server died: {self._reason()}"

    def stop(self) -> None:
        """Stop the server and wait until it is gone, with all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _reason(self) -> str:
        log = Path(self._directory, "server.log").read_text("utf-8", "replace")
        return reason_in(log).replace(self.key, "***")


def _arguments(model: str, options: Mapping[str, Any], port: int) -> list[str]:
    """Module and flags. What must not be changed by options comes last."""
    flags = []
    for key, value in options.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            text = json.dumps(value) if isinstance(value, Mapping | list) else str(value)
            flags.append(f"--{flag}={text}")
    return [
        "vllm.entrypoints.openai.api_server",
        *flags,
        f"--model={model}",
        f"--served-model-name={model}",
        "--host=127.0.0.1",
        f"--port={port}",
        # Greedy means greedy: no penalty or temperature from the checkpoint's own settings.
        "--generation-config=vllm",
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",
    ]


def free_port(wanted: int | None = None) -> int:
    """A port of 127.0.0.1 on which nobody listens: the wanted one or any. Raises UsageError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"port {wanted} of 127.0.0.1 is not free ({error}): leave it out, or give another"
            ) from error
        return int(probe.getsockname()[1])


def reason_in(log: str) -> str:
    """What went wrong: the first error of a server's log with the lines after it, or its end.

    The first is the cause; those after it tell that a process ended because another did.
    """
    lines = [_PREFIX.sub("", line.rstrip()) for line in log.splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if _ERROR.match(line):
            said = [line]
            for more in lines[place + 1 : place + 6]:
                if more.startswith("Traceback") or _ERROR.match(more):
                    break
                said.append(more)
            return "\n  ".join(said)
    return "\n  ".join(["the end of its log:", *lines[-15:]]) if lines else "its log is empty"
