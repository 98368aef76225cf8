//! Ceremonies: what people do with keys, roles and thresholds.
