"""LightGBM classifier for FreqAI that predicts only from known features.

Stock FreqAI fills missing features with 0 and then replaces its own mask of those rows by the
outlier mask, so that ``do_predict`` is 1 on a row of zeros. Here both masks must agree.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from freqtrade.freqai.base_models.BaseClassifierModel import BaseClassifierModel
from lightgbm import LGBMClassifier

if TYPE_CHECKING:
    import numpy.typing as npt
    from freqtrade.freqai.data_kitchen import FreqaiDataKitchen
    from pandas import DataFrame

logger = logging.getLogger(__name__)


class CitadelLightGBM(BaseClassifierModel):
    """LightGBM with FreqAI's retraining, pipelines and backtests.

    ``model_training_parameters`` are LightGBM's own; see its documentation.
    """

    def fit(
        self, data_dictionary: dict[str, Any], dk: FreqaiDataKitchen, **kwargs: Any
    ) -> LGBMClassifier:
        """Train on the training rows; log its score on the held-out rows.

        The Brier score (mean squared error of the probability) is shown beside that of always
        predicting the base rate. If it is not better than the base rate, the features do not
        predict the label, as is expected on the simulator's random market.
        """
        model = LGBMClassifier(**self.model_training_parameters)
        model.fit(
            X=data_dictionary["train_features"].to_numpy(),
            y=data_dictionary["train_labels"].to_numpy()[:, 0],
            sample_weight=data_dictionary["train_weights"],
            init_model=self.get_init_model(dk.pair),
        )
        if len(data_dictionary["test_labels"]) > 0:
            self._judge(model, data_dictionary, dk.pair)
        return model

    def predict(
        self, unfiltered_df: DataFrame, dk: FreqaiDataKitchen, **kwargs: Any
    ) -> tuple[DataFrame, npt.NDArray[np.int_]]:
        """Predict, with ``do_predict`` 1 only where every feature is known and none is an outlier."""
        dk.find_features(unfiltered_df)
        features = unfiltered_df[dk.training_features_list].replace([np.inf, -np.inf], np.nan)
        known = features.notna().all(axis=1).to_numpy().astype(np.int_)
        predictions, inliers = super().predict(unfiltered_df, dk, **kwargs)
        dk.do_predict = np.asarray(inliers, dtype=np.int_) * known
        return predictions, dk.do_predict

    def _judge(self, model: LGBMClassifier, data: dict[str, Any], pair: str) -> None:
        classes = list(model.classes_)
        actual = data["test_labels"].to_numpy()[:, 0]
        chosen = classes.index("up") if "up" in classes else 0
        hit = (actual == classes[chosen]).astype(float)
        said = np.asarray(model.predict_proba(data["test_features"].to_numpy()))[:, chosen]
        rate = float((data["train_labels"].to_numpy()[:, 0] == classes[chosen]).mean())
        logger.info(
            "%s: Brier score %.4f on %d held-out candles; always predicting the base rate %.2f: %.4f.",
            pair,
            float(np.mean((said - hit) ** 2)),
            len(hit),
            rate,
            float(np.mean((rate - hit) ** 2)),
        )
