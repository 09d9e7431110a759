"""Scores from one confusion matrix, boundaries, calibration, uncertainty and baselines."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    baselines="",
    boundaries="border boundary_distance boundary_f1 dilate error_rates",
    metrics="Scores confusion_matrix evaluate image_ious score_lines scores",
    results="stored_runs",
    uncertainty="Ensemble Reliability entropy flip_tta mc_dropout reliability risk_coverage",
)
