"""PDF files made by hand, so that a test sees every byte of what it is about."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import pytest


def a_pdf(*contents: str, box: Sequence[int] = (0, 0, 595, 842), page_entries: str = "", squeezed: bool = False) -> bytes:
    """One page for each content stream, in Helvetica as /F."""
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    pages = [4 + 2 * n for n in range(len(contents))]
    kids = " ".join(f"{n} 0 R" for n in pages)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} /MediaBox [{' '.join(map(str, box))}] >>",
        font,
    ]
    bodies = [each.encode("cp1252") for each in objects]
    for number, content in zip(pages, contents, strict=True):
        entries = f"/Resources << /Font << /F 3 0 R >> >> /Contents {number + 1} 0 R {page_entries}"
        bodies.append(f"<< /Type /Page /Parent 2 0 R {entries} >>".encode())
        data, how = (
            (zlib.compress(content.encode("cp1252")), "/Filter /FlateDecode ") if squeezed else (content.encode("cp1252"), "")
        )
        bodies.append(f"<< {how}/Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream")
    made, offsets = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(made))
        made += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    start = len(made)
    made += (
        f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(bodies) + 1} /Root 1 0 R >>\n".encode()
    )
    return made + f"startxref\n{start}\n%%EOF\n".encode()


def written(*lines: tuple[int, int, str]) -> str:
    """A content stream that shows each text at its place."""
    return "\n".join(f"BT /F 12 Tf {x} {y} Td ({text}) Tj ET" for x, y, text in lines)


INVOICE = written((72, 760, "Fatura 2026/117"), (72, 730, "Padaria Central, Lda"), (72, 200, "Assinatura do emitente: #assinar#"))


@dataclass(frozen=True)
class Papers:
    """Makers of documents, for tests that cannot import this module."""

    pdf = staticmethod(a_pdf)
    written = staticmethod(written)

    @property
    def invoice(self) -> bytes:
        """One page with a placeholder."""
        return a_pdf(INVOICE)


@pytest.fixture(scope="session")
def papers() -> Papers:
    return Papers()
