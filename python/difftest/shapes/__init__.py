"""The embedded model: a closed world of simple shapes, a diffusion model of it and a CLIP of it.

Nothing heavy is imported here, so that ``import difftest`` stays fast: import
``difftest.shapes.pipeline.ShapesPipeline`` or ``difftest.shapes.clip.ShapesClip`` where they are
used.
"""
