import math
from pathlib import Path

import pytest

from tune_app.sweep.yaml_source import SpecError, YamlSource, read_yaml


def read(text: str | bytes) -> YamlSource:
    path = Path("sweep.yaml")
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path)


def refusal(text: str | bytes) -> str:
    with pytest.raises(SpecError) as error:
        read(text)
    (problem,) = error.value.problems
    return problem


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


SCALARS = [
    ("1", 1),
    ("-1", -1),
    ("012", 12),
    ("0o14", 12),
    ("0x1F", 31),
    ("1e-4", 0.0001),
    ("1.0e-4", 0.0001),
    ("1E+3", 1000.0),
    ("5.", 5.0),
    (".5", 0.5),
    ("1e999", math.inf),
    (".inf", math.inf),
    ("-.Inf", -math.inf),
    ("9" * 300, int("9" * 300)),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("", None),
    # Text, where YAML 1.1 sees booleans, dates, times and other numbers.
    ("off", "off"),
    ("no", "no"),
    ("2020-01-01", "2020-01-01"),
    ("2020-99-99", "2020-99-99"),
    ("12:00:00", "12:00:00"),
    ("1_000", "1_000"),
    ("0b11", "0b11"),
    ("=", "="),
    ("+_", "+_"),
    ("9" * 5000, "9" * 5000),
    ("16ep", "16ep"),
    ("'1'", "1"),
    ('"1e-4"', "1e-4"),
    ("!!str 1", "1"),
    ("!!float 1e-5", 1e-05),
    ("!!int abc", "abc"),
    ('"\\ud83c\\udfb2"', "🎲"),
    ("Lösung 🎲", "Lösung 🎲"),
    ("[1, [two, 3.0]]", (1, ("two", 3.0))),
    ("{a: {b: []}}", {"a": {"b": ()}}),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=lambda value: repr(value)[:40])
def test_values_follow_yaml_1_2_in_a_file_and_on_the_command_line(text, value):
    in_file = read(f"x: {text}\n")
    assert in_file.data == {"x": value}
    assert type(in_file.data["x"]) is type(value)

    on_command_line = read("x: 0\n")
    on_command_line.override(f"x={text}")
    assert on_command_line.data == {"x": value}
    assert type(on_command_line.data["x"]) is type(value)


def test_not_a_number_is_read():
    assert math.isnan(read("x: .nan\n").data["x"])


def test_a_directive_for_yaml_1_1_changes_nothing():
    assert read("%YAML 1.1\n---\nx: [off, 1e-4, 012]\n").data == {"x": ("off", 0.0001, 12)}


def test_line_ends_of_every_system_and_a_byte_order_mark():
    for text in ("a: 1\nb: 2\n", "a: 1\r\nb: 2\r\n", "\ufeffa: 1\nb: 2"):
        source = read(text)
        assert source.data == {"a": 1, "b": 2}
        assert source.origin(("b",)) == "sweep.yaml:2"


def test_every_key_and_item_knows_its_line():
    source = read(
        "# comment\ntrain:\n  lr:\n    0.1\n  milestones:\n  - 8ep\n  - 13ep\nseeds: [0, 1]\n"
    )
    assert source.origins == {
        (): "sweep.yaml:1",
        ("train",): "sweep.yaml:2",
        ("train", "lr"): "sweep.yaml:3",
        ("train", "milestones"): "sweep.yaml:5",
        ("train", "milestones", 0): "sweep.yaml:6",
        ("train", "milestones", 1): "sweep.yaml:7",
        ("seeds",): "sweep.yaml:8",
        ("seeds", 0): "sweep.yaml:8",
        ("seeds", 1): "sweep.yaml:8",
    }
    assert source.origin(("train", "missing")) == "sweep.yaml:2"
    assert source.origin(("missing", "below")) == "sweep.yaml:1"


def test_an_alias_is_a_copy_that_points_at_its_anchor():
    source = read("find: &space\n  lr: 1\neval: *space\n")
    assert source.data == {"find": {"lr": 1}, "eval": {"lr": 1}}
    assert source.origin(("eval", "lr")) == "sweep.yaml:2"
    source.override("find.lr=2")
    assert source.data == {"find": {"lr": 2}, "eval": {"lr": 1}}


