"""Images: opened, checked and encoded once, in bounded memory. No image library at import time."""

from scalevqa_eval.images.reading import STARTS, SUFFIXES, Header
from scalevqa_eval.images.store import ImageProblem, ImageStore

__all__ = ["STARTS", "SUFFIXES", "Header", "ImageProblem", "ImageStore"]
