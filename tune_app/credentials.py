"""Passwords and keys, which may be part of a URL, never reach a terminal, a log or a file.

Where a text can be read in two ways, the reading that hides more is taken. Not hidden is what only
its owner could tell from prose: a blank and the rest of the last value of a query, and a password
that has a blank and begins like a port (`http://host:5000 is away, ask me@work`).
"""

import base64
import binascii
import re

_HIDDEN = "***"

_NAME = (
    r"(?:password|passwd|passphrase|pwd|secret|token|signature|credentials?|authorization|jwt|"
    r"(?:api|access|secret|private|account|shared|auth|signing|encryption|master)[_-]?key"
    r"(?:[_-]?id)?|"
    r"(?:(?<![^\W_])|(?<=%[0-9a-f]{2})|(?<=%25[0-9a-f]{2}))"  # not in another word: `bypass`
    r"(?:pass|pw|auth|sig|sas)|"
    r"(?<=[?&])key|(?<=%3f)key|(?<=%26)key"  # of a query only
    r")\d*"
)
"""The end of a secret's name: `aws_secret_access_key`, `X-Amz-Signature`, `PGPASSWORD`."""

_IS = (
    r"(?:=|%(?:25)*3d|[ \t]+=+[ \t]*|"
    r"""\\?["'][ \t]*:[ \t]*)"""  # in JSON, or in a Python dictionary that was printed
)

_WORD = r"""(?:[^\s&]|&(?![\w.%-]+=))+(?<!["'])"""
"""A word, or a query's value. Quotes at its end belong to what it stands in."""

_VALUE = (
    r"(?:"
    r"b?'(?:[^'\\\n]|\\.)*+\S*|"  # of a DSN or a dictionary
    r'b?"(?:[^"\\\n]|\\.)*+\S*|'
    r'\\"(?:[^"\\\n]|\\\\\\"|\\\\)*+\S*|'  # of JSON within JSON
    r"\{(?:[^}\n]|\}\})*+\S*|"  # of ODBC
    rf"(?:(?:bearer|basic|token|digest|negotiate)[ \t]+)?{_WORD}"
    r""")(?:["']*(?:[ \t]++[^\s&?=]++)+(?=&[\w.%-]+=))?"""  # blanks within a query that goes on
)

_END = r"""(?=[.,:;!?'")]*(?:\s|$))"""

_NAMED = [
    re.compile(
        # To the end of the line: some schemes have several words.
        r"((?:\bauthorization|\bapi_?key|-(?:key|token|secret|signature|password|auth)|"
        r"\bcookie(?=[ \t]*:[ \t]*[\w.-]+=))[ \t]*:[ \t]*)(?!\s)[^\n]+",
        re.IGNORECASE,
    ),
    re.compile(  # in any case if what follows is no plain word, as in "the bearer of this"
        r"\b(Bearer(?:[ \t]+|%20|\+)|(?i:bearer(?:[ \t]+|%20|\+))(?=\S*[^\sa-z]))"
        rf"(?!(?i:tokens?|auth|authentication|authorization|scheme){_END})"
        rf"{_WORD}"
    ),
    re.compile(rf"({_NAME}{_IS}){_VALUE}", re.IGNORECASE),
]

_BASIC = re.compile(r"\b(basic(?:[ \t]+|%20|\+))([a-z0-9+/]+={0,2})", re.IGNORECASE)

_URL = r"(?::\\?/\\?/|(?<![\w/.~:-])//(?=[^\s:/@]+:))"
"""What comes before a URL's user. `//` alone is in many a path, so there a password must follow."""

_USER = re.compile(rf"({_URL})[^:/]*")

_COLON, _SLASH, _AT = r"(?::|%(?:25)*3a)", r"(?:/|%(?:25)*2f)", r"(?:@|%(?:25)*40)"
_ENCODED_URL = rf"(?!://){_COLON}{_SLASH}{{2}}"
_ENCODED_USER = re.compile(
    rf"({_ENCODED_URL})(?:(?!{_COLON}|{_SLASH}|{_AT})[^\s&])*+"
    rf"(?:{_COLON}(?:(?!{_ENCODED_URL})[^\s&])*)?(?={_AT})|"
    rf"(://)[^\s&:/@%]*{_COLON}[^\s&/@]*(?=%(?:25)*40)",
    re.IGNORECASE,
)

_BARE_USER = re.compile(
    r"""(?:^|(?<=["'`(\[{<=,;|]))(?!(?:mailto|to|cc|bcc|from|e?-?mail):)[\w.+%~-]+:(?![/\\])""",
    re.IGNORECASE,
)

# A password of several words: the last has an @ with a host behind it, the others have none.
_NO_HOST = r"(?:(?!://)[^\s@]|@(?=\s))++"
_NO_PORT = r"(?!\d{1,5}(?:[^\w@]|$))"
_LAST = r"[ \t]++(?:(?!://)\S)*"
_SEVERAL_WORDS = [
    re.compile(rf"({_URL})[^\s:/@]*:{_NO_PORT}{_NO_HOST}(?:[ \t]++{_NO_HOST})*{_LAST}(?=@\S)"),
    re.compile(  # without a scheme only with a port, and of so many words at most
        rf"""(?<![^\s"'(=])()[\w.+%~-]+:{_NO_PORT}(?![/\\]){_NO_HOST}(?:[ \t]++{_NO_HOST}){{0,8}}"""
        rf"{_LAST}(?=@[\w.-]+:\d)"
    ),
]


def hide_credentials(text: object) -> str:
    """The text with *** for the user and password of any URL or DSN, for what bears the name of a
    secret (in a query, an assignment, a header, JSON), and for tokens after `Bearer`."""
    hidden = str(text)
    # One rule may uncover the next one's place; it ends, since each leaves less but for asterisks.
    while (more := _hidden_once(hidden)) != hidden:
        hidden = more
    return hidden


def _hidden_once(text: str) -> str:
    hidden = _BASIC.sub(_without_basic, text)
    for secret in _NAMED:
        hidden = secret.sub(rf"\1{_HIDDEN}", hidden)
    if "@" in hidden:
        for secret in _SEVERAL_WORDS:
            hidden = secret.sub(rf"\1{_HIDDEN}", hidden)
        hidden = re.sub(r"\S+", lambda word: _without_user(word[0]), hidden)
    return _ENCODED_USER.sub(rf"\1\2{_HIDDEN}", hidden)


def _without_user(word: str) -> str:
    """A word without what stands between `://` and its last `@`: a password may hold both."""
    end = word.rfind("@")
    if end < 0:
        return word
    for url in _USER.finditer(word, 0, end):
        if url.end() == end or word[url.end()] == ":":
            return f"{word[: url.end(1)]}{_HIDDEN}{word[end:]}"
    user = _BARE_USER.search(word, 0, end)
    if user is None or "://" in word[user.end() : end] or word.startswith("@sha256:", end):
        return word
    return f"{word[: user.start()]}{_HIDDEN}{word[end:]}"


def _without_basic(match: re.Match[str]) -> str:
    """`Basic ***` where base64 of `user:password` follows; a sentence as it is."""
    try:
        decoded = base64.b64decode(match[2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return match[0]
    return f"{match[1]}{_HIDDEN}" if ":" in decoded else match[0]


def to_type(command: str) -> str:
    """A command whose credentials were hidden, for who is to type it again."""
    if _HIDDEN not in command:
        return command
    return f"{command}\n({_HIDDEN} stands for what you gave there: credentials are printed nowhere)"
