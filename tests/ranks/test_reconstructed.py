"""The full score of rebuilt rows: exact in every batch, proved whole, the default of its kind."""

import numpy as np
import pytest

import h2q
from h2q import CodeDecoder, HouseholderQuantizer, LinearDecoder, LocalSearchQuantizer
from h2q.codes import unpack_signs
from h2q.collections.embedded.scans import ProvenScan
from h2q.collections.embedded.table import CodeTable
from h2q.errors import InvalidInputError
from h2q.ranks import Queries, reconstructed
from h2q.ranks.calibrated import calibrated_scores
from h2q.ranks.reconstructed import ReconstructionScorer
from h2q.ranks.records import encode_records, records_of, scales


def clustered(n, d=24, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((30, d)) + 0.7
    return (centres[rng.integers(0, 30, n)] + 0.8 * rng.standard_normal((n, d))).astype(np.float32)


@pytest.fixture(scope="module")
def quantizer():
    return LocalSearchQuantizer(40, n_iter=3, n_flips=10, random_state=0).fit(clustered(3000))


@pytest.fixture(scope="module")
def codes(quantizer):
    return quantizer.transform(clustered(9000, seed=1))


def best(scores, k):
    return [np.lexsort((np.arange(len(row)), -row))[:k].tolist() for row in scores]


def asked_of(quantizer, rows):
    scorer = ReconstructionScorer(quantizer.decoder_)
    return scorer, scorer.prepare(Queries(quantizer.transform(rows), None, given=rows))


def test_a_collection_answers_by_the_full_score(quantizer, codes, tmp_path):
    queries = clustered(20, seed=2)
    scorer, asked = asked_of(quantizer, queries)
    every = scorer.of_all(asked, codes)
    np.testing.assert_allclose(every, quantizer.decoder_.scores(queries, codes), atol=1e-5)
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=quantizer) as items:
        items.add(range(len(codes)), codes)
        found = items.search(queries, 10)
        by_name = items.search(queries, 10, rank="reconstructed")
        # A product of three rows with a matrix may round otherwise than one of twenty.
        few = scorer.of_all(asked_of(quantizer, queries[:3])[1], codes)
        assert items.search(queries[:3], 9000).ids == best(few, 9000)
    assert found.ids == by_name.ids == best(every, 10)
    for row, ids, scores in zip(every, found.ids, found.scores, strict=True):
        np.testing.assert_array_equal(scores, row[ids])
    with h2q.open_collection(tmp_path / "c.h2q") as items:
        items.delete(found.ids[0][:3])
        again = items.search(queries, 7)
        assert again.ids[0] == found.ids[0][3:10]


