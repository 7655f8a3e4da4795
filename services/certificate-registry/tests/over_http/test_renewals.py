import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

pytestmark = pytest.mark.integration
CANARY_OTP, CANARY_PIN = "831947", "canary-pin-4711"


@pytest.fixture
async def dialog(registry, make):
    """A renewal at a CA whose codes our own dialog takes: its path and its operator's token."""
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    registry.connector.begins_as = {
        "status": "awaiting-authorisation",
        "state": None,
        "authorization_url": None,
        "asks": ["otp", "pin"],
        "answer_by": make.now + timedelta(minutes=2),
        "attempts_left": 5,
    }
    begun = await registry.call("POST", f"certificates/{certificate}/renewals", token, {})
    assert begun.status == 201
    assert begun.json["authorization_url"] is None
    assert (begun.json["status"], begun.json["asks"], begun.json["attempts_left"]) == (
        "awaiting-authorisation",
        ["otp", "pin"],
        5,
    )
    return f"renewals/{begun.json['id']}", token


async def test_the_right_codes_complete_a_renewal(registry, dialog):
    path, token = dialog
    registry.connector.completes(epoch=2)
    answer = await registry.call("POST", f"{path}/authorisation", token, {"otp": CANARY_OTP, "pin": CANARY_PIN})
    assert (answer.status, answer.json["status"]) == (200, "completed")
    asked = next(body for path, body in registry.connector.asked if path.endswith("/authorisation"))
    assert asked == {"otp": CANARY_OTP, "pin": CANARY_PIN}


async def test_a_renewal_is_answered_once_the_news_of_its_grant_has_come(registry, dialog, make):
    path, token = dialog
    certificate = UUID((await registry.call("GET", path, token)).json["certificate_id"])
    registry.connector.completes(epoch=2)
    answering = asyncio.create_task(registry.call("POST", f"{path}/authorisation", token, {"otp": CANARY_OTP}))
    while (await registry.call("GET", path, token)).json["status"] != "completed":
        assert not answering.done()
    await registry.hear(make.grant(certificate, epoch=2))
    assert (await answering).json["status"] == "completed"
    access = (await registry.call("GET", f"certificates/{certificate}", token)).json["ca_access"]
    assert (access["state"], access["epoch"]) == ("active", 2)


@pytest.mark.parametrize("reason", ["wrong-otp", "wrong-pin", "code-expired"])
async def test_a_wrong_code_leaves_the_renewal_waiting_and_tells_the_attempts_left(registry, dialog, reason):
    path, token = dialog
    registry.connector.next = {"reason": reason, "attempts_left": 4}
    answer = await registry.call("POST", f"{path}/authorisation", token, {"otp": CANARY_OTP})
    assert (answer.status, answer.json["type"], answer.json["reason"], answer.json["attempts_left"]) == (422, reason, reason, 4)
    assert (await registry.call("GET", path, token)).json["status"] == "awaiting-authorisation"


@pytest.mark.parametrize("reason", ["wrong-otp", "wrong-pin", "code-expired", "code-missing"])
async def test_a_code_that_the_connector_refuses_is_refused_with_its_reason(registry, dialog, reason):
    path, token = dialog
    members = {"reason": reason, "attempts_left": 3}
    registry.connector.refusal = {"status": 422, "kind": "code-refused", "detail": "no", **members}
    answer = await registry.call("POST", f"{path}/authorisation", token, {"otp": CANARY_OTP})
    assert (answer.status, answer.json["type"], answer.json["reason"], answer.json["attempts_left"]) == (422, reason, reason, 3)
    registry.connector.refusal = None
    assert (await registry.call("GET", path, token)).json["status"] == "awaiting-authorisation"


async def test_locked_at_the_ca_is_final(registry, dialog):
    path, token = dialog
    registry.connector.next = {"status": "failed", "reason": "locked", "attempts_left": 0}
    answer = await registry.call("POST", f"{path}/authorisation", token, {"pin": CANARY_PIN})
    assert (answer.status, answer.json["type"]) == (422, "locked")
    assert (await registry.call("GET", path, token)).json["status"] == "failed"
    again = await registry.call("POST", f"{path}/authorisation", token, {"pin": CANARY_PIN})
    assert (again.status, again.json["type"]) == (409, "walk-over")
    assert registry.connector.times("/authorisation") == 1


