"""The card of an exported network: what it is, what it reached, what it was made of, how far that can be trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ofa_hw.blocks import num_macs, num_params
from ofa_hw.export.subnet import FORMATS, ExportCheck
from ofa_hw.markdown import escaped, table
from ofa_hw.space import ArchConfig, SearchSpace

_LIMITS = (
    "The figures are of images like those that it was trained on; of others nothing is known. Its output is a logit "
    "for each label: the softmax of them is not calibrated as a probability."
)


def model_card(
    check: ExportCheck,
    space: SearchSpace,
    arch: ArchConfig,
    *,
    metadata: Mapping[str, str],
    takes_pixels: bool,
    timing: str = "",
) -> str:
    """Return the card as Markdown; `metadata` is what the file holds, its labels and provenance among it.

    `timing` says how fast the network is and how that was found, where it was.
    """
    parts = [
        f"# Network {arch.arch_id} ({check.format})",
        f"An image classifier of the search space {escaped(space.name)}, cut out of a once-for-all supernet by ofa-hw.",
        "## What it is",
        _facts(_description(check, space, arch, metadata, takes_pixels=takes_pixels)),
        "## What it reached",
        *_accuracy(check),
        *(["## How fast it is", escaped(timing)] if timing else []),
        "## Labels",
        ", ".join(f"{index} {escaped(label)}" for index, label in enumerate(json.loads(metadata.get("labels", "[]")))),
        "## Where it comes from",
        _facts({name: str(value) for name, value in json.loads(metadata.get("provenance", "{}")).items()}),
        "## Limits",
        _LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(facts: Mapping[str, str]) -> str:
    rows = [(escaped(name.replace("_", " ")), escaped(value)) for name, value in facts.items()]
    return table(("what", "value"), (False, False), rows)


def _description(
    check: ExportCheck, space: SearchSpace, arch: ArchConfig, metadata: Mapping[str, str], *, takes_pixels: bool
) -> dict[str, str]:
    size, channels = arch.resolution, space.in_channels
    written = FORMATS[check.format]
    shape = (1, size, size, channels) if written.is_nhwc else (1, channels, size, size)
    if takes_pixels:
        kind = "uint8 pixels, normalised inside"
    else:
        number = "int8 of" if written.dtype == "int8" else "float32"
        kind = f"{number} (pixel / 255 - mean) / std, mean {metadata.get('mean')}, std {metadata.get('std')}"
    return {
        "file": check.path.name,
        "size": f"{check.num_bytes:,} bytes",
        "input": f"{shape}, {kind}",
        "output": f"(1, {space.num_classes}), a logit for each label",
        "architecture": arch.to_json(),
        "MACs": f"{num_macs(space, arch):,}",
        "parameters": f"{num_params(space, arch):,}",
    }


def _accuracy(check: ExportCheck) -> list[str]:
    rows = []
    if check.top1 is not None and check.torch_top1 is not None:
        from scipy.stats import binomtest

        num_right = round(check.top1 * check.num_images)
        ends = binomtest(num_right, check.num_images).proportion_ci(method="wilson")
        in_words = f"{100 * check.top1:.1f} % (95 % interval {100 * ends.low:.1f} to {100 * ends.high:.1f} %)"
        rows = [
            ("top-1 of the file, run in its runtime", in_words),
            ("top-1 of the network in torch, float32", f"{100 * check.torch_top1:.1f} %"),
        ]
    rows.append(("same class as torch", f"{100 * check.top1_agreement:.1f} %"))
    rows.append(("greatest difference of a logit, of their spread", f"{check.max_logit_error:.2g}"))
    figures = table((f"on {check.num_images} test images", "value"), (False, True), rows)
    if FORMATS[check.format].dtype != "int8":
        return [figures]
    return [figures, "It is quantised after training: int8 throughout, scales from training images."]
