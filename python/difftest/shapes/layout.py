"""Where the files of the embedded models lie, relative to a weights folder."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"

UNET_FILE = "unet/diffusion_pytorch_model.safetensors"
UNET_GRAPH = "unet/model.onnx"
TEXT_ENCODER_FILE = "text_encoder/model.safetensors"
TEXT_ENCODER_GRAPH = "text_encoder/model.onnx"
CLIP_FILE = "clip/model.safetensors"
CLIP_TEXT_GRAPH = "clip/text.onnx"
CLIP_IMAGE_GRAPH = "clip/image.onnx"
