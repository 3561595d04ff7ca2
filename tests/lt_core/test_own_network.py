"""That each seed of a user's own network has one initialization, and what it is by content."""

import pytest
import user_code

from lt_core.own_network import NetworkContent, content


@pytest.fixture(scope="module")
def images():
    return user_code.four_kinds(None)


def of(name, images) -> NetworkContent:
    return content(f"user_code:{name}", images.shape)


@pytest.fixture(autouse=True)
def _nothing_built():
    user_code._built.clear()


ALIKE = ["plain", "view_flatten", "numpy_weights", "python_weights", "attention", "tied"]


@pytest.mark.parametrize("name", ALIKE)
def test_a_network_is_like_itself_and_like_no_other(name, images):
    first, again = of(name, images), of(name, images)
    assert first == again and first.is_like(again) and first.fingerprint == again.fingerprint
    assert first.is_seeded
    others = [of(other, images) for other in ALIKE if other != name]
    assert not any(first.is_like(other) for other in others)
    assert first.fingerprint not in {other.fingerprint for other in others}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("one_object", "called twice, it hands out the same 1.weight: what was trained would"),
        ("one_backbone", "called twice, it hands out the same 1.weight"),
        ("shared_memory", r"called twice, it hands out the same middle.weight: .* \(.clone\(\)\)"),
        ("lazy_in_training", "aux.weight, aux.bias has no size yet: a lazy layer"),
        ("unseeded_weights", "built twice from one seed, 1.weight differs; draw it from torch"),
    ],
)
def test_a_network_that_is_another_each_time_is_refused(name, problem, images):
    with pytest.raises(ValueError, match=problem) as error:
        of(name, images)
    assert str(error.value).startswith(f"user_code:{name}: ")


def test_that_all_seeds_begin_alike_is_seen(images):
    assert not of("seeds_torch", images).is_seeded


@pytest.mark.parametrize(
    "other", ["gelu", "without_a_layer", "less_dropout", "half_the_signal", "less_function"]
)
def test_what_computes_something_else_with_the_same_weights_is_another(other, images):
    assert not of("with_dropout", images).is_like(of(f"with_dropout_{other}", images))


def test_another_last_bit_makes_no_other_network(images):
    """As between processors with vectors of other lengths."""
    network = of("plain", images)
    moved = NetworkContent(
        **network.to_json()
        | {
            name: tuple(value * (1 + 1e-6) for value in getattr(network, name))
            for name in ("weights", "logits", "gradients")
        }
    )
    assert moved != network and network.is_like(moved)


def test_it_is_read_as_it_was_written(images):
    network = of("plain", images)
    read = NetworkContent.from_json({**network.to_json(), "weights": list(network.weights)})
    assert read == network


def test_a_comment_changes_the_source_alone(tmp_path, monkeypatch, images):
    contents = []
    for comment in ("", "# more\n"):
        name = f"own_source{len(contents)}"
        (tmp_path / f"{name}.py").write_text(f"{comment}from user_code import plain\n")
        monkeypatch.syspath_prepend(tmp_path)
        contents.append(content(f"{name}:plain", images.shape))
    first, commented = contents
    assert first.is_like(commented) and first.fingerprint == commented.fingerprint
    assert first.source != commented.source


def test_a_network_with_zero_logits_is_told_from_another_by_its_gradients(images):
    """Many start with a last layer of zeros."""
    zero, other = of("zero_head", images), of("zero_head_of_gelu", images)
    assert zero.logits == other.logits == (0.0,) * 2 * 2 * 4 * 4  # seeds, modes, images, classes
    assert zero.structure == other.structure
    assert not zero.is_like(other)
