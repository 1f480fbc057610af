"""Draws schematic tissue: one scene of 1600 × 1600 µm, seen at three magnifications.

A scene is shapes and nuclei in micrometres; a view is a window on it, drawn with as much detail
as its magnification resolves. So the mid view is truly a crop of the low one, and the high view
of the mid one. Grain comes from the random generator that is passed in.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from scalevqa_eval.data.demo.scene import NUCLEI, SCENE, Scene, Stain, Window

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
RGB = tuple[int, int, int]

PIXELS = 224
_OVERSAMPLE = 2
_SIDE = PIXELS * _OVERSAMPLE
_GRAIN = 0.035

# Optical densities of haematoxylin and eosin in red, green and blue: the colour-deconvolution
# vectors of Ruifrok and Johnston (2001).
_HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
_EOSIN = np.array([0.07, 0.99, 0.11])

# What a shape looks like: amounts of (haematoxylin, eosin, extra density in blue).
_AMOUNTS: dict[str, tuple[float, float, float]] = {
    "stroma-dense": (0.06, 0.62, 0.02),
    "stroma-loose": (0.16, 0.17, 0.0),
    "fibre-dense": (0.12, 0.88, 0.05),
    "fibre-loose": (0.20, 0.30, 0.0),
    "epithelium": (0.34, 0.44, 0.03),
    "lumen": (0.02, 0.03, 0.0),
    "necrosis": (0.01, 0.33, 0.16),
    "cluster": (0.42, 0.30, 0.0),
    "vessel-wall": (0.08, 1.0, 0.10),
    "blood": (0.12, 1.25, 0.75),
    "mucin": (0.36, 0.0, -0.1),
    "mucin-strand": (0.55, 0.03, -0.1),
    "nucleus-epithelial": (0.95, 0.40, 0.0),
    "nucleus-stromal": (0.85, 0.40, 0.0),
    "nucleus-lymphocyte": (1.55, 0.55, 0.05),
    "nucleus-mitosis": (2.1, 0.8, 0.3),
    "clearing": (0.10, 0.25, 0.0),
    "chromatin": (1.35, 0.60, 0.0),
    "pigment": (0.35, 0.75, 1.5),
}
# Haematoxylin of each of NUCLEI where they are too small to draw.
_SHADES = np.array([0.95, 0.85, 1.55, 1.9])


@lru_cache(maxsize=1024)
def _colour(stain: Stain, name: str) -> RGB:
    """The 8-bit RGB colour of a structure in a slide's stain."""
    haematoxylin, eosin, blue = _AMOUNTS[name]
    density = haematoxylin * stain.haematoxylin * (_HAEMATOXYLIN + np.array(stain.hue))
    density = density + eosin * stain.eosin * _EOSIN
    density[2] += blue
    red, green, blue_ = np.clip(np.array(stain.light) * np.exp(-density) * 255, 0, 255)
    return int(red), int(green), int(blue_)


def draw_view(scene: Scene, window: Window, rng: np.random.Generator) -> Image.Image:
    """The window of the scene as an RGB picture of 224 × 224 pixels."""
    pen = _Pen(scene, window)
    close = window.size < SCENE
    if close:
        pen.draw_fibres()
    pen.draw_shapes()
    if close:
        pen.draw_nuclei()
        pen.draw_granules()
    picture = np.asarray(pen.canvas.reduce(_OVERSAMPLE), np.float32)
    # What the stain does unevenly: cloudiness, grain, nuclei too small to draw.
    cloud = _cloud(scene, window)
    cloud += _GRAIN * rng.standard_normal((PIXELS, PIXELS), np.float32)
    pixels = picture * np.exp(-cloud)[:, :, None]
    if not close:
        haematoxylin = scene.stain.haematoxylin * (_HAEMATOXYLIN + np.array(scene.stain.hue))
        shade = _nuclear_shade(scene, window)[:, :, None]
        pixels = pixels * np.exp(-shade * haematoxylin.astype(np.float32))
    soft = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return soft.filter(ImageFilter.GaussianBlur(0.5))


