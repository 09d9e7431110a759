"""Scores from one confusion matrix, boundaries, calibration, uncertainty and baselines."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    {
        "Ensemble": "uncertainty",
        "Reliability": "uncertainty",
        "Scores": "metrics",
        "border": "boundaries",
        "boundary_distance": "boundaries",
        "boundary_f1": "boundaries",
        "confusion_matrix": "metrics",
        "dilate": "boundaries",
        "entropy": "uncertainty",
        "error_rates": "boundaries",
        "evaluate": "metrics",
        "flip_tta": "uncertainty",
        "image_ious": "metrics",
        "mc_dropout": "uncertainty",
        "reliability": "uncertainty",
        "risk_coverage": "uncertainty",
        "score_lines": "metrics",
        "scores": "metrics",
    },
)
