"""Passwords and keys, which may be part of a URL, never reach a terminal, a log or a file."""

import re

_IN_QUERY = r"((?:password|passwd|secret|secret_key|access_key|session_token|token)=)[^&\s'\"]*"

_USER = re.compile(r"[^:/]*")


def hide_credentials(text: object) -> str:
    """The text with *** for user and password in any URL, and for secrets in its query."""
    hidden = re.sub(r"\S+", lambda word: _without_user(word[0]), str(text))
    return re.sub(_IN_QUERY, r"\1***", hidden, flags=re.IGNORECASE)


def _without_user(word: str) -> str:
    """A word without what stands between `://` and its last `@`: a password may hold both."""
    end = word.rfind("@")
    for url in re.finditer("://", word):
        if url.end() > end:
            break
        user = _USER.match(word, url.end(), end)
        assert user is not None  # the pattern matches nothing too
        if user.end() == end or word[user.end()] == ":":
            return f"{word[: url.end()]}***{word[end:]}"
    return word
