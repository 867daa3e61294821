"""The backend is refused where it is absent or known to be wrong, and the one in use passes the reproducer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.backend import UnusableBackend, check_backend
from theory.errors import InvalidInput


def test_an_absent_package_says_how_to_install_it() -> None:
    for jax_version, jaxlib_version, name in ((None, None, "jax"), ("0.10.1", None, "jaxlib")):
        with pytest.raises(UnusableBackend, match=name) as caught:
            check_backend(jax_version, jaxlib_version, "")
        assert "pip install 'gmlm-workbench[simulators]'" in str(caught.value)
        assert isinstance(caught.value, InvalidInput)
        assert isinstance(caught.value, ImportError)


def test_the_wrong_version_is_refused_with_the_link_unless_worked_around() -> None:
    for flags in ("", "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT"):
        with pytest.raises(UnusableBackend, match=r"0\.10\.2.*jax-ml/jax/issues/39103"):
            check_backend("0.10.2", "0.10.2", flags)
    check_backend("0.10.2", "0.10.2", "--xla_foo=1 --xla_cpu_experimental_ynn_fusion_type=")
    check_backend("0.10.1", "0.10.1", "")


@pytest.mark.parametrize(("rows", "dtype"), [(32_769, np.float32), (40_000, np.float32), (16_385, np.float64)])
def test_the_reproducer_of_the_wrong_results(rows: int, dtype: type) -> None:
    """jit(vmap(lambda r: sum((M @ r)**2))) on sizes where jaxlib 0.10.2 is wrong: rows off by 0.4 to 5000 times."""
    generator = np.random.default_rng(0)
    vectors, matrix = (generator.normal(size=(count, 3)).astype(dtype) for count in (rows, 3))
    with jax.enable_x64(dtype is np.float64):
        m = jnp.asarray(matrix)
        computed = jax.jit(jax.vmap(lambda r: jnp.sum((m @ r) ** 2)))(vectors)
    exact = ((vectors.astype(np.float64) @ matrix.astype(np.float64).T) ** 2).sum(axis=1)
    np.testing.assert_allclose(computed, exact, rtol=1e-4)
