"""The timestamp authority, its answers judged by OpenSSL."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from asn1crypto import core, tsp


def openssl(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False)


async def stamped(world, content: bytes) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/timestamp-query"}
    async with world.session.post(f"{world.running.url}/a/tsa", data=content, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_openssl_accepts_a_token_for_the_data_and_for_no_other(world, tmp_path):
    (tmp_path / "data").write_bytes(b"an invoice")
    (tmp_path / "other").write_bytes(b"another invoice")
    openssl("ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "query", folder=tmp_path)
    status, reply = await stamped(world, (tmp_path / "query").read_bytes())
    assert status == 200
    (tmp_path / "reply").write_bytes(reply)
    root = (world.running.folder / "state/keys/root-a.pem").read_text()
    (tmp_path / "root.pem").write_text(root[root.index("-----BEGIN CERTIFICATE") :])
    judged = ("ts", "-verify", "-in", "reply", "-CAfile", "root.pem")
    assert "OK" in openssl(*judged, "-queryfile", "query", folder=tmp_path).stdout
    assert openssl(*judged, "-data", "data", folder=tmp_path).returncode == 0
    assert openssl(*judged, "-data", "other", folder=tmp_path).returncode != 0


def asked(algorithm: str, digest: bytes) -> bytes:
    imprint = {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": digest}
    return bytes(tsp.TimeStampReq({"version": "v1", "message_imprint": imprint}).dump())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"nonsense", "bad_data_format"),
        (asked("sha1", bytes(20)), "bad_alg"),
        (asked("sha256", bytes(20)), "bad_data_format"),
    ],
    ids=["nonsense", "sha1", "short"],
)
async def test_a_request_that_cannot_be_served_is_rejected_with_its_reason(world, content, why):
    _, reply = await stamped(world, content)
    (status,) = core.SequenceOf.load(reply, spec=tsp.PKIStatusInfo)
    assert (status["status"].native, status["fail_info"].native) == ("rejection", {why})


async def test_the_authority_can_be_sent_away_and_called_back(world):
    content = asked("sha256", hashlib.sha256(b"x").digest())
    for away, status in ((True, 503), (False, 200)):
        async with world.session.post(f"{world.running.url}/sandbox/timestamps", json={"away": away}) as answer:
            assert answer.status == 200
        assert (await stamped(world, content))[0] == status
