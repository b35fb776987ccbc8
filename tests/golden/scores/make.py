"""Makes the golden numbers of the image scores with the published libraries.

Run beside a folder of `pip install --target FOLDER torchvision==0.29 scikit-image==0.26` (without
their dependencies) and the package's own environment::

    PYTHONPATH=.:tests/scores:FOLDER python tests/golden/scores/make.py

torchvision's compiled operators are not needed; their registration is passed over.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.library
from made import pictures, pixels, state
from PIL import Image

library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float threshold) -> Tensor")
torch.library.register_fake = lambda *_, **__: lambda function: function

from skimage.color import rgb2gray  # noqa: E402
from skimage.metrics import structural_similarity  # noqa: E402
from torchvision import models, transforms  # noqa: E402

HERE = Path(__file__).parent
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
SSIM = {
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "data_range": 1.0,
}
CASES = {
    "alexnet2": (models.alexnet, "features.4", 96),
    "alexnet5": (models.alexnet, "features.11", 96),
    "inception": (
        lambda: models.inception_v3(transform_input=True, init_weights=False),
        "avgpool",
        107,
    ),
    "resnet50": (models.resnet50, "avgpool", 96),
    "efficientnet_b1": (models.efficientnet_b1, "avgpool", 97),
}
SIDES = {
    "alexnet": 256,
    "inception_v3": 342,
    "efficientnet_b1": 255,
    "swav_resnet50": 224,
    "clip_vit_l14": 224,
}


def networks() -> dict[str, np.ndarray]:
    """Return features of each network with weights by formula, and its keys and shapes."""
    out = {}
    for name, (build, node, side) in CASES.items():
        model = build()
        model.load_state_dict(state(model))
        kept: list[torch.Tensor] = []
        layer = model.eval().get_submodule(node)
        layer.register_forward_hook(lambda m, i, o, kept=kept: kept.append(o.clone()))
        with torch.no_grad():
            model(pixels(side))
        whole = kept[0].flatten(1)
        out[f"{name}_some"] = whole[:, :: whole.shape[1] // 97].numpy()
        out[f"{name}_sum"] = whole.double().sum(1).numpy()
        out[f"{name}_width"] = np.array(whole.shape[1])
        shapes = [f"{k} {tuple(v.shape)}" for k, v in model.state_dict().items()]
        out[f"{name}_keys"] = np.array("\n".join(shapes))
    return out


def prepared() -> dict[str, np.ndarray]:
    """Return what each network is given, by the scripts' own transforms."""
    out, images = {}, pictures(2, 425)
    for name, side in SIDES.items():
        normal = transforms.Normalize(*(CLIP if name.startswith("clip") else IMAGENET))
        tensors = torch.from_numpy(images).permute(0, 3, 1, 2) / 255.0
        small = transforms.Resize((256, 256), antialias=False)(tensors)
        mindeye2 = normal(transforms.Resize(side, antialias=False)(small))
        pil = [transforms.functional.resize(Image.fromarray(x), (224, 224)) for x in images]
        diffuser = torch.stack([normal(transforms.functional.to_tensor(x)) for x in pil])
        out[f"{name}_mindeye2"] = mindeye2[:, :, ::37, ::41].numpy()
        out[f"{name}_brain-diffuser"] = diffuser[:, :, ::37, ::41].numpy()
    return out


def mindeye2(shown: np.ndarray, made: np.ndarray) -> tuple[list[float], list[float]]:
    """Return PixCorr and SSIM as MindEye2's notebook computes them."""
    resize = [transforms.Resize(side, antialias=False) for side in ((256, 256), 425)]
    a, b = (torch.from_numpy(x).permute(0, 3, 1, 2) / 255.0 for x in (shown, made))
    for step in resize:
        a, b = step(a), step(b)
    flat = [x.reshape(len(x), -1).double().numpy() for x in (a, b)]
    r = [np.corrcoef(p, q)[0, 1] for p, q in zip(*flat, strict=True)]
    grey = [rgb2gray(x.permute(0, 2, 3, 1).numpy()) for x in (a, b)]
    return r, [structural_similarity(p, q, **SSIM) for p, q in zip(*grey, strict=True)]


def brain_diffuser(shown: np.ndarray, made: np.ndarray) -> tuple[list[float], list[float]]:
    """Return PixCorr and column-wise SSIM as Brain-Diffuser's script computes them."""
    r, s = [], []
    for one, other in zip(shown, made, strict=True):
        b = np.array(Image.fromarray(other).resize((425, 425))) / 255.0
        a = one / 255.0
        r.append(np.corrcoef(a.reshape(1, -1), b.reshape(1, -1))[0, 1])
        # multichannel=True of scikit-image 0.17 on a grey picture: the last axis is channels
        s.append(structural_similarity(rgb2gray(b), rgb2gray(a), channel_axis=-1, **SSIM))
    return r, s


def pixel_scores() -> dict[str, np.ndarray]:
    """Return pixel scores of pictures of 425 pixels and reconstructions of 512 and 64."""
    out = {}
    for side in (512, 64):
        shown, made = pictures(3, 425), pictures(3, side, shift=0.07)
        for name, score in (("mindeye2", mindeye2), ("brain-diffuser", brain_diffuser)):
            r, s = score(shown, made)
            out[f"{name}_{side}_pixcorr"], out[f"{name}_{side}_ssim"] = np.array(r), np.array(s)
    grey = [pictures(2, 40, shift).mean(-1) / 255 for shift in (0.0, 0.2)]
    for name, axis in (("2d", None), ("columns", -1)):
        each = [structural_similarity(p, q, channel_axis=axis, **SSIM) for p, q in zip(*grey)]  # noqa: B905
        out[f"grey_{name}"] = np.array(each)
    return out


if __name__ == "__main__":
    torch.manual_seed(0)
    np.savez_compressed(HERE / "networks.npz", **networks())
    np.savez_compressed(HERE / "prepared.npz", **prepared())
    np.savez_compressed(HERE / "pixels.npz", **pixel_scores())
