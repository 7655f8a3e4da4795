from pathlib import Path

import pytest

from embedded.refusals import AlreadyRunning, StateUnusable
from embedded.resetting import forget
from embedded.state import State


def test_a_new_folder_is_private_and_remembers_its_port_base(private_folder: Path) -> None:
    state = State(private_folder)
    with state.locked():
        assert state.claim(7500) == 7500
    with state.locked():
        assert state.claim(None) == 7500
    assert private_folder.stat().st_mode & 0o777 == 0o700


def test_ports_may_change_until_something_ran_and_not_afterwards(state: State) -> None:
    assert state.claim(7600) == 7600
    state.service_keys.touch()
    with pytest.raises(StateUnusable, match="has port base 7600, not 7700"):
        state.claim(7700)


def test_only_one_supervisor_holds_a_folder(state: State) -> None:
    with state.locked():
        assert state.is_held()
        with pytest.raises(AlreadyRunning, match="sinete down"), State(state.folder).locked():
            pass
        with pytest.raises(AlreadyRunning, match="sinete down"):
            forget(state)
    assert not state.is_held()


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(StateUnusable, match="no state folder"), State(tmp_path).locked():
        pass
    with pytest.raises(StateUnusable, match="left alone"):
        forget(State(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", ["", '{"id": "1', "[]", '{"id": "a", "port_base": "7400"}'])
def test_a_half_written_stack_file_is_told_and_can_be_reset(state: State, content: str) -> None:
    state.stack_file.write_text(content)
    with state.locked(), pytest.raises(StateUnusable, match="sinete reset"):
        state.claim(None)
    forget(state)
    with state.locked():
        assert state.claim(None)


def test_a_lost_stack_file_is_told_and_can_be_reset(state: State) -> None:
    state.stack_file.unlink()
    with pytest.raises(StateUnusable, match="half-written"), state.locked():
        pass
    forget(state)
    assert not list(state.folder.iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnusable, match="cannot be used"), State(tmp_path / "file" / "state").locked():
        pass


def test_a_copied_folder_marks_its_processes_differently(state: State, tmp_path: Path) -> None:
    copied = State(tmp_path / "copy")
    copied.folder.mkdir()
    copied.stack_file.write_bytes(state.stack_file.read_bytes())
    assert copied.marker() != state.marker()
