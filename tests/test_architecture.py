"""The arrows of ARCHITECTURE.md: a room imports only rooms below it; `cli` alone knows Typer."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import scalevqa_eval

PACKAGE = Path(scalevqa_eval.__file__).parent
# From the ground up. Rooms of one line know nothing of each other.
FLOORS = (
    {"errors", "paths", "types", "testing"},
    {"statistics", "images", "prompts", "pages"},
    {"data"},
    {"conditions", "models"},
    {"scoring"},
    {"run"},
    {"compare"},
    {"audit", "leaderboard"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def _room(module: str) -> str:
    return module.split(".")[1] if module.count(".") else "__init__"


def _imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            face = node.module == "scalevqa_eval"
            yield from (
                f"{node.module}.{name.name}" if face else node.module for name in node.names
            )


def test_arrows_point_down() -> None:
    wrong = []
    for file in PACKAGE.rglob("*.py"):
        own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own == "__init__":  # the package's face hands on names of all rooms
            continue
        for module in _imports(file):
            if not module.startswith("scalevqa_eval."):
                if module.split(".")[0] == "typer" and own != "cli":
                    wrong.append(f"{file}: typer outside cli")
                if module.startswith("scalevqa_train") and own != "cli":
                    wrong.append(f"{file}: {module}")
                continue
            room = _room(module)
            if room in FLOOR and room != own and FLOOR[room] >= FLOOR[own]:
                wrong.append(f"{file.relative_to(PACKAGE)} imports {module}")
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_rooms_are_entered_by_their_door() -> None:
    """What others may use of them stands in their `__init__`."""
    doors = ("data", "images", "conditions", "prompts", "statistics", "run", "leaderboard")
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {module}"
        for file in PACKAGE.rglob("*.py")
        for module in _imports(file)
        if module.count(".") > 1
        and module.startswith("scalevqa_eval.")
        and _room(module) in doors
        and file != PACKAGE / "__init__.py"  # the package's face
        and _room(module) != file.relative_to(PACKAGE).parts[0]
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_imported_is_declared() -> None:
    """Every package that we import is named in pyproject.toml, and none only by chance there."""
    root = Path(__file__).parents[1]  # the package itself may be installed elsewhere
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.split(r"[\[>=< ]", name)[0].lower() for names in lists for name in names}
    brought_by = packages_distributions()
    missing = set()
    for file in PACKAGE.rglob("*.py"):
        for module in _imports(file):
            top = module.split(".")[0]
            if top in sys.stdlib_module_names or top.startswith("scalevqa"):
                continue
            packages = {name.lower().replace("_", "-") for name in brought_by.get(top, [top])}
            if not packages & {name.replace("_", "-") for name in declared}:
                missing.add(f"{top} in {file.relative_to(PACKAGE)}")
    assert not missing, "\n".join(sorted(missing))


def test_every_room_has_a_floor() -> None:
    rooms = {
        path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix in ("", ".py")
    }
    assert rooms - {"__init__", "__pycache__", "_data"} == set(FLOOR)