@pytest.mark.parametrize("typical", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("exponent", [0.0, 0.75, 1.25])
@pytest.mark.parametrize("shortlist", [5, 80])
def test_no_code_outside_a_shortlist_scores_above_its_bound(
    quantizer, codes, typical, exponent, shortlist
):
    decoder = LinearDecoder().set(quantizer.mean_, quantizer.weights_)
    decoder.exponent_, decoder.typical_score_ = exponent, typical
    scorer = ReconstructionScorer(decoder)
    rows = clustered(25, seed=3)
    asked = scorer.prepare(Queries(quantizer.transform(rows), None, given=rows))
    every = scorer.of_all(asked, codes)
    positions, bounds = scorer.index(codes).search(asked, shortlist)
    for row, inside, bound in zip(every, positions, bounds, strict=True):
        assert np.delete(row, inside).max() <= bound
    # With what is typical of this data it is no empty promise.
    if typical == 0.5 and exponent == 0.75 and shortlist == 80:
        top = np.sort(every, axis=1)[:, -3]
        assert np.mean(top > bounds) > 0.5


@pytest.mark.parametrize("expected", [-np.inf, -1.0, 0.0, 1e-6, 0.3, 5.0, "kth", "sampled"])
def test_the_bound_holds_whatever_score_is_expected(quantizer, codes, expected, monkeypatch):
    monkeypatch.setattr(reconstructed, "_ONE_IN", 8)
    scorer, asked = asked_of(quantizer, clustered(25, seed=3))
    every = scorer.of_all(asked, codes)
    shortlist = 300 if expected == "sampled" else 60
    kth = -np.partition(-every, 9, axis=1)[:, 9]
    if expected == "kth":
        asked = asked.expecting(kth)
    elif expected != "sampled":
        asked = asked.expecting(np.full(25, expected, np.float32))
    positions, bounds = scorer.index(codes).search(asked, shortlist)
    for row, inside, bound in zip(every, positions, bounds, strict=True):
        assert np.delete(row, inside).max() <= bound
    if isinstance(expected, str):
        assert np.mean(kth > bounds) > 0.9


def test_a_search_is_rarely_asked_twice(quantizer, codes, monkeypatch):
    """Many codes of long rows: nearly every shortlist proves itself whole at once."""
    table = CodeTable(codes.shape[1]).with_added(np.arange(len(codes)), codes, range(len(codes)))
    rows = clustered(60, seed=5)
    asked = Queries(quantizer.transform(rows), None, given=rows)
    scan = ProvenScan(ReconstructionScorer(quantizer.decoder_))
    counts = []
    original = reconstructed.ReconstructionScan.search
    monkeypatch.setattr(
        reconstructed.ReconstructionScan,
        "search",
        lambda self, asked, size: counts.append(len(asked)) or original(self, asked, size),
    )
    scan.nearest(table, asked, 10)
    assert sum(counts) < 1.25 * len(rows)


def test_equal_codes_have_equal_scores_in_every_batch(quantizer, codes):
    scorer, asked = asked_of(quantizer, clustered(7, seed=4))
    whole = scorer.of_all(asked, codes[:500])
    for start in range(0, 490, 33):
        part = scorer.of_all(asked.take(slice(2, 3)), codes[start : min(start + 33, 500)])
        np.testing.assert_array_equal(part[0], whole[2, start : start + 33])
    each = scorer.of_each(asked, np.broadcast_to(codes[:50], (7, 50, 5)))
    np.testing.assert_array_equal(each, whole[:, :50])


def test_the_mean_counts(tmp_path):
    """Rows far from zero: the order is that of the cosine, not of the centred cosine."""
    rows = clustered(4000) + 3
    queries = clustered(40, seed=5) + 3
    true = best(
        (queries @ rows.T)
        / np.linalg.norm(rows, axis=1)
        / np.linalg.norm(queries, axis=1)[:, None],
        10,
    )
    chosen = LocalSearchQuantizer(64, n_iter=4, n_flips=50, random_state=0).fit(rows)
    found = {}
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=chosen) as items:
        items.add(range(4000), chosen.transform(rows))
        for rank in ("reconstructed", "asymmetric", "linear"):
            found[rank] = items.search(queries, 10, rank=rank, oversample=400).ids
    # No rank of a quantizer forgets the mean, whatever its name.
    assert found["reconstructed"] == found["asymmetric"] == found["linear"]
    signs = np.where(np.unpackbits(chosen.transform(rows), axis=1) > 0, 1, -1)
    without = best(chosen.rotate(queries) @ signs.T, 10)

    def recall(ids):
        return np.mean([len(set(a) & set(b)) for a, b in zip(ids, true, strict=True)])

    assert recall(found["reconstructed"]) > recall(without) + 1


def test_a_linear_decoder_in_a_collection_is_a_rank_by_its_own_name(tmp_path):
    rows, queries = clustered(5000), clustered(40, seed=6)
    quantizer = HouseholderQuantizer(16, random_state=0).fit(rows)
    codes = quantizer.transform(rows)
    decoder = LinearDecoder(random_state=0).fit(rows, codes)
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=quantizer, decoder=decoder) as items:
        items.add(range(5000), codes)
    with h2q.open_collection(tmp_path / "c.h2q") as items:
        assert isinstance(items.decoder, LinearDecoder)
        found = items.search(queries, 10, rank="linear", oversample=100)
        for row, ids, scores in zip(
            decoder.scores(queries, codes), found.ids, found.scores, strict=True
        ):
            np.testing.assert_allclose(scores, row[ids], atol=1e-5)
            np.testing.assert_allclose(scores, np.sort(row)[::-1][:10], atol=1e-5)
        with pytest.raises(InvalidInputError, match=r"needs a collection made with a decoder"):
            items.search(queries, 10, rank="decoded")


def test_nothing_is_reconstructed_where_nothing_was_centred(tmp_path):
    rows = clustered(300)
    quantizer = HouseholderQuantizer(random_state=0).fit(rows)
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=quantizer) as items:
        items.add(range(300), quantizer.transform(rows))
        assert items.search(rows[:2], 3).ids == items.search(rows[:2], 3, rank="asymmetric").ids
        with pytest.raises(InvalidInputError, match=r"does not suit the quantizer"):
            items.search(rows[:2], 3, rank="reconstructed")


