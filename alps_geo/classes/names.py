"""Names of classifiers, and of the column of classes, for modules that need no more of them."""

CLASSIFIERS = ("extra-trees", "random-forest", "logistic")
"""Names of the classifiers, the default first."""

CLASS_FIELD = "class"
"""Column of the class in files of samples, where no other is named."""