class _Pen:
    """Draws a scene's parts onto the canvas of one window."""

    def __init__(self, scene: Scene, window: Window) -> None:
        self.scene, self.window = scene, window
        self.scale = _SIDE / window.size
        self.canvas = Image.new("RGB", (_SIDE, _SIDE), self.colour(scene.stroma))
        self.draw = ImageDraw.Draw(self.canvas)

    def colour(self, name: str) -> RGB:
        return _colour(self.scene.stain, name)

    def place(self, points: Floats) -> Floats:
        """Micrometres → pixels of the canvas."""
        placed: Floats = (points - self.window.corner) * self.scale
        return placed

    def fill(self, points: Floats, name: str, rim: RGB | None = None) -> None:
        corners = points.ravel().tolist()
        self.draw.polygon(corners, fill=self.colour(name), outline=rim, width=2 if rim else 1)

    def disc(self, centre: Floats, radius: float, fill: RGB) -> None:
        self.draw.ellipse([*(centre - radius), *(centre + radius)], fill=fill)

    def draw_shapes(self) -> None:
        # Pillow draws what lies outside along the edge, so that it must be left out here.
        for kind, outline in self.scene.shapes:
            points = self.place(outline)
            if (points.max(axis=0) >= 0).all() and (points.min(axis=0) <= _SIDE).all():
                self.fill(points, kind)

    def draw_fibres(self) -> None:
        fill = self.colour(self.scene.stroma.replace("stroma", "fibre"))
        width = max(1, round(2.0 * self.scale))
        for line in self.place(self.scene.fibres):
            self.draw.line(line.ravel().tolist(), fill=fill, width=width)

    def draw_nuclei(self) -> None:
        nuclei, detailed = self.scene.nuclei, self.scale > 3
        away = np.abs(nuclei.centres - self.window.corner - self.window.size / 2).max(axis=1)
        seen = np.flatnonzero(away < self.window.size / 2 + 12)
        angles = nuclei.angles[seen, None]
        turn = np.linspace(0, 2 * np.pi, 20 if detailed else 9, endpoint=False)
        wobble = 1 + 0.07 * np.sin(3 * turn + 7 * angles)
        along = np.cos(turn) * nuclei.radii[seen, :1] * wobble
        across = np.sin(turn) * nuclei.radii[seen, 1:] * wobble
        cos, sin = np.cos(angles), np.sin(angles)
        outlines = np.stack([along * cos - across * sin, along * sin + across * cos], axis=-1)
        points = self.place(outlines + nuclei.centres[seen, None])
        rim = self.colour("chromatin")
        for index, outline in zip(seen.tolist(), points, strict=True):
            kind = NUCLEI[nuclei.kinds[index]]
            if kind == "mitosis":
                self.draw_mitosis(index)
            elif detailed and kind == "epithelial":
                self.fill(outline, f"nucleus-{kind}", rim)
                self.draw_chromatin(index, rim)
            else:
                self.fill(outline, f"nucleus-{kind}")

    def draw_chromatin(self, index: int, fill: RGB) -> None:
        """Clumps inside a nucleus, placed by its own angle so that every view agrees."""
        centre = self.place(self.scene.nuclei.centres[index])
        reach = float(self.scene.nuclei.radii[index].min()) * self.scale
        for step in range(4):
            angle = self.scene.nuclei.angles[index] * 5 + step * 2.1
            spot = centre + 0.5 * reach * np.array([np.cos(angle), np.sin(angle)])
            self.disc(spot, reach * (0.22 if step == 0 else 0.12), fill)

    def draw_mitosis(self, index: int) -> None:
        """A rounded, cleared cell with two dark ragged plates drawing apart."""
        scale = self.scale
        centre = self.place(self.scene.nuclei.centres[index])
        angle = float(self.scene.nuclei.angles[index])
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        self.disc(centre, 8.0 * scale, self.colour("clearing"))
        steps = np.linspace(-1, 1, 7)
        for side in (-1, 1):
            middle = centre + side * 2.3 * scale * across
            edge = 1.7 + 0.5 * np.cos(9 * steps + angle * 11)
            upper = middle + 5.2 * scale * steps[:, None] * along + scale * edge[:, None] * across
            lower = middle + 5.2 * scale * steps[::-1, None] * along - scale * 0.9 * across
            self.fill(np.concatenate([upper, lower]), "nucleus-mitosis")

    def draw_granules(self) -> None:
        spots, fill = self.place(self.scene.granules[:, :2]), self.colour("pigment")
        for spot, radius in zip(spots, self.scene.granules[:, 2] * self.scale, strict=True):
            self.disc(spot, radius, fill)


def _nuclear_shade(scene: Scene, window: Window) -> Singles:
    """Haematoxylin density of nuclei that are no larger than a pixel or two, (224, 224)."""
    nuclei, pixel = scene.nuclei, window.size / _SIDE
    cells = ((nuclei.centres - window.corner) / pixel).astype(np.intp)
    inside = ((cells >= 0) & (cells < _SIDE)).all(axis=1)
    weight = _SHADES[nuclei.kinds] * nuclei.radii.prod(axis=1) * np.pi / pixel**2
    places = cells[inside] @ np.array([1, _SIDE])
    flat = np.bincount(places, weights=weight[inside], minlength=_SIDE * _SIDE)
    levels = np.clip(flat.reshape(_SIDE, _SIDE) * 40, 0, 255).astype(np.uint8)
    blurred = Image.fromarray(levels).filter(ImageFilter.GaussianBlur(1.1)).reduce(_OVERSAMPLE)
    return np.asarray(blurred, np.float32) / np.float32(40)


def _cloud(scene: Scene, window: Window) -> Singles:
    """The window's part of the scene's slow staining noise, (224, 224)."""
    cells = scene.cloud.shape[0] / SCENE
    left, top = window.x * cells, window.y * cells
    box = (left, top, left + window.size * cells, top + window.size * cells)
    field = Image.fromarray(scene.cloud.astype(np.float32))
    part = field.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC, box=box)
    return np.array(part, np.float32)
