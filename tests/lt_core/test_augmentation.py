import pytest
import torch

from lt_core import data
from lt_core.config import Recipe
from lt_core.data.augmentation import crop_and_mirror, draw
from lt_core.data.batches import Batches
from lt_core.evaluation import evaluate
from lt_core.mask import dense
from lt_core.rewind import to_initialization
from lt_core.seeds import generator


def pictures(count: int = 1, channels: int = 2, height: int = 16, width: int = 24) -> torch.Tensor:
    """No pixel is 0, and hardly two are equal."""
    shape = (count, channels, height, width)
    return torch.randint(1, 256, shape, generator=generator(0, "test"), dtype=torch.uint8)


def crop(image: torch.Tensor, top: int, left: int, mirrored: bool = False) -> torch.Tensor:
    values = (torch.tensor([value]) for value in (top, left, mirrored))
    return crop_and_mirror(image, *values)


def augment(images: torch.Tensor) -> torch.Tensor:
    count, _, height, width = images.shape
    top, left, mirrored = draw(count, height, width, generator(0, "augmentation"))
    return crop_and_mirror(images, top, left, mirrored.bool())


def test_the_crop_in_the_middle_is_the_image_itself():
    image = pictures()
    assert torch.equal(crop(image, top=2, left=3), image)  # 16 // 8 and 24 // 8 are padded


def test_a_mirror_image_begins_with_the_last_column():
    image = pictures()
    mirrored = crop(image, top=2, left=3, mirrored=True)
    assert torch.equal(mirrored[..., 0], image[..., 23])
    assert torch.equal(mirrored, image.flip(3))


def test_the_crop_of_the_corner_has_the_zeros_above_and_to_the_left():
    image = pictures()
    corner = crop(image, top=0, left=0)
    assert (corner[:, :, :2] == 0).all() and (corner[:, :, :, :3] == 0).all()
    assert torch.equal(corner[:, :, 2:, 3:], image[:, :, :14, :21])


@pytest.mark.parametrize("mirrored", [False, True])
def test_every_crop_is_a_slice_of_the_padded_image(mirrored):
    image = pictures()
    padded = torch.zeros(1, 2, 20, 30, dtype=torch.uint8)
    padded[:, :, 2:18, 3:27] = image
    for top in range(5):
        for left in range(7):
            expected = padded[:, :, top : top + 16, left : left + 24]
            expected = expected.flip(3) if mirrored else expected
            assert torch.equal(crop(image, top, left, mirrored), expected)


def test_each_image_of_a_batch_is_cropped_by_its_own_numbers():
    images = pictures(3)
    top, left = torch.tensor([0, 2, 4]), torch.tensor([6, 3, 0])
    mirrored = torch.tensor([True, False, False])
    together = crop_and_mirror(images, top, left, mirrored)
    assert together.dtype == torch.uint8
    assert together.is_contiguous(memory_format=torch.channels_last)
    for i in range(3):
        alone = crop(images[i : i + 1], int(top[i]), int(left[i]), bool(mirrored[i]))
        assert torch.equal(together[i : i + 1], alone)


def test_every_offset_and_both_sides_are_drawn_equally_often():
    """Of the same image 7,000 times; there are 5 x 7 x 2 = 70 crops of it."""
    image = pictures()
    crops = augment(image.expand(7000, -1, -1, -1))
    seen = crops.flatten(1).unique(dim=0, return_counts=True)[1]
    assert len(seen) == 70
    assert seen.min() > 60 and seen.max() < 140  # 100 each, with a standard deviation of 10


