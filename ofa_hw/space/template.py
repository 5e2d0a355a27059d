"""A commented space to start from."""

from __future__ import annotations

import math
from pathlib import Path

import tomli_w

from ofa_hw.errors import InvalidInputError
from ofa_hw.files import write_text
from ofa_hw.space.search_space import SearchSpace
from ofa_hw.space.stage import StageSpec

MIN_SIZE = 16
_CHANNELS = (24, 40, 80, 112, 160)
"""Of the stages, as in MobileNetV3."""


def write_template(
    path: str | Path, *, num_classes: int = 10, image_size: int = 64, in_channels: int = 3
) -> SearchSpace:
    """Write a commented space for images of `image_size` pixels to `path`, and return it; its name is the file's.

    The image is halved until it is 4 to 7 pixels wide, five times at most: the stem does it once, then a stage each.

    Raises:
        InvalidInputError: `path` exists or is no .toml file, or the images are smaller than 16 pixels.
    """
    path = Path(path)
    if path.suffix != ".toml":
        raise InvalidInputError(f"a space is a .toml file; came {path}: call it {path.stem or 'mine'}.toml")
    if path.exists():
        raise InvalidInputError(f"{path} is there already and is not overwritten; give another name")
    if image_size < MIN_SIZE:
        raise InvalidInputError(f"images must be {MIN_SIZE} pixels or more; came {image_size}")
    text = _text(path.stem, num_classes=num_classes, image_size=image_size, in_channels=in_channels)
    write_text(path, text)
    return SearchSpace.from_toml(path)


def _text(name: str, *, num_classes: int, image_size: int, in_channels: int) -> str:
    resolutions = sorted({round(image_size * share / 4) * 4 for share in (0.72, 0.86)} | {image_size})
    num_halvings = min(int(math.log2(image_size / 4)), len(_CHANNELS))
    head = f"""\
# A space of MobileNet-like networks. Look at it with `ofa-hw space show`, and see the guide "My own space".
{tomli_w.dumps({"name": name}).strip()}
in_channels = {in_channels}             # 3: colour, 1: grey
num_classes = {num_classes}            # the classes of your images replace it
resolutions = {resolutions}  # pixels, each a choice; images are stored at the largest. Fewer are quicker to profile
kernel_sizes = [3, 5, 7]    # choices of each block
expand_ratios = [3, 4, 6]   # hidden channels of a block, as multiples of its input: choices of each block
depths = [2, 3, 4]          # blocks of a stage: a choice of each stage, which may list its own
# width_ratios = [0.65, 0.8, 1.0]  # parts of the channels that a stage may use: a further choice of each stage

stem_channels = 16          # the first 3x3 convolution
stem_stride = 2
first_channels = 0          # a static block behind the stem; 0: none
head_expand_channels = 0    # 0: one 1x1 convolution, then pooling
head_channels = 256

# Each [[stages]] is a row of blocks; the first of them has the stride. activation: relu, relu6 or h_swish; use_se:
# squeeze-and-excite; kind: the family of its blocks, others stand in the guide.
"""
    stages = [
        f"""
[[stages]]
out_channels = {_CHANNELS[index]}
stride = {2 if index + 1 < num_halvings else 1}
activation = "{"relu" if index == 0 else "h_swish"}"
use_se = {"true" if index == 1 else "false"}
kind = "{StageSpec.kind}"
"""
        for index in range(num_halvings)
    ]
    return head + "".join(stages)
