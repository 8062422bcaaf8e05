"""Imports that take seconds, done once by the process that all others are forked from."""

import pytest  # noqa: F401

import leukoscope.verbs.predict
import leukoscope.verbs.study
import leukoscope.verbs.train  # noqa: F401
from leukoscope.models.torchvision_cure import make_importable

make_importable()
import timm  # noqa: E402, F401
