"""Scores from one confusion matrix, boundaries, calibration and uncertainty."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    {
        "Reliability": "uncertainty",
        "Scores": "metrics",
        "Ensemble": "uncertainty",
        "border": "boundaries",
        "boundary_distance": "boundaries",
        "boundary_f1": "boundaries",
        "confusion_matrix": "metrics",
        "dilate": "boundaries",
        "mc_dropout": "uncertainty",
        "entropy": "uncertainty",
        "risk_coverage": "uncertainty",
        "error_rates": "boundaries",
        "evaluate": "metrics",
        "flip_tta": "uncertainty",
        "image_ious": "metrics",
        "reliability": "uncertainty",
        "score_lines": "metrics",
        "scores": "metrics",
    },
)
