"""What is secret in a text is not shown, and the rest of it is."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_app.credentials import hide_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://mlflow:5000/a", "http://mlflow:5000/a"),
        ("http://me:pass@mlflow:5000", "http://***@mlflow:5000"),
        ("http://token@mlflow", "http://***@mlflow"),
        (
            "postgresql+psycopg://me:p/a:s@s@db:5432/mlflow",
            "postgresql+psycopg://***@db:5432/mlflow",
        ),
        ("postgresql://db/x?user=me&password=s&a=1", "postgresql://db/x?user=me&password=***&a=1"),
        ("sqlite:////home/me@work/a:b@c/mlflow.db", "sqlite:////home/me@work/a:b@c/mlflow.db"),
        (
            "s3://KEY:SEC/RET@bucket/runs?endpoint_override=127.0.0.1:9000&scheme=http",
            "s3://***@bucket/runs?endpoint_override=127.0.0.1:9000&scheme=http",
        ),
        (
            "s3://b/x?Access_Key=A&secret_key=B&region=r",
            "s3://b/x?Access_Key=***&secret_key=***&region=r",
        ),
        ("s3://bucket/me@work", "s3://bucket/me@work"),
        ("'sqlite:////x','http://a:b@c'", "'sqlite:////x','http://***@c'"),
        ("://:" * 100_000, "://:" * 100_000),  # in no time
        ("at http://a:b@c failed, mail x@y", "at http://***@c failed, mail x@y"),
        # A user before the host.
        ("http://me:my pass@host/x is away", "http://***@host/x is away"),
        ("see //u:p@h/x", "see //***@h/x"),
        ("u:p@h:5432", "***@h:5432"),
        (r"{\"uri\": \"http:\/\/u:p@h\"}", r"{\"uri\": \"http:\/\/***@h\"}"),
        ("?next=http%3A%2F%2Fu%3Ap%40h%2Fx", "?next=http%3A%2F%2F***%40h%2Fx"),
        ("http://mlflow:5000 is away, ask me@work", "http://mlflow:5000 is away, ask me@work"),
        ("a postgres:16@sha256:0a1b, mailto:me@work", "a postgres:16@sha256:0a1b, mailto:me@work"),
        # The name of a secret.
        ("/x?api_key=s&b=1", "/x?api_key=***&b=1"),
        ("/x?key=s&sig=a%2Fb&se=2", "/x?key=***&sig=***&se=2"),
        ("X-Amz-Credential=K/2/s3&X-Amz-Signature=s", "X-Amz-Credential=***&X-Amz-Signature=***"),
        ("//h/d?options=-c%20password%3Ds&x=1", "//h/d?options=-c%20password%3D***&x=1"),
        (r"host=h password='my \'s' port=5", "host=h password=*** port=5"),
        ("'http://h/d?password=s'", "'http://h/d?password=***'"),
        ("AWS_SECRET_ACCESS_KEY=a/b+c python", "AWS_SECRET_ACCESS_KEY=*** python"),
        ("Driver={X};Pwd={a b}; Uid=u", "Driver={X};Pwd=*** Uid=u"),
        ('{"token": "a \\" b", "x": 1}', '{"token": *** "x": 1}'),
        ("bypass=1 tokenizer=a token_budget=5 key=value", None),
        # A header.
        ("curl -H 'X-Api-Key: a b'\nhttp://h", "curl -H 'X-Api-Key: ***\nhttp://h"),
        ("Authorization: Digest username=me, response=s", "Authorization: ***"),
        ("refused Bearer abc.d-e: expired", "refused Bearer *** expired"),
        ("bearer a1", "bearer ***"),
        ("Basic dXNlcjpwYXNz", "Basic ***"),  # user:pass
        ("Bearer tokens are refused; the bearer of Basic training", None),
    ],
)
def test_credentials_are_not_shown(text, shown):
    assert hide_credentials(text) == (text if shown is None else shown)


# ---- a secret anywhere

LETTERS = "JQZÜ789"
"""What the secrets consist of, beside marks; nothing else here has any of them."""

MARKS = ":/@?#&%+=;,.!$'\"(){}[]<>~|\\^*-_"


def secrets(marks: str = MARKS) -> st.SearchStrategy[str]:
    return st.text(LETTERS + marks, min_size=1, max_size=12).filter(set(LETTERS).intersection)


BLANK = secrets(MARKS + "  \t")
ENCODED = BLANK.map(lambda secret: quote(secret, safe=""))
WORD = secrets()
OF_QUERY = st.one_of(ENCODED, secrets(MARKS.replace("&", "")))
OF_ASSIGNMENT = WORD.filter(lambda secret: "&" not in secret or "=" not in secret)
OF_TOKEN = secrets("-._~+/=")


def of_words(marks: str) -> st.SearchStrategy[str]:
    """Secrets of several words, but those that could as well be a port, a host or another URL."""
    texts = st.lists(secrets(marks), min_size=2, max_size=4).map(" ".join)
    return texts.filter(lambda text: text[0] not in "789/\\" and "://" not in text)


NO_HOST = of_words(MARKS.replace("@", ""))
SCHEME = st.sampled_from(["http", "postgresql+psycopg", "jdbc:mysql", "s3"])
NAMES = """
password PGPASSWORD passwd pwd api_key apikey api-key sig signature X-Amz-Signature token2 auth
X-Amz-Credential x-amz-security-token access_token AWSAccessKeyId secret clientSecret AccountKey
AWS_SECRET_ACCESS_KEY RAY_AUTH_TOKEN session_token Authorization
"""
NAME = st.sampled_from(NAMES.split())
HEADER = st.sampled_from(
    ["Authorization", "proxy-authorization", "X-Api-Key", "apikey", "PRIVATE-TOKEN", "X-Auth"]
)

TEXTS_WITH_SECRETS = {
    "user of a URL": st.builds("{}://me:{}@db:5432/x".format, SCHEME, st.one_of(WORD, ENCODED)),
    "password alone": st.builds("{}://:{}@db/x?a=b".format, SCHEME, WORD),
    "token as user": st.builds("{}://{}@db".format, SCHEME, ENCODED),
    "several words": st.builds("{}://me:{}@db:5432/x".format, SCHEME, NO_HOST),
    "no host": st.builds("{}://me:{}@".format, SCHEME, WORD),
    "no scheme": st.builds("//me:{}@db/x".format, st.one_of(WORD, ENCODED)),
    "no slashes": st.builds(
        "me:{}@db:5432".format,
        WORD.filter(lambda secret: secret[0] not in "/\\" and "://" not in secret),
    ),
    "no slashes, several words": st.builds("me:{}@db:5432".format, NO_HOST),
    "JSON of a URL": st.builds(r"http:\/\/me:{}@db".format, ENCODED),
    "URL in a query": st.builds(
        lambda secret, safe: f"/x?to={quote(f'http://me:{quote(secret)}@h/x', safe=safe)}&a=b",
        BLANK,
        st.sampled_from(["", "/", ":"]),
    ),
    "query": st.builds("http://h/x?{}={}&a=b".format, NAME, OF_QUERY),
    "end of a query": st.builds("http://h/x?a=b&{}={}".format, NAME, OF_QUERY),
    "query with a port": st.builds("http://h:5432/x?{}={}".format, NAME, OF_QUERY),
    "words in a query": st.builds(
        "http://h/x?{}={}&a=b".format, NAME, of_words(MARKS.translate(str.maketrans("", "", "&?=")))
    ),
    "key of a query": st.builds("http://h/x?key={}".format, OF_QUERY),
    "fragment": st.builds("http://h/x#{}={}".format, NAME, ENCODED),
    "options of a query": st.builds(
        lambda name, secret: f"//h/d?options={quote(f'-c {name}={quote(secret)}')}&a=b", NAME, BLANK
    ),
    "twice encoded": st.builds(
        lambda name, secret: f"//h?u={quote(quote(f'/x?a=b&{name}={quote(secret)}'))}", NAME, BLANK
    ),
    "assignment": st.builds("{}={} python".format, NAME, OF_ASSIGNMENT),
    "assignment with blanks": st.builds("{} = {}".format, NAME, OF_ASSIGNMENT),
    "quoted assignment": st.builds(
        lambda name, secret: "host=h {}='{}' port=5".format(
            name, secret.replace("\\", "\\\\").replace("'", "\\'")
        ),
        NAME,
        BLANK,
    ),
    "ODBC": st.builds(
        lambda secret: "Server=h;Pwd={{{}}};Uid=me".format(secret.replace("}", "}}")), BLANK
    ),
    "header": st.builds("{}: {}".format, HEADER, BLANK.map(str.strip)),
    "scheme of a header": st.builds(
        "{} {} {}".format, st.just("Authorization:"), st.sampled_from(["Bearer", "Token"]), OF_TOKEN
    ),
    "bearer": st.builds("Bearer {}".format, OF_TOKEN),
    "JSON": st.builds(lambda name, secret: json.dumps({"a": 1, name: secret, "b": 2}), NAME, BLANK),
    "compact JSON": st.builds(
        lambda name, secret: json.dumps({"a": "h:1", name: secret}, separators=(",", ":")),
        NAME,
        BLANK,
    ),
    "JSON in JSON": st.builds(
        lambda name, secret: json.dumps({"a": json.dumps({name: secret})}), NAME, BLANK
    ),
    "dictionary": st.builds(lambda name, secret: str({name: secret, "b": 2}), NAME, BLANK),
    "bytes": st.builds(lambda name, secret: str({name: secret.encode()}), NAME, BLANK),
}
BEFORE = st.sampled_from(["", "at ", "error: ", "(", "'", '"', "url=", "no\n", "mail me@work, "])
BEHIND = st.sampled_from(["", " failed", "'", '"', ")", ", mail me@work", ": no", "\nno", " & no"])


@pytest.mark.fuzz
@pytest.mark.parametrize("texts", TEXTS_WITH_SECRETS.values(), ids=TEXTS_WITH_SECRETS)
def test_no_character_of_a_secret_is_shown(texts):
    @given(BEFORE, texts, BEHIND)
    def check(before, text, behind):
        shown = hide_credentials(before + text + behind)
        assert "***" in shown
        assert not set(shown) & set(LETTERS), shown
        assert hide_credentials(shown) == shown

    check()


@pytest.mark.fuzz
@given(BEFORE, secrets(), BEHIND)
def test_no_user_and_password_in_base_64_are_shown(before, secret, behind):
    encoded = base64.b64encode(f"me:{secret}".encode()).decode()
    shown = hide_credentials(f"{before}Basic {encoded}{behind}")
    assert encoded.rstrip("=") not in shown


# ---- no secret

PROSE = """
the password of an account and its token are wrong; password: token: 'secret' "token" secrets.
key=value --store s3://bucket/me@work http://mlflow:5000 http://127.0.0.1:8265/#/jobs: s3:// //
sqlite:////home/me@work/a:b@c/mlflow.db /home/a:b@c/d ~/x//y C:/Users/me@work nets.py:12, 12:30
me@work me@work.org (me@work), <me@work> mailto:me@work git@github.com:me/nets.git
postgres:16@sha256:0a1b lr=0.1 train.lr=[0.1,1] tokens=5 tokenizer=bpe signature_version=s3v4
RAY_AUTH_MODE=token Basic training design=2 bypass=1 monkey=1 5% 100%25 a&b ?a=b&c=d {} [1]
"""
WORDS = [*PROSE.split(), "Bearer tokens", "the bearer of", "a cookie: it"]


@pytest.mark.fuzz
@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_a_text_without_a_secret_is_left_as_it_is(words):
    text = " ".join(words)
    assert hide_credentials(text) == text


BETWEEN = "\"':=&@/%?\\{} \t\n"
PIECES = [*WORDS, *BETWEEN, "***", "me", "Bearer ", "password=", "%40", "://u:p@"]


@pytest.mark.fuzz
@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_what_is_hidden_stays_as_it_is(text):
    shown = hide_credentials(text)
    assert hide_credentials(shown) == shown
