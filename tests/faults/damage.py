"""Damaged files of every kind that the program reads: each is read as it was, refused in one line, or made anew."""

import hashlib
import json
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from torch.utils._pytree import tree_map

from bench.backbones.hf import CausalLM
from bench.backbones.open_clip import OpenClip
from bench.contracts import Features
from bench.contracts.errors import BenchError
from bench.data.feature_cache import FeatureCache
from bench.engine.group_result import GroupAnswers
from bench.engine.partial import PartialFile
from bench.readouts.corpus import read_corpus
from bench.readouts.session import Checkpoints
from bench.results.known_calls import KnownCall
from bench.results.store import Store
from bench.spec.best_config import Best, read_configs
from bench.spec.suite import load_suite, suite_paths
from bench.spec.tuning import Tuning
from bench.spec.yaml_text import read_yaml
from bench.toolkit.derived import derived_folder
from bench.toolkit.readout_files import Readout, Readouts, read_readouts, write_readouts
from bench.toolkit.trust import trusting
from sweeps.definition import sweep_spec
from sweeps.journal import Journal
from tasks.image_folder import ImageFolder
from tasks.text_folder import TextFolder
from tests.faults.mutation import mutated
from tests.helpers.architectures import SUPPORTED, save_architecture
from tests.helpers.images import noise, png, write_folders
from tests.helpers.records import answered, made, record
from tests.helpers.tiny_clip import save, save_scripted

SLOW = 5.0
"""Seconds after which reading counts as a hang, on a machine that does other things too."""


STUDY = """task: digits
method: faast
shots: 5
trials: 20
set: {alpha: 0.8}
space:
  scale: {low: 1, high: 9, log: true}
"""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        make: Makes an undamaged file under a folder, and returns its path.
        read: Reads what is under the folder; returns something that can be compared.
        checked: Whether other contents than were written must be found; a user's own files may say anything.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    checked: bool = False


def _record(root: Path) -> Path:
    store = Store(root)
    return store.path(store.write(record(), answered()).id)


def _predictions(root: Path) -> Path:
    store = Store(root)
    written = store.write(record(), answered())
    return store.predictions_path(written.predictions)


def _read_record(root: Path) -> Any:
    store = Store(root)
    (path,) = store.paths()
    found = store.read(path)
    kept = store.predictions(found)
    return found.model_dump(), kept.episode.tolist(), kept.query.tolist(), kept.values.tolist()


def _shard(root: Path) -> Path:
    cache = FeatureCache(root, {"task": "t"})
    cache.save(np.arange(6), Features(torch.randn(6, 8), torch.randn(6, 8)))
    (path,) = cache.folder.glob("*.safetensors")
    return path


def _read_shard(root: Path) -> Any:
    """Features of the intact shards: none of a damaged one, which is made anew."""
    table = FeatureCache(root, {"task": "t"}).load("support", 6, lambda message: None)
    if len(table) == 0:
        raise BenchError("made anew")
    keys, prior = table.gather(np.flatnonzero(table.row >= 0)[None])
    return table.row.tolist(), *(hashlib.sha256(each.numpy().tobytes()).hexdigest() for each in (keys, prior))


def _derive(root: Path) -> dict[str, str]:
    def make(folder: Path) -> None:
        (folder / "weights").write_bytes(bytes(range(256)))

    return derived_folder(root / "copy", "a copy", make)


def _derived(root: Path) -> Path:
    _derive(root)
    return root / "copy" / "weights"


def _read_derived(root: Path) -> Any:
    """A damaged copy is made anew, so that its content is always as it was."""
    return _derive(root), (root / "copy" / "weights").read_bytes()


def _suite(root: Path) -> Path:
    path = root / "suite.yaml"
    path.write_bytes(suite_paths()["quickstart"].read_bytes())
    return path


def _best(root: Path) -> Path:
    path = root / "best.yaml"
    tuning = Tuning(trials=2, seconds=1.5, sampler="tpe", objective="score", validation="auto", score=0.5, study="t-1")
    Best(method="knn", config={"k": 3}, tuning=tuning).write(path)
    return path


def _study(root: Path) -> Path:
    path = root / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def _table(name: str) -> Callable[[Path], Path]:
    rows = [{"text": f'a "quoted", text {number}', "label": "xy"[number % 2]} for number in range(8)]

    def make(root: Path) -> Path:
        path, found = root / name, datasets.Dataset.from_list(rows)
        {".csv": found.to_csv, ".jsonl": found.to_json, ".parquet": found.to_parquet}[path.suffix](path)
        return path

    return make


