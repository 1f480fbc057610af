"""Lays out a schematic piece of tissue in micrometres, from twelve yes-or-no findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scalevqa_eval.data.demo.cells import (
    SCENE,
    Shape,
    Window,
    place_granules,
    place_nuclei,
    rasterise,
)

Floats = NDArray[np.float64]

MAGNIFICATIONS = {"low": "10x", "mid": "40x", "high": "200x"}
# The first four are seen at low power, the next four in the high view; the last four place a
# vessel in the low view and a mucin pool in the mid view.
FINDINGS = (
    "glands",
    "dense_stroma",
    "clusters",
    "necrosis",
    "large_nuclei",
    "pigment",
    "lymphocytes",
    "mitoses",
    "vessel_lower",
    "vessel_right",
    "pool_lower",
    "pool_right",
)

_WAVES = np.arange(2, 6)


@dataclass(frozen=True, slots=True)
class Stain:
    """How a slide was stained and lit: strengths near 1, `hue` shifts the haematoxylin."""

    haematoxylin: float
    eosin: float
    hue: tuple[float, float, float]
    light: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """Shapes from back to front, and nuclei: centres, half axes and turn; µm and radians."""

    stain: Stain
    stroma: str
    shapes: tuple[Shape, ...]
    fibres: Floats
    nuclei: Floats
    radii: Floats
    angles: Floats
    kinds: NDArray[np.intp]
    granules: Floats
    cloud: Floats
    windows: Mapping[str, Window]


def draw_stain(rng: np.random.Generator) -> Stain:
    """A slide's own stain, within what laboratories differ by."""
    light = 1 - rng.uniform(0.0, 0.06, 3)
    hue = rng.uniform(-0.07, 0.07, 3)
    return Stain(
        haematoxylin=float(rng.uniform(0.85, 1.2)),
        eosin=float(rng.uniform(0.85, 1.15)),
        hue=(float(hue[0]), float(hue[1]), float(hue[2])),
        light=(float(light[0]), float(light[1]), float(light[2])),
    )


def lay_out(findings: Mapping[str, bool], stain: Stain, rng: np.random.Generator) -> Scene:
    """A scene that shows exactly these findings; each name of FINDINGS must be given."""
    centres, radii = _lobules(findings["glands"], rng)
    windows = _windows(centres, radii, findings["glands"], rng)
    shapes = _shapes(findings, centres, radii, windows, rng)
    raster = rasterise(shapes)
    nuclei, half_axes, angles, kinds = place_nuclei(findings, raster, windows["high"], rng)
    granules = place_granules(windows["high"], rng) if findings["pigment"] else np.zeros((0, 3))
    return Scene(
        stain=stain,
        stroma="stroma-dense" if findings["dense_stroma"] else "stroma-loose",
        shapes=shapes,
        fibres=_fibres(windows["mid"], findings["dense_stroma"], rng),
        nuclei=nuclei,
        radii=half_axes,
        angles=angles,
        kinds=kinds,
        granules=granules,
        cloud=_cloud(rng),
        windows=windows,
    )


def _blob(
    centre: Floats, radius: float, rng: np.random.Generator, ragged: float = 0.12, sides: int = 40
) -> Floats:
    """A closed wavy outline around a centre."""
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    phases = rng.uniform(0, 2 * np.pi, 4)
    swing = np.sin(turn[:, None] * _WAVES + phases) @ (1 / _WAVES)
    reach = radius * (1 + ragged * 2 * swing)
    outline: Floats = centre + reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return outline


