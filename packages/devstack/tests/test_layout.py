from __future__ import annotations

from pathlib import Path

import platformdirs

from kite_devstack.layout import Layout, layout_of


def test_home_is_the_cache_folder_unless_overridden() -> None:
    usual = layout_of({}).home
    assert usual.is_relative_to(platformdirs.user_cache_path())
    assert usual.parts[-2:] == ("kite-ingest", "devstack")
    assert layout_of({"KITE_DEVSTACK_HOME": "/somewhere"}).home == Path("/somewhere")


def test_services_share_no_file() -> None:
    layout = Layout(Path("/h"))
    kafka, postgres = layout.service("kafka"), layout.service("postgres")
    names = ("data", "log", "lock", "spec", "pid", "ready", "supervisor_log")
    assert not {getattr(kafka, n) for n in names} & {getattr(postgres, n) for n in names}


def test_a_socket_path_that_is_too_long_moves_to_a_short_folder() -> None:
    temporary = Path("/tmp")
    near = Layout(Path("/h")).socket_folder(temporary)
    assert near == Path("/h/postgres/socket")
    far = Layout(Path("/" + "long/" * 20)).socket_folder(temporary)
    assert far.parent == temporary
    assert far != Layout(Path("/" + "lang/" * 20)).socket_folder(temporary)
