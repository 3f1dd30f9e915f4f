import torch
from torch.nn import functional

from fairnad.training.augment import Normaliser, draw, gather, pad

IMAGES = torch.randint(1, 256, (37, 3, 12, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_the_gather_equals_padding_cropping_and_flipping_image_by_image():
    draws = draw(37, 2, True, torch.Generator().manual_seed(1))
    expected = []
    for index, top, left, is_flipped in zip(*(chance.tolist() for chance in draws), strict=True):
        crop = functional.pad(IMAGES[index], (2, 2, 2, 2))[:, top : top + 12, left : left + 16]
        expected.append(crop.flip(2) if is_flipped else crop)
    assert torch.equal(gather(pad(IMAGES, 2), draws, 2), torch.stack(expected))


def test_draws_reach_every_window_and_show_each_image_once():
    draws = draw(2000, 1, True, torch.Generator().manual_seed(2))
    assert sorted(draws.order_N.tolist()) == list(range(2000))
    assert set(zip(draws.tops_N.tolist(), draws.lefts_N.tolist(), strict=True)) == {
        (top, left) for top in range(3) for left in range(3)
    }
    assert 0.45 < draws.is_flipped_N.float().mean() < 0.55


def test_without_padding_and_flip_the_epoch_is_only_shuffled():
    draws = draw(37, 0, False, torch.Generator().manual_seed(3))
    images = gather(pad(IMAGES, 0), draws, 0)
    assert torch.equal(images, IMAGES[draws.order_N])
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_borders_are_black_before_they_are_normalised():
    normalise = Normaliser((100.0, 50.0, 25.0), (50.0, 50.0, 50.0), torch.device("cpu"))
    corner = normalise(pad(IMAGES, 1).permute(0, 3, 1, 2), torch.channels_last)[0, :, 0, 0]
    assert corner.tolist() == [-2.0, -1.0, -0.5]
