from __future__ import annotations

import pytest

from emulator.engine.reasons import reason_of

NO_VERSION = """\
Using Python 3.11.7 environment at: environment
error: No solution found when resolving dependencies
  cause: Because there is no version of numpy==999.0 and you require numpy==999.0, your requirements are unsatisfiable.
"""
BUILD_BACKEND = """\
error: Failed to build `pyhdf==0.10.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.get_requires_for_build_wheel` failed (exit status: 1)

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 23, in <module>
         ModuleNotFoundError: No module named 'numpy'

hint: This error likely indicates that `pyhdf@0.10.0` depends on `numpy`
"""
COMPILER = """\
error: Failed to build `thing==1`
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

         [stderr]
         thing.c:1:10: fatal error: hdf5.h: No such file or directory
         compilation terminated.
         error: command '/usr/bin/gcc' failed with exit code 1
"""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (NO_VERSION, ["No solution found", "there is no version of numpy==999.0"]),
        (BUILD_BACKEND, ["Failed to build `pyhdf==0.10.0`", "ModuleNotFoundError: No module named 'numpy'"]),
        (COMPILER, ["Failed to build `thing==1`", "hdf5.h: No such file or directory"]),
        ("error: Couldn't parse requirement in `r.txt` at position 0\n", ["Couldn't parse requirement in `r.txt`"]),
        ("something\nKilled\n\n", ["Killed"]),
        ("", ["no reason given"]),
    ],
    ids=["no such version", "build script", "compiler", "one line", "no error line", "nothing"],
)
def test_the_lines_that_matter_are_found(output: str, expected: list[str]) -> None:
    reason = reason_of(output.splitlines(keepends=True))
    assert all(part in reason for part in expected), reason


def test_a_reason_is_short_enough_for_a_page() -> None:
    assert len(reason_of(["error: " + "x" * 10_000])) <= 600
