"""`ofa-hw predict`: what an exported network says of images."""

from __future__ import annotations

from pathlib import Path

import click

from ofa_hw.cli.console import print_json, print_table, remark, told_ms
from ofa_hw.cli.options import json_option


@click.command()
@click.argument("source", metavar="RUN|FILE", type=click.Path(path_type=Path))
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to tell of each image.")
@json_option
def command(source: Path, images: tuple[Path, ...], top: int, as_json: bool) -> None:
    """Classify images by an exported network: its classes, and the milliseconds that each image took.

    FILE is a .tflite or .onnx file of `ofa-hw export`, in which its labels stand. Of a RUN it is the verified network
    that is best on the validation images, else the file that was exported last. Images are cropped, scaled and
    normalised as they are when subnets are judged; shares are the softmax, which is no calibrated probability.

    \b
    Examples:
      ofa-hw predict runs/demo photo.jpg
      ofa-hw predict model.tflite a.png b.png --top 5
    """
    from ofa_hw.classify import Classifier

    classifier = Classifier.open(source)
    if classifier.why:
        remark(f"by {classifier.file.path}, {classifier.why}")
    found = [classifier.classify(image, top=top) for image in images]
    if as_json:
        rows = [
            {
                "image": str(row.image),
                "classes": [{"label": label, "softmax": share} for label, share in row.classes],
                "ms": row.ms,
            }
            for row in found
        ]
        print_json({"file": str(classifier.file.path), "why": classifier.why, "images": rows})
        return
    width = max(len(row.classes) for row in found)
    print_table(
        ("image", "class", *(f"or {place}" for place in range(2, width + 1)), "took"),
        [(str(row.image), *(f"{label} {share:.1%}" for label, share in row.classes), told_ms(row.ms)) for row in found],
    )
