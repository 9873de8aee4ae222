"""`h2q eval`: judge quantizers, a model, or a collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from h2q.cli import _console
from h2q.cli._help import BatchSize, Device, Json, Key, Seed
from h2q.quantization.registry import QUANTIZERS
from h2q.ranks import judged_text

if TYPE_CHECKING:
    from h2q.datasets import Dataset


def evaluate(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(help="Labelled embeddings (.npz, Parquet, ...), or a collection."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Judge this model or run folder ...")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="... on this data set; a run folder knows its own."),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option("--bits", "-b", min=1, help="Bits a code; the dimension by default."),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, help="mAP@k; the whole database is ranked by default."),
    ] = None,
    quantizers: Annotated[
        str,
        typer.Option(
            "--quantizers",
            help=f"Quantizers to compare, of {', '.join(QUANTIZERS)}; or "
            "package.module:MyQuantizer.",
        ),
    ] = "none,random,itq,h2q",
    ranks: Annotated[
        str | None,
        typer.Option(
            "--ranks",
            help="Ranks to judge by, of those of `search --rank`; a decoder that one needs is "
            "fitted on the training rows.",
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, help="Fits of each quantizer; the spread is shown.")
    ] = 1,
    queries: Annotated[
        int, typer.Option("--queries", min=1, help="Of a collection: items used as queries.")
    ] = 500,
    key: Key = None,
    seed: Seed = 0,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Judge codes by [bold]mean average precision[/], by several ranks.

    For embeddings or a model: fits each quantizer on the training rows and searches the queries
    among the database, ranked by JUDGED, beside the bound of the real embeddings. Items that tie
    count by the expected value over their orders. For a collection: searches some of its items
    among the others by their codes.
    """
    if (source is None) == (model is None):
        raise typer.BadParameter("give labelled embeddings or a collection, or --model and --data")
    if data is not None and model is None:
        raise typer.BadParameter("goes with --model", param_hint="--data")
    if source is not None and _is_collection(source):
        _refuse(context, _OF_ROWS, "is for embeddings or a model")
        _collection(source, k=k, n_queries=queries, seed=seed, json=json)
        return
    _refuse(context, ("queries",), "is for a collection")
    if model is not None:
        dataset = _embed(data, model, device, batch_size)
    else:
        dataset = _load(str(source), key)
    from h2q.judging.quantizers import Split, compare_quantizers

    parts = [
        Split(_rows(items), items.labels)
        for items in (dataset.train, dataset.query, dataset.database)
    ]
    with _console.progress("fitting and judging") as advance:
        comparison = compare_quantizers(
            *parts,
            n_bits=bits,
            quantizers=_names(quantizers),
            ranks=None if ranks is None else _names(ranks),
            k=k,
            seeds=range(seed, seed + repeats),
            on_progress=advance,
        )
    facts = {
        "data": dataset.name,
        "train": len(dataset.train),
        "query": len(dataset.query),
        "database": len(dataset.database),
    }
    if json:
        _console.print_json({**facts, **comparison.to_dict()})
        return
    title = f"{dataset.name}: {comparison.metric} in percent, {comparison.n_bits} bits"
    _console.show(comparison.header(), comparison.rows(), title=title)
    _console.note(
        f"fitted on {facts['train']:,} rows; {facts['query']:,} queries among "
        f"{facts['database']:,}; seeds {comparison.seeds}"
    )


evaluate.__doc__ = (evaluate.__doc__ or "").replace("JUDGED", judged_text())


#: Options that judge what is fitted; the codes of a collection are made already.
_OF_ROWS: Final = ("quantizers", "bits", "ranks", "repeats", "key")


