from __future__ import annotations

import pytest
import torch

from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.slowfast import Convolution, SlowFast, SlowFastConfig, slow_frames

PUBLISHED = {
    "blocks.0.multipathway_blocks.0.conv.weight": (64, 3, 1, 7, 7),
    "blocks.0.multipathway_blocks.1.conv.weight": (8, 3, 5, 7, 7),
    "blocks.0.multipathway_fusion.conv_fast_to_slow.weight": (16, 8, 7, 1, 1),
    "blocks.1.multipathway_blocks.0.res_blocks.0.branch1_conv.weight": (256, 80, 1, 1, 1),
    "blocks.1.multipathway_blocks.0.res_blocks.0.branch2.conv_a.weight": (64, 80, 1, 1, 1),
    "blocks.1.multipathway_blocks.1.res_blocks.2.branch2.conv_a.weight": (8, 32, 3, 1, 1),
    "blocks.2.multipathway_fusion.norm.running_var": (128,),
    "blocks.3.multipathway_blocks.0.res_blocks.5.branch2.conv_a.weight": (256, 1024, 3, 1, 1),
    "blocks.4.multipathway_blocks.0.res_blocks.0.branch1_conv.weight": (2048, 1280, 1, 1, 1),
    "blocks.4.multipathway_blocks.1.res_blocks.2.branch2.norm_c.bias": (256,),
    "blocks.6.proj.weight": (400, 2304),
}
"""Names and shapes in the published SLOWFAST_8x8_R50 weights."""


def test_full_size_has_the_published_names_shapes_and_parameters():
    with torch.device("meta"):
        slowfast = SlowFast(SlowFastConfig(classes=400))
    state = {key: tuple(value.shape) for key, value in slowfast.state_dict().items()}
    assert {key: state.get(key) for key in PUBLISHED} == PUBLISHED
    assert sum(p.numel() for p in slowfast.parameters()) == 34_566_488
    assert not [key for key in state if key.startswith("blocks.4.multipathway_fusion")]


def test_full_size_gives_class_scores_and_maps_of_both_paths():
    slowfast = SlowFast(SlowFastConfig(side=64, depths=(1, 1, 1, 1), classes=5)).eval()
    clips = torch.randn(1, 3, 32, 64, 64)
    slow, fast = slowfast.maps(clips)
    assert slow.shape == (1, 2048, 8, 2, 2)
    assert fast.shape == (1, 256, 32, 2, 2)
    assert slowfast(clips).shape == (1, 5)
    assert slowfast.config.grid == 2
    assert slowfast.config.widths == (2048, 256)


def test_base_model_builds_on_the_meta_device():
    with torch.device("meta"):
        model = MaryNanoModel(MaryNanoConfig())
    counts = [sum(p.numel() for p in part.parameters()) for part in (model.sound, model.text)]
    assert counts == [94_371_712, 124_439_808]
    assert 2.6e8 < sum(p.numel() for p in model.parameters()) < 2.8e8


@pytest.mark.parametrize("time", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_frame_by_frame_convolution_is_the_one_over_time(time: int, stride: int):
    torch.manual_seed(0)
    made = Convolution(3, 4, time, 3, stride)
    clips = torch.randn(2, 3, 5, 8, 8)
    torch.testing.assert_close(made(clips), torch.nn.Conv3d.forward(made, clips))


def test_slow_path_takes_evenly_spaced_frames_with_both_ends():
    clips = torch.arange(32.0).reshape(1, 1, 32, 1, 1)
    assert slow_frames(clips, 4).flatten().tolist() == [0, 4, 8, 13, 17, 22, 26, 31]
