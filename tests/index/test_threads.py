"""The process-wide number of search threads."""

import faiss
import pytest

from index.threads import limit_search_threads


def test_the_limit_is_what_faiss_uses() -> None:
    before = faiss.omp_get_max_threads()
    try:
        limit_search_threads(1)
        assert faiss.omp_get_max_threads() == 1
    finally:
        faiss.omp_set_num_threads(before)


def test_less_than_one_thread_is_refused() -> None:
    with pytest.raises(ValueError, match="n is 0"):
        limit_search_threads(0)
