"""Lays out a schematic piece of tissue in micrometres, from twelve yes-or-no findings.

Everything follows from the random generator that is passed in: the order of draws is part of
what the demo is, and another order is another demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float64]

SCENE = 1600.0  # side of a scene, µm
NUCLEI = ("epithelial", "stromal", "lymphocyte", "mitosis")
# The first four are seen at low power, the next four in the high view; the last four place a
# vessel in the low view and a mucin pool in the mid view.
FINDINGS = (
    "glands", "dense_stroma", "clusters", "necrosis",
    "large_nuclei", "pigment", "lymphocytes", "mitoses",
    "vessel_lower", "vessel_right", "pool_lower", "pool_right",
)  # fmt: skip

_RASTER = 448
_STROMA, _EPITHELIUM, _EMPTY, _NECROSIS, _CLUSTER = range(5)
# What grows inside a shape; nothing in those that are not named.
_TISSUE = {"epithelium": _EPITHELIUM, "necrosis": _NECROSIS, "cluster": _CLUSTER}
_WAVES = np.arange(2, 6)
_TURN = np.linspace(0, 2 * np.pi, 40, endpoint=False)


@dataclass(frozen=True, slots=True)
class Window:
    """A square part of a scene: left, top and side in µm."""

    x: float
    y: float
    size: float

    @property
    def corner(self) -> Floats:
        return np.array([self.x, self.y])


@dataclass(frozen=True, slots=True)
class Stain:
    """How a slide was stained and lit: strengths near 1, `hue` shifts the haematoxylin."""

    haematoxylin: float
    eosin: float
    hue: tuple[float, ...]
    light: tuple[float, ...]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Stain:
        """A slide's own stain, within what laboratories differ by."""
        light = 1 - rng.uniform(0.0, 0.06, 3)
        hue = rng.uniform(-0.07, 0.07, 3)
        strengths = float(rng.uniform(0.85, 1.2)), float(rng.uniform(0.85, 1.15))
        return cls(*strengths, tuple(hue.tolist()), tuple(light.tolist()))


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Centres and half axes in µm, turns in radians, kinds as indices of NUCLEI."""

    centres: Floats
    radii: Floats
    angles: Floats
    kinds: NDArray[np.intp]


class Scene:
    """Tissue that shows exactly the findings that are true; each of FINDINGS must be given.

    `shapes` are (kind, outline) from back to front, `fibres` lines (n, 9, 2), `granules` x, y and
    radius, all in µm; `cloud` is slow staining noise as optical density.
    """

    def __init__(
        self, findings: Mapping[str, bool], stain: Stain, rng: np.random.Generator
    ) -> None:
        self.stain = stain
        self.stroma = "stroma-dense" if findings["dense_stroma"] else "stroma-loose"
        self._findings, self._rng = findings, rng
        centres, radii = self._lobules()
        self.windows = self._windows(centres, radii)
        self.shapes = self._shapes(centres, radii)
        self.nuclei = self._nuclei()
        self.granules = self._granules() if findings["pigment"] else np.zeros((0, 3))
        self.fibres = self._fibres()
        self.cloud = self._cloud()

    def _lobules(self) -> tuple[Floats, Floats]:
        """Centres and radii of glands, or of the broad nests of a solid growth."""
        glands, rng = self._findings["glands"], self._rng
        pitch = 165.0 if glands else 250.0
        centres = _lattice(np.arange(-0.5, SCENE / pitch + 1) * pitch, pitch)
        centres = centres + rng.uniform(-0.13, 0.13, centres.shape) * pitch
        spread = (0.36, 0.45) if glands else (0.46, 0.54)
        return centres, rng.uniform(*spread, len(centres)) * pitch

    def _windows(self, centres: Floats, radii: Floats) -> dict[str, Window]:
        """The low view shows all; the high view falls on the epithelium nearest the middle."""
        rng = self._rng
        middle = SCENE / 2 + rng.uniform(-100, 100, 2)
        nearest = int(((centres - middle) ** 2).sum(axis=1).argmin())
        angle = rng.uniform(0, 2 * np.pi)
        offset = radii[nearest] * (0.78 if self._findings["glands"] else 0.35)
        focus = centres[nearest] + offset * np.array([np.cos(angle), np.sin(angle)])
        mid = (focus + rng.uniform(-14, 14, 2) - 200).tolist()
        return {
            "low": Window(0.0, 0.0, SCENE),
            "mid": Window(mid[0], mid[1], 400.0),
            "high": Window(float(focus[0] - 40), float(focus[1] - 40), 80.0),
        }

    def _shapes(self, centres: Floats, radii: Floats) -> list[tuple[str, Floats]]:
        findings, rng = self._findings, self._rng
        shapes: list[tuple[str, Floats]] = []
        for centre, radius in zip(centres, radii, strict=True):
            outline = self._blob(centre, radius, 0.14)
            shapes.append(("epithelium", outline))
            if findings["glands"]:
                shapes.append(("lumen", centre + (outline - centre) * rng.uniform(0.48, 0.58)))
        vessel = self._side("vessel") * rng.uniform(460, 540, 2)
        # Necrosis and clusters keep to sides where neither the vessel nor the closer views are.
        corners = [np.array([x, y]) for x in (-1, 1) for y in (-1, 1)]
        free = [corner for corner in corners if not (np.sign(vessel) == corner).all()]
        order = rng.permutation(3)
        if findings["necrosis"]:
            centre = SCENE / 2 + free[order[0]] * rng.uniform(470, 540, 2)
            shapes.append(("necrosis", self._blob(centre, rng.uniform(320, 350), 0.12)))
        if findings["clusters"]:
            for corner in (free[order[1]], free[order[2]]):
                for _ in range(3):
                    centre = SCENE / 2 + corner * rng.uniform(320, 720, 2)
                    shapes.append(("cluster", self._blob(centre, rng.uniform(75, 100), 0.15)))
        wall = self._blob(SCENE / 2 + vessel, rng.uniform(125, 150), 0.06)
        middle = wall.mean(axis=0)
        shapes += [("vessel-wall", wall), ("blood", middle + (wall - middle) * 0.74)]
        pool = self.windows["mid"].corner + 200 + self._side("pool") * rng.uniform(105, 125, 2)
        shapes.append(("mucin", self._blob(pool, rng.uniform(48, 56), 0.10)))
        for _ in range(4):
            start, stop = pool + rng.uniform(-28, 28, (2, 2))
            across = np.array([start[1] - stop[1], stop[0] - start[0]])
            across = across / max(float(np.hypot(*across)), 1.0)
            bend = (start + stop) / 2 + across * rng.uniform(-8, 8)
            strand = np.array([start, bend + 1.4 * across, stop, bend - 1.4 * across])
            shapes.append(("mucin-strand", strand))
        return shapes

    def _nuclei(self) -> Nuclei:
        findings, rng, high = self._findings, self._rng, self.windows["high"]
        raster = Image.new("L", (_RASTER, _RASTER), _STROMA)
        draw = ImageDraw.Draw(raster)
        for kind, outline in self.shapes:
            points = outline * (_RASTER / SCENE)
            draw.polygon(points.ravel().tolist(), fill=_TISSUE.get(kind, _EMPTY))
        tissue_at = np.asarray(raster)

        def jittered(pitch: float) -> tuple[Floats, NDArray[np.uint8]]:
            """Points of a lattice, each moved a little, and the tissue that they lie in."""
            points = _lattice(np.arange(pitch / 2, SCENE, pitch), pitch)
            points = points + rng.uniform(-0.27, 0.27, points.shape) * pitch
            points = points[(points < SCENE).all(axis=1)]
            cells = np.clip((points * (_RASTER / SCENE)).astype(np.intp), 0, _RASTER - 1)
            return points, tissue_at[cells[:, 1], cells[:, 0]]

        large = findings["large_nuclei"]
        points, tissue = jittered(18.5 if large else 12.0)
        keep = tissue == _EPITHELIUM
        # Stroma has few spindle cells, dead tissue hardly any nucleus.
        keep |= (tissue == _STROMA) & (rng.random(len(points)) < 0.22)
        keep |= (tissue == _NECROSIS) & (rng.random(len(points)) < 0.02)
        points, tissue = points[keep], tissue[keep]
        kinds = np.where(tissue == _EPITHELIUM, 0, 1)
        size = rng.normal(6.6 if large else 3.5, 0.9 if large else 0.25, len(points))
        size = size.clip(2.8, 8.4)
        radii = np.stack([size * rng.uniform(1.0, 1.25, len(points)), size * 0.88], axis=1)
        radii[kinds == 1] = np.array([5.0, 1.5])
        if findings["mitoses"]:
            kinds[(kinds == 0) & (rng.random(len(points)) < 0.02)] = 3
            # Three epithelial nuclei well inside the high view divide.
            reach = np.abs(points - (high.corner + high.size / 2)).max(axis=1)
            inside = np.flatnonzero((reach < high.size / 2 - 9) & (kinds == 0))
            kinds[rng.permutation(inside)[:3]] = 3
        small, around = jittered(9.0)
        lymphocytes = small[around == _CLUSTER]
        if findings["lymphocytes"]:
            spots = self._spread(9, 15.0)
            apart = np.hypot(*(points[:, None] - spots).transpose(2, 0, 1)).min(axis=1)
            kept = (apart > 6.5) | (kinds == 3)
            points, radii, kinds = points[kept], radii[kept], kinds[kept]
            lymphocytes = np.concatenate([lymphocytes, spots])
        round_ = np.repeat(rng.uniform(3.0, 3.7, (len(lymphocytes), 1)), 2, axis=1)
        points = np.concatenate([points, lymphocytes])
        kinds = np.concatenate([kinds, np.full(len(lymphocytes), 2)]).astype(np.intp)
        angles = rng.uniform(0, np.pi, len(points))
        return Nuclei(points, np.concatenate([radii, round_]), angles, kinds)

    def _granules(self) -> Floats:
        """Clumps of brown granules in the high view."""
        rng = self._rng
        return np.array(
            [
                [*(spot + rng.normal(0, 2.8, 2)), rng.uniform(0.8, 1.6)]
                for spot in self._spread(5, 20.0)
                for _ in range(11)
            ]
        )

    def _fibres(self) -> Floats:
        """Wavy lines through the mid view."""
        rng, mid = self._rng, self.windows["mid"]
        count = 70 if self._findings["dense_stroma"] else 22
        main = rng.uniform(0, np.pi)
        start = mid.corner + rng.uniform(-40, mid.size + 40, (count, 2))
        along = np.linspace(-110, 110, 9)
        bend = rng.uniform(6, 14, (count, 1)) * np.sin(along / 32 + rng.uniform(0, 6, (count, 1)))
        angle = main + rng.normal(0, 0.2, (count, 1))
        x = start[:, :1] + along * np.cos(angle) - bend * np.sin(angle)
        y = start[:, 1:] + along * np.sin(angle) + bend * np.cos(angle)
        return np.stack([x, y], axis=-1)

    def _cloud(self) -> Floats:
        """Patches of 400 µm and of 40 µm, (40, 40)."""
        fine = self._rng.normal(0, 0.05, (40, 40))
        coarse = Image.fromarray(self._rng.normal(0, 0.06, (4, 4)).astype(np.float32))
        smooth = coarse.resize((40, 40), Image.Resampling.BICUBIC)
        return fine + np.asarray(smooth, np.float64)

    def _side(self, thing: str) -> Floats:
        """Where a vessel or pool lies, from the middle: -1 or 1 in x and y."""
        right, lower = (self._findings[f"{thing}_{way}"] for way in ("right", "lower"))
        return np.array([1.0 if right else -1.0, 1.0 if lower else -1.0])

    def _blob(self, centre: Floats, radius: float, ragged: float) -> Floats:
        """A closed wavy outline around a centre, (40, 2)."""
        phases = self._rng.uniform(0, 2 * np.pi, 4)
        swing = np.sin(_TURN[:, None] * _WAVES + phases) @ (1 / _WAVES)
        reach = radius * (1 + ragged * 2 * swing)
        outline: Floats = centre + reach[:, None] * np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
        return outline

    def _spread(self, count: int, gap: float) -> Floats:
        """Points inside the high view, `gap` µm or more apart (fewer than `count` if crowded)."""
        high = self.windows["high"]
        found: list[Floats] = []
        for point in self._rng.uniform(6, high.size - 6, (40 * count, 2)):
            if len(found) < count and all(np.hypot(*(point - other)) >= gap for other in found):
                found.append(point)
        spots: Floats = np.array(found) + high.corner
        return spots


def _lattice(steps: Floats, pitch: float) -> Floats:
    """Points of a hexagonal lattice, (n, 2)."""
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    grid[1::2, :, 0] += pitch / 2
    points: Floats = grid.reshape(-1, 2)
    return points
