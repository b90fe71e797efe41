from __future__ import annotations

from pathlib import Path

from emulator.engine.moving import linked_inside, moved, rewrite
from emulator.images import scan

OLD, NEW = Path("/tmp/job/environment"), Path("/srv/a-longer-name")


def test_text_that_mentions_the_old_place_mentions_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(f"#!{OLD}/bin/python\n{OLD}\n")
    (tmp_path / "other").write_text("nothing")
    (tmp_path / "binary").write_bytes(bytes(OLD) + b"\0")
    before = {entry.path: entry for entry in scan(tmp_path)}
    after = {entry.path: entry for entry in moved(before.values(), {OLD: NEW})}
    assert b"".join(after["script"].blocks()) == f"#!{NEW}/bin/python\n{NEW}\n".encode()
    assert after["other"] is before["other"] and after["binary"] is before["binary"]
    rewrite(tmp_path, {OLD: NEW})
    assert (tmp_path / "script").read_text().startswith(f"#!{NEW}/bin")


def test_links_by_full_name_into_the_same_folder_become_relative(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").symlink_to("/home/jovyan/data/x")
    (tmp_path / "b").symlink_to("/home/jovyan/data")
    (tmp_path / "c").symlink_to("/home/jovyan2/data")
    links = {entry.path: entry.target for entry in linked_inside(scan(tmp_path), [Path("/home/jovyan")])}
    assert (links["deep/a"], links["b"], links["c"]) == ("../data/x", "data", "/home/jovyan2/data")
