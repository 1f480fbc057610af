"""Benchmarks from a hub: a stand-in of its HTTP endpoints on loopback, the real client."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROW = {
    "No": 1,
    "question": "?",
    "options": {"A": "x", "B": "y"},
    "answer": "B",
    "image_path": {"low_mag": "images/a.png"},
    "extra_info": {"wsi_name": "s", "question_type": "type_A"},
}
# What a user's program does; in a process of its own because the client reads its endpoint once.
PROGRAM = """
import json, sys
from scalevqa_eval.data import load_benchmark
from scalevqa_eval.errors import ScaleVQAError
from scalevqa_eval.images import ImageStore
try:
    b = load_benchmark("scale-vqa", "val", hub_id=sys.argv[1], revision=sys.argv[2] or None)
except ScaleVQAError as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
else:
    store = ImageStore(b.image_root)
    problems = [str(problem) for problem in store.check(b.questions)]
    part = store.part(b.questions[0].views[0])
    print(json.dumps({"n": len(b), "revision": b.revision, "problems": problems,
                      "bytes": len(part.load())}))
"""


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (9, 7), "purple").save(out, "PNG")
    return out.getvalue()


FILES = {"data/val.json": json.dumps([ROW]).encode(), "images/a.png": picture()}


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/datasets/me/gated"):
            self.answer(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        elif not path.startswith(("/api/datasets/me/questions", "/datasets/me/questions")):
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif "/revision/" in path:
            if path.endswith(("/main", COMMIT)):
                body = {"id": "me/questions", "sha": COMMIT, "siblings": []}
                self.answer(200, json.dumps(body).encode())
            else:
                self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif "/tree/" in path:
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": self.oid(data)}
                for name, data in FILES.items()
            ]
            self.answer(200, json.dumps(entries).encode())
        elif "/resolve/" in path:
            data = FILES[path.split(f"/resolve/{COMMIT}/")[1]]
            self.answer(200, data, {"ETag": f'"{self.oid(data)}"', "X-Repo-Commit": COMMIT})
        else:
            self.answer(404, b"{}")

    @staticmethod
    def oid(data: bytes) -> str:
        return hashlib.sha1(data).hexdigest()

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    pytest.importorskip("huggingface_hub")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(hub: str, home: Path, name: str, revision: str = "") -> dict[str, object]:
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGG"))}
    env = keep | {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", PROGRAM, name, revision]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_questions_and_images_come_from_the_hub(hub: str, tmp_path: Path) -> None:
    got = ask(hub, tmp_path, "me/questions")
    assert got == {"n": 1, "revision": COMMIT, "problems": [], "bytes": len(picture())}
    # A second time, with no server at all, from the client's own cache.
    assert ask("http://127.0.0.1:9", tmp_path, "me/questions") == got


def test_what_cannot_be_had_says_what_to_do(hub: str, tmp_path: Path) -> None:
    for name, revision, words in (
        ("me/gated", "", "HF_TOKEN"),
        ("me/nothing", "", "does not exist or is private"),
        ("me/questions", "v9", "check --revision"),
        ("me", "", "does not exist or is private"),
        ("a/b/c", "", "OWNER/NAME"),
    ):
        error = str(ask(hub, tmp_path, name, revision).get("error"))
        assert words in error, (name, error)
    error = str(ask("http://127.0.0.1:9", tmp_path / "empty", "me/questions").get("error"))
    assert "cannot be downloaded" in error
    assert "--data-dir" in error
