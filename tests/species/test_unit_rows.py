import numpy as np
from sklearn.preprocessing import normalize

from dnaembed.species._abundance import fit_abundance_scale, join_abundance
from dnaembed.species._unit_rows import UnitRows


def test_rows_of_unit_length():
    X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    X[2] = 0
    before = X.copy()
    rows = UnitRows(X)
    assert len(rows) == 7
    np.testing.assert_array_equal(rows[:], normalize(X))
    np.testing.assert_array_equal(rows[2:5], normalize(X)[2:5])
    np.testing.assert_array_equal(rows[np.array([5, 1])], normalize(X)[[5, 1]])
    rows[:][:] = 9  # a new array each time
    np.testing.assert_array_equal(X, before)
    assert rows.row_bytes == 12


def test_rows_with_abundance():
    rng = np.random.default_rng(0)
    X, abundance = rng.normal(size=(7, 3)), rng.uniform(size=(7, 2))
    scale = fit_abundance_scale(abundance, X)
    rows = UnitRows(X, abundance, scale, 0.3)
    expected = join_abundance(normalize(X), scale.rows(abundance), 0.3)
    np.testing.assert_array_equal(rows[:], expected)
    np.testing.assert_array_equal(rows[3:6], expected[3:6])
    assert rows.row_bytes == 8 * (3 + 2 * 64)
