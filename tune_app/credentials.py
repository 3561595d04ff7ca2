"""Passwords and keys, which may be part of a URL, never reach a terminal, a log or a file.

Where a text can be read in two ways, the one that hides more is taken. Two things cannot be told
from prose: a blank in the last value of a query, and one in a password that begins like a port.
"""

import base64
import re
from collections.abc import Sequence

HIDDEN = "***"

_NAMES = (
    r"password|passwd|passphrase|pwd|secret|token|signature|credentials?|authorization|jwt|"
    r"(?:api|access|secret|private|account|shared|auth|signing|encryption|master)[_-]?key"
    r"(?:[_-]?id)?|"
    r"(?<![^\W_])(?:pass|pw|auth|sig|sas)|"  # not the end of another word: `bypass`
    r"(?:(?<=[?&])|(?<=%3f)|(?<=%26))key"  # of a query only
)
"""What the name of a secret ends with: `aws_secret_access_key`, `X-Amz-Signature`, `PGPASSWORD`."""

_EQUALS = r"(?:=|%(?:25)*3d|[ \t]+=+[ \t]*)"
_COLON_OF_JSON = r"""(?:\\?["'][ \t]*:[ \t]*)"""

_REST = r"""[^\s&]*(?<!["'])"""
"""To the end of the word or of the query's value. Quotes at its end are of what it stands in."""

_VALUE = (
    r"(?:"
    rf"b?'(?:[^'\\\n]|\\.)*+'?{_REST}|"  # as in libpq's DSNs and Python's dictionaries
    rf'b?"(?:[^"\\\n]|\\.)*+"?{_REST}|'
    rf'\\"(?:[^"\\\n]|\\[^"\n])*+(?:\\")?{_REST}|'  # JSON within JSON
    rf"\{{[^}}\n]*\}}?{_REST}|"  # ODBC
    rf"(?:(?:bearer|basic|token|digest|negotiate)[ \t]+)?{_REST}"
    r"(?:(?:[ \t]++[^\s&?=]++)+(?=&[\w.%-]+=))?"  # a blank within a query that goes on
    r")"
)

_NAMED = re.compile(
    rf"((?:{_NAMES})\d*(?:{_EQUALS}|{_COLON_OF_JSON})){_VALUE}", re.IGNORECASE | re.ASCII
)

_HEADER = re.compile(
    r"((?:authorization|cookie|-(?:key|token|secret|signature|password|auth))[ \t]*:[ \t]*)"
    r"[^\s][^\n]*",
    re.IGNORECASE,
)

_BEARER = re.compile(
    r"\b(Bearer(?:[ \t]+|%20|\+)|(?i:bearer(?:[ \t]+|%20|\+))(?=\S*[^\sa-z]))"
    rf"(?!(?i:tokens?|auth\w*|scheme|realm=\S*)\b)(?=\S){_REST}"
)

_BASIC = re.compile(r"\b(Basic[ \t]+)([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)

_URL = r"(?::\\?/\\?/|(?<![\w/.~:-])//(?=[^\s:/@]+:))"
"""Before a URL's user. `//` alone is part of many a path, so there a password has to follow."""

_NO_PORT = r"(?!\d{1,5}(?:[^\w@]|$))"

_USER = re.compile(rf"({_URL})[^\s:/@]*(?=[:@])")

_USER_ENCODED = re.compile(
    r"(%(?:25)*3a(?:%(?:25)*2f){2})(?:(?!%(?:25)*(?:2f|3a|40))[^\s&])*"
    r"(?:%(?:25)*3a[^\s&]*)?(?=%(?:25)*40)",
    re.IGNORECASE,
)

_USER_WITHOUT_SCHEME = re.compile(
    r"(?:^|(?<=[\"'`(\[{<=,;|]))(?!(?:mailto|to|cc|bcc|from|e?-?mail):)[\w.+%~-]+:(?![/\\])",
    re.IGNORECASE,
)

_BLANKS = rf"{_NO_PORT}(?:[^\s@]|@(?=\s))+(?:[ \t]++(?:(?!://)(?:[^\s@]|@(?=\s)))+)"
"""A password's words but for the last: none has the `@` that ends it."""

_WITH_BLANKS = re.compile(rf"({_URL})[^\s:/@]*:{_BLANKS}*[ \t]++(?:[^\s@])*(?:\S*(?=@\S))")

_WITH_BLANKS_WITHOUT_SCHEME = re.compile(
    rf"(?<![^\s\"'(=])()[\w.+%~-]+:(?![/\\]){_BLANKS}{{0,8}}[ \t]++\S*(?=@[\w.-]+:\d)"
)


def hide_credentials(text: object) -> str:
    """The text with *** for user and password in any URL, and for secrets by their name."""
    hidden = str(text)
    if "@" in hidden:
        hidden = _WITH_BLANKS.sub(rf"\1{HIDDEN}", hidden)
    return hidden
