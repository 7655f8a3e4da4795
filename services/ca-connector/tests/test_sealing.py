from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_connector.sealing import SealBroken, Sealer

MASTER = b64encode(bytes(range(32))).decode()


@given(st.binary(max_size=2000))
def test_what_was_sealed_opens_in_its_own_place(plain):
    sealer = Sealer(MASTER)
    assert sealer.open(sealer.seal(plain, "ca_access", "c1", 1), "ca_access", "c1", 1) == plain


@pytest.mark.parametrize(
    "place", [("ca_access", "c2", 1), ("ca_access", "c1", 2), ("authorisation", "c1", 1), ("ca_access", "c1")]
)
def test_a_ciphertext_put_in_anothers_place_does_not_open(place):
    sealer = Sealer(MASTER)
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"secret", "ca_access", "c1", 1), *place)


@given(st.data())
def test_a_flipped_bit_anywhere_breaks_the_seal(data):
    sealer = Sealer(MASTER)
    sealed = bytearray(sealer.seal(b"secret", "ca_access", "c1", 1))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        sealer.open(bytes(sealed), "ca_access", "c1", 1)


@pytest.mark.parametrize("length", [0, 1, 13, 60, 61, 72, 80])
def test_a_shortened_ciphertext_breaks_the_seal(length):
    sealer = Sealer(MASTER)
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"secret", "ca_access", "c1", 1)[:length], "ca_access", "c1", 1)


def test_the_same_secret_never_looks_the_same_twice():
    sealer = Sealer(MASTER)
    assert sealer.seal(b"secret", "t", 1) != sealer.seal(b"secret", "t", 1)


def test_another_master_key_opens_nothing():
    sealed = Sealer(MASTER).seal(b"secret", "t", 1)
    with pytest.raises(SealBroken):
        Sealer(b64encode(bytes(32)).decode()).open(sealed, "t", 1)


@pytest.mark.parametrize("master", ["", "not base64!", b64encode(bytes(16)).decode(), b64encode(bytes(33)).decode()])
def test_a_master_key_that_is_not_32_bytes_is_refused_without_being_repeated(master):
    with pytest.raises(ValueError, match="master_key") as refusal:
        Sealer(master)
    assert not master or master not in str(refusal.value)
