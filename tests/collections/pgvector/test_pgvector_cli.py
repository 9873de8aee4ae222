"""The command line with the address of a collection in PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import h2q
from h2q.rowfiles import Embeddings, save_embeddings


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "h2q", *map(str, arguments)], capture_output=True, text=True
    )
    for secret in ("s3cret", "wr0ng"):
        assert secret not in done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_index_info_and_export(server, tmp_path):
    address = server.new_address().replace(" ", "-")
    rows = np.random.default_rng(0).standard_normal((300, 24)).astype(np.float32)
    ids = [f"{i}.jpg" for i in range(300)]
    save_embeddings(tmp_path / "rows.npz", Embeddings(rows, ids))
    quantizer = h2q.RandomRotationQuantizer(16, random_state=0).fit(rows)
    quantizer.save(tmp_path / "quantizer.h2q")
    for _ in range(2):  # again changes nothing
        done = run(
            "index", tmp_path / "rows.npz", "-c", address,
            "--quantizer", tmp_path / "quantizer.h2q", "--keep", "int8",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    facts = json.loads(run("info", address, "--json").stdout)
    assert (facts["engine"], facts["count"], facts["keep"]) == ("pgvector", 300, "int8")
    done = run("export", address, tmp_path / "codes.npy")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "codes.npy"), quantizer.transform(rows))
    wrong = run("info", address.replace("s3cret", "wr0ng"))
    assert wrong.returncode != 0
    assert "user and password" in " ".join(wrong.stderr.split())
    assert "Traceback" not in wrong.stderr
