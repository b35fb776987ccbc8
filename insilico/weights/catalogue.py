"""The published files: what each holds, how large it is, what it unlocks and where it is to be had.

Names and sizes are those of the authors' repositories (specification sections 3 and 4.5); sizes
follow from the number of parameters, or are those that the hub shows, which are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from insilico.errors import WeightsError, not_one_of

MINDEYE2 = "https://huggingface.co/datasets/pscotti/mindeyev2"
GIB, MIB = 2**30, 2**20

VOXELS = {
    1: 15724, 2: 14278, 3: 15226, 4: 13153, 5: 13039, 6: 17907, 7: 12682, 8: 14386,
}  # fmt: skip
"""nsdgeneral voxels of NSD's subjects: they tell whose ridge a checkpoint holds."""

SESSIONS = {1: 40, 2: 40, 3: 32, 4: 30, 5: 40, 6: 32, 7: 40, 8: 30}
"""Sessions that each subject completed."""
TRIALS, PIXELS = 750, 3 * 224 * 224
"""Trials of a session; numbers of a picture."""

RUN = "final_subj0{s}_pretrained_40sess_24bs"
"""The training run that the presets take."""
MODELS = {
    RUN: "fine-tuned on 40 sessions",
    "final_subj0{s}_pretrained_1sess_24bs": "fine-tuned on session 1 alone",
}
TRANSFORMERS = (("config.json",), ("model.safetensors", "pytorch_model.bin"))
"""What a folder of transformers holds at least."""
MULTI = "final_multisubject_subj0{s}"
EVALUATED = (1, 2, 5, 7)


@dataclass(frozen=True)
class Published:
    """One published file or folder.

    Attributes
    ----------
    path : str
        In the weights folder, as on the hub. A folder of transformers or diffusers ends in ``/``.
    holds, unlocks : str
        For people.
    source : str
        Where to download it.
    size : int or None
        Bytes; None where it is not known.
    parameters : int or None
    part : {"decoder", "scores", "data"}
        What needs it.
    converted : int
        Bytes that its conversions take beside it.
    needs : tuple of tuple of str
        Files of a folder; of each group any.
    """

    path: str
    holds: str
    unlocks: str
    source: str = MINDEYE2
    size: int | None = None
    parameters: int | None = None
    part: str = "decoder"
    converted: int = 0
    needs: tuple[tuple[str, ...], ...] = ()

    @property
    def address(self) -> str:
        """Where the file itself is downloaded; of a folder, the page that lists its files."""
        if self.source == MINDEYE2:
            how = "tree" if self.path.endswith("/") else "resolve"
            return f"{MINDEYE2}/{how}/main/{self.path}".rstrip("/")
        own = self.path.rpartition("/")[2]
        hub = self.source.startswith("https://huggingface.co/datasets/")
        return f"{self.source}/resolve/main/{own}" if hub else self.source

    def lacks(self, root: Path) -> list[str]:
        """Return what a folder that is there does not hold, in words; of a file nothing."""
        here = [any((root / self.path / name).is_file() for name in each) for each in self.needs]
        return [" or ".join(e) for e, there in zip(self.needs, here, strict=True) if not there]


def _models() -> list[Published]:
    ridge = {s: 4096 * (voxels + 1) for s, voxels in VOXELS.items()}
    shared, every = 2_227_294_844 - ridge[1], sum(ridge.values())
    rows = [
        (f"train_logs/{name.format(s=s)}/last.pth", f"subject {s}, {how}", shared + ridge[s])
        for name, how in MODELS.items()
        for s in EVALUATED
    ]
    rows += [
        (
            f"train_logs/{MULTI.format(s=s)}/last.pth",
            f"pre-trained on all subjects but {s}",
            shared + every - ridge[s],
        )
        for s in EVALUATED
    ]
    made = [_last(path, f"MindEye2: {holds}", count, 4 * count) for path, holds, count in rows]
    light = "train_logs/multisubject_subj01_1024hid_nolow_300ep/last.pth"
    holds = "MindEye2: hidden width 1024, no low-level head"
    return [*made, _last(light, holds, None, int(2.7 * GIB))]


