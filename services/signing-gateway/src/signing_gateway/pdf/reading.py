"""Opening a file that claims to be a PDF, within bounds."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfError, PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.general import SigningError

from signing_gateway.pdf.jobs import Refused

MOST_PAGES = 5_000
HEADER_WITHIN = 1024
SHOWN = 200


@contextmanager
def refusals() -> Iterator[None]:
    """Turns whatever a broken file makes its reader raise into a `Refused`."""
    try:
        yield
    except Refused:
        raise
    except PdfDecodeLimitError:
        raise Refused("unpacks to more than is taken") from None
    except SigningError as fault:
        raise Refused(f"cannot be signed: {_shown(fault)}") from None
    except (PdfReadError, PdfError) as fault:
        raise Refused(f"cannot be read as a PDF: {_shown(fault)}") from None
    except MemoryError:
        raise Refused("takes more memory than is given") from None
    except RecursionError:
        raise Refused("is nested too deep") from None
    except Exception as fault:  # noqa: BLE001 - a file can break its reader anywhere: it is the file that is wrong
        raise Refused(f"cannot be read as a PDF ({type(fault).__name__})") from None


def _shown(fault: Exception) -> str:
    text = " ".join(str(fault).split())
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def opened(document: bytes) -> IncrementalPdfFileWriter:
    """A writer that appends to the document. Raises Refused."""
    if b"%PDF-" not in document[:HEADER_WITHIN]:
        raise Refused("is not a PDF: it does not begin with %PDF-")
    writer = IncrementalPdfFileWriter(BytesIO(document), strict=False)
    if writer.prev.encrypted:
        raise Refused("is encrypted; send it without encryption")
    if pages_of(writer.prev) > MOST_PAGES:
        raise Refused(f"has more than {MOST_PAGES} pages")
    return writer


def pages_of(reader: PdfFileReader) -> int:
    """How many pages the document says it has."""
    count = reader.root["/Pages"]["/Count"]
    if not isinstance(count, int) or count < 1:
        raise Refused("has no pages")
    return int(count)
