"""Images: opened, checked and encoded once, in bounded memory. No image library at import time."""

from scalevqa_eval.images.reading import STARTS, Header
from scalevqa_eval.images.store import ImageProblem, ImageStore, leads_out

__all__ = ["STARTS", "Header", "ImageProblem", "ImageStore", "leads_out"]