def _lobules(glands: bool, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Centres and radii of glands, or of the broad nests of a solid growth."""
    pitch = 165.0 if glands else 250.0
    steps = np.arange(-0.5, SCENE / pitch + 1) * pitch
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    grid[1::2, :, 0] += pitch / 2
    centres = grid.reshape(-1, 2)
    centres = centres + rng.uniform(-0.13, 0.13, centres.shape) * pitch
    spread = (0.36, 0.45) if glands else (0.46, 0.54)
    return centres, rng.uniform(*spread, len(centres)) * pitch


def _windows(
    centres: Floats, radii: Floats, glands: bool, rng: np.random.Generator
) -> dict[str, Window]:
    """The low view shows all; the high view falls on the epithelium nearest the middle."""
    middle = SCENE / 2 + rng.uniform(-100, 100, 2)
    nearest = int(((centres - middle) ** 2).sum(axis=1).argmin())
    angle = rng.uniform(0, 2 * np.pi)
    offset = radii[nearest] * (0.78 if glands else 0.35)
    focus = centres[nearest] + offset * np.array([np.cos(angle), np.sin(angle)])
    mid = focus + rng.uniform(-14, 14, 2) - 200
    high = focus - 40
    return {
        "low": Window(0.0, 0.0, SCENE),
        "mid": Window(float(mid[0]), float(mid[1]), 400.0),
        "high": Window(float(high[0]), float(high[1]), 80.0),
    }


def _shapes(
    findings: Mapping[str, bool],
    centres: Floats,
    radii: Floats,
    windows: Mapping[str, Window],
    rng: np.random.Generator,
) -> tuple[Shape, ...]:
    shapes: list[Shape] = []
    for centre, radius in zip(centres, radii, strict=True):
        outline = _blob(centre, radius, rng, ragged=0.14)
        shapes.append(Shape("epithelium", outline))
        if findings["glands"]:
            inner = centre + (outline - centre) * rng.uniform(0.48, 0.58)
            shapes.append(Shape("lumen", inner))
    vessel = _corner(findings["vessel_lower"], findings["vessel_right"]) * rng.uniform(460, 540, 2)
    # Necrosis and clusters keep to sides where neither the vessel nor the closer views are.
    corners = [np.array([x, y]) for x in (-1, 1) for y in (-1, 1)]
    free = [corner for corner in corners if not (np.sign(vessel) == corner).all()]
    order = rng.permutation(3)
    if findings["necrosis"]:
        centre = SCENE / 2 + free[order[0]] * rng.uniform(470, 540, 2)
        shapes.append(Shape("necrosis", _blob(centre, rng.uniform(320, 350), rng, 0.12)))
    if findings["clusters"]:
        for corner in (free[order[1]], free[order[2]]):
            for _ in range(3):
                centre = SCENE / 2 + corner * rng.uniform(320, 720, 2)
                shapes.append(Shape("cluster", _blob(centre, rng.uniform(75, 100), rng, 0.15)))
    wall = _blob(SCENE / 2 + vessel, rng.uniform(125, 150), rng, 0.06)
    middle = wall.mean(axis=0)
    shapes.append(Shape("vessel-wall", wall))
    shapes.append(Shape("blood", middle + (wall - middle) * 0.74))
    mid = windows["mid"]
    pool = np.array([mid.x, mid.y]) + 200
    pool = pool + _corner(findings["pool_lower"], findings["pool_right"]) * rng.uniform(105, 125, 2)
    shapes.append(Shape("mucin", _blob(pool, rng.uniform(48, 56), rng, 0.10)))
    for _ in range(4):
        shapes.append(Shape("mucin-strand", _strand(pool, rng)))
    return tuple(shapes)


def _corner(lower: bool, right: bool) -> Floats:
    return np.array([1.0 if right else -1.0, 1.0 if lower else -1.0])


def _strand(centre: Floats, rng: np.random.Generator) -> Floats:
    start, stop = centre + rng.uniform(-28, 28, (2, 2))
    across = np.array([start[1] - stop[1], stop[0] - start[0]])
    across = across / max(float(np.hypot(*across)), 1.0)
    middle = (start + stop) / 2 + across * rng.uniform(-8, 8)
    return np.array([start, middle + 1.4 * across, stop, middle - 1.4 * across])


def _fibres(mid: Window, dense: bool, rng: np.random.Generator) -> Floats:
    """Wavy lines through the mid view, (n, 9, 2)."""
    count = 70 if dense else 22
    main = rng.uniform(0, np.pi)
    start = np.array([mid.x, mid.y]) + rng.uniform(-40, mid.size + 40, (count, 2))
    along = np.linspace(-110, 110, 9)
    bend = rng.uniform(6, 14, (count, 1)) * np.sin(along / 32 + rng.uniform(0, 6, (count, 1)))
    angle = main + rng.normal(0, 0.2, (count, 1))
    x = start[:, :1] + along * np.cos(angle) - bend * np.sin(angle)
    y = start[:, 1:] + along * np.sin(angle) + bend * np.cos(angle)
    return np.stack([x, y], axis=-1)


def _cloud(rng: np.random.Generator) -> Floats:
    """Slow staining noise, as optical density: patches of 400 µm and of 40 µm, (40, 40)."""
    fine = rng.normal(0, 0.05, (40, 40))
    coarse = Image.fromarray(rng.normal(0, 0.06, (4, 4)).astype(np.float32))
    smooth = coarse.resize((40, 40), Image.Resampling.BICUBIC)
    return fine + np.asarray(smooth, np.float64)
