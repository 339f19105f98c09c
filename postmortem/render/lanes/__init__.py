"""The incident timeline's lanes: each from the frames and the span drawn to layers, empty where nothing is recorded."""