def _last(path: str, holds: str, parameters: int | None, size: int) -> Published:
    unlocks = "decoder mindeye2: betas -> CLIP tokens"
    return Published(path, holds, unlocks, MINDEYE2, size, parameters, converted=size)


_NETWORKS = [
    Published(
        "unclip6_epoch0_step110000.ckpt",
        "SDXL unCLIP: UNet, VAE and the bigG image tower",
        "decoder mindeye2: tokens -> pictures; retrieval by image tokens",
        size=4 * 4_494_816_212,
        parameters=4_494_815_212,
        converted=4 * (2_501_272_324 + 83_653_863),
    ),
    Published(
        "bigG_to_L_epoch8.pth",
        "CLIPConverter: tokens of bigG -> tokens of CLIP-L",
        "captions of tokens",
        size=4 * 1_771_009,
        parameters=1_771_009,
        converted=4 * 1_771_009,
    ),
    Published(
        "git-large-coco/",
        "GIT large (COCO), as transformers keeps it",
        "captions",
        "https://huggingface.co/microsoft/git-large-coco",
        size=4 * 394_196_026,
        parameters=394_196_026,
        needs=TRANSFORMERS,
    ),
    Published(
        "sd_image_var_autoenc.pth",
        "the VAE of Stable Diffusion image variations",
        "blurry pictures from the low-level head",
        size=4 * 83_653_863,
        parameters=83_653_863,
        converted=4 * 83_653_863,
    ),
    Published(
        "zavychromaxl_v30.safetensors",
        "an SDXL fine-tune: UNet, VAE and both text encoders",
        "refined ('enhanced') pictures",
        size=int(6.5 * GIB),
        converted=int(6.5 * GIB),
    ),
    Published(
        "clip-vit-large-patch14/",
        "CLIP-L as transformers keeps it; its tokenizer (vocab.json, merges.txt)",
        "scores on clip_l14; with the tokenizer alone: refined pictures from the single SDXL file",
        "https://huggingface.co/openai/clip-vit-large-patch14",
        size=4 * 427_616_513,
        parameters=427_616_513,
        part="scores",
        needs=TRANSFORMERS,
    ),
    Published(
        "clip-vit-base-patch32/",
        "CLIP-B/32 as transformers keeps it",
        "caption score CLIP-B",
        "https://huggingface.co/openai/clip-vit-base-patch32",
        size=4 * 151_277_313,
        parameters=151_277_313,
        part="scores",
        needs=TRANSFORMERS,
    ),
    Published(
        "all-MiniLM-L6-v2/",
        "a sentence encoder as transformers keeps it",
        "caption score Sentence",
        "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
        size=4 * 22_713_216,
        parameters=22_713_216,
        part="scores",
        needs=TRANSFORMERS,
    ),
]

