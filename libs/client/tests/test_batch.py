import hashlib
import json
import signal
import subprocess
import sys
import time

import pytest

from sinete_client import AsyncClient, Misused, Retries
from sinete_client.batch import Batch, How, jobs_for
from sinete_client.journal import NAME, Entry, Journal

PDF = b"%PDF-1.7 one"
REFUSAL = {"error": "invalid_request", "error_description": "documents[0]: not a PDF that can be read"}


@pytest.fixture
async def client(gateway):
    async with AsyncClient(
        gateway.url, client_id="cs-1", client_secret="s", retries=Retries(attempts=2, first_pause=0.01), timeout=5
    ) as made:
        yield made


async def signed(client, gateway, files, **options):
    batch = Batch(client, How(gateway.credential), **options)
    async with batch.run(jobs_for(files, None, detached=False)) as outcomes:
        return {outcome.job.file.name: outcome async for outcome in outcomes}


def written(folder, **contents):
    files = []
    for name, content in contents.items():
        file = folder / name.replace("_", ".")
        file.write_bytes(content)
        files.append(file)
    return files


async def test_pdfs_are_signed_inside_and_others_beside(tmp_path, gateway, client):
    outcomes = await signed(client, gateway, written(tmp_path, a_pdf=PDF, b_xml=b"<x/>"))
    assert {outcome.state for outcome in outcomes.values()} == {"signed"}
    assert (tmp_path / "a.signed.pdf").read_bytes() == PDF + b"signed"
    assert (tmp_path / "b.xml.p7s").read_bytes() == b"signed " + hashlib.sha256(b"<x/>").digest()
    assert not (tmp_path / NAME).exists()


async def test_one_that_fails_spoils_no_other_and_only_it_is_tried_again(tmp_path, gateway, client):
    files = written(tmp_path, a_pdf=PDF, b_pdf=b"%PDF-broken")
    gateway.refused_documents = {b"%PDF-broken": REFUSAL}
    outcomes = await signed(client, gateway, files)
    assert outcomes["a.pdf"].state == "signed"
    assert outcomes["b.pdf"].why == "documents[0]: not a PDF that can be read"
    gateway.refused_documents = {}
    again = await signed(client, gateway, files)
    assert again["a.pdf"].resumed
    assert again["b.pdf"].state == "signed"
    assert set(gateway.signed.values()) == {1}


async def test_a_file_whose_answer_was_lost_is_asked_for_under_the_same_key(tmp_path, gateway, client):
    files = written(tmp_path, a_pdf=PDF)
    gateway.mishaps = ["cut", (503, {"error": "temporarily_unavailable"}, {})]
    assert (await signed(client, gateway, files))["a.pdf"].state == "failed"
    again = await signed(client, gateway, files)
    assert again["a.pdf"].resumed
    assert len(set(gateway.keys)) == 1
    assert set(gateway.signed.values()) == {1}


async def test_a_file_that_changed_meanwhile_is_another_signature(tmp_path, gateway, client):
    (file,) = written(tmp_path, a_pdf=PDF)
    gateway.mishaps = [(503, {"error": "temporarily_unavailable"}, {})] * 2
    await signed(client, gateway, [file])
    file.write_bytes(PDF + b" changed")
    assert (await signed(client, gateway, [file]))["a.pdf"].state == "signed"
    assert len(set(gateway.keys)) == 2


async def test_after_a_refusal_that_all_would_meet_the_rest_is_left(tmp_path, gateway, client):
    files = written(tmp_path, **{f"f{n}_pdf": PDF + bytes([n]) for n in range(5)})
    denied = (403, {"error": "access_denied", "error_description": "Access to this certificate has expired."}, {})
    gateway.mishaps = [denied] * 5
    outcomes = await signed(client, gateway, files, at_once=1)
    assert sorted(outcome.state for outcome in outcomes.values()) == ["failed", "left", "left", "left", "left"]
    assert {outcome.why for outcome in outcomes.values()} == {"Access to this certificate has expired."}


async def test_an_output_of_somebody_else_is_not_replaced_unless_told(tmp_path, gateway, client):
    files = written(tmp_path, a_pdf=PDF)
    (tmp_path / "a.signed.pdf").write_bytes(b"precious")
    assert "--overwrite" in (await signed(client, gateway, files))["a.pdf"].why
    assert (tmp_path / "a.signed.pdf").read_bytes() == b"precious"
    assert (await signed(client, gateway, files, overwrite=True))["a.pdf"].state == "signed"


