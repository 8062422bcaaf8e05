"""What a person can do: one public function a verb, composing rooms and nothing else."""

SUMMARIES = {
    "augment": "Write a dataset with augmented copies of its training cells.",
    "catalogue": "List the sources, models, recipes or studies known by name, or print one.",
    "compare": "Compare trained models on the same cells, each with the baseline.",
    "demo": "Draw phantom cells and answer on them whether rotation helps.",
    "evaluate": "Score a run or a predictions table, each score with its interval.",
    "export": "Write a trained model as ONNX with a model card, its answers compared first.",
    "fetch": "Fetch starting weights of a network, the only work that uses the internet.",
    "ingest": "Take labelled pictures in and write a dataset folder.",
    "isolate": "Write a dataset of the same leukocytes without their background.",
    "measure": "Measure the cells of a dataset: areas, shape, lobes, granules, colour and focus.",
    "predict": "Classify the cells of a dataset with a trained model.",
    "preview": "Show what each step of an augmentation does to cells of a dataset, weak to strong.",
    "replay": "Make one augmented copy again, byte for byte, from what the manifest says of it.",
    "report": "Write the report of a study, evaluation or comparison again from its tables.",
    "split": "Divide a dataset into training, validation and test.",
    "study": "Compare ways of training over replicates and report which helps.",
    "train": "Train a classifier and leave a run folder.",
}
"""Verb → the first line of its docstring, so that help needs to import none of them."""

__all__ = sorted(SUMMARIES)  # noqa: PLE0605  proven equal to the modules by tests/test_house.py
