"""Scalers: features brought to one scale, by configs that are fitted to rows."""

from fnn.scalers.base import Scaler
from fnn.scalers.linear import (
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
    min_max_scaler,
    robust_scaler,
    standard_scaler,
)
from fnn.scalers.networks import for_features, scaled, stacked, unscaled
from fnn.scalers.quantile import QuantileScaler, quantile_scaler

__all__ = [
    "MinMaxScaler",
    "QuantileScaler",
    "RobustScaler",
    "Scaler",
    "StandardScaler",
    "for_features",
    "min_max_scaler",
    "quantile_scaler",
    "robust_scaler",
    "scaled",
    "stacked",
    "standard_scaler",
    "unscaled",
]
