"""The grant monitor's read-only `GET /internal/v1/grants/{certificate_id}`, for people and pages."""

from datetime import date

from pydantic import AwareDatetime

from contracts.access_grants import AccessGrant
from contracts.envelope import Message


class Forecast(Message):
    """When the usage limit would be reached at the rate of the last seven local days; None where not in this grant."""

    signatures_per_day: float
    limit_reached_on: date | None


class GrantView(Message):
    """The grant as it stands in the monitor's own tables, which may be newer than the bus."""

    grant: AccessGrant
    reserved: int
    open_allowances: int
    read_at: AwareDatetime
    forecast: Forecast
