"""Scores from one confusion matrix, boundaries, calibration and uncertainty."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    {
        "Reliability": "uncertainty",
        "Scores": "metrics",
        "Votes": "uncertainty",
        "border": "boundaries",
        "boundary_distance": "boundaries",
        "boundary_f1": "boundaries",
        "confusion_matrix": "metrics",
        "dilate": "boundaries",
        "dropout_votes": "uncertainty",
        "entropy": "uncertainty",
        "error_of_the_rest": "uncertainty",
        "error_rates": "boundaries",
        "evaluate": "metrics",
        "flipped_votes": "uncertainty",
        "picture_ious": "metrics",
        "reliability": "uncertainty",
        "score_lines": "metrics",
        "scores": "metrics",
    },
)
