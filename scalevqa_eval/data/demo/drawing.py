"""Draws schematic tissue: one scene of 1600 × 1600 µm, seen at three magnifications.

A scene is shapes and nuclei in micrometres; a view is a window on it, drawn with as much detail
as its magnification resolves. So the mid view is truly a crop of the low one, and the high view
of the mid one. Everything follows from the random generator that is passed in.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from scalevqa_eval.data.demo.cells import NUCLEI, SCENE, Shape, Window
from scalevqa_eval.data.demo.scene import Scene, Stain

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
RGB = tuple[int, int, int]

PIXELS = 224
_OVERSAMPLE = 2
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


@lru_cache(maxsize=1024)
def colour(stain: Stain, name: str) -> RGB:
    """The 8-bit RGB colour of a structure in a slide's stain."""
    haematoxylin, eosin, blue = _AMOUNTS[name]
    density = haematoxylin * stain.haematoxylin * (_HAEMATOXYLIN + np.array(stain.hue))
    density = density + eosin * stain.eosin * _EOSIN
    density[2] += blue
    red, green, blue_ = np.clip(np.array(stain.light) * np.exp(-density) * 255, 0, 255)
    return int(red), int(green), int(blue_)


def draw_view(scene: Scene, window: Window, rng: np.random.Generator) -> Image.Image:
    """The window of the scene as an RGB picture of 224 × 224 pixels."""
    side = PIXELS * _OVERSAMPLE
    canvas = Image.new("RGB", (side, side), colour(scene.stain, scene.stroma))
    draw = ImageDraw.Draw(canvas)
    scale = side / window.size
    if window.size < SCENE:
        _draw_fibres(draw, scene, window, scale)
    for shape in scene.shapes:
        _draw_shape(draw, scene.stain, shape, window, scale)
    if window.size < SCENE:
        _draw_nuclei(draw, scene, window, scale)
        _draw_granules(draw, scene, window, scale)
        return _develop(canvas.reduce(_OVERSAMPLE), None, scene, window, rng)
    return _develop(canvas.reduce(_OVERSAMPLE), _nuclear_shade(scene, window), scene, window, rng)


