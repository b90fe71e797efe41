from __future__ import annotations

from pathlib import Path

import pytest

from emulator.images import environment_layer, scan
from emulator.images.manifest import ENVIRONMENT_ANNOTATION
from emulator.images.references import NOWHERE, replaced
from emulator.images.tree import of_environment
from emulator.images.unpack import unpack

ROOT = Path("/srv/environments")


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([b"1 old 2 old"], b"1 new 2 new"),
        ([b"1 ol", b"d 2 o", b"l", b"d"], b"1 new 2 new"),
        ([b"ooooo", b"ld"], b"oooonew"),
        ([b"nothing"], b"nothing"),
        ([], b""),
    ],
)
def test_a_text_is_replaced_also_where_blocks_meet(blocks: list[bytes], expected: bytes) -> None:
    assert b"".join(replaced(blocks, b"old", b"new")) == expected


def test_an_environment_may_mention_the_folder_that_its_content_names(tmp_path: Path) -> None:
    built = tmp_path / "built"
    (built / "bin").mkdir(parents=True)
    (built / "bin" / "hello").write_text(f"#!{ROOT}/{NOWHERE}/bin/python\n# {NOWHERE}\n")
    layer = environment_layer(scan(built), root=ROOT)
    folder = Path(layer.descriptor.annotations[ENVIRONMENT_ANNOTATION])
    restored = tmp_path / "restored"
    content = unpack(layer.blocks(), prefix=str(folder)[1:], into=restored, links=of_environment, writable=False)
    assert content == folder.name
    assert (restored / "bin" / "hello").read_text() == f"#!{folder}/bin/python\n# {NOWHERE}\n"