def test_an_anchor_may_be_used_again():
    assert read("a: &x 1\nb: &x 2\nc: *x\n").data == {"a": 1, "b": 2, "c": 2}


NOT_A_MAPPING = "sweep.yaml:1: expected `key: value` lines at the top level"
NESTED = "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200))
BOMB = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
REFUSED = [
    ("", NOT_A_MAPPING),
    ("# only a comment\n", NOT_A_MAPPING),
    ("---\n", NOT_A_MAPPING),
    ("- lr\n- seeds\n", NOT_A_MAPPING),
    ("lr\n", NOT_A_MAPPING),
    (
        "a: 1\n---\nb: 2\n",
        "sweep.yaml:2: not valid YAML: but found another document, expected a "
        "single document in the stream that starts at line 1",
    ),
    (
        "a: [1, 2\nb: 3\n",
        "sweep.yaml:2: not valid YAML: expected ',' or ']', but got ':', "
        "while parsing a flow sequence that starts at line 1",
    ),
    (
        "a: 1\nb\nc: 2\n",
        "sweep.yaml:3: not valid YAML: could not find expected ':', "
        "while scanning a simple key that starts at line 2",
    ),
    (
        "a:\n\tb: 1\n",
        "sweep.yaml:2: not valid YAML: found character '\\t' that cannot start any token",
    ),
    ("a: *b\n", "sweep.yaml:1: not valid YAML: found undefined alias 'b'"),
    ("a: 1\nb: \x07\n", r"sweep.yaml:2: not valid YAML: character '\x07' is not allowed"),
    ("a: é\nb: \x00\n", r"sweep.yaml:2: not valid YAML: character '\x00' is not allowed"),
    (b"a: 1\nb: \xff\n", "sweep.yaml:2: not UTF-8 text"),
    ("a: 1\n".encode("utf-16"), "sweep.yaml:1: not UTF-8 text"),
    ("a: 1\nb: 2\na: 3\n", "sweep.yaml:3: `a` is given twice (first at sweep.yaml:1)"),
    ("a: {b: 1, 'b': 2}\n", "sweep.yaml:1: `b` is given twice (first at sweep.yaml:1)"),
    ("a: 1\n<<: {b: 2}\n", "sweep.yaml:2: merge keys (`<<`) are not supported"),
    ("1: a\n", "sweep.yaml:1: keys must be text, got 1"),
    ("true: a\n", "sweep.yaml:1: keys must be text, got true"),
    ("null: a\n", "sweep.yaml:1: keys must be text, got null"),
    (": a\n", "sweep.yaml:1: keys must be text, got nothing"),
    ("? [a, b]\n: 1\n", "sweep.yaml:1: keys must be text, got a sequence"),
    ("{a: b}: 1\n", "sweep.yaml:1: keys must be text, got a mapping"),
    ("a: 1\nb: &b\n  c:\n  - *b\n", "sweep.yaml:2: `b.c.0` contains itself (*alias)"),
    ("&a\nb: *a\n", "sweep.yaml:2: `b` contains itself (*alias)"),
    ("a: !!set {b, c}\n", "sweep.yaml:1: the tag `set` is not supported"),
    ("a: !!binary aGk=\n", "sweep.yaml:1: the tag `binary` is not supported"),
    ("a: !mine b\n", "sweep.yaml:1: the tag `!mine` is not supported"),
    ("!mine a: b\n", "sweep.yaml:1: the tag `!mine` is not supported"),
    ('a: 1\n"\\ud800": 1\n', r"sweep.yaml:2: keys must be text, got \ud800"),
    ("a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + BOMB, "sweep.yaml:1: more than 100,000 values"),
    # Long texts and keys, which aliases repeat.
    (
        f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 20_000)}]\n",
        "sweep.yaml:1: more than 100,000 values",
    ),
    (
        f"a: &a {{? {'x' * 100_000} : 1}}\nb: [{', '.join(['*a'] * 20_000)}]\n",
        "sweep.yaml:1: more than 100,000 values",
    ),
    ("#" * 200_000 + "\na: 1\n", "sweep.yaml: more than 200,000 bytes"),
    ("a0: &a0 x\n" + NESTED, "sweep.yaml:1: nested too deeply"),
    (f"a: {'[' * 600}{']' * 600}\n", "sweep.yaml:1: nested too deeply"),
    (f"a: {'{a: ' * 600}{'}' * 600}\n", "sweep.yaml:1: nested too deeply"),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED, ids=lambda value: repr(value)[:40])