def _text_file(root: Path) -> Path:
    for name in "xy":
        (root / name).mkdir(parents=True)
        for number in range(2):
            (root / name / f"{number}.txt").write_text(f"text {name} {number} with é and 日本", encoding="utf-8")
    return root / "x" / "0.txt"


def _image_file(root: Path) -> Path:
    return sorted((write_folders(root, {"cat": 2, "dog": 2}) / "cat").iterdir())[0]


def _image_table(root: Path) -> Path:
    rows = {"image": [{"bytes": png(noise(each)), "path": None} for each in range(8)], "label": list("xyxyxyxy")}
    datasets.Dataset.from_dict(rows).to_parquet(root / "mine.parquet")
    return root / "mine.parquet"


def _readouts(root: Path) -> Path:
    path = root / "readouts.safetensors"
    write_readouts(path, Readouts((Readout(torch.randn(1, 16), torch.randn(8, 8)),)), {"model": "m"})
    return path


def _read_readouts(root: Path) -> Any:
    return [(one.scorer.tolist(), one.out.tolist()) for one in read_readouts(root / "readouts.safetensors", 8).middle]


OPERATIONS = [{"op_code": number % 9, "text": f"é {number}", "number": number / 3} for number in range(12)]


def _journal(root: Path) -> Path:
    Journal(root / "journal.log", notify=lambda line: None).append_logs(OPERATIONS)
    return root / "journal.log"


def _read_journal(root: Path) -> Any:
    """All operations; an end that was lost is dropped with a line that says so, as a kill leaves it."""
    for copy in root.glob("journal.log.*"):
        copy.unlink()
    said: list[str] = []
    lock = root / ".journal.log.lock"
    noted = lock.read_bytes()
    try:
        found = list(Journal(root / "journal.log", notify=said.append).read_logs(0))
    finally:
        lock.write_bytes(noted)
    if said and found == [{**one, **each} for one, each in zip(OPERATIONS, found, strict=False)]:
        raise BenchError("its end was dropped")
    return found


def _partial(root: Path) -> Path:
    scores = torch.rand(2, 3, 4)
    file = PartialFile(root / "x.answers", "key")
    file.write([GroupAnswers(scores=scores, texts=["a", "é"], losses=[0.5], notes={"shown": 3})] * 2)
    return file.path


def _read_partial(root: Path) -> Any:
    groups = PartialFile(root / "x.answers", "key").read()
    if not groups:
        raise BenchError("made anew")
    return [(group.scores.tolist(), group.texts, group.losses, group.notes) for group in groups]


def _model(file: str) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        return save_architecture(SUPPORTED["llama"](), root / "model") / file

    return make


def _read_model(root: Path) -> Any:
    backbone = CausalLM(root / "model")
    backbone.require_runnable()
    return backbone.fingerprint


def _checkpoint(root: Path) -> Path:
    return save(root / "clip.pt", "tiny-vit")


def _scripted(root: Path) -> Path:
    return save_scripted(root / "clip.pt", "tiny-vit")


def _read_scripted(root: Path) -> Any:
    with trusting(True):
        return OpenClip(f"tiny-vit/{root}/clip.pt").fingerprint


def _training(root: Path) -> Path:
    """A checkpoint of an unfinished training, as Lightning lays it out."""
    state = {"readouts.0.scorer": torch.randn(1, 16), "readouts.0.out": torch.randn(8, 8)}
    moments = {number: {"step": torch.tensor(3.0), "exp_avg": torch.randn(8, 8)} for number in range(2)}
    kept = {"identity": {"backbone": "b", "steps": 6}, "losses": [3.0, 2.5, 2.0]}
    checkpoint = {"global_step": 3, "state_dict": state, "optimizer_states": [{"state": moments}], "readouts": kept}
    Checkpoints().save_checkpoint(checkpoint, root / "out.ckpt")
    return root / "out.ckpt"


def _read_training(root: Path) -> Any:
    found = Checkpoints().load_checkpoint(root / "out.ckpt")
    return tree_map(lambda each: each.tolist() if isinstance(each, torch.Tensor) else each, found)


def _call(root: Path) -> KnownCall:
    return KnownCall(Store(root), "0" * 64, "1" * 64)


