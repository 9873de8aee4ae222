from h2q.experiments.claims import GAP_HEADER, HURT_HEADER, gap_rows, hurt_rows
from h2q.experiments.results import Result


def test_a_rotation_that_hurts_is_counted_with_its_worst_case(small_run: list[Result]) -> None:
    rows = {
        (row[0], row[1]): dict(zip(HURT_HEADER, row, strict=True)) for row in hurt_rows(small_run)
    }
    random = rows[("random", "hamming")]
    assert (random["cases below none"], random["of"], random["points"]) == ("4", "4", "-2.00")
    assert rows[("h2q", "embedding")]["cases below none"] == "0"
    assert not any(name == "none" for name, _ in rows)


def test_the_gap_is_that_to_the_bound_of_the_same_embeddings(small_run: list[Result]) -> None:
    rows = [dict(zip(GAP_HEADER, row, strict=True)) for row in gap_rows(small_run)]
    found = next(row for row in rows if row["quantization"] == "h2q" and row["bits"] == "16")
    # none: 0.521 and 0.541 for the two losses; h2q is 5 points ahead, the bound is 0.9
    assert (found["hamming"], found["cases"]) == ("-31.90", "2")
