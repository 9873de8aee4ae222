"""scikit-learn's own checks of an estimator, and its tools around one."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from h2q import HouseholderQuantizer, ITQQuantizer, RandomRotationQuantizer, SignQuantizer

#: Checks that fail on purpose: each says why.
EXPECTED_FAILURES = {
    "check_fit_score_takes_y": (
        "calls partial_fit after fit on one object; fit does not keep its rows, so continuing "
        "would silently forget them, and it is an error instead"
    ),
    "check_estimators_dtypes": (
        "truncates normal numbers to integers, which makes a row of zeros; that row has no "
        "direction and so no code, and transform names it in an error"
    ),
}


@pytest.mark.filterwarnings("ignore:fitting .* bits on only:UserWarning")
@pytest.mark.filterwarnings("ignore:skipped .* rows:UserWarning")
@parametrize_with_checks(
    [SignQuantizer(), RandomRotationQuantizer(), ITQQuantizer(), HouseholderQuantizer()],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_estimator_checks(estimator, check):
    check(estimator)


def test_a_pipeline_of_two(rows):
    pipeline = make_pipeline(StandardScaler(), HouseholderQuantizer(8, random_state=0))
    assert pipeline.fit_transform(rows).shape == (300, 1)


def test_codes_feed_a_classifier_by_hamming_distance(rows):
    labels = rows[:, 0] > 0.5
    bits = np.unpackbits(SignQuantizer().fit_transform(rows), axis=1)
    classifier = KNeighborsClassifier(5, metric="hamming").fit(bits[:200], labels[:200])
    assert classifier.score(bits[200:], labels[200:]) > 0.6


def test_clones_and_pickles(quantizer_class, rows):
    quantizer = quantizer_class(6, random_state=0).fit(rows)
    copy = pickle.loads(pickle.dumps(quantizer))  # our own bytes
    np.testing.assert_array_equal(copy.transform(rows), quantizer.transform(rows))
    assert clone(quantizer).get_params() == quantizer.get_params()


def test_a_stream_is_pickled_midway(rows):
    stream = ITQQuantizer(6, random_state=0).partial_fit(rows[:100])
    copy = pickle.loads(pickle.dumps(stream))  # our own bytes
    expected = stream.partial_fit(rows[100:]).transform(rows)
    np.testing.assert_array_equal(copy.partial_fit(rows[100:]).transform(rows), expected)
