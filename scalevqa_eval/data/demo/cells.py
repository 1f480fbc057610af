"""Fills a schematic piece of tissue with nuclei and pigment, in micrometres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float64]

SCENE = 1600.0  # side of a scene, µm
NUCLEI = ("epithelial", "stromal", "lymphocyte", "mitosis")

_RASTER = 448
_STROMA, _EPITHELIUM, _EMPTY, _NECROSIS, _CLUSTER = range(5)
_LABELS = {
    "epithelium": _EPITHELIUM,
    "lumen": _EMPTY,
    "necrosis": _NECROSIS,
    "cluster": _CLUSTER,
    "vessel-wall": _EMPTY,
    "blood": _EMPTY,
    "mucin": _EMPTY,
    "mucin-strand": _EMPTY,
}


@dataclass(frozen=True, slots=True)
class Window:
    """A square part of a scene: left, top and side in µm."""

    x: float
    y: float
    size: float


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled outline, (n, 2) in µm."""

    kind: str
    outline: Floats

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        (left, top), (right, bottom) = self.outline.min(axis=0), self.outline.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def rasterise(shapes: Sequence[Shape]) -> NDArray[np.uint8]:
    """Which kind of tissue lies where, (448, 448)."""
    picture = Image.new("L", (_RASTER, _RASTER), _STROMA)
    draw = ImageDraw.Draw(picture)
    for shape in shapes:
        points = shape.outline * (_RASTER / SCENE)
        draw.polygon(points.ravel().tolist(), fill=_LABELS[shape.kind])
    return np.asarray(picture)


def _jittered(pitch: float, rng: np.random.Generator) -> Floats:
    steps = np.arange(pitch / 2, SCENE, pitch)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    grid[1::2, :, 0] += pitch / 2
    points = grid.reshape(-1, 2)
    points = points + rng.uniform(-0.27, 0.27, points.shape) * pitch
    return points[(points < SCENE).all(axis=1)]


def _labels(points: Floats, raster: NDArray[np.uint8]) -> NDArray[np.uint8]:
    cells = np.clip((points * (_RASTER / SCENE)).astype(np.intp), 0, _RASTER - 1)
    return raster[cells[:, 1], cells[:, 0]]


def place_nuclei(
    findings: Mapping[str, bool],
    raster: NDArray[np.uint8],
    high: Window,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, Floats, NDArray[np.intp]]:
    """Centres, half axes, turns and kinds (indices of NUCLEI) of all nuclei."""
    large = findings["large_nuclei"]
    points = _jittered(18.5 if large else 12.0, rng)
    label = _labels(points, raster)
    keep = label == _EPITHELIUM
    # Stroma has few spindle cells, dead tissue hardly any nucleus.
    keep |= (label == _STROMA) & (rng.random(len(points)) < 0.22)
    keep |= (label == _NECROSIS) & (rng.random(len(points)) < 0.02)
    points, label = points[keep], label[keep]
    kinds = np.where(label == _EPITHELIUM, 0, 1)
    size = rng.normal(6.6 if large else 3.5, 0.9 if large else 0.25, len(points)).clip(2.8, 8.4)
    radii = np.stack([size * rng.uniform(1.0, 1.25, len(points)), size * 0.88], axis=1)
    radii[kinds == 1] = np.array([5.0, 1.5])
    if findings["mitoses"]:
        kinds[(kinds == 0) & (rng.random(len(points)) < 0.02)] = 3
        _divide(points, kinds, high, rng)

    small = _jittered(9.0, rng)
    packed = small[_labels(small, raster) == _CLUSTER]
    groups = [packed]
    if findings["lymphocytes"]:
        spots = _spread(high, 9, 15.0, rng)
        apart = np.hypot(*(points[:, None] - spots).transpose(2, 0, 1)).min(axis=1)
        kept = (apart > 6.5) | (kinds == 3)
        points, radii, kinds = points[kept], radii[kept], kinds[kept]
        groups.append(spots)
    lymphocytes = np.concatenate(groups)
    round_ = np.repeat(rng.uniform(3.0, 3.7, (len(lymphocytes), 1)), 2, axis=1)
    points = np.concatenate([points, lymphocytes])
    radii = np.concatenate([radii, round_])
    kinds = np.concatenate([kinds, np.full(len(lymphocytes), 2)])
    return points, radii, rng.uniform(0, np.pi, len(points)), kinds.astype(np.intp)


def _divide(
    points: Floats, kinds: NDArray[np.intp], high: Window, rng: np.random.Generator
) -> None:
    """Turns three epithelial nuclei well inside the high view into mitotic figures."""
    centre = np.array([high.x, high.y]) + high.size / 2
    reach = np.abs(points - centre).max(axis=1)
    inside = np.flatnonzero((reach < high.size / 2 - 9) & (kinds == 0))
    kinds[rng.permutation(inside)[:3]] = 3


def _spread(high: Window, count: int, gap: float, rng: np.random.Generator) -> Floats:
    """Points inside the high view, `gap` µm or more apart (fewer than `count` if crowded)."""
    found: list[Floats] = []
    for point in rng.uniform(6, high.size - 6, (40 * count, 2)):
        if len(found) < count and all(np.hypot(*(point - other)) >= gap for other in found):
            found.append(point)
    spots: Floats = np.array(found) + np.array([high.x, high.y])
    return spots


def place_granules(high: Window, rng: np.random.Generator) -> Floats:
    """Clumps of brown granules in the high view: x, y, radius."""
    rows = []
    for spot in _spread(high, 5, 20.0, rng):
        for _ in range(11):
            rows.append([*(spot + rng.normal(0, 2.8, 2)), rng.uniform(0.8, 1.6)])
    return np.array(rows)
