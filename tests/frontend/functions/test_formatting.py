"""Goal: to_char, to_number, to_date and to_timestamp read and write PostgreSQL's templates.

Method: every template over every value, on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.frontend.functions.comparison import check, connect
from tests.oracle import Oracle


@pytest.fixture(scope="module")
def connection(oracle: Oracle) -> Iterator[psycopg.Connection[Any]]:
    with connect(oracle.dsn) as opened:
        yield opened


NUMBERS = (
    "0",
    "1",
    "-1",
    "12",
    "-12.34",
    "0.5",
    "-0.1",
    "485",
    "148.5",
    "1485",
    "-485.8",
    "0.05",
    "12.45",
    "999.99",
    "1234567.891",
    "-0.004",
    "100",
)
NUMBER_TEMPLATES = (
    "999", "9.99", "99.99", "0999", "FM999", "FM990.99", "FM9.99", "FM0.09", "999,999", "9,999.99", "9G999D99", "999MI", "MI999", "FM999MI", "PL999", "999PL", "SG999",
    "999SG", "S999", "999S", "S99.9", "99.9S", "999PR", "FM999PR", "999.99PR", "9V9", "99V999", "L999", "999th", "999TH", "FM999th", "RN", "FMRN", "rn", "9.9EEEE", "9.999EEEE", "B999",
    '"Good number:"999', '999 "x"', "99 99", "000.000", "FM000.000", "0.9", "FM0.9", ".99", "99.", "FM99.", "0000000", "FM9999999.99999", "9999999.99999", "FMS999.9", "00S", "S00.00", "x9y", "",
)  # fmt: skip


@pytest.mark.parametrize("template", NUMBER_TEMPLATES)
def test_numbers(connection: psycopg.Connection[Any], template: str) -> None:
    for number in NUMBERS:
        check(connection, "to_char(numeric,text)", number, template)
        check(connection, "to_char(float8,text)", number, template)
        if "." not in number:
            check(connection, "to_char(int4,text)", number, template)
            check(connection, "to_char(int8,text)", number, template)


@pytest.mark.parametrize("template", ["EEEE9", "9PR9", "S9S", "SMI9", "9.9.9", "V9.9", "9.V", "SPR", "PRS", "FM9EEEE"])
def test_contradictions(connection: psycopg.Connection[Any], template: str) -> None:
    check(connection, "to_char(int4,text)", "5", template)


def test_to_number(connection: psycopg.Connection[Any]) -> None:
    for text, template in (
        ("12,454.8-", "99G999D9S"), ("-34,338,492", "99G999G999"), ("-34,338,492.654,878", "99G999G999D999G999"), ("<564646.654564>", "999999.999999PR"), ("0.00001-", "9.999999S"),
        ("5.01-", "FM9.999999S"), ("5.01-", "FM9.999999MI"), ("5 4 4 4 4 8 . 7 8", "9 9 9 9 9 9 . 9 9"), (".01", "FM9.99"), (".0", "99999999.99999999"), ("0", "99.99"), (".-01", "S99.99"),
        (".01-", "99.99S"), (" . 0 1-", " 9 9 . 9 9 S"), ("34,50", "999,99"), ("123,000", "999G"), ("123456", "999G999"), ("$1234.56", "L9,999.99"), ("$1,234.56", "L99,999.99"), ("1234.56", "L99,999.99"),
        ("42nd", "99th"), ("123456", "99999V99"), ("12345", "99"), ("abc", "99"), ("", "99"), ("1", ""), ("5", "RN"), ("5", "9EEEE"), ("-5", "MI9"), ("+5", "SG9"), ("  12", "99"), ("1.239", "9.99"),
    ):  # fmt: skip
        check(connection, "to_number(text,text)", text, template)


MOMENTS = (
    "2024-02-29 00:00:00",
    "1999-12-31 23:59:59.999999",
    "2021-01-03 12:34:56.789",
    "0044-03-15 13:00:00 BC",
    "2005-01-01 01:02:03.04",
    "0001-01-01",
    "12345-06-07",
    "2000-05-22 11:00",
    "infinity",
)
INTERVALS = (
    "1 year 2 months 3 days 04:05:06.789",
    "-1 year -2 months -3 days -04:05:06.7",
    "100:00:00",
    "0",
    "15 months",
    "-1 hour",
    "45 days",
    "-00:00:00.5",
)
DATE_TEMPLATES = (
    "YYYY-MM-DD HH24:MI:SS", "FMYYYY FMMM FMDD FMHH24 FMMI FMSS", "Day, DD Month YYYY", "FMDay, FMMonth", "DAY MONTH day month Dy DY dy Mon MON mon", "HH HH12 AM a.m. PM p.m. am A.M.", "Y,YYY YYY YY Y", "IYYY IYY IY I IW ID IDDD",
    "CC Q WW W D DDD J", "AD B.C. ad bc A.D.", "MS US FF1 FF2 FF3 FF4 FF5 FF6", "SSSS SSSSS", "TZ tz TZH TZM OF FMOF", "RM rm FMRM", "DDth DDTH FMDDth MMth YYYYth", '"quoted DD" DD', "\\\"DD", "yyyy-mm-dd hh24:mi:ss", "Mm xx zz", "TMMonth TMDay", "FXYYYY", "DDSP", "HH24:MI:SS.MS", "FMWW FMDDD FMIW FMCC FMIDDD", "YYYYMMDDHH24MISSUS", "FMYY FMY FMYYY FMHH12", "12th Q",
)  # fmt: skip


@pytest.mark.parametrize("template", DATE_TEMPLATES)
def test_dates(connection: psycopg.Connection[Any], template: str) -> None:
    for moment in MOMENTS:
        check(connection, "to_char(timestamp,text)", moment, template)
        check(connection, "to_char(timestamptz,text)", moment, template)


@pytest.mark.parametrize(
    "template",
    [
        "YYYY-MM-DD HH24:MI:SS",
        "HH12 MS US FF3",
        "YY Y YYY Y,YYY",
        "Q WW W DDD",
        "CC",
        "RM",
        "SSSS",
        "AM",
        "FMHH24:FMMI",
        "Month",
        "D",
        "AD",
        "TZ",
        "OF",
        "FMYYYY FMMM FMDD",
        "IYYY",
        "HH24:MI:SS.US",
        "rm|FMRM",
        "J",
    ],
)
def test_intervals(connection: psycopg.Connection[Any], template: str) -> None:
    for interval in INTERVALS:
        check(connection, "to_char(interval,text)", interval, template)


READINGS = [
    ("2024-02-29", "YYYY-MM-DD"), ("20240229", "YYYYMMDD"), ("29 Feb 2024", "DD Mon YYYY"), ("February 29, 2024", "Month DD, YYYY"), ("  2024   02 29", "YYYY MM DD"), ("2024/2/9", "YYYY-MM-DD"),
    ("95", "YY"), ("5", "Y"), ("995", "YYY"), ("95", "YYYY"), ("1,999", "Y,YYY"), ("44 BC", "YYYY BC"), ("20 24", "CC YY"), ("21", "CC"), ("2024-060", "YYYY-DDD"), ("060", "DDD"), ("2024-09-4", "IYYY-IW-ID"), ("2024-366", "YYYY-DDD"), ("2023-366", "YYYY-DDD"),
    ("2455000", "J"), ("2024-13-01", "YYYY-MM-DD"), ("2023-02-29", "YYYY-MM-DD"), ("abc", "YYYY"), ("2024-xx", "YYYY-MM"), ("202", "YYYYMM"), ("2024 IW 5", 'IYYY "IW" IW'), ("2024-05-01 IW", "YYYY-IW"), ("2024 05 05", "YYYY MM MM"), ("2024 05 06", "YYYY MM MM"),
    ("2024-09", "YYYY-WW"), ("2024-02-3", "YYYY-MM-W"), ("XII 2020", "RM YYYY"), ("iv 2020", "rm YYYY"), ("Thu 29 Feb 2024", "Dy DD Mon YYYY"), ("foo 2024", "Mon YYYY"), ("2024x02", "YYYYxMM"), ("2024th02", "YYYYthMM"), ("1st 2 2003", "DDth MM YYYY"), ("", "YYYY"), ("2024", ""), ("2024-06-15", "FXYYYY-MM-DD"), ("2024 06  15", "FXYYYY MM DD"), ("-44-02-01", "YYYY-MM-DD"), ("99999999999", "YYYY"), ("Q2 2024", '"Q"Q YYYY'), ("2020-01-01 EST", "YYYY-MM-DD TZ"), ("0000-01-01", "YYYY-MM-DD"), ("2024-00-10", "YYYY-MM-DD"),
]  # fmt: skip
TIMES = [
    ("2024-02-29 13:14:15", "YYYY-MM-DD HH24:MI:SS"), ("2024-02-29 01:14:15 PM", "YYYY-MM-DD HH12:MI:SS PM"), ("12:00 am", "HH:MI am"), ("13:00", "HH12:MI"), ("2024-02-29 13:14:15.25", "YYYY-MM-DD HH24:MI:SS.MS"), ("2024-02-29 13:14:15.25", "YYYY-MM-DD HH24:MI:SS.US"),
    ("2024-02-29 13:14:15.123456", "YYYY-MM-DD HH24:MI:SS.FF6"), ("2024-02-29 13:14:15.12", "YYYY-MM-DD HH24:MI:SS.FF2"), ("2024-01-01 3700", "YYYY-MM-DD SSSS"), ("2024-02-29 25:00", "YYYY-MM-DD HH24:MI"), ("2024-02-29 10:61", "YYYY-MM-DD HH24:MI"), ("2024-02-29 10:11 +02", "YYYY-MM-DD HH24:MI TZH"),
    ("2024-02-29 10:11 -05:30", "YYYY-MM-DD HH24:MI TZH:TZM"), ("2024-02-29 10:11+0530", "YYYY-MM-DD HH24:MITZHTZM"), ("20240229T101112", 'YYYYMMDD"T"HH24MISS'), ("2024-02-29T10:11:12Z", 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ("10 p.m.", "HH12 P.M."), ("2024.02.29 10-11-12", "YYYY-MM-DD HH24:MI:SS"), ("1999-12-31", "YYYY-MM-DD HH24:MI"), ("2024-02-29 10:11 +20", "YYYY-MM-DD HH24:MI TZH"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "template"), READINGS)
def test_to_date(connection: psycopg.Connection[Any], text: str, template: str) -> None:
    check(connection, "to_date(text,text)", text, template)
    check(connection, "to_timestamp(text,text)", text, template)


@pytest.mark.parametrize(("text", "template"), TIMES)
def test_to_timestamp(connection: psycopg.Connection[Any], text: str, template: str) -> None:
    check(connection, "to_timestamp(text,text)", text, template)