def test_what_cannot_be_read_is_refused_with_its_line(text, problem):
    assert refusal(text) == problem


def test_a_missing_file_and_a_folder():
    with pytest.raises(SpecError) as error:
        read_yaml(Path("nowhere.yaml"))
    assert error.value.problems == ("nowhere.yaml: no such file",)
    Path("folder").mkdir()
    with pytest.raises(SpecError) as error:
        read_yaml(Path("folder"))
    assert error.value.problems == ("folder: cannot be read: Is a directory",)


def test_a_device_that_never_ends_is_not_read_for_ever():
    with pytest.raises(SpecError) as error:
        read_yaml(Path("/dev/zero"))
    assert error.value.problems == ("/dev/zero: more than 200,000 bytes",)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/object/new:os.system",
        "!!python/object:os.system",
    ],
)
def test_a_tag_never_runs_code(tag):
    assert refusal(f"a: 1\nb: {tag} ['touch ran']\n") == (
        f"sweep.yaml:2: the tag `{tag[2:]}` is not supported"
    )
    with pytest.raises(SpecError):
        read("a: 1\n").override(f"a={tag} ['touch ran']")
    assert not Path("ran").exists()


OVERRIDES = [
    (["train.lr=0.2"], {"train": {"lr": 0.2, "wd": 0}, "seeds": (0, 1)}),
    (["seeds=[5]"], {"train": {"lr": 0.1, "wd": 0}, "seeds": (5,)}),
    (["seeds="], {"train": {"lr": 0.1, "wd": 0}, "seeds": None}),
    (["train={lr: 1}"], {"train": {"lr": 1}, "seeds": (0, 1)}),
    (["train={lr: 1}", "train.wd=2"], {"train": {"lr": 1, "wd": 2}, "seeds": (0, 1)}),
    (["train.lr=1", "train.lr=2"], {"train": {"lr": 2, "wd": 0}, "seeds": (0, 1)}),
    (["a.b.c=d=e"], {"train": {"lr": 0.1, "wd": 0}, "seeds": (0, 1), "a": {"b": {"c": "d=e"}}}),
]


@pytest.mark.parametrize(("assignments", "data"), OVERRIDES, ids=str)
def test_an_override_replaces_one_key(assignments, data):
    source = read("train: {lr: 0.1, wd: 0}\nseeds: [0, 1]\n")
    for assignment in assignments:
        source.override(assignment)
    assert source.data == data


def test_what_an_override_wrote_comes_from_the_command_line():
    source = read("train:\n  lr: {values: [1]}\n  wd: 0\n")
    source.override("train.lr={values: [2, 3]}")
    source.override("eval.lr=1")
    assert source.origin(("train", "lr", "values", 0)) == "command line (train.lr={values: [2, 3]})"
    assert source.origin(("train", "wd")) == "sweep.yaml:3"
    assert source.origin(("train", "missing")) == "sweep.yaml:1"
    assert source.origin(("eval", "missing")) == "command line (eval.lr=1)"


