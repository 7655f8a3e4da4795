from datetime import timedelta
from types import SimpleNamespace

import pytest

from signing_gateway.routes import Addresses, Documents, api
from signing_gateway.timestamps import TimestampAuthority


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_info_names_every_method_and_needs_no_token(bed, version, document):
    status, body = await bed.post(f"/csc/{version}/info", {}, token="")
    assert status == 200
    assert {"specs", "name", "logo", "region", "lang", "description", "authType", "oauth2"} <= set(body)
    own = {path.removeprefix(f"/csc/{version}/") for path in document["paths"] if path.startswith(f"/csc/{version}/")}
    shared = {path.removeprefix("/") for path, of in document["paths"].items() if "post" in of and not path.startswith("/csc/")}
    assert sorted(body["methods"]) == sorted((own | shared) - {"info"})
    async with bed.http.get(bed.url + f"/csc/{version}/logo.png") as answer:
        assert (await answer.read()).startswith(b"\x89PNG")


async def test_version_2_says_more_of_what_it_can_do(bed):
    _, body = await bed.post("/csc/v2/info", {}, token="")
    assert body["signAlgorithms"]["algos"][0] == "1.2.840.113549.1.1.11"
    assert {"signature_formats", "conformance_levels", "supportedHashTypes"} <= set(body)


async def test_version_1_says_that_no_factor_is_asked_for(bed):
    _, body = await bed.post("/csc/v1/credentials/info", {"credentialID": str(bed.certificate.certificate_id)})
    assert (body["authMode"], body["SCAL"], body["multisign"]) == ("explicit", "1", 100)
    assert body["PIN"] == body["OTP"] == {"presence": "false"}


async def test_the_list_holds_the_one_certificate_of_the_service(bed):
    status, body = await bed.post("/csc/v2/credentials/list", {"lang": None, "clientData": None, "userID": None})
    assert (status, body) == (200, {"credentialIDs": [str(bed.certificate.certificate_id)]})


async def test_the_list_tells_all_about_it_when_asked(bed):
    asked = {"credentialInfo": True, "certificates": "chain", "certInfo": True, "authInfo": True, "onlyValid": True}
    _, body = await bed.post("/csc/v2/credentials/list", asked)
    (info,) = body["credentialInfos"]
    assert info["credentialID"] == str(bed.certificate.certificate_id)
    assert info["auth"] == {"mode": "explicit", "objects": []}
    assert body["onlyValid"] is True


@pytest.mark.parametrize("changes", [{"status": "inactive"}, {"valid_until": "past"}])
async def test_only_valid_leaves_out_what_cannot_sign(bed, changes):
    if "valid_until" in changes:
        changes = {"valid_until": bed.now - timedelta(seconds=1)}
    bed.told(bed.certificate, **changes)
    _, body = await bed.post("/csc/v2/credentials/list", {"onlyValid": True})
    assert body["credentialIDs"] == []


async def test_one_answer_serves_the_clients_of_both_versions(bed):
    asked = {"credentialID": str(bed.certificate.certificate_id), "certificates": "chain", "certInfo": True}
    status, body = await bed.post("/csc/v2/credentials/info", asked)
    assert status == 200
    assert body["key"] == {
        "status": "enabled",
        "algo": ["1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.13", "1.2.840.113549.1.1.1"],
        "len": 2048,
    }
    assert body["cert"]["certificates"] == bed.certificate.chain
    assert body["cert"]["validFrom"] == "20261120090000Z"
    assert body["cert"]["status"] == "valid"
    assert (body["authMode"], body["SCAL"], body["multisign"]) == ("explicit", "1", 100)


@pytest.mark.parametrize(("certificates", "sent"), [("none", None), ("single", 1), (None, 1), ("chain", 2)])
async def test_the_certificates_asked_for_are_sent_leaf_first(bed, certificates, sent):
    asked = {"credentialID": str(bed.certificate.certificate_id), "certificates": certificates}
    _, body = await bed.post("/csc/v2/credentials/info", asked)
    assert body["cert"].get("certificates") == (bed.certificate.chain[:sent] if sent else None)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("list", {"userID": "maria"}),
        ("list", {"pageToken": "2"}),
        ("list", {"certificates": "all"}),
        ("list", {"onlyValid": "yes"}),
        ("info", {}),
        ("info", {"credentialID": "nobody"}),
        ("info", {"credentialID": 7}),
    ],
)
async def test_bad_input_is_refused(bed, path, asked):
    status, body = await bed.post(f"/csc/v2/credentials/{path}", asked)
    assert (status, body["error"]) == (400, "invalid_request")


@pytest.fixture(scope="module")
def document():
    documents = Documents(None, TimestampAuthority(None, ""), max_body=1, max_documents=1, share=50)
    placing = SimpleNamespace(once=None, activations=None, orders=None)
    return api(None, None, placing, documents, None, failed_logins=None, addresses=Addresses("http://x"), max_hashes=1).openapi()


def test_the_openapi_document_describes_what_a_client_sends(document):
    schema = document["paths"]["/csc/v2/signatures/signHash"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"credentialID", "signAlgo", "hashes", "hash", "hashAlgo"} <= set(schema["properties"])
