"""What a person can do: one public function a verb, composing rooms and nothing else."""

SUMMARIES = {
    "augment": "Write a dataset with augmented copies of its training cells.",
    "catalogue": "List the sources, models, recipes or studies known by name, or print one.",
    "combine": "Write a dataset with generated cells in its training, once they were judged.",
    "compare": "Compare trained models on the same cells, each with the baseline.",
    "demo": "Draw phantom cells and answer on them whether rotation helps.",
    "evaluate": "Score a run or a predictions table, each score with its interval.",
    "export": "Write a trained model as ONNX with a model card, its answers compared first.",
    "fetch": "Fetch starting weights of a network, the only work that uses the internet.",
    "ingest": "Take labelled pictures in and write a dataset folder.",
    "isolate": "Write a dataset of the same leukocytes without their background.",
    "judge": "Judge whether generated cells are like real ones, and whether they are copies.",
    "measure": "Measure the cells of a dataset: areas, shape, lobes, granules, colour and focus.",
    "predict": "Classify the cells of a dataset with a trained model.",
    "preview": "Show what each step of an augmentation does to cells of a dataset, weak to strong.",
    "replay": "Make one copy or generated cell again, byte for byte, from its row of the manifest.",
    "report": "Write the report of a study, evaluation or comparison again from its tables.",
    "sample": "Draw cells with a fitted generator and write them as a dataset.",
    "score_sheet": "Score what readers answered on a blinded sheet of real and drawn cells.",
    "sheet": "Print a blinded sheet of real and generated cells for experts to tell apart.",
    "split": "Divide a dataset into training, validation and test.",
    "study": "Compare ways of training over replicates and report which helps.",
    "synthesise": "Fit a network that draws cells, inside the training split only.",
    "train": "Train a classifier and leave a run folder.",
}
"""Verb → the first line of its docstring, so that help needs to import none of them."""

__all__ = sorted(SUMMARIES)  # noqa: PLE0605  proven equal to the modules by tests/test_house.py