async def test_a_code_is_never_sent_twice_by_software(registry, dialog):
    path, token = dialog
    registry.connector.mishaps = [0]
    answer = await registry.call("POST", f"{path}/authorisation", token, {"pin": CANARY_PIN})
    assert answer.status == 503
    assert registry.connector.times("/authorisation") == 1


async def test_a_new_code_can_be_sent_and_the_renewal_cancelled(registry, dialog):
    path, token = dialog
    registry.connector.next = {"attempts_left": 5}
    assert (await registry.call("POST", f"{path}/challenge", token)).status == 200
    assert (await registry.call("DELETE", path, token)).json["status"] == "cancelled"


async def test_a_renewal_goes_to_the_ca_when_the_connector_says_so(registry, dialog):
    path, token = dialog
    registry.connector.next = {"status": "awaiting-ca", "state": "s", "authorization_url": "http://localhost:7405/a", "asks": []}
    answer = await registry.call("POST", f"{path}/authorisation", token, {"otp": CANARY_OTP})
    assert (answer.status, answer.json["status"]) == (200, "awaiting-ca")
    assert answer.json["authorization_url"].startswith(f"{registry.url}/ca/authorisations/")


@pytest.mark.parametrize(
    "body",
    [
        {"otp": CANARY_OTP, "pim": CANARY_PIN},
        {"otp": {"x": CANARY_OTP}},
        {"otp": [CANARY_OTP], "pin": CANARY_PIN},
        {"otp": CANARY_OTP * 20},
        [CANARY_OTP],
        CANARY_OTP,
    ],
)
async def test_a_refused_input_never_echoes_a_code(registry, dialog, body, capfd):
    path, token = dialog
    answer = await registry.call("POST", f"{path}/authorisation", token, body)
    assert answer.status == 422
    logged = capfd.readouterr()
    for canary in (CANARY_OTP, CANARY_PIN):
        assert canary not in answer.text + logged.out + logged.err


async def test_no_secret_reaches_a_log_a_row_or_an_event(registry, dialog, capfd):
    from sqlalchemy import text

    path, token = dialog
    registry.connector.refusal = {"status": 409, "kind": "scripted", "detail": "no"}
    await registry.call("POST", f"{path}/authorisation", token, {"otp": CANARY_OTP, "pin": CANARY_PIN})
    await registry.call("POST", "tokens", None, {"email": "a@b.example", "password": CANARY_PIN})
    registry.connector.refusal = None
    administrator = (await registry.operator("administrator"))[1]
    profile = {
        "name": "CA", "issuer": "https://ca.example", "csc_url": "https://ca.example/csc/v2", "client_id": "x",
        "client_secret": CANARY_PIN,
    }  # fmt: skip
    assert CANARY_PIN not in (await registry.call("POST", "certificate-authorities", administrator, profile)).text
    certificate = str(await registry.certificate(await registry.account()))
    service = {"certificate_id": certificate, "name": "ERP"}
    made = (await registry.call("POST", "client-services", administrator, service)).json
    rotated = (await registry.call("POST", f"client-services/{made['id']}/secret", administrator)).json
    secrets = [CANARY_OTP, CANARY_PIN, token, administrator, made["client_secret"], rotated["client_secret"]]
    async with registry.sessions() as session:
        tables = (await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).all()
        rows = [str(row) for table in tables for row in (await session.execute(text(f'SELECT * FROM "{table}"'))).all()]
    logged = capfd.readouterr()
    for secret in secrets:
        assert secret not in logged.out + logged.err
        assert not [row for row in rows if secret in row]


async def test_a_renewal_that_was_never_begun_at_the_connector_fails_at_once(registry):
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    registry.connector.refusal = {"status": 409, "kind": "certificate-authority-inactive", "detail": "It is inactive."}
    answer = await registry.call("POST", f"certificates/{certificate}/renewals", token)
    assert (answer.status, answer.json["type"], answer.json["detail"]) == (
        409,
        "certificate-authority-inactive",
        "It is inactive.",
    )


async def test_an_unknown_certificate_authority_is_refused_before_anything_is_written(registry):
    _, token = await registry.issuer()
    new = {"alias": "x", "certificate_authority_id": str(uuid4())}
    answer = await registry.call("POST", "certificates", token, new)
    assert (answer.status, answer.json["type"]) == (404, "certificate-authority-unknown")
    assert registry.connector.times("/authorisations") == 0


async def test_a_renewal_takes_no_fields(registry):
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    answer = await registry.call("POST", f"certificates/{certificate}/renewals", token, {"return_url": "https://evil.example"})
    assert answer.status == 422
