import gc
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from fairnad.architectures.parsing import parse_quietly

ODD = '"""A \\d in a docstring."""\n' * 50


def test_an_odd_escape_is_no_error_from_any_thread_and_the_filters_stay():
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        trees = list(pool.map(lambda _: parse_quietly(ODD, is_compiled=True), range(64)))
    assert {len(tree.body) for tree in trees} == {50}
    assert list(warnings.filters) == before


def test_what_the_parser_lets_pass_is_found_by_compiling():
    parse_quietly("return 1")
    with pytest.raises(SyntaxError, match="outside function"):
        parse_quietly("return 1", is_compiled=True)


def test_threads_parse_side_by_side_though_collections_let_others_run_in_between():
    text = "\n".join(f"def f{i}(x):\n    return [x + {i} for _ in range(x * (x - {i}))]" for i in range(100))

    def let_others_run(phase, info):
        time.sleep(0)

    gc.callbacks.append(let_others_run)
    try:
        with ThreadPoolExecutor(8) as pool:
            trees = list(pool.map(lambda _: parse_quietly(text), range(64)))
    finally:
        gc.callbacks.remove(let_others_run)
    assert {len(tree.body) for tree in trees} == {100}
