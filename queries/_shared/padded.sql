-- A length rounded up to whole fragments of the matrix unit.
CREATE MACRO padded(length, fragment) AS ((length + fragment - 1) // fragment) * fragment
