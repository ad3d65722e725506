"""The objects in an image, by Mask2Former trained on COCO: the network that GenEval's authors chose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from difftest.errors import MetricError
from difftest.metrics import backbone, weights
from difftest.metrics.geneval_judge import THRESHOLD, Detection

if TYPE_CHECKING:
    from difftest.metrics.backbone import Image

#: The authors' own release of the configuration that GenEval takes from mmdetection: Swin-S, instances of COCO.
MODEL = "facebook/mask2former-swin-small-coco-instance"
#: COCO's 80 classes in their order, named as GenEval's prompts name them.
OBJECTS = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog"),
    *("horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella"),
    *("handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite"),
    *("baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle"),
    *("wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich"),
    *("orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "computer mouse"),
    *("tv remote", "computer keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier"),
    "toothbrush",
)
#: Detections per image that are looked at, over all classes: mmdetection's setting.
_MOST = 100
_FILES = ("config.json", "preprocessor_config.json", *weights.SAFETENSORS)


def load(metric: str, device: str | None) -> Detector:
    """The one detector of this process and device."""
    device = backbone.device_of(device)
    folder = weights.find_repository(weights.Repository(metric, MODEL, _FILES))
    digest = weights.digest(weights.safetensors_files(metric, folder))
    return backbone.shared((Detector, digest, device), lambda: Detector(metric, folder, device))


class Detector:
    """Images to detections, one image at a time: their sizes differ, and the masks are large."""

    def __init__(self, metric: str, folder: Path, device: str) -> None:
        import transformers

        model_class: Any = transformers.Mask2FormerForUniversalSegmentation
        network = weights.from_folder(metric, model_class, folder)
        if network.config.num_labels != len(OBJECTS):
            raise MetricError(
                f"{metric}: the detector in {folder} knows {network.config.num_labels} classes; COCO's "
                f"{len(OBJECTS)} were expected"
            )
        self._prepare = Preparation.from_folder(metric, folder)
        self._placed = backbone.Placed("Mask2Former", network, device)
        self.weights = weights.digest(weights.safetensors_files(metric, folder))

    def detect(self, image: Image) -> list[Detection]:
        """Every detection that any rule of GenEval could count."""
        import torch

        pixels, height, width = self._prepare(image)
        with self._placed.resident(), torch.inference_mode():
            found = self._placed.module(
                pixel_values=torch.from_numpy(pixels)[None].to(self._placed.device)
            )
            padded = torch.nn.functional.interpolate(
                found.masks_queries_logits, pixels.shape[1:], mode="bilinear", align_corners=False
            )
            return detections(
                found.class_queries_logits[0], padded[0, :, :height, :width], image.shape[:2]
            )


def detections(classes: Any, masks: Any, size: tuple[int, ...]) -> list[Detection]:
    """Instances from class logits ``(Q, 81)`` and mask logits ``(Q, h, w)``, the last class being nothing.

    As mmdetection's instance post-processing: the surest of all pairs of query and class, their score times the mean
    probability inside the mask, their box around the mask.
    """
    import torch

    probabilities = classes.softmax(-1)[:, :-1]
    count = min(_MOST, probabilities.numel())
    scores, pairs = probabilities.flatten().topk(count)
    found = []
    for score, pair in zip(scores.tolist(), pairs.tolist(), strict=True):
        if score <= THRESHOLD:
            break  # the mask can only lower it
        query, label = divmod(pair, probabilities.shape[1])
        logits = torch.nn.functional.interpolate(
            masks[query][None, None], tuple(size), mode="bilinear", align_corners=False
        )[0, 0]
        inside = logits > 0
        if not inside.any():
            continue
        sure = float((logits.sigmoid() * inside).sum() / (inside.sum() + 1e-6))
        rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
        left, top = float(columns[0]), float(rows[0])
        right, bottom = float(columns[-1] + 1), float(rows[-1] + 1)
        mask: np.ndarray[Any, np.dtype[np.bool_]] = inside.cpu().numpy()
        found.append(Detection(OBJECTS[label], score * sure, (left, top, right, bottom), mask))
    return found


class Preparation:
    """Resized within the configured sides, normalised, and padded at the right and the bottom."""

    def __init__(self, short: int, long: int, divisor: int, mean: Any, std: Any) -> None:
        self._short, self._long, self._divisor = short, long, divisor
        self._mean, self._std = (np.array(each, np.float32) for each in (mean, std))

    @classmethod
    def from_folder(cls, metric: str, folder: Path) -> Preparation:
        """As ``preprocessor_config.json`` says."""
        file = folder / "preprocessor_config.json"
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            sides = said["size"]
            short, long = int(sides["shortest_edge"]), int(sides["longest_edge"])
            divisor = int(said.get("size_divisor", 32))
            return cls(short, long, divisor, said["image_mean"], said["image_std"])
        except (OSError, ValueError, KeyError, TypeError) as broken:
            raise MetricError(
                f"{metric}: {file} does not say how images are prepared ({type(broken).__name__}: {broken})"
            ) from broken

    def __call__(self, image: Image) -> tuple[np.ndarray[Any, np.dtype[np.float32]], int, int]:
        """``float32 (3, H, W)``, and the height and width of the part that is no padding."""
        from PIL import Image as Pil

        height, width = image.shape[:2]
        scale = min(self._short / min(height, width), self._long / max(height, width))
        height, width = (max(round(side * scale), 1) for side in (height, width))
        resized = np.asarray(
            Pil.fromarray(image).resize((width, height), Pil.Resampling.BILINEAR), np.float32
        )
        scaled = ((resized / np.float32(255) - self._mean) / self._std).transpose(2, 0, 1)
        below, beside = (-side % self._divisor for side in (height, width))
        padded = np.pad(scaled, ((0, 0), (0, below), (0, beside)))
        return np.ascontiguousarray(padded, np.float32), height, width
