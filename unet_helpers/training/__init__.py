"""Losses, the recipe, checkpoints, precision and several devices."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    {
        "BATCH_SIZE": "recipe",
        "MaskedBinaryCrossentropy": "losses",
        "CrossEntropyAndDice": "losses",
        "PredictionGif": "callbacks",
        "check_batches": "recipe",
        "compile_model": "recipe",
        "describe_machine": "precision",
        "fit": "recipe",
        "median_frequency_weights": "losses",
        "pixel_weights": "losses",
        "print_machine": "precision",
        "soft_dice_loss": "losses",
        "use_best_precision": "precision",
        "with_class_weights": "losses",
    },
)
