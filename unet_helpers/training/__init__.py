"""Losses, border weights, the recipe, checkpoints, precision and several devices."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    borders="border_weights",
    callbacks="PredictionGif Progress Scores",
    checkpoint="",
    distributed="",
    fused="",
    losses=(
        "MaskedBinaryCrossentropy CrossEntropyAndDice median_frequency_weights pixel_weights "
        "soft_dice_loss with_class_weights"
    ),
    precision="describe_machine print_machine use_best_precision",
    recipe="BATCH_SIZE check_batches compile_model fit",
)