_DATA = [
    Published(
        f"betas_all_subj0{s}_fp32_renorm.hdf5",
        f"NSD betas of subject {s}, z-scored",
        "measured responses",
        size=4 * voxels * TRIALS * SESSIONS[s],
        part="data",
    )
    for s, voxels in VOXELS.items()
]
_DATA += [
    Published(
        f"wds/subj0{s}/",
        f"trials of subject {s}: train/, new_test/0.tar, test/0.tar",
        "measured responses: which picture was shown when",
        part="data",
        needs=(("train/0.tar",), ("new_test/0.tar", "test/0.tar")),
    )
    for s in VOXELS
]
_DATA += [
    Published(
        "coco_images_224_float16.hdf5",
        "the 73,000 pictures of NSD, 224 x 224",
        "NSD's stimuli",
        size=2 * 73_000 * PIXELS,
        part="data",
    ),
    Published(
        "evals/all_images.pt",
        "the 1000 test pictures, 224 x 224",
        "scores against the authors' reconstructions",
        size=4 * 1000 * PIXELS,
        part="data",
    ),
    Published("evals/all_captions.pt", "COCO captions of them", "caption scores", part="data"),
    Published(
        "evals/all_git_generated_captions.pt",
        "GIT's captions of them",
        "caption scores",
        part="data",
    ),
    Published(
        "shared1000.npy",
        "which of the 73,000 pictures all subjects saw",
        "NSD's split",
        size=73_000 + 128,
        part="data",
    ),
    Published(
        "COCO_73k_annots_curated.npy",
        "five captions of each of the 73,000 pictures",
        "caption scores on NSD",
        "https://huggingface.co/datasets/pscotti/naturalscenesdataset",
        part="data",
    ),
    Published(
        "gnet_multisubject.pt",
        "GNet: pictures -> responses of all subjects",
        "score brain_correlation",
        size=int(1.2 * GIB),
        part="scores",
    ),
    Published(
        "brain_region_masks.hdf5",
        "nsdgeneral, V1-V4 and higher visual voxels",
        "score brain_correlation by region",
        size=822_000,
        part="scores",
    ),
]

TORCH = "https://download.pytorch.org/models/"
_JUDGES = [
    Published(name, holds, unlocks, source, size=int(mebibytes * MIB), part="scores")
    for name, holds, unlocks, source, mebibytes in (
        (
            "alexnet-owt-7be5be79.pth",
            "AlexNet of torchvision",
            "scores on alexnet2, alexnet5",
            f"{TORCH}alexnet-owt-7be5be79.pth",
            233.087,
        ),
        (
            "inception_v3_google-0cc3c7bd.pth",
            "Inception v3 of torchvision",
            "scores on inception",
            f"{TORCH}inception_v3_google-0cc3c7bd.pth",
            103.903,
        ),
        (
            "efficientnet_b1-c27df63c.pth",
            "EfficientNet-B1 of torchvision, IMAGENET1K_V2",
            "scores on efficientnet_b1, as MindEye2",
            f"{TORCH}efficientnet_b1-c27df63c.pth",
            30.136,
        ),
        (
            "efficientnet_b1_rwightman-bac287d4.pth",
            "EfficientNet-B1 of torchvision, IMAGENET1K_V1",
            "scores on efficientnet_b1, as Brain-Diffuser",
            f"{TORCH}efficientnet_b1_rwightman-bac287d4.pth",
            30.134,
        ),
        (
            "swav_800ep_pretrain.pth.tar",
            "ResNet-50 trained by SwAV",
            "scores on swav",
            "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar",
            109,
        ),
    )
]

PUBLISHED = (*_models(), *_NETWORKS, *_DATA, *_JUDGES)


def subjects(voxels: int) -> str:
    """Return whose number of voxels that is, `` (NSD subject 1)``, or an empty text."""
    found = [subject for subject, count in VOXELS.items() if count == voxels]
    return f" (NSD subject {found[0]})" if found else ""


def published(path: str) -> Published | None:
    """Return the published file or folder of a path in the weights folder, or None."""
    return next((row for row in PUBLISHED if row.path == path), None)


def of_subject(subject: int) -> list[Published]:
    """Return the files that one subject's decoder, its scores and its data take.

    Of the training runs that is the one on 40 sessions.

    Raises
    ------
    WeightsError
        If there is no such run of the subject.
    """
    if subject not in EVALUATED:
        raise WeightsError(not_one_of("subject with published weights", subject, EVALUATED))
    run = f"train_logs/{RUN.format(s=subject)}/last.pth"

    def mine(path: str) -> bool:
        if path.startswith("train_logs/"):
            return path == run
        return "subj0" not in path or f"subj0{subject}" in path

    return [row for row in PUBLISHED if mine(row.path)]
