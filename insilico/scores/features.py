"""What a score can look at: layers of networks, and how pictures are brought to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from insilico.errors import ParameterError, WeightsError, listed, not_one_of
from insilico.scores.preparation import STORED, Setting, pillow, stretched
from insilico.weights import authors, folders
from insilico.weights.catalogue import PUBLISHED as CATALOGUE
from insilico.weights.writing import written

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
SIDE_OF_ALL = 224
"""Side to which Brain-Diffuser brings pictures for every network."""


@dataclass(frozen=True)
class Network:
    """A network and the pictures that it takes.

    Attributes
    ----------
    module : str
        ``"module:callable"`` that builds it; ``""`` for a CLIP of transformers.
    side : int
        Side of the pictures, as MindEye2 sets it (Brain-Diffuser: 224 for all).
    file : str
        Published weights: a path of the catalogue; the phantom's: a path in its folder.
    files : tuple of (setting, path)
        Where a setting takes other weights.
    normal : tuple
        Mean and spread of each colour channel.
    published : bool
        Whether the weights are published ones, not the phantom's.
    state : str
        ``"module:function"`` that brings the file's tensors to the module's.
    """

    module: str
    side: int
    file: str
    files: tuple[tuple[Setting, str], ...] = ()
    normal: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
    published: bool = True
    state: str = ""

    def prepared(self, images: np.ndarray, setting: Setting | None) -> Any:
        """Return a float32 tensor (n, rgb, side, side) of uint8 pictures (n, y, x, rgb)."""
        import torch

        if setting == "brain-diffuser":
            pixels = pillow(images, SIDE_OF_ALL, "bilinear")
        else:
            pixels = stretched(images, *((STORED,) if self.published else ()), self.side)
        pixels = (pixels - np.array(self.normal[0])) / np.array(self.normal[1])
        return torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2).contiguous()

    def path(self, what: str, weights: str | None, setting: Setting | None) -> Path:
        """Return where the weights lie: `weights`, or their own name in the folder `weights`.

        Raises
        ------
        WeightsError
            With the file, its size, where it can be had, where to put it, what to write.
        """
        place = folders.root(weights or ("published" if self.published else "phantom"))
        name = dict(self.files).get(setting, self.file) if setting else self.file
        for path in (place, place / name):
            if (path / "config.json").is_file() if name.endswith("/") else path.is_file():
                return path
        raise WeightsError(f"{what} needs {_told(name)}; it is not in {place}. {ADVICE}")


ADVICE = (
    "Put it there; or write 'weights: FOLDER' (or the path itself) beside the score, for those in "
    "another folder. 'insilico weights list' lists all"
)


def _told(name: str) -> str:
    """Write a published file with its size and its source."""
    for row in CATALOGUE:
        if row.path == name:
            return f"{name} ({written(row.size or 0)}, from {row.source})"
    return name


NETWORKS: dict[str, Network] = {
    "alexnet": Network("insilico.scores.networks.alexnet:AlexNet", 256, "alexnet-owt-7be5be79.pth"),
    "inception_v3": Network(
        "insilico.scores.networks.inception:InceptionV3", 342, "inception_v3_google-0cc3c7bd.pth"
    ),
    "efficientnet_b1": Network(
        "insilico.scores.networks.efficientnet:EfficientNetB1",
        255,
        "efficientnet_b1-c27df63c.pth",
        (("brain-diffuser", "efficientnet_b1_rwightman-bac287d4.pth"),),
    ),
    "swav_resnet50": Network(
        "insilico.scores.networks.resnet:backbone",
        224,
        "swav_800ep_pretrain.pth.tar",
        state="insilico.scores.networks.resnet:swav_state",
    ),
    "clip_vit_l14": Network("", 224, "clip-vit-large-patch14/", normal=OPENAI),
    "phantom_convnet": Network(
        "insilico.scores.networks.convnet:PhantomConvnet",
        64,
        "judge_convnet/model.safetensors",
        normal=((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        published=False,
    ),
}


@dataclass(frozen=True)
class Features:
    """One layer of one network.

    Attributes
    ----------
    network : str
        Of `NETWORKS`; ``""`` for any CLIP of transformers, which brings its own preparation.
    layer : str
    about : str
        For definitions.
    """

    network: str
    layer: str
    about: str

    @property
    def published(self) -> bool:
        """Whether a published setting looks at it, and says how pictures are prepared."""
        return bool(self.network) and NETWORKS[self.network].published

    def path(self, what: str, weights: str | None, setting: Setting | None) -> Path:
        """Return the weights' path; `what` is the score that needs them, for its error."""
        if setting is not None and not self.published:
            raise ParameterError(
                f"{what}: the protocol {setting} does not look at it; leave 'protocol' out, or "
                f"write 'features' with one of: {listed(PUBLISHED)}"
            )
        if not self.network:
            return folders.found(weights or "phantom", "judge_clip")
        return NETWORKS[self.network].path(what, weights, setting)

    def digest(self, path: Path) -> str:
        """Return the digest of the weights at a path."""
        if path.is_dir():
            return folders.digest(path)
        if not self.published:
            return folders.digest(path.parent)
        return authors.digest(path.parent, path)


FEATURES: dict[str, Features] = {
    "alexnet2": Features("alexnet", "features.4", "AlexNet, ReLU after the second convolution"),
    "alexnet5": Features("alexnet", "features.11", "AlexNet, ReLU after the fifth convolution"),
    "inception": Features("inception_v3", "avgpool", "Inception v3 (torchvision), mean pool"),
    "efficientnet_b1": Features("efficientnet_b1", "avgpool", "EfficientNet-B1, mean pool"),
    "swav": Features("swav_resnet50", "avgpool", "SwAV ResNet-50, mean pool"),
    "clip_l14": Features("clip_vit_l14", "image_embeds", "OpenAI CLIP ViT-L/14, projected"),
    "clip": Features("", "image_embeds", "the CLIP named, projected"),
    "phantom_early": Features("phantom_convnet", "early", "the phantom's convnet, second layer"),
    "phantom_late": Features("phantom_convnet", "late", "the phantom's convnet, mean pool"),
}
PUBLISHED = [name for name, one in FEATURES.items() if one.published]


def features(name: str) -> Features:
    """Return features by name."""
    if name not in FEATURES:
        raise ParameterError(not_one_of("features", name, FEATURES))
    return FEATURES[name]
