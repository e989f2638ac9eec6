"""How many threads FAISS may use in this process."""

import faiss


def limit_search_threads(n: int) -> None:
    """Search and rebuild with at most n threads from now on, in the whole process; call it at the start.

    Where several workers share the cores, 1 is right: a search ends with its slowest thread, and one that
    finds its core taken makes the others wait. ValueError where n < 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; at least one thread is needed")
    faiss.omp_set_num_threads(n)
