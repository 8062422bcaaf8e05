"""What becomes of a picture does not hang on how many threads the machine lends to arithmetic."""

import os
import subprocess
import sys

SCRIPT = """
import hashlib
import numpy as np
from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import draw
from leukoscope.augmentation.geometry_steps import *
from leukoscope.augmentation.recipe import AugmentationRecipe
picture = np.random.default_rng(0).integers(0, 256, (360, 360, 3), dtype=np.uint8)
bent = AugmentationRecipe(steps=(ElasticDistortion(),))
chain = AugmentationRecipe(steps=(Rotation(), Scaling(), LensDistortion(), Shear()))
digest = hashlib.sha256()
for recipe in (bent, chain):
    for copy in range(12):
        digest.update(apply(draw(recipe, 0, "cell", copy), picture).tobytes())
print(digest.hexdigest())
"""


def digest_with(n_threads):
    """Augment in a process of its own, whose libraries see so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(n_threads))
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_bytes_do_not_hang_on_threads():
    """Elastic fields and lenses are sums of products, which libraries share out among threads."""
    assert digest_with(1) == digest_with(2) == digest_with(4)
