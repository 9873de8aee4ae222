from __future__ import annotations

import pytest

from h2q._addresses import without_secrets


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("photos.h2q", "photos.h2q"),
        ("a@b:c/photos.h2q", "a@b:c/photos.h2q"),
        ("milvus://localhost:19530/photos", "milvus://localhost:19530/photos"),
        ("milvus://root:Milvus@h:1/p", "milvus://root@h:1/p"),
        ("milvus://h/p?token=abc&x=1", "milvus://h/p?token=***&x=1"),
        ("postgresql://u:a@b:c/d@h/x?Password=s&collection=p",
         "postgresql://u@h/x?Password=***&collection=p"),
        ("postgresql://u@h/x", "postgresql://u@h/x"),
    ],
)  # fmt: skip
def test_only_the_secrets_are_left_out(uri, shown):
    assert without_secrets(uri) == shown