def encode(picture: Image.Image) -> bytes:
    """JPEG bytes; the same for the same picture and the same Pillow."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85, subsampling=0)
    return buffer.getvalue()


def _outlines(points: Floats, window: Window, scale: float) -> Floats:
    outlines: Floats = (points - np.array([window.x, window.y])) * scale
    return outlines


def _draw_shape(
    draw: ImageDraw.ImageDraw, stain: Stain, shape: Shape, window: Window, scale: float
) -> None:
    left, top, right, bottom = shape.box
    if right < window.x or bottom < window.y:
        return
    if left > window.x + window.size or top > window.y + window.size:
        return
    points = _outlines(shape.outline, window, scale)
    draw.polygon(points.ravel().tolist(), fill=colour(stain, shape.kind))


def _draw_fibres(draw: ImageDraw.ImageDraw, scene: Scene, window: Window, scale: float) -> None:
    fill = colour(scene.stain, scene.stroma.replace("stroma", "fibre"))
    width = max(1, round(2.0 * scale))
    for line in _outlines(scene.fibres, window, scale):
        if line.max() > 0 and line.min() < window.size * scale:
            draw.line(line.ravel().tolist(), fill=fill, width=width)


def _visible(scene: Scene, window: Window) -> NDArray[np.intp]:
    margin = 12.0
    x, y = scene.nuclei.T
    inside = (x > window.x - margin) & (x < window.x + window.size + margin)
    inside &= (y > window.y - margin) & (y < window.y + window.size + margin)
    return np.flatnonzero(inside)


def _draw_nuclei(draw: ImageDraw.ImageDraw, scene: Scene, window: Window, scale: float) -> None:
    detailed = scale > 3
    turn = np.linspace(0, 2 * np.pi, 20 if detailed else 9, endpoint=False)
    seen = _visible(scene, window)
    wobble = 1 + 0.07 * np.sin(3 * turn + 7 * scene.angles[seen, None])
    along = np.cos(turn) * scene.radii[seen, :1] * wobble
    across = np.sin(turn) * scene.radii[seen, 1:] * wobble
    cos, sin = np.cos(scene.angles[seen, None]), np.sin(scene.angles[seen, None])
    outlines = np.stack([along * cos - across * sin, along * sin + across * cos], axis=-1)
    points = _outlines(outlines + scene.nuclei[seen, None], window, scale)
    fills = [colour(scene.stain, f"nucleus-{kind}") for kind in NUCLEI]
    rim = colour(scene.stain, "chromatin")
    rows = zip(seen.tolist(), scene.kinds[seen].tolist(), points, strict=True)
    for index, kind, outline in rows:
        corners = outline.ravel().tolist()
        if NUCLEI[kind] == "mitosis":
            _draw_mitosis(draw, scene, index, window, scale)
        elif detailed and NUCLEI[kind] == "epithelial":
            draw.polygon(corners, fill=fills[kind], outline=rim, width=2)
            _draw_chromatin(draw, scene, index, window, scale, rim)
        else:
            draw.polygon(corners, fill=fills[kind])


def _draw_chromatin(
    draw: ImageDraw.ImageDraw,
    scene: Scene,
    index: int,
    window: Window,
    scale: float,
    fill: RGB,
) -> None:
    """Clumps inside a nucleus, placed by its own angle so that every view agrees."""
    centre = _outlines(scene.nuclei[index], window, scale)
    reach = float(scene.radii[index].min()) * scale
    for step in range(4):
        angle = scene.angles[index] * 5 + step * 2.1
        spot = centre + 0.5 * reach * np.array([np.cos(angle), np.sin(angle)])
        radius = reach * (0.22 if step == 0 else 0.12)
        draw.ellipse([*(spot - radius), *(spot + radius)], fill=fill)


def _draw_mitosis(
    draw: ImageDraw.ImageDraw, scene: Scene, index: int, window: Window, scale: float
) -> None:
    """A rounded, cleared cell with two dark ragged plates drawing apart."""
    centre = _outlines(scene.nuclei[index], window, scale)
    angle = float(scene.angles[index])
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    radius = 8.0 * scale
    box = [*(centre - radius), *(centre + radius)]
    draw.ellipse(box, fill=colour(scene.stain, "clearing"))
    steps = np.linspace(-1, 1, 7)
    for side in (-1, 1):
        middle = centre + side * 2.3 * scale * across
        edge = 1.7 + 0.5 * np.cos(9 * steps + angle * 11)
        upper = middle + 5.2 * scale * steps[:, None] * along + scale * edge[:, None] * across
        lower = middle + 5.2 * scale * steps[::-1, None] * along - scale * 0.9 * across
        points = np.concatenate([upper, lower])
        draw.polygon(points.ravel().tolist(), fill=colour(scene.stain, "nucleus-mitosis"))


def _draw_granules(draw: ImageDraw.ImageDraw, scene: Scene, window: Window, scale: float) -> None:
    fill = colour(scene.stain, "pigment")
    for x, y, radius in scene.granules:
        left, top = (x - window.x - radius) * scale, (y - window.y - radius) * scale
        right, bottom = left + 2 * radius * scale, top + 2 * radius * scale
        draw.ellipse([left, top, right, bottom], fill=fill)


def _nuclear_shade(scene: Scene, window: Window) -> Singles:
    """Haematoxylin density of nuclei that are no larger than a pixel or two, (224, 224)."""
    side = PIXELS * _OVERSAMPLE
    pixel = window.size / side
    cells = ((scene.nuclei - np.array([window.x, window.y])) / pixel).astype(np.intp)
    inside = ((cells >= 0) & (cells < side)).all(axis=1)
    strength = np.array([0.95, 0.85, 1.55, 1.9])[scene.kinds]
    weight = strength * scene.radii.prod(axis=1) * np.pi / pixel**2
    flat = np.bincount(
        cells[inside] @ np.array([1, side]), weights=weight[inside], minlength=side * side
    )
    levels = np.clip(flat.reshape(side, side) * 40, 0, 255).astype(np.uint8)
    blurred = Image.fromarray(levels).filter(ImageFilter.GaussianBlur(1.1)).reduce(_OVERSAMPLE)
    return np.asarray(blurred, np.float32) / np.float32(40)


def _develop(
    picture: Image.Image,
    shade: Singles | None,
    scene: Scene,
    window: Window,
    rng: np.random.Generator,
) -> Image.Image:
    """Adds what the stain does unevenly: nuclei too small to draw, cloudiness, grain."""
    cloud = _cloud(scene, window)
    cloud += _GRAIN * rng.standard_normal((PIXELS, PIXELS), np.float32)
    pixels = np.asarray(picture, np.float32) * np.exp(-cloud)[:, :, None]
    if shade is not None:
        haematoxylin = scene.stain.haematoxylin * (_HAEMATOXYLIN + np.array(scene.stain.hue))
        pixels = pixels * np.exp(-shade[:, :, None] * haematoxylin.astype(np.float32))
    soft = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return soft.filter(ImageFilter.GaussianBlur(0.5))


def _cloud(scene: Scene, window: Window) -> Singles:
    """The window's part of the scene's slow staining noise, (224, 224)."""
    cells = scene.cloud.shape[0] / SCENE
    left, top = window.x * cells, window.y * cells
    box = (left, top, left + window.size * cells, top + window.size * cells)
    field = Image.fromarray(scene.cloud.astype(np.float32))
    part = field.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC, box=box)
    return np.array(part, np.float32)
