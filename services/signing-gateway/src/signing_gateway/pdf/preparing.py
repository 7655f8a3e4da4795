"""From a document to a document with a gap for its signature, and back to one with the proofs that the signature was good."""

from io import BytesIO

from asn1crypto import crl, ocsp, x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter, enumerate_sig_fields
from pyhanko.sign.signers import ExternalSigner, PdfSignatureMetadata, PdfSigner
from pyhanko.sign.validation.dss import DocumentSecurityStore

from signing_gateway.pdf.jobs import Complete, Completed, Prepare, Prepared, Refused
from signing_gateway.pdf.placing import placed
from signing_gateway.pdf.reading import opened, refusals
from signing_gateway.pdf.stamp import SealStyle


def prepare(job: Prepare) -> Prepared:
    """The document with its gap. Earlier signatures stay good: everything is appended. Raises Refused."""
    with refusals():
        writer = opened(job.document)
        name, new = _field(job, writer)
        if job.certify and any(writer.prev.embedded_signatures):
            raise Refused("is signed already, so no certification is possible; ask for signed_envelope_property Revision")
        meta = PdfSignatureMetadata(
            field_name=name,
            md_algorithm=job.hash_algorithm,
            subfilter=SigSeedSubFilter.PADES,
            certify=job.certify,
            docmdp_permissions=MDPPerm.FILL_FORMS,
            reason=job.reason,
            location=job.location,
        )
        nobody = ExternalSigner(signing_cert=None, cert_registry=None)
        signer = PdfSigner(meta, nobody, stamp_style=SealStyle(text=job.text), new_field_spec=new)
        session = signer.init_signing_session(writer)
        session.system_time = job.at
        gapped = session.prepare_tbs_document(validation_info=None, bytes_reserved=2 * job.reserved)
        digest, output = gapped.digest_tbs_document(output=BytesIO())
        assert isinstance(output, BytesIO)
        start, end = digest.reserved_region_start, digest.reserved_region_end
        return Prepared(output.getvalue(), digest.document_digest, start, end)


def complete(job: Complete) -> Completed:
    """The document with a security store. Raises Refused."""
    with refusals():
        output = BytesIO(job.document)
        DocumentSecurityStore.add_dss(
            output,
            job.contents,
            certs=[x509.Certificate.load(der) for der in job.certificates],
            ocsps=[ocsp.OCSPResponse.load(der) for der in job.ocsps],
            crls=[crl.CertificateList.load(der) for der in job.crls],
            strict=False,
        )
        return Completed(output.getvalue())


def _field(job: Prepare, writer: IncrementalPdfFileWriter) -> tuple[str, SigFieldSpec | None]:
    """The signature field's name, and how to make it where it is not there yet."""
    fields = {name: value for name, value, _ in enumerate_sig_fields(writer.prev)}
    if job.field is not None and job.field in fields:
        if fields[job.field] is not None:
            raise Refused(f"has a signature in the field {job.field!r} already")
        if job.place is not None:
            raise Refused(f"has a field {job.field!r} with a place of its own; name the field alone")
        return job.field, None
    if job.field is not None and job.place is None:
        raise Refused(f"has no signature field {job.field!r}")
    name = job.field or next(f"Signature{n}" for n in range(1, len(fields) + 2) if f"Signature{n}" not in fields)
    if job.place is None:
        return name, SigFieldSpec(name)
    box = placed(job.document, writer.prev, job.place)
    x1, y1, x2, y2 = (round(value) for value in box.rect)
    return name, SigFieldSpec(name, on_page=box.page - 1, box=(x1, y1, x2, y2))
