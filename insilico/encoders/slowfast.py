"""SlowFast: a slow path that sees much of few frames, a fast one that sees little of many.

Feichtenhofer et al. (2019), arXiv 1812.03982. The default configuration is SlowFast R50 8×8; its
parameters have the names and shapes of the published ``SLOWFAST_8x8_R50`` weights (34.57 million
with the classification head, ``blocks.6``), so that these load. The same class at another
configuration is the phantom's vision.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class SlowFastConfig:
    """Sizes of a SlowFast.

    Attributes
    ----------
    side : int
        Height and width of a frame in pixels.
    mean, deviation : float
        By which pixels (0 to 1) are centred and divided.
    frames : int
        Frames of the fast path in one clip.
    ratio : int
        Frames of the fast path for one of the slow path.
    width : int
        Channels of the slow path's stem.
    thinner : int
        How many times fewer channels the fast path has.
    stem : int
        Side of the stem's kernels.
    pool : bool
        Whether the stem ends in max pooling, which halves the maps.
    depths, strides : tuple of int
        Residual blocks of each stage, and how its first block shrinks the maps.
    slow_times : tuple of int
        Temporal kernel of the slow path in each stage; the fast path's is 3 everywhere.
    fusion_time : int
        Temporal kernel of the connections from the fast to the slow path.
    placed : int
        Channels of the slow path that `VisionStream` keeps place by place.
    classes : int
        Classes of the head; 0 leaves it out.
    """

    side: int = 224
    mean: float = 0.45
    deviation: float = 0.225
    frames: int = 32
    ratio: int = 4
    width: int = 64
    thinner: int = 8
    stem: int = 7
    pool: bool = True
    depths: tuple[int, ...] = (3, 4, 6, 3)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    slow_times: tuple[int, ...] = (1, 1, 3, 3)
    fusion_time: int = 7
    placed: int = 12
    classes: int = 0

    @property
    def widths(self) -> tuple[int, int]:
        """Channels of the slow and the fast path after the last stage."""
        slow = 4 * self.width * 2 ** (len(self.depths) - 1)
        return slow, slow // self.thinner

    @property
    def grid(self) -> int:
        """Side of the maps after the last stage."""
        side = -(-self.side // (4 if self.pool else 2))
        for stride in self.strides:
            side = -(-side // stride)
        return side


class Convolution(nn.Conv3d):
    """A convolution over (time, y, x) without bias; without extent in time it runs frame by frame.

    Parameters
    ----------
    inputs, outputs : int
    time, space : int
        Sides of the kernel.
    stride, stride_t : int
        Steps in space and in time.
    """

    def __init__(
        self, inputs: int, outputs: int, time: int, space: int, stride: int = 1, stride_t: int = 1
    ) -> None:
        kernel, steps = (time, space, space), (stride_t, stride, stride)
        around = (time // 2, space // 2, space // 2)
        super().__init__(inputs, outputs, kernel, steps, around, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Turn (n, inputs, frames, height, width) into (n, outputs, ...)."""
        if self.kernel_size[0] > 1:
            return super().forward(maps)
        n, frames = maps.shape[0], maps.shape[2]
        flat = maps.transpose(1, 2).flatten(0, 1)
        made = functional.conv2d(
            flat, self.weight[:, :, 0], stride=self.stride[1:], padding=self.padding[1:]
        )
        return made.unflatten(0, (n, frames)).transpose(1, 2)


class Stem(nn.Module):
    """The first convolution of one path."""

    def __init__(self, config: SlowFastConfig, outputs: int, time: int) -> None:
        super().__init__()
        self.conv = Convolution(3, outputs, time, config.stem, stride=2)
        self.norm = nn.BatchNorm3d(outputs)
        pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.pool = pool if config.pool else nn.Identity()

    def forward(self, frames: Tensor) -> Tensor:
        """Turn (n, 3, frames, side, side) into maps."""
        return self.pool(functional.relu(self.norm(self.conv(frames))))


class Bottleneck(nn.Module):
    """Three convolutions: over time to few channels, over space, back to many."""

    def __init__(self, inputs: int, inner: int, outputs: int, time: int, stride: int) -> None:
        super().__init__()
        self.conv_a = Convolution(inputs, inner, time, 1)
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = Convolution(inner, inner, 1, 3, stride)
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = Convolution(inner, outputs, 1, 1)
        self.norm_c = nn.BatchNorm3d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps before the short cut is added."""
        maps = functional.relu(self.norm_a(self.conv_a(maps)))
        maps = functional.relu(self.norm_b(self.conv_b(maps)))
        return self.norm_c(self.conv_c(maps))


class Block(nn.Module):
    """A bottleneck beside a short cut, which is a convolution where the shape changes."""

    def __init__(self, inputs: int, inner: int, outputs: int, time: int, stride: int) -> None:
        super().__init__()
        self.turns = inputs != outputs or stride > 1
        if self.turns:
            self.branch1_conv = Convolution(inputs, outputs, 1, 1, stride)
            self.branch1_norm = nn.BatchNorm3d(outputs)
        self.branch2 = Bottleneck(inputs, inner, outputs, time, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the stage."""
        short = self.branch1_norm(self.branch1_conv(maps)) if self.turns else maps
        return functional.relu(short + self.branch2(maps))


