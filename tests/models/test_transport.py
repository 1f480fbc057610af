"""Connections: proxies, and credentials that are not ours to send."""

from __future__ import annotations

from pathlib import Path

import pytest
from loopback import Server
from remote_cases import ask, fails, keys, load

pytestmark = pytest.mark.usefixtures("keys")
__all__ = ["keys"]


@pytest.mark.parametrize("engine", ["openai", "anthropic", "gemini"])
def test_a_proxy_from_the_environment_is_used(
    engine: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    base_url = "http://provider.invalid/v1" if engine == "openai" else "http://provider.invalid"
    assert ask(load(engine, server, base_url=base_url)).text
    assert server.seen[0].headers["host"] == "provider.invalid"


def test_an_address_that_needs_no_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:hunter2@127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert ask(load("openai", server)).text


def test_a_proxy_that_is_down_is_told_without_its_password(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://user:hunter2@127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    error = fails(load("openai", server))
    assert error.retryable
    assert "hunter2" not in str(error)


def test_netrc_is_not_sent(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for engine in ("openai", "anthropic", "gemini"):
        ask(load(engine, server))
    assert all("Basic" not in seen.headers.get("authorization", "") for seen in server.seen)
    assert "authorization" not in server.seen[2].headers
