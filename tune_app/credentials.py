"""Passwords and keys, which may be part of a URL, never reach a terminal, a log or a file."""

import re


def hide_credentials(text: object) -> str:
    """The text with *** for user and password in any URL, and for secrets in its query."""
    hidden = re.sub(r"://[^:/\s]*(:\S*)?@", "://***@", str(text))
    return re.sub(_IN_QUERY, r"\1***", hidden, flags=re.IGNORECASE)


_IN_QUERY = r"((?:password|passwd|secret|secret_key|access_key|session_token|token)=)[^&\s'\"]*"
