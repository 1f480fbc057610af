"""What changed since an earlier audit: verdict, figures, and findings that came or went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalevqa_eval.audit import tables
from scalevqa_eval.audit.findings import counted
from scalevqa_eval.errors import DataError


def read_audit(path: Path | str) -> dict[str, Any]:
    """An audit.json of this format. Raises DataError."""
    try:
        data = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an audit: {error}") from error
    if not isinstance(data, dict) or "text_only" not in data:
        raise DataError(f"{path} is no audit.json")
    if data.get("format") != 2:
        raise DataError(f"{path} was written by another version: audit the old file again")
    try:
        changes(data, data)  # all that is compared is there
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no whole audit.json ({error!r})") from error
    return data


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Lines for people, from the data of two audit.json."""
    before, after = old["benchmark"], new["benchmark"]
    lines = []
    ids = {row["id"] for row in new["questions"]}
    shared = sum(row["id"] in ids for row in old["questions"])
    if before["name"] != after["name"] or not shared:
        lines.append(
            f"compared with another benchmark: {before['name']} and {after['name']} have "
            f"{shared:,} question ids in common (of {len(old['questions']):,} and {len(ids):,})"
        )
    if before["revision"] != after["revision"]:
        lines.append(
            f"questions: revision {before['revision']} to {after['revision']}, "
            f"{before['audited']} to {after['audited']}"
        )
    lines.append(f"verdict: {tables.verdict_words(old)}{_to(tables.verdict_words(old), new)}")
    for key, name in (("text_only", "one question at a time"), ("whole_file", "whole file")):
        lines.append(f"{name}: {tables.share(old[key])} to {tables.share(new[key])}")
    rows, known = new["text_only"]["by_dimension"], old["text_only"]["by_dimension"]
    for name in sorted(rows.keys() | known.keys()) if len(rows) + len(known) > 2 else ():
        one = tables.share(known[name]) if name in known else "not there"
        two = tables.share(rows[name]) if name in rows else "not there"
        lines.append(f"dimension {name}: {one} to {two}")
    was, now = _kinds(old), _kinds(new)
    lines += [f"finding gone: {kind} ({was[kind]})" for kind in sorted(was.keys() - now.keys())]
    lines += [f"finding new: {kind} ({now[kind]})" for kind in sorted(now.keys() - was.keys())]
    lines += [
        f"finding changed: {kind} ({was[kind]} to {now[kind]})"
        for kind in sorted(was.keys() & now.keys()) if was[kind] != now[kind]
    ]  # fmt: skip
    return lines


def _to(before: str, new: Mapping[str, Any]) -> str:
    after = tables.verdict_words(new)
    return ", as before" if after == before else f" to {after}"


def _kinds(data: Mapping[str, Any]) -> dict[str, str]:
    """Kind of finding → how many questions it concerns, in words."""
    counts: dict[str, int] = {}
    for finding in data["findings"]:
        number = int(finding["evidence"].get("questions", 0) or 0)
        counts[finding["kind"]] = counts.get(finding["kind"], 0) + number
    return {kind: counted(n, "question") if n else "the whole file" for kind, n in counts.items()}