def test_files_that_cannot_be_jobs_are_named(tmp_path):
    (tmp_path / "x").mkdir()
    (a, b) = written(tmp_path, a_pdf=PDF), written(tmp_path / "x", a_pdf=PDF)
    for files, named in (([tmp_path], "is a folder"), ([tmp_path / "no.pdf"], r"no\.pdf: no such file"), (a + b, "too")):
        with pytest.raises(Misused, match=named):
            jobs_for(files, tmp_path, detached=False)


def test_the_journal_survives_a_cut_line_and_admits_one_writer(tmp_path):
    journal = Journal(tmp_path)
    journal.write(Entry("/a", "o", "k", "asked"))
    with pytest.raises(Misused, match="another sinete sign"):
        Journal(tmp_path)
    journal.close(done=False)
    with (tmp_path / NAME).open("a") as file:
        file.write('{"file": "/b", "or')
    again = Journal(tmp_path)
    assert again.newest("/a", "o") == Entry("/a", "o", "k", "asked")
    assert again.newest("/a", "another order") is None
    again.close(done=True)
    assert not (tmp_path / NAME).exists()


def run_command(gateway, *arguments, **environment):
    secret = environment.pop("secret")
    options = ["--url", gateway.url, "--client-id", "cs-1", "--secret-file", str(secret)]
    start = [sys.executable, "-c", "from sinete_client.command import main; main()", *options, *map(str, arguments)]
    return subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def finished(process):
    import asyncio

    out, err = await asyncio.to_thread(process.communicate, timeout=60)
    return process.returncode, out, err


async def test_the_command_says_which_file_failed_and_why(tmp_path, gateway):
    (secret,) = written(tmp_path, secret_txt=b"canary-secret\n")
    files = written(tmp_path, a_pdf=PDF, b_pdf=b"%PDF-broken")
    gateway.refused_documents = {b"%PDF-broken": REFUSAL}
    status, out, err = await finished(run_command(gateway, *files, "--out", tmp_path / "out", secret=secret))
    assert status == 1
    assert "1 of 2 signed" in out
    assert "b.pdf: failed: documents[0]: not a PDF that can be read" in err
    assert (tmp_path / "out" / "a.signed.pdf").is_file()
    assert "canary-secret" not in out + err + (tmp_path / "out" / NAME).read_text()


async def test_the_command_sends_no_secret_over_plain_http_to_another_machine_unless_told_to(tmp_path, gateway, monkeypatch):
    (secret,) = written(tmp_path, secret_txt=b"canary-secret\n")
    files = written(tmp_path, a_pdf=PDF)
    elsewhere = ["--url", "http://gateway.invalid"]  # the last one counts
    status, out, err = await finished(run_command(gateway, *elsewhere, *files, secret=secret))
    assert (status, out) == (2, "")
    assert "--allow-plain-http" in err
    assert "canary-secret" not in err
    monkeypatch.setenv("SINETE_ALLOW_PLAIN_HTTP", "1")
    status, _, err = await finished(run_command(gateway, *elsewhere, *files, secret=secret))
    assert (status, "cannot be reached" in err) == (1, True)


async def test_a_killed_batch_goes_on_where_it_stopped_and_signs_nothing_twice(tmp_path, gateway):
    (secret,) = written(tmp_path, secret_txt=b"s")
    files = written(tmp_path, **{f"f{n}_pdf": PDF + bytes([n]) for n in range(6)})
    gateway.mishaps = ["", "", "slow", "slow", "slow"]
    process = run_command(gateway, *files, "--at-once", 1, secret=secret)
    import asyncio

    deadline = time.monotonic() + 60
    while len(gateway.keys) < 3 and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    await finished(process)
    gateway.mishaps = []
    lines = [json.loads(line) for line in (tmp_path / NAME).read_text().splitlines()]
    assert [line["state"] for line in lines].count("asked") == 3
    status, out, _ = await finished(run_command(gateway, *files, secret=secret))
    assert status == 0
    assert "6 of 6 signed" in out
    assert set(gateway.signed.values()) == {1}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--at", "1,2,3"], "PAGE,X1,Y1,X2,Y2"),
        (["--placeholder", "x", "--field", "y"], "appearance"),
        (["--placeholder", "x", "--detached"], "--detached"),
        (["--cert", "c.pem"], "belong together"),
    ],
)
async def test_wrong_use_of_the_command_ends_with_2_and_its_name(tmp_path, gateway, arguments, named):
    (secret,) = written(tmp_path, secret_txt=b"s")
    files = written(tmp_path, a_pdf=PDF)
    status, _, err = await finished(run_command(gateway, *files, *arguments, secret=secret))
    assert status == 2
    assert named in err
    assert "Traceback" not in err