def test_32_pixels_are_moved_by_up_to_4_and_64_by_up_to_8():
    for size, most in [(32, 4), (64, 8), (8, 1)]:
        image = torch.ones(1, 1, size, size, dtype=torch.uint8).expand(500, -1, -1, -1)
        crops = augment(image)
        blank_rows = (crops[:, 0, :, size // 2] == 0).sum(1)
        assert int(blank_rows.max()) == most


def test_images_under_8_pixels_are_only_mirrored():
    image = pictures(height=7, width=7)
    crops = augment(image.expand(100, -1, -1, -1))
    assert {torch.equal(crop, image[0]) for crop in crops} == {True, False}
    assert all(torch.equal(crop, image[0]) or torch.equal(crop, image[0].flip(2)) for crop in crops)


# ---- in batches


def batch(of: Batches, index: torch.Tensor, seed: int, step: int):
    draws = of.draws(seed, range(step, step + 1), len(index))
    return of.for_training(index, None if draws is None else draws[0])


@pytest.fixture(scope="module")
def plain():
    return data.load("synthetic")


@pytest.fixture(scope="module")
def augmented(plain):
    splits = (plain.train, plain.validation, plain.test)
    return data.DataSet("augmented", *splits, plain.classes, augment=True)


def test_the_same_seed_and_step_give_the_same_bits_and_others_other_ones(augmented):
    batches, index = Batches(augmented, augmented.train, "cpu"), torch.arange(64)
    first, labels = batch(batches, index, seed=3, step=7)
    torch.manual_seed(1)
    assert torch.equal(batch(batches, index, seed=3, step=7)[0], first)
    assert torch.equal(labels, batches.labels[:64])
    for seed, step in [(3, 8), (4, 7)]:
        assert not torch.equal(batch(batches, index, seed, step)[0], first)
    assert torch.equal(batches.draws(3, range(5, 9), 64)[2], batches.draws(3, range(7, 8), 64)[0])


def test_training_images_are_cropped_before_they_are_normalized(augmented):
    batches, index = Batches(augmented, augmented.train, "cpu"), torch.tensor([5, 0, 5])
    images, _ = batch(batches, index, seed=0, step=0)
    _, height, width = augmented.image_shape
    top, left, mirrored = draw(3, height, width, generator(0, "augmentation", 0))
    pixels = crop_and_mirror(batches.images[index], top, left, mirrored.bool())
    mean, std = (torch.from_numpy(value) for value in augmented.mean_and_std)
    assert torch.allclose(images, (pixels.float() - mean) / std)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_only_training_images_are_augmented_and_only_where_the_data_set_says_so(plain, augmented):
    index = torch.arange(64)
    whole, _ = Batches(plain, plain.train, "cpu")[index]
    assert torch.equal(batch(Batches(plain, plain.train, "cpu"), index, 0, 0)[0], whole)
    batches = Batches(augmented, augmented.train, "cpu")
    assert torch.equal(batches[index][0], whole)
    assert not torch.equal(batch(batches, index, 0, 0)[0], whole)


def test_a_training_is_augmented_the_same_way_each_time(plain, augmented):
    recipe = Recipe(lr=0.05, batch_size=50, duration="2it")
    mask = dense(to_initialization("small_resnet", plain, seed=0))
    first, again, without = (
        evaluate("small_resnet", each, mask, recipe, seed=0).train_loss
        for each in (augmented, augmented, plain)
    )
    assert first == again
    assert first != without


def test_every_step_of_a_training_has_a_draw_of_its_own(augmented, monkeypatch):
    drawn = []

    def recorded(count, height, width, generator):
        drawn.append(generator.initial_seed())
        return draw(count, height, width, generator)

    monkeypatch.setattr("lt_core.data.batches.draw", recorded)
    mask = dense(to_initialization("small_resnet", augmented, seed=5))
    recipe = Recipe(lr=0.05, batch_size=200, duration="2ep")  # of two steps each
    evaluate("small_resnet", augmented, mask, recipe, seed=5)
    steps = [generator(5, "augmentation", step).initial_seed() for step in range(4)]
    assert drawn == steps
    assert len(set(drawn)) == 4


@pytest.mark.parametrize("name", ["digits", "mnist_5000", "synthetic"])
def test_small_data_sets_are_not_augmented(name):
    assert not data.load(name).augment