BAD_OVERRIDES = [
    ("", "expected key=value or key.below=value"),
    ("lr", "expected key=value or key.below=value"),
    ("lr: 1", "expected key=value or key.below=value"),
    ("=1", "expected key=value or key.below=value"),
    (".lr=1", "expected key=value or key.below=value"),
    ("train.=1", "expected key=value or key.below=value"),
    ("train..lr=1", "expected key=value or key.below=value"),
    ("name.x=1", "`name` is not a mapping"),
    ("seeds.0=1", "`seeds` is not a mapping"),
    ("train.lr.values=1", "`train.lr` is not a mapping"),
    ("lr=[1", "not valid YAML: expected ',' or ']', but got '<stream end>', "
     "while parsing a flow sequence that starts at line 1"),
    ("lr=*a", "not valid YAML: found undefined alias 'a'"),
    ("lr=&a [*a]", "`0` contains itself (*alias)"),
    ("lr={1: 2}", "keys must be text, got 1"),
    ("lr={<<: {a: 1}}", "merge keys (`<<`) are not supported"),
    ("lr=!mine 1", "the tag `!mine` is not supported"),
    ("x\udcff=1", r"keys must be text, got x\udcff"),
]  # fmt: skip


@pytest.mark.parametrize(("assignment", "problem"), BAD_OVERRIDES, ids=lambda v: repr(v)[:40])
def test_a_bad_override_is_refused(assignment, problem):
    source = read("name: x\ntrain: {lr: 0.1}\nseeds: [0]\n")
    with pytest.raises(SpecError) as error:
        source.override(assignment)
    where = f"command line ({assignment})".replace("\udcff", r"\udcff")
    assert error.value.problems == (f"{where}: {problem}",)


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        ("lr=" + "[" * 600, "nested too deeply"),
        ("x." * 100 + "x=1", "nested too deeply"),
        # The path of every key above, written out, would be 17 GB.
        ("x." * 60_000 + "x=1", "nested too deeply"),
        ("x=" + "x" * 200_000, "more than 200,000 bytes"),
    ],
    ids=lambda value: value[:20],
)
def test_a_long_override_is_refused_and_quoted_in_part(assignment, problem):
    with pytest.raises(SpecError) as error:
        read("name: x\n").override(assignment)
    assert error.value.problems == (f"command line ({assignment[:197]}...): {problem}",)


def test_the_limits_hold_for_the_file_and_the_command_line_together():
    source = read(f"a: {'x' * 150_000}\n")
    source.override(f"b={'x' * 40_000}")
    with pytest.raises(SpecError) as error:
        source.override(f"c={'x' * 20_000}")
    (problem,) = error.value.problems
    assert problem.endswith("more than 200,000 bytes")


def test_each_problem_stays_one_printable_line():
    error = SpecError(["a\nb", "c\u2028d\ud800", "Lösung 🎲"])
    assert error.problems == (r"a\nb", r"c\u2028d\ud800", "Lösung 🎲")
    assert str(error) == "a\\nb\nc\\u2028d\\ud800\nLösung 🎲"


# ---- extends


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_a_file_that_extends_another_merges_mappings_and_replaces_the_rest(write):
    write("base.yaml", "name: base\ntrain:\n  lr: 0.1\n  milestones: [1, 2]\nseeds: [0]\n")
    path = write(
        "paper/over.yaml", "extends: ../base.yaml\ntrain:\n  milestones: [3]\nseeds: [1]\n"
    )
    source = read_yaml(path)
    assert source.data == {
        "name": "base",
        "train": {"lr": 0.1, "milestones": (3,)},
        "seeds": (1,),
    }
    base = path.parent.parent / "base.yaml"
    assert source.origin(("train", "lr")) == f"{base}:3"
    assert source.origin(("train", "milestones", 0)) == f"{path}:3"
    assert source.origin(("train", "milestones", 1)) == f"{path}:3"
    assert source.origin(("name",)) == f"{base}:1"
    assert source.origin(("model",)) == f"{path}:1"


def test_null_takes_a_mapping_of_the_base_away(write):
    write("base.yaml", "find: {lr: {values: [1]}, wd: {values: [2]}}\n")
    source = read_yaml(write("over.yaml", "extends: base.yaml\nfind: {lr: null}\n"))
    assert source.data == {"find": {"lr": None, "wd": {"values": (2,)}}}


