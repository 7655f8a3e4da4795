"""pyHanko's own CSC client (`csc_signer`) against a running gateway, and its validator on what comes out."""

import asyncio
from io import BytesIO

import aiohttp
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers import PdfSignatureMetadata, async_sign_pdf
from pyhanko.sign.signers.csc_signer import (
    CSCAuthorizationManager,
    CSCServiceSessionInfo,
    CSCSigner,
    PrefetchedSADAuthorizationManager,
    fetch_certs_in_csc_credential,
)
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

pytestmark = pytest.mark.integration


@pytest.fixture
def records_url(database):
    return database.url


class ForTheseHashes(CSCAuthorizationManager):
    """Fetches a SAD for the very hashes before each call, as pyHanko's documentation shows."""

    def __init__(self, http, *args):
        super().__init__(*args)
        self.http = http

    async def authorize_signature(self, hash_b64s):
        return await authorized(self.http, self, hash_b64s=hash_b64s)


async def authorized(http, manager, **asked):
    url = manager.csc_session_info.endpoint_url("credentials/authorize")
    async with http.post(url, headers=manager.auth_headers, json=manager.format_csc_auth_request(**asked)) as answer:
        answer.raise_for_status()
        return manager.parse_csc_auth_response(await answer.json())


@pytest.fixture(params=["v1", "v2"])
async def client(bed, request):
    """An HTTP session, and pyHanko's knowledge of the service and of the credential."""
    told = CSCServiceSessionInfo(bed.url, str(bed.certificate.certificate_id), oauth_token=bed.token, api_ver=request.param)
    async with aiohttp.ClientSession() as http:
        yield http, told, await fetch_certs_in_csc_credential(http, told)


async def test_a_pdf_is_signed_with_a_sad_for_its_hash(client, bed, sandbox, papers):
    http, told, credential = client
    signer = CSCSigner(http, ForTheseHashes(http, told, credential))
    made = BytesIO()
    writer = IncrementalPdfFileWriter(BytesIO(papers.invoice))
    await async_sign_pdf(writer, PdfSignatureMetadata(field_name="Sig"), signer, output=made)
    trust = ValidationContext(trust_roots=[sandbox.root], allow_fetching=False, revocation_mode="soft-fail")
    (signature,) = PdfFileReader(made).embedded_signatures
    assert (await async_validate_pdf_signature(signature, trust)).bottom_line
    assert [event.count for event in bed.teller.told] == [1]


async def test_a_batch_is_one_call_for_each_hash_of_it(client, bed):
    http, told, credential = client
    assert (credential.max_batch_size, credential.hash_pinning_required) == (100, False)
    signer = CSCSigner(http, ForTheseHashes(http, told, credential), batch_autocommit=False, batch_size=3)
    waiting = [asyncio.create_task(signer.async_sign_raw(bytes([n]), "sha256")) for n in range(3)]
    await asyncio.sleep(0)
    await signer.commit()
    assert len(set(await asyncio.gather(*waiting))) == 3
    assert [event.count for event in bed.teller.told] == [3]


async def test_a_sad_fetched_beforehand_signs_once(client, bed):
    http, told, credential = client
    manager = PrefetchedSADAuthorizationManager(told, credential, None)
    manager.csc_auth_info = await authorized(http, manager, num_signatures=1)
    assert await CSCSigner(http, manager).async_sign_raw(b"x", "sha256")
    manager._used = False
    with pytest.raises(SigningError):
        await CSCSigner(http, manager).async_sign_raw(b"x", "sha256")
    assert len(bed.authority.journal) == 1
