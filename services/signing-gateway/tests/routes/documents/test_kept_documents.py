"""Idempotency-Key for documents, on the real database."""

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def records_url(database):
    return database.url


async def test_a_retry_under_the_same_key_gives_the_same_documents_and_counts_once(bed, sign, papers, http_key):
    first, again = [await http_key(papers.invoice) for _ in range(2)]
    assert first == again
    assert [told.count for told in bed.teller.told] == [1]