def test_bases_have_bases(write):
    write("a.yaml", "x: 1\ny: 1\nz: 1\n")
    write("b.yaml", "extends: a.yaml\ny: 2\nz: 2\n")
    source = read_yaml(write("c.yaml", "extends: b.yaml\nz: 3\n"))
    assert source.data == {"x": 1, "y": 2, "z": 3}


def test_of_several_bases_each_is_merged_over_those_before_it(write):
    write("a.yaml", "name: a\ntrain:\n  lr: 1\n  wd: 1\n  bs: 1\nseeds: [1, 1]\n")
    write("paper/b.yaml", "train:\n  wd: 2\n  bs: 2\nseeds: [2]\nfind: {lr: 2}\n")
    path = write(
        "c.yaml", "extends:\n- a.yaml\n- paper/b.yaml\ntrain:\n  bs: 3\nfind: {lr: null}\n"
    )
    source = read_yaml(path)
    assert source.data == {
        "name": "a",
        "train": {"lr": 1, "wd": 2, "bs": 3},
        "seeds": (2,),
        "find": {"lr": None},
    }
    a, b = path.parent / "a.yaml", path.parent / "paper" / "b.yaml"
    assert source.origins == {
        (): f"{path}:1",
        ("name",): f"{a}:1",
        ("train",): f"{path}:4",
        ("train", "lr"): f"{a}:3",
        ("train", "wd"): f"{b}:2",
        ("train", "bs"): f"{path}:5",
        ("seeds",): f"{b}:4",
        ("seeds", 0): f"{b}:4",
        ("find",): f"{path}:6",
        ("find", "lr"): f"{path}:6",
    }


def test_the_order_of_several_bases_decides(write):
    write("a.yaml", "x: 1\ny: 1\n")
    write("b.yaml", "x: 2\nz: 2\n")
    assert read_yaml(write("c.yaml", "extends: [a.yaml, b.yaml]\n")).data["x"] == 2
    assert read_yaml(write("c.yaml", "extends: [b.yaml, a.yaml]\n")).data["x"] == 1


def test_a_list_of_one_base_is_that_base(write):
    write("a.yaml", "x: {y: [1]}\n")
    assert read_yaml(write("c.yaml", "extends: [a.yaml]\n")) == read_yaml(
        write("c.yaml", "extends: a.yaml\n")
    )


def test_a_base_may_be_reached_by_two_ways(write):
    root = write("root.yaml", "train: {lr: 0, wd: 0}\nx: 0\n")
    write("left.yaml", "extends: root.yaml\ntrain: {lr: 1}\nx: 1\n")
    right = write("right.yaml", "extends: root.yaml\ntrain: {wd: 2}\n")
    path = write("over.yaml", "extends: [left.yaml, right.yaml]\n")
    source = read_yaml(path)
    # What the right base extends is part of it, and so over the left one.
    assert source.data == {"train": {"lr": 0, "wd": 2}, "x": 0}
    assert source.origin(("train", "lr")) == f"{root}:1"
    assert source.origin(("train", "wd")) == f"{right}:2"
    assert source.origin(("x",)) == f"{root}:2"


def test_a_base_given_twice_is_read_twice(write):
    write("a.yaml", "x: {y: 1}\n")
    assert read_yaml(write("c.yaml", "extends: [a.yaml, a.yaml]\n")).data == {"x": {"y": 1}}


def test_what_is_merged_over_another_is_told_in_its_own_place(write):
    base = write("base.yaml", "x: {y: {z: 1}}\nu: {v: 1, w: [1, 2]}\n")
    over = write("over.yaml", "extends: base.yaml\n\nx:\n  y: 1\nu:\n  v: {t: 2}\n")
    source = read_yaml(over)
    assert source.data == {"x": {"y": 1}, "u": {"v": {"t": 2}, "w": (1, 2)}}
    assert source.origins == {
        (): f"{over}:1",
        ("x",): f"{over}:3",
        ("x", "y"): f"{over}:4",
        ("u",): f"{over}:5",
        ("u", "v"): f"{over}:6",
        ("u", "v", "t"): f"{over}:6",
        ("u", "w"): f"{base}:2",
        ("u", "w", 0): f"{base}:2",
        ("u", "w", 1): f"{base}:2",
    }