class Stage(nn.Module):
    """Residual blocks of one path; the first shrinks the maps."""

    def __init__(
        self, inputs: int, inner: int, outputs: int, time: int, stride: int, depth: int
    ) -> None:
        super().__init__()
        first = Block(inputs, inner, outputs, time, stride)
        rest = [Block(outputs, inner, outputs, time, 1) for _ in range(depth - 1)]
        self.res_blocks = nn.ModuleList([first, *rest])

    def forward(self, maps: Tensor) -> Tensor:
        """Turn the maps of the stage before into this one's."""
        for block in self.res_blocks:
            maps = block(maps)
        return maps


class FastToSlow(nn.Module):
    """What the fast path tells the slow one: twice its channels, at the slow path's frames."""

    def __init__(self, config: SlowFastConfig, fast: int) -> None:
        super().__init__()
        self.conv_fast_to_slow = Convolution(
            fast, 2 * fast, config.fusion_time, 1, stride_t=config.ratio
        )
        self.norm = nn.BatchNorm3d(2 * fast)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Return the slow path's maps with what the fast path tells beside them."""
        told = functional.relu(self.norm(self.conv_fast_to_slow(fast)))
        return torch.cat([slow, told], 1)


class TwoPaths(nn.Module):
    """One stage of both paths and, but for the last, the connection from fast to slow."""

    def __init__(self, slow: nn.Module, fast: nn.Module, fusion: FastToSlow | None) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList([slow, fast])
        self.multipathway_fusion = fusion

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        """Turn the maps of both paths into the next ones."""
        slow, fast = self.multipathway_blocks[0](slow), self.multipathway_blocks[1](fast)
        if self.multipathway_fusion is not None:
            slow = self.multipathway_fusion(slow, fast)
        return slow, fast


class ClassHead(nn.Module):
    """Class scores from both paths' mean features."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, classes)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Return scores, (n, classes)."""
        return self.proj(torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1))


class SlowFast(nn.Module):
    """Clips in, maps of both paths out.

    Parameters
    ----------
    config : SlowFastConfig
    """

    def __init__(self, config: SlowFastConfig) -> None:
        super().__init__()
        self.config = config
        slow, fast = config.width, config.width // config.thinner
        stems = Stem(config, slow, 1), Stem(config, fast, 5)
        parts: list[nn.Module] = [TwoPaths(*stems, FastToSlow(config, fast))]
        for number in range(len(config.depths)):
            parts.append(_stage(config, number))
        if config.classes:  # the published weights number their parameterless pooling, too
            parts += [nn.Identity(), ClassHead(sum(config.widths), config.classes)]
        self.blocks = nn.ModuleList(parts)

    def maps(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Turn clips (n, 3, frames, side, side) into maps (n, channels, time, grid, grid).

        The slow path takes one frame in `ratio`, evenly spaced, the first and the last included.
        """
        slow, fast = slow_frames(clips, self.config.ratio), clips
        for stage in self.blocks[: 1 + len(self.config.depths)]:
            slow, fast = stage(slow, fast)
        return slow, fast

    def forward(self, clips: Tensor) -> Tensor:
        """Return class scores, (n, classes), of clips (n, 3, frames, side, side)."""
        return self.blocks[-1](*self.maps(clips))


def slow_frames(clips: Tensor, ratio: int) -> Tensor:
    """Return evenly spaced frames of clips (n, 3, frames, ...), first and last included."""
    frames = clips.shape[2]
    at = torch.linspace(0, frames - 1, frames // ratio, device=clips.device).long()
    return clips.index_select(2, at)


def _stage(config: SlowFastConfig, number: int) -> TwoPaths:
    """Return one stage; the slow path's input carries what the fast path told."""
    first, last = number == 0, number == len(config.depths) - 1
    inner = config.width * 2**number
    before = config.width if first else 2 * inner
    thin, stride, depth = config.thinner, config.strides[number], config.depths[number]
    outputs = 4 * inner
    slow = Stage(
        before + 2 * before // thin, inner, outputs, config.slow_times[number], stride, depth
    )
    fast = Stage(before // thin, inner // thin, outputs // thin, 3, stride, depth)
    return TwoPaths(slow, fast, None if last else FastToSlow(config, outputs // thin))