def test_a_code_decoder_is_no_linear_decoder(tmp_path):
    rows = clustered(300)
    quantizer = HouseholderQuantizer(random_state=0).fit(rows)
    decoder = CodeDecoder(random_state=0).fit(quantizer.rotate(rows))
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=quantizer, decoder=decoder) as items:
        items.add(range(300), quantizer.transform(rows))
        with pytest.raises(InvalidInputError, match=r"linear decoder \(h2q.LinearDecoder\)"):
            items.search(rows[:2], 3, rank="linear")
        assert len(items.search(rows[:2], 3, rank="decoded").ids[0]) == 3


def test_kept_rows_are_refused_where_rotated_rows_are_not_the_rows(quantizer, tmp_path):
    with pytest.raises(InvalidInputError, match="LocalSearchQuantizer keeps codes alone"):
        h2q.open_collection(tmp_path / "c.h2q", quantizer=quantizer, keep="int8")
    with h2q.open_collection(tmp_path / "d.h2q", quantizer=quantizer) as items:
        items.add([1], quantizer.transform(clustered(1)))
        with pytest.raises(InvalidInputError, match="does not suit"):
            items.search(clustered(1), 1, rank="cosine")


@pytest.fixture(scope="module")
def far():
    """Rows far from zero, columns left out by the quantizer."""
    rows, queries = clustered(3000) + 2, clustered(40, seed=7) + 2
    quantizer = HouseholderQuantizer(20, random_state=0).fit(rows)
    true = best((queries @ rows.T) / np.linalg.norm(rows, axis=1), 10)

    def recall(ids):
        return np.mean([len(set(a) & set(b)) for a, b in zip(ids, true, strict=True)])

    return rows, queries, quantizer, recall


@pytest.mark.parametrize("keep", ["codes", "scale", "int8", "float16"])
def test_the_mean_is_put_back_in_every_rank_of_a_quantizer_that_centres(keep, far, tmp_path):
    """What was centred is ranked by the rows' own cosine, not by that of centred rows."""
    rows, queries, quantizer, recall = far
    rotated, asked = quantizer.rotate(rows), quantizer.rotate(queries)
    codes = quantizer.transform(rows)
    scale = scales(encode_records(rotated, "scale"), "scale", 20)
    of_centred = {
        "asymmetric": asked @ unpack_signs(codes, 20).T,
        "calibrated": np.stack([calibrated_scores(row, codes, scale) for row in asked]),
        "cosine": asked @ (rotated / np.linalg.norm(rotated, axis=1, keepdims=True)).T,
    }
    of_centred["linear"] = of_centred["asymmetric"]
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=quantizer, keep=keep) as items:
        items.add(range(3000), codes, embeddings=None if keep == "codes" else rows)
    ranks = {"codes": ["asymmetric", "linear"], "scale": ["calibrated"]}
    with h2q.open_collection(tmp_path / "c.h2q") as items:
        for rank in ranks.get(keep, ["calibrated", "cosine"]):
            found = items.search(queries, 50, rank=rank, oversample=60)
            assert recall(found.ids) > recall(best(of_centred[rank], 50)) + 0.5, rank
        if keep == "codes":
            assert items.search(queries, 10).ids == items.search(queries, 10, rank="linear").ids


def test_the_mean_is_in_the_row_expected_behind_a_code(far, tmp_path):
    rows, queries, quantizer, _ = far
    codes = quantizer.transform(rows)
    decoder = CodeDecoder(random_state=0).fit(quantizer.rotate(rows[:1000]))
    plain = quantizer.components_.T @ quantizer.rotation_
    length = (quantizer.decoder_.weights_ * plain).sum() / 20
    expected = quantizer.mean_ + length * decoder.decode(codes) @ plain.T
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    scores = unit @ expected.T
    scores /= np.linalg.norm(expected, axis=1) ** quantizer.decoder_.exponent_
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=quantizer, decoder=decoder) as items:
        items.add(range(3000), codes)
        found = items.search(queries, 10, rank="decoded", oversample=300)
    for row, ids, given in zip(scores, found.ids, found.scores, strict=True):
        np.testing.assert_allclose(given, row[ids], atol=1e-5)
        np.testing.assert_allclose(given, np.sort(row)[::-1][:10], atol=1e-5)


def test_the_scale_of_a_centred_row_is_its_cosine_with_the_row_behind_its_code(far):
    rows, _, quantizer, _ = far
    codes = quantizer.transform(rows[:50])
    records = records_of(rows[:50], quantizer.rotate(rows[:50]), codes, "scale", quantizer)
    rebuilt = quantizer.decoder_.decode(codes)
    cosines = (rows[:50] * rebuilt).sum(axis=1)
    cosines /= np.linalg.norm(rows[:50], axis=1) * np.linalg.norm(rebuilt, axis=1)
    np.testing.assert_allclose(scales(records, "scale", 20), cosines, atol=1e-3)