def test_files_that_extend_more_and_more_files_are_refused(write):
    for i in range(101):
        write(f"chain{i}.yaml", f"extends: chain{i + 1}.yaml\n")
    write("chain101.yaml", "x: 1\n")
    for i in range(20):  # each reads the next twice: the last would be read a million times
        write(f"twice{i}.yaml", f"extends: [twice{i + 1}.yaml, twice{i + 1}.yaml]\n")
    path = write("twice20.yaml", "x: 1\n")
    for first, last in (("chain0.yaml", "chain100.yaml"), ("twice0.yaml", "twice19.yaml")):
        with pytest.raises(SpecError) as error:
            read_yaml(path.with_name(first))
        assert error.value.problems == (f"{path.with_name(last)}:1: more than 100 files",)
    assert read_yaml(path.with_name("chain1.yaml")).data == {"x": 1}


def test_the_limits_hold_for_all_that_is_extended_together(write):
    write("long.yaml", f"# {'x' * 150_000}\nx: 1\n")
    path = write("over.yaml", "extends: [long.yaml, long.yaml]\n")
    with pytest.raises(SpecError) as error:
        read_yaml(path)
    assert error.value.problems == (f"{path.with_name('long.yaml')}: more than 200,000 bytes",)


NO_PATH = "`extends` must be the path of a sweep file, or a list of paths"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("extends: a.yaml\n", "{a}:1: `extends: a.yaml` leads back to this file"),
        ("extends: b.yaml\n", "{b}:1: `extends: a.yaml` leads back to this file"),
        ("extends: [c.yaml, a.yaml]\n", "{a}:1: `extends: a.yaml` leads back to this file"),
        ("extends:\n- c.yaml\n- b.yaml\n", "{b}:1: `extends: a.yaml` leads back to this file"),
        ("extends: loop.yaml\n", "{loop}:1: `extends: loop.yaml` leads back to this file"),
        ("x: 1\nextends: []\n", "{a}:2: `extends` must not be empty"),
        ("extends: 1\n", f"{{a}}:1: {NO_PATH}, got 1"),
        ("extends:\n", f"{{a}}:1: {NO_PATH}, got None"),
        ("extends:\n- c.yaml\n- 1\n", f"{{a}}:3: {NO_PATH}, got 1"),
        ("extends: nowhere.yaml\n", "{a}:1: `extends`: {nowhere}: no such file"),
        ("extends:\n- c.yaml\n- nowhere.yaml\n", "{a}:3: `extends`: {nowhere}: no such file"),
        # What no file can be called, and a link to itself.
        (f"extends: {'x' * 300}\n", f"{{a}}:1: `extends`: {{folder}}/{'x' * 300}: no such file"),
        ('extends: "a\\0b"\n', "{a}:1: `extends`: {folder}/a\\x00b: no such file"),
        ("extends: link.yaml\n", "{a}:1: `extends`: {folder}/link.yaml: no such file"),
        ('extends: ""\n', "{folder}: cannot be read: Is a directory"),
        (f"extends: {{x: {'x' * 300}}}\n", f"{{a}}:1: {NO_PATH}, got {{{{'x': '{'x' * 50}..."),
        ("extends: broken.yaml\n", "{broken}:2: not valid YAML: "),
        ("extends: [c.yaml, broken.yaml]\n", "{broken}:2: not valid YAML: "),
    ],
)  # fmt: skip
def test_a_base_that_cannot_be_read_is_told(write, text, problem):
    write("b.yaml", "extends: a.yaml\n")
    write("c.yaml", "x: 1\n")
    write("loop.yaml", "extends: loop.yaml\n")
    write("broken.yaml", "x: [\n")
    path = write("a.yaml", text)
    path.with_name("link.yaml").symlink_to("link.yaml")
    with pytest.raises(SpecError) as error:
        read_yaml(path)
    names = ("a", "b", "loop", "nowhere", "broken")
    files = {name: path.with_name(f"{name}.yaml") for name in names}
    assert str(error.value).startswith(problem.format(**files, folder=path.parent))
