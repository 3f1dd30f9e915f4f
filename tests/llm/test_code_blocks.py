import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairnad.llm.code_blocks import with_fences_on_lines


@pytest.mark.parametrize(
    ("text", "on_lines"),
    [
        ("Here: ```python\nx\n```", "Here:\n ```python\nx\n```"),
        ("x = 1```", "x = 1\n```"),
        ("far    ```", "far    ```"),
        ("   ```\n```", "   ```\n```"),
        ("a``b ````c", "a``b\n ````c"),
    ],
)
def test_a_fence_within_a_line_gets_one_of_its_own(text, on_lines):
    assert with_fences_on_lines(text) == on_lines


@given(st.text(alphabet="a` \t\n\u2003", max_size=40))
def test_it_is_what_a_regular_expression_says(text):
    assert with_fences_on_lines(text) == re.sub(r"(?<=[^`\s])(?=[ \t]{0,3}`{3})", "\n", text)
