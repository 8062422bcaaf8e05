"""The Fréchet distance, without a general matrix root."""

import numpy as np
import pytest

from leukoscope.stats.frechet import frechet_distance, warning_of


def drawn(seed, n=60, m=50, width=5):
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(width, width))
    return rng.normal(size=(n, width)), rng.normal(size=(m, width)) @ mixed + 0.5


def test_of_one_feature_is_the_known_formula():
    """(mean - mean)² + (deviation - deviation)²."""
    a, b = drawn(0, width=1)
    gap = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(gap)


def test_of_a_set_with_itself_is_nothing():
    """Also where there are fewer images than features."""
    for n in (60, 4):
        a, _ = drawn(1, n=n, width=12)
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_has_no_side():
    """Which set comes first does not matter."""
    a, b = drawn(2)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


@pytest.mark.parametrize(("n", "m", "width"), [(60, 50, 5), (12, 9, 30)])
def test_the_root_is_that_of_singular_values(n, m, width):
    """tr (A B)^½ is the sum of the singular values of the product of both centred tables."""
    a, b = drawn(3, n, m, width)
    one, other = ((x - x.mean(axis=0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    joint = np.linalg.svd(one @ other.T, compute_uv=False).sum()
    gap = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    wanted = gap + (one**2).sum() + (other**2).sum() - 2 * joint
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-6)


def test_is_that_of_torch_fidelity():
    """The oracle gives the same."""
    import torch

    from leukoscope.models.torchvision_cure import make_importable

    make_importable()
    oracle = pytest.importorskip("torch_fidelity.metric_fid")
    a, b = drawn(4, 200, 150, 8)
    told = [oracle.fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    wanted = oracle.fid_statistics_to_metric(*told, False)["frechet_inception_distance"]
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-6)


def test_falls_with_the_number_of_images():
    """The bias it warns of: of one population it is the larger the fewer the images are."""
    rng = np.random.default_rng(5)
    found = [frechet_distance(*rng.normal(size=(2, n, 16))) for n in (20, 100, 1000)]
    assert found == sorted(found, reverse=True)
    assert "n = 20 and 30, fewer than the 64 features" in warning_of(20, 30, 64)
    assert "fewer" not in warning_of(200, 300, 64).replace("with few images", "")
