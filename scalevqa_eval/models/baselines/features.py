"""What one view looks like, in numbers: colour, stain, texture, spots, and where they lie.

Stains are separated by colour deconvolution (Ruifrok and Johnston 2001), texture is described by
local binary patterns (Ojala et al. 2002) and a Laplacian pyramid (Burt and Adelson 1983).
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from scalevqa_eval.errors import ModelError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_SIDE = 192
_LEVELS = (5, 25, 50, 75, 95)
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_UNMIX = np.linalg.inv(_STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True))
_OCTAVES = 4
_HUES = 16


def view_features(image: bytes) -> Floats:
    """A vector of FEATURES numbers from an encoded image. Raises ModelError if it is none."""
    try:
        with Image.open(io.BytesIO(image)) as picture:
            picture.draft("RGB", (2 * _SIDE, 2 * _SIDE))
            small = picture.convert("RGB").resize(
                (_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0
            )
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise ModelError(f"an image cannot be decoded: {error}") from error
    pixels: Singles = np.asarray(small, np.float32) / np.float32(255)
    density = -np.log(np.maximum(pixels, 1 / 255))
    stains = density @ _UNMIX.astype(np.float32)
    planes = np.stack([*stains.transpose(2, 0, 1), *pixels.transpose(2, 0, 1)])
    light = pixels.mean(axis=2)
    parts = [
        _levels(planes),
        _hues(pixels),
        _palette(pixels),
        _spots(stains[:, :, 0]),
        _spots(1 - light),
        _patterns(light),
        _quarters(planes),
        _extremes(planes),
    ]
    return np.concatenate(parts).astype(np.float64)


def _levels(planes: Singles) -> Floats:
    """Mean, spread and percentiles of each plane."""
    flat = planes.reshape(len(planes), -1)
    levels = np.percentile(flat[:, ::3], _LEVELS, axis=1)
    return np.concatenate([flat.mean(axis=1), flat.std(axis=1), levels.ravel()])


def _hues(pixels: Singles) -> Floats:
    """How much colour there is of each hue; roots, so that a little of a rare hue counts."""
    red, green, blue = pixels.transpose(2, 0, 1)
    angle = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)
    strength = pixels.max(axis=2) - pixels.min(axis=2)
    bins = np.minimum(((angle + np.pi) / (2 * np.pi) * _HUES).astype(np.intp), _HUES - 1)
    weights = np.bincount(bins.ravel(), weights=strength.ravel(), minlength=_HUES)
    hues: Floats = np.sqrt(weights / bins.size)
    return hues


def _palette(pixels: Singles) -> Floats:
    """Shares of 4 × 4 × 4 colours; roots."""
    cells = np.minimum((pixels * 4).astype(np.intp), 3) @ np.array([16, 4, 1])
    shares: Floats = np.sqrt(np.bincount(cells.ravel(), minlength=64) / cells.size)
    return shares


def _spots(plane: Singles) -> Floats:
    """At each size: how much the plane varies, how unevenly, and how many spots stand out.

    A Laplacian pyramid: each step blurs, keeps the difference, and halves the picture.
    """
    found = []
    for _ in range(_OCTAVES):
        smooth = ndimage.gaussian_filter(plane, 1.4, truncate=3.0)
        detail = plane - smooth
        spread = float(detail.std()) + 1e-6
        cubes = detail * detail * detail
        high, top = np.percentile(detail, (95, 99.5))
        peaks = detail == ndimage.maximum_filter(detail, size=5)
        count, strong = (np.count_nonzero(peaks & (detail > least)) for least in (spread, 0.12))
        skew = float(cubes.mean()) / spread**3
        found += [spread, skew, float(high), float(top), np.log1p(count), np.log1p(strong)]
        plane = smooth[::2, ::2]
    return np.array(found)


def _patterns(light: Singles) -> Floats:
    """Histograms of rotation-invariant local binary patterns at two radii; roots."""
    found = []
    for radius in (1, 3):
        middle = light[radius:-radius, radius:-radius]
        bits = []
        for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)):
            top, left = radius + dy * radius, radius + dx * radius
            shifted = light[top : top + middle.shape[0], left : left + middle.shape[1]]
            bits.append(shifted > middle + 0.01)
        stack = np.stack(bits)
        changes = (stack != np.roll(stack, 1, axis=0)).sum(axis=0)
        code = np.where(changes <= 2, stack.sum(axis=0), 9)
        found.append(np.sqrt(np.bincount(code.ravel(), minlength=10) / code.size))
    return np.concatenate(found)


def _quarters(planes: NDArray[np.generic]) -> Floats:
    """How the quarters of the view differ: their means less the mean of all, (planes × 4)."""
    half = _SIDE // 2
    means = planes.reshape(len(planes), 2, half, 2, half).mean(axis=(2, 4), dtype=np.float64)
    return np.asarray((means - means.mean(axis=(1, 2), keepdims=True)).ravel(), np.float64)


def _extremes(planes: Singles) -> Floats:
    """In which quarters the lightest and the darkest pixels of each plane lie."""
    coarse = planes[:, ::2, ::2].reshape(len(planes), -1)
    low, high = np.percentile(coarse, (3, 97), axis=1)[:, :, None, None]
    return np.concatenate([_quarters(planes < low), _quarters(planes > high)])


FEATURES = 6 * (2 + len(_LEVELS)) + _HUES + 64 + 2 * 6 * _OCTAVES + 20 + 6 * (4 + 8)
