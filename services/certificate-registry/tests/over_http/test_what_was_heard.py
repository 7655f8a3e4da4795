from uuid import uuid4

import pytest

from certificate_registry.storage import grants, notices
from contracts import NoticeFailed, NoticeSent, Usage

pytestmark = pytest.mark.integration


async def test_usage_is_shown_by_its_highest_version(registry, make):
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    made = await registry.call("POST", "client-services", token, {"certificate_id": str(certificate), "name": "ERP"})
    path = f"client-services/{made.json['id']}/usage"
    assert (await registry.call("GET", path, token)).json is None
    for version, total in ((2, 20), (1, 10), (2, 99)):
        usage = Usage(client_service_id=made.json["id"], version=version, certificate_id=certificate, total=total, days=[])
        async with registry.sessions.begin() as session:
            await grants.keep_usages(session, [usage])
    assert (await registry.call("GET", path, token)).json["total"] == 20


async def test_each_mail_of_a_notice_is_listed_once(registry, make):
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    told = {
        "notice_id": uuid4(), "account_id": account, "operator_id": uuid4(), "kind": "daily", "local_date": make.now.date(),
        "certificate_ids": [certificate], "message_id": "<m@sinete.example>",
    }  # fmt: skip
    failed = {**told, "notice_id": uuid4(), "failed_at": make.now, "reason": "550 no such mailbox"}
    for event in (NoticeSent(**told, sent_at=make.now), NoticeSent(**told, sent_at=make.now), NoticeFailed(**failed)):
        async with registry.sessions.begin() as session:
            await notices.keep(session, event)
    listed = (await registry.call("GET", "notices", token)).json
    assert (listed["total"], {item["status"] for item in listed["items"]}) == (2, {"sent", "failed"})
    only = (await registry.call("GET", f"notices?status=failed&certificate_id={certificate}", token)).json
    assert [item["reason"] for item in only["items"]] == ["550 no such mailbox"]
    assert (await registry.call("GET", f"notices?certificate_id={uuid4()}", token)).json["total"] == 0
    other = await registry.operator("issuer", await registry.account())
    assert (await registry.call("GET", "notices", other[1])).json["total"] == 0
