-- What a shape says beside lengths and batch (q=, k=, b=), as it stands: h=32,d=4096,tp=8. NULL where nothing.
CREATE MACRO shape_rest(shape) AS
nullif(regexp_replace(regexp_replace(shape, '(^|,)[qkb]=[^,]*', '', 'g'), '^,', ''), '')
