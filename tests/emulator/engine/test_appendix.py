"""What an operator adds to every image, without a container engine."""

from __future__ import annotations

import pytest

from emulator.engine.appendix import with_appendix
from emulator.engine.errors import BuildFailed
from emulator.images import Config

CONFIG = Config(env={"PATH": "/usr/bin", "HOME": "/home/jovyan"}, labels={"binderless.runtime": "process"})


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("", {}),
        ("ENV A=1", {"A": "1"}),
        ('env A="two words" B=2', {"A": "two words", "B": "2"}),
        ("ENV A two words", {"A": "two words"}),
        ("# about A\n  ENV A=1 \\\n   # and B\n   B=https://x.org/?a=b\n\n", {"A": "1", "B": "https://x.org/?a=b"}),
        ("ENV PATH=/opt/bin:$PATH\nENV A=${PATH}", {"PATH": "/opt/bin:/usr/bin", "A": "/opt/bin:/usr/bin"}),
        ("ENV A=1\nENV B=$A$NOTHING", {"A": "1", "B": "1"}),
        ("LABEL org.example.of=us", {}),
    ],
)
def test_variables_are_those_of_docker(text: str, env: dict[str, str]) -> None:
    assert with_appendix(CONFIG, text).env == {**CONFIG.env, **env}


def test_labels_are_added_but_what_makes_an_image_one_of_this_runtime_stays() -> None:
    labels = with_appendix(CONFIG, 'LABEL binderless.runtime=x "org.example.of"="us all"').labels
    assert labels == {"binderless.runtime": "process", "org.example.of": "us all"}


@pytest.mark.parametrize(
    "line",
    ["RUN true", "USER root", "FROM x", "ENV A=1 B", "ENV A", "ENV", "ENV A='$HOME'", "ENV A=${B:-c}", "ENV A=$(id)"],
)
def test_any_other_line_is_refused_by_name(line: str) -> None:
    with pytest.raises(BuildFailed, match="honours ENV and LABEL only") as caught:
        with_appendix(CONFIG, f"ENV FINE=1\n{line}\n")
    assert repr(line) in str(caught.value)


def test_an_open_quote_is_said_to_be() -> None:
    with pytest.raises(BuildFailed, match="quotation"):
        with_appendix(CONFIG, 'ENV A="1')
