"""What users fit: scikit-learn estimators over the one network and the one ``fit``."""