def _refuse(context: typer.Context, names: Sequence[str], why: str) -> None:
    """Refuse the options that were given, be it with their usual value."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(why, param_hint=f"--{name}")


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _is_collection(source: str) -> bool:
    if "://" in source:
        return True
    from h2q._files import is_sqlite

    return is_sqlite(source)


def _collection(uri: str, *, k: int | None, n_queries: int, seed: int, json: bool) -> None:
    from h2q.collections import open_collection
    from h2q.judging.collections import evaluate_collection

    with open_collection(uri, mode="r") as collection:
        uri = collection.uri  # without the password an address may hold
        found = evaluate_collection(collection, k=k, n_queries=n_queries, random_state=seed)
    if json:
        _console.print_json({"collection": uri, **found.to_dict()})
        return
    rows = [[row["ranking"], row["metric"], row["value"]] for row in found.rows()]
    title = f"{uri}: {found.n_queries:,} queries among {found.n_database:,}, {found.n_bits} bits"
    _console.show(["ranking", "metric", "value"], rows, title=title)


def _load(source: str, key: str | None) -> Dataset:
    from h2q.datasets import load_dataset
    from h2q.datasets.arrays import dataset_of_embeddings
    from h2q.errors import InvalidInputError
    from h2q.rowfiles import load_embeddings
    from h2q.rowfiles.registry import SUFFIXES

    path = source.removeprefix("npz:")
    if not path.lower().endswith(SUFFIXES) or not Path(path).exists():
        raise InvalidInputError(
            f"{source!r} is neither a file of labelled embeddings nor a collection; "
            "to judge a model on a data set, give --model and --data"
        )
    if not path.endswith(".npz") or (key is None and not _is_data_set(path)):
        return dataset_of_embeddings(load_embeddings(path, key=key), path)
    options: dict[str, Any] = {} if key is None else {"features": key}
    return load_dataset(f"npz:{path}", validation=0.0, **options)


def _is_data_set(path: str) -> bool:
    """Whether an .npz has the keys of a data set; others may call their rows what they like."""
    from h2q.rowfiles.npz import array_names

    return not {"features", "images"}.isdisjoint(array_names(path))


def _embed(data: str | None, model: Path, device: str, batch_size: int | None) -> Dataset:
    """Return the data set with the model's embeddings as its features."""
    from dataclasses import replace

    from h2q.datasets import load_dataset
    from h2q.datasets.registry import seen_from
    from h2q.errors import InvalidInputError
    from h2q.ingest.encoder import PhotoEncoder, load_hasher
    from h2q.learning import TrainConfig

    config, options = TrainConfig(), dict[str, Any]()
    spec = data
    if (model / "config.yaml").is_file():
        # Of which the data set alone is looked at: code that it names is not imported.
        config = TrainConfig.from_yaml(model / "config.yaml", trusted=None)
        if config.dataset is not None:
            found = _found_data(config.dataset, model, needed=data is None)
            # They hold the seed of the split: with another, training items would be queries.
            if data in (None, config.dataset) or seen_from(str(data), Path.cwd()) == found:
                options = config.dataset_options
            spec = data or found
    if spec is None:
        raise InvalidInputError(f"{model} does not say what it was trained on; give --data")
    hasher = load_hasher(model)
    if hasher.preprocessing is not None:
        hasher = PhotoEncoder(hasher, device).hasher
    dataset = load_dataset(spec, **options)
    embedded: dict[str, Any] = {
        name: replace(
            items,
            images=None,
            features=hasher.embed_items(
                items, batch_size=batch_size, progress=not _console.is_quiet()
            ),
        )
        for name, items in dataset.splits()
        if len(items)
    }
    return replace(dataset, **embedded)


def _found_data(spec: str, run: Path, *, needed: bool) -> str:
    """Find the data of a run, whose path is relative to where it was made.

    That folder first, where the run says so; then this one, and the run's own.
    """
    from h2q.datasets.registry import check_dataset, seen_from
    from h2q.errors import InvalidInputError
    from h2q.learning.config import MADE_IN

    first = (run / "config.yaml").read_text(encoding="utf-8").partition("\n")[0]
    made = [Path(first.removeprefix(MADE_IN))] if first.startswith(MADE_IN) else []
    tried = list(
        dict.fromkeys(seen_from(spec, each) for each in (*made, Path.cwd(), run.resolve()))
    )
    for each in tried:
        try:
            check_dataset(each)
        except InvalidInputError:
            continue
        return each
    if not needed:
        return spec
    if len(tried) == 1:  # an absolute path, or no path at all
        check_dataset(spec)
    raise InvalidInputError(
        f"{run} was trained on {spec!r}, which is not there: tried {', '.join(tried)}; "
        "say where it is now with --data"
    )


def _rows(items: Any) -> Any:
    from h2q.errors import InvalidInputError

    if items.features is None:
        raise InvalidInputError("the file holds images, not embeddings; run `h2q embed` first")
    return items.features
