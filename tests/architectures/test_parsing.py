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
