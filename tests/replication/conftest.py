"""A study that takes seconds: two arms, two replicates, four updates each."""

from pathlib import Path

import pytest

STUDY = """
name: short
question: Does turning help?
metric: accuracy
margin: 0.05
baseline: none
arms:
  none:
    description: as they are
  turned:
    description: turned by right angles
    augmentation:
      name: right-angles
      steps:
        - kind: rotation
          step_deg: 90
replicates: 2
training:
  model: test_resnet
  preprocessing: {size_px: 32}
  updates: 4
  batch_size: 8
  validate_every: 2
  warmup_updates: 0
"""


@pytest.fixture(scope="session")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the study's YAML."""
    path = tmp_path_factory.mktemp("study") / "short.yaml"
    path.write_text(STUDY)
    return path
