"""Every reader of the project: good files to begin with, and what a user does with such a file.

A reader is driven through the public functions alone. Reading means using all of it: every batch,
every row, every answer.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from h2q.images import MAX_PIXELS
from tests.fuzz import mutations
from tests.fuzz.mutations import Mutator

#: The files of a case by their name; the first is changed and read, the others lie beside it.
Files = dict[str, bytes]


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes
    ----------
    name : str
    make : callable
        Writes good files into an empty folder and yields, for each case, which file is changed
        and which are left as they are.
    read : callable
        Uses a file, given by its path. What it returns must not change by a damage that the
        reader is meant to see through (`must_agree`).
    inside : callable or None
        Changes that keep the container.
    must_agree : bool
        Whether the file is only an aid: the result is the same without it, or whatever it holds.
    fat : int
        Bytes that a file may cost beyond what every reader may: what it says, within our bounds.
    """

    name: str
    make: Callable[[Path], Iterator[list[Path]]]
    read: Callable[[Path], Any]
    inside: Mutator | None = None
    must_agree: bool = False
    fat: int = 0

    def cases(self) -> list[Files]:
        """Make the good files, in memory."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            found = []
            for paths in self.make(folder):
                found.append({str(p.relative_to(folder)): p.read_bytes() for p in paths})
            return found


READERS: dict[str, Reader] = {}


def reader(
    name: str,
    make: Callable[[Path], Iterator[list[Path]]],
    inside: Mutator | None = None,
    *,
    must_agree: bool = False,
    fat: int = 0,
) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    def add(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        READERS[name] = Reader(name, make, read, inside, must_agree, fat)
        return read

    return add


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _rows(n: int = 40, d: int = 12) -> Any:
    return _rng().standard_normal((n, d)).astype(np.float32)


def _stream(n: int = 30, n_bits: int = 20, ids: str = "int") -> Any:
    from h2q.codes import pack
    from tests.rowfiles.samples import ids_of, payload

    stream_of_codes = _codes_room().stream_of_codes
    codes = pack(_rng().standard_normal((n, n_bits)))
    return stream_of_codes(codes, n_bits, ids_of(ids, n), [payload(i) for i in range(n)])


def _codes_room() -> Any:
    import h2q.rowfiles

    return h2q.rowfiles


def _consume(stream: Any) -> int:
    count = 0
    for batch in stream.batches(1000):
        count += len(batch.ids)
        assert len(batch.ids) == len(batch.codes) == len(batch.payloads)
    return count


# Quantizers, decoders, models


def _with_and_without_seal(path: Path) -> Iterator[list[Path]]:
    """A file with its checksum, which finds nearly all, and as an earlier h2q wrote it."""
    from h2q._seal import without_seal

    yield [path]
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    text = json.dumps(without_seal(json.loads(data[8 : 8 + size]))).encode()
    text += b" " * (-len(text) % 8)
    earlier = path.with_name(f"earlier-{path.name}")
    earlier.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    yield [earlier]


def _quantizers(folder: Path) -> Iterator[list[Path]]:
    import h2q

    for number, (bits, kind) in enumerate(
        ((8, h2q.HouseholderQuantizer), (12, h2q.ITQQuantizer), (12, h2q.SignQuantizer))
    ):
        path = folder / f"q{number}.safetensors"
        kind(bits).fit(_rows()).save(path)
        yield from _with_and_without_seal(path)


@reader("quantizer", _quantizers, mutations.in_safetensors)
def _quantizer(path: Path) -> Any:
    import h2q

    quantizer = h2q.load(path)
    return quantizer.transform(_rows(d=quantizer.n_features_in_)).sum()


def _decoders(folder: Path) -> Iterator[list[Path]]:
    from h2q.quantization import CodeDecoder

    path = folder / "decoder.safetensors"
    CodeDecoder().fit(_rows(60, 16)).save(path)
    yield from _with_and_without_seal(path)


@reader("decoder", _decoders, mutations.in_safetensors)
def _decoder(path: Path) -> Any:
    import h2q
    from h2q.codes import pack

    decoder = h2q.load(path)
    return float(decoder.decode(pack(_rows(4, decoder.n_bits_))).sum())


def _models(folder: Path) -> Iterator[list[Path]]:
    import h2q
    from h2q.learning import Hasher, backbones

    hasher = Hasher(backbones.create("features", n_features=12), 8)
    hasher.set_quantizer(h2q.ITQQuantizer().fit(_rows(40, 8)))
    hasher.save(folder / "model.safetensors")
    yield from _with_and_without_seal(folder / "model.safetensors")


@reader("model", _models, mutations.in_safetensors)
def _model(path: Path) -> Any:
    import torch

    import h2q

    model = h2q.load(path)
    rows = model.embed(torch.from_numpy(_rows()))
    # Weights near the largest float give NaN, which is no fault of the reader.
    return model.encode(torch.from_numpy(_rows())).sum() if bool(rows.isfinite().all()) else 0


@reader("model-cli", _models, mutations.in_safetensors)
def _model_info(path: Path) -> Any:
    return _command("info", str(path))


# Codes


def _codes(*names: str, ids: tuple[str, ...] = ("int", "str", "mixed")) -> Any:
    def make(folder: Path) -> Iterator[list[Path]]:
        for name in names:
            for kind in ids:
                path = folder / kind / name
                path.parent.mkdir(exist_ok=True)
                _codes_room().write_codes(_stream(ids=kind), path)
                beside = sorted(p for p in path.parent.iterdir() if p.name.startswith(f"{name}."))
                yield [path, *beside]
                if kind == "int" and beside:
                    yield [path]

    return make


def _read_codes(path: Path) -> Any:
    return _consume(_codes_room().read_codes(path, n_bits=20))


for _name, _suffix, _kinds, _inside in (
    ("codes-parquet", "c.parquet", ("int", "mixed"), None),
    ("codes-arrow", "c.arrow", ("int", "mixed"), None),
    ("codes-npz", "c.npz", ("int", "str"), mutations.in_npz),
    ("codes-npy", "c.npy", ("int", "mixed"), mutations.in_npy),
    ("codes-u8bin", "c.u8bin", ("int", "str"), None),
    ("codes-fbin", "c.fbin", ("int",), None),
    ("codes-faiss", "c.faiss", ("int", "str"), None),
    ("codes-usearch", "c.usearch", ("int", "str"), None),
    ("codes-csv", "c.csv", ("int", "mixed"), mutations.in_text),
):
    reader(_name, _codes(_suffix, ids=_kinds), _inside)(_read_codes)


def _faiss_kinds(folder: Path) -> Iterator[list[Path]]:
    import h2q

    for kind in ("ivf", "hnsw"):
        path = folder / f"{kind}.faiss"
        _codes_room().write_codes(_stream(n_bits=24), path, index=kind)
        yield [path]
    quantizer = h2q.ITQQuantizer(8).fit(_rows())
    path = folder / "q.lsh.faiss"
    _codes_room().write_codes(_stream(n_bits=8), path, quantizer=quantizer)
    yield [path]


@reader("codes-faiss-kinds", _faiss_kinds)
def _faiss_other(path: Path) -> Any:
    return _consume(_codes_room().read_codes(path))


def _benchmarks(folder: Path) -> Iterator[list[Path]]:
    path = folder / "c.hdf5"
    _codes_room().write_codes(_stream(60), path, n_queries=5, k=3)
    yield [path]


@reader("codes-hdf5", _benchmarks)
def _hdf5(path: Path) -> Any:
    import importlib

    _consume(_codes_room().read_codes(path))
    room = importlib.import_module(f"{_codes_room().__name__}.ann_benchmarks")
    return room.read_benchmark(path).neighbors.shape


def _beside(suffix: str) -> Any:
    def make(folder: Path) -> Iterator[list[Path]]:
        for name in ("c.u8bin", "c.npy", "c.faiss"):
            path = folder / name
            _codes_room().write_codes(_stream(), path)
            beside = sorted(p for p in folder.iterdir() if p.name.startswith(f"{name}."))
            changed = next(p for p in beside if p.name.endswith(suffix))
            yield [changed, path, *(p for p in beside if p != changed)]

    return make


def _without(path: Path, suffix: str) -> Path:
    return path.with_name(path.name.removesuffix(suffix))


@reader("sidecar", _beside(".json"), mutations.in_json)
def _sidecar(path: Path) -> Any:
    return _read_codes(_without(path, ".json"))


@reader("sidecar-items", _beside(".items.jsonl"), mutations.in_json_lines)
def _items(path: Path) -> Any:
    return _read_codes(_without(path, ".items.jsonl"))


@reader("codes-cli", _codes("c.npz", "c.parquet", ids=("int",)))
def _import(path: Path) -> Any:
    if path.suffix == ".npz":
        _command("info", str(path))
    return _command("import", str(path), "-c", str(path.with_name("made.h2q")))


# Embeddings and data sets in arrays


def _embeddings(folder: Path) -> Iterator[list[Path]]:
    rows, n = _rows(), 40
    labels = np.arange(n) % 4
    names = np.array([f"n{i}" for i in range(n)])
    split = np.array(["train", "query", "database", "validation"])[np.arange(n) // 10]
    np.savez(folder / "a.npz", features=rows, labels=labels, ids=names, split=split)
    np.savez_compressed(folder / "b.npz", features=rows, labels=np.array(list("abcd"))[labels])
    hot = np.eye(12, dtype=np.uint8)[np.arange(n) % 12]
    packed = np.packbits(hot, axis=1)
    np.savez(folder / "c.npz", features=rows, labels=packed, n_classes=np.array(12))
    np.savez(folder / "d.npz", features=rows, labels=packed, classes=np.arange(12).astype(str))
    for path in sorted(folder.iterdir()):
        yield [path]


@reader("embeddings-npz", _embeddings, mutations.in_npz)
def _load_embeddings(path: Path) -> Any:
    from h2q.rowfiles import load_embeddings
    from h2q.rowfiles.embeddings import is_codes_file

    if path.suffix == ".npz":
        is_codes_file(path)
    found = load_embeddings(path)
    return float(np.asarray(found.rows).sum()), len(found.ids), found.part("all").classes


def _pixels(folder: Path) -> Iterator[list[Path]]:
    yield from _embeddings(folder)
    pixels = _rng().integers(0, 255, (40, 4, 4, 3), dtype=np.uint8)
    np.savez(folder / "e.npz", images=pixels, labels=np.arange(40) % 4)
    yield [folder / "e.npz"]


@reader("dataset-npz", _pixels, mutations.in_npz)
def _dataset_npz(path: Path) -> Any:
    return _dataset(f"npz:{path}")


@reader("eval-cli", _embeddings, mutations.in_npz)
def _eval(path: Path) -> Any:
    return _command("eval", str(path), "-k", "5")


def _arrays(folder: Path) -> Iterator[list[Path]]:
    np.save(folder / "a.npy", _rows())
    np.save(folder / "b.npy", _rows().astype(np.float64)[:, ::-1].T.copy().T)
    for path in sorted(folder.iterdir()):
        yield [path]


@reader("embeddings-npy", _arrays, mutations.in_npy)
def _load_array(path: Path) -> Any:
    return _load_embeddings(path)


def _fbin(folder: Path) -> Iterator[list[Path]]:
    path = folder / "a.fbin"
    path.write_bytes(np.array([40, 12], "<u4").tobytes() + _rows().tobytes())
    yield [path]


@reader("embeddings-fbin", _fbin)
def _load_fbin(path: Path) -> Any:
    from h2q.rowfiles import load_embeddings

    return float(np.asarray(load_embeddings(path).rows).sum())


# Shards


def _shard_files(kind: str) -> Any:
    def make(folder: Path) -> Iterator[list[Path]]:
        if kind == "parquet":
            _parquet_shards(folder)
        elif kind == "npy":
            yield from _arrays(folder)
            return
        else:
            yield from _embeddings(folder)
            from h2q.codes import pack, save_codes

            save_codes(folder / "codes.npz", pack(_rows()), 12, [str(i) for i in range(40)])
            yield [folder / "codes.npz"]
            return
        for path in sorted(folder.iterdir()):
            yield [path]

    return make


def _parquet_shards(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = _rows()
    flat = pa.array(rows.ravel())
    ids = pa.array([f"n{i}" for i in range(40)])
    labels = pa.array([f"c{i % 3}" for i in range(40)]).dictionary_encode()
    fixed = pa.FixedSizeListArray.from_arrays(flat, 12)
    ragged = pa.ListArray.from_arrays(pa.array(range(0, 481, 12), pa.int32()), flat)
    pq.write_table(pa.table({"id": ids, "embedding": fixed, "label": labels}), folder / "a.parquet")
    hot = pa.array(np.eye(4, dtype=np.int64)[np.arange(40) % 4].tolist())
    pq.write_table(pa.table({"id": range(40), "x": ragged, "labels": hot}), folder / "b.parquet")
    _codes_room().write_codes(_stream(), folder / "c.parquet")


def _shard(path: Path) -> Any:
    from h2q.rowfiles import find_shards, read_shard

    total = 0
    for shard in find_shards(str(path)):
        for start in range(0, min(shard.n_rows, 200), 16):
            rows = read_shard(shard, start, min(start + 16, shard.n_rows))
            total += len(rows.ids)
            [rows.payload(place) for place in range(len(rows))]
    return total


reader("shard-npz", _shard_files("npz"), mutations.in_npz)(_shard)
reader("shard-npy", _shard_files("npy"), mutations.in_npy)(_shard)
reader("shard-parquet", _shard_files("parquet"))(_shard)


def _parts(folder: Path) -> Iterator[list[Path]]:
    from h2q.ingest import bulk_encode
    from h2q.quantization import ITQQuantizer

    np.save(folder / "rows.npy", _rows())
    out = folder / "out"
    bulk_encode(str(folder / "rows.npy"), ITQQuantizer(8).fit(_rows()), str(out), unit_size=16)
    paths = sorted(out.iterdir())
    manifest = out / "manifest.json"
    yield [manifest, *(p for p in paths if p != manifest)]


@reader("parts-manifest", _parts, mutations.in_json)
def _manifest(path: Path) -> Any:
    return _shard(path.parent)


# Data sets of images


def _dataset(spec: str, **options: Any) -> Any:
    from h2q.datasets import load_dataset

    data = load_dataset(spec, **options)
    for _, items in data.splits():
        if items.images is not None and len(items):
            np.asarray(items.images[0])
    return json.dumps(data.summary())


def _png(seed: int = 0, size: int = 8) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def _csv(folder: Path) -> Iterator[list[Path]]:
    for number in range(12):
        (folder / f"p{number}.png").write_bytes(_png(number))
    images = sorted(folder.iterdir())
    lines = [f"p{i}.png,{'cat;dog' if i % 4 == 0 else 'cat'}" for i in range(12)]
    (folder / "multi.csv").write_text("path,label\n" + "\n".join(lines))
    split = ["train"] * 6 + ["query"] * 2 + ["database"] * 4
    lines = [f"p{i}.png,c{i % 2},{split[i]}" for i in range(12)]
    (folder / "single.csv").write_text("path,label,split\n" + "\n".join(lines))
    for name in ("multi.csv", "single.csv"):
        yield [folder / name, *images]


@reader("dataset-csv", _csv, mutations.in_text)
def _dataset_csv(path: Path) -> Any:
    return _dataset(f"csv:{path}")


def _lists(folder: Path) -> Iterator[list[Path]]:
    from tests.datasets.test_listed import imagenet

    imagenet(folder, "packed")
    lists = [folder / name for name in ("train.txt", "test.txt", "database.txt")]
    images = sorted(folder.rglob("*.JPEG"))
    for path in lists:
        yield [path, *(p for p in lists if p != path), *images]


@reader("dataset-lists", _lists, mutations.in_text)
def _imagenet(path: Path) -> Any:
    return _dataset(f"imagenet100:{path.parent}", check_counts=False)


def _coco(folder: Path) -> Iterator[list[Path]]:
    paths = []
    for part in ("train2014", "val2014"):
        images = [{"id": i, "file_name": f"{part}_{i}.jpg"} for i in range(8)]
        annotations = [{"image_id": i, "category_id": 1 + i % 3} for i in range(8)]
        categories = [{"id": 1 + c, "name": f"c{c}"} for c in range(3)]
        document = {"images": images, "annotations": annotations, "categories": categories}
        path = folder / "annotations" / f"instances_{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
        paths.append(path)
        for image in images:
            file = folder / part / str(image["file_name"])
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(_png())
            paths.append(file)
    yield paths


@reader("dataset-coco", _coco, mutations.in_json)
def _dataset_coco(path: Path) -> Any:
    sizes = {"train": 3, "validation": 1, "query": 1}
    return _dataset(
        f"coco:{path.parent.parent}", check_counts=False, sizes=sizes, allow_missing=True
    )


def _cifar(folder: Path) -> Iterator[list[Path]]:
    import pickle

    def batch(number: int, kind: str) -> bytes:
        rng = np.random.default_rng(number)
        data, labels = rng.integers(0, 255, (20, 3072), np.uint8), [i % 10 for i in range(20)]
        if kind == "py":
            return pickle.dumps({b"data": data, b"labels": labels}, protocol=2)
        return b"".join(
            bytes([label]) + row.tobytes() for label, row in zip(labels, data, strict=True)
        )

    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for kind, suffix in (("py", ""), ("bin", ".bin")):
        path = folder / f"{kind}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for number, name in enumerate(names):
                info = tarfile.TarInfo(f"cifar/{name}{suffix}")
                content = batch(number, kind)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        yield [path]
    for number, name in enumerate(names):
        (folder / name).write_bytes(batch(number, "py"))
    yield [folder / name for name in names]


@reader("dataset-cifar", _cifar)
def _dataset_cifar(path: Path) -> Any:
    where = path if path.name.endswith(".gz") else path.parent
    counts = {"train": 5, "validation": 1, "query": 1}
    return _dataset(f"cifar10:{where}", check_counts=False, per_class=counts)


# Images


def _images(folder: Path) -> Iterator[list[Path]]:
    from PIL import Image

    pixels = _rng().integers(0, 255, (16, 24, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, options in (
        ("a.jpg", {"exif": exif}), ("b.gif", {}), ("c.tiff", {"compression": "tiff_lzw"}),
        ("d.tiff", {"compression": "tiff_deflate"}), ("e.webp", {}), ("f.bmp", {}), ("g.ppm", {}),
        ("h.tga", {"compression": "tga_rle"}), ("i.pcx", {}), ("j.ico", {}), ("k.jp2", {}),
        ("l.sgi", {}), ("m.avif", {}), ("n.dib", {}), ("o.jpg", {"progressive": True}),
    ):  # fmt: skip
        try:
            image.save(folder / name, **options)
        except (OSError, KeyError, ValueError):  # this pillow lacks the encoder
            continue
        yield [folder / name]
    image.quantize(16).save(folder / "p.gif", save_all=True, append_images=[image, image])
    yield [folder / "p.gif"]
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 9).save(folder / "q.tiff")
    yield [folder / "q.tiff"]


def _pngs(folder: Path) -> Iterator[list[Path]]:
    from PIL import Image, PngImagePlugin

    pixels = _rng().integers(0, 255, (16, 24, 4), dtype=np.uint8)
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "x" * 100)
    text.add_text("b", "y" * 5000, zip=True)
    text.add_itxt("c", "z" * 500, zip=True)
    Image.fromarray(pixels).save(folder / "a.png", pnginfo=text)
    Image.fromarray(pixels[..., 0]).convert("1").save(folder / "b.png")
    Image.fromarray(pixels[..., :3]).quantize(8).save(folder / "c.png", transparency=1)
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 9).save(folder / "d.png")
    for path in sorted(folder.iterdir()):
        yield [path]


def _read_image(path: Path) -> Any:
    from h2q.images import read_image

    return read_image(path).size


# A picture states its pixels; decoded and as RGB they take up to six bytes each, of MAX_PIXELS.
reader("image", _images, fat=6 * MAX_PIXELS)(_read_image)
reader("image-png", _pngs, mutations.in_png, fat=6 * MAX_PIXELS)(_read_image)


# Collections


def _collections(folder: Path) -> Iterator[list[Path]]:
    import h2q
    from h2q.codes import pack

    payloads = [{"label": f"c{i % 3}", "path": f"p{i}"} if i % 5 else None for i in range(40)]
    ids: list[int | str] = [i if i % 2 else f"n{i}" for i in range(40)]
    with h2q.open_collection(str(folder / "codes.h2q"), n_bits=20) as collection:
        collection.add(ids, pack(_rng().standard_normal((40, 20))), payloads)
        collection.delete([1, 3])
    quantizer = h2q.ITQQuantizer(8).fit(_rows())
    for keep in ("int8", "scale"):
        try:
            made = h2q.open_collection(str(folder / f"{keep}.h2q"), quantizer=quantizer, keep=keep)
        except h2q.errors.H2QError:
            continue
        with made as collection:
            rows = _rows()
            collection.add(ids, quantizer.transform(rows), payloads, embeddings=rows)
    for path in sorted(folder.glob("*.h2q")):
        yield [path]


def _use(path: Path, mode: str) -> Any:
    import h2q

    with h2q.open_collection(str(path), mode=mode) as collection:
        n_bits, n = collection.n_bits, len(collection)
        if n_bits > 4096:
            raise h2q.errors.FormatError(f"{path.name}: the harness asks no more")
        rows = np.random.default_rng(3).standard_normal((2, n_bits))
        from h2q.codes import pack

        found: list[Any] = [n, n_bits]
        found += [batch.ids for batch in collection.iterate(7)]
        found += [collection.search(pack(rows), 3).ids, collection.within(pack(rows), 9).ids]
        found += [collection.search(pack(rows), 3, {"label": "c1"}).ids]
        found += [str(collection.get(["n2", 5, "none"])), collection.count({"label": "c2"})]
        if collection.quantizer is not None:
            found += [collection.search(_rows(2), 3).ids]
        collection.info()
        collection.model_bytes()
        if mode == "a" and (collection.keep == "codes" or collection.quantizer is not None):
            if collection.keep == "codes":
                collection.add(["new"], pack(rows[:1]))
            else:
                coder = collection.quantizer
                assert coder is not None
                given = _rows(1)
                collection.add(["new"], coder.transform(given), embeddings=given)
            collection.delete(["new", "n4"])
            found += [len(collection), sorted(map(str, collection))]
            collection.check()
        return found


@reader("collection-read", _collections, mutations.in_sqlite)
def _collection_to_read(path: Path) -> Any:
    return _use(path, "r")


@reader("collection-write", _collections, mutations.in_sqlite)
def _collection_to_write(path: Path) -> Any:
    return _use(path, "a")


@reader("collection-cli", _collections, mutations.in_sqlite)
def _collection_info(path: Path) -> Any:
    _command("info", str(path))
    return _command("export", str(path), str(path.with_name("made.parquet")))


def _logs(folder: Path) -> Iterator[list[Path]]:
    """A collection as a killed writer leaves it: with its write-ahead log."""
    import h2q
    from h2q.codes import pack

    next(_collections(folder))
    copy = folder / "copy"
    copy.mkdir()
    with h2q.open_collection(str(folder / "codes.h2q")) as collection:
        collection.add(["a", "b"], pack(_rng().standard_normal((2, 20))))
        for path in folder.glob("codes.h2q*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, copy)
    yield sorted(copy.iterdir(), key=lambda path: not path.name.endswith("-wal"))


@reader("collection-log", _logs)
def _collection_with_log(path: Path) -> Any:
    return _use(path.with_name(path.name.removesuffix("-wal")), "a")


def _caches(suffix: str) -> Any:
    def make(folder: Path) -> Iterator[list[Path]]:
        import h2q
        from h2q.codes import pack

        path = folder / "big.h2q"
        with h2q.open_collection(str(path), n_bits=20, index="ivf") as collection:
            collection.add(range(300), pack(_rng().standard_normal((300, 20))))
            collection.search(pack(_rows(1, 20)), 3)
            collection.optimize()
        files = [Path(f"{path}.{name}") for name in ("cache", "index")]
        files.sort(key=lambda each: not each.name.endswith(suffix))
        yield [*files, path]

    return make


def _with_cache(path: Path) -> Any:
    import h2q
    from h2q.codes import pack

    where = path.with_name("big.h2q")
    rows = np.random.default_rng(3).standard_normal((3, 20))
    with h2q.open_collection(str(where), mode="r") as collection:
        hits = collection.search(pack(rows), 3)
        found = [hits.ids, [each.tolist() for each in hits.distances]]
        within = collection.within(pack(rows), 7)
        found += [[sorted(ids) for ids in within.ids], len(collection)]
        return found


reader("cache", _caches("cache"), must_agree=True)(_with_cache)
reader("cache-header", _caches("cache"), mutations.in_safetensors, must_agree=True)(_with_cache)
reader("index-file", _caches("index"), mutations.in_safetensors)(_with_cache)


# Text


def _configs(folder: Path) -> Iterator[list[Path]]:
    from h2q.learning import TrainConfig

    path = folder / "config.yaml"
    options = {"loss_options": {"alpha": 1.0}, "dataset_options": {"sizes": {"train": 3}}}
    path.write_text(TrainConfig.from_dict({"n_bits": 32, **options}).to_yaml())
    yield [path]


@reader("config", _configs, mutations.in_text)
def _config(path: Path) -> Any:
    from h2q.learning import TrainConfig

    return TrainConfig.from_yaml(path).to_yaml()


def _torch_files(folder: Path) -> Iterator[list[Path]]:
    import torch

    tensors = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.ones(2, 3)[:, 1:]}
    path = folder / "weights.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    yield [path]


@reader("torch-file", _torch_files)
def _torch_file(path: Path) -> Any:
    from h2q.encoders.torch_file import read_torch_arrays

    return {name: array.sum() for name, array in read_torch_arrays(path).items()}


def _preparings(folder: Path) -> Iterator[list[Path]]:
    from h2q.encoders import Preparing

    path = folder / "network.json"
    path.write_text(json.dumps(Preparing(size=(8, 6), resize=9).to_dict()))
    yield [path]
    theirs = {"do_resize": True, "size": {"shortest_edge": 9}, "do_center_crop": True,
              "crop_size": {"height": 8, "width": 8}, "resample": 3, "do_rescale": True,
              "rescale_factor": 1 / 255, "image_mean": [0.5] * 3,
              "image_std": [0.2] * 3}  # fmt: skip
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(theirs))
    yield [path]


@reader("preparing", _preparings, mutations.in_json, fat=64 << 20)
def _preparing(path: Path) -> Any:
    from PIL import Image

    from h2q.encoders import Preparing

    return float(Preparing.from_file(path)(Image.new("RGB", (30, 20), "red")).sum())


def _networks(folder: Path) -> Iterator[list[Path]]:
    from tests.encoders.tiny_onnx import photo_network

    path = photo_network(folder / "network.onnx")
    yield [path, path.with_suffix(".json")]


@reader("onnx", _networks)
def _network(path: Path) -> Any:
    from PIL import Image

    from h2q.encoders import load_encoder

    encoder = load_encoder(f"onnx:{path}")
    return encoder.embed([encoder.prepare(Image.new("RGB", (30, 20), "red"))]).shape


def _results(folder: Path) -> Iterator[list[Path]]:
    import dataclasses

    from h2q.experiments.results import COLUMNS, Result
    from h2q.experiments.storage import write_results

    values = {str: "x", int: 1, float: 0.5, bool: True}
    row = Result(**{name: values[kind] for name, kind in COLUMNS.items()})
    rows = [dataclasses.replace(row, seed=seed) for seed in range(5)]
    write_results(folder / "r.parquet", rows)
    yield [folder / "r.parquet"]


@reader("results", _results)
def _read_results(path: Path) -> Any:
    from h2q.experiments.storage import read_results

    return len(read_results(path))


def _metrics(folder: Path) -> Iterator[list[Path]]:
    path = folder / "metrics.csv"
    path.write_text("epoch,loss,validation_mAP\n0,1.0,0.2\n1,0.5,0.4\n")
    yield [path]


@reader("metrics-cli", _metrics, mutations.in_text)
def _describe(path: Path) -> Any:
    return _command("info", str(path.parent))


def _command(*arguments: str) -> Any:
    """Run a verb as the command line does; an error of ours stays one, anything else is a bug."""
    import typer.main
    from click.testing import CliRunner

    from h2q.cli._app import app
    from h2q.errors import H2QError

    result = CliRunner().invoke(typer.main.get_command(app), list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code not in (0, 3):
        raise H2QError(f"{Path(arguments[1]).name}: exit code {result.exit_code}")
    return None