def _known_call(root: Path) -> Path:
    call = _call(root)
    ids = [call.store.write(made({"seed": seed})).id for seed in range(3)]
    call.path.parent.mkdir()
    call.path.write_text(json.dumps(call._content(ids), indent=1), encoding="utf-8")
    return call.path


def _read_known_call(root: Path) -> Any:
    if (records := _call(root).records()) is None:
        raise BenchError("planned anew")
    return [record.id for record in records]


def _corpus(root: Path) -> Path:
    (root / "0.txt").write_text("A corpus with é and 日本.\n" * 20, encoding="utf-8")
    return root / "0.txt"


KINDS: dict[str, Kind] = {
    "record": Kind(_record, _read_record, checked=True),
    "predictions": Kind(_predictions, _read_record, checked=True),
    "feature shard": Kind(_shard, _read_shard, checked=True),
    "suite": Kind(_suite, lambda root: load_suite(str(root / "suite.yaml"))),
    "derived folder": Kind(_derived, _read_derived, checked=True),
    "best.yaml": Kind(_best, lambda root: read_configs([root / "best.yaml"]), checked=True),
    "study": Kind(_study, lambda root: sweep_spec(read_yaml(root / "study.yaml", "study").fields)),
    "CSV": Kind(_table("mine.csv"), lambda root: TextFolder().load(root).revision),
    "JSON lines": Kind(_table("mine.jsonl"), lambda root: TextFolder().load(root).revision),
    "Parquet of texts": Kind(_table("mine.parquet"), lambda root: TextFolder().load(root).revision),
    "text": Kind(_text_file, lambda root: TextFolder().load(root).revision),
    "Parquet of images": Kind(_image_table, lambda root: ImageFolder().load(root).revision),
    "image": Kind(_image_file, lambda root: ImageFolder().load(root).revision),
    "journal": Kind(_journal, _read_journal, checked=True),
    "unfinished run": Kind(_partial, _read_partial, checked=True),
    "readouts": Kind(_readouts, _read_readouts, checked=True),
    "model's config": Kind(_model("config.json"), _read_model),
    "model's tokens": Kind(_model("generation_config.json"), _read_model),
    "model's tokenizer": Kind(_model("tokenizer.json"), _read_model),
    "model's settings of the tokenizer": Kind(_model("tokenizer_config.json"), _read_model),
    "model's weights": Kind(_model("model.safetensors"), _read_model),
    "checkpoint of CLIP": Kind(_checkpoint, lambda root: OpenClip(f"tiny-vit/{root}/clip.pt").fingerprint),
    "TorchScript archive of CLIP": Kind(_scripted, _read_scripted),
    "checkpoint of readouts": Kind(_training, _read_training, checked=True),
    "known calls": Kind(_known_call, _read_known_call, checked=True),
    "corpus": Kind(_corpus, lambda root: read_corpus(str(root), None)),
}


def damage(root: Path, files: int, seed: int = 0) -> dict[str, int]:
    """Read many damaged files of each kind.

    Args:
        root: An empty folder.
        files: Number of files in all.
        seed: Seed of the damage.

    Returns:
        Counts: ``damaged`` files; ``refused`` in one line, read the ``same``, ``accepted`` as a user's own content;
        ``wrong`` content accepted where it is checked, ``tracebacks``, ``lines`` beyond the first, ``hangs``.
    """
    draw, found = random.Random(seed), Counter[str](wrong=0, tracebacks=0, lines=0, hangs=0)
    for name, kind in KINDS.items():
        folder = root / name.replace(" ", "-")
        folder.mkdir(parents=True)
        path = kind.make(folder)
        whole, undamaged = path.read_bytes(), kind.read(folder)
        for _ in range(-(-files // len(KINDS))):
            path.write_bytes(mutated(whole, draw))
            found["damaged"] += 1
            began, kept = time.perf_counter(), False
            try:
                read = kind.read(folder)
            except BenchError as error:
                found["refused"] += 1
                found["lines"] += str(error).count("\n")
            except Exception:
                found["tracebacks"] += 1
                traceback.print_exc()
                kept = True
            else:
                same = read == undamaged
                kept = kind.checked and not same
                found["same" if same else "wrong" if kept else "accepted"] += 1
            if kept:
                (root / f"{folder.name}-{found['damaged']}").write_bytes(path.read_bytes())
                print(f"{name}: file {found['damaged']}", flush=True)
            found["hangs"] += time.perf_counter() - began > SLOW
            path.write_bytes(whole)
    return dict(found)
