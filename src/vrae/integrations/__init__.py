"""vrae's estimators in the words of other libraries; each module needs the library that it is named after."""
