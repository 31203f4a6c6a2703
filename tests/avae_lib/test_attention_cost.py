"""Multiply-adds counted one by one."""

import itertools

from avae_lib.nn.depthwise_attention import attention_cost


def _counted(layers, height, width, channels, key_channels):
    depth_wise = full = 0
    for layer, _above in itertools.combinations(range(layers), 2):
        assert layer < layers
        for _pixel in range(height * width):
            depth_wise += key_channels + channels
            for _other in range(height * width):
                full += key_channels + channels
    return depth_wise, full


def test_costs_are_those_of_a_count():
    for arguments in [(1, 2, 3, 4, 5), (2, 1, 1, 3, 2), (5, 3, 2, 7, 4), (4, 2, 4, 1, 6)]:
        assert attention_cost(*arguments) == _counted(*arguments)


def test_counts_stay_whole_numbers_beyond_what_floats_hold():
    depth_wise, full = attention_cost(1001, 1024, 1023, 513, 20)
    assert type(depth_wise) is type(full) is int
    assert full == 500_500 * (1024 * 1023) ** 2 * 533 and full > 2**53
