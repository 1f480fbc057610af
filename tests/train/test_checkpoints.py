"""Only whole checkpoints are gone on from."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalevqa_eval.errors import RunLocked, UsageError
from scalevqa_train.checkpoints import defects, find_checkpoints, last_whole
from scalevqa_train.launch import explain, locked
from scalevqa_train.run_directory import check_same_run, resume_settings, write_record


def write_checkpoint(folder: Path, step: int, ranks: int = 2, grpo: bool = True) -> Path:
    path = folder / f"global_step_{step}"
    shards = path / "actor" if grpo else path
    shards.mkdir(parents=True)
    names = [
        shards / f"{kind}_world_size_{ranks}_rank_{rank}.pt"
        for kind in ("model", "optim", "extra_state")
        for rank in range(ranks)
    ]
    for name in (*names, path / "data.pt"):
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("archive/data.pkl", b"weights" * 200)
    return path


def test_the_newest_whole_one(tmp_path: Path) -> None:
    for step in (5, 20, 10):
        write_checkpoint(tmp_path, step)
    (tmp_path / "global_step_x").mkdir()
    assert list(find_checkpoints(tmp_path)) == [5, 10, 20]
    last = last_whole(tmp_path)
    assert last is not None
    assert last[0] == 20
    assert last_whole(tmp_path / "nowhere") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data(), grpo=st.booleans())
def test_whatever_is_cut_off_or_missing_is_found(
    data: st.DataObject, grpo: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    whole = write_checkpoint(folder, 1, grpo=grpo)
    broken = write_checkpoint(folder, 2, grpo=grpo)
    assert not list(defects(broken))
    file = data.draw(st.sampled_from(sorted(broken.rglob("*.pt"))))
    size = data.draw(st.integers(-1, file.stat().st_size - 1))
    if size < 0:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:size])
    assert list(defects(broken))
    assert last_whole(folder) == (1, whole)


def test_resuming_clears_what_was_not_finished(tmp_path: Path) -> None:
    said: list[str] = []
    assert resume_settings(tmp_path, True, said.append)[1] == 0
    whole = write_checkpoint(tmp_path, 4)
    torn = write_checkpoint(tmp_path, 6)
    (torn / "data.pt").write_bytes(b"PK")
    settings_, step = resume_settings(tmp_path, True, said.append)
    assert step == 4
    assert settings_[-1].value == str(whole)
    assert not torn.exists()
    assert said == ["the checkpoint of step 6 is incomplete: it is removed", "going on from step 4"]
    with pytest.raises(UsageError, match="holds checkpoints"):
        resume_settings(tmp_path, False, said.append)


def test_a_directory_belongs_to_one_run(tmp_path: Path) -> None:
    files = {"train.parquet": {"sha256": "ab"}}
    now = {"kind": "grpo", "model": "m", "reward": "grounded", "data": {"files": files}}
    check_same_run(tmp_path, now)
    write_record(tmp_path, now)
    check_same_run(tmp_path, now)
    changes: tuple[dict[str, object], ...] = (
        {"model": "n"},
        {"reward": "scalereasoner"},
        {"data": {"files": {}}},
    )
    for change in changes:
        with pytest.raises(UsageError, match="another --output"):
            check_same_run(tmp_path, {**now, **change})
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UsageError, match="no record"):
        check_same_run(tmp_path, now)


def test_two_cannot_train_in_one_directory(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunLocked), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


@pytest.mark.parametrize(
    ("log", "meaning"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried", "GPU's memory does not suffice"),
        ("RuntimeError: Failed to start GCS", r"Ray could not be started \(RuntimeError: Failed"),
        ("Traceback\n(W pid=3) ValueError: too long\nray.exceptions.RayTaskError(ValueError): x",
         "failed with ValueError: too long"),
        ("nothing", "ended with exit code 3"),
    ],
)  # fmt: skip
def test_the_end_of_a_trainer_is_explained(tmp_path: Path, log: str, meaning: str) -> None:
    import re

    file = tmp_path / "train.log"
    file.write_text("OSError: of an earlier start: No space left on device\n")
    start = file.stat().st_size
    with file.open("a") as stream:
        stream.write(log + "\n")
    told = explain(file, start, 3)
    assert re.search(meaning, told)
    assert "\n" not in told
    assert str(file) in told
