"""Train, embed, compare, index, search; what each step leaves goes into one folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from h2q._lazy import require
from h2q._typing import StrPath
from h2q.datasets import Dataset, Items, load_digits
from h2q.demo.folder import prepare_folder
from h2q.errors import InvalidInputError
from h2q.ingest import index_folder
from h2q.ingest.embedding import embed_dataset
from h2q.ingest.models import collection_and_encoder
from h2q.judging.quantizers import Comparison, Split, compare_quantizers
from h2q.rowfiles import Embeddings, save_embeddings
from h2q.searching.searcher import Result, Searcher

if TYPE_CHECKING:
    from h2q.learning import TrainingResult

METHODS: Final = ("none", "itq", "h2q")
#: Fits of each quantizer, so that the table shows the spread between seeds.
N_FITS: Final = 10
_SETTINGS: Final[dict[str, Any]] = {
    "backbone": "digits-cnn",
    "accelerator": "cpu",  # as fast for so small a network, and the same codes on every machine
    "loss": "cel",
    "batch_size": 64,
    "learning_rate": 3e-3,
    "patience": None,
}


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demo made, and where.

    Attributes
    ----------
    folder : Path
    dataset : Dataset
    training : TrainingResult
    embeddings : Embeddings
        Of all splits, before rotation.
    comparison : Comparison
        The table.
    search : Result
        The neighbours of `query`.
    query : Path
        The picture searched for.
    """

    folder: Path
    dataset: Dataset
    training: TrainingResult
    embeddings: Embeddings
    comparison: Comparison
    search: Result
    query: Path

    @property
    def collection(self) -> Path:
        """The collection of the database digits."""
        return self.folder / "digits.h2q"

    @property
    def report(self) -> Path:
        """The page with everything."""
        return self.folder / "report.html"

    def next_steps(self) -> list[tuple[str, str]]:
        """Return what to look at next: a description, and a file or command."""
        embeddings = self.folder / "embeddings.npz"
        return [
            ("the report, with pictures", str(self.report)),
            ("search with a digit", f"h2q search {self.collection} {self.query} --out sheet.png"),
            ("what the collection holds", f"h2q info {self.collection}"),
            (
                "every quantizer, compared",
                f"h2q eval {embeddings} --quantizers none,random,itq,h2q,h2q-sgd",
            ),
            (
                "your own photos",
                "h2q index ~/Pictures -c photos.h2q; with labels: h2q train --help",
            ),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return {
            "folder": str(self.folder),
            "collection": str(self.collection),
            "report": str(self.report),
            "validation_map": self.training.best_validation_map,
            "search": self.search.to_dict(),
            **self.comparison.to_dict(),
        }


def run_demo(
    out: StrPath,
    *,
    n_bits: int = 16,
    epochs: int = 10,
    random_state: int = 0,
    progress: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> DemoResult:
    """Run the demo into a folder.

    Nothing is downloaded. The same seed gives the same codes.

    Parameters
    ----------
    out : path
        Made if it is absent; what an earlier demo left in it is replaced.
    n_bits : int
        Bits a code.
    epochs : int
        Of training.
    random_state : int
        Seed of everything.
    progress : bool
        Bars on stderr, where that is a terminal.
    say : callable
        Told what is being done.

    Raises
    ------
    InvalidInputError
        If `out` cannot be written, or holds files that are not an earlier demo's.
    MissingExtraError
        If torch or matplotlib is not installed.
    """
    require("torch", "train")
    require("matplotlib", "plot")
    from h2q.demo.report import write_report
    from h2q.learning import fit

    folder = prepare_folder(out)
    dataset = load_digits(random_state=random_state)
    with _one_thread():
        say(f"training a small network on {len(dataset.train)} digits, {n_bits} bits")
        training = fit(
            dataset,
            out=folder / "run",
            # `h2q eval --model` must find the same split again.
            dataset_options={"random_state": random_state},
            n_bits=n_bits,
            epochs=epochs,
            random_state=random_state,
            progress=progress,
            **_SETTINGS,
        )
        say("embedding all digits, comparing quantizers")
        embeddings = embed_dataset(dataset, training.model)
        save_embeddings(folder / "embeddings.npz", embeddings)
        comparison = compare_quantizers(
            *(_split(embeddings, name) for name in ("train", "query", "database")),
            quantizers=METHODS,
            seeds=range(random_state, random_state + N_FITS),
        )
        say("building a collection and searching it")
        for items, name in ((dataset.database, "photos"), (dataset.query, "queries")):
            write_pictures(items, dataset.classes, folder / name)
        with collection_and_encoder(
            str(folder / "digits.h2q"), model=training.run_dir, device="cpu"
        ) as (collection, encoder):
            index_folder(folder / "photos", collection, encoder)
        query = sorted((folder / "queries").rglob("*.png"))[0]
        with Searcher(str(folder / "digits.h2q"), device="cpu") as searcher:
            search = searcher.search(searcher.file(query), k=10)[0]
    result = DemoResult(folder, dataset, training, embeddings, comparison, search, query)
    say("drawing the report")
    write_report(result)
    return result


def write_pictures(items: Items, classes: list[str], folder: Path) -> None:
    """Write images as PNG, one folder a class, as a folder of photos would be."""
    if items.images is None:
        raise InvalidInputError("the items hold features, not images")
    for place, item_id in enumerate(items.ids):
        path = folder / classes[int(items.labels[place])] / f"{item_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        items.images[place].save(path)


def _split(embeddings: Embeddings, name: str) -> Split:
    part = embeddings.part(name)
    return Split(part.rows, np.asarray(part.labels))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch on one thread: on pictures this small, more only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
