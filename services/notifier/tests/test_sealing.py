from base64 import b64encode
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag

from notifier.sealing import Sealer

KEY = b64encode(bytes(range(32))).decode()


def test_a_body_opens_under_its_own_id_and_is_never_sealed_the_same_way_twice() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(UUID(int=1), b"code 123456")
    assert sealer.open(UUID(int=1), sealed) == b"code 123456"
    assert b"123456" not in sealed
    assert sealer.seal(UUID(int=1), b"code 123456") != sealed


def test_swapped_rows_and_flipped_bits_do_not_open() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(UUID(int=1), b"code 123456")
    with pytest.raises(InvalidTag):
        sealer.open(UUID(int=2), sealed)
    with pytest.raises(InvalidTag):
        sealer.open(UUID(int=1), sealed[:-1] + bytes([sealed[-1] ^ 1]))


@pytest.mark.parametrize("told", ["", "not base64!", b64encode(b"short").decode()])
def test_a_key_of_another_size_is_refused_without_being_repeated(told: str) -> None:
    with pytest.raises(ValueError, match="master_key") as refused:
        Sealer(told)
    assert not told or told not in str(refused.value)
