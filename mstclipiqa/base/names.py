"""The vocabulary that several rooms share. It computes nothing, so that editing a method reruns that method alone."""

#: What is rated, in the order of every table.
TARGETS = ("quality", "authenticity", "correspondence")

#: What the analyses beside the main grid train on: not every benchmark rates it.
QUALITY = TARGETS[0]

#: The five quality levels that a template names, for the scores 1..5.
LEVELS = ("bad", "poor", "fair", "good", "perfect")

#: The role of an image in a split; UNUSED is that of an image that a published split leaves out.
TRAIN, VAL, TEST, UNUSED = "train", "val", "test", ""

#: How the epoch of a number is chosen. `best-on-test` looks at the reported images, as the released code does.
LAST, VALIDATION, BEST_ON_TEST = "last", "validation", "best-on-test"

#: The selections as the page names them.
SELECTIONS = {
    LAST: "last epoch",
    VALIDATION: "epoch chosen on validation",
    BEST_ON_TEST: "best epoch on test",
}

#: The paper's two models.
MODELS = ("mst-clipiqa", "mst-clipiqa-star")

#: The variants that are trained to be taken apart: the paper's models, whose gate is replaced; a frozen gate, whose
#: fused feature is read beside theirs; and the coarse stream alone, which scores where the fine encoder is skipped.
FROZEN, COARSE = "fixed-gate", "coarse-only"
DISSECTED = (*MODELS, FROZEN, COARSE)

#: What names a training job, and what names a run and selection within one.
JOB = ["benchmark", "target", "recipe", "variant"]
RUN = ["protocol", "split", "seed", "selection"]

#: What the runs share whose mean is reported: it is over splits and seeds.
GROUP = [*JOB, "protocol", "selection"]

#: In the place of a recipe: of scores that were entered, whatever made them.
ENTERED = "entered"

#: In the place of an epoch: of scores that no training on the benchmark has made, the same in every split. What was
#: trained elsewhere has the epoch 1.
UNTRAINED = 0

#: The formats of the images that are read, as Pillow calls them, by the endings of their files in small letters.
IMAGE_FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP", ".tif": "TIFF",
    ".tiff": "TIFF",
}  # fmt: skip

#: The devices that a configuration may ask for: `auto` is a GPU where there is one, `cuda` a GPU or an error.
CPU, AUTO, CUDA = "cpu", "auto", "cuda"
DEVICES = (CPU, AUTO, CUDA)

#: What an image encoder may compute in. `tf32` is float32 whose products are rounded, which GPUs alone have.
FLOAT32, TF32, BFLOAT16 = "float32", "tf32", "bfloat16"
PRECISIONS = (FLOAT32, TF32, BFLOAT16)

#: Why nothing is said of a claim on a drawn benchmark.
STAND_IN = "drawn stand-in"
