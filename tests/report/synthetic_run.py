"""A run folder with invented figures, for tests of the report: nothing in it was trained, measured or searched."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ofa_hw.blocks import block_specs
from ofa_hw.files import write_json, write_jsonl
from ofa_hw.predictor.samples import EvaluatedArch, write_samples
from ofa_hw.run import RunFolder
from ofa_hw.space import ArchConfig, SearchSpace, get_space
from tests.lut.example import block_ms

PHASES = ("largest", "kernel", "depth 1", "depth 2", "expand 1", "expand 2")


def invented_latency_ms(space: SearchSpace, arch: ArchConfig) -> float:
    return sum(block_ms(spec) for spec in block_specs(space, arch))


def invented_top1(space: SearchSpace, arch: ArchConfig) -> float:
    share = invented_latency_ms(space, arch) / invented_latency_ms(space, space.largest)
    return 0.80 + 0.09 * share**0.35 + 0.004 * np.sin(37 * arch.resolution + 11 * sum(arch.depths))


def make_synthetic_run(folder: Path, *, num_samples: int = 300, seed: int = 0) -> RunFolder:
    """Make a whole run below `folder`, every table of it invented from MACs and noise."""
    space, rng = get_space("fashion"), np.random.default_rng(seed)
    run = RunFolder.create(folder, {"space": space.to_dict(), "training": {"seed": seed, "images": 345_000}})
    write_jsonl(run.metrics_path, list(_journal(rng)))
    archs = space.sample(num_samples, rng)
    write_samples(run.samples_path, [_sample(space, arch, rng) for arch in archs])
    front = _front_of(space, space.sample(4000, rng))
    _write_csv(run.front_path, [_front_row(space, arch) for arch in front])
    chosen = [front[index] for index in np.linspace(0, len(front) - 1, 5).round().astype(int)]
    _write_csv(run.verified_path, [_verified_row(space, arch, rng) for arch in chosen])
    write_json(
        run.predictor_path / "predictor.json",
        {"model": "mlp", "score": "mean_true_prob", "figures": _invented_fit_figures(num_samples)},
    )
    _write_csv(run.predictor_path / "held_out.csv", [_held_out_row(space, arch, rng) for arch in archs])
    learning = [
        {"num_samples": num, "kendall_tau": 0.9 - 3 / num, "rmse_points": 0.5 + 10 / num} for num in (20, 40, 80, 160)
    ]
    _write_csv(run.predictor_path / "learning_curve.csv", learning)
    whole = [("verified", arch) for arch in chosen] + [("random", arch) for arch in archs[:20]]
    _write_csv(run.path / "whole_nets.csv", [_whole_net_row(space, arch, origin, rng) for origin, arch in whole])
    return run


def _held_out_row(space, arch, rng) -> dict:
    measured = invented_top1(space, arch)
    predicted = measured + 0.005 * rng.normal()
    return {
        "arch_id": arch.arch_id,
        "top1_measured": measured,
        "top1_predicted": predicted,
        "low": predicted - 0.008,
        "high": predicted + 0.008,
    }


def _invented_fit_figures(num_samples: int) -> dict[str, float]:
    return {
        "num_samples": num_samples,
        "num_folds": 5,
        "kendall_tau": 0.81,
        "spearman_rho": 0.94,
        "rmse": 0.004,
        "top1_kendall_tau": 0.55,
        "top1_rmse": 0.0061,
        "coverage_90": 0.9,
    }


def _journal(rng):
    for index, phase in enumerate(PHASES):
        for step in range(40):
            images = step * 1_437
            loss = 0.55 + 1.7 * np.exp(-(images + 57_500 * index) / 30_000) + 0.03 * rng.normal()
            yield {"kind": "step", "phase": phase, "step": step, "images": images, "loss": loss, "learning_rate": 0.1}
        gain = index / (len(PHASES) - 1)
        evals = {
            "largest": {"top1": 0.885 + 0.004 * gain},
            "middle": {"top1": 0.35 + 0.52 * min(1.0, gain * 1.6)},
            "smallest": {"top1": 0.12 + 0.71 * gain},
        }
        seconds = 40.0 * (index + 1)
        end = {"kind": "phase_end", "phase": phase, "index": index, "seconds": seconds, "images": 57_500}
        yield end | {"evals": evals}


def _sample(space, arch, rng) -> EvaluatedArch:
    top1 = float(np.clip(invented_top1(space, arch) + 0.006 * rng.normal(), 0, 1))
    return EvaluatedArch(
        arch=arch,
        top1=top1,
        mean_true_prob=0.9 * top1,
        mean_log_likelihood=-0.5,
        num_images=800,
        checkpoint="0" * 64,
    )


def _front_of(space, archs) -> list[ArchConfig]:
    front, best = [], -1.0
    for arch in sorted(archs, key=lambda arch: invented_latency_ms(space, arch)):
        score = invented_top1(space, arch)
        if score > best:
            front.append(arch)
            best = score
    return front[:: max(1, len(front) // 40)]


def _front_row(space, arch) -> dict:
    top1 = invented_top1(space, arch) + 0.004
    return {
        "arch_id": arch.arch_id,
        "genes": "-".join(map(str, space.encode([arch])[0])),
        "arch": arch.to_json(),
        "predicted_top1": top1,
        "predicted_top1_low": top1 - 0.01,
        "predicted_top1_high": top1 + 0.01,
        "predicted_latency_ms": invented_latency_ms(space, arch),
        "predicted_latency_low_ms": 0.97 * invented_latency_ms(space, arch),
        "predicted_latency_high_ms": 1.03 * invented_latency_ms(space, arch),
    }


def _verified_row(space, arch, rng) -> dict:
    predicted = invented_top1(space, arch) + 0.004
    latency = invented_latency_ms(space, arch)
    measured = latency * (1 + 0.02 * rng.normal())
    return {
        "arch_id": arch.arch_id,
        "arch": arch.to_json(),
        "predicted_top1": predicted,
        "val_top1": round(predicted + 0.004 * rng.normal(), 3),
        "test_top1_before": round(predicted - 0.006 + 0.004 * rng.normal(), 3),
        "test_top1": round(predicted + 0.005 + 0.004 * rng.normal(), 3),
        "num_test_images": 1000,
        "predicted_latency_ms": latency,
        "measured_latency_ms": measured,
        "measured_latency_low_ms": 0.996 * measured,
        "measured_latency_high_ms": 1.004 * measured,
        "exported": f"exported/{arch.arch_id}.tflite",
        "exported_test_top1_agreement": 1.0,
        "exported_max_logit_error": 2e-6,
    }


def _whole_net_row(space, arch, origin, rng) -> dict:
    latency = invented_latency_ms(space, arch)
    return {
        "arch_id": arch.arch_id,
        "origin": origin,
        "sum_ms": latency * (0.93 + 0.01 * rng.normal()),
        "predicted_ms": latency * (1 + 0.015 * rng.normal()),
        "measured_ms": latency,
    }


def _write_csv(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
