"""Networks made ready to be verified: fine-tuned, scored, written; those that are ready outlive an interrupt."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ofa_hw.blocks import block_specs
from ofa_hw.deploy.exported import export_network, write_card
from ofa_hw.deploy.trained import TrainedRun
from ofa_hw.export import ExportCheck
from ofa_hw.files import append_jsonl, read_jsonl, sha256_of
from ofa_hw.nn import fold_chain
from ofa_hw.profiling import ModelFile, Workload
from ofa_hw.progress import ProgressCallback
from ofa_hw.space import ArchConfig
from ofa_hw.training.cpu import one_core_pool
from ofa_hw.training.finetune import FinetuneConfig, finetune


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedNet:
    """A network that is ready: its top-1 as torch tells it, before and after fine-tuning, and its exported file."""

    arch: ArchConfig
    val_top1: float
    test_top1_before: float
    test_top1: float
    check: ExportCheck

    @property
    def test_top1_of_file(self) -> float:
        """The top-1 of the exported file, run in its runtime, on the test images."""
        assert self.check.top1 is not None, "a network of a run is compared on images whose labels are known"
        return self.check.top1


class Preparation:
    """Makes networks of a run ready, and keeps in a journal those that are."""

    def __init__(self, trained: TrainedRun, tuning: FinetuneConfig | None, format_name: str, *, seed: int) -> None:
        """Fine-tune by `tuning` (None: not) and export in the format of this name."""
        self.trained, self.tuning, self.format_name, self.seed = trained, tuning, format_name, seed
        self.journal_path = trained.folder.path / "verify.jsonl"
        # Whatever a network that is ready depends on: those of another call are not taken for it.
        facts = (trained.checkpoint, tuning, format_name, seed, trained.folder.config.get("data"))
        self.fingerprint = hashlib.sha256(f"({trained.space.spelled_out}, {repr(facts)[1:]}".encode()).hexdigest()

    def prepare(self, archs: Sequence[ArchConfig], num_workers: int, progress: ProgressCallback) -> list[PreparedNet]:
        """Return each of `archs` made ready; `num_workers` threads of one core each share the work."""
        known = self._finished()
        left = [arch for arch in archs if arch not in known]
        if left:
            _ = self.trained.teacher  # made before there are threads, and so once
        pool = one_core_pool(num_workers)
        try:
            for net in pool.map(self._prepare_one, left):
                known[net.arch] = net
                self._note(net)
                progress("fine-tune and export", sum(arch in known for arch in archs), len(archs))
        finally:
            pool.shutdown(cancel_futures=True)
        return [known[arch] for arch in archs]

    def workload(self, net: PreparedNet, *, of_file: bool) -> Workload:
        """Return what is timed of a network that is ready: its file, or its blocks with their weights."""
        arch = net.arch
        if of_file:
            return Workload(name=arch.arch_id, file=ModelFile(path=net.check.path))
        subnet = self.trained.judge.calibrated(arch) if self.tuning is None else self.trained.finetuned(arch)
        specs = block_specs(self.trained.space, arch)
        return Workload(name=arch.arch_id, specs=specs, blocks=fold_chain(specs, subnet))

    def write_card(self, net: PreparedNet, timing: str) -> None:
        """Write the card of a network, with what its `timing` was."""
        write_card(self.trained, net.check, net.arch, is_finetuned=self.tuning is not None, timing=timing)

    def forget(self) -> None:
        """Remove the journal: all is done."""
        self.journal_path.unlink(missing_ok=True)

    def _prepare_one(self, arch: ArchConfig) -> PreparedNet:
        trained, is_finetuned = self.trained, self.tuning is not None
        subnet = trained.judge.calibrated(arch)
        val_top1, before = trained.top1(subnet, arch, "val"), trained.top1(subnet, arch, "test")
        if self.tuning is not None:
            finetune(subnet, trained.teacher, trained.images.train, arch.resolution, self.tuning, seed=self.seed)
            trained.keep(subnet, arch)
        return PreparedNet(
            arch=arch,
            val_top1=val_top1,
            test_top1_before=before,
            test_top1=trained.top1(subnet, arch, "test"),
            check=export_network(trained, subnet, arch, self.format_name, is_finetuned=is_finetuned),
        )

    def _note(self, net: PreparedNet) -> None:
        files = [net.check.path, *([] if self.tuning is None else [self.trained.weights_path(net.arch)])]
        check = dataclasses.asdict(net.check) | {"path": net.check.path.name}
        row = {
            "fingerprint": self.fingerprint,
            "files": {path.name: sha256_of(path) for path in files},
            "net": dataclasses.asdict(net) | {"arch": net.arch.to_dict(), "check": check},
        }
        append_jsonl(self.journal_path, row)

    def _finished(self) -> dict[ArchConfig, PreparedNet]:
        """Return what an interrupted call of the same kind has made ready, where the files are as it left them."""
        folder = self.trained.folder.exported_path
        finished = {}
        for row in read_jsonl(self.journal_path):
            if row.get("fingerprint") == self.fingerprint and all(
                _is(folder / name, digest) for name, digest in row["files"].items()
            ):
                net = row["net"]
                arch = ArchConfig.from_dict(net["arch"])
                check = ExportCheck(**net["check"] | {"path": folder / net["check"]["path"]})
                finished[arch] = PreparedNet(**net | {"arch": arch, "check": check})
        return finished


def _is(path: Path, digest: str) -> bool:
    return path.exists() and sha256_of(path) == digest
