"""Images by index, from wherever they are kept, in bounded memory; cut as training and judging want them."""

from ofa_hw.images.augmentation import PHOTO_AUGMENTATIONS, Augmentation, Shift
from ofa_hw.images.builtin import BUILTIN
from ofa_hw.images.datasets import SMALL_SIZE, Dataset, load_dataset
from ofa_hw.images.source import ImageSet, ImageSource

__all__ = [
    "BUILTIN",
    "PHOTO_AUGMENTATIONS",
    "SMALL_SIZE",
    "Augmentation",
    "Dataset",
    "ImageSet",
    "ImageSource",
    "Shift",
    "load_dataset",
]
